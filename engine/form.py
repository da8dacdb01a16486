"""A multipart/form-data body (RFC 7578) as its parts: texts for the gateway to read, files that nobody touches.

Laws of this file:
1. What two parsers could read differently is refused: a field said twice, a boundary that also stands inside a part,
   text before the first part or after the last, headers that are folded, doubled or not known here.
2. The body stays where it is: parts are views of it, and what is sent on is written around them.
3. What is sent on has a boundary of our own, which no client could have put into a part.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import orjson
from msgspec import Raw

from engine.errors import ClientError, invalid_request

PARTS = 128
HEAD = 4096
"""Bytes of a part's headers."""
TEXT = 1024 * 1024
"""Bytes of all text fields together."""
LARGE = 32 * 1024
"""Bytes of a part from which it is sent on where it lies."""
KIND = "multipart/form-data"
LIST = "[]"
"""How the name of a field ends that may come several times."""
_BOUNDARY = re.compile(
    r"(?i)multipart/form-data\s*;\s*boundary=(?:\"([^\"]+)\"|([^\s;\"]+))(?:\s*;\s*charset=[\w\"-]+)?\s*"
)
_ALLOWED = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
"""RFC 2046 5.1.1."""
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*)")
_DISPOSITION = re.compile(
    r'(?i)form-data\s*;\s*name="([^"\r\n\\]{1,256})"((?:\s*;\s*filename="[^"\r\n]*")?(?:\s*;\s*filename\*=[^\s;"]+)?)\s*'
)
_HEADERS = frozenset({b"content-disposition", b"content-type", b"content-length", b"content-transfer-encoding"})
_AS_IS = frozenset({b"binary", b"8bit", b"7bit"})
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
NUMBERS = frozenset({"n", "temperature", "output_compression", "partial_images"})
"""Fields that are numbers in JSON."""
_value = msgspec.json.Decoder().decode


class Part(NamedTuple):
    """One field: `raw` is all of it, headers and content; a file's `text` is None."""

    name: str
    raw: memoryview
    text: str | None

    @property
    def member(self) -> str:
        """The member of a JSON body that this field would be."""
        return self.name.removesuffix(LIST)


class Form:
    """A form of a client: `members` are its text fields as JSON, `line` the header that announces what is sent on."""

    __slots__ = ("_boundary", "line", "members", "parts", "size")

    def __init__(self, parts: Sequence[Part], size: int) -> None:
        self.parts = parts
        self.size = size
        self.members = _members(parts)
        boundary = secrets.token_hex(16)
        self.line = f"content-type: {KIND}; boundary={boundary}\r\n".encode()
        self._boundary = f"--{boundary}".encode()

    def __repr__(self) -> str:
        return f"<Form {len(self.parts)} parts, {self.size} bytes>"

    @property
    def files(self) -> dict[str, list[memoryview]]:
        """Files by the name of their field, each with its headers."""
        found: dict[str, list[memoryview]] = {}
        for part in self.parts:
            if part.text is None:
                found.setdefault(part.member, []).append(part.raw)
        return found

    def rebuild(self, members: Mapping[str, Raw]) -> list[bytes | memoryview]:
        """Write the body for these members: fields that did not change, and files, as they came."""
        written: list[bytes | memoryview] = []
        text = bytearray()
        done: set[str] = set()
        for part in self.parts:
            name = part.member
            if part.text is None or members.get(name) is self.members[name]:
                text += self._boundary + b"\r\n"
                if len(part.raw) < LARGE:
                    text += part.raw
                else:
                    written += (bytes(text), part.raw)
                    text = bytearray()
                text += b"\r\n"
            elif name in members and name not in done:
                text += self._fields(part.name, members[name])
            done.add(name)
        for name in members.keys() - done:
            text += self._fields(name, members[name])
        text += self._boundary + b"--\r\n"
        written.append(bytes(text))
        return written

    def _fields(self, name: str, value: Raw) -> bytes:
        """Write a member as a field, a list as one for each of its values."""
        said = _value(value)
        if isinstance(said, list):
            name = f"{name.removesuffix(LIST)}{LIST}"
        shown = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        head = b'%b\r\ncontent-disposition: form-data; name="%b"\r\n\r\n' % (self._boundary, shown.encode())
        values = said if isinstance(said, list) else [said]
        texts = (one.encode() if isinstance(one, str) else msgspec.json.encode(one) for one in values)
        return b"".join(b"%b%b\r\n" % (head, one) for one in texts)


def read(body: bytes, content_type: str) -> Form:
    """Take a form apart; raises ClientError 400 saying what is wrong with it."""
    found = _BOUNDARY.fullmatch(content_type.strip())
    boundary = (found[1] or found[2]) if found else ""
    if not _ALLOWED.fullmatch(boundary):
        raise invalid_request(f"send `content-type: {KIND}; boundary=...` with the boundary that the body has")
    parts = list(_parts(body, f"--{boundary}".encode()))
    _check_names(parts)
    return Form(parts, len(body))


def _parts(body: bytes, mark: bytes) -> Iterator[Part]:
    view = memoryview(body)
    at = len(mark) + 2
    if not body.startswith(mark + b"\r\n"):
        raise invalid_request("the form does not begin with its boundary")
    end, left = b"\r\n" + mark, TEXT
    for _ in range(PARTS):
        head_end = body.find(b"\r\n\r\n", at, at + HEAD)
        if head_end < 0:
            raise invalid_request(f"a part of the form has no headers, or more than {HEAD} bytes of them")
        last = body.find(end, head_end + 4)
        if last < 0:
            raise invalid_request("the form does not end with its boundary; it may have been cut")
        name, is_file = _head(body[at:head_end])
        text = None if is_file else _text(name, view[head_end + 4 : last], left)
        left -= 0 if text is None else last - head_end
        yield Part(name, view[at:last], text)
        at = last + len(end) + 2
        after = body[at - 2 : at]
        if after == b"--":
            if body[at:] not in (b"", b"\r\n"):
                raise invalid_request("something follows the end of the form")
            return
        if after != b"\r\n":
            raise invalid_request("the form's boundary stands inside one of its parts")
    raise invalid_request(f"the form has more than {PARTS} parts")


def _head(text: bytes) -> tuple[str, bool]:
    """Read a part's headers: its name, and whether it is a file."""
    headers: dict[bytes, bytes] = {}
    for line in text.split(b"\r\n"):
        found = _LINE.fullmatch(line)
        if found is None or found[1].lower() not in _HEADERS or found[1].lower() in headers:
            raise invalid_request("a part of the form has a header that is malformed, doubled or unknown")
        headers[found[1].lower()] = found[2]
    if headers.get(b"content-transfer-encoding", b"binary").strip().lower() not in _AS_IS:
        raise invalid_request("a part of the form has a `content-transfer-encoding`; send it as it is")
    try:
        said = _DISPOSITION.fullmatch(headers.get(b"content-disposition", b"").decode())
    except UnicodeDecodeError:
        said = None
    if said is None or not said[1].isprintable():
        raise invalid_request("a part of the form has no `content-disposition: form-data` with a plain name")
    return said[1], bool(said[2])


def _text(name: str, content: memoryview, left: int) -> str:
    if len(content) > left:
        raise ClientError(413, "request_too_large", f"the text fields of the form are over {TEXT} bytes together", name)
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError:
        raise invalid_request(f"`{name}` is not valid UTF-8", name) from None


def _check_names(parts: Sequence[Part]) -> None:
    """Refuse what is said twice: lists have names that say so, and several files may have one."""
    seen: dict[str, Part] = {}
    for part in parts:
        other = seen.setdefault(part.member.casefold(), part)
        twice = other is not part and not (part.text is None or part.name.endswith(LIST))
        if twice or other.name != part.name or (other.text is None) != (part.text is None):
            raise invalid_request(f"the form says `{part.member}` twice; say each field once", part.member)
        if part.text is None and part.member == "model":
            raise invalid_request("`model` must be a text field", "model")


def _members(parts: Sequence[Part]) -> dict[str, Raw]:
    lists: dict[str, list[str]] = {}
    members: dict[str, Raw] = {}
    for part in parts:
        if part.text is None:
            continue
        if part.name.endswith(LIST):
            lists.setdefault(part.member, []).append(part.text)
            members[part.member] = Raw(orjson.dumps(lists[part.member]))
        else:
            members[part.member] = _raw(part.name, part.text)
    return members


def _raw(name: str, text: str) -> Raw:
    """Write a field as JSON would have it."""
    if name == "stream" and text.lower() in {"true", "false"}:
        return Raw(text.lower().encode())
    if name in NUMBERS and _NUMBER.fullmatch(text):
        return Raw(text.encode())
    return Raw(orjson.dumps(text))
