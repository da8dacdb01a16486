"""How many tokens a request has, without its model's tokenizer: an estimate from classes of bytes.

Each byte has a weight in tenths of an o200k token, written as that many set bits: one `bytes.translate`, one read as a
number and one count of its bits weigh any text, in about 2 µs a KB. No weight is negative, so more text is never fewer
tokens. What a family of tokenizers makes of the same text is a factor on that sum; overheads of messages and tools are
sums beside it. `bench/tokens.py` fits them on one half of recorded traffic and measures them on the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from engine.prompts import elements, inside

Text = bytes | str


class Family(NamedTuple):
    """What one family of tokenizers makes of text, in thousandths of a token.

    `factor` is for each whole o200k token of what is said, `schema` for each of tools and schemas, which some providers write
    shorter and some longer than they came; `wide` for each character beyond ASCII on top. `base`, `message`, `tool` and
    `tools` are added for each request, message and tool, and once where there are tools. Media are whole tokens.
    """

    factor: int
    wide: int = 0
    schema: int = 1_000
    base: int = 0
    message: int = 4_000
    tool: int = 0
    tools: int = 0
    image: int = 1_024
    audio: int = 600
    document: int = 1_500


FAMILIES: Final[Mapping[str, Family]] = {
    "openai": Family(1_000, schema=700, base=2_000, message=3_000, image=765),
    "gpt-oss": Family(1_000, schema=1_600, base=60_000),
    "cl100k": Family(1_020, wide=430, schema=700, base=2_000, message=3_000, image=765),
    "anthropic": Family(1_150, wide=250, schema=1_000, base=4_000, tools=346_000, image=1_600, document=3_000),
    "gemini": Family(1_000, schema=600, base=2_000, image=258, audio=1_920, document=258),
    "llama": Family(1_000, wide=100, schema=1_600, base=4_000, message=3_000, tools=160_000),
    "mistral": Family(1_100, wide=300, schema=1_600, base=2_000, tools=160_000, image=4_096),
    "qwen": Family(1_020, schema=1_600, base=4_000, tools=160_000, image=1_280),
    "default": Family(1_080, wide=150, schema=1_600, tools=60_000),
}
"""Sources of what is fixed. OpenAI's guide to vision: 85 tokens and 170 for each of four tiles of a 1,024² picture, 10 for
a second of audio (a minute here). Anthropic's: pixels / 750, at most about 1,600; 346 tokens of a prompt of its own where
there are tools, 1,500 to 3,000 for a page of PDF. Google's: 258 for a tile or a page, 32 for a second of audio. Pixtral: one
for each 16² pixels of 1,024². Qwen-VL: one for each 28² pixels, at most 1,280 by default. Others: a guess. Where fewer than five
exchanges of a family with tools fit `schema` and `tools`, they are those of o200k (cl100k) or of all open models together;
Gemini's are of four. gpt-oss has a `base` set by hand, with all recorded traffic in view.
"""

_LETTERS, _SPACE, _MARK, _DIGIT, _LEAD2, _LEAD3, _LEAD4, _CONTINUED = 2, 4, 4, 7, 3, 6, 7, 1
"""Set bits of each class of bytes; the eighth is that of white space alone."""


def _weights() -> bytes:
    """Return for each byte a byte with as many bits set as it has tenths of a token."""
    table = bytearray((1 << _MARK) - 1 for _ in range(128))
    table += bytes([_CONTINUED]) * 128
    for classes, weight in (
        (b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", _LETTERS),
        (b"0123456789", _DIGIT),
        (bytes(range(0xC0, 0xE0)), _LEAD2),
        (bytes(range(0xE0, 0xF0)), _LEAD3),
        (bytes(range(0xF0, 0x100)), _LEAD4),
    ):
        for one in classes:
            table[one] = (1 << weight) - 1
    for one in b" \t\n\r":
        table[one] = 0x100 - (0x100 >> _SPACE)
    return bytes(table)


_TABLE: Final = _weights()
_BLOCK: Final = 1 << 14
_BLANKS: Final = int.from_bytes(b"\x80" * _BLOCK, "little")
_ESCAPED: Final = b"\\u"
_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.encode


def family_of(model: str) -> str:
    """Return the name of the family that a model's tokenizer is of, by the model's name; `default` where it says nothing."""
    name = model.lower()
    plain = "openai" if name.rpartition("/")[2].startswith(("o1", "o3", "o4")) else "default"
    return next((family for word, family in _WORDS if word in name), plain)


_WORDS: Final = (
    ("claude", "anthropic"),
    ("gemini", "gemini"),
    ("gemma", "gemini"),
    ("gpt-3.5", "cl100k"),
    ("gpt-35", "cl100k"),
    ("gpt-4o", "openai"),
    ("gpt-4.", "openai"),
    ("gpt-4", "cl100k"),
    ("text-embedding-", "cl100k"),
    ("gpt-oss", "gpt-oss"),
    ("gpt-", "openai"),
    ("chatgpt", "openai"),
    ("deepseek", "llama"),
    ("llama", "llama"),
    ("mistral", "mistral"),
    ("mixtral", "mistral"),
    ("codestral", "mistral"),
    ("pixtral", "mistral"),
    ("magistral", "mistral"),
    ("qwen", "qwen"),
    ("qwq", "qwen"),
)


def weigh(text: bytes) -> int:
    """Return the tenths of o200k tokens of a text; of white space in a row, only the first counts."""
    view = text.translate(_TABLE)
    if len(view) <= _BLOCK:
        return _bits(view)
    return sum(_bits(view[start : start + _BLOCK]) for start in range(0, len(view), _BLOCK))


def _bits(view: bytes) -> int:
    number = int.from_bytes(view, "little")
    again = number & number >> 8 & _BLANKS
    return number.bit_count() - (_SPACE * again.bit_count() if again else 0)


def wide(text: bytes) -> int:
    """Return how many characters of a text are beyond ASCII."""
    return len(text) - len(text.translate(None, _LEADS))


_LEADS: Final = bytes(range(0xC0, 0x100))


def estimate(text: Text, family: str) -> int:
    """Return the tokens of a text, rounded up; of an unknown family, those of `default`. Any bytes are text."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return -(-_text(raw, FAMILIES.get(family) or FAMILIES["default"]) // 1_000)


def _text(raw: bytes, family: Family) -> int:
    return weigh(raw) * family.factor // 10 + (0 if raw.isascii() else wide(raw) * family.wide)


class Asked:
    """What the members of a request hold, as sums: `weight` and `wide` of its text, `schema` of its tools, messages, tools, pictures and the like."""

    __slots__ = ("audio", "documents", "images", "messages", "schema", "tools", "weight", "wide")

    def __init__(self) -> None:
        self.weight = self.schema = self.wide = self.messages = self.tools = self.images = self.audio = (
            self.documents
        ) = 0

    def tokens(self, family: str) -> int:
        """Return the input tokens that a family of models makes of it, rounded up."""
        return self.priced(FAMILIES.get(family) or FAMILIES["default"])

    def priced(self, one: Family) -> int:
        """Return the same with coefficients that have no name."""
        said = (self.weight * one.factor + self.schema * one.schema) // 10 + self.wide * one.wide
        said += one.base + self.messages * one.message + self.tools * one.tool + (one.tools if self.tools else 0)
        return -(-said // 1_000) + self.images * one.image + self.audio * one.audio + self.documents * one.document

    def add(self, raw: msgspec.Raw) -> int:
        """Return the weight of a value, without the quotes of a string; its characters beyond ASCII are counted."""
        text = bytes(raw)
        if _ESCAPED in text:
            text = _written(text)
        if not text.isascii():
            self.wide += wide(text)
        return weigh(text[1:-1] if text[:1] == b'"' else text)


def _written(text: bytes) -> bytes:
    """Undo escapes of characters that need none; of what cannot be read, return what came."""
    try:
        return _encode(_decode(text))
    except (msgspec.MsgspecError, ValueError):
        return text


_SAID: Final = frozenset({"messages", "input", "contents", "prompt", "inputs", "texts"})
_TOLD: Final = frozenset({"system", "instructions", "systemInstruction", "system_instruction", "preamble", "message"})
_OFFERED: Final = frozenset({"tools", "functions", "toolConfig"})
_SHAPED: Final = frozenset({"response_format", "text", "format", "output_config"})
_MEDIA: Final[Mapping[str, str]] = {
    "image": "images",
    "image_url": "images",
    "input_image": "images",
    "images": "images",
    "inlineData": "images",
    "inline_data": "images",
    "fileData": "images",
    "file_data": "images",
    "input_audio": "audio",
    "audio": "audio",
    "video": "audio",
    "video_url": "audio",
    "document": "documents",
    "file": "documents",
    "input_file": "documents",
}
"""Parts that are no text: the value of their `type`, or the member that holds them."""
_SILENT: Final = frozenset(
    {
        "reasoning",
        "reasoning_content",
        "role",
        "id",
        "type",
        "status",
        "cache_control",
        "signature",
        "encrypted_content",
        "name",
        "data",
    }
)
"""Members of a message that no model is shown as text, or that its overhead pays for."""


def asked(members: Mapping[str, msgspec.Raw]) -> Asked:
    """Add up a request's members, of any dialect; what is unknown counts nothing, what cannot be read counts as text."""
    found = Asked()
    for name, raw in members.items():
        try:
            _member(found, name, raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            found.weight += weigh(bytes(raw))
    return found


def _member(found: Asked, name: str, raw: msgspec.Raw) -> None:
    if name in _SAID:
        for one in elements(raw) or [raw]:
            found.messages += 1
            _said(found, one)
    elif name in _TOLD:
        found.messages += 1
        _said(found, raw)
    elif name in _OFFERED:
        _offered(found, raw)
    elif name in _SHAPED:
        _shaped(found, raw)


def _said(found: Asked, raw: msgspec.Raw, depth: int = 0) -> None:
    """Count one message, or one part of it."""
    first = bytes(memoryview(raw)[:1])
    if depth == _DEEPEST or first not in {b"[", b"{"}:
        if first != b"n":
            found.weight += found.add(raw)
    elif first == b"[":
        for one in elements(raw):
            _said(found, one, depth + 1)
    else:
        inner = inside(raw)
        media = _medium(inner)
        if media:
            setattr(found, media, getattr(found, media) + 1)
            return
        for name, value in inner.items():
            if name not in _SILENT:
                _said(found, value, depth + 1)


_DEEPEST: Final = 8


def _medium(inner: dict[str, msgspec.Raw]) -> str:
    """Return what a part is counted as; empty of text."""
    kind = bytes(inner["type"])[1:-1].decode("utf-8", "replace") if "type" in inner else ""
    if kind in _MEDIA:
        return _MEDIA[kind]
    return "" if _MEDIA.keys().isdisjoint(inner) else next(_MEDIA[name] for name in inner if name in _MEDIA)


def _offered(found: Asked, raw: msgspec.Raw) -> None:
    """Count the tools that a request offers: Google and Amazon nest lists of them in objects."""
    for one in elements(raw) or elements(inside(raw).get("tools")):
        inner = inside(one)
        nested = next(
            (inner[name] for name in ("functionDeclarations", "function_declarations") if name in inner), None
        )
        for tool in elements(nested) if nested is not None else [one]:
            found.tools += 1
            found.schema += found.add(tool)


def _shaped(found: Asked, raw: msgspec.Raw) -> None:
    """Count the schema that an answer is asked to keep to."""
    if b'"schema"' in bytes(raw):
        found.schema += found.add(raw)


def count(members: Mapping[str, msgspec.Raw], family: str) -> int:
    """Return the input tokens of a request's members for a family of models."""
    found = _plain(members, FAMILIES.get(family) or FAMILIES["default"])
    return asked(members).tokens(family) if found is None else found


_MORE: Final = frozenset(
    {"tools", "functions", "system", "instructions", "response_format", "input", "prompt", "contents"}
)
_FRAME: Final = weigh(b'{"role":"user","content":""},')
"""What a message weighs beside its text."""


def _plain(members: Mapping[str, msgspec.Raw], family: Family) -> int | None:
    """Count what is nothing but messages of plain text as it came, several times as fast; None where there is more.

    Names of members and roles are longer than those of `_FRAME` at most: it is no less than what is counted part by part.
    """
    raw = members.get("messages")
    if raw is None or not _MORE.isdisjoint(members):
        return None
    text = bytes(raw)
    if b'"type"' in text or _ESCAPED in text:
        return None
    messages = text.count(b'"role"')
    weight = max(0, weigh(text) - messages * _FRAME) * family.factor // 10
    if not text.isascii():
        weight += wide(text) * family.wide
    return -(-(weight + family.base + messages * family.message) // 1_000)
