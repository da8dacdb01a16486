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
from typing import Any

import pytest

from engine.digest import digest
from tests.end_to_end.audit import Ledger, agreed
from tests.end_to_end.books import day_sums, lines, logged, nano
from tests.end_to_end.spending import BUDGET, IN, LAB, MADE, OUT, POOR, RATED, RICH, config, house, lab, spend
from tests.end_to_end.wires import Wire, post, threaded
from tests.running import Gateway

MORE = 10
"""Rounds more at most until both limits are reached: how fast calls go is the machine's."""
LIMIT, CALLS = 2.0, 30
"""USD of the poor key and calls of the rated one, where they are soon to be reached."""
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
    for number, seconds in enumerate((*times, *[1.0] * MORE)):
        if number >= rounds and refused[POOR] and refused[RATED]:
            break
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
