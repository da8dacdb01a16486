"""Rules and bodies made to take long: what they cost is paid elsewhere, every other call is answered meanwhile."""

from __future__ import annotations

import re
import threading
import time

import pytest

from bench import machine
from bench.servers import Upstream
from tests.end_to_end.test_reload import CONFIG
from tests.running import Gateway

HELD = 0.05
"""Ten times the 5 milliseconds for which nothing may hold the loop."""
RULES = (
    "llm.prompt.all(m, llm.prompt.exists(o, o.content + m.content == 'x'))",
    "llm.prompt.exists(m, m.content.matches('a[ab]{150}c'))",
    "'%s'.format([llm.prompt]) == ''",
    "llm.prompt.map(m, m.content).join().size() == 3",
    "size(string(llmRequest.messages[0].content) + string(llmRequest.messages[1].content)) == 7",
)
POLICY = "---\n".join(
    f'kind: ModelAccess\nname: hard-{at}\nfailurePolicy: Ignore\nrules: [{{require: "!({rule})"}}]\n'
    for at, rule in enumerate(RULES)
)
BODIES = {
    "many messages": [{"role": "user", "content": "x"}] * 20_000,
    "long messages": [{"role": "user", "content": "ab" * 50_000}] * 8,
    "one huge message": [{"role": "user", "content": "ab" * 1_500_000}],
}


@pytest.fixture(scope="module")
def provider():
    """Run a provider in a process of its own: what answering costs is not the gateway's."""
    with Upstream(machine.cores()[1]) as started:
        yield started.port


def gaps(running: Gateway) -> dict[float, int]:
    """Count the loop's gaps up to each bound."""
    page = running.get("/metrics").body.decode()
    return {float(bound): int(count) for bound, count in re.findall(r'loop_gap_seconds_bucket\{loop="main",le="([^"]+)"\} (\d+)', page)}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_nothing_holds_the_loop(gateway, provider, tmp_path, name):
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "hard.yaml").write_text(POLICY)
    config = CONFIG.replace(
        "model: echo/echo", f"model: openai/x, api_base: 'http://127.0.0.1:{provider}/v1', api_key: sk-x"
    )
    running = gateway(config, "--policies", str(folder))
    time.sleep(1)
    # What holds the loop holds it each time; on a busy machine others may take its core for as long, now and then.
    assert any(undisturbed(running, BODIES[name]) for _ in range(3))


def undisturbed(running: Gateway, messages: object) -> bool:
    """Tell whether other calls go on, and the loop with them, while three are judged at length."""
    before = gaps(running)
    asked = {"model": "echo", "messages": messages}
    slow = [threading.Thread(target=running.post, args=("/v1/chat/completions", asked)) for _ in range(3)]
    for thread in slow:
        thread.start()
    slowest = 0.0
    while any(thread.is_alive() for thread in slow):
        started = time.monotonic()
        assert running.chat().status == 200
        slowest = max(slowest, time.monotonic() - started)
    new = {bound: count - before[bound] for bound, count in gaps(running).items()}
    print(f"\nslowest other call {slowest * 1e3:.1f} ms, gaps up to each bound {new}")
    return slowest < 1.0 and new[HELD] == new[float("inf")]
