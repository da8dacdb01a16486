"""Two hundred calls at once against a limit for exactly ten: ten pass, and those refused consume nothing.

Then the limit is raised by one call's worth: exactly one more passes, which shows both that the counter outlives the
change and that the refused counted nowhere.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.running import MASTER, Gateway

CALLS, PASS = 200, 10
KEY = "sk-burst-0123456789abcdef"
WORDS = "hello brave new world"
"""Four tokens of the echo provider, in and out."""
CONFIG = f"""
model_list:
  - {{model_name: echo, litellm_params: {{model: echo/echo, input_cost_per_token: 0.001, output_cost_per_token: 0.002, echo_delay_ms: 100}}}}
general_settings: {{master_key: {MASTER}}}
litellm_settings: {{virtual_keys: [{{api_key: {KEY}}}]}}
"""
CHAT = {"model": "echo", "messages": [{"role": "user", "content": WORDS}], "max_tokens": 4}
STREAM = {**CHAT, "stream": True}
EMBED = {"model": "echo", "input": WORDS}
BOTH, INPUT = 0.012, 0.004
"""USD of one chat and of one embedding."""


def budget(limit: float) -> dict[str, object]:
    return {"kind": "Budget", "name": "all", "limit": round(limit, 9), "window": "1d"}


def rate(kind: str, limit: int, algorithm: str = "fixed-window") -> dict[str, object]:
    return {
        "kind": "RateLimit", "name": "all", "type": kind, "rates": [{"limit": limit, "window": "1h"}], "algorithm": algorithm,
    }  # fmt: skip


CASES = {
    "budget, chat": (budget(PASS * BOTH), budget(PASS * BOTH + BOTH), "/v1/chat/completions", CHAT, 400),
    "budget, stream": (budget(PASS * BOTH), budget(PASS * BOTH + BOTH), "/v1/chat/completions", STREAM, 400),
    "budget, embeddings": (budget(PASS * INPUT), budget(PASS * INPUT + INPUT), "/v1/embeddings", EMBED, 400),
    "requests, chat": (rate("requests", PASS), rate("requests", PASS + 1), "/v1/chat/completions", CHAT, 429),
    "requests, embeddings": (rate("requests", PASS, "sliding-window"), rate("requests", PASS + 1, "sliding-window"), "/v1/embeddings", EMBED, 429),
    "tokens, chat": (rate("tokens", PASS * 8), rate("tokens", PASS * 8 + 8), "/v1/chat/completions", CHAT, 429),
    "tokens, stream": (rate("tokens", PASS * 8, "sliding-window"), rate("tokens", PASS * 8 + 8, "sliding-window"), "/v1/chat/completions", STREAM, 429),
    "tokens, embeddings": (rate("inputTokens", PASS * 4), rate("inputTokens", PASS * 4 + 4), "/v1/embeddings", EMBED, 429),
}  # fmt: skip


async def burst(running: Gateway, path: str, body: object, count: int = CALLS, key: str = KEY) -> Counter[int]:
    """Ask all at once; return how often each status was answered."""
    connector = aiohttp.TCPConnector(limit=count)
    headers = {"authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(running.url, connector=connector, headers=headers) as session:

        async def one() -> int:
            async with session.post(path, json=body) as answer:
                text = await answer.read()
                if answer.status == 200 and text.startswith(b"data:"):
                    assert text.endswith(b"data: [DONE]\n\n")
                return answer.status

        return Counter(await asyncio.gather(*(one() for _ in range(count))))


@pytest.fixture(params=["alone", "three workers"])
def limited(request, gateway, tmp_path):
    """Start a gateway under one policy; the folder of the policy is its `policies`."""

    def start(policy: object, config: str = CONFIG) -> Gateway:
        (tmp_path / "policies").mkdir()
        write(tmp_path, policy)
        many: tuple[tuple[str, ...], dict[str, str]] = ((), {})
        if request.param == "three workers":
            many = ("--workers", "3"), {"REDIS_URL": request.getfixturevalue("own_valkey").url}
        running: Gateway = gateway(config, "--policies", str(tmp_path / "policies"), *many[0], environ=many[1])
        return running

    return start


def write(folder: Path, policy: object) -> None:
    (folder / "policies" / "limit.yaml").write_text(yaml.safe_dump(policy))


async def changed(running: Gateway, policy: object) -> None:
    """Edit the policy and wait until the new text is in force."""
    before = running.get("/health/readiness", key=None).json()["revision"]
    write(running.folder.parent, policy)
    for _ in range(100):
        await asyncio.sleep(0.05)
        if running.get("/health/readiness", key=None).json()["revision"] > before:
            return
    pytest.fail("the edited policy never came into force")


@pytest.mark.parametrize("case", CASES)
async def test_exactly_ten_pass_and_the_refused_consume_nothing(limited, case):
    first, raised, path, body, status = CASES[case]
    running = limited(first)
    assert await burst(running, path, body) == {200: PASS, status: CALLS - PASS}
    await changed(running, raised)
    assert await burst(running, path, body, 20) == {200: 1, status: 19}


async def test_no_more_run_at_once_than_may(limited):
    parallel = {"kind": "RateLimit", "name": "all", "type": "parallel", "rates": [{"limit": PASS}]}
    running = limited(parallel, CONFIG.replace("echo_delay_ms: 100", "echo_delay_ms: 1500"))
    assert await burst(running, "/v1/chat/completions", CHAT) == {200: PASS, 429: CALLS - PASS}
    assert await burst(running, "/v1/chat/completions", STREAM, PASS) == {200: PASS}


@pytest.mark.parametrize(
    ("policy", "raised", "status"),
    [
        (budget(PASS * 0.01), budget(PASS * 0.01 + 0.01), 400),
        (rate("requests", PASS), rate("requests", PASS + 1), 429),
    ],
)
async def test_what_is_passed_on_is_held_for_too(limited, upstream, policy, raised, status):
    async def answer(exchange) -> None:
        await asyncio.sleep(0.1)
        await exchange.json({"ok": True})

    upstream.handler = answer
    other = f"{{path: /other, target: '{upstream.base}', cost_per_request: 0.01}}"
    general = f"general_settings: {{pass_through_endpoints: [{other}], master_key"
    running = limited(policy, CONFIG.replace("general_settings: {master_key", general))
    assert await burst(running, "/other", {"a": 1}) == {200: PASS, status: CALLS - PASS}
    assert len(upstream.requests) == PASS
    await changed(running, raised)
    assert await burst(running, "/other", {"a": 1}, 20) == {200: 1, status: 19}
