"""What is charged beside plain tokens: pictures, characters, seconds, searches, and tokens of pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from engine.call import Measured

if TYPE_CHECKING:
    from engine.pricing.price import Price

_SIZE = re.compile(r"(\d+)x(\d+)")
_VARIANT = re.compile(
    r"(?P<before>|[a-z_0-9]+/)(?P<variant>(?:[a-z]+/)?\d+-x-\d+)(?:/\d+-steps)?/(?P<model>.+)", re.ASCII
)
_PLAIN = ("", "standard", "medium")
"""Qualities of a picture where none, or `auto`, was asked for; the first that has a price."""


def variants(names: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the rows that are about one kind of a model's pictures: model -> `quality/size` -> the row's name."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        kind = _VARIANT.fullmatch(name) if "-x-" in name else None
        if kind is not None:
            variant = kind["variant"].replace("-x-", "x")
            found.setdefault(kind["before"] + kind["model"], {}).setdefault(variant, name)
    return found


def beside(price: Price, usage: Measured, *, by_tokens: bool) -> int:
    """Return what a call costs beside its tokens, in 10^-18 USD.

    What can be charged by tokens or by pieces (`by_tokens`: there are tokens, and they have a price) is not charged twice.
    """
    prices, units = price.prices, usage.units
    atto = units.get("searches", 0) * prices.get(f"search_context_cost_per_query.{usage.variant}", 0)
    atto += units.get("citations", 0) * prices.get("citation_cost_per_token", 0)
    # One query is in the price of the request already.
    atto += max(units.get("queries", 1) - 1, 0) * prices.get("input_cost_per_query", 0)
    if by_tokens:
        return atto
    if "images" in units:
        atto += _pictures(price, usage)
    if "characters" in units:
        said = prices.get("input_cost_per_character", 0)
        atto += units["characters"] * said or units.get("spoken", 0) * prices.get("output_cost_per_second", 0) // 1000
    if "milliseconds" in units:
        # Lists say the price of a recording's second at either end, or at both: it is one price.
        second = prices.get("input_cost_per_second") or prices.get("output_cost_per_second") or 0
        atto += units["milliseconds"] * second // 1000
    return atto


def _pictures(price: Price, usage: Measured) -> int:
    for row in _kinds(price, usage.variant):
        each = row.get("output_cost_per_image")
        given = row.get("input_cost_per_image", 0)
        if each is not None:
            return usage.units["images"] * each + usage.units.get("input_images", 0) * given
        if given:
            return usage.units["images"] * given
        dot = row.get("input_cost_per_pixel", 0) + row.get("output_cost_per_pixel", 0)
        size = _SIZE.search(usage.variant)
        if dot and size is not None:
            return usage.units["images"] * int(size[1]) * int(size[2]) * dot
    return 0


def _kinds(price: Price, variant: str) -> Iterator[Mapping[str, int]]:
    """Yield the prices that could be a picture's, the nearest first."""
    quality, _, size = variant.partition("/")
    for one in dict.fromkeys((quality, *_PLAIN) if quality in {"", "auto"} else (quality, "")):
        row = price.variants.get(f"{one}/{size}" if one else size)
        if row is not None:
            yield row.prices
    yield price.prices
