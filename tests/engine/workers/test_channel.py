"""What two processes of one gateway say to each other, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from engine.workers.channel import Channel, ChannelError


@contextlib.asynccontextmanager
async def channels(ours, theirs):
    """Give two ends that hear each other."""
    pair = socket.socketpair()
    ends = [
        Channel(*await asyncio.open_connection(sock=sock), answers)
        for sock, answers in zip(pair, (ours, theirs), strict=True)
    ]
    hearing = [asyncio.create_task(end.run()) for end in ends]
    try:
        yield ends
    finally:
        for end in ends:
            end.close()
        await asyncio.gather(*hearing)


async def double(parts):
    return [part * 2 for part in parts]


async def broken(parts):
    del parts
    raise ValueError("no")


async def never(parts):
    await asyncio.Event().wait()
    return parts


async def test_both_ends_ask_and_answer_at_once():
    async with channels({"double": double}, {"double": double}) as (ours, theirs):
        large = b"x" * 300_000
        answers = await asyncio.gather(
            *(end.ask("double", b"a", str(n).encode(), b"", large) for n in range(40) for end in (ours, theirs))
        )
    assert answers == [[b"aa", str(n).encode() * 2, b"", large * 2] for n in range(40) for _ in range(2)]


async def test_an_end_asks_while_it_answers():
    """Who is asked may have to ask back: neither waits for the other's hearing."""

    async def back(parts):
        return await ends[1].ask("double", *parts)

    async with channels({"double": double}, {"back": back}) as ends:
        assert await ends[0].ask("back", b"z") == [b"zz"]


async def test_an_answer_that_fails_says_so_and_the_next_does_not():
    async with channels({}, {"broken": broken, "double": double}) as (ours, _):
        with pytest.raises(ChannelError, match="could not answer"):
            await ours.ask("broken")
        with pytest.raises(ChannelError, match="could not answer"):
            await ours.ask("unknown")
        assert await ours.ask("double", b"1") == [b"11"]


async def test_an_answer_that_is_late_is_not_taken_for_another():
    async def late(parts):
        await asyncio.sleep(0.2)
        return parts

    async with channels({}, {"late": late, "double": double}) as (ours, _):
        with pytest.raises(ChannelError, match=r"within 0\.05 seconds"):
            await ours.ask("late", b"old", patience=0.05)
        assert await ours.ask("late", b"new") == [b"new"]


async def test_who_waits_is_told_when_the_other_end_is_gone():
    async with channels({}, {"never": never}) as (ours, theirs):
        waiting = asyncio.create_task(ours.ask("never", patience=60))
        await asyncio.sleep(0.05)
        theirs.close()
        with pytest.raises(ChannelError, match="gone"):
            await asyncio.wait_for(waiting, 5)
        with pytest.raises(ChannelError, match="gone"):
            await ours.ask("never")
