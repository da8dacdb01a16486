"""Two gateways on one PostgreSQL: what one is told the other knows, what both spend adds up, and neither needs it to answer."""

from __future__ import annotations

import time

import pytest

from adapters.stores.postgres import Postgres
from engine.digest import digest
from engine.storing import Kind, LogFilter, Scope
from tests.running import MASTER

IN_FORCE = 2.0
"""Seconds in which a change is in force at the other gateway: ten times what is promised."""
BACK = 60.0
"""Seconds in which what was journalled is folded once the server is back: twice the longest pause between two tries."""
CONFIG = f"""
model_list:
- {{model_name: echo, litellm_params: {{model: echo/echo, input_cost_per_token: 0.001, output_cost_per_token: 0.001}}}}
general_settings: {{master_key: {MASTER}, database_url: os.environ/STATE, database_connect_timeout: 1, database_socket_timeout: 3}}
"""
CALL = 8_000_000
"""Nano-dollars of a call: four words in, four out."""


@pytest.fixture
def pair(gateway, postgres_alone):
    url = postgres_alone.database().replace("//postgres@", "//postgres:a-very-secret-word@")
    return gateway(CONFIG, environ={"STATE": url}), gateway(CONFIG, environ={"STATE": url}), url


def until(ask, seconds: float = IN_FORCE):
    """Ask until the answer is true; return how long that took."""
    begin = time.monotonic()
    while not ask():
        assert time.monotonic() - begin < seconds
        time.sleep(0.02)
    return time.monotonic() - begin


def spent(url: str, key: str) -> tuple[int, int]:
    store = Postgres({"url": url})
    try:
        assert store.totals(Scope.KEY)[digest(key)].spend == store.get(Kind.KEY, digest(key)).spend
        return store.get(Kind.KEY, digest(key)).spend, len(store.logs(LogFilter(api_key=digest(key)), 100).rows)
    finally:
        store.close()


def test_keys_are_made_and_blocked_for_both_and_spend_is_one_sum(pair):
    first, second, url = pair
    key = first.post("/key/generate", {"key_alias": "shared"}).json()["key"]
    assert second.chat(key=key).status == 200
    for one in (first, second, first):
        assert one.chat(key=key).status == 200
    assert second.post("/key/block", {"key": key}).status == 200
    assert second.chat(key=key).status == 401
    taken = until(lambda: first.chat(key=key).status == 401)
    assert first.post("/key/unblock", {"key": key}).status == 200
    taken = max(taken, until(lambda: second.chat(key=key).status == 200))
    print(f"\nin force at the other gateway after {taken * 1000:.0f} ms at most, a call included")
    assert first.post("/key/generate", {"key_alias": "shared"}).status == 400
    assert [one.stop() for one in (first, second)] == [0, 0]
    spend, calls = spent(url, key)
    assert calls >= 5
    assert spend == calls * CALL
    assert "a-very-secret-word" not in first.log + second.log + first.out


@pytest.mark.parametrize("end", ["kill", "freeze"])
def test_calls_are_answered_without_the_database_and_counted_once_it_is_back(pair, postgres_alone, end):
    first, second, url = pair
    key = first.post("/key/generate", {}).json()["key"]
    until(lambda: second.chat(key=key).status == 200)
    made = 1
    getattr(postgres_alone, end)()
    for one in (first, second) * 3:
        assert one.chat(key=key).status == 200
        made += 1
    refused = first.post("/key/generate", {})
    assert refused.status >= 500
    assert b"a-very-secret-word" not in refused.body
    second.process.kill()
    second.process.wait()
    postgres_alone.thaw() if end == "freeze" else postgres_alone.start()
    until(lambda: first.post("/key/generate", {}).status == 200, BACK)
    second.start()
    until(lambda: spent(url, key) == (made * CALL, made), BACK)
