"""A guarded stream says what the guarded whole text says, whatever the detectors, the text and the cutting."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.arguments import LONGEST
from engine.contracts import Channel, TextSlot
from engine.detecting import Hit
from engine.guarding import WHOLE, Action, Blocked, Redaction, Watch
from engine.scanning import Rule, Scanner

PATTERNS = [
    r"ab{2,3}c\b", r"\bfoo", r"(?i)a(?:b|cd)*e", r"[a-c]{2,}x?", r"a|bc", r"\b\d{3}-\d{4}\b", r"[^\]a]+b", r"a.*b", r"ab(?:cde)?", r"\Aab", r"c\z",
    "中.{1,2}b", r"\d{2,4}", r'"a":\s?"\d+', r"é|\\", r"1,2", r'b"', r"(?:\A|[^\pL])(foo)(?:\z|[^\pL])",
]  # fmt: skip
PROSE = st.text("aabbbcde ]x\n-1234foo中zz", max_size=200)
BROKEN = st.text('aabbc1234"\\u{}[],: \n5', max_size=40)
LEAVES = (
    st.text('abbcdexfo1234-é中😀"\\\nz', max_size=12) | st.integers(0, 12_345_678) | st.sampled_from([True, None, 1.5])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.builds(
    lambda value, ascii_, spaced: json.dumps(value, ensure_ascii=ascii_, separators=(", ", ": ") if spaced else (",", ":")),
    st.dictionaries(st.sampled_from("abc"), VALUES, min_size=1, max_size=3), st.booleans(), st.booleans(),
)  # fmt: skip


class FooAnywhere:
    """A detector that wants texts whole."""

    types = ("FOO",)
    whole = True
    longest = 0

    def find(self, text: str, start: int = 0) -> list[Hit]:
        return [Hit(start, len(text), "FOO")] if "foo" in text[start:] else []

    def pending(self, text: str, start: int = 0) -> int:
        del text
        return start


class Pairs:
    """A detector that is no scanner."""

    types = ("PAIR",)
    whole = False
    longest = 2

    def find(self, text: str, start: int = 0) -> list[Hit]:
        found, at = [], text.find("zz", start)
        while at >= 0:
            found.append(Hit(at, at + 2, "PAIR"))
            at = text.find("zz", at + 2)
        return found

    def pending(self, text: str, start: int = 0) -> int:
        done = max([start, *(hit.end for hit in self.find(text, start))])
        return len(text) - 1 if text.endswith("z") and len(text) > done else len(text)


@st.composite
def redactions(draw: st.DrawFn, actions: tuple[Action, ...] = (Action.MASK, Action.MASK, Action.LOG)) -> Redaction:
    watches = []
    for number in range(draw(st.integers(1, 3))):
        action = draw(st.sampled_from(actions))
        kind = draw(st.integers(0, 11))
        if kind == 0:
            watches.append(Watch(FooAnywhere(), action, None, draw(st.sampled_from([0, 64]))))
        elif kind == 1:
            watches.append(Watch(Pairs(), action))
        else:
            longest = draw(st.sampled_from([3, 8]))
            patterns = draw(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2))
            rules = [Rule(f"T{number}", one, group="(foo)" in one, longest=longest) for one in patterns]
            watches.append(Watch(Scanner(rules), action, draw(st.sampled_from([None, '"\\m', ""]))))
    return Redaction(watches)


def fed(
    redaction: Redaction, text: str, cuts: list[int], channel: Channel = Channel.CONTENT
) -> tuple[str, Counter[Any], list[str]]:
    """Feed a text in pieces; return what left, what was noted, and what had left after each piece."""
    guard, out, last, steps = redaction.guard(), "", 0, []
    for cut in [*cuts, len(text)]:
        out += guard.feed(TextSlot(channel, 0, 0, text[last:cut]))
        steps.append(out)
        last = cut
    return out + guard.flush(channel, 0, 0), guard.noted, steps


def cutting(data: Any, text: str) -> list[int]:
    if data.draw(st.integers(0, 3)) == 0:
        return list(range(1, len(text)))
    return sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))


def law(data: Any, redaction: Redaction, text: str, *, arguments: bool) -> None:
    whole = redaction.whole(text, arguments=arguments)
    channel = Channel.TOOL_ARGUMENTS if arguments else Channel.CONTENT
    out, noted, steps = fed(redaction, text, cutting(data, text), channel)
    assert out == whole.text
    assert all(whole.text.startswith(step) for step in steps)
    assert noted == Counter(
        (redaction.names[hit.place], hit.type, redaction.watches[hit.place].action) for hit in whole.hits
    )


@given(st.data(), redactions(), PROSE)
@settings(deadline=None, max_examples=300)
def test_a_stream_says_what_the_whole_text_says(data, redaction, text):
    law(data, redaction, text, arguments=False)


@given(st.data(), redactions(), OBJECTS | BROKEN)
@settings(deadline=None, max_examples=300)
def test_arguments_in_a_stream_say_what_the_whole_says(data, redaction, text):
    law(data, redaction, text, arguments=True)


@pytest.mark.soak
@given(st.data(), redactions(), st.booleans(), PROSE, OBJECTS | BROKEN)
@settings(deadline=None, max_examples=100_000)
def test_a_hundred_thousand_streams_say_what_their_whole_texts_say(data, redaction, arguments, prose, written):
    law(data, redaction, written if arguments else prose, arguments=arguments)


@given(redactions(actions=(Action.MASK,)), OBJECTS)
@settings(deadline=None, max_examples=300)
def test_masked_arguments_stay_json(redaction, text):
    masked = json.loads(redaction.whole(text, arguments=True).text)
    assert isinstance(masked, dict)


@given(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3), PROSE)
@settings(deadline=None, max_examples=300)
def test_what_leaves_is_the_text_without_its_hits(patterns, text):
    """Said the other way round: of what some hit spans, not one character leaves."""
    scanners = [Scanner([Rule("T", pattern, longest=8)]) for pattern in patterns]
    hidden = {place for one in scanners for hit in one.find(text) for place in range(hit.start, hit.end)}
    left = "".join(letter for place, letter in enumerate(text) if place not in hidden)
    assert Redaction([(one, Action.MASK, "") for one in scanners]).whole(text).text == left


@given(st.data(), redactions(actions=(Action.BLOCK, Action.MASK)), PROSE)
@settings(deadline=None, max_examples=300)
def test_what_leaves_before_a_block_is_the_beginning_of_what_may(data, redaction, text):
    whole = redaction.whole(text)
    guard, out, last = redaction.guard(), "", 0
    first = next((hit for hit in whole.hits if redaction.watches[hit.place].action is Action.BLOCK), None)
    try:
        for cut in [*cutting(data, text), len(text)]:
            out += guard.feed(TextSlot(Channel.CONTENT, 0, 0, text[last:cut]))
            last = cut
        out += guard.flush(Channel.CONTENT, 0, 0)
    except Blocked:
        assert first is not None
        assert whole.blocked is not None
    else:
        assert first is None
        assert whole.blocked is None
    assert whole.text.startswith(out)


@given(st.data(), st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3), PROSE)
@settings(deadline=None, max_examples=200)
def test_no_more_is_held_than_the_longest_hit(data, patterns, text):
    redaction = Redaction([(Scanner([Rule("T", one, longest=8)]), Action.LOG, None) for one in patterns])
    longest = max(watch.detector.longest for watch in redaction.watches)
    cuts = cutting(data, text)
    _, _, steps = fed(redaction, text, cuts)
    assert all(cut - len(step) <= longest for cut, step in zip([*cuts, len(text)], steps, strict=True))


def test_a_number_is_masked_whole_and_as_a_string():
    redaction = Redaction([(Scanner([Rule("CARD", r"4111\d{4}")]), Action.MASK, None)])
    assert redaction.whole('{"card": 9411112349, "n": 4111}', arguments=True).text == '{"card": "<CARD>", "n": 4111}'


def test_what_is_written_in_escapes_is_found_and_cut_at_their_edges():
    redaction = Redaction([(Scanner([Rule("MAIL", r"a@b\.org")]), Action.MASK, None)])
    assert redaction.whole(r'{"to": "x\u0061\u0040b.or\u0067\n"}', arguments=True).text == r'{"to": "x<MAIL>\n"}'


def test_a_hit_over_several_strings_is_taken_out_of_each():
    redaction = Redaction([(Scanner([Rule("PAIR", 'b", "c')]), Action.MASK, None)])
    assert redaction.whole('{"x": ["ab", "cd"]}', arguments=True).text == '{"x": ["a<PAIR>", "d"]}'


def test_what_a_tool_is_told_without_json_is_masked_as_text():
    redaction = Redaction([(Scanner([Rule("N", r"\d+")]), Action.MASK, None)])
    assert redaction.whole("print(12)", arguments=True).text == "print(<N>)"
    assert fed(redaction, "  print(12)", [1, 2, 9], Channel.TOOL_ARGUMENTS)[0] == "  print(<N>)"


def test_overlapping_hits_are_one_and_the_first_names_it():
    first, second = Scanner([Rule("FIRST", "abcd")]), Scanner([Rule("SECOND", "cdef")])
    redaction = Redaction([(second, Action.MASK, None), (first, Action.MASK, "[{type}]")])
    assert redaction.whole("xabcdefx").text == "x[FIRST]x"
    assert fed(redaction, "xabcdefx", list(range(8)))[0] == "x[FIRST]x"


def test_each_text_of_a_stream_is_one_of_its_own():
    redaction = Redaction([(Scanner([Rule("T", "abc")]), Action.MASK, None)])
    guard = redaction.guard()
    out = [guard.feed(TextSlot(Channel.CONTENT, choice, 0, piece)) for piece in ("a", "bc") for choice in (0, 1)]
    out += [guard.feed(TextSlot(Channel.REASONING, 0, 0, "ab")), guard.flush(Channel.REASONING, 0, 0)]
    assert out == ["", "", "<T>", "<T>", "", "ab"]
    assert guard.flush(Channel.REFUSAL, 9, 9) == ""


def test_a_block_names_type_and_detector_but_no_text():
    redaction = Redaction([Watch(Scanner([Rule("KEY", r"key-\d+", longest=8)]), Action.BLOCK)])
    with pytest.raises(Blocked) as blocked:
        fed(redaction, "the key-1234567890", [6, 9])
    assert (blocked.value.type, blocked.value.detector) == ("KEY", "scanning")
    assert "1234" not in str(blocked.value)
    assert redaction.whole("the key-12 x").text == "the <KEY> x"


def test_what_wants_a_text_whole_holds_a_stream_back_up_to_a_bound():
    redaction = Redaction([Watch(FooAnywhere(), Action.MASK)])
    out, _, steps = fed(redaction, "a foo b", [2, 5])
    assert (out, steps) == ("<FOO>", ["", "", ""])
    guard = redaction.guard()
    assert guard.feed(TextSlot(Channel.CONTENT, 0, 0, "x" * WHOLE)) == ""
    with pytest.raises(Blocked, match="TOO_LONG"):
        guard.feed(TextSlot(Channel.CONTENT, 0, 0, "x"))


def test_a_window_lets_a_stream_go_on():
    redaction = Redaction([Watch(FooAnywhere(), Action.MASK, None, 64)])
    _, _, steps = fed(redaction, "x" * 1_000, list(range(0, 1_000, 10)))
    assert 1_000 - len(steps[-1]) <= 64
    assert redaction.whole("x" * 200 + "foo" + "x" * 200).text.count("<FOO>") == 1


def test_a_number_without_an_end_is_let_go_of():
    redaction = Redaction([(Scanner([Rule("T", "zz")]), Action.MASK, None)])
    guard = redaction.guard()
    out = guard.feed(TextSlot(Channel.TOOL_ARGUMENTS, 0, 0, '{"n": ' + "1" * 5_000))
    assert len(out) >= 5_000 - LONGEST
