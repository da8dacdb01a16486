"""A house that spends: priced models, keys with budgets, policies; and clients that keep what they were answered.

Four keys: `RICH` and `MADE`, which is to be made over HTTP, have budgets that are never reached, `POOR` is under a policy's
budget that is, `RATED` under a rate limit that is. Every client asks, keeps what it was answered, and asks again until the
connection breaks.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import yaml

from bench.ports import free_port
from tests.end_to_end.books import cost_of
from tests.running import MASTER, Exchange, Gateway

RICH, POOR, RATED, MADE = (f"sk-{name}-0123456789abcdef" for name in ("rich", "poor", "rated", "made"))
BUDGET = 1_000_000
"""USD that `RICH` and `RATED` may spend."""
IN, OUT, LAB = 1_000_000, 2_000_000, 10_000_000
"""Nano-dollars of a word asked, a word answered, and a request that goes on as it came."""
ESTIMATED = 50 * IN
"""By how much an estimate of a text of twelve words may be beyond them."""
LEFT = 499
"""The status of a call whose client left."""
UNKNOWN = 4_096
"""Words that are held for an answer of which nobody knows the most."""
CLIENTS = 4
"""Clients of each kind of call."""
NOWHERE = f"http://127.0.0.1:{free_port()}/v1"
PAUSE = 0.04
"""Seconds between two calls of a client whose limit is near."""
_WORDS = ("hello", "brave", "new", "world", "how", "are", "you")
_ID = re.compile(rb'"id": ?"([^"]+)"')


class Asked(NamedTuple):
    """A call as its client has it: what it may cost at most, and what it was answered.

    `request_id` and `cost` are None where no whole answer came; of a refused one nothing is charged.
    """

    key: str
    most: int
    status: int = 0
    request_id: str | None = None
    cost: int | None = None


def config(limit: float, calls: int, upstream: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write a configuration and its policies: USD of `POOR`, calls of `RATED`, the port of who answers `/lab`."""
    price = {"input_cost_per_token": IN / 1e9, "output_cost_per_token": OUT / 1e9}
    models = [
        {"model_name": "echo", "litellm_params": {"model": "echo/echo", "echo_delay_ms": 3, **price}},
        {"model_name": "slow", "litellm_params": {"model": "echo/echo", "echo_frame_delay_ms": 2, **price}},
        {"model_name": "pair", "litellm_params": {"model": "echo/bad", "echo_status": 500, "weight": 1, **price}},
        {"model_name": "pair", "litellm_params": {"model": "echo/good", "echo_delay_ms": 3, "weight": 0, **price}},
        {
            "model_name": "pair",
            "litellm_params": {"model": "openai/x", "api_base": NOWHERE, "api_key": "k", "weight": 0, **price},
        },
    ]
    keys = [{"api_key": RICH, "max_budget": BUDGET}, {"api_key": POOR}, {"api_key": RATED, "max_budget": BUDGET}]
    aliases = ["rich", "poor", "rated"]
    whole = {
        "model_list": models,
        "router_settings": {"num_retries": 2},
        "general_settings": {"master_key": MASTER},
        "litellm_settings": {
            "virtual_keys": [{**key, "key_alias": alias} for key, alias in zip(keys, aliases, strict=True)]
        },
    }
    policies = [
        {"kind": "Budget", "name": "poor", "match": {"keys": ["poor"]}, "limit": limit, "window": "forever"},
        {"kind": "RateLimit", "name": "rated", "match": {"keys": ["rated"]}, "type": "requests",
         "algorithm": "sliding-window", "rates": [{"limit": calls, "window": "12h"}]},
        {"kind": "PassThrough", "name": "lab", "path": "/lab", "target": f"http://127.0.0.1:{upstream}", "cost": LAB / 1e9},
    ]  # fmt: skip
    return whole, policies


def house(
    folder: Path, name: str, settings: tuple[dict[str, Any], list[dict[str, Any]]], *more: str, wait: bool = True,
    environ: dict[str, str] | None = None,
) -> Gateway:  # fmt: skip
    """Start a gateway of these settings, and `more` options, on the data of `folder`."""
    whole, policies = settings
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "p.yaml").write_text(yaml.safe_dump_all(policies))
    options = ("--policies", str(folder / "policies"), "--data", str(folder / "data"), *more)
    return Gateway(folder / name, yaml.safe_dump(whole), options, environ or {}).start(wait=wait)


_numbers = itertools.count()


async def lab(exchange: Exchange) -> None:
    """Answer for `/lab`: JSON with an id of its own, or plain text."""
    if "/text" in exchange.line:
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\ndone")
    else:
        await exchange.json({"id": f"lab-{next(_numbers)}-{random.getrandbits(48):x}", "done": True})


class Client:
    """One client: `asked` is all that it sent."""

    def __init__(self, session: aiohttp.ClientSession, key: str) -> None:
        self.asked: list[Asked] = []
        self._session = session
        self._key = key

    async def run(self, ask: Callable[[Client], Coroutine[Any, Any, Asked]]) -> None:
        """Ask again and again until the connection breaks, or a refusal says that it is over."""
        while True:
            found = await ask(self)
            self.asked.append(found)
            if not found.status:
                return
            assert found.status in {200, 400, 429, LEFT}, found
            if found.status in {400, 429} or self._key in {POOR, RATED}:
                # Limits are to be reached after some kills, not before the first.
                await asyncio.sleep(PAUSE)

    async def run_until(self, ask: Callable[[Client], Coroutine[Any, Any, Asked]], end: asyncio.Event) -> None:
        """Ask again and again, whatever breaks meanwhile."""
        while not end.is_set():
            found = await ask(self)
            self.asked.append(found)
            assert found.status in {0, 200, 400, 429, 503, LEFT}, found
            if found.status not in {200, LEFT} or self._key in {POOR, RATED}:
                await asyncio.sleep(PAUSE)

    async def chat(self, model: str = "echo") -> Asked:
        """Ask for an answer in one piece."""
        text = _text(random.randint(1, 12))
        limit = random.randint(16, 40)
        most = len(text.split()) * IN + limit * OUT
        return await self._ask("/v1/chat/completions", {**_chat(model, text), "max_tokens": limit}, most)

    async def retried(self) -> Asked:
        """Ask for an answer of which the first attempt fails, and the second reaches nobody."""
        found = await self.chat("pair")
        # Where the second attempt goes, words are not counted but estimated.
        return found._replace(most=found.most + ESTIMATED)

    async def leave(self) -> Asked:
        """Ask for a long stream and leave in the midst of it; nobody knows what that costs."""
        text = _text(random.randint(200, 600))
        most = len(text.split()) * IN + UNKNOWN * OUT
        return await self._ask("/v1/chat/completions", {**_chat("slow", text), "stream": True}, most, leave=True)

    async def stream(self) -> Asked:
        """Ask for a stream whose most is held at once."""
        text = _text(random.randint(1, 40))
        body = {**_chat("slow", text), "stream": True, "max_tokens": 40}
        return await self._ask("/v1/chat/completions", body, len(text.split()) * IN + 40 * OUT)

    async def long_stream(self) -> Asked:
        """Ask for a stream that holds slice after slice."""
        text = _text(random.randint(200, 600))
        body = {**_chat("slow", text), "stream": True}
        return await self._ask("/v1/chat/completions", body, len(text.split()) * IN + UNKNOWN * OUT)

    async def embed(self) -> Asked:
        """Ask for a vector."""
        text = _text(random.randint(1, 20))
        return await self._ask("/v1/embeddings", {"model": "echo", "input": text}, len(text.split()) * IN)

    async def pass_on(self) -> Asked:
        """Send a request that goes on as it came."""
        return await self._ask(random.choice(["/lab/json", "/lab/text"]), {"any": "thing"}, LAB)

    async def _ask(self, path: str, body: dict[str, Any], most: int, *, leave: bool = False) -> Asked:
        # Where limits have plenty of room, a byte of a request is held as a word.
        most += len(json.dumps(body)) * IN
        headers = {"authorization": f"Bearer {self._key}"}
        try:
            async with self._session.post(path, json=body, headers=headers) as answer:
                if leave:
                    await answer.content.read(random.randint(1, 40_000))
                    answer.close()
                    return Asked(self._key, most, LEFT)
                text = await answer.read()
        except (aiohttp.ClientError, OSError):
            return Asked(self._key, most)
        if answer.status != 200:
            return Asked(self._key, most, answer.status)
        found = _ID.search(text)
        call = answer.headers["x-litellm-call-id"]
        cost = _streamed(body, text) if body.get("stream") else cost_of(_lowered(answer))
        return Asked(self._key, most, 200, found[1].decode() if found else call, cost)


def _text(words: int) -> str:
    return " ".join(random.choices(_WORDS, k=words))


def _chat(model: str, text: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


def _lowered(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def _streamed(body: dict[str, Any], text: bytes) -> int:
    """Count what a whole stream cost: the words asked and the words answered."""
    assert text.endswith(b"data: [DONE]\n\n")
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith(b"data: {")]
    said = "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
    return len(body["messages"][0]["content"].split()) * IN + len(said.split()) * OUT


MIX = (
    (RICH, Client.chat),
    (RICH, Client.stream),
    (RICH, Client.long_stream),
    (RICH, Client.embed),
    (RICH, Client.pass_on),
    (POOR, Client.chat),
    (POOR, Client.stream),
    (POOR, Client.embed),
    (RATED, Client.retried),
    (MADE, Client.chat),
    (MADE, Client.leave),
)


async def spend(running: Gateway, seconds: float, number: int = signal.SIGKILL) -> list[Asked]:
    """Let all clients ask for a while, then end the gateway by a signal; return what they had asked."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(running.url, connector=connector) as session:
        clients = [(Client(session, key), ask) for key, ask in MIX for _ in range(CLIENTS)]
        asking = asyncio.gather(*(client.run(ask) for client, ask in clients))
        await asyncio.sleep(seconds)
        assert running.process is not None
        running.process.send_signal(number)
        await asking
    running.stop()
    return [one for client, _ in clients for one in client.asked]


async def spend_while(running: Gateway, meanwhile: Coroutine[Any, Any, None]) -> list[Asked]:
    """Let all clients ask while something is done to the gateway or its servers; return what they had asked."""
    end = asyncio.Event()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(running.url, connector=connector) as session:
        clients = [(Client(session, key), ask) for key, ask in MIX for _ in range(CLIENTS)]
        asking = asyncio.gather(*(client.run_until(ask, end) for client, ask in clients))
        try:
            await meanwhile
        finally:
            end.set()
        await asking
    return [one for client, _ in clients for one in client.asked]
