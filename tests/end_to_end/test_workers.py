"""Several worker processes on one port: one gateway to its users, whichever of them answers or dies."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import time
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.wires import eventually
from tests.running import MASTER, Answer, Gateway

BACK, IN_FORCE = 2.0, 0.2
"""Seconds that are promised for a dead worker, and for what one process changes; ten times that is the limit here."""
CONFIG = f"""
model_list:
- {{model_name: echo, litellm_params: {{model: echo/echo, input_cost_per_token: 0.001, output_cost_per_token: 0.001}}}}
- {{model_name: slow, litellm_params: {{model: echo/echo, echo_frame_delay_ms: 100, echo_chunk_chars: 2}}}}
general_settings: {{master_key: {MASTER}}}
"""
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hello brave new world"}], "max_tokens": 4}


class Line:
    """A connection that is kept, and so the worker that it reached."""

    def __init__(self, running: Gateway) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        answer = self.chat(MASTER)
        assert answer.status == 200, answer.body
        self.worker = answer.headers["x-litellm-call-id"].partition("-")[0]

    def chat(self, key: str) -> Answer:
        return self.post("/v1/chat/completions", CHAT, key)

    def post(self, path: str, body: object, key: str = MASTER) -> Answer:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._http.request("POST", path, json.dumps(body), headers)
        answer = self._http.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def close(self) -> None:
        self._http.close()


@contextlib.contextmanager
def lines(running: Gateway, workers: int):
    """Give a line to each worker."""
    found: dict[str, Line] = {}
    spare = []
    try:
        for _ in range(200):
            line = Line(running)
            spare.append(line)
            found.setdefault(line.worker, line)
            if len(found) == workers:
                break
        assert len(found) == workers, "the kernel spreads connections over the workers"
        yield list(found.values())
    finally:
        for line in spare:
            line.close()


def pids(running: Gateway) -> list[int]:
    """Return the worker processes."""
    assert running.process is not None
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = path.read_text().rpartition(")")
            if (
                int(rest.split()[1]) == running.process.pid
                and b"engine.workers.worker" in (path.parent / "cmdline").read_bytes()
            ):
                found.append(int(name.partition(" ")[0]))
    return found


def state(running: Gateway) -> dict:
    return running.get("/health/readiness", key=None).json()


def total(running: Gateway, name: str) -> float:
    text = running.get("/metrics").body.decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


@pytest.fixture
def many(gateway, own_valkey):
    def start(workers: int = 2, config: str = CONFIG, *options: str) -> Gateway:
        running = gateway(config, "--workers", str(workers), *options, environ={"REDIS_URL": own_valkey.url})
        assert running.process.poll() is None, running.log
        return running

    return start


def test_workers_are_one_gateway(many):
    running = many(3)
    assert state(running)["workers"] == {"configured": 3, "running": 3}
    assert eventually(lambda: running.log.count('"event":"ready"') == 1, 5)
    with lines(running, 3) as each:
        before = total(running, "interlock_requests_total")
        key = each[0].post("/key/generate", {"max_budget": 0.05, "rpm_limit": 100}).json()["key"]
        answers = [each[at % 3].chat(key) for at in range(9)]
        assert [one.status for one in answers] == [200] * 6 + [400] * 3, (
            "six calls of $0.008 fit, wherever they are made"
        )
        assert [one.headers["x-ratelimit-api_key-remaining-requests"] for one in answers[:6]] == [
            "99",
            "98",
            "97",
            "96",
            "95",
            "94",
        ]
        assert total(running, "interlock_requests_total") == before + 9
        assert eventually(
            lambda: running.get(f"/key/info?key={key}").json()["info"]["spend"] == pytest.approx(0.048), 10
        )
        assert eventually(lambda: len(running.get("/spend/logs?api_key=" + key).json()) == 6, 10)
        page = each[1].post("/config/reload", {})
        assert page.status == 200
    assert running.stop() == 0, running.log
    assert '"level":"error"' not in running.log


def test_what_one_worker_changes_all_know(many):
    """The promise is 200 ms."""
    running = many(3)
    with lines(running, 3) as each:
        key = each[0].post("/key/generate", {"max_budget": 10}).json()["key"]
        assert [line.chat(key).status for line in each] == [200] * 3, "a new key is good everywhere at once"
        slowest = 0.0
        for place, (path, body, status) in enumerate((
            ("/key/block", {"key": key}, 401),
            ("/key/unblock", {"key": key}, 200),
            ("/key/update", {"key": key, "max_budget": 0.000001}, 400),
            ("/key/update", {"key": key, "max_budget": 10}, 200),
            ("/key/delete", {"keys": [key]}, 401),
        )):  # fmt: skip
            assert each[place % 3].post(path, body).status == 200
            began = time.monotonic()
            for line in each:
                assert until(line, key, status, 10 * IN_FORCE), (path, body)
            slowest = max(slowest, time.monotonic() - began)
        print(f"a change was in force in all workers after {slowest * 1000:.0f} ms (promised {IN_FORCE * 1000:.0f})")


def until(line: Line, key: str, status: int, seconds: float) -> bool:
    """Tell whether a worker comes to answer a key so in time."""
    return eventually(lambda: line.chat(key).status == status, seconds)


def test_a_worker_that_dies_is_replaced(many):
    running = many(2)
    for _ in range(10):
        assert running.chat().status == 200
    before = total(running, "interlock_requests_total")
    old = pids(running)
    os.kill(old[0], signal.SIGKILL)
    began = time.monotonic()
    assert eventually(
        lambda: len({*pids(running)} - {*old}) == 1 and state(running)["workers"]["running"] == 2, 10 * BACK
    )
    took = time.monotonic() - began
    print(f"a dead worker is back after {took:.2f} s (promised {BACK:g})")
    assert [running.chat().status for _ in range(10)] == [200] * 10
    assert total(running, "interlock_requests_total") >= before + 10, "what the dead one had counted stays"
    assert "worker ended" in running.log


def test_a_worker_is_told_to_stop_and_finishes_its_calls(many):
    running = many(2)
    with lines(running, 2) as each:
        old = pids(running)
        stream = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
        body = json.dumps({"model": "slow", "messages": [{"role": "user", "content": "0123456789"}], "stream": True})
        stream.request(
            "POST",
            "/v1/chat/completions",
            body,
            {"authorization": f"Bearer {MASTER}", "content-type": "application/json"},
        )
        answer = stream.getresponse()
        answer.read(10)
        for pid in old:
            os.kill(pid, signal.SIGTERM)
        assert answer.read().endswith(b"data: [DONE]\n\n")
        answer.close()
        stream.close()
        assert eventually(lambda: {*old}.isdisjoint(pids(running)) and len(pids(running)) == 2, 20)
        assert each
    assert eventually(lambda: serves(running, 2), 20)
    assert running.chat().status == 200


def test_a_revision_is_in_force_in_all_workers_or_in_none(many, tmp_path):
    policies = tmp_path / "policies"
    policies.mkdir()

    def write(*models: str) -> None:
        (policies / "p.yaml").write_text(yaml.safe_dump({"kind": "ModelAccess", "name": "few", "models": [*models]}))

    write("echo", "slow")
    running = many(3, CONFIG, "--policies", str(policies))
    assert eventually(lambda: '"event":"watching"' in running.log, 10)
    with lines(running, 3) as each:
        write("echo")
        began = time.monotonic()
        for line in each:
            assert eventually(lambda line=line: revision(line) == "2", 5)
        print(
            f"an edited policy was in force in all workers after {(time.monotonic() - began) * 1000:.0f} ms (promised 200)"
        )
        (policies / "p.yaml").write_text("kind: Nonsense\n")
        assert eventually(lambda: not state(running)["config_in_sync"], 5)
        assert total(running, "interlock_config_in_sync") == 0
        assert {revision(line) for line in each} == {"2"}
    old = pids(running)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: {*old}.isdisjoint(pids(running)) and len(pids(running)) == 3, 20)
    assert eventually(lambda: serves(running, 3), 20)
    with lines(running, 3) as each:
        assert {revision(line) for line in each} == {"2"}, "who comes back serves what was last good"
        write("echo", "slow", "other")
        assert eventually(lambda: state(running)["config_in_sync"], 5)
        assert {revision(line) for line in each} == {"3"}


def revision(line: Line) -> str:
    """Return the number of the revision by which a worker answers."""
    return line.chat(MASTER).headers["x-interlock-revision"].partition("-")[0]


def serves(running: Gateway, workers: int) -> bool:
    """Tell whether so many workers answer."""
    try:
        return bool(state(running)["workers"]["running"] == workers)
    except OSError:
        return False


def test_workers_end_with_their_master_and_the_next_takes_up_what_was_spent(many):
    running = many(2)
    key = running.post("/key/generate", {"max_budget": 1}).json()["key"]
    for _ in range(4):
        assert running.chat(key=key, max_tokens=16).status == 200
    old = pids(running)
    assert len(old) == 2
    running.process.kill()
    running.process.wait()
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in old), 20), "nobody would replace them"
    running.start()
    assert running.process.poll() is None, running.log
    assert eventually(lambda: running.get(f"/key/info?key={key}").json()["info"]["spend"] == pytest.approx(0.032), 10)


def test_workers_without_shared_counters_are_refused(gateway):
    running = gateway(CONFIG, "--workers", "2")
    assert running.stop() == 2
    assert "2 workers need counters that they share: set REDIS_URL" in running.log


def test_a_worker_that_cannot_start_says_why(gateway, own_valkey, tmp_path):
    data = tmp_path / "elsewhere"
    (data / "workers").mkdir(parents=True)
    (data / "workers" / "2").write_text("no directory")
    running = gateway(CONFIG, "--workers", "2", "--data", str(data), environ={"REDIS_URL": own_valkey.url})
    assert running.stop() == 2
    assert f"data directory `{data}/workers/2`" in running.log
    assert "Traceback" not in running.log


def test_fewer_workers_fold_what_more_had_left(gateway, own_valkey, tmp_path):
    data = tmp_path / "kept"
    environ = {"REDIS_URL": own_valkey.url}
    running = gateway(CONFIG, "--workers", "3", "--data", str(data), environ=environ)
    key = running.post("/key/generate", {"max_budget": 1}).json()["key"]
    for _ in range(12):
        assert running.chat(key=key, max_tokens=16).status == 200
    for pid in (running.process.pid, *pids(running)):
        os.kill(pid, signal.SIGKILL)
    running.process.wait()
    again = gateway(CONFIG, "--data", str(data), environ=environ)
    assert again.get(f"/key/info?key={key}").json()["info"]["spend"] == pytest.approx(0.096)
    assert not [*(data / "workers").glob("*/journal")]
