"""Many rows in few statements: half the cost of one for each, and the interpreter's lock is let go of that much less.

A statement of many rows can fail in its midst; SQLite notes how to undo it in memory (`PRAGMA temp_store`), not in a file.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

SIZES = (256, 32, 4, 1)
"""Rows that a statement takes; each is compiled once."""


def run(connection: sqlite3.Connection, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    """Run a statement for rows of one width; `{}` in it stands for their places, as after `VALUES`."""
    waiting = rows if isinstance(rows, list) else list(rows)
    begin = 0
    for size in SIZES:
        while len(waiting) - begin >= size:
            some = waiting[begin : begin + size]
            connection.execute(_filled(statement, len(some[0]), size), tuple(chain.from_iterable(some)))
            begin += size


@functools.lru_cache(maxsize=128)
def _filled(statement: str, width: int, size: int) -> str:
    places = f"({', '.join('?' * width)})"
    return statement.replace("{}", ", ".join([places] * size))
