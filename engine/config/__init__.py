"""Configuration: YAML with marks, to typed specs, with every problem told at once."""
