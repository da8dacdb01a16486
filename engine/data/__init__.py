"""Facts that ship with the product, read through importlib.resources: model prices and limits."""
