"""Rows of the published price map: what is kept of them, validated, as exact decimal text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import NamedTuple

_EXACT = Context(prec=100, rounding=ROUND_HALF_UP)
_MOST_USD = 10**6
_MOST_TOKENS = 10**15
_INPUT_ONLY = frozenset({"embedding", "moderation", "rerank"})
_LIMITS = ("max_input_tokens", "max_output_tokens", "max_tokens")


class Facts(NamedTuple):
    """What is kept of one published row, validated; `prices` are decimal texts."""

    provider: str
    mode: str
    max_input: int | None
    max_output: int | None
    supports: dict[str, bool]
    prices: dict[str, str]

    @classmethod
    def read(cls, model: str, row: object) -> Facts:
        """Read one row; ValueError names the model and the field that is not what it should be."""
        if not isinstance(row, Mapping) or not model or not set("\t\n").isdisjoint(model):
            raise ValueError(f"`{model}`: not a model with fields")
        prices: dict[str, str] = {}
        for field, value in row.items():
            if value is not None and _priced(field):
                prices.update(_texts(model, field, value))
        if (tiers := row.get("tiered_pricing")) is not None:
            prices.update(_tiers(model, tiers))
        mode = _word(model, row, "mode")
        most_in, most_out, most = (_limit(model, row, field) for field in _LIMITS)
        # `max_tokens` is the older name: what comes out, or for models that only read, what goes in.
        if most_in is None and mode in _INPUT_ONLY:
            most_in = most
        if most_out is None and mode not in _INPUT_ONLY:
            most_out = most
        supports = {
            field.removeprefix("supports_"): str(value).lower() == "true"
            for field, value in row.items()
            if field.startswith("supports_")
        }
        return cls(_word(model, row, "litellm_provider"), mode, most_in, most_out, supports, prices)

    def packed(self, codes: Mapping[str, int], bits: Mapping[str, int]) -> str:
        """Return this row as one short text, fields and capabilities by number."""
        flags = sum(bits[name] for name, is_so in self.supports.items() if is_so)
        most_in = "" if self.max_input is None else self.max_input
        most_out = "" if self.max_output is None else self.max_output
        prices = (f"{code}={text}" for code, text in sorted((codes[name], text) for name, text in self.prices.items()))
        return ",".join((self.provider, self.mode, str(most_in), str(most_out), f"{flags:x}", *prices))


def _priced(field: str) -> bool:
    """Whether `field` holds prices in USD (DBU are another currency, counted beside the dollars)."""
    return "cost" in field and "_dbu_" not in field and not field.startswith("supports_")


def known(field: str) -> bool:
    """Whether `field` is one that is read from a row."""
    others = ("mode", "litellm_provider", "tiered_pricing", *_LIMITS)
    return _priced(field) or field in others or field.startswith("supports_")


def _texts(model: str, field: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield each price of `field` as shortest decimal text; a nested object's parts by `field.part`."""
    if isinstance(value, Mapping):
        for part, inner in value.items():
            yield from _texts(model, f"{field}.{part}", inner)
        return
    number = _number(value)
    if number is None or not 0 <= number <= _MOST_USD or not set(",\t\n").isdisjoint(field):
        raise ValueError(f"`{model}`: `{field}` is not a price: `{value}`")
    _, digits, exponent = number.normalize(_EXACT).as_tuple()
    yield field, "".join(map(str, digits)) + (f"E{exponent}" if exponent else "")


def _tiers(model: str, tiers: object) -> Iterator[tuple[str, str]]:
    """Yield prices by size of the call as `_above_Nk_tokens` fields: vendors bill the whole call at its size's price."""
    for index, tier in enumerate(tiers if isinstance(tiers, list) else [tiers]):
        if not isinstance(tier, Mapping):
            raise ValueError(f"`{model}`: `tiered_pricing` is not a list of prices: `{tier}`")  # noqa: TRY004 - bad data
        # Search prices by number of results: usage does not tell results, so the first price stands.
        if index and "max_results_range" in tier:
            return
        span = tier.get("range")
        low = _number(span[0]) if isinstance(span, list) and span else Decimal(0)
        if low is None or low < 0 or low % 1000:
            raise ValueError(f"`{model}`: `tiered_pricing` does not start at a thousand: `{span}`")
        suffix = f"_above_{int(low) // 1000}k_tokens" if low else ""
        for field, value in tier.items():
            if _priced(field):
                yield from _texts(model, field + suffix, value)


def _number(value: object) -> Decimal | None:
    """Return `value` as an exact finite number, None when it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _limit(model: str, row: Mapping[str, object], field: str) -> int | None:
    value = row.get(field)
    if value is None:
        return None
    number = _number(value)
    if number is None or not 0 <= number < _MOST_TOKENS or number % 1:
        raise ValueError(f"`{model}`: `{field}` is not a count of tokens: `{value}`")
    return int(number)


def _word(model: str, row: Mapping[str, object], field: str) -> str:
    value = row.get(field) or ""
    if not isinstance(value, str) or not set(",\t\n").isdisjoint(value):
        raise ValueError(f"`{model}`: `{field}` is not a name: `{value}`")
    return value


def atto(text: str) -> int:
    """Return decimal `text` in 10^-18 USD; digits beyond are rounded half up."""
    return int(Decimal(text).scaleb(18, _EXACT).to_integral_value(ROUND_HALF_UP))
