"""What requests ask: messages as plain text, and the names of tools.

OpenAI's formats are read here; the others' by their dialects, with the functions at the end, which decode of a request
only what is said: a picture stays undecoded. What is passed to a tool is told as it was written. For a text to look for,
of printable characters that JSON has one way to write, stands in the bytes of a request if it stands in a prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

Said = dict[str, str]
"""One message: its `role` and its `content`, always text."""
NULL = msgspec.Raw(b"null")
LONG = 64 * 1024
"""Bytes of a list from which it is decoded element by element."""
LIST = ord("[")
_decode = msgspec.json.Decoder().decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_ESCAPE = re.compile(r"\\(.)")


def read(members: Mapping[str, msgspec.Raw], name: str) -> Any:
    """Decode a member; None when it is absent or null."""
    raw = members.get(name)
    return None if raw is None or raw == NULL else decoded(raw)


def decoded(raw: msgspec.Raw) -> Any:
    """Decode a value; a long list one element after another, so that no single call holds the interpreter for long."""
    view = memoryview(raw)
    if len(view) < LONG or view[0] != LIST:
        return _decode(raw)
    return [_decode(one) for one in _array(raw)]


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


def inside(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    """Return the members of an object; whatever is none has none."""
    return _object(raw) if raw is not None and _begins(raw) == b"{" else {}


def elements(raw: msgspec.Raw | None) -> list[msgspec.Raw]:
    """Return the elements of an array; whatever is none has none."""
    return _array(raw) if raw is not None and _begins(raw) == b"[" else []


def objects(raw: msgspec.Raw | None) -> list[dict[str, msgspec.Raw]]:
    """Return the objects of an array; whatever is none is left out."""
    return [_object(one) for one in elements(raw) if _begins(one) == b"{"]


def string(raw: msgspec.Raw | None) -> str:
    """Return a text; whatever is none is empty."""
    return str(_decode(raw)) if raw is not None and _begins(raw) == b'"' else ""


def written(raw: msgspec.Raw | None) -> str:
    """Return what is passed to a tool, or comes from one: its text, else its JSON as it was written.

    Escapes of what needs none are undone, for nothing may be hidden in them.
    """
    if raw is None or raw == NULL or _begins(raw) == b'"':
        return string(raw)
    said = bytes(raw).decode()
    if "\\u" not in said:
        return _ESCAPE.sub(lambda found: "/" if found[1] == "/" else found[0], said) if "\\/" in said else said
    try:
        return json.dumps(_decode(raw), ensure_ascii=False, separators=(",", ":"))
    except (msgspec.DecodeError, ValueError):
        return said  # a number too large for anyone


def _begins(raw: msgspec.Raw) -> bytes:
    return bytes(memoryview(raw)[:1])
