"""OpenAI's chat, completions and embeddings formats: usage, texts, ends and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dialects.openai import OpenAI
from engine.contracts import EVERY, Channel, Frame, TextSlot
from engine.errors import ClientError, UpstreamError, invalid_request
from engine.frames import split

DIALECT = OpenAI()
LAW = settings(deadline=None, max_examples=300)
NAMES = st.sampled_from(
    [
        "choices",
        "delta",
        "content",
        "index",
        "finish_reason",
        "text",
        "thinking",
        "tool_calls",
        "function",
        "arguments",
        "function_call",
        "audio",
        "transcript",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "summary",
        "refusal",
        "usage",
        "x_groq",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "cached_tokens",
        "completion_tokens_details",
        "service_tier",
        "input_tokens",
        "message",
        "error",
        "logprobs",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=14,
)
CHUNKS = st.builds(
    lambda choices, more: {**more, "choices": choices},
    st.lists(st.fixed_dictionaries({}, optional={"index": JSON, "delta": JSON, "text": JSON, "finish_reason": JSON}), max_size=3),
    st.dictionaries(NAMES, JSON, max_size=3),
)  # fmt: skip


def framed(body: Any) -> Frame:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Frame(b"data: " + data + b"\n\n", data)


def counts(reported: Any, **beside: Any) -> tuple[int, ...] | None:
    """Read input, output, cached input, cache write, reasoning of a usage object."""
    usage = DIALECT.usage(json.dumps({"usage": reported, **beside}).encode())
    return usage and (usage.input, usage.output, usage.cached_input, usage.cache_write, usage.reasoning)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}, (10, 2, 0, 0, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 2}, (10, 2, 0, 0, 0)),
        ({"prompt_tokens": 8, "total_tokens": 8}, (8, 0, 0, 0, 0)),
        ({"total_tokens": 12}, (12, 0, 0, 0, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}, (9, 2, 4, 0, 0)),
        ({"prompt_tokens": 9, "total_tokens": 9, "cached_tokens": 4}, (9, 0, 4, 0, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 6}, (9, 2, 6, 0, 0)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cache_write_tokens": 3, "cached_tokens": 4}}, (9, 0, 4, 3, 0)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cache_creation_tokens": 3}}, (9, 0, 0, 3, 0)),
        ({"prompt_tokens": 1, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 4}}, (1, 5, 0, 0, 4)),
        ({"prompt_tokens": 1, "completion_tokens": 5, "reasoning_tokens": 4}, (1, 5, 0, 0, 4)),
        ({"prompt_tokens": 436, "completion_tokens": 68, "total_tokens": 652,
          "completion_tokens_details": {"reasoning_tokens": 148}}, (436, 216, 0, 0, 148)),
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}, (35, 74, 0, 0, 0)),
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 40}, (35, 12, 0, 0, 0)),
        ({"input_tokens": 5, "output_tokens": 6, "total_tokens": 11, "input_tokens_details": {"cached_tokens": 2},
          "output_tokens_details": {"reasoning_tokens": 3}}, (5, 6, 2, 0, 3)),
        ({"prompt_tokens": 5, "prompt_tokens_details": None, "completion_tokens_details": None}, (5, 0, 0, 0, 0)),
        ({"prompt_tokens": -5, "completion_tokens": "7", "total_tokens": True}, (0, 0, 0, 0, 0)),
        ({"prompt_tokens": 1.5, "completion_tokens": None, "prompt_tokens_details": [3]}, (0, 0, 0, 0, 0)),
        ({}, (0, 0, 0, 0, 0)),
        (None, None), ("x", None), ([1], None), (7, None),
    ],
)  # fmt: skip
def test_counts_of_every_way_to_report_usage(reported, expected):
    assert counts(reported) == expected


def test_usage_under_x_groq_counts_unless_there_is_usage():
    groq = {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    assert counts(None, x_groq=groq) == (3, 1, 0, 0, 0)
    assert counts({"prompt_tokens": 5}, x_groq=groq) == (5, 0, 0, 0, 0)
    assert counts(None, x_groq={"usage": "x"}) is None


def test_audio_and_service_tier_are_read():
    usage = DIALECT.usage(
        b'{"usage":{"prompt_tokens":9,"completion_tokens":8,"prompt_tokens_details":{"audio_tokens":4},'
        b'"completion_tokens_details":{"audio_tokens":5}},"service_tier":"flex"}'
    )
    assert usage is not None
    assert (usage.audio_input, usage.audio_output, usage.service_tier) == (4, 5, "flex")


@pytest.mark.parametrize(
    ("chunk", "only"),
    [
        ({"choices": [], "usage": {"prompt_tokens": 1}}, True),
        ({"choices": [], "usage": {"prompt_tokens": 1}, "prompt_filter_results": []}, True),
        ({"choices": [{"index": 0, "delta": {}}], "usage": {"prompt_tokens": 1}}, False),
        ({"choices": None, "usage": {"prompt_tokens": 1}}, False),
        ({"usage": {"prompt_tokens": 1}}, False),
        ({"choices": [], "x_groq": {"usage": {"prompt_tokens": 1}}}, False),
    ],
)
def test_a_frame_says_nothing_but_usage_when_its_choices_are_empty(chunk, only):
    usage, said = DIALECT.frame_usage(framed(chunk))
    assert usage is not None
    assert (usage.input, said) == (1, only)


@pytest.mark.parametrize(
    "data", [b"", b"[DONE]", b"{", b"[]", b'{"choices":[]}', b'{"choices":[],"usage":null}', b"\xff"]
)
def test_frames_without_usage_report_none(data):
    assert DIALECT.frame_usage(framed(data)) == (None, False)


def test_the_pattern_finds_every_frame_with_usage():
    for data in (b'{"usage":{"a":1}}', b'{"usage": {}}', b'{"x_groq":{"id":1,"usage"\t:\n{"x":1}}}'):
        assert DIALECT.usage_pattern.search(data)
    assert not DIALECT.usage_pattern.search(b'{"usage":null}')
    assert not DIALECT.usage_pattern.search(b'{"content":"the \\"usage\\":{"}')


@pytest.mark.parametrize(
    ("delta", "slots"),
    [
        ({"role": "assistant", "content": ""}, [(Channel.CONTENT, 0, "")]),
        ({"content": None}, []),
        ({"content": "a", "refusal": "b"}, [(Channel.CONTENT, 0, "a"), (Channel.REFUSAL, 0, "b")]),
        ({"reasoning_content": "a"}, [(Channel.REASONING, 0, "a")]),
        ({"reasoning": "a"}, [(Channel.REASONING, 1, "a")]),
        ({"reasoning_details": [{"type": "reasoning.summary", "summary": "s", "index": 3}, {"text": "t"}, 5]},
         [(Channel.REASONING, 5, "s"), (Channel.REASONING, 3, "t")]),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "h"}]}, {"type": "text", "text": "t"}]},
         [(Channel.REASONING, 0, "h"), (Channel.CONTENT, 0, "t")]),
        ({"audio": {"transcript": "t", "data": "UklG"}}, [(Channel.TRANSCRIPT, 0, "t")]),
        ({"tool_calls": [{"index": 1, "function": {"arguments": "{"}}, {"function": {"arguments": "x"}}]},
         [(Channel.TOOL_ARGUMENTS, 1, "{"), (Channel.TOOL_ARGUMENTS, 1, "x")]),
        ({"tool_calls": [{"index": [], "function": {"arguments": "{"}}]}, [(Channel.TOOL_ARGUMENTS, 0, "{")]),
        ({"function_call": {"name": "f", "arguments": "{"}}, [(Channel.TOOL_ARGUMENTS, 0, "{")]),
    ],
)  # fmt: skip
def test_texts_of_a_delta(delta, slots):
    chunk = {"choices": [{"index": 2, "delta": delta, "finish_reason": None}]}
    expected = tuple(TextSlot(channel, 2, index, text) for channel, index, text in slots)
    assert DIALECT.texts(framed(chunk)) == expected
    changed = [slot._replace(text=slot.text + "!") for slot in expected]
    if changed:
        (out,) = split(DIALECT.replace(framed(chunk), changed))
        assert DIALECT.texts(out) == tuple(changed)


def test_texts_of_completions():
    chunk = {"choices": [{"index": 1, "text": "a", "finish_reason": None}, {"text": "b"}]}
    assert DIALECT.texts(framed(chunk)) == (TextSlot(Channel.CONTENT, 1, 0, "a"), TextSlot(Channel.CONTENT, 0, 0, "b"))


def test_choices_end_with_their_finish_reason_and_all_with_done():
    assert DIALECT.ends(framed(b"[DONE]")) == EVERY
    choices = [
        {"index": 0, "finish_reason": None},
        {"index": 1, "finish_reason": "stop"},
        {"index": 2, "finish_reason": "length"},
    ]
    assert DIALECT.ends(framed({"choices": choices})) == (1, 2)
    assert DIALECT.ends(framed({"choices": [{"index": 0}]})) == ()
    assert DIALECT.ends(framed(b": ping")) == ()


def test_finish_ends_every_choice_of_the_frame_and_the_stream():
    chunk = {"id": "c", "choices": [{"index": 1, "delta": {"content": "a"}, "finish_reason": None}], "model": "m"}
    last, done = split(DIALECT.finish(framed(chunk), "content_filter"))
    assert json.loads(last.data) == {
        "id": "c", "model": "m", "choices": [{"index": 1, "delta": {}, "finish_reason": "content_filter"}],
    }  # fmt: skip
    assert done.data == b"[DONE]"
    assert DIALECT.ends(next(split(DIALECT.finish(framed(b""), "stop")))) == (0,)


@given(JSON | CHUNKS)
@LAW
def test_no_frame_can_break_the_dialect(body):
    frame = framed(body)
    slots = DIALECT.texts(frame)
    hash(slots)
    assert all(type(index) is int for index in DIALECT.ends(frame))
    DIALECT.usage(frame.data)
    usage, _ = DIALECT.frame_usage(frame)
    assert usage is None or min(usage.input, usage.output, usage.cached_input, usage.reasoning) >= 0
    if slots:
        (same,) = split(DIALECT.replace(frame, slots))
        assert DIALECT.texts(same) == slots
        DIALECT.replace(frame._replace(raw=b""), slots[:1])
    assert DIALECT.finish(frame, "stop").endswith(b"data: [DONE]\n\n")
    DIALECT.is_error(frame.data)


@given(
    st.binary(max_size=60)
    | st.binary(max_size=30).map(lambda raw: b'{"usage":{"' + raw + b'":1},"service_tier":"' + raw + b'"}')
)
@LAW
def test_no_bytes_can_break_the_dialect(data):
    DIALECT.usage(data)
    DIALECT.frame_usage(framed(data))
    DIALECT.texts(framed(data))
    DIALECT.ends(framed(data))
    DIALECT.is_error(data)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"usage":' + b'{"a":' * 100_000, b'{"choices":' + b"[" * 3_000 + b"]" * 3_000 + b"}"]
)
def test_deep_json_cannot_break_the_dialect(data):
    assert DIALECT.usage(data) is None
    assert DIALECT.frame_usage(framed(data))[0] is None
    assert DIALECT.texts(framed(data)) == ()
    assert not DIALECT.is_error(data)


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        (b'{"error":{"message":"m"}}', True), (b' {"error":{"message":"","code":5},"id":1}', True),
        (b'{"error":"m"}', False), (b'{"error":{"msg":"m"}}', False), (b'{"error":{"message":null}}', False),
        (b'{"message":"m"}', False), (b"[]", False), (b"<html>", False), (b"", False), (b'{"error":null}', False),
    ],
)  # fmt: skip
def test_an_error_is_known_by_its_message(answer, is_one):
    assert DIALECT.is_error(answer) == is_one


def test_errors_are_rendered_with_status_as_text_and_in_a_stream_as_its_end():
    body = json.loads(DIALECT.error(ClientError(404, "model_not_found", "no `x`\n", "model")))
    assert body == {"error": {"message": "no `x`\n", "type": "model_not_found", "param": "model", "code": "404"}}
    assert DIALECT.is_error(DIALECT.error(invalid_request("m")))
    error, done = split(DIALECT.stream_error(UpstreamError(502, "upstream_error", "a\n\ndata: b")))
    assert json.loads(error.data)["error"]["message"] == "a\n\ndata: b"
    assert done.data == b"[DONE]"
