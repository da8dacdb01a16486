"""One record of every call, however it ends, and never anything secret in it."""

from __future__ import annotations

import asyncio
import json

import pytest

from adapters.counters.memory import Memory
from adapters.sinks.jsonl import Jsonl
from engine.call import Caller, Usage
from engine.contracts import HoldId
from engine.errors import ClientError, InternalError, UpstreamError
from engine.ledger import Ledger
from engine.metrics import Metrics
from engine.outside import SystemClock
from engine.receive import Receiver
from engine.record import BATCH, LARGE, QUEUE, Recorder
from tests.engine.building import call_of, compiled, config

SNAPSHOT = compiled(config({"a": "echo/a"}), revision=7).snapshot


class House:
    """A recorder with its real neighbours, over the files of a directory."""

    def __init__(self, *paths) -> None:
        clock = SystemClock()
        self.ledger, self.metrics, self.receiver = Ledger(Memory(clock), clock), Metrics(), Receiver()
        self.paths = paths
        sinks = [Jsonl({"path": path}) for path in paths]
        self.recorder = Recorder(self.ledger, self.metrics, self.receiver, lambda: 12.5, sinks)

    def call(self, status: int = 200):
        caller = Caller("hash")
        caller.alias, caller.user, caller.team, caller.org = "alias", "u", "t", "o"
        call = call_of(SNAPSHOT, caller, "a")
        call.status, call.arrived, call.time, call.address = status, 10.0, 1e9, "::1"
        self.receiver.hold(call, 100)
        return call

    def rows(self) -> list[dict[str, object]]:
        self.recorder.gather()
        self.recorder.flush()
        return [json.loads(line) for line in self.paths[0].read_text().splitlines()]


@pytest.fixture
def house(tmp_path):
    return House(tmp_path / "records.jsonl")


async def test_a_good_call_is_settled_counted_and_written(house):
    call = house.call()
    with house.recorder.recorded(call):
        call.deployment = SNAPSHOT.find("a").deployments[0]
        call.attempt = 1
        assert await house.ledger.reserve(call, call.deployment) is None
        call.usage = Usage(10, 4)
        call.usage.cost, call.usage.cached_input, call.usage.reasoning = 123, 3, 2
        call.first_byte, call.upstream_seconds, call.stream = 11.0, 2.0, True
    assert house.ledger.open_holds == 0
    assert house.ledger.spent.of("hash") == 123
    assert house.receiver.held == 0
    (row,) = house.rows()
    assert row == {
        "id": "call-1", "time": 1e9, "route": "chat", "status": 200, "model": "a", "group": "a", "provider": "echo",
        "deployment": call.deployment.id, "key": "hash", "key_alias": "alias", "user": "u", "team": "t", "org": "o",
        "address": "::1", "revision": 7, "stream": True, "attempts": 1, "input_tokens": 10, "output_tokens": 4,
        "cached_input_tokens": 3, "reasoning_tokens": 2, "cost": 123, "duration": 2.5, "upstream": 2.0, "first_byte": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "status", "kind", "source"),
    [
        (ClientError(413, "request_too_large", "big"), 413, "request_too_large", "client"),
        (UpstreamError(502, "upstream_error", "gone"), 502, "upstream_error", "upstream"),
        (InternalError(503, "overloaded", "full"), 503, "overloaded", "gateway"),
        (asyncio.CancelledError(), 499, None, None),
        (ConnectionResetError(), 499, None, None),
        (ZeroDivisionError("sk-secret"), 500, "internal_server_error", "gateway"),
    ],
)
def test_a_call_that_fails_is_recorded_and_its_error_goes_on(house, error, status, kind, source):
    call = house.call(0)
    with pytest.raises(type(error)), house.recorder.recorded(call):
        raise error
    (row,) = house.rows()
    assert (row["status"], row.get("error"), row.get("error_source")) == (status, kind, source)
    assert bool(row.get("error_id")) is bool(kind)
    assert "secret" not in json.dumps(row)
    assert house.receiver.held == 0


def test_a_client_that_left_is_recorded_with_what_was_used(house):
    call = house.call(200)
    call.usage = Usage(8, 2)
    call.usage.estimated = True
    with pytest.raises(asyncio.CancelledError), house.recorder.recorded(call):
        raise asyncio.CancelledError
    (row,) = house.rows()
    assert (row["status"], row["input_tokens"], row["output_tokens"], row["estimated"]) == (499, 8, 2, True)


def test_a_full_disk_loses_nothing_that_can_be_written_later(tmp_path):
    """`/dev/full` answers every write as a full disk does."""
    (tmp_path / "records.jsonl").symlink_to("/dev/full")
    house = House(tmp_path / "records.jsonl")
    for _ in range(3):
        house.recorder.finish(house.call(), None)
    house.recorder.gather()
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            house.recorder.flush()
        assert house.recorder.queued == 3
    (tmp_path / "records.jsonl").unlink()
    house.recorder._sinks = (Jsonl({"path": tmp_path / "records.jsonl"}),)
    assert len(house.rows()) == 3


def test_what_a_full_disk_takes_at_the_end_is_counted(tmp_path):
    (tmp_path / "records.jsonl").symlink_to("/dev/full")
    house = House(tmp_path / "records.jsonl")
    house.recorder.finish(house.call(), None)
    house.recorder.close()
    assert house.metrics.records_dropped == 1


def test_the_queue_is_bounded_and_drops_are_counted(house):
    call = house.call()
    for _ in range(QUEUE + 5):
        house.recorder.finish(call, None)
    house.recorder.gather()
    assert house.recorder.queued == QUEUE
    assert house.metrics.records_dropped == 5


def test_a_large_body_is_not_kept_for_its_line(house):
    call = house.call()
    house.recorder.finish(call, None)
    assert house.recorder._ended
    house.receiver.release(call)
    house.receiver.hold(call, LARGE + 1)
    house.recorder.finish(call, None)
    assert not house.recorder._ended
    assert len(house.rows()) == 2


def test_a_line_that_cannot_be_made_takes_no_other_with_it(house):
    broken, good = house.call(), house.call()
    broken.caller.alias = object()
    house.recorder.finish(broken, None)
    house.recorder.finish(good, None)
    assert len(house.rows()) == 1
    assert house.metrics.records_dropped == 1


def test_close_writes_everything_in_order(house):
    for number in range(BATCH + 10):
        call = house.call()
        call.id = f"call-{number}"
        house.recorder.finish(call, None)
    house.recorder.close()
    rows = [json.loads(line) for line in house.paths[0].read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"call-{number}" for number in range(BATCH + 10)]


async def test_the_writer_writes_while_calls_go_on(house):
    running = asyncio.get_running_loop().create_task(house.recorder.run())
    house.recorder.finish(house.call(), None)
    for _ in range(100):
        await asyncio.sleep(0.02)
        if house.paths[0].read_text():
            break
    running.cancel()
    assert len(house.rows()) == 1


def test_a_hold_settles_once(house):
    call = house.call()
    deployment = call.deployment = SNAPSHOT.find("a").deployments[0]
    for _ in range(2):
        assert asyncio.run(house.ledger.reserve(call, deployment)) is None
    assert call.account.hold.id == HoldId("call-1", 0)
    assert house.ledger.open_holds == 1
    call.usage = Usage(1, 1)
    call.usage.cost = 5
    house.recorder.finish(call, None)
    house.recorder.finish(call, None)
    assert house.ledger.spent.of("hash") == 5
