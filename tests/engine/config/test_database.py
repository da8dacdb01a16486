"""Which store a configuration and the environment choose."""

import pytest

from engine.config.database import store_settings

URL = "postgresql://u:p@h/d"
FROM_FILE = "general_settings: {database_url: postgresql://file/d}"
DECLARED = "environment_variables: {DATABASE_URL: postgresql://declared/d}"
PARTS = {"DATABASE_HOST": "h", "DATABASE_NAME": "d b", "DATABASE_USERNAME": "u@x", "DATABASE_PASSWORD": "p/w@"}


@pytest.mark.parametrize(
    ("text", "environ", "url"),
    [
        ("", {}, None),
        ("", {"DATABASE_URL": ""}, None),
        ("", {"DATABASE_URL": URL}, URL),
        (FROM_FILE, {"DATABASE_URL": URL}, "postgresql://file/d"),
        (DECLARED, {"DATABASE_URL": URL}, "postgresql://declared/d"),
        ("", {**PARTS, "DATABASE_URL": URL}, URL),
        ("", PARTS, "postgresql://u%40x:p%2Fw%40@h/d%20b"),
        ("", {**PARTS, "DATABASE_PORT": "6", "DATABASE_SCHEMA": "s"}, "postgresql://u%40x:p%2Fw%40@h:6/d%20b?schema=s"),
        ("", {**PARTS, "DATABASE_HOST": "h:7", "DATABASE_PORT": "6"}, "postgresql://u%40x:p%2Fw%40@h:7/d%20b"),
        ("", {"DATABASE_HOST": "h", "DATABASE_NAME": "d", "DATABASE_USER": "u"}, "postgresql://u@h/d"),
        ("", {"DATABASE_HOST": "h"}, None),
    ],
)
def test_a_database_that_is_named_is_the_store_else_a_file_is(loads, text, environ, url):
    found = store_settings(loads(text).spec, environ)
    assert found == (("postgres", {"url": url}) if url else ("sqlite", {}))


def test_limits_are_the_settings_of_the_store(loads):
    text = """
general_settings:
  database_connection_pool_limit: 3
  database_connection_timeout: 7
  database_connect_timeout: 2
  database_socket_timeout: 9.5
  database_disable_prepared_statements: true
"""
    assert store_settings(loads(text).spec, {"DATABASE_URL": URL}) == (
        "postgres",
        {"url": URL, "pool_limit": 3, "pool_timeout": 7, "connect_timeout": 2, "timeout": 9.5, "pgbouncer": True},
    )
    assert store_settings(loads(text).spec, {}) == ("sqlite", {})


def test_a_database_whose_variable_is_not_set_is_no_reason_to_use_a_file(loads):
    """The limits of all gateways on it would be one gateway's own, and nobody would be told."""
    loaded = loads("general_settings: {database_url: os.environ/NOWHERE_SET}")
    assert ["NOWHERE_SET" in str(problem) for problem in loaded.problems] == [True]
