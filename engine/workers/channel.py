"""What master and worker say to each other, over a pair of sockets: each end asks, the other answers.

A message is a head in JSON and any number of parts. Both ends are of one release: nothing here is kept or versioned.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from engine.parts import pack, read_parts

log = structlog.get_logger("interlock")

PATIENCE = 5.0
"""Seconds to wait for an answer, unless more are given."""
AT_ONCE = 64
"""Questions under way of one end."""

Answer = Callable[[list[bytes]], Awaitable[list[bytes]]]


class ChannelError(Exception):
    """The other end is gone, too slow, or could not answer; the message says which."""


class Channel:
    """One end. `answers` says what is done for each question, and `run` must run for any to be heard."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: Mapping[str, Answer]
    ) -> None:
        self._reader, self._writer, self._answers = reader, writer, answers
        self._asked: dict[int, asyncio.Future[list[bytes]]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._number = 0
        self._closed = False

    async def ask(self, what: str, *parts: bytes, patience: float = PATIENCE) -> list[bytes]:
        """Ask the other end, and return what it answers; raises ChannelError."""
        async with self._room:
            if self._closed:
                raise ChannelError("the other process is gone")
            self._number += 1
            number = self._number
            answer: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
            self._asked[number] = answer
            try:
                await self._send({"ask": what, "number": number}, parts)
                return await asyncio.wait_for(answer, patience)
            except TimeoutError as error:
                raise ChannelError(f"no answer to `{what}` within {patience:g} seconds") from error
            except OSError as error:
                raise ChannelError("the other process is gone") from error
            finally:
                self._asked.pop(number, None)

    async def run(self) -> None:
        """Hear the other end until it is gone."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                head, *parts = await read_parts(self._reader)
                said = json.loads(head)
                if "ask" in said:
                    task = loop.create_task(self._answer(said, parts))
                    self._answering.add(task)
                    task.add_done_callback(self._answering.discard)
                else:
                    self._answered(said, parts)
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self.close()

    def close(self) -> None:
        """Let go; who waits for an answer is told that none will come."""
        self._closed = True
        self._writer.close()
        for task in self._answering:
            task.cancel()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ChannelError("the other process is gone"))

    async def _answer(self, said: dict[str, Any], parts: list[bytes]) -> None:
        head = {"answer": said["number"]}
        try:
            parts = await self._answers[said["ask"]](parts)
        except Exception:
            log.exception("a question of another process could not be answered", asked=said["ask"])
            head["failed"], parts = True, []
        try:
            await self._send(head, parts)
        except OSError as error:
            log.warning("an answer found nobody", asked=said["ask"], why=str(error))

    def _answered(self, said: dict[str, Any], parts: list[bytes]) -> None:
        answer = self._asked.get(said["answer"])
        if answer is None or answer.done():
            return
        if said.get("failed"):
            answer.set_exception(ChannelError("the other process could not answer; its log says why"))
        else:
            answer.set_result(parts)

    async def _send(self, head: dict[str, Any], parts: list[bytes] | tuple[bytes, ...]) -> None:
        self._writer.write(pack([json.dumps(head).encode(), *parts]))
        await self._writer.drain()
