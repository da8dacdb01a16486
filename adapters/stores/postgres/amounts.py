"""What counters hold, and the holds that are open."""

from __future__ import annotations

from adapters.stores.postgres.connections import Connection
from adapters.stores.postgres.text import bounded, clean, plain
from engine.storing import Amount, Batch, OpenHold

ADD = (
    "INSERT INTO amounts AS stored (counter, until, used) SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) "
    "ON CONFLICT (counter, until) DO UPDATE SET used = stored.used + excluded.used"
)
RESET = (
    "DELETE FROM amounts WHERE (counter, until) IN "
    "(SELECT counter, until FROM amounts WHERE counter = ANY($1::bytea[]) ORDER BY counter, until FOR UPDATE)"
)
EXPIRE = (
    "DELETE FROM amounts WHERE (counter, until) IN "
    "(SELECT counter, until FROM amounts WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)"
)
HOLD = (
    "INSERT INTO holds (journal, key, attempt, call, record) "
    "SELECT $1, given.* FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bytea[]) AS given "
    "ON CONFLICT (journal, key, attempt) DO UPDATE SET record = excluded.record"
)
CLOSE = (
    "DELETE FROM holds USING unnest($2::text[], $3::bigint[]) AS given(key, attempt) "
    "WHERE holds.journal = $1 AND holds.key = given.key AND holds.attempt = given.attempt"
)
TOGETHER = 10_000
"""Amounts read, or expired, at once at most."""


async def add(connection: Connection, batch: Batch, journal: str) -> None:
    """Add what a batch says of counters and holds."""
    if batch.resets:
        await connection.execute(RESET, list(batch.resets))
    if batch.counts:
        used: dict[tuple[bytes, int], int] = {}
        for counter, until, amount in batch.counts:
            used[counter, until] = used.get((counter, until), 0) + amount
        every = sorted(used)
        await connection.execute(ADD, [one[0] for one in every], [one[1] for one in every], [used[one] for one in every])  # fmt: skip
    if batch.closed:
        await connection.execute(CLOSE, journal, [_key(call) for call, _ in batch.closed], [one[1] for one in batch.closed])  # fmt: skip
    if batch.holds:
        holds = {(_key(call), attempt): (clean(call), record) for call, attempt, record in batch.holds}
        keys, attempts = zip(*holds, strict=True)
        calls, records = zip(*holds.values(), strict=True)
        await connection.execute(HOLD, journal, keys, attempts, calls, records)
    if batch.expired:
        await connection.execute(EXPIRE, batch.expired, TOGETHER)


async def page(connection: Connection, now: int, after: tuple[bytes, int]) -> list[Amount]:
    """Return some of what counts at an instant, behind a counter and instant, in their order; nothing: the end."""
    rows = await connection.fetch(
        "SELECT counter, until, used FROM amounts WHERE (counter, until) > ($1, $2) AND until > $3 "
        "ORDER BY counter, until LIMIT $4",
        *after, now, TOGETHER,
    )  # fmt: skip
    return [Amount(*row) for row in rows]


async def every(connection: Connection) -> list[Amount]:
    """Return all there is, what counts no more too."""
    rows = await connection.fetch("SELECT counter, until, used FROM amounts ORDER BY counter, until")
    return [Amount(*row) for row in rows]


async def holds(connection: Connection, journal: str) -> list[OpenHold]:
    """Return the holds that a journal left open."""
    rows = await connection.fetch(
        "SELECT call, attempt, record FROM holds WHERE journal = $1 ORDER BY key, attempt", journal
    )
    return [OpenHold(plain(row[0]), row[1], row[2]) for row in rows]


def _key(call: str) -> str:
    return bounded(clean(call))
