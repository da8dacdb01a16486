"""Kill -9 among many calls, again and again: what was answered is charged once and as it was said, limits hold on.

After every restart the books are gone through: each answered call has one row with the cost that its client was told,
rows, sums by day and counters agree, what was never answered is charged its hold at most.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.digest import digest
from tests.end_to_end.books import Line, cost_of, day_sums, left_of, lines, logged, nano, open_holds, spent
from tests.end_to_end.spending import (
    BUDGET,
    IN,
    LAB,
    LEFT,
    MADE,
    OUT,
    POOR,
    RATED,
    RICH,
    Asked,
    config,
    house,
    lab,
    spend,
)
from tests.end_to_end.wires import Wire, post, threaded
from tests.running import Gateway

LIMIT, CALLS = 2.0, 30
"""USD of the poor key and calls of the rated one, where they are soon to be reached."""
KEYS = (RICH, POOR, RATED, MADE)
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Any]:
    with threaded() as server:
        server.handler = lab
        yield server


@pytest.fixture
def start(tmp_path) -> Iterator[Any]:
    """Start one gateway after another on the same data."""
    runs: list[Gateway] = []

    async def one(settings: Any, *, killed_after: float | None = None) -> Gateway:
        if killed_after is not None:
            runs.append(house(tmp_path, f"run{len(runs)}", settings, wait=False))
            await asyncio.sleep(killed_after)
            runs[-1].stop(signal.SIGKILL)
        runs.append(await asyncio.to_thread(house, tmp_path, f"run{len(runs)}", settings))
        assert runs[-1].process is not None
        assert runs[-1].process.poll() is None, runs[-1].log
        return runs[-1]

    yield one
    for run in runs:
        run.stop()


class Ledger:
    """What the clients know, against what the gateway says."""

    def __init__(self, data: Path, limit: int, calls: int) -> None:
        self.data = data
        self.limit, self.calls = limit, calls
        self.answered: dict[str, Asked] = {}
        self.unanswered: list[Asked] = []
        self.estimated = 0

    def add(self, asked: list[Asked]) -> None:
        """Take up a round."""
        for one in asked:
            if one.status == 200:
                assert one.request_id is not None
                assert one.request_id not in self.answered
                self.answered[one.request_id] = one
            elif one.status in {0, LEFT}:
                self.unanswered.append(one)

    def limited(self, times: float) -> None:
        """Set limits that are reached after so many rounds like the one that was."""
        costs = [one.cost or 0 for one in self.answered.values() if one.key == POOR]
        costs += [one.most for one in self.unanswered if one.key == POOR]
        self.limit = int(sum(costs) * times) // 1000 * 1000
        rated = sum(one.key == RATED for one in (*self.answered.values(), *self.unanswered))
        self.calls = int(rated * times)

    def check(self) -> None:
        """Go through rows and sums."""
        rows = lines(self.data)
        assert open_holds(self.data) == 0
        doubled = [name for name, count in Counter(row.request_id for row in rows).items() if count > 1]
        assert doubled == []
        by_id = {row.request_id: row for row in rows}
        lost = [name for name in self.answered if name not in by_id]
        assert lost == []
        for name, one in self.answered.items():
            row = by_id[name]
            assert (row.api_key, row.spend, row.status, row.estimated) == (digest(one.key), one.cost, "success", False)
        self._others([row for row in rows if row.request_id not in self.answered])
        sums: dict[str, tuple[int, int]] = {}
        for row in rows:
            count, amount = sums.get(row.api_key, (0, 0))
            sums[row.api_key] = count + 1, amount + row.spend
        assert sums == day_sums(self.data)
        assert sums[digest(POOR)][1] <= self.limit
        assert sums[digest(RATED)][0] <= self.calls

    def _others(self, rows: list[Line]) -> None:
        """Match the rows of calls that nobody was answered: no more of them than were asked, none above what it may cost."""
        self.estimated = sum(row.estimated for row in rows)
        for key in KEYS:
            mosts = sorted((one.most for one in self.unanswered if one.key == key), reverse=True)
            spends = sorted((row.spend for row in rows if row.api_key == digest(key)), reverse=True)
            assert len(spends) <= len(mosts)
            beyond = [pair for pair in zip(spends, mosts, strict=False) if pair[0] > pair[1]]
            assert beyond == [], key
        assert {row.api_key for row in rows} <= {digest(key) for key in KEYS}

    def spent_by(self, key: str) -> int:
        return day_sums(self.data).get(digest(key), (0, 0))[1]


def agreed(running: Gateway, ledger: Ledger) -> None:
    """Check that counters have what the rows have, by calls that say what is left; take up these calls."""
    rich = "api_key", nano(BUDGET)
    for key, name, limit in ((RICH, *rich), (MADE, *rich), (POOR, "poor", ledger.limit)):
        before = ledger.spent_by(key)
        assert spent(running, key) == before
        answer = running.post("/v1/embeddings", {"model": "echo", "input": "hello"}, key)
        if answer.status == 200:
            assert cost_of(answer.headers) == IN
            assert left_of(answer.headers, name) == limit - before - IN
            assert nano(float(answer.headers["x-litellm-key-spend"])) == before + IN
            ledger.add([Asked(key, IN, 200, answer.headers["x-litellm-call-id"], IN)])
        else:
            assert answer.json()["error"]["type"] == "budget_exceeded"
            assert f"Current cost: {before / 1e9}" in answer.json()["error"]["message"]
            assert before + IN > limit
    rated = running.chat(key=RATED, max_tokens=16)
    used = day_sums(ledger.data)[digest(RATED)][0]
    assert rated.status == (200 if used < ledger.calls else 429), (used, rated.body)
    if rated.status == 200:
        ledger.add([Asked(RATED, nano(1), 200, rated.json()["id"], cost_of(rated.headers))])


def activity(running: Gateway) -> tuple[int, int]:
    """Return calls and nano-dollars of yesterday to tomorrow."""
    now = datetime.now(UTC)
    first, last = ((now + timedelta(days=days)).date() for days in (-1, 1))
    found = running.get(f"/user/daily/activity?start_date={first}&end_date={last}").json()["results"]
    return (
        sum(one["metrics"]["api_requests"] for one in found),
        sum(nano(one["metrics"]["spend"]) for one in found),
    )


@pytest.mark.parametrize("rounds", [5, pytest.param(50, marks=pytest.mark.soak)])
async def test_no_kill_loses_or_doubles_what_was_answered(start, tmp_path, upstream, rounds):
    times = [1.0, *(random.uniform(0.1, 1.6) for _ in range(rounds - 1))]
    settings = config(BUDGET, BUDGET, upstream.port)
    ledger = Ledger(tmp_path / "data", nano(BUDGET), BUDGET)
    refused: Counter[str] = Counter()
    running = await start(settings)
    assert running.post("/key/generate", {"key": MADE, "max_budget": BUDGET}).status == 200
    for number, seconds in enumerate(times):
        asked = await spend(running, seconds)
        refused.update({one.key for one in asked if one.status in {400, 429}})
        ledger.add(asked)
        if not number:
            ledger.limited(1 + 0.45 * sum(times[1:]))
            settings = config(ledger.limit / 1e9, ledger.calls, upstream.port)
        # Every second start is killed too, in the midst of taking up what was left.
        running = await start(settings, killed_after=random.uniform(0.2, 0.8) if number % 2 else None)
        ledger.check()
        agreed(running, ledger)
        one = random.choice([*ledger.answered])
        (row,) = logged(running, request_id=one)
        assert nano(row["spend"]) == ledger.answered[one].cost
        ledger.check()
    rows = lines(ledger.data)
    assert activity(running) == (len(rows), sum(row.spend for row in rows))
    assert refused[POOR] > 0, "the budget was never reached"
    assert refused[RATED] > 0, "the rate limit was never reached"
    assert day_sums(ledger.data)[digest(RATED)][0] == ledger.calls
    running.stop()
    ledger.check()
    print(
        f"{rounds} kills: {len(ledger.answered)} calls answered, 0 lost, 0 doubled; {len(ledger.unanswered)} not answered or "
        f"left, {ledger.estimated} rows estimated; spent {ledger.spent_by(POOR) / 1e9} of {ledger.limit / 1e9} USD, "
        f"{ledger.calls} of {ledger.calls} calls; limits were reached in {refused[POOR]} and {refused[RATED]} rounds"
    )


async def test_a_stop_in_good_order_leaves_nothing_to_be_estimated(start, tmp_path, upstream):
    settings = config(LIMIT, CALLS, upstream.port)
    ledger = Ledger(tmp_path / "data", nano(LIMIT), CALLS)
    running = await start(settings)
    assert running.post("/key/generate", {"key": MADE, "max_budget": BUDGET}).status == 200
    ledger.add(await spend(running, 0.7, signal.SIGTERM))
    assert running.process.returncode == 0, running.log
    ledger.check()
    estimated = [row for row in lines(tmp_path / "data") if row.estimated]
    assert {row.api_key for row in estimated} <= {digest(MADE)}, "only who left is charged by estimate"
    again = await start(settings)
    assert "calls that never ended" not in again.log
    agreed(again, ledger)
    assert again.stop() == 0
    ledger.check()


BEHIND = {
    "goes on, of a length": ("/lab/text", {"any": "thing"}, b"done", LAB),
    "goes on, held": ("/lab/json", {"any": "thing"}, b"true}", LAB),
    "chat": ("/v1/chat/completions", {**CHAT, "max_tokens": 16}, b"}}", 3 * (IN + OUT)),
    "stream": ("/v1/chat/completions", {**CHAT, "max_tokens": 16, "stream": True}, b"[DONE]\n\n\r\n0\r\n\r\n", 3 * (IN + OUT)),
}  # fmt: skip


@pytest.mark.parametrize("rounds", [3, pytest.param(25, marks=pytest.mark.soak)])
async def test_a_kill_behind_the_last_byte_finds_the_call_on_record(start, tmp_path, upstream, rounds):
    """What costs by its answer holds nothing before: whatever is not on record by then is lost."""
    settings = config(LIMIT, CALLS, upstream.port)
    settings[1][2]["cost"] = f"response.code == 200 ? {LAB / 1e9} : 0.0"
    for path, body, end, _ in [*BEHIND.values()] * rounds:
        running = await start(settings)
        with Wire(running) as wire:
            wire.send(post(body, "content-type: application/json", key=RICH, path=path)).until(end)
            running.process.kill()
        running.process.wait()
        running.stop()
    await start(settings)
    rows = lines(tmp_path / "data")
    assert [(row.spend, row.estimated) for row in rows] == [(cost, False) for *_, cost in BEHIND.values()] * rounds
