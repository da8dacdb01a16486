"""A stream whose frames are read by their shape says what one says whose every frame is decoded."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dialects.anthropic import Anthropic
from adapters.dialects.openai import OpenAI
from engine import shape
from engine.frames import cut, parse
from engine.guarding import Action, Redaction
from engine.holdback import Texts
from engine.scanning import Rule, Scanner
from engine.shape import Shapes

PIECES = st.lists(st.text('ab4 -\n"\\}é中😀', min_size=1, max_size=6), min_size=1, max_size=12)
RULES = [Rule("N", r"\b\d{2,4}\b"), Rule("AB", r"ab+a"), Rule("ENDS", r'"\}')]


def chat(
    pieces: list[str], *, likely: bool = False, pad: str = "", spaced: bool = False, ascii_: bool = False
) -> Iterator[bytes]:
    for at, piece in enumerate(pieces):
        choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
        if likely:
            choice["logprobs"] = {"content": [{"token": pieces[0], "logprob": -1}]}
        chunk = {"id": "c", "model": "ab", "choices": [choice]}
        if pad:
            chunk[pad] = "x" * (at % 5)
        written = json.dumps(chunk, ensure_ascii=ascii_, separators=None if spaced else (",", ":"))
        yield b"data: " + written.encode() + b"\n\n"
    yield b'data: {"id":"c","model":"ab","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def messages(pieces: list[str]) -> Iterator[bytes]:
    for at, piece in enumerate(pieces):
        delta = json.dumps({"type": "text_delta", "text": piece}, ensure_ascii=False, separators=(",", ":"))
        event = f'{{"type":"content_block_delta","index":0,"delta":{delta}{" " * (at % 4)}}}'
        yield f"event: content_block_delta\ndata: {event}\n\n".encode()
    yield b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    yield b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def said(dialect, stream: bytes) -> str:
    return "".join(slot.text for raw in cut(stream) for slot in dialect.texts(parse(raw)))


def compare(dialect, frames: list[bytes], join: int) -> None:
    """Feed frames, some together, to guards that mask: by their shapes, and each decoded."""
    redaction = Redaction([(Scanner([rule]), Action.MASK, None) for rule in RULES])
    reads = [b"".join(frames[at : at + join]) for at in range(0, len(frames), join)]
    outs = []
    for tries in (shape._TRIES, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shape, "_TRIES", tries)
            relay = Texts(dialect, (redaction.guard(),))
            outs.append([relay.feed(read) for read in reads] + [relay.end()])
            assert (relay._shapes.now is not None) <= (tries > 0)
    assert [said(dialect, out) for out in outs[0]] == [said(dialect, out) for out in outs[1]]
    assert said(dialect, b"".join(outs[0])) == redaction.whole(said(dialect, b"".join(frames))).text
    late = next((at for at, (out, read) in enumerate(zip(outs[0], reads, strict=False)) if out != read), len(reads))
    assert b"logprobs" not in b"".join(outs[0][late + 1 :])


@given(
    PIECES, st.booleans(), st.sampled_from(["", "obfuscation", "p"]), st.booleans(), st.booleans(), st.integers(1, 3)
)
@settings(deadline=None, max_examples=150)
def test_chat_chunks_read_by_their_shape_say_the_same(pieces, likely, pad, spaced, ascii_, join):
    compare(OpenAI(), list(chat(pieces, likely=likely, pad=pad, spaced=spaced, ascii_=ascii_)), join)


@given(PIECES, st.integers(1, 3))
@settings(deadline=None, max_examples=100)
def test_padded_events_read_by_their_shape_say_the_same(pieces, join):
    compare(Anthropic(), list(messages(pieces)), join)


@pytest.mark.parametrize("pad", ["", "obfuscation", "p"])
def test_frames_of_one_shape_are_told_from_others(pad):
    dialect, shapes = OpenAI(), Shapes(OpenAI())
    first, second, *_ = chat(["hello", 'a "b" \\ é\n'], pad=pad)
    shapes.learn(parse(first), dialect.texts(parse(first)), worked=False)
    assert shapes.now.text(second) == 'a "b" \\ é\n'
    assert said(dialect, shapes.now.write('x"y')) == 'x"y'
    for other in (
        first + second,
        second.replace(b'"index":0', b'"index":1'),
        second.replace(b'"finish_reason":null', b'"finish_reason":"stop"'),
        second.replace(b'"content"', b'"refusal"'),
        second.replace(b"\xc3\xa9", b"\xc3"),
        second.replace(b'\\"b', b'"b'),
        first[:-2],
        b"data: [DONE]\n\n",
    ):
        assert shapes.now.text(other) is None


def test_likelihoods_of_tokens_leave_only_with_what_they_spell():
    """Frames that are alike to the letter say in their likelihoods what a mask has taken out of their text."""
    redaction = Redaction([(Scanner([Rule("N", r"44")]), Action.MASK, None)])
    relay = Texts(OpenAI(), (redaction.guard(),))
    frames = list(chat(["4", "4", "4", "4"], likely=True))
    out = b"".join([*map(relay.feed, frames), relay.end()])
    assert said(OpenAI(), out) == "<N><N>"
    assert b"logprobs" not in out


def test_a_stream_of_ever_new_frames_is_left_alone():
    dialect, shapes = OpenAI(), Shapes(OpenAI())
    for at in range(5):
        frame = parse(next(chat(["hello"])).replace(b'"id":"c"', b'"id":"%d"' % at))
        shapes.learn(frame, dialect.texts(frame), worked=False)
    assert shapes.now is None
