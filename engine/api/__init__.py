"""The HTTP surface: what clients and operators see."""
