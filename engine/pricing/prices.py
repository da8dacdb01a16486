"""The prices of many models by name: the bundled ones, a published map, an operator's own."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from importlib import resources
from typing import NoReturn

from engine.pricing.measured import variants
from engine.pricing.price import Price
from engine.pricing.published import Facts, atto, known

_SIZED = re.compile(r"(?:^|/)(?:\d+|max)-x-(?:\d+|max)/")
PICTURES = frozenset({"image_generation", "image_edit"})
"""Modes of models whose price may hang on a picture's quality and size."""
_NOT_MODELS = frozenset({"sample_spec", "fallback_generalizations"})
_FAMILIES = {"azure_text": "azure", "bedrock_converse": "bedrock", "cohere_chat": "cohere"}


class Prices:
    """The prices of many models, by name: compact rows, from which a `Price` is built when it is asked for."""

    __slots__ = ("_built", "_fields", "_rows", "_supports", "_variants")

    def __init__(self, fields: list[str], supports: list[str], rows: dict[str, str]) -> None:
        self._fields = fields
        self._supports = supports
        self._rows = rows
        self._built: dict[str, Price] = {}
        self._variants: dict[str, dict[str, str]] | None = None

    @classmethod
    def bundled(cls) -> Prices:
        """Return the prices that ship with this version."""
        return cls.load(resources.files("engine.data").joinpath("prices.txt").read_text(encoding="utf-8"))

    @classmethod
    def load(cls, text: str) -> Prices:
        """Return the prices of a compact text, as `dump` writes it."""
        fields, supports, *lines = text.split("\n")
        rows: dict[str, str] = {}
        for line in lines:
            row, *models = line.split("\t")
            rows.update(dict.fromkeys(models, row))
        return cls(fields.split(","), supports.split(","), rows)

    @classmethod
    def read(cls, text: bytes) -> Prices:
        """Return the prices of a published map `{model: {field: value}}`; ValueError names a bad model and field."""
        published = decoded(text)
        if not isinstance(published, Mapping):
            raise ValueError("a price map is an object of models")  # noqa: TRY004 - bad data, not a bad argument
        return cls.of(published)

    @classmethod
    def of(cls, published: Mapping[str, object]) -> Prices:
        """Return the prices of a published map already `decoded`."""
        facts = {model: Facts.read(model, row) for model, row in published.items() if model not in _NOT_MODELS}
        fields = _by_use(name for row in facts.values() for name in row.prices)
        supports = _by_use(name for row in facts.values() for name, is_so in row.supports.items() if is_so)
        codes = {name: index for index, name in enumerate(fields)}
        bits = {name: 1 << index for index, name in enumerate(supports)}
        return cls(fields, supports, {model: row.packed(codes, bits) for model, row in facts.items()})

    def dump(self) -> str:
        """Return the compact text of these prices: the same prices give the same text."""
        models: dict[str, list[str]] = {}
        for model, row in sorted(self._rows.items()):
            models.setdefault(row, []).append(model)
        lines = sorted("\t".join((row, *names)) for row, names in models.items())
        return "\n".join((",".join(self._fields), ",".join(self._supports), *lines, ""))

    def find(self, model: str, provider: str = "") -> Price | None:
        """Return the price of `model` at `provider`: as `provider/model`, then bare, then without its own prefix."""
        key = self._key(model, provider)
        if key is None:
            return self._pictured(model, provider)
        price = self._built.get(key)
        if price is None:
            price = self._built[key] = self._build(self._rows[key])
            if price.mode in PICTURES:
                price.variants = self._kinds(key)
        return price

    def _pictured(self, model: str, provider: str) -> Price | None:
        """Return the price of a model that the list knows by its kinds of pictures only."""
        for name in (f"{provider}/{model}", model, model.partition("/")[2]):
            kinds = self._kinds(name)
            if kinds:
                first = next(iter(kinds.values()))
                price = Price(first.provider, first.mode, (None, None), frozenset(), {})
                price.variants = kinds
                return price
        return None

    def _kinds(self, name: str) -> dict[str, Price]:
        if self._variants is None:
            self._variants = variants(self._rows)
        return {kind: self._build(self._rows[row]) for kind, row in self._variants.get(name, {}).items()}

    def names(self, provider: str) -> list[str]:
        """Return the models known of `provider`, of every mode, sorted, without the `provider/` prefix."""
        found = set()
        for key, row in self._rows.items():
            owner, mode, _ = row.split(",", 2)
            # Rows without a mode and rows by picture size are price classes, not models one can call.
            if mode and agrees(owner, provider) and not _SIZED.search(key):
                found.add(key.removeprefix(f"{provider}/"))
        return sorted(found)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def _key(self, model: str, provider: str) -> str | None:
        full = f"{provider}/{model}"
        if full in self._rows:
            return full
        prefix, _, rest = model.partition("/")
        candidates = [
            (name, owner) for name, owner in ((model, provider), (rest, provider or prefix)) if name in self._rows
        ]
        for name, owner in candidates:
            if not owner or agrees(self._rows[name].partition(",")[0], owner):
                return name
        return candidates[0][0] if candidates else None

    def _build(self, row: str) -> Price:
        provider, mode, most_in, most_out, bits, *prices = row.split(",")
        flags = int(bits, 16)
        return Price(
            provider,
            mode,
            (int(most_in) if most_in else None, int(most_out) if most_out else None),
            frozenset(name for index, name in enumerate(self._supports) if flags >> index & 1),
            {self._fields[int(code)]: atto(text) for code, _, text in (item.partition("=") for item in prices)},
        )


def custom(fields: Mapping[str, object], fallback: Price | None) -> Price:
    """Return an operator's own prices and limits (decimal text by field name) over `fallback`: a given field wins."""
    for name in fields:
        if not known(name):
            raise ValueError(f"`{name}` is not a field of a price")
    given = Facts.read("custom price", fields)
    under = fallback or Price("", "", (None, None), frozenset(), {})
    added = {name for name, is_so in given.supports.items() if is_so}
    price = Price(
        given.provider or under.provider,
        given.mode or under.mode,
        (
            under.max_input_tokens if given.max_input is None else given.max_input,
            under.max_output_tokens if given.max_output is None else given.max_output,
        ),
        (under.supports - given.supports.keys()) | added,
        {**under.prices, **{name: atto(text) for name, text in given.prices.items()}},
    )
    # An operator's price of a picture is that of all of them.
    price.variants = {} if any("image" in name or "pixel" in name for name in given.prices) else under.variants
    return price


def _by_use(names: Iterable[str]) -> list[str]:
    """Return each name once, the most used first: they get the shortest numbers."""
    return sorted(counts := Counter(names), key=lambda name: (-counts[name], name))


def agrees(owner: str, provider: str) -> bool:
    """Whether a row of `owner` is about `provider` (owners carry the product line: `vertex_ai-language-models`)."""
    if owner == provider:
        return True
    family = owner.removeprefix("text-completion-").partition("-")[0]
    return provider in {family, _FAMILIES.get(family)}


def decoded(text: bytes) -> object:
    """Return JSON `text` with its numbers exact; ValueError on text that is none."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"`{constant}` is not a price")
