"""Interlock's engine: the request path and everything it stands on."""

__version__ = "0.1.0"
