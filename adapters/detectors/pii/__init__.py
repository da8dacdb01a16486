"""Personal data that has a form: `{pii: all}`, or a list of Presidio's names (`[EMAIL_ADDRESS, CREDIT_CARD]`).

Names of people and places have no form. Who needs them asks Presidio: `{remote: {type: presidio, url: …}}`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapters.detectors.pii.rules import RULES
from engine.scanning import Check, Rule, Scanner

THRESHOLD = 0.5
"""The least score of a hit: a weak format without a word before it has less."""
PRESIDIO = frozenset({"AGE", "DATE_TIME", "DOMAIN_NAME", "ID", "LOCATION", "NRP", "ORGANIZATION", "PERSON", "TITLE"})
"""What takes a model of the language to find."""


class Pii(Scanner):
    """Finds personal data; raises ValueError for types that it does not know."""

    __slots__ = ()

    def __init__(self, said: Any) -> None:
        told = said if isinstance(said, Mapping) else {"types": said}
        unknown = sorted(set(told) - {"types", "threshold"})
        if unknown:
            raise ValueError(f"pii: unknown field `{unknown[0]}`; known are `types` and `threshold`")
        threshold = told.get("threshold", THRESHOLD)
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
            raise ValueError("pii: `threshold` is a number above 0, up to 1")
        super().__init__([*_chosen(_types(told.get("types")), threshold)])


def _types(listed: Any) -> Sequence[str]:
    known = list(dict.fromkeys(rule.type for rule in RULES))
    if listed == "all":
        return known
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise ValueError(f"pii: write `all`, or a list of some of {', '.join(known)}")
    for one in listed:
        if one in PRESIDIO:
            raise ValueError(
                f"pii: `{one}` has no form that could be looked for; it needs Presidio: `remote: {{type: presidio, url: …}}`"
            )
        if one not in known:
            close = difflib.get_close_matches(str(one).upper(), known, n=1)
            raise ValueError(
                f"pii: unknown type `{one}`; {f'did you mean `{close[0]}`?' if close else f'known are {known}'}"
            )
    return listed


def _chosen(types: Sequence[str], threshold: float) -> Iterator[Rule]:
    for rule in RULES:
        if rule.type in types:
            if rule.check is not None:
                yield rule._replace(check=_above(rule.check, threshold))
            elif rule.score >= threshold:
                yield rule


def _above(check: Check, threshold: float) -> Check:
    def score(found: str, before: str) -> float:
        sure = check(found, before)
        return sure if sure >= threshold else 0.0

    return score
