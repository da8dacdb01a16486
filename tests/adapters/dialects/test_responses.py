"""OpenAI's Responses format: usage, texts, ends and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dialects.responses import DELTAS, Responses
from engine.contracts import EVERY, Channel, Frame, TextSlot
from engine.errors import UpstreamError
from engine.frames import split
from tests.end_to_end import transcripts
from tests.engine.streams import events

DIALECT = Responses()
LAW = settings(deadline=None, max_examples=300)
USAGE = {
    "input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1}, "output_tokens": 6,
    "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 16,
}  # fmt: skip
NAMES = st.sampled_from(
    [
        "type",
        "delta",
        "output_index",
        "content_index",
        "summary_index",
        "response",
        "usage",
        "service_tier",
        "item_id",
        "sequence_number",
        "input_tokens",
    ]
)
TYPES = st.sampled_from(
    [*DELTAS, "response.completed", "response.output_text.done", "error", "response.output_item.done"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | TYPES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=10,
)


def framed(body: Any) -> Frame:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Frame(b"data: " + data + b"\n\n", data)


def test_usage_of_an_answer_and_of_the_last_event():
    whole = DIALECT.usage(json.dumps({"usage": USAGE, "service_tier": "flex", "output": []}).encode())
    event, only = DIALECT.frame_usage(
        framed({"type": "response.completed", "response": {"usage": USAGE, "service_tier": "flex"}})
    )
    for usage in (whole, event):
        assert usage is not None
        assert (usage.input, usage.output, usage.cached_input, usage.cache_write, usage.reasoning) == (10, 6, 4, 1, 5)
        assert usage.service_tier == "flex"
    assert not only


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"response":null}', b'{"response":{"usage":null}}', b'{"response":7}', b"\xff"]
)
def test_events_without_usage_report_none(data):
    assert DIALECT.frame_usage(framed(data)) == (None, False)


@pytest.mark.parametrize(("kind", "channel"), sorted(DELTAS.items()))
def test_deltas_are_texts_by_item_and_part(kind, channel):
    event = {"type": kind, "output_index": 2, "content_index": 1, "delta": "a", "item_id": "i", "sequence_number": 4}
    assert DIALECT.texts(framed(event)) == (TextSlot(channel, 2, 1, "a"),)
    assert DIALECT.ends(framed(event)) == ()
    (out,) = split(DIALECT.replace(framed(event), [TextSlot(channel, 2, 1, "X")]))
    assert (out.event, json.loads(out.data)) == (kind.encode(), {**event, "delta": "X"})


def test_places_that_are_none_are_the_first():
    summary = {"type": "response.reasoning_summary_text.delta", "output_index": 1, "summary_index": 3, "delta": "a"}
    assert DIALECT.texts(framed(summary)) == (TextSlot(Channel.REASONING, 1, 3, "a"),)
    odd = {"type": "response.output_text.delta", "output_index": {}, "content_index": [], "delta": "a"}
    assert DIALECT.texts(framed(odd)) == (TextSlot(Channel.CONTENT, 0, 0, "a"),)
    assert DIALECT.texts(framed({**odd, "delta": {"x": 1}})) == ()


@pytest.mark.parametrize(
    ("event", "ended"),
    [
        ({"type": "response.output_text.done", "output_index": 1, "text": "x.delta"}, (1,)),
        ({"type": "response.function_call_arguments.done", "output_index": 0}, (0,)),
        ({"type": "response.output_item.done", "output_index": 2}, (2,)),
        ({"type": "response.output_item.done", "output_index": "2"}, ()),
        ({"type": "response.output_item.added", "output_index": 2}, ()),
        ({"type": "response.created", "response": {}}, ()),
        ({"type": "response.completed", "response": {"output": [{"text": "see x.delta"}]}}, EVERY),
        ({"type": "response.incomplete"}, EVERY),
        ({"type": "response.failed"}, EVERY),
        ({"type": "error"}, EVERY),
        ({}, ()),
    ],
)
def test_texts_end_with_their_done_event_and_all_with_the_last(event, ended):
    assert DIALECT.ends(framed(event)) == ended


def test_finish_says_incomplete_and_why():
    event = {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 0,
        "delta": "a",
        "sequence_number": 8,
    }
    (last,) = split(DIALECT.finish(framed(event), "content_filter"))
    body = json.loads(last.data)
    assert (last.event, body["type"], body["sequence_number"]) == (b"response.incomplete", "response.incomplete", 9)
    assert body["response"]["incomplete_details"] == {"reason": "content_filter"}
    assert DIALECT.ends(last) == EVERY


def test_errors_of_a_stream_are_one_event_that_ends_it():
    (event,) = split(DIALECT.stream_error(UpstreamError(502, "upstream_error", "a\n\ndata: b")))
    assert (event.event, json.loads(event.data)["message"]) == (b"error", "a\n\ndata: b")
    assert DIALECT.ends(event) == EVERY
    assert DIALECT.is_error(DIALECT.error(UpstreamError(502, "upstream_error", "m")))


@given(JSON)
@LAW
def test_no_event_can_break_the_dialect(body):
    frame = framed(body)
    slots = DIALECT.texts(frame)
    hash(slots)
    assert all(type(index) is int for index in DIALECT.ends(frame))
    DIALECT.usage(frame.data)
    DIALECT.frame_usage(frame)
    DIALECT.finish(frame, "stop")
    if slots:
        (same,) = split(DIALECT.replace(frame, slots))
        assert DIALECT.texts(same) == slots


@given(st.binary(max_size=60) | st.binary(max_size=30).map(lambda raw: b'{"response":{"usage":{"' + raw + b'":1}}}'))
@LAW
def test_no_bytes_can_break_the_dialect(data):
    DIALECT.usage(data)
    DIALECT.frame_usage(framed(data))
    DIALECT.texts(framed(data))
    DIALECT.ends(framed(data))


def test_deltas_of_recorded_streams_add_up_to_the_texts_they_end_with(shared):
    compared = 0  # one recording holds several responses, one after the other
    for one in transcripts.load(shared):
        if one.event_stream and one.operation == "responses":
            texts: dict[tuple[Channel, int, int], str] = {}
            for _, data in events(one.body):
                for slot in DIALECT.texts(framed(data)):
                    texts[slot[:3]] = texts.get(slot[:3], "") + slot.text
                event = json.loads(data) if data != b"[DONE]" else {}
                if event.get("type") == "response.created":
                    texts = {}
                channel = DELTAS.get(event.get("type", "").replace(".done", ".delta"))
                if channel is not None and event["type"].endswith(".done"):
                    index = event.get("content_index", event.get("summary_index", 0))
                    whole = event.get("text", event.get("arguments", event.get("refusal")))
                    added = texts.get((channel, event["output_index"], index))
                    assert added in {None, whole}, one.file  # LM Studio sends arguments without deltas
                    compared += added is not None
    assert compared > 20
