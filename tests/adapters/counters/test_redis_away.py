"""Counters in Redis while it is paused, killed or slow, and when it is back with or without its memory: a real Valkey each time."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
import uvloop
from structlog.testing import capture_logs

from engine.contracts import Claim, Counter, CountersError, Hold, HoldId, Refused, Unit
from engine.windows import LEASE, NEVER, TOTAL, rate
from tests.adapters.counters.counting import granted, usd
from tests.adapters.counters.remembering import Journal, Store
from tests.valkey import before, counting, ready, until

DEADLINE = 0.25
PROMISED = 10 * DEADLINE


def failing(how, limit=100, name="money", window=TOTAL, unit=Unit.USD):
    counter = Counter(name, unit, window, limit, ("key-1",))
    counter.failure = how
    return counter


async def refuses(counters, number, *claims):
    start = time.monotonic()
    with pytest.raises(CountersError, match="counters are unavailable"):
        await counters.reserve(HoldId(f"call-{number}", 0), claims, ())
    assert time.monotonic() - start < PROMISED


async def settled(counters):
    await until(lambda: counters._endings.done, why=lambda: repr(counters))


async def test_a_paused_server_is_missed_within_the_deadline_and_leaves_no_hold(own_valkey):
    money = usd(100)
    async with counting(own_valkey.settings()) as counters:
        kept = await granted(counters, 1, Claim(money, 10))
        own_valkey.pause()
        with capture_logs() as logs:
            await refuses(counters, 2, Claim(money, 20))
            start = time.monotonic()
            for number in range(50):
                await refuses(counters, 100 + number, Claim(money, 20))
            assert time.monotonic() - start < PROMISED
            counters.settle(kept, {money.id: 7})
            await asyncio.sleep(1)
            own_valkey.resume()
            await ready(counters)
            await settled(counters)
        assert await counters.count(money) == (7, 0, None)
        assert [one["event"] for one in logs if one["event"].startswith("counters ")] == [
            "counters unavailable", "counters back",
        ]  # fmt: skip


def test_a_loop_that_stood_still_is_no_fault_of_the_server(valkey):
    async def stand_still():
        money = usd(100)
        async with counting(valkey.settings()) as counters:
            for number in range(3):
                asking = asyncio.create_task(counters.reserve(HoldId(f"call-{number}", 0), [Claim(money, 1)], ()))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                time.sleep(2 * DEADLINE)
                assert isinstance(await asking, Hold)

    for run in (asyncio.run, uvloop.run):
        run(stand_still())


async def test_a_call_that_is_given_up_leaves_no_hold(own_valkey):
    money = usd(100)
    async with counting(own_valkey.settings()) as counters:
        own_valkey.pause()
        asking = asyncio.create_task(counters.reserve(HoldId("call-1", 0), [Claim(money, 20)], ()))
        await asyncio.sleep(0.05)
        asking.cancel()
        own_valkey.resume()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await settled(counters)
        assert await counters.count(money) == (0, 0, None)


async def test_ignored_counters_let_calls_pass_and_count_them_later(own_valkey):
    money, minute = failing("Ignore"), failing("Ignore", 5, "rpm", rate("1m", "sliding"), Unit.REQUESTS)
    async with counting(own_valkey.settings()) as counters:
        before = await granted(counters, 0, Claim(money, 10))
        own_valkey.pause()
        holds = [await granted(counters, 1 + one, Claim(money, 20), Claim(minute, 1)) for one in range(9)]
        for hold in holds[:8]:
            counters.settle(hold, {money.id: 21})
        assert await counters.extend(before, 1, [Claim(money, 5)]) is None
        counters.settle(before, {money.id: 14})
        own_valkey.resume()
        await ready(counters)
        counters.settle(holds[8], {money.id: 1, minute.id: 1})
        await settled(counters)
        assert await counters.count(money) == (8 * 21 + 1 + 14, 0, None)
        assert (await counters.count(minute))[:2] == (9, 0)
        assert isinstance(await counters.reserve(HoldId("call-99", 0), [Claim(money, 1)], ()), Refused)


async def test_no_more_is_settled_later_than_there_is_room_for(own_valkey, monkeypatch):
    monkeypatch.setattr("adapters.counters.redis.endings.MOST", 3)
    money = failing("Ignore")
    async with counting(own_valkey.settings()) as counters:
        own_valkey.pause()
        for number in range(5):
            counters.settle(await granted(counters, number, Claim(money, 1)), {money.id: 10**number})
        # The first call's reservation is given up, too.
        assert len(counters._endings) == 3
        own_valkey.resume()
        await ready(counters)
        await settled(counters)
        assert (await counters.count(money)).used == 11_100


async def test_local_shares_never_spend_more_than_the_limit(own_valkey):
    money, parallel = failing("Local", 1_000), failing("Local", 400, "parallel", LEASE, Unit.PARALLEL)
    settings = own_valkey.settings()
    async with contextlib.AsyncExitStack() as stack:
        every = [await stack.enter_async_context(counting(settings)) for _ in range(3)]
        for number, counters in enumerate(every):
            hold = await granted(counters, f"first-{number}", Claim(money, 100), Claim(parallel, 1))
            counters.settle(hold, {})
        await until(lambda: all(len(one._shares.holds()) == 2 for one in every))
        await settled(every[0])
        assert (await every[0].count(money))[:2] == (300, 150)
        own_valkey.pause()
        passed, holds = 0, []
        for counters in every:
            for number in range(100):
                with contextlib.suppress(CountersError):
                    hold = await granted(counters, f"{id(counters)}-{number}", Claim(money, 7), Claim(parallel, 1))
                    passed += 7
                    holds.append((counters, hold))
                    if number % 2:
                        counters.settle(*holds.pop()[1:], {money.id: 7})
        assert 3 * 40 < passed <= 150
        own_valkey.resume()
        for counters in every:
            await ready(counters)
        for counters, hold in holds:
            counters.settle(hold, {})

        # What was not used returns, and new shares are held.
        async def spent():
            with contextlib.suppress(CountersError):
                return await every[0].count(money)

        end = time.monotonic() + 10
        while (await spent() or (0, 0))[:2] != (300 + passed, 3 * 50):
            assert time.monotonic() < end, (await spent(), passed)
            await asyncio.sleep(0.05)


async def test_without_a_share_a_local_counter_fails_as_any_other(own_valkey):
    small, bucket = failing("Local", 10), failing("Local", 1_000, "tpm", rate("1m", "token-bucket"), Unit.TOKENS)
    async with counting(own_valkey.settings()) as counters:
        counters.settle(await granted(counters, 1, Claim(small, 1), Claim(bucket, 1)), {})
        await asyncio.sleep(1.5)
        own_valkey.pause()
        await refuses(counters, 2, Claim(small, 1))
        await refuses(counters, 3, Claim(bucket, 1))


async def test_a_server_that_forgot_is_told_what_was_counted_before_it_grants(own_valkey):
    money, minute, parallel = (
        usd(1_000),
        Counter("rpm", Unit.REQUESTS, rate("1m"), 50),
        Counter("p", Unit.PARALLEL, LEASE, 9),
    )
    store = Store()
    journals = [Journal(store, f"journal-{number}") for number in range(3)]
    settings = own_valkey.settings()
    async with contextlib.AsyncExitStack() as stack:
        every = [await stack.enter_async_context(counting({**settings, "past": past})) for past in journals]
        running = []
        for number, (counters, past) in enumerate(zip(every, journals, strict=True)):
            claims = [Claim(money, 10), Claim(minute, 1), Claim(parallel, 1)]
            for one in range(4):
                hold = await granted(counters, f"{number}-{one}", *claims)
                counters.settle(hold, {money.id: 7})
                past.settled(hold, {money.id: 7})
                if one == number:
                    past.fold()
            running.append(await granted(counters, f"{number}-running", *claims))
        await asyncio.sleep(1.2)  # until everybody has heard of everybody
        own_valkey.restart()
        await until(lambda: not any(one.client.ready for one in every))
        # What is settled while it is away is in the journal, and nowhere else.
        own = running.pop()
        every[2].settle(own, {money.id: 3})
        journals[2].settled(own, {money.id: 3})
        for counters in every:
            await ready(counters, 20)
        assert sum(past.read for past in journals) == 2  # once at the start, once now
        assert not any(past.paused for past in journals)
        count = await every[0].count(money)
        assert count.used + count.held == 12 * 7 + 3 + 2 * 10
        assert sum((await every[0].count(minute))[:2]) == 15
        assert (await every[0].count(parallel)).held == 2
        for counters, hold in zip(every, running, strict=False):
            counters.settle(hold, {money.id: 1})
            await settled(counters)
        assert (await every[0].count(money))[:2] == (12 * 7 + 3 + 2, 0)
        assert (await every[0].count(parallel)).held == 0


async def test_a_member_that_died_is_waited_for_a_few_seconds(own_valkey):
    money, store = usd(1_000), Store()
    settings = own_valkey.settings()
    async with counting({**settings, "past": Journal(store, "stays")}) as counters:
        async with counting({**settings, "past": Journal(store, "goes")}):
            await asyncio.sleep(1.2)
        own_valkey.restart()
        await until(lambda: not counters.client.ready)
        await ready(counters, 20)
        start = time.monotonic()
        with pytest.raises(CountersError, match="other processes have yet to bring in"):
            await counters.reserve(HoldId("call-1", 0), [Claim(money, 1)], ())
        answer = None
        while not isinstance(answer, Hold):
            assert time.monotonic() - start < 30
            await asyncio.sleep(0.1)
            with contextlib.suppress(CountersError):
                answer = await counters.reserve(HoldId("call-2", 0), [Claim(money, 1)], ())


async def test_a_restarted_process_settles_again_what_it_settled(valkey):
    money, store = usd(1_000), Store()
    past = Journal(store, "journal")
    settings = valkey.settings(past=past)
    async with counting(settings) as counters:
        first, second = [await granted(counters, one, Claim(money, 100)) for one in range(2)]
        counters.settle(first, {money.id: 5})
        await settled(counters)
    # It ends before the other's settlement has arrived.
    async with counting(settings) as counters:
        assert past.read == 1
        await counters.replay([(first.id, [(money.id, 5)]), (second.id, [(money.id, 6)])])
        await settled(counters)
        assert await counters.count(money) == (11, 0, None)


async def test_commands_of_a_slow_server_fail_in_time_and_are_made_up_for(valkey):
    money = failing("Fail")
    async with before(valkey) as proxy, counting(valkey.settings(port=proxy.port)) as counters:
        hold = await granted(counters, 1, Claim(money, 10))
        proxy.delay = 2 * DEADLINE
        await refuses(counters, 2, Claim(money, 10))
        counters.settle(hold, {money.id: 4})
        proxy.delay = 0.0
        await ready(counters)
        await settled(counters)
        await until(lambda: proxy.idle)
        assert await counters.count(money) == (4, 0, None)


async def test_a_server_that_lost_its_scripts_is_given_them_again(own_valkey):
    money = usd(100)
    async with counting(own_valkey.settings()) as counters:
        hold = await granted(counters, 1, Claim(money, 10))
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", own_valkey.port)
            writer.write(b"SCRIPT FLUSH\r\n")
            assert await reader.readline() == b"+OK\r\n"
            writer.close()
            counters.settle(hold, {money.id: 4})
            await settled(counters)
            assert await counters.count(money) == (4, 0, None)
        assert counters.client.ready


class Interrupted(Journal):
    """A past whose first reading is cut off."""

    def __init__(self, store, name):
        super().__init__(store, name)
        self.cut = None

    def counted(self):
        found = super().counted()
        if self.cut is not None and self.read == 1:
            self.cut()
        return found


async def test_a_process_that_was_cut_off_while_it_brought_in_its_store_goes_on(valkey):
    money, store = usd(100_000), Store()
    store.amounts = [(money.id, NEVER, 1)] * 500 + [(usd(1, f"other-{one}").id, NEVER, 7) for one in range(5_000)]
    past = Interrupted(store, "journal")
    async with counting(valkey.settings(past=past), wait=False) as counters:
        loop = asyncio.get_running_loop()
        past.cut = lambda: loop.call_soon_threadsafe(lambda: counters.client.link.close("cut by a test"))
        await ready(counters)
        assert past.read == 2
        assert not past.paused
        assert (await counters.count(money)).used == 500
        assert (await counters.count(usd(1, "other-4999"))).used == 7


async def test_the_store_is_brought_in_by_one_process_of_many(valkey):
    money, store = usd(100_000), Store()
    store.amounts = [(money.id, NEVER, 500)]
    pasts = [Journal(store, f"journal-{one}") for one in range(5)]
    settings = valkey.settings()
    async with contextlib.AsyncExitStack() as stack:
        every = [await stack.enter_async_context(counting({**settings, "past": past}, wait=False)) for past in pasts]
        for counters in every:
            await ready(counters)
        assert sum(past.read for past in pasts) == 1
        assert (await every[0].count(money)).used == 500
        # One of another store brings in its own, once.
        other = Store("another store")
        other.amounts, other.positions = [(money.id, NEVER, 30)], {"journal-x": (1, 1)}
        last = Journal(other, "journal-x")
        last.records = [(money.id, NEVER, 30), (money.id, NEVER, 4)]
        for _ in range(2):
            async with counting({**settings, "past": last}) as counters:
                assert (await counters.count(money)).used == 534
