"""What OpenAI's formats ask: messages as plain text, and the names of tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

Said = dict[str, str]
"""One message: its `role` and its `content`, always text."""
NULL = msgspec.Raw(b"null")
_decode = msgspec.json.Decoder().decode


def read(members: Mapping[str, msgspec.Raw], name: str) -> Any:
    """Decode a member; None when it is absent or null."""
    raw = members.get(name)
    return None if raw is None or raw == NULL else _decode(raw)


def text(content: object) -> str:
    """Return the text of a message's content, its parts joined by line feeds."""
    if isinstance(content, str):
        return content
    return "\n".join(_parts(content)) if isinstance(content, list) else ""


def messages(found: object) -> list[Said]:
    """List messages; what is none is left out, for the provider will refuse it."""
    if not isinstance(found, list):
        return []
    return [
        {"role": role if isinstance(role := one.get("role"), str) else "", "content": _said(one)}
        for one in found
        if isinstance(one, dict)
    ]


def _said(message: dict[str, Any]) -> str:
    """Return the text of a message, with what it passes to tools."""
    content = text(message.get("content"))
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return content
    functions = [call.get("function") for call in calls if isinstance(call, dict)]
    passed = [one["arguments"] for one in functions if isinstance(one, dict) and isinstance(one.get("arguments"), str)]
    return "\n".join(filter(None, (content, *passed)))


def loose(found: object) -> list[Said]:
    """List texts that stand alone, as prompts and inputs do, or as parts with a `text`; lists of tokens have none."""
    listed = found if isinstance(found, list) else [found]
    texts = (one.get("text") if isinstance(one, dict) else one for one in listed)
    return [{"role": "user", "content": one} for one in texts if isinstance(one, str)]


def tools(members: Mapping[str, msgspec.Raw]) -> list[Said]:
    """List the tools that a request offers, by name; one without a name by its type."""
    found: list[Said] = []
    if "tools" not in members and "functions" not in members:
        return found
    for name in ("tools", "functions"):
        listed = read(members, name)
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict):
                inner = one.get("function")
                named = (inner.get("name") if isinstance(inner, dict) else None) or one.get("name") or one.get("type")
                found.append({"name": named if isinstance(named, str) else ""})
    return found


def _parts(content: list[Any]) -> Iterator[str]:
    for part in content:
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            yield from (said for name in ("text", "refusal", "output") if isinstance(said := part.get(name), str))
