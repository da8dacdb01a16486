"""What one model costs: its unit prices, and the sum for one call's usage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from engine.call import Measured, Usage
from engine.pricing.measured import beside

_NANO = 10**9
_HALF = _NANO // 2
_SERVICE_TIERS = {
    "batch": "_batches",
    "batches": "_batches",
    "flex": "_flex",
    "priority": "_priority",
    "balanced": "_balanced",
    "ultrafast": "_ultrafast",
}
_ABOVE = re.compile(r"(?:input|output|cache)_.*_above_(\d+)k_tokens(?:_[a-z]+)?")


def nano(atto: int) -> int:
    """Return `atto` (10^-18 USD) in nano-dollars, rounded half up."""
    return (atto + _HALF) // _NANO


class _Rates(NamedTuple):
    """The unit prices of one call, in 10^-18 USD; `Price.cost` reads them by position, which is faster."""

    input: int
    output: int
    cached_input: int
    cache_write: int
    audio_input: int
    reasoning: int
    audio_output: int
    request: int
    cache_write_1h: int
    image_input: int
    image_output: int


class Price:
    """The prices and limits of one model; immutable by convention.

    `prices` holds every unit price by its published field name, in 10^-18 USD (parts of a nested field by
    `field.part`); `supports` the published `supports_*` facts that are true, without the prefix. `variants` are the prices
    of single kinds of a model's pictures, by `quality/size`.
    """

    __slots__ = (
        "_ladders",
        "_rates",
        "max_input_tokens",
        "max_output_tokens",
        "mode",
        "prices",
        "provider",
        "supports",
        "variants",
    )

    def __init__(
        self,
        provider: str,
        mode: str,
        limits: tuple[int | None, int | None],
        supports: frozenset[str],
        prices: Mapping[str, int],
    ) -> None:
        self.provider = provider
        self.mode = mode
        self.max_input_tokens, self.max_output_tokens = limits
        self.supports = supports
        self.prices = prices
        self.variants: Mapping[str, Price] = {}
        steps = sorted({int(found[1]) for name in prices if (found := _ABOVE.fullmatch(name))}, reverse=True)
        tiers = {suffix for suffix in _SERVICE_TIERS.values() if any(name.endswith(suffix) for name in prices)}
        self._rates = _rates(prices, [], "")
        self._ladders: dict[str, tuple[tuple[int, _Rates], ...]] | None = None
        if steps or tiers:
            self._ladders = {tier: tuple(_ladder(prices, steps, tier)) for tier in ("", *tiers)}

    def cost(self, usage: Usage) -> int:
        """Return what `usage` costs in nano-dollars, rounded once, half up; never negative."""
        rates = self._rates if self._ladders is None else self._tier(usage)
        tokens_in = usage.input
        tokens_out = usage.output
        if tokens_in < 0 or tokens_out < 0:
            tokens_in = max(tokens_in, 0)
            tokens_out = max(tokens_out, 0)
        atto = rates[7] + tokens_in * rates[0] + tokens_out * rates[1]
        if usage.cached_input or usage.cache_write or usage.audio_input:
            atto += _input_parts(rates, usage, tokens_in)
        if usage.reasoning or usage.audio_output:
            atto += _output_parts(rates, usage, tokens_out)
        if usage.units is not None:
            atto += self._measured(rates, usage)
        return (atto + _HALF) // _NANO

    def _measured(self, rates: _Rates, usage: Usage) -> int:
        """Return what is charged of a `Measured` usage beside what the other usages have."""
        assert isinstance(usage, Measured)  # noqa: S101 - no other has units
        pictured_in, pictured_out = min(usage.image_input, usage.input), min(usage.image_output, usage.output)
        atto = pictured_in * (rates.image_input - rates.input) + pictured_out * (rates.image_output - rates.output)
        atto += min(usage.cache_write_1h, usage.cache_write) * (rates.cache_write_1h - rates.cache_write)
        priced = usage.input * (rates.input or rates.audio_input) + usage.output * (rates.output or rates.image_output)
        return atto + beside(self, usage, by_tokens=priced > 0)

    def _tier(self, usage: Usage) -> _Rates:
        ladders = self._ladders or {}
        ladder = ladders.get(_SERVICE_TIERS.get(usage.service_tier, "")) or ladders[""]
        tokens = usage.input
        for above, rates in ladder:
            if tokens > above:
                return rates
        return ladder[-1][1]

    def __repr__(self) -> str:
        return f"<Price {self.provider} {self.mode} in={self._rates.input} out={self._rates.output}>"


def _input_parts(rates: _Rates, usage: Usage, tokens: int) -> int:
    """Return what the parts of `tokens` cost more (or less) than plain input."""
    cached, written, audio = usage.cached_input, usage.cache_write, usage.audio_input
    if cached < 0 or written < 0 or audio < 0 or cached + written + audio > tokens:
        cached, written, audio = _clamped(tokens, cached, written, audio)
    plain = rates[0]
    return cached * (rates[2] - plain) + written * (rates[3] - plain) + audio * (rates[4] - plain)


def _output_parts(rates: _Rates, usage: Usage, tokens: int) -> int:
    """Return what the parts of `tokens` cost more (or less) than plain output."""
    reasoning, audio = usage.reasoning, usage.audio_output
    if reasoning < 0 or audio < 0 or reasoning + audio > tokens:
        reasoning, audio = _clamped(tokens, reasoning, audio)
    plain = rates[1]
    return reasoning * (rates[5] - plain) + audio * (rates[6] - plain)


def _clamped(whole: int, *parts: int) -> list[int]:
    """Return `parts` cut, in order, to what `whole` leaves for each: an upstream's counts may contradict."""
    cut = []
    for part in parts:
        cut.append(min(max(part, 0), whole))
        whole -= cut[-1]
    return cut


def _ladder(prices: Mapping[str, int], steps: list[int], tier: str) -> Iterator[tuple[int, _Rates]]:
    """Yield (a call of more input tokens than this, its rates), highest first; the last is for every call."""
    for index, step in enumerate(steps):
        yield step * 1000, _rates(prices, steps[index:], tier)
    yield -1, _rates(prices, [], tier)


def _rates(prices: Mapping[str, int], reached: list[int], tier: str) -> _Rates:
    """Return the rates of a call that is above `reached` thousands of input tokens, in service tier `tier`."""
    suffixes = [f"_above_{step}k_tokens{end}" for step in reached for end in dict.fromkeys((tier, ""))]
    suffixes += dict.fromkeys((tier, ""))

    def rate(field: str, whole: str = "") -> int:
        for suffix in suffixes[:-1]:
            if (found := prices.get(field + suffix)) is not None:
                return found
        found = prices.get(field)
        # A part priced like its whole stays so in every tier: maps often list a part's plain price only.
        if whole and (found is None or found == prices.get(whole)):
            return rate(whole)
        return found or 0

    write = rate("cache_creation_input_token_cost", "input_cost_per_token")
    return _Rates(
        input=rate("input_cost_per_token"),
        output=rate("output_cost_per_token"),
        cached_input=rate("cache_read_input_token_cost", "input_cost_per_token"),
        cache_write=write,
        audio_input=rate("input_cost_per_audio_token", "input_cost_per_token"),
        reasoning=rate("output_cost_per_reasoning_token", "output_cost_per_token"),
        audio_output=rate("output_cost_per_audio_token", "output_cost_per_token"),
        request=rate("input_cost_per_request") + rate("input_cost_per_query"),
        cache_write_1h=rate("cache_creation_input_token_cost_above_1hr") or write,
        image_input=rate("input_cost_per_image_token", "input_cost_per_token"),
        image_output=rate("output_cost_per_image_token", "output_cost_per_token"),
    )
