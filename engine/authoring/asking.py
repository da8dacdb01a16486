"""A request as people have it at hand: a file, or the options of `curl`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

PATH = "/v1/chat/completions"


class Request(NamedTuple):
    """A request, as it would come over the wire."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def read_request(text: str) -> Request:
    """Read a request; raises ValueError saying what is wrong.

    It is JSON, either `{method, path, headers, body}` or the body alone; or text as it goes over the wire: `POST /path`,
    headers, an empty line, the body.
    """
    if text.lstrip()[:1] == "{":
        return _from_json(text)
    head, _, body = text.replace("\r\n", "\n").lstrip("\n").partition("\n\n")
    first, *rest = head.split("\n")
    words = first.split()
    if len(words) not in (2, 3) or not words[0].isupper() or not words[1].startswith("/"):
        raise ValueError("the first line must be a method and a path, such as `POST /v1/chat/completions`")
    return Request(words[0], words[1], dict(header(line) for line in rest if line.strip()), body.strip().encode())


def header(line: str) -> tuple[str, str]:
    """Read `name: value`; raises ValueError."""
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"`{line.strip()}` is no header; write `name: value`")
    return name.strip().lower(), value.strip()


def _from_json(text: str) -> Request:
    try:
        found: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error.msg.lower()} (line {error.lineno}, column {error.colno})") from None
    if not {"body", "path"} & found.keys():
        return Request("POST", PATH, {}, text.strip().encode())
    unknown = found.keys() - {"method", "path", "headers", "body"}
    if unknown:
        raise ValueError(f"unknown member `{min(unknown)}`; known are method, path, headers, body")
    headers, body = found.get("headers") or {}, found.get("body", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise ValueError("`headers` must be an object of texts")
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    named = {name.lower(): value for name, value in headers.items()}
    return Request(str(found.get("method", "POST")), str(found.get("path", PATH)), named, data)
