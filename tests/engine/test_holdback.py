"""Text that passes guards: nothing lost, nothing out of order, whatever the cutting."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dialects.openai import OpenAI
from adapters.dialects.responses import Responses
from engine.contracts import Frame
from engine.errors import UpstreamError
from engine.holdback import Texts, Unchanged
from tests.end_to_end import transcripts
from tests.engine.streams import (
    DONE,
    SIZES,
    Mask,
    chat,
    choice,
    chunks,
    cuttings,
    events,
    every,
    frame,
    masked,
    relayed,
    without_usage,
)  # fmt: skip

LAW = settings(deadline=None, max_examples=150)
GUARDS = [("aab", "X"), ("ba", "--")]
LETTERS = st.text("ab c", max_size=14)
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def guards(count: int = 2) -> list[Mask]:
    return [Mask(word, mask) for word, mask in GUARDS[:count]]


def delta(channel: str, text: str) -> dict[str, object]:
    """Make what one choice says in a frame."""
    if channel == "tool0":
        return {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
    if channel == "tool1":
        return {"tool_calls": [{"index": 1, "function": {"arguments": text}}]}
    if channel == "parts":
        half = len(text) // 2
        return {"content": [{"type": "text", "text": text[:half]}, {"type": "text", "text": text[half:]}]}
    return {channel: text}


def said(stream: bytes) -> dict[tuple[int, str], str]:
    """Put the texts of a chat stream together; nothing of a choice may follow its end."""
    texts: dict[tuple[int, str], str] = defaultdict(str)
    ended = set()
    for chunk in chunks(stream):
        for one in chunk["choices"]:
            index, given_delta = one["index"], one["delta"]
            for name in ("content", "reasoning_content", "refusal"):
                if given_delta.get(name):
                    parts = given_delta[name]
                    text = parts if isinstance(parts, str) else "".join(part["text"] for part in parts)
                    texts[index, name] += text
                    assert index not in ended
            for call in given_delta.get("tool_calls", ()):
                texts[index, f"tool{call['index']}"] += call["function"]["arguments"]
                assert index not in ended
            if one["finish_reason"]:
                ended.add(index)
    return {key: text for key, text in texts.items() if text}


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, dict[tuple[int, str], str]]:
    """Write a stream of several choices and channels, and the whole texts in it."""
    whole: dict[tuple[int, str], str] = defaultdict(str)
    stream = b""
    choices = draw(st.integers(1, 3))
    channels = st.sampled_from(["content", "reasoning_content", "refusal", "tool0", "tool1", "parts"])
    for _ in range(draw(st.integers(0, 8))):
        made = []
        for index in sorted(draw(st.sets(st.integers(0, choices - 1), min_size=1))):
            channel, text = draw(channels), draw(LETTERS)
            whole[index, "content" if channel == "parts" else channel] += text
            made.append(choice(index, **delta(channel, text)))
        stream += chat(*made) + (b": ping\n\n" if draw(st.booleans()) else b"")
    for index in range(choices):
        how = draw(st.sampled_from(["alone", "with text", "never"]))
        text = draw(LETTERS) if how == "with text" else ""
        whole[index, "content"] += text
        if how != "never":
            last = delta(draw(st.sampled_from(["content", "parts"])), text) if text else {}
            stream += chat(choice(index, "stop", **last))
    stream += chat(usage=USAGE)
    return stream + draw(st.sampled_from([DONE, b"", b"data: [DONE]"])), dict(whole)


@given(st.data(), conversations())
@LAW
def test_masked_text_is_the_whole_text_masked(data, conversation):
    stream, whole = conversation
    pieces = data.draw(cuttings(stream))
    for count in (1, 2):
        relay = Texts(OpenAI(), guards(count))
        out = relayed(relay, pieces)
        expected = {key: masked(text, GUARDS[:count]) for key, text in whole.items() if text}
        assert said(out + b"\n\n") == expected
        assert relay.usage is not None
        assert relay.usage.input == 7
        assert out == relayed(Texts(OpenAI(), guards(count)), [stream])


@given(st.data(), conversations())
@LAW
def test_unchanged_text_leaves_as_it_came(data, conversation):
    stream, _ = conversation
    pieces = data.draw(cuttings(stream))
    assert relayed(Texts(OpenAI(), [Unchanged()]), pieces) == stream
    hidden = relayed(Texts(OpenAI(), [Unchanged()], hide_usage=True), pieces)
    assert hidden == without_usage(stream)


@given(st.data(), st.lists(st.tuples(st.integers(0, 2), LETTERS), max_size=8))
@LAW
def test_responses_are_masked_before_each_text_is_done(data, deltas):
    whole: dict[int, str] = defaultdict(str)
    stream = b""
    for place, text in deltas:
        whole[place] += text
        body = {"type": "response.output_text.delta", "output_index": place, "content_index": 0, "delta": text}
        stream += frame(body, b"\n", body["type"])
    for place in whole:
        stream += frame({"type": "response.output_text.done", "output_index": place, "text": "held.delta"})
    stream += frame({"type": "response.completed", "response": {"usage": USAGE}})
    out = relayed(Texts(Responses(), guards()), data.draw(cuttings(stream)))
    got: dict[int, str] = defaultdict(str)
    done = set()
    for event in chunks(out):
        if event["type"] == "response.output_text.delta":
            assert event["output_index"] not in done
            got[event["output_index"]] += event["delta"]
        elif event["type"] == "response.output_text.done":
            done.add(event["output_index"])
    assert {place: text for place, text in got.items() if text} == {
        place: masked(text, GUARDS) for place, text in whole.items() if text
    }


def test_a_held_tail_leaves_before_the_frame_that_finishes():
    stream = chat(choice(content="zaa"), model="m") + chat(choice(finish="stop")) + DONE
    out = [chunk["choices"][0] for chunk in chunks(relayed(Texts(OpenAI(), guards(1)), [stream]))]
    assert [(one["delta"].get("content"), one["finish_reason"]) for one in out] == [
        ("z", None), ("aa", None), (None, "stop"),
    ]  # fmt: skip


def test_a_frame_that_finishes_with_text_takes_the_held_tail_along():
    stream = chat(choice(content="za")) + chat(choice(finish="stop", content="a"))
    out = [chunk["choices"][0] for chunk in chunks(relayed(Texts(OpenAI(), guards(1)), [stream]))]
    assert [one["delta"]["content"] for one in out] == ["z", "aa"]


def test_held_text_that_leaves_later_repeats_nothing_else():
    call = {"index": 1, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "zaa"}}
    first = chat(choice(role="assistant", tool_calls=[call]), choice(1, "stop"), usage=USAGE, model="m")
    head, rest, finish = chunks(relayed(Texts(OpenAI(), guards(1)), [first + chat(choice(finish="tool_calls"))]))
    assert head["choices"][0]["delta"]["tool_calls"][0]["function"] == {"name": "f", "arguments": "z"}
    again = {"index": 1, "type": "function", "function": {"arguments": "aa"}}
    assert rest["choices"] == [{"index": 0, "delta": {"tool_calls": [again]}, "finish_reason": None}]
    assert "usage" not in rest
    assert finish["choices"] == [choice(finish="tool_calls")]


def test_held_text_of_completions_and_of_parts_leaves_in_their_manner():
    text = chat({"index": 2, "text": "zaa", "logprobs": {"tokens": ["z", "aa"]}, "finish_reason": None})
    _, held = chunks(relayed(Texts(OpenAI(), guards(1)), [text + DONE]))
    assert held["choices"] == [{"index": 2, "text": "aa", "finish_reason": None}]
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "zaa"}]}
    _, held = chunks(relayed(Texts(OpenAI(), guards(1)), [chat(choice(content=[thought])) + DONE]))
    again = {"type": "thinking", "thinking": [{"type": "text", "text": "aa"}]}
    assert held["choices"] == [choice(content=[again])]


def test_pieces_of_one_text_in_the_frame_that_finishes_stay_in_order():
    parts = [{"type": "text", "text": "za"}, {"type": "text", "text": "bca"}]
    out = relayed(Texts(OpenAI(), guards(1)), [chat(choice(finish="stop", content=parts))])
    assert said(out) == {(0, "content"): "zabca"}


def test_reasoning_said_twice_in_a_frame_is_two_texts():
    details = [{"type": "reasoning.text", "text": "aab", "index": 0}]
    stream = chat(choice(reasoning="aab", reasoning_content="aab", reasoning_details=details))
    (chunk,) = chunks(relayed(Texts(OpenAI(), guards(1)), [stream]))
    given_delta = chunk["choices"][0]["delta"]
    assert given_delta["reasoning"] == given_delta["reasoning_content"] == "X"
    assert given_delta["reasoning_details"] == [{"type": "reasoning.text", "text": "X", "index": 0}]


def test_what_broke_off_says_so_and_keeps_what_is_held():
    relay = Texts(OpenAI(), guards(1))
    out = relay.feed(chat(choice(content="zaa")) + b'data: {"choices"')
    out += relay.broken(UpstreamError(502, "upstream_error", "broke off"))
    assert [json.loads(data).get("error") is None for _, data in events(out)[:-1]] == [True, False]
    assert b"aa" not in out
    assert out.endswith(DONE)


def test_everything_but_the_text_of_a_masked_frame_stays():
    stream = chat(choice(content="aab", role="assistant"), model="m", system_fingerprint=None, extra={"n": 1.5})
    out = relayed(Texts(OpenAI(), guards(1)), [stream])
    before, after = next(chunks(stream)), next(chunks(out))
    before["choices"][0]["delta"]["content"] = "X"
    assert after == before


@pytest.mark.parametrize("size", SIZES)
def test_recorded_streams_with_nothing_to_change_are_byte_identical(shared, size):
    for one in transcripts.load(shared):
        if one.event_stream:
            dialect = Responses() if one.operation == "responses" else OpenAI()
            assert relayed(Texts(dialect, [Unchanged()]), every(one.body, size)) == one.body, one.file


def test_recorded_streams_masked_say_the_same_at_any_cut(shared):
    for one in transcripts.load(shared):
        if one.event_stream:
            dialect = Responses() if one.operation == "responses" else OpenAI()
            outs = {relayed(Texts(dialect, [Mask("the", "THE")]), every(one.body, size)) for size in (3, 64, 1 << 20)}
            assert len(outs) == 1, one.file
            slots = [slot for out in outs for event in split_frames(out) for slot in dialect.texts(event)]
            before = [slot for event in split_frames(one.body) for slot in dialect.texts(event)]
            assert joined(slots) == {key: text.replace("the", "THE") for key, text in joined(before).items()}, one.file


def split_frames(stream):
    return [Frame(b"", data) for _, data in events(stream + b"\n\n")]


def joined(slots):
    texts = defaultdict(str)
    for slot in slots:
        texts[slot.channel, slot.choice, slot.index] += slot.text
    return texts
