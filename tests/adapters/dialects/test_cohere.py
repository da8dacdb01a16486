"""Cohere's formats: prompts of both versions, usage as billed, texts, ends and errors."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dialects.cohere import REASONS, Cohere
from engine.contracts import EVERY, Channel
from engine.errors import PolicyError, UpstreamError
from engine.frames import Frames, split
from engine.guarding import Action, Redaction
from engine.holdback import Texts
from engine.scanning import Rule, Scanner
from tests.adapters.dialects import laws, recorded
from tests.adapters.dialects.laws import counts, framed, members
from tests.engine.streams import DONE, Mask, chunks, cuttings, frame, relayed

DIALECT = Cohere()
LAW = settings(deadline=None, max_examples=300)
NAMES = ["type", "index", "delta", "message", "content", "text", "thinking", "tool_plan", "tool_calls", "function", "arguments",
         "usage", "meta", "response", "billed_units", "tokens", "input_tokens", "output_tokens", "image_tokens", "cached_tokens",
         "search_units", "finish_reason"]  # fmt: skip
WORDS = ["content-start", "content-delta", "content-end", "tool-plan-delta", "tool-call-start", "tool-call-delta", "tool-call-end",
         "message-end", "citation-start"]  # fmt: skip
ASKED = laws.asked(
    [
        "role",
        "content",
        "text",
        "document",
        "data",
        "message",
        "tool_plan",
        "tool_calls",
        "function",
        "arguments",
        "parameters",
        "outputs",
    ]
)
REQUESTS = st.fixed_dictionaries(
    {"messages": st.lists(st.fixed_dictionaries({}, optional={
        "content": ASKED, "message": ASKED, "tool_results": ASKED,
        "tool_calls": st.lists(st.fixed_dictionaries({"parameters": ASKED, "function": st.fixed_dictionaries({"arguments": ASKED})}), max_size=2),
    }), max_size=2)},
    optional={"documents": ASKED, "tool_results": ASKED, "query": ASKED},
)  # fmt: skip
BODIES = laws.bodies(NAMES, WORDS)
SAID = st.fixed_dictionaries(
    {},
    optional={
        "content": st.fixed_dictionaries({}, optional={"text": st.text(max_size=5), "thinking": st.text(max_size=5)}),
        "tool_plan": st.text(max_size=5) | BODIES,
        "tool_calls": st.fixed_dictionaries({"function": st.fixed_dictionaries({"arguments": st.text(max_size=5)})})
        | BODIES,
    },
)
EVENTS = st.builds(
    lambda kind, index, message: {"type": kind, "index": index, "delta": {"message": message}},
    st.sampled_from(WORDS), st.integers(0, 3) | BODIES, SAID,
)  # fmt: skip
BILL = {
    "billed_units": {"input_tokens": 9, "output_tokens": 5},
    "tokens": {"input_tokens": 500, "output_tokens": 8},
    "cached_tokens": 480,
}


def event(kind: str, index: int | None = None, message: dict[str, Any] | None = None, **members: Any) -> bytes:
    place = {} if index is None else {"index": index}
    said = {} if message is None else {"delta": {"message": message}}
    return frame({"type": kind, **place, **said, **members}, b"\n", kind)


def last(**delta: Any) -> bytes:
    return event("message-end", delta={"finish_reason": "COMPLETE", **delta}) + DONE


STREAM = (
    event("message-start", message={"role": "assistant", "content": []}, id="r")
    + event("tool-plan-delta", message={"tool_plan": "I a"}) + event("tool-plan-delta", message={"tool_plan": "ab"})
    + event("tool-call-start", 0, {"tool_calls": {"id": "f_1", "type": "function", "function": {"name": "f", "arguments": ""}}})
    + event("tool-call-delta", 0, {"tool_calls": {"function": {"arguments": '{"q":"aa'}}})
    + event("tool-call-delta", 0, {"tool_calls": {"function": {"arguments": 'b"}'}}}) + event("tool-call-end", 0)
    + event("content-start", 0, {"content": {"type": "thinking", "thinking": ""}})
    + event("content-delta", 0, {"content": {"thinking": "hm é"}}, logprobs={"text": "aab", "logprobs": [0.5]}) + event("content-end", 0)
    + event("content-start", 1, {"content": {"type": "text", "text": "a"}}) + event("content-delta", 1, {"content": {"text": "a"}})
    + event("citation-start", 0, {"citations": {"start": 0, "end": 1, "sources": []}}) + event("citation-end", 0)
    + event("content-delta", 1, {"content": {"text": "b and a"}}) + event("content-end", 1) + last(usage=BILL)
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": [{"type": "text", "text": "a"}, "b"]}]},
         [("system", "be kind"), ("user", "a\nb")]),
        ({"messages": [{"role": "assistant", "tool_plan": "p", "tool_calls": [{"function": {"name": "f", "arguments": '{"q":1}'}}]},
                       {"role": "tool", "content": [{"type": "document", "document": {"data": {"k": "é"}}}, {"type": "document", "document": {"data": "d"}}]}]},
         [("assistant", 'p\n{"q":1}'), ("tool", '{"data":{"k":"é"}}\n{"data":"d"}')]),
        ({"messages": [{"role": "user", "content": "hi"}], "documents": ["plain", {"id": "1", "data": {"text": "in", "title": "t"}}, {"text": "on top"}]},
         [("user", "hi"), ("user", "plain"), ("user", '{"id":"1","data":{"text":"in","title":"t"}}'), ("user", '{"text":"on top"}')]),
        ({"message": "now", "preamble": "be kind", "chat_history": [
            {"role": "USER", "message": "q"}, {"role": "CHATBOT", "message": "a", "tool_calls": [{"name": "f", "parameters": {"p": 1}}]},
            {"role": "TOOL", "tool_results": [{"call": {}, "outputs": [{"o": 2}]}]}], "tool_results": [{"outputs": [{"o": 3}]}]},
         [("system", "be kind"), ("user", "q"), ("assistant", 'a\n{"p":1}'), ("tool", '{"call":{},"outputs":[{"o":2}]}'), ("user", "now"), ("tool", '{"outputs":[{"o":3}]}')]),
        ({"query": "q", "documents": ["a", {"title": "t", "n": 1}]}, [("user", "q"), ("user", "a"), ("user", '{"title":"t","n":1}')]),
        ({"texts": ["a", "b", 5], "inputs": [{"content": [{"type": "text", "text": "c"}, {"type": "image_url"}]}]},
         [("user", "a"), ("user", "b"), ("user", "c")]),
        ({"messages": [3, {"role": [], "content": {}, "tool_calls": [None, {}], "tool_results": 4}], "documents": "x", "texts": None}, [("", "")]),
        ({}, []),
    ],
)  # fmt: skip
def test_a_prompt_is_every_text_of_either_version(asked, said):
    assert DIALECT.prompt(members(**asked)) == [{"role": role, "content": content} for role, content in said]


def test_tools_are_named_in_either_version():
    tools = [{"type": "function", "function": {"name": "f"}}, {"name": "g", "parameter_definitions": {}}]
    assert [one["name"] for one in DIALECT.tools(members(tools=tools))] == ["f", "g"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"usage": BILL}, [9, 5, 0, 0, 0, 14]),
        ({"usage": {"tokens": BILL["tokens"], "cached_tokens": 480}}, [500, 8, 480, 0, 0, 508]),
        ({"usage": {"billed_units": {"search_units": 1}, "tokens": BILL["tokens"]}}, [500, 8, 0, 0, 0, 508]),
        ({"meta": {"billed_units": {"input_tokens": 208}}}, [208, 0, 0, 0, 0, 208]),
        ({"meta": {"billed_units": {"input_tokens": 2, "image_tokens": 300, "images": 1}}}, [302, 0, 0, 0, 0, 302]),
        ({"meta": {"billed_units": {"search_units": 1}}}, [0, 0, 0, 0, 0, 0]),
        ({"meta": {"tokens": {"input_tokens": 3, "output_tokens": 4}}}, [3, 4, 0, 0, 0, 7]),
        ({"event_type": "stream-end", "response": {"text": "t", "meta": BILL}}, [9, 5, 0, 0, 0, 14]),
        ({"type": "message-end", "delta": {"usage": BILL}}, [9, 5, 0, 0, 0, 14]),
        ({"usage": {"billed_units": {"input_tokens": "1", "output_tokens": -3}, "tokens": [1]}}, [0, 0, 0, 0, 0, 0]),
        ({"meta": {"api_version": {"version": "2"}}}, None), ({"usage": {}}, None), ({"usage": None}, None), ({"usage": []}, None), ({}, None),
    ],
)  # fmt: skip
def test_what_is_billed_counts_and_searches_are_no_tokens(answer, expected):
    data = json.dumps(answer).encode()
    assert counts(DIALECT.usage(data)) == expected
    assert counts(DIALECT.frame_usage(framed(data))[0]) == expected
    assert expected is None or DIALECT.usage_pattern.search(data)


def test_usage_of_lines_is_that_of_the_last():
    lines = [
        {"event_type": "text-generation", "text": "meta"},
        {"event_type": "stream-end", "response": {"meta": BILL}},
    ]
    assert counts(DIALECT.usage(b"\n".join(json.dumps(one).encode() for one in lines) + b"\r\n\n")) == [
        9,
        5,
        0,
        0,
        0,
        14,
    ]
    assert DIALECT.usage(json.dumps(lines[0]).encode() + b"\n{") is None


def test_texts_are_those_of_the_deltas_by_their_place():
    assert laws.said(DIALECT, STREAM) == {
        (Channel.REASONING, 0, -1): "I aab", (Channel.TOOL_ARGUMENTS, 0, 0): '{"q":"aab"}',
        (Channel.REASONING, 0, 0): "hm é", (Channel.CONTENT, 0, 1): "aab and a",
    }  # fmt: skip


def test_only_texts_change():
    assert laws.only_texts_change(DIALECT, STREAM) == 10


@given(st.data())
@LAW
def test_any_cutting_is_the_same_and_gives_the_same_usage(data):
    assert counts(laws.relays(DIALECT, STREAM, data.draw(cuttings(STREAM)))) == [9, 5, 0, 0, 0, 14]


@pytest.mark.parametrize(
    ("word", "held", "before"),
    [
        ("b!", {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "b"}}}, "tool-call-start"),
        ('b"}!', {"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": {"function": {"arguments": 'b"}'}}}}},
         "tool-call-end"),
        ("a!", {"type": "content-delta", "index": 1, "delta": {"message": {"content": {"text": "a"}}}}, "content-end"),
    ],
)  # fmt: skip
def test_held_text_leaves_as_a_delta_before_what_ends_it(word, held, before):
    out = list(chunks(relayed(Texts(DIALECT, [Mask(word, "X")]), [STREAM])))
    assert (held, before) in [(one, after["type"]) for one, after in itertools.pairwise(out)]
    laws.masks(DIALECT, STREAM, "aab", "X")


@pytest.mark.parametrize(
    ("body", "ended"),
    [
        ({"type": "content-end", "index": 4}, (0,)), ({"type": "tool-call-start", "index": 0}, (0,)), ({"type": "tool-call-end"}, (0,)),
        ({"type": "message-end", "delta": {}}, EVERY), (b"[DONE]", EVERY), ({"type": "content-start"}, ()), ({"type": "citation-end"}, ()),
        ({"type": "content-delta", "delta": {"message": {"content": {"text": "message-end"}}}}, ()), ([], ()),
    ],
)  # fmt: skip
def test_texts_end_with_their_event_and_all_with_the_message(body, ended):
    assert DIALECT.ends(framed(body)) == ended


@pytest.mark.parametrize(("reason", "said"), [*REASONS.items(), ("STOP_SEQUENCE", "STOP_SEQUENCE")])
@pytest.mark.parametrize(
    ("body", "stop"), [("content-delta", "content-end"), ("tool-call-start", "tool-call-end"), ("message-start", "")]
)
def test_finish_ends_what_is_open_and_the_message(reason, said, body, stop):
    *stopped, end, done = split(DIALECT.finish(framed({"type": body, "index": 3}), reason))
    assert [json.loads(one.data) for one in stopped] == ([{"type": stop, "index": 3}] if stop else [])
    assert (end.event, json.loads(end.data)["delta"]["finish_reason"], done.raw) == (b"message-end", said, DONE)
    assert DIALECT.frame_usage(end)[0] is None


@given(BODIES | EVENTS)
@LAW
def test_no_event_can_break_the_dialect(body):
    laws.survives(DIALECT, body)


@given(st.binary(max_size=60) | st.binary(max_size=30).map(lambda raw: b'\n{"delta":{"usage":{"' + raw + b'":1}}}'))
@LAW
def test_no_bytes_can_break_the_dialect(data):
    laws.survives(DIALECT, data)


@given(
    REQUESTS | st.dictionaries(st.sampled_from(sorted(Cohere.asks)), ASKED, max_size=3), st.booleans(), st.booleans()
)
@LAW
def test_what_a_prompt_says_stands_in_the_request(asked, wide, slashed):
    laws.stands(DIALECT, asked, wide=wide, slashed=slashed)


@pytest.mark.parametrize("data", laws.DEEP)
def test_deep_json_cannot_break_the_dialect(data):
    laws.survives(DIALECT, data)


def test_errors_are_a_message_and_in_a_stream_the_reason_of_its_end():
    error = PolicyError(400, "budget_exceeded", "no `x`\n\nleft")
    assert json.loads(DIALECT.error(error)) == {"message": "no `x`\n\nleft"}
    assert DIALECT.is_error(DIALECT.error(error))
    relay = Frames(DIALECT)
    out = relay.feed(STREAM[:-80]) + relay.broken(UpstreamError(502, "upstream_error", "broke off"))
    *_, end = chunks(out)
    assert end == {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "broke off", "usage": {}}}
    assert out.endswith(DONE)


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        (b'{"id":"r","message":"m","error_type":"x"}', True), (b'{"message":""}', True), (b'{"message":{"role":"assistant"}}', False),
        (b'{"error":{"message":"m"}}', False), (b"[]", False), (b"<html>", False), (b"", False),
    ],
)  # fmt: skip
def test_an_error_is_known_by_its_message(answer, is_one):
    assert DIALECT.is_error(answer) == is_one


def reckoned(reported: dict[str, Any]) -> list[int]:
    """Count slowly what was billed."""
    asked, answered = (reported["billed_units"].get(f"{name}_tokens", 0) for name in ("input", "output"))
    return [asked, answered, 0, 0, 0, asked + answered]


def test_recorded_exchanges_keep_the_laws(shared):
    assert recorded.judge(Cohere, shared, reckoned) == {"answers": 8, "errors": 3, "streams": 3, "unreported": 1}


def test_a_citation_says_no_more_than_the_text_that_it_is_of():
    redaction = Redaction([(Scanner([Rule("MAIL", r"\w+@b\.org")]), Action.MASK, None)])
    relay = Texts(Cohere(), (redaction.guard(),))
    said = b"".join(
        b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **more}).encode())
        for kind, more in (
            ("content-delta", {"index": 0, "delta": {"message": {"content": {"text": "write to ann"}}}}),
            ("content-delta", {"index": 0, "delta": {"message": {"content": {"text": "@b.org now"}}}}),
            ("citation-start", {"index": 1, "delta": {"message": {"citations": {"start": 9, "text": "ann@b.org"}}}}),
            ("content-end", {"index": 0}),
        )
    )
    out = relay.feed(said) + relay.end()
    assert b"ann@b.org" not in out
    assert b'"text":"<MAIL>"' in out
