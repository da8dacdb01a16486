"""Fifty edits under five hundred requests a second: none fails, none is judged by a mixture, each is in force at once."""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import time
from pathlib import Path

import pytest

from tests.end_to_end.test_reload import CONFIG
from tests.running import MASTER, Gateway

EDITS = 50
RATE = 500
FILLER = 1000
PROMISED = 0.3
_WARNING = re.compile(rb"x-interlock-warning: (\w)/rules\[0\]: n(\d+)")
_BODY = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "hello"}]}).encode()
_REQUEST = (
    f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer {MASTER}\r\n"
    f"content-length: {len(_BODY)}\r\n\r\n"
).encode() + _BODY


def warning(name: str, number: int) -> str:
    return f"""kind: ModelAccess
name: {name}
validationActions: [Warn]
rules: [{{deny: 'true', message: n{number}}}]
"""


def filler() -> str:
    return "---\n".join(
        f"kind: ModelAccess\nname: filler-{at}\nmatch: {{models: [model-{at}], teams: [team-{at % 20}]}}\n"
        f"rules:\n  - deny: 'llm.params.?max_tokens.orValue(0) > {at} && apiKey.team != \"x{at}\"'\n"
        for at in range(FILLER)
    )


class Load:
    """Asks at a fixed rate over a few connections; `seen` holds when each answer came and what revision judged it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen: list[tuple[float, int]] = []
        self.failures: list[bytes] = []
        self.mixtures = 0
        self.slowest = 0.0
        self.stop = False

    async def one(self, lane: int, lanes: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        due = time.monotonic() + lane / RATE
        while not self.stop:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += lanes / RATE
            asked = time.monotonic()
            writer.write(_REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
            await reader.readexactly(length)
            self.slowest = max(self.slowest, time.monotonic() - asked)
            self.judge(head)
        writer.close()

    def judge(self, head: bytes) -> None:
        found = dict(_WARNING.findall(head))
        if not head.startswith(b"HTTP/1.1 200"):
            self.failures.append(head)
        elif set(found) != {b"a", b"b"} or len(set(found.values())) != 1:
            self.mixtures += 1
        else:
            self.seen.append((time.monotonic(), int(found[b"a"])))


def swapped(mount: Path, number: int) -> None:
    """Swap both files at once, as Kubernetes does."""
    data = mount / f"..version{number}"
    data.mkdir()
    for name in ("a", "b"):
        (data / f"{name}.yaml").write_text(warning(name, number))
    link = mount / "..data_tmp"
    link.symlink_to(data.name)
    link.replace(mount / "..data")


def slow_gaps(running: Gateway) -> dict[str, int]:
    page = running.get("/metrics").body.decode()
    return {bound: int(count) for bound, count in re.findall(r'loop_gap_seconds_bucket\{loop="main",le="([^"]+)"\} (\d+)', page)}  # fmt: skip


@pytest.mark.soak
async def test_fifty_edits_under_load(gateway, tmp_path):
    mount = tmp_path / "mount"
    mount.mkdir()
    swapped(mount, 0)
    for name in ("a.yaml", "b.yaml"):
        (mount / name).symlink_to(f"..data/{name}")
    (mount / "filler.yaml").write_text(filler())
    running = gateway(CONFIG, "--policies", str(mount))
    await asyncio.sleep(4)
    load = Load(running.port)
    lanes = [asyncio.ensure_future(load.one(lane, 20)) for lane in range(20)]
    before, saved = slow_gaps(running), {}
    for number in range(1, EDITS + 1):
        swapped(mount, number)
        saved[number] = time.monotonic()
        if number % 5 == 0:
            await asyncio.sleep(0.4)
            (mount / "filler.yaml").write_text(filler()[: 1000 + number])  # Cut off in the middle: refused.
            await asyncio.sleep(0.4)
            (mount / "filler.yaml").write_text(filler())
        await asyncio.sleep(1.2)
    load.stop = True
    await asyncio.gather(*lanes)
    after = slow_gaps(running)
    first: dict[int, float] = {}
    for when, number in load.seen:
        first.setdefault(number, when)
    took = sorted(first[number] - when for number, when in saved.items())
    gaps = {bound: after[bound] - before[bound] for bound in after}
    print(f"\n{len(load.seen)} requests, {EDITS} edits beside {FILLER} policies: in force after median "
          f"{statistics.median(took) * 1e3:.0f} ms, longest {took[-1] * 1e3:.0f} ms; slowest request {load.slowest * 1e3:.1f} ms; "
          f"loop gaps {gaps}; refused {running.log.count('reload refused')}")  # fmt: skip
    assert not load.failures
    assert not load.mixtures
    assert len(load.seen) > EDITS * 1.2 * RATE * 0.9
    assert running.log.count("reload refused") >= EDITS // 5 - 1
    assert took[-1] <= PROMISED * 10
