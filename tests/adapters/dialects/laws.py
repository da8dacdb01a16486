"""What every dialect promises of any bytes, written apart from the code it tests."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson
from hypothesis import strategies as st

from engine.call import Usage
from engine.contracts import Channel, Dialect, Frame
from engine.frames import Chunks, Frames, split
from engine.holdback import Texts, Unchanged
from tests.engine.streams import Mask, events, every, relayed

_PLAIN = re.compile(r"[ !#-.0-\[\]-~]+")
SIZES = (1, 2, 3, 7, 64, 1000, 1 << 20)
DEEP = [b"[" * 100_000, b'{"usage":' + b'{"a":' * 100_000, b'{"delta":' + b"[" * 3_000 + b"]" * 3_000 + b"}"]
PASSED = {"n": [1, 2e3, None], "p": "a/b", "q": {"r": True}}
"""What is passed to a tool, and can be written in more than one way."""
Counts = list[int]
"""Input, output, cached input, cache write, reasoning, total."""


def counts(usage: Usage | None) -> Counts | None:
    """List what a usage counts."""
    return usage and [getattr(usage, name) for name in ("input", "output", "cached_input", "cache_write", "reasoning", "total")]  # fmt: skip


def framed(body: Any, event: bytes = b"") -> Frame:
    """Make a frame of a body, as if it had come so."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Frame(b"data: " + data + b"\n\n", data, event)


def bodies(names: Sequence[str], words: Sequence[str]) -> st.SearchStrategy[Any]:
    """Draw JSON out of a dialect's own words, in places where they may not belong."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)
    return st.recursive(
        leaves | st.sampled_from(words),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=6),
        max_leaves=16,
    )


def asked(names: Sequence[str]) -> st.SearchStrategy[Any]:
    """Draw what a request may hold: what is said in it, and JSON that is passed to tools."""
    said = st.sampled_from(["text", "user", "a/b", "plain run", 'q"u', "line\nfeed", "é", "\x00", "back\\slash"])
    return st.recursive(
        said | st.none() | st.integers(-9, 9) | st.sampled_from([1e3, 0.5]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=5),
        max_leaves=14,
    )


def members(**given: Any) -> dict[str, msgspec.Raw]:
    """Make a request's members, as the gateway keeps them."""
    return {name: msgspec.Raw(orjson.dumps(value)) for name, value in given.items()}


def stands(dialect: Dialect, request: Mapping[str, Any], *, wide: bool, slashed: bool) -> None:
    """Find every run of plain characters that a prompt says in the bytes of the request, where no escape hides any."""
    spelled = {}
    for name, value in request.items():
        text = json.dumps(value, ensure_ascii=False, separators=(" , ", " : ") if wide else (",", ":"))
        spelled[name] = msgspec.Raw((text.replace("/", "\\/") if slashed else text).encode())
    raw = b"\0".join(bytes(spelled[name]) for name in spelled)
    for message in dialect.prompt(spelled):
        assert list(message) == ["role", "content"]
        assert "\\/" not in message["content"].replace("\\\\", "")
        for run in _PLAIN.findall(message["content"]):
            assert b"\\u" in raw or run.encode() in raw


def survives(dialect: Dialect, body: Any) -> None:
    """Read a frame in every way; say its texts again, which must then be read from it."""
    frame = framed(body)
    slots = dialect.texts(frame)
    hash(slots)
    assert all(type(index) is int for index in dialect.ends(frame))
    for usage in (dialect.usage(frame.data), dialect.frame_usage(frame)[0]):
        assert usage is None or min(*(counts(usage) or ()), usage.audio_input, usage.audio_output) >= 0
        assert usage is None or usage.input >= usage.cached_input + usage.cache_write
        assert usage is None or usage.output >= usage.reasoning + usage.audio_output
    for ended in split(dialect.finish(frame, "stop")):
        assert ended.data == b"[DONE]" or isinstance(json.loads(ended.data), dict)
    if slots:
        (same,) = split(dialect.replace(frame, slots))
        assert dialect.texts(same) == slots
        (held,) = split(dialect.replace(frame._replace(raw=b""), slots[:1]))
        assert [slot.text for slot in dialect.texts(held)] == [slots[0].text]
        assert dialect.frame_usage(held)[0] is None
    dialect.is_error(frame.data)


def relays(dialect: Dialect, stream: bytes, pieces: Sequence[bytes]) -> Usage | None:
    """Relay a stream in every way that changes nothing; return the usage that all of them found."""
    ways = [Frames(dialect), Frames(dialect, hide_usage=True), Chunks(dialect), Texts(dialect, [Unchanged()])]
    for way in ways:
        assert relayed(way, pieces) == stream
    first = ways[0].usage
    assert all(counts(way.usage) == counts(first) for way in ways)
    return first


def at_any_cut(dialect: Dialect, stream: bytes) -> Usage | None:
    """Relay a stream cut evenly, in many sizes."""
    found = [relays(dialect, stream, every(stream, size)) for size in SIZES]
    assert all(counts(one) == counts(found[0]) for one in found)
    return found[0]


def said(dialect: Dialect, stream: bytes) -> dict[tuple[Channel, int, int], str]:
    """Add up the texts of a stream."""
    texts: dict[tuple[Channel, int, int], str] = defaultdict(str)
    for event, data in events(stream + b"\n\n"):
        for slot in dialect.texts(Frame(b"", data, event.encode())):
            texts[slot[:3]] += slot.text
    return {key: text for key, text in texts.items() if text}


def masks(dialect: Dialect, stream: bytes, word: str, mask: str) -> None:
    """Mask a word that is cut anywhere: every cut gives the same, and the whole texts masked."""
    outs = {relayed(Texts(dialect, [Mask(word, mask)]), every(stream, size)) for size in (3, 64, 1 << 20)}
    (out,) = outs
    before = said(dialect, stream).items()
    assert said(dialect, out) == {key: masked for key, text in before if (masked := text.replace(word, mask))}


def only_texts_change(dialect: Dialect, stream: bytes) -> int:
    """Say every text in capitals; all else must stay, but for what spells a text out. Returns how many texts there were."""
    changed = 0
    for frame in split(stream):
        slots = dialect.texts(frame)
        if not slots:
            continue
        loud = tuple(slot._replace(text=slot.text.upper()) for slot in slots)
        (out,) = split(dialect.replace(frame, loud))
        assert (dialect.texts(out), out.event) == (loud, frame.event)
        differing = list(_differences(json.loads(frame.data), json.loads(out.data)))
        assert differing == [(slot.text, slot.text.upper()) for slot in slots if slot.text != slot.text.upper()]
        changed += len(slots)
    return changed


def _differences(before: Any, after: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        assert list(after) == [name for name in before if name in after]
        assert before.keys() - after.keys() <= {"logprobs"}
        for name in after:
            yield from _differences(before[name], after[name])
    elif isinstance(before, list) and isinstance(after, list):
        assert len(before) == len(after)
        for one, other in zip(before, after, strict=True):
            yield from _differences(one, other)
    elif before != after:
        yield before, after
