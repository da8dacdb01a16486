"""From start to stop: ready soon, drained properly, and back after a kill."""

from __future__ import annotations

import json
import signal
import socket
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.wires import Wire, chat, eventually, post
from tests.running import MASTER

CONFIG = f"""
model_list:
- {{model_name: echo, litellm_params: {{model: echo/echo}}}}
- {{model_name: slow, litellm_params: {{model: echo/echo, echo_frame_delay_ms: 100, echo_chunk_chars: 2}}}}
- {{model_name: late, litellm_params: {{model: echo/echo, echo_delay_ms: 800}}}}
general_settings: {{master_key: {MASTER}}}
"""
STREAM = post(chat("slow", "0123456789", stream=True))
READY_SECONDS, RSS_BYTES = 1.0, 90 * 1024 * 1024


def refused(running) -> bool:
    """Tell whether nobody listens any more."""
    try:
        socket.create_connection(("127.0.0.1", running.port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_gateway_is_ready_soon_and_small(gateway):
    """The promise is one second; ten times that is the limit on a busy machine."""
    started = time.monotonic()
    running = gateway(CONFIG)
    took = time.monotonic() - started
    assert running.get("/health/readiness", key=None).status == 200
    assert running.chat().status == 200
    print(f"ready after {took:.2f} s (promised {READY_SECONDS}), {running.rss() / 1024**2:.0f} MB resident")
    assert took < 10 * READY_SECONDS
    assert running.rss() <= RSS_BYTES


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_drains(gateway, number):
    running = gateway(CONFIG)
    with Wire(running) as stream, Wire(running) as late, Wire(running) as idle, Wire(running) as begun:
        assert idle.send(post(chat())).answer().status == 200
        begun.send(b"GET /health/readiness HTTP/1.1\r\n")
        late.send(post(chat("late", "still here")))
        stream.send(STREAM)
        stream.until(b"data: ")
        started = time.monotonic()
        running.process.send_signal(number)
        assert eventually(lambda: refused(running), 2), "new connections are still taken"
        assert idle.closed()
        answer = begun.send(b"host: x\r\n\r\n").answer()
        assert (answer.status, answer.json()["status"], answer.json()["draining"]) == (503, "unhealthy", True)
        answer = late.answer()
        assert answer.json()["choices"][0]["message"]["content"] == "still here"
        assert answer.headers["connection"] == "close"
        said = stream.rest()
        assert said.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert running.process.wait(10) == 0
    assert time.monotonic() - started < 10, "the deadline is 30 s, and nobody had to wait for it"
    assert [row["status"] for row in running.records(3)] == [200] * 3
    assert '"event":"draining"' in running.log
    assert '"event":"stopped"' in running.log
    assert "Traceback" not in running.log


def test_a_stream_that_does_not_end_is_cut_at_the_deadline(gateway):
    running = gateway(CONFIG, "--drain", "1")
    with Wire(running) as wire:
        wire.send(post(chat("slow", "x" * 400, stream=True)))
        wire.until(b"data: ")
        started = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        said = wire.rest()
    assert running.process.wait(10) == 0
    assert 0.9 < time.monotonic() - started < 6
    assert b"[DONE]" not in said
    (row,) = running.records(1)
    assert row["status"] != 200 or row["error"]
    assert row["output_tokens"] > 0


def test_an_idle_gateway_stops_at_once(gateway):
    running = gateway(CONFIG)
    started = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - started < 3


def test_killed_in_the_middle_it_starts_again_where_it_was(gateway, tmp_path):
    data = str(tmp_path / "state")
    first = gateway(CONFIG, "--data", data)
    for number in range(5):
        assert first.chat(str(number)).status == 200
    records = tmp_path / "state" / "records.jsonl"
    assert eventually(lambda: records.exists() and records.read_bytes().count(b"\n") == 5)
    with Wire(first) as wire:
        wire.send(STREAM)
        wire.until(b"data: ")
        first.process.kill()
        first.process.wait()
    with records.open("ab") as file:
        file.write(b'{"id":"half a li')
    second = gateway(CONFIG, "--data", data)
    assert second.chat().status == 200
    assert second.stop() == 0
    rows = [json.loads(line) for line in records.read_text().splitlines()]
    assert len(rows) == 6
    assert len({row["id"] for row in rows}) == 6, "ids of calls come again after a restart"


def test_metrics_count_calls(gateway):
    running = gateway(CONFIG)
    for _ in range(3):
        running.chat("one two three")
    running.chat(model="none")
    running.chat(key="sk-unknown-1")
    text = running.get("/metrics", key=None)
    assert text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(text.body.decode())}
    calls = {
        (s.labels["route"], s.labels["model"], s.labels["provider"], s.labels["status"]): s.value
        for s in families["interlock_requests"].samples
    }
    assert calls == {("chat", "echo", "echo", "200"): 3, ("chat", "", "", "404"): 1, ("chat", "", "", "401"): 1}
    tokens = {
        s.labels["direction"]: s.value for s in families["interlock_tokens"].samples if s.labels["model"] == "echo"
    }
    assert tokens == {"input": 9, "output": 9}
    assert {s.labels["type"]: s.value for s in families["interlock_refusals"].samples} == {
        "model_not_found": 1,
        "token_not_found_in_db": 1,
    }
    for gauge in ("interlock_calls_active", "interlock_client_connections", "interlock_open_holds"):
        assert families[gauge].type == "gauge"


def test_the_pages_that_need_no_key(gateway):
    running = gateway(CONFIG)
    page = running.get("/", key=None)
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    text = page.body.decode()
    assert "<title>Interlock</title>" in text
    assert "It is ready, with 3 models" in text
    assert running.get("/ui", key=None).body == page.body
    for path in ("/health/liveliness", "/health/liveness"):
        alive = running.get(path, key=None)
        assert (alive.status, alive.json()) == (200, "I'm alive!")
    ready = running.get("/health/readiness", key=None).json()
    assert (ready["status"], ready["db"], ready["draining"], ready["components_down"]) == ("healthy", "connected", False, {})  # fmt: skip
    assert {"cache", "litellm_version", "success_callbacks"} <= set(ready)
    assert MASTER not in text + str(ready)


@pytest.mark.soak
def test_a_head_that_dribbles_is_cut_off_after_ten_seconds(gateway):
    running = gateway(CONFIG)
    started = time.monotonic()
    with Wire(running) as wire:
        wire.sock.settimeout(0.5)
        wire.send(b"POST /v1/chat/completions HTTP/1.1\r\n")
        ended = False
        while not ended and time.monotonic() - started < 13:
            wire.send(b"x-a: 1\r\n")
            try:
                ended = wire.receive() == b""
            except TimeoutError:
                continue
    assert 9 < time.monotonic() - started < 12.5


def test_one_address_gets_256_connections_and_not_one_more(gateway):
    running = gateway(CONFIG)
    wires = [Wire(running) for _ in range(256)]
    try:
        with Wire(running) as one_more:
            assert one_more.send(post(chat())).closed()
        assert wires[0].send(post(chat())).answer().status == 200
        wires.pop().sock.close()
        assert eventually(lambda: _served(running), 3)
    finally:
        for wire in wires:
            wire.sock.close()


def _served(running) -> bool:
    with Wire(running) as wire:
        try:
            return wire.send(post(chat())).answer().status == 200
        except EOFError:
            return False
