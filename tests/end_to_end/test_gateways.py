"""Two gateways with a database and counters in common, as on two machines; and what becomes of calls while either is away."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
import yaml

from engine.digest import digest
from tests.end_to_end.test_bursts import burst
from tests.end_to_end.wires import eventually
from tests.postgres import sql
from tests.running import MASTER, Gateway

IN_FORCE, DEADLINE = 0.2, 0.25
"""Seconds that are promised for a change to be in force everywhere, and that a call waits for counters at most."""
KEY = "sk-known-0123456789abcdef"
CONFIG = f"""
model_list:
- {{model_name: echo, litellm_params: {{model: echo/echo, input_cost_per_token: 0.001, output_cost_per_token: 0.001}}}}
general_settings: {{master_key: {MASTER}}}
litellm_settings: {{virtual_keys: [{{api_key: {KEY}, key_alias: known}}]}}
"""
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hello brave new world"}], "max_tokens": 4}
BOTH = 0.008
"""USD of one such call."""


@pytest.fixture
def two(tmp_path, own_valkey, postgres_alone):
    """Start two gateways at the same moment on an empty database."""
    environ = {"REDIS_URL": own_valkey.url, "DATABASE_URL": postgres_alone.database()}
    runs: list[Gateway] = []

    def start(*policies: object, options: tuple[str, ...] = ()) -> list[Gateway]:
        (tmp_path / "policies").mkdir()
        if policies:
            (tmp_path / "policies" / "p.yaml").write_text(yaml.safe_dump_all(policies))
        for name in ("one", "other"):
            place = ("--policies", str(tmp_path / "policies"), *options)
            runs.append(Gateway(tmp_path / name, CONFIG, place, environ).start(wait=False))
        for run in runs:
            assert eventually(lambda run=run: answers(run), 20), run.log
        return runs

    start.database = environ["DATABASE_URL"]
    yield start
    for run in runs:
        run.stop()


def answers(running: Gateway) -> bool:
    try:
        return running.get("/health/readiness", key=None).status == 200
    except OSError:
        return False


def counting(running: Gateway) -> bool:
    """Tell whether counters can be asked."""
    return running.chat(key=KEY, max_tokens=4).status == 200


async def test_two_that_start_at_once_migrate_once_and_are_one_gateway(two):
    one, other = two()
    steps = sql(two.database, "SELECT number, count(*) FROM interlock.schema_version GROUP BY number ORDER BY number")
    assert steps
    assert {count for _, count in steps} == {1}
    key = one.post("/key/generate", {"max_budget": 5 * BOTH}).json()["key"]
    assert other.chat(key=key, max_tokens=4).status == 200, "a new key is good everywhere at once"
    slowest = 0.0
    for path, body, status in (
        ("/key/block", {"key": key}, 401),
        ("/key/unblock", {"key": key}, 200),
        ("/key/update", {"key": key, "max_budget": 0.000001}, 400),
        ("/key/update", {"key": key, "max_budget": 1000}, 200),
    ):
        assert one.post(path, body).status == 200
        began = time.monotonic()
        assert eventually(lambda status=status: other.chat(key=key, max_tokens=4).status == status, 10 * IN_FORCE), path
        slowest = max(slowest, time.monotonic() - began)
    print(f"a change was in force in the other gateway after {slowest * 1000:.0f} ms (promised {IN_FORCE * 1000:.0f})")
    key = one.post("/key/generate", {"max_budget": 5 * BOTH}).json()["key"]
    statuses = Counter(run.chat(key=key, max_tokens=4).status for run in (one, other) * 5)
    assert statuses == {200: 5, 400: 5}
    assert eventually(lambda: other.get(f"/key/info?key={key}").json()["info"]["spend"] == pytest.approx(5 * BOTH), 10)


async def test_bursts_through_two_gateways_pass_exactly_what_is_left(two):
    one, other = two({"kind": "Budget", "name": "all", "limit": 10 * 0.008, "window": "1d"})
    every = await asyncio.gather(*(burst_of(run, 100) for run in (one, other)))
    assert sum(every, Counter()) == {200: 10, 400: 190}


async def burst_of(running: Gateway, count: int) -> Counter[int]:
    return await burst(running, "/v1/chat/completions", CHAT, count, KEY)


def test_while_the_database_is_away_known_keys_go_on_and_rows_arrive_later(two, postgres_alone):
    one, other = two()
    key = one.post("/key/generate", {"max_budget": 10 * BOTH}).json()["key"]
    assert [run.chat(key=key, max_tokens=4).status for run in (one, other)] == [200, 200]
    postgres_alone.kill()
    slowest = 0.0
    for run in (one, other) * 3:
        began = time.monotonic()
        assert run.chat(key=key, max_tokens=4).status == 200
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 1.0, "a call never waits for the database"
    refused = one.post("/key/generate", {})
    assert refused.status == 503
    assert refused.json()["error"]["type"] == "store_unavailable"
    assert one.post("/key/block", {"key": key}).status == 503
    assert one.chat(key="sk-made-up-0123456789").status == 401
    assert eventually(lambda: one.get("/health/readiness", key=None).json()["db"] != "connected", 10)
    assert one.get("/health/readiness", key=None).status == 200, "calls are taken"
    postgres_alone.start()
    spent = "SELECT count(*), sum(spend) FROM interlock.spend_logs WHERE api_key = $1"
    assert eventually(lambda: one.get(f"/key/info?key={key}").status == 200, 20)
    assert eventually(lambda: sql(two.database, spent, digest(key)) == [(8, 8 * 8_000_000)], 40)
    assert [run.chat(key=key, max_tokens=4).status for run in (one, other, one)] == [200, 200, 400]


def policy(failure: str, limit: float) -> dict[str, object]:
    return {"kind": "Budget", "name": "all", "limit": limit, "window": "1d", "failurePolicy": failure}


@pytest.mark.parametrize("how", ["paused", "killed"])
def test_while_counters_are_away_calls_follow_their_policy_within_the_deadline(two, own_valkey, how):
    one, other = two(
        {**policy("Fail", 10 * BOTH), "match": {"keys": ["known"]}},
        {**policy("Ignore", 10 * BOTH), "name": "open", "match": {"keys": ["open"]}},
    )
    free = one.post("/key/generate", {"key_alias": "open"}).json()["key"]
    for run in (one, other):
        assert eventually(lambda run=run: counting(run), 10)
        assert run.chat(key=free, max_tokens=4).status == 200
    if how == "paused":
        own_valkey.pause()
    else:
        own_valkey.kill()
    slowest = 0.0
    for run in (one, other) * 4:
        for key, status in ((KEY, 503), (free, 200)):
            began = time.monotonic()
            answer = run.chat(key=key, max_tokens=4)
            slowest = max(slowest, time.monotonic() - began)
            assert answer.status == status, answer.body
            if status == 503:
                assert answer.json()["error"]["type"] == "limits_unavailable"
    print(f"counters {how}: a call waited {slowest * 1000:.0f} ms at most (promised {DEADLINE * 1000:.0f})")
    assert slowest < 10 * DEADLINE
    if how == "paused":
        own_valkey.resume()
    else:
        own_valkey.start()
    for run in (one, other):
        assert eventually(lambda run=run: counting(run), 20)
    statuses = Counter(run.chat(key=free, max_tokens=4).status for run in (one, other) * 6)
    assert statuses[400] > 0, "what was spent without being counted is counted now"
    assert statuses[503] == 0
    statuses = Counter(run.chat(key=KEY, max_tokens=4).status for run in (one, other) * 6)
    assert statuses == {200: 6, 400: 6}, "four were made before, and none while counters were away"


def test_a_share_leased_before_is_all_that_is_spent_while_counters_are_away(two, own_valkey):
    limit = 200 * BOTH
    one, other = two(policy("Local", limit))
    for run in (one, other):
        assert eventually(lambda run=run: counting(run), 10)
    made = 2
    time.sleep(3)
    own_valkey.kill()
    away = Counter(run.chat(key=KEY, max_tokens=4).status for run in (one, other) * 30)
    assert away[200] > 0, "a share was there"
    assert away[200] * BOTH <= 2 * 0.05 * limit + BOTH
    assert away[503] > 0
    own_valkey.start()
    for run in (one, other):
        assert eventually(lambda run=run: run.chat(key=KEY, max_tokens=4).status == 200, 20)
    made += away[200] + 2
    rest = Counter(run.chat(key=KEY, max_tokens=4).status for run in (one, other) * 120)
    assert rest[200] + made <= 200, "never more than the limit"
    assert eventually(
        lambda: one.chat(key=KEY, max_tokens=4).status == 400 and other.chat(key=KEY, max_tokens=4).status == 400, 10
    )
