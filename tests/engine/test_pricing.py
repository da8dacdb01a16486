"""Money of a call: hand-computed goldens, and an independent Decimal reading of every published row."""

from __future__ import annotations

import json
import re
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.call import Usage
from engine.pricing import Price, Prices, custom, nano

PRICES = Prices.bundled()
NANO = Decimal("1e-9")
SOURCE = Path(__file__).parents[3] / "shared" / "pricing" / "model_prices.jsonl"
TOKENS = st.integers(-5, 3_000_000)
TIERS = ["", "auto", "default", "flex", "priority", "batch", "batches"]
published = pytest.mark.skipif(not SOURCE.exists(), reason="the published map lies beside the repository")


def price_of(model: str, provider: str = "") -> Price:
    price = PRICES.find(model, provider)
    assert price is not None
    return price


def usage(input: int = 0, output: int = 0, tier: str = "", **parts: int) -> Usage:  # noqa: A002 - Usage's own word
    made = Usage(input, output)
    made.service_tier = tier
    for name, tokens in parts.items():
        setattr(made, name, tokens)
    return made


def nano_of(usd: Decimal) -> int:
    return int((usd / NANO).to_integral_value(ROUND_HALF_UP))


@pytest.mark.parametrize(
    ("model", "used", "usd"),
    [
        ("gpt-4o-mini", usage(1234, 567), "1234 * 0.00000015 + 567 * 0.0000006"),
        ("gpt-4o", usage(10_000, 100, cached_input=7_936), "2064 * 0.0000025 + 7936 * 0.00000125 + 100 * 0.00001"),
        ("gpt-4o", usage(1000, 100, "priority"), "1000 * 0.00000425 + 100 * 0.000017"),
        (
            "claude-sonnet-4-5",
            usage(5_000, 300, cached_input=2_000, cache_write=1_500),
            "1500 * 0.000003 + 2000 * 0.0000003 + 1500 * 0.00000375 + 300 * 0.000015",
        ),
        ("gemini-2.5-pro", usage(200_000, 1_000), "200000 * 0.00000125 + 1000 * 0.00001"),
        (
            "gemini-2.5-pro",
            usage(200_001, 1_000, cached_input=50_000),
            "150001 * 0.0000025 + 50000 * 0.00000025 + 1000 * 0.000015",
        ),
        ("gemini-2.5-pro", usage(200_001, 1_000, "priority"), "200001 * 0.0000045 + 1000 * 0.000027"),
        ("gpt-5", usage(1_001, 400, cached_input=1), "1000 * 0.00000125 + 1 * 0.000000125 + 400 * 0.00001"),
        ("gpt-5", usage(1_001, 400, "flex", cached_input=1), "1000 * 625e-9 + 1 * 62.5e-9 + 400 * 0.000005"),
        ("gpt-5", usage(1_001, 400, "priority", cached_input=1), "1000 * 2.5e-6 + 1 * 250e-9 + 400 * 0.00002"),
        ("gpt-5", usage(1_001, 400, "batch"), "1001 * 625e-9 + 400 * 0.000005"),
        ("gpt-5", usage(1_001, 400, "default"), "1001 * 1.25e-6 + 400 * 0.00001"),
        (
            "gpt-4o-audio-preview-2025-06-03",
            usage(1_000, 500, audio_input=800, audio_output=450),
            "200 * 0.0000025 + 800 * 0.00004 + 50 * 0.00001 + 450 * 0.00008",
        ),
        ("text-embedding-3-small", usage(8_191), "8191 * 0.00000002"),
        ("perplexity/sonar-deep-research", usage(10, 1_000, reasoning=400), "10 * 2e-6 + 600 * 8e-6 + 400 * 3e-6"),
        ("perplexity/pplx-7b-online", usage(10_000, 100), "0.005 + 100 * 0.00000028"),
        ("rerank-v3.5", usage(500), "0.002"),
        ("dashscope/qwen-flash", usage(256_000, 10), "256000 * 5e-8 + 10 * 4e-7"),
        ("dashscope/qwen-flash", usage(256_001, 10), "256001 * 2.5e-7 + 10 * 2e-6"),
    ],
)
def test_a_call_costs_what_a_hand_computes(model, used, usd):
    terms = [[Decimal(factor) for factor in term.split(" * ")] for term in usd.split(" + ")]
    by_hand = sum((term[0] * term[-1] if len(term) == 2 else term[0] for term in terms), Decimal(0))
    assert price_of(model).cost(used) == nano_of(by_hand)


def test_the_sum_is_rounded_once_half_up():
    price = custom({"input_cost_per_token": "5e-10", "output_cost_per_token": "0.0000000004999"}, None)
    assert [price.cost(usage(tokens)) for tokens in (0, 1, 2, 3)] == [0, 1, 1, 2]
    assert price.cost(usage(0, 1)) == 0
    assert price.cost(usage(1, 1)) == 1
    assert nano(1_499_999_999) == 1


@pytest.mark.parametrize("garbage", [{"cached_input": 90}, {"cache_write": 70, "cached_input": 7}, {"audio_input": -3}])
def test_contradicting_counts_are_clamped(garbage):
    price = price_of("claude-sonnet-4-5")
    most = 10 * Decimal("0.00000375")
    assert 0 < price.cost(usage(10, 0, **garbage)) <= nano_of(most)
    assert price.cost(usage(10, 5, reasoning=50)) == price.cost(usage(10, 5))
    assert price.cost(usage(-10, -5, **garbage)) == 0


def test_what_has_no_price_costs_nothing():
    assert custom({}, None).cost(usage(1_000_000, 1_000_000, reasoning=5)) == 0


def test_a_part_priced_like_its_whole_follows_it_into_a_tier():
    price = custom(
        {
            "output_cost_per_token": "0.000004",
            "output_cost_per_reasoning_token": "0.000004",
            "output_cost_per_token_flex": "0.000002",
        },
        None,
    )
    assert price.cost(usage(0, 10, "flex", reasoning=10)) == 20_000


def test_own_prices_win_over_found_ones_field_by_field():
    found = price_of("gpt-4o")
    price = custom({"input_cost_per_token": "0.000001", "max_output_tokens": "99", "supports_vision": "false"}, found)
    assert price.cost(usage(1_000, 10)) == 1_000_000 + 100_000
    assert price.cost(usage(1_000, 10, cached_input=1_000)) == 1_250_000 + 100_000
    assert (price.mode, price.provider) == ("chat", "openai")
    assert (price.max_input_tokens, price.max_output_tokens) == (128_000, 99)
    assert "vision" in found.supports
    assert "vision" not in price.supports


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"input_cost_per_token": "-0.1"}, "input_cost_per_token"),
        ({"input_cost_per_token": "cheap"}, "input_cost_per_token"),
        ({"input_cost_per_token": "NaN"}, "input_cost_per_token"),
        ({"input_cost_per_token": "1e999999999"}, "input_cost_per_token"),
        ({"max_output_tokens": "1.5"}, "max_output_tokens"),
        ({"input_price": "1"}, "input_price"),
    ],
)
def test_bad_own_prices_are_refused_by_name(fields, named):
    with pytest.raises(ValueError, match=named):
        custom(fields, None)


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"output_cost_per_token": -1e-9}, "output_cost_per_token"),
        ({"output_cost_per_token": True}, "output_cost_per_token"),
        ({"search_context_cost_per_query": {"low": "x"}}, "search_context_cost_per_query.low"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"mode": 3}, "mode"),
        ({"tiered_pricing": [{"range": [1500, 2000]}]}, "tiered_pricing"),
        ({"tiered_pricing": "x"}, "tiered_pricing"),
        (7, "not a model"),
    ],
)
def test_a_bad_row_is_named_with_its_field(row, named):
    with pytest.raises(ValueError, match=f"`bad-one`.*{re.escape(named)}"):
        Prices.read(json.dumps({"good": {}, "bad-one": row}).encode())


@pytest.mark.parametrize("text", [b"[]", b"{", b'{"m": {"input_cost_per_token": NaN}}', b'{"m": {"mode": Infinity}}'])
def test_text_that_is_no_map_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        Prices.read(text)


def test_a_published_map_round_trips():
    rows = {
        "sample_spec": {"max_tokens": "a text that explains", "input_cost_per_token": 0},
        "acme/one": {
            "litellm_provider": "acme",
            "mode": "chat",
            "max_tokens": 4096,
            "max_input_tokens": 128000.0,
            "input_cost_per_token": 1.5e-07,
            "output_cost_per_token": "6e-7",
            "input_cost_per_image": None,
            "search_context_cost_per_query": {"search_context_size_low": 0.035},
            "supports_vision": True,
            "supports_reasoning": False,
        },
        "acme/two": {"litellm_provider": "acme", "mode": "embedding", "max_tokens": 512},
    }
    read = Prices.read(json.dumps(rows).encode())
    again = Prices.load(read.dump())
    assert again.dump() == read.dump()
    assert sorted(again) == ["acme/one", "acme/two"]
    one = again.find("one", "acme")
    assert one is not None
    assert one.prices == {
        "input_cost_per_token": 15 * 10**10,
        "output_cost_per_token": 6 * 10**11,
        "search_context_cost_per_query.search_context_size_low": 35 * 10**15,
    }
    assert (one.provider, one.mode, one.max_input_tokens, one.max_output_tokens) == ("acme", "chat", 128_000, 4_096)
    assert one.supports == {"vision"}
    two = again.find("acme/two")
    assert two is not None
    assert (two.max_input_tokens, two.max_output_tokens) == (512, None)


def test_an_empty_map_round_trips():
    assert len(Prices.load(Prices.read(b"{}").dump())) == 0


@pytest.mark.parametrize(
    ("model", "provider", "found"),
    [
        ("gpt-4o", "openai", "openai"),
        ("gpt-4o", "", "openai"),
        ("openai/gpt-4o", "", "openai"),
        ("openai/gpt-4o", "openai", "openai"),
        ("gpt-4o", "azure", "azure"),
        ("azure/gpt-4o", "", "azure"),
        ("gemini-2.5-pro", "vertex_ai", "vertex_ai-language-models"),
        ("gemini-2.5-pro", "gemini", "gemini"),
        ("anthropic/claude-sonnet-4-5", "", "anthropic"),
        ("gpt-4o", "a-clone", "openai"),
        ("a-clone/gpt-4o", "", "openai"),
        ("a-clone/gpt-4o", "a-clone", "openai"),
        ("nobody/knows-this", "openai", None),
        ("", "", None),
    ],
)
def test_models_are_found_as_their_users_name_them(model, provider, found):
    price = PRICES.find(model, provider)
    assert (price and price.provider) == found
    assert PRICES.find(model, provider) is price


def test_a_row_of_the_right_provider_goes_before_a_bare_row_of_another():
    rows = {"a/m": {"litellm_provider": "other"}, "m": {"litellm_provider": "a-line"}}
    price = Prices.read(json.dumps(rows).encode()).find("a/m", "a")
    assert price is not None
    assert price.provider == "a-line"


def test_models_of_a_provider_are_listed_without_its_prefix():
    names = PRICES.names("openai")
    assert names == sorted(set(names))
    assert {"gpt-4o", "gpt-5", "text-embedding-3-small", "gpt-3.5-turbo-instruct"} <= set(names)
    assert not [name for name in names if "-x-" in name or name.startswith("openai/")]
    assert "openai/gpt-oss-120b" in PRICES.names("groq")
    assert "gemini-2.5-pro" in PRICES.names("vertex_ai")
    assert all(PRICES.find(name, "azure") for name in PRICES.names("azure"))
    assert PRICES.names("nobody") == []


def rows_published() -> list[dict]:
    if not SOURCE.exists():
        return [{"model": "none"}]
    lines = SOURCE.read_bytes().splitlines()
    return [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]


ROWS = rows_published()


def flat(row: dict) -> dict[str, Decimal]:
    prices = {name: value for name, value in row.items() if isinstance(value, Decimal)}
    for tier in row.get("tiered_pricing", ()):
        start = int(tier.get("range", [0])[0]) // 1000
        for name, value in tier.items():
            if isinstance(value, Decimal):
                prices.setdefault(name + (f"_above_{start}k_tokens" if start else ""), value)
    return prices


def by_decimal(row: dict, used: Usage) -> int:
    """Read the row with Decimal and plain words, sharing nothing with the product."""
    prices = flat(row)
    tokens = max(used.input, 0)
    tier = {"flex": "_flex", "priority": "_priority", "batch": "_batches", "batches": "_batches"}.get(used.service_tier)
    steps = {int(n) for name in prices for n in re.findall(r"^(?:input|output|cache).*_above_(\d+)k_tokens", name)}
    order = [f"_above_{n}k_tokens" for n in sorted(steps, reverse=True) if tokens > n * 1000] + [""]
    order = [step + end for step in order for end in ([tier, ""] if tier else [""])]

    def per(name: str, *wholes: str) -> Decimal:
        own = next((end for end in order if name + end in prices), None)
        like_whole = bool(wholes) and own == "" and prices[name] == prices.get(wholes[0])
        if own is None or like_whole:
            return per(*wholes) if wholes else Decimal(0)
        return prices[name + own].quantize(Decimal("1e-18"), ROUND_HALF_UP)

    usd = per("input_cost_per_request") + per("input_cost_per_query")
    left = tokens
    for count, name in (
        (used.cached_input, "cache_read_input_token_cost"),
        (used.cache_write, "cache_creation_input_token_cost"),
        (used.audio_input, "input_cost_per_audio_token"),
    ):
        part = sorted((0, count, left))[1]
        left -= part
        usd += part * per(name, "input_cost_per_token")
    usd += left * per("input_cost_per_token")
    left = max(used.output, 0)
    for count, name in (
        (used.reasoning, "output_cost_per_reasoning_token"),
        (used.audio_output, "output_cost_per_audio_token"),
    ):
        part = sorted((0, count, left))[1]
        left -= part
        usd += part * per(name, "output_cost_per_token")
    return nano_of(usd + left * per("output_cost_per_token"))


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    parts = ("cached_input", "cache_write", "reasoning", "audio_input", "audio_output")
    small = st.one_of(st.just(0), TOKENS)
    return usage(draw(TOKENS), draw(TOKENS), draw(st.sampled_from(TIERS)), **{part: draw(small) for part in parts})


@published
@given(row=st.sampled_from(ROWS), used=usages())
@settings(max_examples=500, deadline=None)
def test_cost_equals_an_independent_decimal_sum(row, used):
    if row["model"] == "fallback_generalizations":
        return
    cost = price_of(row["model"]).cost(used)
    assert cost == by_decimal(row, used)
    assert cost >= 0


@published
def test_every_published_row_costs_its_decimal_sum():
    used = [
        usage(900, 70, cached_input=300, cache_write=200, audio_input=100, reasoning=30, audio_output=20),
        usage(600_001, 9, "priority", cached_input=5),
        usage(272_001, 9, "flex", reasoning=9),
        usage(99, 9, "batch"),
    ]
    rows = [row for row in ROWS if row["model"] != "fallback_generalizations"]
    assert len(rows) == len(PRICES)
    for row in rows:
        price = price_of(row["model"])
        assert [price.cost(one) for one in used] == [by_decimal(row, one) for one in used], row["model"]


@given(model=st.sampled_from(sorted(PRICES)), used=usages(), more=st.integers(0, 500_000))
@settings(max_examples=300, deadline=None)
def test_more_tokens_never_cost_less(model, used, more):
    price = price_of(model)
    before = price.cost(used)
    used.output += more
    between = price.cost(used)
    assert before <= between
    used.service_tier = ""
    plain = price.cost(used)
    used.input += more
    assert plain <= price.cost(used)
