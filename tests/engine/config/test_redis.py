"""Where counters live, by the settings that LiteLLM has for Redis: which of them wins, and what is said of bad ones."""

from __future__ import annotations

import pytest

from engine.config.litellm import load
from engine.config.redis import RedisSettings

SECRET = "geheim-9"


@pytest.fixture
def read(tmp_path):
    def read(text: str, **environ: str):
        path = tmp_path / "config.yaml"
        path.write_text(text, "utf-8")
        return load(path, environ)

    return read


def cache(params: str) -> str:
    return f"litellm_settings: {{cache: true, cache_params: {{type: redis, {params}}}}}"


NONE = "model_list: []"
CASES = [
    (NONE, {}, None),
    ("litellm_settings: {cache: true, cache_params: {type: local, host: h}}", {}, None),
    ("litellm_settings: {cache: false, cache_params: {type: redis, host: h}}", {}, None),
    ("router_settings: {redis_port: 1, redis_password: geheim-9}", {}, None),
    ("router_settings: {redis_host: h}", {}, {"host": "h"}),
    (
        "router_settings: {redis_host: h, redis_port: 7, redis_username: u, redis_password: geheim-9, redis_db: 2, redis_ssl: true, redis_timeout_ms: 100}",
        {},
        {"host": "h", "port": 7, "username": "u", "password": SECRET, "db": 2, "ssl": True, "timeout": 0.1},
    ),
    ("router_settings: {redis_url: 'rediss://u:geheim-9@h:7/1'}", {}, {"url": "rediss://u:geheim-9@h:7/1"}),
    ("router_settings: {redis_host: os.environ/WHERE}", {"WHERE": "there"}, {"host": "there"}),
    # The router's before the cache's before the environment's.
    ("router_settings: {redis_host: r}\n" + cache("host: c"), {"REDIS_HOST": "e", "REDIS_PORT": "5"}, {"host": "r"}),
    (cache("host: c, port: '7'"), {"REDIS_URL": "redis://e", "REDIS_PASSWORD": SECRET}, {"host": "c", "port": 7, "password": SECRET}),
    (cache("namespace: n"), {"REDIS_URL": "redis://e"}, {"url": "redis://e", "namespace": "n"}),
    (
        cache("sentinel_nodes: [[a, 1], [b, 2]], service_name: m, sentinel_password: geheim-9, ssl: true, ssl_ca_certs: /ca"),
        {},
        {
            "sentinel_nodes": (("a", 1), ("b", 2)), "service_name": "m", "sentinel_password": SECRET, "ssl": True,
            "ssl_ca_certs": "/ca",
        },
    ),
    (NONE, {"REDIS_HOST": "e", "REDIS_PORT": "5", "REDIS_USERNAME": "u", "REDIS_DB": "3", "REDIS_SSL": "True"}, {"host": "e", "port": 5, "username": "u", "db": 3, "ssl": True}),
    (NONE, {"REDIS_URL": "redis://e", "REDIS_HOST": ""}, {"url": "redis://e"}),
    ("environment_variables: {REDIS_HOST: declared}", {}, {"host": "declared"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "environ", "expected"), CASES)
def test_where_counters_are(read, text, environ, expected):
    found = read(text, **environ)
    assert not [one for one in found.problems if one.severity == "error"]
    assert found.spec.redis == (None if expected is None else RedisSettings(**expected))
    assert SECRET not in repr(found.spec)
    assert not [one for one in found.not_in_force if "redis" in one.field]


FAULTS = [
    ("\nrouter_settings:\n  redis_url: 'http://u:geheim-9@h'", {}, "config.yaml:3: error: router_settings.redis_url: is no address of Redis"),
    ("router_settings: {redis_url: 'redis://u:geheim-9@h:99999'}", {}, "router_settings.redis_url: is no address"),
    ("router_settings: {redis_url: 'redis://h/geheim-9'}", {}, "what follows the host is the number of a database"),
    ("router_settings: {redis_host: h, redis_port: 70000}", {}, "router_settings.redis_port"),
    ("router_settings: {redis_host: h, redis_timeout_ms: 0}", {}, "router_settings.redis_timeout_ms"),
    (cache("host: h, port: x"), {}, "litellm_settings.cache_params.port: must be a whole number from 1 to 65535"),
    (cache("host: [h]"), {}, "litellm_settings.cache_params.host: expected text, found a list"),
    (cache("host: h, ssl: maybe"), {}, "litellm_settings.cache_params.ssl: must be true or false"),
    (cache("host: h, ssl_cert_reqs: CERT"), {}, "litellm_settings.cache_params.ssl_cert_reqs: must be one of"),
    (cache("ttl: 3"), {}, "litellm_settings.cache_params.host: `type: redis` needs a `host`"),
    (cache("redis_startup_nodes: [{host: a, port: 1}]"), {}, "a cluster is not spoken"),
    (cache("sentinel_nodes: [[a, 1]]"), {}, "needs a `service_name`"),
    (cache("sentinel_nodes: [a], service_name: m"), {}, "must be a list of `[host, port]`"),
    (NONE, {"REDIS_HOST": "h", "REDIS_PORT": "geheim-9"}, "error: REDIS_PORT: must be a whole number"),
    (NONE, {"REDIS_URL": "geheim-9"}, "error: REDIS_URL: is no address of Redis"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "environ", "said"), FAULTS)
def test_what_is_wrong_is_said_at_its_place_without_secrets(read, text, environ, said):
    found = read(text, **environ)
    assert found.spec is None
    problems = "\n".join(map(str, found.problems))
    assert said in problems
    assert SECRET not in problems


def test_without_a_file_the_environment_says_it():
    assert load(None, {"REDIS_HOST": "h"}).spec.redis.place == "h:6379"
    assert load(None, {"REDIS_PORT": "x", "REDIS_HOST": "h"}).spec is None
    assert load(None, {}).spec.redis is None


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (RedisSettings(url="rediss://u:geheim-9@h:7/1"), "h:7"), (RedisSettings(host="h"), "h:6379"),
        (RedisSettings(sentinel_nodes=(("a", 1),), service_name="m"), "the master `m` of 1 sentinels"),
    ],
)  # fmt: skip
def test_where_it_is_is_said_without_secrets(settings, place):
    assert settings.place == place
    assert SECRET not in repr(settings)
