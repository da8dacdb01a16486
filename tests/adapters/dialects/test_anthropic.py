"""Anthropic's Messages format: prompts, usage in halves, texts, ends and errors."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dialects.anthropic import REASONS, TYPES, Anthropic
from engine.contracts import EVERY, Channel, TextSlot
from engine.errors import ClientError, PolicyError, UpstreamError
from engine.frames import Frames, split
from engine.holdback import Texts
from tests.adapters.dialects import laws, recorded
from tests.adapters.dialects.laws import counts, framed, members
from tests.engine.streams import Mask, chunks, cuttings, frame, relayed

DIALECT = Anthropic()
LAW = settings(deadline=None, max_examples=300)
NAMES = ["type", "index", "delta", "text", "thinking", "partial_json", "content_block", "message", "usage", "error",
         "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "service_tier",
         "output_tokens_details", "thinking_tokens", "stop_reason"]  # fmt: skip
WORDS = ["content_block_delta", "content_block_start", "content_block_stop", "message_start", "message_delta",
         "message_stop", "error", "text_delta", "thinking_delta", "input_json_delta", "text", "thinking"]  # fmt: skip
ASKED = laws.asked(["role", "content", "type", "text", "thinking", "title", "source", "data", "input"])
REQUESTS = st.fixed_dictionaries(
    {"messages": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": st.lists(
        st.fixed_dictionaries({}, optional={"text": ASKED, "input": ASKED, "content": ASKED, "source": ASKED}), max_size=3)}), max_size=2)},
    optional={"system": ASKED},
)  # fmt: skip
BODIES = laws.bodies(NAMES, WORDS)
EVENTS = st.builds(
    lambda kind, inner, body: {**body, "type": kind, "delta": inner, "content_block": inner},
    st.sampled_from(WORDS),
    st.fixed_dictionaries({"type": st.sampled_from(WORDS)}, optional=dict.fromkeys(["text", "thinking", "partial_json"], st.text(max_size=5))),
    st.dictionaries(st.sampled_from(NAMES), BODIES, max_size=3),
)  # fmt: skip
START = {"input_tokens": 20, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 7, "output_tokens": 1,
         "service_tier": "priority"}  # fmt: skip


def event(kind: str, **members: Any) -> bytes:
    return frame({"type": kind, **members}, b"\n", kind)


def start(usage: dict[str, Any]) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
    return event("message_start", message={**message, "usage": usage})


def delta(index: int, kind: str, name: str, text: str) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, name: text})


def opened(index: int, kind: str, **members: Any) -> bytes:
    return event("content_block_start", index=index, content_block={"type": kind, **members})


def closed(index: int) -> bytes:
    return event("content_block_stop", index=index)


def last(usage: dict[str, Any]) -> bytes:
    ending = event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=usage)
    return ending + event("message_stop")


BEGUN = start(START) + event("ping") + opened(0, "thinking", thinking="", signature="")
STREAM = (
    BEGUN + delta(0, "thinking_delta", "thinking", "hm, za") + delta(0, "thinking_delta", "thinking", "ab é")
    + delta(0, "signature_delta", "signature", "aab=") + closed(0)
    + opened(1, "text", text="") + delta(1, "text_delta", "text", "a") + event("ping")
    + delta(1, "text_delta", "text", "ab, and a") + closed(1)
    + opened(2, "tool_use", id="toolu_1", name="f", input={}) + delta(2, "input_json_delta", "partial_json", "")
    + delta(2, "input_json_delta", "partial_json", '{"a":"a') + delta(2, "input_json_delta", "partial_json", 'ab"}')
    + closed(2) + last({"output_tokens": 30, "output_tokens_details": {"thinking_tokens": 11}})
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"system": "be kind", "messages": [{"role": "user", "content": "hi"}]}, [("system", "be kind"), ("user", "hi")]),
        ({"system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, [("system", "a\nb")]),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image", "source": {
            "type": "base64", "data": "QUJD"}}, {"type": "text", "text": "b"}]}]}, [("user", "a\nb")]),
        ({"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {
            "type": "tool_use", "id": "i", "name": "f", "input": {"q": "\u00e9", "n": [1, 2.5]}}]}]},
         [("assistant", 't\n{"q":"é","n":[1,2.5]}')]),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "i", "content": "r"}, {
            "type": "tool_result", "content": [{"type": "text", "text": "s"}]}]}]}, [("user", "r\ns")]),
        ({"messages": [{"role": "user", "content": [{"type": "document", "title": "T", "source": {
            "type": "text", "data": "D"}}, {"type": "document", "source": {"type": "content", "content": [
                {"type": "text", "text": "E"}]}}]}]}, [("user", "T\nD\nE")]),
        ({"system": None, "messages": [5, {"content": 7}, {"role": {}, "content": [None, 3, {"text": []}, "x"]}]},
         [("", ""), ("", "x")]),
        ({"messages": "hi"}, []), ({}, []),
    ],
)  # fmt: skip
def test_a_prompt_is_the_system_and_every_text_of_the_messages(asked, said):
    assert DIALECT.prompt(members(**asked)) == [{"role": role, "content": content} for role, content in said]


def test_tools_are_named_and_those_without_a_name_by_their_type():
    tools = [
        {"name": "f", "input_schema": {}},
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "mcp_toolset"},
    ]
    assert [one["name"] for one in DIALECT.tools(members(tools=tools))] == ["f", "web_search", "mcp_toolset"]
    assert DIALECT.tools({}) == []


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ({"input_tokens": 10, "output_tokens": 2}, [10, 2, 0, 0, 0, 12]),
        (START, [77, 1, 50, 7, 0, 78]),
        ({"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4},
          "server_tool_use": {"web_search_requests": 3}}, [1, 9, 0, 0, 4, 10]),
        ({"input_tokens": "1", "output_tokens": -3, "cache_read_input_tokens": None}, [0, 0, 0, 0, 0, 0]),
        ({}, None), (None, None), ([], None), (7, None),
    ],
)  # fmt: skip
def test_usage_of_an_answer_counts_what_the_cache_read_and_wrote(reported, expected):
    assert counts(DIALECT.usage(json.dumps({"usage": reported, "content": []}).encode())) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (START, {"output_tokens": 30}, [77, 30, 50, 7, 0, 107]),
        (START, {"input_tokens": 20, "output_tokens": 30}, [77, 30, 50, 7, 0, 107]),
        (START, {"input_tokens": 99, "cache_read_input_tokens": 60, "output_tokens": 30}, [166, 30, 60, 7, 0, 196]),
        (START, {"input_tokens": 0, "output_tokens": 0}, [77, 1, 50, 7, 0, 78]),
        ({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 5, "output_tokens": 6}, [5, 6, 0, 0, 0, 11]),
        (START, {}, [77, 1, 50, 7, 0, 78]),
    ],
)
def test_a_stream_uses_the_input_of_its_start_and_the_output_of_its_end(first, second, expected):
    relay = Frames(DIALECT)
    relayed(relay, [start(first) + last(second)])
    assert counts(relay.usage) == expected
    assert relay.usage is not None
    assert not relay.usage.estimated or not second
    assert relay.usage.service_tier == first.get("service_tier", "")


def test_what_broke_off_has_used_its_input():
    relay = Frames(DIALECT)
    out = relay.feed(BEGUN + b"event: content_bl") + relay.broken(UpstreamError(502, "upstream_error", "broke off"))
    assert counts(relay.usage) == [77, 1, 50, 7, 0, 78]
    assert relay.usage is not None
    assert relay.usage.estimated
    assert list(split(out))[-1].event == b"error"


def test_texts_are_those_of_the_deltas_by_block():
    assert laws.said(DIALECT, STREAM) == {
        (Channel.REASONING, 0, 0): "hm, zaab é", (Channel.CONTENT, 0, 1): "aab, and a", (Channel.TOOL_ARGUMENTS, 0, 2): '{"a":"aab"}',
    }  # fmt: skip
    assert DIALECT.texts(framed({"type": "content_block_start", "index": 3, "content_block": {"type": "text", "text": "x"}})) == (
        TextSlot(Channel.CONTENT, 0, 3, "x"),
    )  # fmt: skip


def test_only_texts_change():
    assert laws.only_texts_change(DIALECT, STREAM) == 9
    masked = relayed(Texts(DIALECT, [Mask("aab", "X")]), [STREAM])
    assert [one["delta"]["signature"] for one in chunks(masked) if "signature" in one.get("delta", {})] == ["aab="]


@given(st.data())
@LAW
def test_any_cutting_is_the_same_and_gives_the_same_usage(data):
    assert counts(laws.relays(DIALECT, STREAM, data.draw(cuttings(STREAM)))) == [77, 30, 50, 7, 11, 107]


def test_held_text_leaves_as_a_delta_before_its_block_stops():
    laws.masks(DIALECT, STREAM, "aab", "X")
    out = list(split(relayed(Texts(DIALECT, [Mask("abc", "X")]), [STREAM])))
    at = next(
        place for place, one in enumerate(out) if b'"content_block_stop","index":1' in one.data.replace(b" ", b"")
    )
    assert (out[at - 1].event, json.loads(out[at - 1].data)) == (
        b"content_block_delta", {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "a"}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "ended"),
    [
        ({"type": "content_block_stop", "index": 4}, (0,)), ({"type": "message_delta", "delta": {}}, EVERY),
        ({"type": "message_stop"}, EVERY), ({"type": "error", "error": {}}, EVERY), ({"type": "ping"}, ()),
        ({"type": "content_block_delta", "delta": {"text": '"type":"message_stop"'}}, ()),
        ({"type": "content_block_start", "content_block": {"type": "error"}}, ()), ([], ()), (b"[DONE]", ()),
    ],
)  # fmt: skip
def test_texts_end_with_their_block_and_all_with_the_message(body, ended):
    assert DIALECT.ends(framed(body)) == ended


@given(BODIES | EVENTS)
@LAW
def test_no_event_can_break_the_dialect(body):
    laws.survives(DIALECT, body)


@given(st.binary(max_size=60) | st.binary(max_size=30).map(lambda raw: b'{"message":{"usage":{"' + raw + b'":1}}}'))
@LAW
def test_no_bytes_can_break_the_dialect(data):
    laws.survives(DIALECT, data)


@given(
    REQUESTS | st.dictionaries(st.sampled_from(sorted(Anthropic.asks)), ASKED, max_size=3), st.booleans(), st.booleans()
)
@LAW
def test_what_a_prompt_says_stands_in_the_request(asked, wide, slashed):
    laws.stands(DIALECT, asked, wide=wide, slashed=slashed)


@pytest.mark.parametrize("data", laws.DEEP)
def test_deep_json_cannot_break_the_dialect(data):
    laws.survives(DIALECT, data)


def client(status: int, body: bytes, kind: str) -> anthropic.Anthropic:
    """Make the official client before an upstream that gives one answer."""
    answer = httpx2.Response(status, content=body, headers={"content-type": kind})
    transport = httpx2.MockTransport(lambda _: answer)
    return anthropic.Anthropic(api_key="sk-x", max_retries=0, http_client=httpx2.Client(transport=transport))


def streamed(body: bytes) -> anthropic.types.Message:
    asked: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    with client(200, body, "text/event-stream").messages.stream(**asked) as stream:
        return stream.get_final_message()


def test_the_official_client_reads_masked_streams():
    message = streamed(relayed(Texts(DIALECT, [Mask("aab", "X")]), [STREAM]))
    thinking, text, tool = message.content
    assert (thinking.type, text.type, tool.type) == ("thinking", "text", "tool_use")
    assert (thinking.thinking, text.text, tool.input) == ("hm, zX é", "X, and a", {"a": "X"})
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 30)


@pytest.mark.parametrize(("reason", "said"), [*REASONS.items(), ("pause_turn", "pause_turn")])
def test_finish_ends_the_open_block_and_the_message_for_the_official_client(reason, said):
    begun = start(START) + opened(0, "text", text="") + delta(0, "text_delta", "text", "so far")
    *_, frame_before = split(begun)
    ending = DIALECT.finish(frame_before, reason)
    assert [one.event.decode() for one in split(ending)] == ["content_block_stop", "message_delta", "message_stop"]
    message = streamed(begun + ending)
    assert (message.content[0].type, message.content[0].text) == ("text", "so far")
    assert (message.stop_reason, message.usage.input_tokens) == (said, 20)
    assert [one.event for one in split(DIALECT.finish(framed({"type": "ping"}), reason))] == [
        b"message_delta",
        b"message_stop",
    ]


@pytest.mark.parametrize("status", sorted({*TYPES, 405, 422, 500, 501, 502}))
def test_errors_are_those_of_the_official_client(status):
    error = PolicyError(status, "budget_exceeded", "no `x`\n\nleft")
    body = json.loads(DIALECT.error(error))
    kind = TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    assert body == {"type": "error", "error": {"type": kind, "message": "no `x`\n\nleft"}}
    assert DIALECT.is_error(DIALECT.error(error))
    with pytest.raises(anthropic.APIStatusError) as raised:
        client(status, DIALECT.error(error), "application/json").messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        )
    assert raised.value.status_code == status
    with pytest.raises(anthropic.APIStatusError, match="left"):
        streamed(BEGUN + DIALECT.stream_error(error))


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        (b'{"type":"error","error":{"type":"api_error","message":"m"},"request_id":"r"}', True),
        (b'{"error":{"type":"api_error","message":"m"}}', False), (b'{"type":"error","error":{"message":5}}', False),
        (b'{"type":"error","error":"m"}', False), (b'{"type":"message"}', False), (b"[]", False), (b"<html>", False),
    ],
)  # fmt: skip
def test_an_error_is_known_by_its_type_and_message(answer, is_one):
    assert DIALECT.is_error(answer) == is_one


def test_errors_of_other_dialects_are_rendered_in_this_one():
    assert (
        json.loads(DIALECT.error(ClientError(404, "model_not_found", "m", "model")))["error"]["type"]
        == "not_found_error"
    )


def reckoned(reported: dict[str, Any]) -> list[int]:
    """Count slowly what the usages of an exchange say, the later over the earlier."""
    cached, written = (reported.get(f"cache_{name}_input_tokens", 0) for name in ("read", "creation"))
    asked, answered = reported["input_tokens"] + cached + written, reported["output_tokens"]
    thought = reported.get("output_tokens_details", {}).get("thinking_tokens", 0)
    return [asked, answered, cached, written, thought, asked + answered]


def test_recorded_exchanges_keep_the_laws(shared):
    assert recorded.judge(Anthropic, shared, reckoned) == {"answers": 14, "errors": 6, "streams": 10, "unreported": 0}
