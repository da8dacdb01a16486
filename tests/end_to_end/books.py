"""What the books of a gateway say, read over HTTP, from `/metrics` and from the file of its store."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tests.end_to_end.wires import eventually
from tests.postgres import sql
from tests.running import Gateway

NANO = 10**9


class Line(NamedTuple):
    """One spend row; money in nano-dollars."""

    request_id: str
    api_key: str
    spend: int
    status: str
    estimated: bool
    prompt_tokens: int
    completion_tokens: int


Place = Path | str
"""Where a store is: a data directory, or the address of a PostgreSQL."""


def lines(place: Place) -> list[Line]:
    """Read all spend rows of a store, in the order of writing."""
    found = _read(
        place,
        "SELECT request_id, api_key, spend, status, metadata, prompt_tokens, completion_tokens "
        "FROM spend_logs JOIN callers ON callers.number = spend_logs.caller ORDER BY spend_logs.number",
        "SELECT request_id, api_key, spend, status, metadata, prompt_tokens, completion_tokens "
        "FROM interlock.spend_logs ORDER BY number",
    )
    return [Line(*row[:4], "estimated" in row[4], *row[5:]) for row in found]


def day_sums(place: Place) -> dict[str, tuple[int, int]]:
    """Read how many calls each key made and what they cost, from the sums by day."""
    asked = "SELECT value, sum(requests), sum(spend) FROM {} WHERE scope = 'key' AND value != '' GROUP BY value"
    found = _read(place, asked.format("rollups"), asked.format("interlock.rollups"))
    return {key: (int(count), int(spend)) for key, count, spend in found}


def counted(place: Place) -> list[tuple[Any, ...]]:
    """Read what counters keep."""
    asked = "SELECT counter, until, used FROM {} ORDER BY counter, until"
    return list(_read(place, asked.format("amounts"), asked.format("interlock.amounts")))


def open_holds(place: Place) -> int:
    """Read how many holds the store knows as open."""
    ((count,),) = _read(place, "SELECT count(*) FROM holds", "SELECT count(*) FROM interlock.holds")
    return int(count)


def _read(place: Place, query: str, in_postgres: str) -> Iterable[Any]:
    if isinstance(place, str):
        return sql(place, in_postgres)
    with closing(sqlite3.connect(f"{(place / 'interlock.db').as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def logged(running: Gateway, **query: str) -> list[dict[str, Any]]:
    """Ask for spend rows, newest first; what was settled by then is among them."""
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    answer = running.get(f"/spend/logs?{asked}")
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json()
    return found


def nano(usd: float) -> int:
    return round(usd * NANO)


def cost_of(headers: dict[str, str]) -> int:
    """Return what an answer says that it cost, in nano-dollars."""
    return nano(float(headers["x-litellm-response-cost"]))


def left_of(headers: dict[str, str], name: str) -> int:
    """Return what an answer says is left of a budget, in nano-dollars."""
    found, _, usd = headers["x-interlock-budget-remaining"].partition("=")
    assert found == name
    return nano(float(usd))


def spent(running: Gateway, key: str) -> int:
    """Return what a key has spent, as `/key/info` has it."""
    answer = running.get("/key/info", key=key)
    assert answer.status == 200, answer.body
    return nano(answer.json()["info"]["spend"])


def metric(running: Gateway, name: str) -> float:
    """Return the sum of a metric over its labels; 0 where it has none yet."""
    text = running.get("/metrics", key=None).body.decode()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def closed(running: Gateway) -> bool:
    """Tell whether every hold is closed soon."""
    return eventually(lambda: metric(running, "interlock_open_holds") == 0)
