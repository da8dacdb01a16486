"""The tables of the store, as numbered migrations: what was released is never edited, only followed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple


class Migration(NamedTuple):
    """One step: statements, or a function that runs some; all in one transaction. Its number is its place, from 1."""

    name: str
    step: tuple[str, ...] | Callable[[sqlite3.Connection], None]

    def apply(self, connection: sqlite3.Connection) -> None:
        """Run it inside the caller's transaction."""
        if callable(self.step):
            self.step(connection)
            return
        for statement in self.step:
            connection.execute(statement)


ENTITIES = (
    """CREATE TABLE entities (
        kind TEXT NOT NULL, id TEXT NOT NULL, alias TEXT NOT NULL, user_id TEXT NOT NULL, team_id TEXT NOT NULL,
        organization_id TEXT NOT NULL, blocked INTEGER NOT NULL, spend INTEGER NOT NULL, max_budget INTEGER,
        expires REAL, created_at REAL NOT NULL, updated_at REAL NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (kind, id)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX entities_alias ON entities (kind, alias)",
    "CREATE INDEX entities_user ON entities (kind, user_id)",
    "CREATE INDEX entities_team ON entities (kind, team_id)",
    "CREATE INDEX entities_organization ON entities (kind, organization_id)",
    "CREATE INDEX entities_created ON entities (kind, created_at)",
)
# No column of a request's own is unique: an upstream may give every answer the same id.
SPEND_LOGS = (
    """CREATE TABLE spend_logs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        request_id TEXT NOT NULL, start_time REAL NOT NULL, end_time REAL NOT NULL,
        completion_start_time REAL NOT NULL, call_type TEXT NOT NULL, status TEXT NOT NULL, api_key TEXT NOT NULL,
        user TEXT NOT NULL, team_id TEXT NOT NULL, organization_id TEXT NOT NULL, end_user TEXT NOT NULL,
        model TEXT NOT NULL, model_id TEXT NOT NULL, model_group TEXT NOT NULL, custom_llm_provider TEXT NOT NULL,
        api_base TEXT NOT NULL, spend INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL, cache_hit TEXT NOT NULL, cache_key TEXT NOT NULL,
        session_id TEXT NOT NULL, requester_ip_address TEXT NOT NULL, request_tags TEXT NOT NULL,
        metadata TEXT NOT NULL, payload TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX spend_logs_time ON spend_logs (start_time)",
    "CREATE INDEX spend_logs_key ON spend_logs (api_key, start_time)",
    "CREATE INDEX spend_logs_user ON spend_logs (user, start_time)",
    "CREATE INDEX spend_logs_team ON spend_logs (team_id, start_time)",
    "CREATE INDEX spend_logs_end_user ON spend_logs (end_user, start_time)",
    "CREATE INDEX spend_logs_request ON spend_logs (request_id)",
)
# By day first: folds and pages are about few days, whose rows so lie together.
ROLLUPS = (
    """CREATE TABLE rollups (
        scope TEXT NOT NULL, value TEXT NOT NULL, day TEXT NOT NULL, requests INTEGER NOT NULL,
        failed INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
        spend INTEGER NOT NULL, PRIMARY KEY (scope, day, value)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX rollups_value ON rollups (scope, value, day)",
    """CREATE TABLE positions (
        journal TEXT PRIMARY KEY, segment INTEGER NOT NULL, reached INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
)
# Amounts by counter, for most folds add to what is there; the holds of a journal are those it left open.
AMOUNTS = (
    """CREATE TABLE amounts (
        counter BLOB NOT NULL, until INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (counter, until)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX amounts_until ON amounts (until)",
    """CREATE TABLE holds (
        journal TEXT NOT NULL, call TEXT NOT NULL, attempt INTEGER NOT NULL, record BLOB NOT NULL,
        PRIMARY KEY (journal, call, attempt)
    ) STRICT, WITHOUT ROWID""",
)
# What the rows of a caller's calls to a model have in common is kept once: a row and its indexes cost half.
CALLER = (
    "api_key, user, team_id, organization_id, call_type, model, model_id, model_group, custom_llm_provider, api_base"
)
OWN = (
    "request_id, start_time, end_time, completion_start_time, status, end_user, spend, prompt_tokens, "
    "completion_tokens, cache_hit, cache_key, session_id, requester_ip_address, request_tags, metadata, payload"
)
CALLERS = (
    f"""CREATE TABLE callers (
        number INTEGER PRIMARY KEY, api_key TEXT NOT NULL, user TEXT NOT NULL, team_id TEXT NOT NULL,
        organization_id TEXT NOT NULL, call_type TEXT NOT NULL, model TEXT NOT NULL, model_id TEXT NOT NULL,
        model_group TEXT NOT NULL, custom_llm_provider TEXT NOT NULL, api_base TEXT NOT NULL, UNIQUE ({CALLER})
    ) STRICT""",
    "CREATE INDEX callers_user ON callers (user)",
    "CREATE INDEX callers_team ON callers (team_id)",
    f"INSERT INTO callers ({CALLER}) SELECT DISTINCT {CALLER} FROM spend_logs",  # noqa: S608  # own names
    """CREATE TABLE spend_rows (
        number INTEGER PRIMARY KEY AUTOINCREMENT, caller INTEGER NOT NULL,
        request_id TEXT NOT NULL, start_time REAL NOT NULL, end_time REAL NOT NULL,
        completion_start_time REAL NOT NULL, status TEXT NOT NULL, end_user TEXT NOT NULL, spend INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cache_hit TEXT NOT NULL,
        cache_key TEXT NOT NULL, session_id TEXT NOT NULL, requester_ip_address TEXT NOT NULL,
        request_tags TEXT NOT NULL, metadata TEXT NOT NULL, payload TEXT NOT NULL
    ) STRICT""",
    f"""INSERT INTO spend_rows (number, caller, {OWN}) SELECT spend_logs.number, callers.number, {OWN}
        FROM spend_logs JOIN callers USING ({CALLER}) ORDER BY spend_logs.number""",  # noqa: S608  # own names
    "DROP TABLE spend_logs",
    "ALTER TABLE spend_rows RENAME TO spend_logs",
    "CREATE INDEX spend_logs_time ON spend_logs (start_time)",
    "CREATE INDEX spend_logs_caller ON spend_logs (caller, start_time)",
    "CREATE INDEX spend_logs_end_user ON spend_logs (end_user, start_time) WHERE end_user != ''",
    "CREATE INDEX spend_logs_request ON spend_logs (substr(request_id, -12))",
)
IDENTITY = (
    "CREATE TABLE store (identity TEXT NOT NULL) STRICT",
    "INSERT INTO store VALUES (lower(hex(randomblob(16))))",
)
MIGRATIONS: tuple[Migration, ...] = (
    Migration("entities", ENTITIES),
    Migration("spend logs", SPEND_LOGS),
    Migration("rollups and positions", ROLLUPS),
    Migration("amounts and holds", AMOUNTS),
    Migration("callers of spend logs", CALLERS),
    Migration("identity", IDENTITY),
)
