"""What was spent: `/spend/logs` from the rows, `/user/daily/activity` from their sums by day."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from engine.api.management.desk import Asked, Row, Who
from engine.api.management.faults import bad_request
from engine.api.management.keeper import Keeper
from engine.api.management.keys import digest_of
from engine.api.management.times import day, iso, midnight
from engine.claims import NANO
from engine.storing import Cursor, Kind, LogFilter, LogPage, Rollup, Scope, SpendRow, UsageQuery

PAGE = 1000
ROWS = 10_000
"""Rows that one answer holds at most, the newest."""
SUMMED = 1_000_000
"""Rows that are read to sum them up where the sums by day do not say it."""
DAYS = 1000
SUMS = 1_000_000
BREAKDOWN = {"models": Scope.MODEL, "providers": Scope.PROVIDER, "api_keys": Scope.KEY}
FILTERS = {"user_id": Scope.USER, "api_key": Scope.KEY, "model": Scope.MODEL}
TOTALS = ("spend", "prompt_tokens", "completion_tokens", "total_tokens", "api_requests", "successful_requests", "failed_requests", "cache_read_input_tokens", "cache_creation_input_tokens")  # fmt: skip


class Spend:
    """Shows spend rows and sums."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def rows(self) -> list[Row]:
        """Return the route table."""
        return [
            Row("GET", "/spend/logs", Who.READERS, self.logs),
            Row("GET", "/user/daily/activity", Who.READERS, self.daily),
        ]

    async def logs(self, asked: Asked) -> list[dict[str, Any]]:
        """List spend rows, newest first; with both dates one sum a day, unless `summarize` says no."""
        query = asked.query
        first, last = query.get("start_date"), query.get("end_date")
        which = LogFilter(
            api_key=digest_of(query["api_key"]) if query.get("api_key") else None,
            user=query.get("user_id"),
            request_id=query.get("request_id"),
            first=midnight(day("start_date", first)) if first else None,
            last=midnight(day("end_date", last)) + 86400 - 1e-6 if last else None,
        )
        await self._keeper.settled()
        if first and last and not which.request_id and query.get("summarize", "true").lower() != "false":
            return await self._summary(which, first, last)
        return [log_row(row) for row in await self._rows(which, ROWS)]

    async def daily(self, asked: Asked) -> dict[str, Any]:
        """Show what was used on each day, newest first."""
        first, last = day("start_date", asked.query.get("start_date")), day("end_date", asked.query.get("end_date"))
        page, size = asked.number("page", 1, 10**6), asked.number("page_size", 50, DAYS)
        scope, value = _asked_for(asked)
        await self._keeper.settled()
        days = await self._sums(scope, value, (first.isoformat(), last.isoformat()), by="day")
        shown = days[::-1][(page - 1) * size : page * size]
        pages = -(-len(days) // size)
        parts: dict[str, list[Rollup]] = {}
        if shown:
            span = (shown[-1].day, shown[0].day)
            scopes = {name: one for name, one in BREAKDOWN.items() if not value or one is scope}
            parts = {name: await self._sums(one, value, span, by="both") for name, one in scopes.items()}
        results = [await self._day(one, parts) for one in shown]
        totals = {
            f"total_{name.removeprefix('total_')}": sum(one["metrics"][name] for one in results) for name in TOTALS
        }
        return {
            "results": results,
            "metadata": {**totals, "page": page, "total_pages": pages, "has_more": page < pages},
        }

    async def _sums(self, scope: Scope, value: str, span: tuple[str, str], *, by: Any) -> list[Rollup]:
        query = UsageQuery(scope, *span, values=[value] if value else (), by=by, limit=SUMS)
        return list(await self._keeper.read(lambda store: store.usage(query)))

    async def _day(self, total: Rollup, parts: dict[str, list[Rollup]]) -> dict[str, Any]:
        breakdown: dict[str, Any] = {
            name: {} for name in ("models", "model_groups", "mcp_servers", "providers", "endpoints", "api_keys", "entities")
        }  # fmt: skip
        for name, sums in parts.items():
            for one in sums:
                if one.day != total.day:
                    continue
                shown: dict[str, Any] = {"metrics": metrics(one), "metadata": {}}
                if name == "api_keys":
                    row = self._keeper.directory.row(Kind.KEY, one.value)
                    shown["metadata"] = {
                        "key_alias": row.alias or None if row else None, "team_id": row.team_id or None if row else None
                    }  # fmt: skip
                else:
                    shown["api_key_breakdown"] = {}
                breakdown[name][one.value] = shown
        return {"date": total.day, "metrics": metrics(total), "breakdown": breakdown}

    async def _rows(self, which: LogFilter, most: int) -> list[SpendRow]:
        found: list[SpendRow] = []
        after: Cursor | None = None
        while len(found) < most:
            page: LogPage = await self._keeper.read(lambda store, after=after: store.logs(which, PAGE, after))  # type: ignore[misc]  # mypy cannot infer a default
            found += page.rows
            after = page.next
            if after is None:
                break
        return found

    async def _summary(self, which: LogFilter, first: str, last: str) -> list[dict[str, Any]]:
        """Return one sum for each day that has any, oldest first: of all, by key, by user, by model."""
        days: dict[str, Day] = {}
        if which.api_key or which.user:
            for row in await self._rows(which, SUMMED):
                found = days.setdefault(datetime.fromtimestamp(row.start_time, UTC).date().isoformat(), Day())
                found.add(row.spend, row.api_key, row.user, row.model)
        else:
            for scope in (Scope.KEY, Scope.USER, Scope.MODEL):
                for one in await self._sums(scope, "", (first[:10], last[:10]), by="both"):
                    days.setdefault(one.day, Day()).sums(scope)[one.value] += one.spend
        return [{"startTime": at, **days[at].shown()} for at in sorted(days)]


class Day:
    """What was spent on one day, in nano-dollars: by key, by user, by model."""

    def __init__(self) -> None:
        self._sums: dict[Scope, Counter[str]] = {Scope.KEY: Counter(), Scope.USER: Counter(), Scope.MODEL: Counter()}

    def sums(self, scope: Scope) -> Counter[str]:
        """Return the sums by one of them."""
        return self._sums[scope]

    def add(self, spend: int, key: str, user: str, model: str) -> None:
        """Add a call."""
        for scope, value in ((Scope.KEY, key), (Scope.USER, user), (Scope.MODEL, model)):
            self._sums[scope][value] += spend

    def shown(self) -> dict[str, Any]:
        """Return the day as `summarize` shows it."""
        keys, users, models = (
            {value: nano / NANO for value, nano in self._sums[scope].items() if value}
            for scope in (Scope.KEY, Scope.USER, Scope.MODEL)
        )  # fmt: skip
        return {"spend": sum(self._sums[Scope.KEY].values()) / NANO, **keys, "users": users, "models": models}


def _asked_for(asked: Asked) -> tuple[Scope, str]:
    """Return whose sums a query asks for; of all of them, sums by key hold every call."""
    found = [(scope, asked.query[name]) for name, scope in FILTERS.items() if asked.query.get(name)]
    if len(found) > 1:
        names = ", ".join(f"`{name}`" for name in FILTERS)
        raise bad_request(f"only one of {names} at a time: days are summed up by each alone", "user_id")
    scope, value = found[0] if found else (Scope.KEY, "")
    return scope, digest_of(value) if scope is Scope.KEY and value else value


def metrics(one: Rollup) -> dict[str, Any]:
    """Return a sum as LiteLLM shows it."""
    return {
        "spend": one.spend / NANO,
        "prompt_tokens": one.input_tokens,
        "completion_tokens": one.output_tokens,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "total_tokens": one.input_tokens + one.output_tokens,
        "successful_requests": one.requests - one.failed,
        "failed_requests": one.failed,
        "api_requests": one.requests,
    }


def log_row(row: SpendRow) -> dict[str, Any]:
    """Return a spend row as LiteLLM shows it; what is heavy is left out of lists."""
    return {
        "request_id": row.request_id,
        "call_type": row.call_type,
        "api_key": row.api_key,
        "spend": row.spend / NANO,
        "total_tokens": row.prompt_tokens + row.completion_tokens,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "startTime": iso(row.start_time),
        "endTime": iso(row.end_time),
        "completionStartTime": iso(row.completion_start_time),
        "request_duration_ms": max(0, round((row.end_time - row.start_time) * 1000)) if row.end_time else None,
        "model": row.model,
        "model_id": row.model_id,
        "model_group": row.model_group,
        "custom_llm_provider": row.custom_llm_provider,
        "api_base": row.api_base,
        "user": row.user,
        "metadata": json.loads(row.metadata),
        "cache_hit": row.cache_hit,
        "cache_key": row.cache_key,
        "request_tags": list(row.request_tags),
        "team_id": row.team_id or None,
        "organization_id": row.organization_id or None,
        "end_user": row.end_user or None,
        "requester_ip_address": row.requester_ip_address or None,
        "messages": {},
        "response": {},
        "proxy_server_request": {},
        "session_id": row.session_id or None,
        "status": row.status,
        "mcp_namespaced_tool_name": None,
        "agent_id": None,
    }
