"""The PostgreSQL that tests get is a real one, and what they do to it happens."""

from __future__ import annotations

import asyncpg
import pytest

from tests.postgres import sql


def test_databases_of_two_tests_share_nothing(postgres):
    first, second = postgres.database(), postgres.database()
    sql(first, "CREATE TABLE mine (number INTEGER)")
    with pytest.raises(asyncpg.UndefinedTableError):
        sql(second, "SELECT * FROM mine")


def test_what_was_committed_to_the_log_survives_a_kill_and_a_stop(postgres_alone):
    url = postgres_alone.database()
    sql(url, "CREATE TABLE kept AS SELECT 7 AS number")
    sql(url, "CHECKPOINT")
    for end in (postgres_alone.kill, postgres_alone.stop):
        end()
        with pytest.raises(OSError, match="Connect call failed"):
            sql(url, "SELECT 1")
        postgres_alone.start()
        assert sql(url, "SELECT number FROM kept") == [(7,)]
