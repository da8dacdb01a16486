"""Refusals of the management API, by LiteLLM's types."""

from __future__ import annotations

from engine.errors import ClientError


def bad_request(message: str, param: str | None = None) -> ClientError:
    """Make the 400 of what cannot be done."""
    return ClientError(400, "bad_request_error", message, param)


def unknown(message: str, param: str | None = None) -> ClientError:
    """Make the 404 of what is not there."""
    return ClientError(404, "not_found_error", message, param)
