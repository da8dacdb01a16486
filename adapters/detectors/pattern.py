r"""A pattern of one's own: `{pattern: "PROJ-\\d{6}"}`, or with a name that records and masks show.

Its syntax is RE2's: no look-around, no back-references, repeats up to 1000; in turn no text makes it slow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.detecting import MOST
from engine.scanning import Rule, Scanner


class Pattern(Scanner):
    """Finds matches of a pattern; raises ValueError for one that RE2 refuses, saying what to write instead."""

    __slots__ = ()

    def __init__(self, said: Any) -> None:
        told = said if isinstance(said, Mapping) else {"pattern": said}
        unknown = sorted(set(told) - {"pattern", "name", "maxLength"})
        pattern, name, longest = told.get("pattern"), told.get("name", "PATTERN"), told.get("maxLength", MOST)
        if unknown:
            raise ValueError(f"pattern: unknown field `{unknown[0]}`; known are `pattern`, `name` and `maxLength`")
        if not isinstance(pattern, str) or not pattern:
            raise ValueError("pattern: write a regular expression, or `{pattern: …, name: …}`")
        if not isinstance(name, str) or not name:
            raise ValueError("pattern: `name` is a text that masks and records show")
        if isinstance(longest, bool) or not isinstance(longest, int) or not 1 <= longest <= 65_536:
            raise ValueError("pattern: `maxLength` is a number of characters from 1 to 65536")
        super().__init__([Rule(name, pattern, longest=longest)])
