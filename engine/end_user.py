"""On whose behalf a call is made, as far as the client says: the end user's id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from engine.call import Call

HEADERS = ("x-litellm-customer-id", "x-litellm-end-user-id")
LONGEST = 256
"""Characters of an id; a longer one names nobody."""
_MEMBERS = ("user", "litellm_metadata", "metadata", "safety_identifier")
_decode = msgspec.json.Decoder().decode


def end_user(call: Call) -> str:
    """Return the id that a client gives, by headers, then by members of the body; empty where it gives none.

    LiteLLM's order: its two headers, the configured one, `user`, `litellm_metadata.user`, `metadata.user_id`,
    `safety_identifier`.
    """
    headers = call.headers
    for name in HEADERS:
        if name in headers:
            return _named(headers[name])
    configured = call.snapshot.settings.user_header
    if configured and configured in headers:
        return _named(headers[configured])
    members = call.members
    for name in _MEMBERS:
        if name in members and (found := _named(_said(name, members[name]))):
            return found
    return ""


def _said(name: str, raw: msgspec.Raw) -> Any:
    try:
        value = _decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ""
    if name.endswith("metadata"):
        return value.get("user" if name == "litellm_metadata" else "user_id", "") if isinstance(value, Mapping) else ""
    return value


def _named(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= LONGEST and value.isprintable() else ""
