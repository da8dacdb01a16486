"""Subjects that are not wanted: `{categories: [harmful_violence, denied_financial_advice]}`, by LiteLLM's names.

Word packs in English and Chinese, a file each; they know phrases, not intent. A phrase that an exception of its pack also fits
(`kill a process`) is none. Who needs judgement asks a moderation service (`remote`).
"""

from __future__ import annotations

import difflib
import importlib.resources
from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable
from typing import Any

from engine.closure import compiled
from engine.scanning import Check, Rule, Scanner

ALIASES = {
    "violence": "harmful_violence", "self_harm": "harmful_self_harm", "weapons": "harmful_illegal_weapons", "drugs": "harmful_illegal_drugs",
    "child_safety": "harmful_child_safety", "toxicity": "harm_toxic_abuse", "financial_advice": "denied_financial_advice",
    "legal_advice": "denied_legal_advice", "medical_advice": "denied_medical_advice",
}  # fmt: skip
GROUPS = {"hate": ("bias_racial", "bias_religious", "bias_gender", "bias_sexual_orientation")}
BEHIND = 40
"""Characters behind a phrase that an exception may look at."""
SCORE = 0.7


class Categories(Scanner):
    """Finds phrases of subjects; raises ValueError for subjects that it does not know."""

    __slots__ = ()

    def __init__(self, said: Any) -> None:
        packs = {one.name.removesuffix(".txt"): one for one in _packs()}
        super().__init__([rule for name in _chosen(said, sorted(packs)) for rule in _rules(name, packs[name])])


def _packs() -> Iterator[Traversable]:
    return (one for one in importlib.resources.files(__name__).iterdir() if one.name.endswith(".txt"))


def _chosen(said: Any, known: Sequence[str]) -> Sequence[str]:
    if said == "all":
        return known
    if not isinstance(said, Sequence) or isinstance(said, str) or not said:
        raise ValueError(f"categories: write a list of some of {', '.join(known)}")
    chosen: dict[str, None] = {}
    for one in map(str, said):
        for name in GROUPS.get(one, (ALIASES.get(one.replace("-", "_"), one),)):
            if name not in known:
                close = difflib.get_close_matches(name, [*known, *ALIASES, *GROUPS], n=1)
                raise ValueError(
                    f"categories: unknown `{one}`; {f'did you mean `{close[0]}`?' if close else f'known are {known}'}"
                )
            chosen[name] = None
    return list(chosen)


def _rules(name: str, pack: Traversable) -> Iterator[Rule]:
    """Read a pack: a pattern a line; `!` before what is none of its phrases."""
    lines = [line for line in pack.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    exceptions = "|".join(line[1:].strip() for line in lines if line.startswith("!"))
    check = _unless(exceptions) if exceptions else None
    for line in lines:
        if not line.startswith("!"):
            # What stands behind a phrase belongs to the match, so that an exception may say that it is harmless.
            yield Rule(
                name.upper(), rf"(?i)(?:{line})[^\n.?!\x{{3002}}\x{{ff01}}\x{{ff1f}}]{{0,{BEHIND}}}", check, score=SCORE
            )


def _unless(exceptions: str) -> Check:
    regexp = compiled(f"(?i){exceptions}")
    return lambda found, before: 0.0 if regexp.search(before[-BEHIND:] + found) else SCORE
