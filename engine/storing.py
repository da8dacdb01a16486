"""What outlives the process: the port `Store`, and the entities, spend rows, sums and counters it keeps.

Money is integer nano-dollars, an instant is Unix seconds, a day is `YYYY-MM-DD` in UTC, an unknown text is empty.
Every method blocks; the owner calls them in a thread.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol


class StoreError(Exception):
    """The store cannot be used or would not take this; the message names it and says why.

    Nothing was changed; only of a server that was cut off while it committed nobody knows.
    """


class ConflictError(StoreError):
    """What was to be put is there already."""


class Kind(enum.StrEnum):
    """What an entity is."""

    KEY = "key"
    TEAM = "team"
    USER = "user"
    ORGANIZATION = "organization"
    CUSTOMER = "customer"
    """An end user."""


class Entity(NamedTuple):
    """One row of what is managed: what lists filter and sort by, and all else in `document`, which is JSON.

    The `id` of a key is the SHA-256 of what clients send, 64 lower-case hexadecimal digits; the key is never kept.
    """

    kind: Kind
    id: str
    alias: str = ""
    user_id: str = ""
    team_id: str = ""
    organization_id: str = ""
    blocked: bool = False
    spend: int = 0
    """Written when it is created; from then on folds add to it, and only `set_spend` sets it."""
    max_budget: int | None = None
    expires: float | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    document: Mapping[str, Any] = {}


class Row(NamedTuple):
    """An entity as the request path keeps it in memory, its document still the JSON text that it was."""

    id: str
    alias: str = ""
    user_id: str = ""
    team_id: str = ""
    organization_id: str = ""
    blocked: bool = False
    expires: float | None = None
    document: bytes = b"{}"


def row_of(entity: Entity) -> Row:
    """Return what the request path keeps of an entity."""
    document = json.dumps(dict(entity.document)).encode()
    return Row(*entity[1:6], entity.blocked, entity.expires, document)


class Gone(NamedTuple):
    """An entity that is to be deleted."""

    kind: Kind
    id: str


class EntityFilter(NamedTuple):
    """Which entities a list shows; None shows all."""

    id: str | None = None
    alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None
    blocked: bool | None = None


class EntityPage(NamedTuple):
    """Which part of a list, counted from 1, in which order; equals are in the order of their ids."""

    page: int = 1
    size: int = 10
    sort_by: Literal[
        "id", "alias", "user_id", "team_id", "spend", "max_budget", "expires", "created_at", "updated_at"
    ] = "created_at"
    descending: bool = True


class Listing(NamedTuple):
    """A part of a list, and how many there are in all."""

    entities: list[Entity]
    total: int


class SpendRow(NamedTuple):
    """One settled request, by LiteLLM's names of `SpendLogs`.

    `api_key` is a key's hash. `metadata` and `payload` are JSON texts; lists of rows leave `payload`, the heavy one,
    empty.
    """

    request_id: str
    start_time: float
    end_time: float = 0.0
    completion_start_time: float = 0.0
    call_type: str = ""
    status: Literal["success", "failure"] = "success"
    api_key: str = ""
    user: str = ""
    team_id: str = ""
    organization_id: str = ""
    end_user: str = ""
    model: str = ""
    model_id: str = ""
    model_group: str = ""
    custom_llm_provider: str = ""
    api_base: str = ""
    spend: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cache_hit: str = ""
    cache_key: str = ""
    session_id: str = ""
    requester_ip_address: str = ""
    request_tags: tuple[str, ...] = ()
    metadata: str = "{}"
    payload: str = "{}"


class Amount(NamedTuple):
    """What was used in a counter, by its id; from the instant `until` on, in Unix nanoseconds, it no longer counts."""

    counter: bytes
    until: int
    used: int


class OpenHold(NamedTuple):
    """A hold that neither was settled nor given back; `record` is its owner's."""

    call: str
    attempt: int
    record: bytes


class Batch(NamedTuple):
    """What a journal holds up to a position: what happened since the batch before, and where that left off.

    `changes` have happened: none conflicts. Each of `resets` ends a counter before any of `counts` is added to it.
    `closed` are holds by call and attempt. What stopped counting at the instant `expired` may go.
    """

    position: tuple[int, int]
    rows: Sequence[SpendRow] = ()
    changes: Sequence[Entity | Gone] = ()
    counts: Sequence[Amount] = ()
    resets: Sequence[bytes] = ()
    holds: Sequence[OpenHold] = ()
    closed: Sequence[tuple[str, int]] = ()
    expired: int = 0


class Cursor(NamedTuple):
    """The place behind a row in the list of rows, newest first."""

    start_time: float
    number: int


class LogFilter(NamedTuple):
    """Which spend rows a list shows; None shows all. `first` and `last` bound `start_time`, both included."""

    api_key: str | None = None
    user: str | None = None
    team_id: str | None = None
    end_user: str | None = None
    request_id: str | None = None
    session_id: str | None = None
    model: str | None = None
    status: str | None = None
    first: float | None = None
    last: float | None = None
    min_spend: int | None = None
    max_spend: int | None = None


class LogPage(NamedTuple):
    """Rows, newest first, and where the next page begins; None when there is none."""

    rows: list[SpendRow]
    next: Cursor | None


class Scope(enum.StrEnum):
    """What spend is summed by."""

    KEY = "key"
    USER = "user"
    TEAM = "team"
    ORG = "org"
    TAG = "tag"
    END_USER = "end_user"
    MODEL = "model"
    PROVIDER = "provider"


class UsageQuery(NamedTuple):
    """Which sums: of a scope, from a day to a day, both included, of these values (none: all).

    `by` says what there is one sum for: a day and value, a day, or a value. Sums by value come highest spend first,
    the others in the order of days; `limit` of them at most. A row with two tags counts in both, and twice in a day's
    sum over all tags.
    """

    scope: Scope
    first: str = "0000-00-00"
    last: str = "9999-99-99"
    values: Sequence[str] = ()
    by: Literal["both", "day", "value"] = "both"
    limit: int = 10_000


class Rollup(NamedTuple):
    """A sum of spend rows; `day` or `value` is empty when it is a sum over all of them."""

    day: str
    value: str
    requests: int
    failed: int
    input_tokens: int
    output_tokens: int
    spend: int


class Store(Protocol):
    """Keeps entities, spend rows and their sums. Every method but `close` raises StoreError."""

    def __init__(self, settings: Mapping[str, Any]) -> None: ...

    def identity(self) -> str:
        """Return the random name that the store was given when it was made: processes that see the same share it."""

    def watch(self, on_change: Callable[[Kind, str], None], on_lost: Callable[[], None]) -> None:
        """Tell from now on, until `close`, what entities change, by whatever process: by kind and id, after the fact.

        What this process changes itself may be told too, and what folds add to an entity's spend is not. `on_lost` says
        that changes may have gone unheard. Callbacks come on the store's own thread, which nothing else can use
        meanwhile: they hand over and return, and never call the store. Raises StoreError, also for a second watcher.
        """

    def put(self, entity: Entity, *, new: bool = False) -> None:
        """Create or replace an entity, but for its `spend` and `created_at`.

        Raises ConflictError when it must be `new` and is there, or when another key has a key's alias.
        """

    def get(self, kind: Kind, entity_id: str) -> Entity | None:
        """Return one entity."""

    def entities(self, kind: Kind) -> Iterator[Row]:
        """Give every entity of a kind, one after the other; somebody else's reading may have to wait until the last.

        What is put or deleted while this is iterated may be in it or not.
        """

    def delete(self, kind: Kind, ids: Sequence[str]) -> list[str]:
        """Delete entities, all or none; return the ids that were there."""

    def list(self, kind: Kind, which: EntityFilter, page: EntityPage) -> Listing:
        """Return a page of the entities of a kind."""

    def block(self, kind: Kind, entity_id: str, at: float, *, blocked: bool = True) -> Entity | None:
        """Block or unblock an entity; return it as it is then, None when there is none."""

    def set_spend(self, kind: Kind, entity_id: str, spend: int) -> int | None:
        """Set what an entity has spent; return what it had been, None when there is none."""

    def position(self, journal: str = "main") -> tuple[int, int]:
        """Return the (segment, offset) up to which a journal is folded; (0, 0) before the first fold."""

    def fold(self, batch: Batch, journal: str = "main") -> bool:
        """Add a batch, all or nothing, to outlast a loss of power once this returns.

        A position that is not ahead of the stored one changes nothing and returns False.
        """

    def counts(self, now: int) -> Iterable[Amount]:
        """Return what counts at an instant; what is folded while this is iterated may be in it or not."""

    def snapshot(self) -> tuple[Mapping[str, tuple[int, int]], Sequence[Amount]]:
        """Return how far each journal is folded and every amount, what counts no more too, as of one moment."""

    def holds(self, journal: str = "main") -> Sequence[OpenHold]:
        """Return the holds that a journal left open."""

    def usage(self, query: UsageQuery) -> Sequence[Rollup]:
        """Return sums."""

    def totals(self, scope: Scope) -> Mapping[str, Rollup]:
        """Return the sum over all days of every value of a scope."""

    def logs(self, which: LogFilter, size: int = 50, after: Cursor | None = None) -> LogPage:
        """Return spend rows, newest first; pages neither repeat nor leave out a row when others are folded meanwhile."""

    def log(self, request_id: str) -> Sequence[SpendRow]:
        """Return the rows of a request with all they hold, one for each time it was settled."""

    def close(self) -> None:
        """Let go."""
