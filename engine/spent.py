"""What each key has spent, in nano-dollars, and what of that, and of what answers taught, other processes do not know yet."""

from __future__ import annotations

from typing import NamedTuple

KEYS = 1_000_000
"""Keys whose spend is kept in memory."""
LATELY = 10_000
"""Keys that are known to have spent lately."""
LESSONS = 1_000
"""Answers that other processes are told of at once."""


class Fresh(NamedTuple):
    """What is new: spend of keys, answers as (model, key, tokens), and estimates as (model, estimate, tokens counted)."""

    spent: dict[str, int]
    outputs: list[tuple[str, str, int]]
    errors: list[tuple[str, int, int]]


class Spent:
    """Keeps sums; `telling` says whether there is anybody to tell."""

    __slots__ = ("_fresh", "_keys", "_lately", "telling")

    def __init__(self) -> None:
        self.telling = False
        self._keys: dict[str, int] = {}
        self._fresh = Fresh({}, [], [])
        self._lately: set[str] = set()

    def of(self, key_hash: str) -> int:
        """Return what a key has spent."""
        return self._keys.get(key_hash, 0)

    def recall(self, spent: dict[str, int]) -> None:
        """Take it from the store what keys have spent."""
        self._keys.update(spent)

    def heard(self, spent: dict[str, int]) -> None:
        """Add what keys have spent through another process."""
        for key, nano in spent.items():
            self._add(key, nano)
            self._note(key)

    def add(self, key: str, nano: int) -> None:
        """Add what a key has spent through this process."""
        self._add(key, nano)
        if self.telling:
            self._fresh.spent[key] = self._fresh.spent.get(key, 0) + nano
            self._note(key)

    def taught(self, model: str, key: str, output: int, estimate: int | None, actual: int) -> None:
        """Note what an answer taught: its tokens, and how many input tokens were counted where so many were estimated."""
        if not self.telling or len(self._fresh.outputs) >= LESSONS:
            return
        self._fresh.outputs.append((model, key, output))
        if estimate is not None:
            self._fresh.errors.append((model, estimate, actual))

    def fresh(self) -> Fresh:
        """Return what is new since this was last asked."""
        fresh, self._fresh = self._fresh, Fresh({}, [], [])
        return fresh

    def lately(self) -> list[str]:
        """Return keys that have spent since this was last asked."""
        keys, self._lately = self._lately, set()
        return [*keys]

    def _note(self, key: str) -> None:
        if len(self._lately) < LATELY:
            self._lately.add(key)

    def _add(self, key: str, nano: int) -> None:
        if key in self._keys or len(self._keys) < KEYS:
            self._keys[key] = self._keys.get(key, 0) + nano
