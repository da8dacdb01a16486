"""Background work that crashes is seen, restarted and never takes anything with it."""

from __future__ import annotations

import asyncio

import pytest

from engine import supervisor
from engine.supervisor import Supervisor


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Let pauses be short: half a second becomes ten milliseconds."""
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.04)
    monkeypatch.setattr(supervisor, "SETTLED", 0.15)


async def until(condition, seconds: float = 3.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it never came to that"
        await asyncio.sleep(0.005)


async def test_a_crash_is_shown_restarted_and_forgotten_once_it_has_settled():
    starts = 0

    async def work() -> None:
        nonlocal starts
        starts += 1
        if starts == 1:
            raise ZeroDivisionError("sk-secret")
        await asyncio.sleep(60)

    group = Supervisor()
    group.start("work", work)
    await until(lambda: starts == 2)
    assert group.crashed == {"work": "ZeroDivisionError"}
    await until(lambda: not group.crashed)
    await group.stop()


async def test_work_that_crashes_again_and_again_is_never_called_well():
    starts = 0

    async def work() -> None:
        nonlocal starts
        starts += 1
        raise OSError

    group = Supervisor()
    group.start("work", work)
    await until(lambda: starts == 1)
    for _ in range(80):
        await asyncio.sleep(0.005)
        assert group.crashed == {"work": "OSError"}
    assert 5 <= starts <= 30, "the pauses neither vanish nor grow without end"
    await group.stop()


async def test_one_that_crashes_leaves_the_others_alone():
    beats = 0

    async def heart() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.005)

    async def broken() -> None:
        raise ValueError

    group = Supervisor()
    group.start("heart", heart)
    group.start("broken", broken)
    await until(lambda: beats > 10)
    assert set(group.crashed) == {"broken"}
    await group.stop()


async def test_stop_ends_everything_and_waits_for_it():
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended.append(True)

    group = Supervisor()
    group.start("work", work)
    await asyncio.sleep(0.01)
    await group.stop()
    assert ended == [True]


async def test_work_that_is_done_is_not_started_again():
    starts = 0

    async def work() -> None:
        nonlocal starts
        starts += 1

    group = Supervisor()
    group.start("work", work)
    await asyncio.sleep(0.1)
    assert starts == 1
    assert group.crashed == {}
    await group.stop()


async def test_a_component_that_swallows_its_cancellation_is_cancelled_again(monkeypatch):
    monkeypatch.setattr(supervisor, "PATIENCE", 0.02)
    swallowed = 0

    async def work() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.sleep(60)

    group = Supervisor()
    group.start("work", work)
    await asyncio.sleep(0)
    await asyncio.wait_for(group.stop(), 5)
    assert swallowed == 2
