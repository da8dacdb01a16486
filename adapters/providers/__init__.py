"""Upstream vendors, one file each: how a call reaches them."""
