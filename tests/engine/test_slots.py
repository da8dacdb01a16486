"""The texts of a body by their places: found in order, replaced where they stand, and nothing else touched."""

from __future__ import annotations

import json

import msgspec
import pytest

from engine.slots import CALLS, INPUT, RESULTS, Repeats, Slots, Tokens, encoded

CHAT = Slots({
    "messages[role!=tool].content": INPUT,
    "messages[role!=tool].content[].text": INPUT,
    "messages[role=tool].content": RESULTS,
    "messages[].tool_calls[].function.arguments": CALLS,
    "prompt": INPUT,
    "prompt[]": INPUT,
    "contents[].parts[].functionCall.args.**": CALLS,
})  # fmt: skip
EVERY = frozenset({INPUT, RESULTS, CALLS})
BODY = {
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:x"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": '{"a": 1}'}}]},
        {"role": "tool", "content": "42"},
    ],
    "temperature": 1,
}  # fmt: skip


def raw(body):
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in body.items()}


def test_texts_are_found_by_what_they_are():
    _, slots = CHAT.of_members(raw(BODY), EVERY)
    assert sorted((one.phase, one.text) for one in slots) == [
        (INPUT, "be brief"), (INPUT, "look"), (CALLS, '{"a": 1}'), (RESULTS, "42"),
    ]  # fmt: skip
    _, results = CHAT.of_members(raw(BODY), frozenset({RESULTS}))
    assert [one.text for one in results] == ["42"]


def test_a_text_is_replaced_where_it_stands():
    values, slots = CHAT.of_members(raw(BODY), EVERY)
    next(one for one in slots if one.text == "look").put("***")
    changed = json.loads(bytes(encoded(values["messages"])))
    assert changed[1]["content"][0]["text"] == "***"
    changed[1]["content"][0]["text"] = "look"
    assert changed == BODY["messages"]


def test_only_members_that_hold_texts_are_decoded():
    values, _ = CHAT.of_members({**raw(BODY), "tools": msgspec.Raw(b"not even JSON")}, EVERY)
    assert values.keys() == {"messages"}


def test_every_text_within_an_object_of_arguments():
    body = {
        "contents": [{"parts": [{"functionCall": {"name": "f", "args": {"a": "x", "b": [1, {"c": "y"}], "d": 2}}}]}]
    }
    slots = CHAT.of_body(body, EVERY)
    assert [one.text for one in slots] == ["x", "y"]
    slots[1].put("z")
    assert body["contents"][0]["parts"][0]["functionCall"]["args"]["b"][1]["c"] == "z"


@pytest.mark.parametrize("prompt", [[1, 2], [[1, 2], [3]], 7])
def test_tokens_are_no_text(prompt):
    slots = Slots({"prompt": INPUT, "prompt[]": INPUT, "prompt[][]": INPUT})
    with pytest.raises(Tokens, match="prompt"):
        slots.of_members(raw({"prompt": prompt}), EVERY)


@pytest.mark.parametrize(
    "body", [[], "x", {"messages": 1.5}, {"messages": {"content": "x"}}, {"messages": ["x", None]}]
)
def test_what_is_no_message_is_passed_over(body):
    assert CHAT.of_body(body, EVERY) == []


def test_a_number_in_the_place_of_a_text_hides_no_other():
    body = {"messages": [{"role": "user", "content": 5}, {"role": "user", "content": "seen"}]}
    assert [one.text for one in CHAT.of_body(body, EVERY)] == ["seen"]


def test_what_repeats_texts_is_taken_away():
    body = {
        "choices": [{"logprobs": [1], "message": {"content": "x", "audio": {"data": "y"}}}, {"text": "z"}],
        "id": "1",
    }
    Repeats(("choices[].logprobs", "choices[].message.audio", "other")).drop(body)
    assert body == {"choices": [{"message": {"content": "x"}}, {"text": "z"}], "id": "1"}
