"""Gemini's generateContent format: prompts in both spellings, usage, texts, ends and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dialects.gemini import REASONS, STATUSES, Gemini
from engine.contracts import EVERY, Channel, TextSlot
from engine.errors import PolicyError, UpstreamError
from engine.frames import Frames, split
from engine.guarding import Action, Redaction
from engine.holdback import Texts
from engine.scanning import Rule, Scanner
from tests.adapters.dialects import laws, recorded
from tests.adapters.dialects.laws import counts, framed, members
from tests.engine.streams import Mask, chunks, cuttings, frame, relayed

DIALECT = Gemini()
LAW = settings(deadline=None, max_examples=300)
NAMES = ["candidates", "content", "parts", "text", "thought", "index", "finishReason", "functionCall", "args", "usageMetadata",
         "promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount", "cachedContentTokenCount",
         "promptTokensDetails", "candidatesTokensDetails", "modality", "tokenCount", "serviceTier", "trafficType", "error",
         "promptFeedback", "blockReason", "message", "status"]  # fmt: skip
ASKED = laws.asked(
    [
        "role",
        "parts",
        "text",
        "content",
        "functionCall",
        "function_response",
        "args",
        "response",
        "executableCode",
        "code",
    ]
)
PASSED = st.fixed_dictionaries({}, optional=dict.fromkeys(["args", "response", "code", "output"], ASKED))
REQUESTS = st.fixed_dictionaries(
    {"contents": st.lists(st.fixed_dictionaries({"parts": st.lists(st.fixed_dictionaries({}, optional={
        "text": ASKED, "functionCall": PASSED, "function_response": PASSED, "executableCode": PASSED}), max_size=3)}), max_size=2)},
    optional={"systemInstruction": ASKED, "requests": ASKED},
)  # fmt: skip
BODIES = laws.bodies(NAMES, ["AUDIO", "STOP", "FINISH_REASON_UNSPECIFIED", "ON_DEMAND_FLEX"])
PARTS = st.lists(
    st.fixed_dictionaries({"text": st.text(max_size=5)}, optional={"thought": BODIES, "functionCall": BODIES}) | BODIES, max_size=3
)  # fmt: skip
FRAMES = st.builds(
    lambda index, parts, body: {**body, "candidates": [{"index": index, "content": {"parts": parts}}]},
    st.integers(0, 3) | BODIES, PARTS, st.dictionaries(st.sampled_from(NAMES), BODIES, max_size=3),
)  # fmt: skip
USAGE = {
    "promptTokenCount": 40,
    "candidatesTokenCount": 9,
    "thoughtsTokenCount": 5,
    "cachedContentTokenCount": 30,
    "totalTokenCount": 54,
}


def candidate(*parts: dict[str, Any], index: int | None = 0, **more: Any) -> dict[str, Any]:
    made = {"content": {"parts": list(parts), "role": "model"}, **more}
    return made if index is None else {**made, "index": index}


def chunk(*candidates: dict[str, Any], eol: bytes = b"\r\n", **members: Any) -> bytes:
    return frame({"candidates": list(candidates), **members, "modelVersion": "m", "responseId": "r"}, eol)


STREAM = (
    chunk(candidate({"text": "hm, a", "thought": True}), usageMetadata={"trafficType": "ON_DEMAND"})
    + chunk(candidate({"text": "ab é", "thought": True}, {"text": "za"}), candidate({"text": "two a"}, index=1))
    + chunk(candidate({"text": "a"}, {"text": "b, "}), usageMetadata={**USAGE, "totalTokenCount": 46, "candidatesTokenCount": 1})
    + chunk(candidate({"functionCall": {"name": "f", "args": {"q": "aab"}}, "thoughtSignature": "aab="}, {"text": "a"}))
    + chunk(candidate({"text": ""}, finishReason="STOP"), candidate({"text": "ab"}, index=1, finishReason="STOP"), usageMetadata=USAGE)
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"systemInstruction": {"parts": [{"text": "be kind"}]}, "contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
         [("system", "be kind"), ("user", "hi")]),
        ({"system_instruction": {"parts": {"text": "be kind"}}, "contents": {"parts": {"text": "hi"}}},
         [("system", "be kind"), ("user", "hi")]),
        ({"contents": [{"role": "user", "parts": [{"text": "a"}, {"inlineData": {"data": "QUJD"}}, {"text": "b"}]}]}, [("user", "a\nb")]),
        ({"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"q": "é"}}}]},
                       {"role": "function", "parts": [{"function_response": {"name": "f", "response": {"r": [1, 2.5]}}}]}]},
         [("assistant", '{"q":"é"}'), ("function", '{"r":[1,2.5]}')]),
        ({"contents": [{"parts": [{"executableCode": {"code": "x()"}}, {"code_execution_result": {"output": "o"}}]}]}, [("user", "x()\no")]),
        ({"content": {"parts": [{"text": "embedded"}]}}, [("user", "embedded")]),
        ({"requests": [{"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}}]}, [("user", "a"), ("user", "b")]),
        ({"systemInstruction": "s", "contents": [7, {"role": {}, "parts": [3, "x", {"text": None, "functionCall": []}]}]},
         [("system", "s"), ("user", ""), ("user", "x")]),
        ({"contents": "hi"}, []), ({"contents": None}, []), ({}, []),
    ],
)  # fmt: skip
def test_a_prompt_is_the_system_and_every_text_of_the_contents(asked, said):
    assert DIALECT.prompt(members(**asked)) == [{"role": role, "content": content} for role, content in said]


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        ([{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}, {"googleSearch": {}}], ["f", "g", "googleSearch"]),
        ({"function_declarations": {"name": "f"}, "code_execution": {}}, ["f", "code_execution"]),
        ([{"functionDeclarations": [{"name": 5}, 7]}, 3, "x"], ["", ""]), (None, []), ("x", []),
    ],
)  # fmt: skip
def test_tools_are_functions_by_name_and_others_by_their_member(tools, names):
    assert [one["name"] for one in DIALECT.tools(members(tools=tools))] == names


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ({"promptTokenCount": 10, "candidatesTokenCount": 2, "totalTokenCount": 12}, [10, 2, 0, 0, 0, 12]),
        (USAGE, [40, 14, 30, 0, 5, 54]),
        ({"promptTokenCount": 10, "toolUsePromptTokenCount": 7, "candidatesTokenCount": 2, "totalTokenCount": 19}, [17, 2, 0, 0, 0, 19]),
        ({"promptTokenCount": 10, "totalTokenCount": 10}, [10, 0, 0, 0, 0, 10]),
        ({"promptTokenCount": 10}, [10, 0, 0, 0, 0, 10]),
        ({"candidatesTokenCount": 1, "thoughtsTokenCount": 95, "totalTokenCount": 392}, [296, 96, 0, 0, 95, 392]),
        ({"promptTokenCount": 10, "candidatesTokenCount": 2, "totalTokenCount": 50}, [10, 40, 0, 0, 0, 50]),
        ({"promptTokenCount": 3, "cachedContentTokenCount": 9}, [3, 0, 3, 0, 0, 3]),
        ({"promptTokenCount": "1", "candidatesTokenCount": -3, "totalTokenCount": None}, None),
        ({"trafficType": "ON_DEMAND"}, None), ({}, None), (None, None), ([], None), (7, None),
    ],
)  # fmt: skip
def test_counts_of_every_way_to_report_usage(reported, expected):
    answer = json.dumps({"candidates": [], "usageMetadata": reported}).encode()
    assert counts(DIALECT.usage(answer)) == expected
    assert counts(DIALECT.frame_usage(framed(answer))[0]) == expected


@pytest.mark.parametrize(
    ("audio", "tier"), [("AUDIO", {"serviceTier": "FLEX"}), (4, {"trafficType": "ON_DEMAND_FLEX"})]
)
def test_audio_and_service_tier_are_read(audio, tier):
    heard = [{"modality": "TEXT", "tokenCount": 4}, {"modality": audio, "tokenCount": 6}, 5]
    reported = {
        "promptTokenCount": 10,
        "promptTokensDetails": heard,
        "candidatesTokenCount": 7,
        "candidatesTokensDetails": heard,
    }
    usage = DIALECT.usage(json.dumps({"usageMetadata": {**reported, **tier}}).encode())
    assert usage is not None
    assert (usage.audio_input, usage.audio_output, usage.service_tier) == (6, 6, "flex")


@pytest.mark.parametrize("after", [[], [{"candidates": []}], [{"usageMetadata": {}}], [{"usageMetadata": None}]])
def test_usage_of_an_array_is_its_last(after):
    answers = [{"usageMetadata": {"promptTokenCount": 40}}, {"usageMetadata": USAGE}, *after]
    assert counts(DIALECT.usage(json.dumps(answers, indent=1).encode())) == [40, 14, 30, 0, 5, 54]
    assert DIALECT.usage(json.dumps(after).encode()) is None
    assert DIALECT.usage(json.dumps([*answers, 5]).encode()) is None


def test_a_candidates_texts_are_one_and_its_thoughts_another():
    assert laws.said(DIALECT, STREAM) == {
        (Channel.REASONING, 0, 0): "hm, aab é", (Channel.CONTENT, 0, 0): "zaab, a", (Channel.CONTENT, 1, 0): "two aab",
    }  # fmt: skip
    called = {"functionCall": {"name": "f", "args": '{"q'}}
    assert DIALECT.texts(framed({"candidates": [candidate(called, index=None)]})) == (
        TextSlot(Channel.TOOL_ARGUMENTS, 0, 0, '{"q'),
    )


def test_only_texts_change():
    assert laws.only_texts_change(DIALECT, STREAM) == 9
    masked = relayed(Texts(DIALECT, [Mask("aab", "X")]), [STREAM])
    (call,) = [
        part for one in chunks(masked) for part in one["candidates"][0]["content"]["parts"] if "functionCall" in part
    ]
    assert call == {"functionCall": {"name": "f", "args": {"q": "X"}}, "thoughtSignature": "aab="}


@given(st.data(), st.sampled_from([b"\n", b"\r\n"]))
@LAW
def test_any_cutting_is_the_same_and_gives_the_same_usage(data, eol):
    stream = STREAM.replace(b"\r\n", eol)
    assert counts(laws.relays(DIALECT, stream, data.draw(cuttings(stream)))) == [40, 14, 30, 0, 5, 54]


def test_held_text_leaves_before_the_frame_that_finishes_and_repeats_nothing_else():
    laws.masks(DIALECT, STREAM, "aab", "X")
    called = {"functionCall": {"name": "f", "args": {}}}
    first = chunk(
        candidate(called, {"text": "za"}), candidate({"text": "ya", "thought": True}, index=1), usageMetadata=USAGE
    )
    ending = chunk(candidate(finishReason="STOP"), candidate(index=1, finishReason="STOP"))
    out = list(chunks(relayed(Texts(DIALECT, [Mask("aab", "X")]), [first + ending])))
    assert out[1:-1] == [
        {"modelVersion": "m", "responseId": "r", "candidates": [candidate({"text": "a"})]},
        {"modelVersion": "m", "responseId": "r", "candidates": [candidate({"text": "a", "thought": True}, index=1)]},
    ]


@pytest.mark.parametrize(
    ("body", "ended"),
    [
        ({"candidates": [{"finishReason": "STOP"}, {"index": 1}, {"index": 2, "finishReason": 2}]}, (0, 2)),
        ({"candidates": [{"finishReason": "FINISH_REASON_UNSPECIFIED"}, {"index": 1, "finishReason": None}]}, ()),
        ({"candidates": [{"content": {"parts": [{"text": '"finishReason":"STOP"'}]}}]}, ()),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, EVERY), ({"promptFeedback": {"safetyRatings": []}}, ()),
        ({"error": {"code": 500}}, EVERY), ({"candidates": [{"content": {"parts": [{"functionCall": {"args": {"error": 1}}}]}}]}, ()),
        ([], ()),
    ],
)  # fmt: skip
def test_candidates_end_with_their_finish_reason_and_all_when_the_prompt_is_blocked(body, ended):
    assert DIALECT.ends(framed(body)) == ended


@pytest.mark.parametrize(("reason", "said"), [*REASONS.items(), ("else", "OTHER")])
def test_finish_ends_every_candidate_of_the_frame(reason, said):
    body = chunk(candidate({"text": "so far"}, index=None), candidate({"text": "x"}, index=1), usageMetadata=USAGE)
    (before,) = split(body)
    (after,) = split(DIALECT.finish(before, reason))
    found = json.loads(after.data)
    assert [(one["index"], one["finishReason"], one["content"]["parts"]) for one in found["candidates"]] == [
        (index, said, [{"text": ""}]) for index in (0, 1)
    ]
    assert (found["usageMetadata"], found["responseId"], after.raw[-4:]) == (USAGE, "r", b"\r\n\r\n")
    assert DIALECT.ends(after) == (0, 1)
    assert DIALECT.ends(next(split(DIALECT.finish(framed(b""), reason)))) == (0,)


@given(BODIES | FRAMES)
@LAW
def test_no_frame_can_break_the_dialect(body):
    laws.survives(DIALECT, body)
    laws.survives(DIALECT, json.dumps([body]).encode())


@given(st.binary(max_size=60) | st.binary(max_size=30).map(lambda raw: b'[{"usageMetadata":{"' + raw + b'":1}}]'))
@LAW
def test_no_bytes_can_break_the_dialect(data):
    laws.survives(DIALECT, data)


@given(
    REQUESTS | st.dictionaries(st.sampled_from(sorted(Gemini.asks)), ASKED, max_size=3), st.booleans(), st.booleans()
)
@LAW
def test_what_a_prompt_says_stands_in_the_request(asked, wide, slashed):
    laws.stands(DIALECT, asked, wide=wide, slashed=slashed)


@pytest.mark.parametrize("data", laws.DEEP)
def test_deep_json_cannot_break_the_dialect(data):
    laws.survives(DIALECT, data)


@pytest.mark.parametrize("status", sorted({*STATUSES, 402, 413, 500, 529}))
def test_errors_say_their_status_in_googles_words(status):
    error = PolicyError(status, "budget_exceeded", "no `x`\n\nleft")
    word = STATUSES.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    assert json.loads(DIALECT.error(error)) == {"error": {"code": status, "message": "no `x`\n\nleft", "status": word}}
    assert DIALECT.is_error(DIALECT.error(error))
    (last,) = split(DIALECT.stream_error(error))
    assert (last.data, DIALECT.ends(last)) == (DIALECT.error(error), EVERY)


def test_what_broke_off_says_so_and_has_used_what_was_reported():
    relay = Frames(DIALECT)
    out = relay.feed(STREAM[:-20]) + relay.broken(UpstreamError(504, "timeout", "broke off"))
    assert counts(relay.usage) == [40, 6, 30, 0, 5, 46]
    *_, last = chunks(out)
    assert last == {"error": {"code": 504, "message": "broke off", "status": "DEADLINE_EXCEEDED"}}


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        (b'{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[]}}', True),
        (b'[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]', True),
        (b'{"error":{"message":"m","type":"x","code":"400"}}', False), (b'{"error":"m"}', False), (b'{"candidates":[]}', False),
        (b"[]", False), (b"[5]", False), (b"<html>", False), (b"", False),
    ],
)  # fmt: skip
def test_an_error_is_known_by_its_message_and_status(answer, is_one):
    assert DIALECT.is_error(answer) == is_one


def reckoned(reported: dict[str, Any]) -> list[int] | None:
    """Count slowly: the total is the sum of its parts, and what nobody names is the prompt."""
    thought, total = (
        reported.get("thoughtsTokenCount", 0),
        reported.get("totalTokenCount", reported.get("promptTokenCount")),
    )
    answered = reported.get("candidatesTokenCount", 0) + thought
    return total and [total - answered, answered, reported.get("cachedContentTokenCount", 0), 0, thought, total]


def test_recorded_exchanges_keep_the_laws(shared):
    assert recorded.judge(Gemini, shared, reckoned) == {"answers": 24, "errors": 8, "streams": 10, "unreported": 4}


def test_what_says_a_text_again_goes_once_any_of_it_was_changed():
    redaction = Redaction([(Scanner([Rule("MAIL", r"\w+@b\.org")]), Action.MASK, None)])
    relay = Texts(Gemini(), (redaction.guard(),))
    grounded = {"groundingSupports": [{"segment": {"text": "ann@b.org"}}]}
    frames = [
        {"candidates": [{"index": 0, "content": {"parts": [{"text": text}]}, **more}]}
        for text, more in (
            ("ann", {"logprobsResult": {"chosenCandidates": [{"token": "ann"}]}}),
            ("@b.org now", {}),
            ("", {"groundingMetadata": grounded, "finishReason": "STOP"}),
        )
    ]
    out = b"".join([*(relay.feed(b"data: %b\n\n" % json.dumps(one).encode()) for one in frames), relay.end()])
    assert b"ann" not in out.replace(b"channel", b"")
    assert "".join(slot.text for frame in split(out) for slot in Gemini().texts(frame)) == "<MAIL> now"
