"""What spend rows come to by day, and by whose or what they were: the same sums in every store."""

from __future__ import annotations

import datetime as dt
import functools
import operator
from collections.abc import Iterable, Iterator, Sequence

from engine.hashed import hashed
from engine.storing import Kind, Scope, SpendRow

ALL = ""
"""The value of a day's sum over all values of a scope, kept so that a day costs one row however many callers it has."""
KINDS = {
    Scope.KEY: Kind.KEY,
    Scope.USER: Kind.USER,
    Scope.TEAM: Kind.TEAM,
    Scope.ORG: Kind.ORGANIZATION,
    Scope.END_USER: Kind.CUSTOMER,
}
"""The entities that spend is added to."""
CALLED = {
    Scope.KEY: "api_key",
    Scope.USER: "user",
    Scope.TEAM: "team_id",
    Scope.ORG: "organization_id",
    Scope.MODEL: "model",
    Scope.PROVIDER: "custom_llm_provider",
}
"""The scopes whose values a caller's calls to a model have in common."""

Sums = dict[tuple[str, str, str], list[int]]
"""By scope, value and day: requests, failed, input tokens, output tokens, spend."""
_called = operator.itemgetter(*map(SpendRow._fields.index, CALLED.values()))


def summed(rows: Iterable[SpendRow]) -> Sums:
    """Sum by caller first, for those sums are few, and then by scope."""
    groups: dict[tuple[float, tuple[str, ...]], list[int]] = {}
    sums: Sums = {}
    for row in rows:
        day, called = row.start_time // 86400, _called(row)
        known = groups.get((day, called))
        if known is None:
            groups[day, called] = known = [0, 0, 0, 0, 0]
        amounts = (1, int(row.status == "failure"), row.prompt_tokens, row.completion_tokens, row.spend)
        _grow(known, amounts)
        if row.end_user or row.request_tags:
            for scope, value in _own(row):
                _grow(sums.setdefault((scope.value, value, _day(int(day))), [0, 0, 0, 0, 0]), amounts)
    for (day, (key, *others)), known in groups.items():
        for scope, value in zip(CALLED, (hashed(key), *others), strict=True):
            if value:
                _grow(sums.setdefault((scope.value, value, _day(int(day))), [0, 0, 0, 0, 0]), known)
    for (name, _, date), known in list(sums.items()):
        _grow(sums.setdefault((name, ALL, date), [0, 0, 0, 0, 0]), known)
    return sums


def spent(sums: Sums) -> dict[tuple[str, str], int]:
    """Return what is to be added to what entities have spent, by kind and id."""
    found: dict[tuple[str, str], int] = {}
    for (scope, value, _), amounts in sums.items():
        if value and amounts[-1] and scope in KINDS:
            entity = KINDS[Scope(scope)].value, value
            found[entity] = found.get(entity, 0) + amounts[-1]
    return found


def _own(row: SpendRow) -> Iterator[tuple[Scope, str]]:
    if row.end_user:
        yield Scope.END_USER, row.end_user
    for tag in dict.fromkeys(filter(None, row.request_tags)):
        yield Scope.TAG, tag


def _grow(sums: list[int], amounts: Sequence[int]) -> None:
    for index, amount in enumerate(amounts):
        sums[index] += amount


@functools.lru_cache(maxsize=64)
def _day(number: int) -> str:
    """Write a day counted from 1970-01-01."""
    return (dt.date(1970, 1, 1) + dt.timedelta(days=number)).isoformat()
