"""The token estimate: what each script comes to, what it never does, and its errors on traffic that nothing was fitted on."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.tokens import SAMPLES, Exchange, error, exchanges, rank, speed, table
from engine.tokens import FAMILIES, asked, count, estimate, family_of, weigh

FAMILY = st.sampled_from([*FAMILIES, "unheard of"])
MEMBER = st.sampled_from(["messages", "input", "contents", "system", "tools", "toolConfig", "response_format", "n"])
WORDS = st.sampled_from(["type", "image", "text", "content", "tools", "functionDeclarations", "schema", "é", ""])
ANYTHING = st.recursive(
    st.none() | st.integers(0, 9) | st.floats(0, 1) | WORDS | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
SCRIPTS = {
    "English": ("The committee meets on the first Tuesday of every month, unless that day is a holiday.", 18),
    "German": ("Der Ausschuss trifft sich am ersten Dienstag jedes Monats, außer an Feiertagen.", 17),
    "Chinese": ("委员会每月的第一个星期二开会、除非那天是假期。", 17),
    "Japanese": ("委員会は毎月第一火曜日に開かれます。", 14),
    "Russian": ("Комитет собирается в первый вторник каждого месяца.", 13),
    "digits": ("2024 1187 3321 9002 5512", 14),
    "code": ("def area(width, height):\n    return width * height\n", 13),
    "JSON": ('{"id":17,"name":"north","open":true,"tags":["a","b"]}', 21),
}
"""A text of ours in each script, and about what o200k makes of it, counted by hand."""


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_is_within_a_factor(script):
    text, about = SCRIPTS[script]
    found = estimate(text, "openai")
    print(f"{script}: {found} for about {about}")
    assert 0.6 * about <= found <= 1.7 * about


@given(st.binary(), FAMILY)
def test_any_bytes_have_an_estimate(text, family):
    assert 0 <= estimate(text, family) <= 3 * len(text)
    assert (estimate(text, family) == 0) == (weigh(text) == 0)


@given(st.text(st.characters(codec=None, exclude_categories=())), FAMILY)
def test_any_text_is_its_bytes(text, family):
    assert estimate(text, family) == estimate(text.encode("utf-8", "surrogatepass"), family)


@given(st.binary(max_size=200), st.binary(max_size=200), st.sampled_from([0, 1, 16_300, 16_384, 40_000]), FAMILY)
def test_more_text_is_never_fewer_tokens(text, more, before, family):
    longer = b" x" * before + text
    assert estimate(longer, family) <= estimate(longer + more, family)


def test_white_space_in_a_row_counts_once():
    assert estimate("a" + " " * 5_000 + "b", "openai") == estimate("a b", "openai")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(MEMBER, ANYTHING, max_size=4), FAMILY)
def test_any_members_have_an_estimate(members, family):
    assert count({name: raw(value) for name, value in members.items()}, family) >= 0


def test_all_dialects_say_the_same():
    text = "Where does the ferry to the island leave?"
    openai = asked({"messages": raw([{"role": "user", "content": text}])})
    parts = asked({"messages": raw([{"role": "user", "content": [{"type": "text", "text": text}]}])})
    gemini = asked({"contents": raw([{"role": "user", "parts": [{"text": text}]}])})
    responses = asked({"input": raw(text)})
    assert {(one.weight, one.messages) for one in (openai, parts, gemini, responses)} == {(weigh(text.encode()), 1)}


def test_escapes_weigh_what_they_stand_for():
    plain, escaped = msgspec.Raw('["渡轮七点"]'.encode()), msgspec.Raw(b'["\\u6e21\\u8f6e\\u4e03\\u70b9"]')
    assert count({"input": plain}, "qwen") == count({"input": escaped}, "qwen")


@pytest.mark.parametrize("text", [b'["\\ud800"]', b"[1,", b'{"type":', b"", b"nil", b"[" * 20_000 + b"]" * 20_000])
def test_what_cannot_be_read_is_weighed_as_it_came(text):
    for name in ("messages", "system", "tools", "response_format"):
        assert count({name: msgspec.Raw(text)}, "qwen") > 0


def test_pictures_sounds_and_documents_are_fixed_amounts():
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 50_000}},
        {"type": "input_audio", "input_audio": {"data": "A" * 50_000}},
        {"type": "document", "source": {"type": "base64", "data": "A" * 50_000}},
        {"inlineData": {"mimeType": "image/png", "data": "A" * 50_000}},
        {"type": "tool_result", "content": [{"type": "image", "source": {"data": "A" * 50_000}}]},
    ]
    found = asked({"messages": raw([{"role": "user", "content": parts}])})
    assert (found.images, found.audio, found.documents, found.weight) == (3, 1, 1, 0)
    one = FAMILIES["gemini"]
    assert found.tokens("gemini") >= 3 * one.image + one.audio + one.document


def test_tools_are_counted_wherever_they_stand():
    tool = {"name": "weather", "parameters": {"type": "object"}}
    flat = asked({"tools": raw([tool, tool])})
    nested = asked({"tools": raw([{"functionDeclarations": [tool, tool]}])})
    assert flat.tools == nested.tools == 2
    assert flat.schema == nested.schema > 0
    assert asked({"toolConfig": raw({"tools": [{"toolSpec": tool}]})}).tools == 1


@pytest.mark.parametrize(
    ("model", "family"),
    [("us.anthropic.claude-3-7-sonnet", "anthropic"), ("gpt-4o-mini", "openai"), ("gpt-4-0613", "cl100k"), ("gpt-4.1", "openai"), ("gpt-4", "cl100k"), ("openai/o3-mini", "openai"), ("x/gpt-oss-20b", "gpt-oss"), ("", "default")],
)  # fmt: skip
def test_a_model_names_its_family(model, family):
    assert family_of(model) == family


@pytest.fixture(scope="session")
def recorded(shared) -> list[Exchange]:
    return [one for one in exchanges(shared / "transcripts") if not one.fitted]


def test_errors_on_the_half_that_nothing_was_fitted_on(recorded):
    print("\n".join(table(recorded)))
    assert len(recorded) >= 50
    longer = [error(one) for one in recorded if one.counted >= 100]
    print(f"of 100 tokens and more: n {len(longer)}, median {rank(longer, 50):.1%}, p95 {rank(longer, 95):.1%}")
    assert rank(map(error, recorded), 50) < 0.35
    assert rank(longer, 50) < 0.35
    assert rank(map(error, recorded), 95) < 1.2


@pytest.mark.parametrize("kind", SAMPLES)
def test_speed(kind):
    taken = speed(SAMPLES[kind])
    print(f"{kind}: {taken:.2f} µs/KB")
    assert taken < 40, "an order of magnitude above what it takes"
