"""The format of speech: tokens and seconds, prompts, and the texts of a transcript's stream."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from adapters.dialects.audio import Audio
from engine.contracts import EVERY, Channel, Frame, TextSlot

DIALECT = Audio()


def frame(**event) -> Frame:
    data = json.dumps(event).encode()
    return Frame(b"data: " + data + b"\n\n", data)


@pytest.mark.parametrize(
    ("answer", "counts", "milliseconds"),
    [
        ({"usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59,
                    "input_token_details": {"text_tokens": 0, "audio_tokens": 14}}}, (14, 45, 14), None),
        ({"usage": {"type": "duration", "seconds": 9}}, (0, 0, 0), 9000),
        ({"duration": 8.47}, (0, 0, 0), 8470),
        ({"duration": "8.47"}, (0, 0, 0), 8470),
        ({"usage": {"prompt_audio_seconds": 3, "prompt_tokens": 5, "completion_tokens": 20, "total_tokens": 400,
                    "prompt_tokens_details": {"audio_tokens": 375}}}, (380, 20, 375), 3000),
    ],
    ids=["tokens", "seconds", "verbose", "verbose text", "mistral"],
)  # fmt: skip
def test_usage(answer, counts, milliseconds):
    usage = DIALECT.usage(json.dumps({"text": "x", **answer}).encode())
    assert (usage.input, usage.output, usage.audio_input) == counts
    assert usage.units.get("milliseconds") == milliseconds


@pytest.mark.parametrize(
    "answer", [b"WEBVTT", b"{}", b"[1]", b'{"duration": "long"}', b'{"duration": -1}', b'{"duration": 1e300}']
)
def test_what_says_no_usage_has_none(answer):
    assert DIALECT.usage(answer) is None


def test_what_is_spoken_is_audio():
    last = frame(type="speech.audio.done", usage={"input_tokens": 14, "output_tokens": 101, "total_tokens": 115})
    usage, dropped = DIALECT.frame_usage(last)
    assert (usage.input, usage.audio_output, dropped) == (14, 101, False)
    assert DIALECT.frame_usage(frame(type="speech.audio.delta", audio="AAA=")) == (None, False)
    assert DIALECT.ends(last) == EVERY


def test_texts_of_a_transcript_can_be_read_replaced_and_ended():
    delta = frame(type="transcript.text.delta", delta="hello")
    (slot,) = DIALECT.texts(delta)
    assert (slot.channel, slot.text) == (Channel.TRANSCRIPT, "hello")
    assert (
        DIALECT.replace(delta, [TextSlot(*slot[:3], "bye")])
        == b'data: {"type":"transcript.text.delta","delta":"bye"}\n\n'
    )
    (whole,) = DIALECT.texts(frame(type="transcript.text.done", text="hello"))
    assert whole[:3] != slot[:3]
    assert DIALECT.ends(delta) == ()
    assert DIALECT.finish(delta, "content_filter").endswith(b"data: [DONE]\n\n")


def test_the_prompt_is_what_is_said_or_gone_on_from():
    assert DIALECT.prompt({"input": Raw(b'"say"'), "prompt": Raw(b'"x"')})[0]["content"] == "say"
    assert DIALECT.prompt({"prompt": Raw(b'"x"')})[0]["content"] == "x"
