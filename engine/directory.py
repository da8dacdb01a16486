"""Keys in force, found by the SHA-256 of what a client sends; the clear text of a key is never kept.

Two layers: what the configuration declares, swapped by a reload, over what the store keeps, changed a row at a time. A
caller is made when its key is first used and dropped when its row, its team, user or organization changes.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Generator, Iterable

import structlog

from engine.call import Caller
from engine.callers import Callers, PolicyKind
from engine.counting import Customer
from engine.declared import Declared
from engine.digest import digest, masked
from engine.policy import Policy
from engine.storing import Entity, Kind, Row, row_of

__all__ = ["CUSTOMERS", "Customer", "Directory", "digest", "masked"]

log = structlog.get_logger("interlock")

CUSTOMERS = 100_000
"""End users whose limits are kept compiled; the one not asked for longest makes room."""


ANYBODY = Customer()


class Directory:
    """Callers by key hash. The master key is one of them, with every right.

    `callers` are there as they are, beside what is declared and stored.
    """

    def __init__(self, master_key: str | None, callers: Iterable[Caller] = ()) -> None:
        self._given = {caller.key_hash: caller for caller in callers}
        self._callers = dict(self._given)
        self._behind: dict[tuple[Kind, str], set[str]] = {}
        """The keys whose callers were made with a team, user or organization, or with there being none."""
        self._customers: OrderedDict[str, Customer] = OrderedDict()
        self._stored: dict[Kind, dict[str, Row]] = {kind: {} for kind in Kind}
        self._declared = Declared()
        self._making = Callers(self._declared, _no_policies, self.row)
        self._master = _master(master_key)

    def __len__(self) -> int:
        return len(self._given.keys() | self._declared.rows[Kind.KEY].keys() | self._stored[Kind.KEY].keys())

    def __repr__(self) -> str:
        return f"<Directory {len(self)} keys>"

    @property
    def guarded(self) -> bool:
        """Whether a master key is set; without one every caller would pass."""
        return self._master is not None

    @property
    def declared(self) -> Declared:
        """What the configuration declares."""
        return self._declared

    @property
    def making(self) -> Callers:
        """What makes callers of rows, as it is in force now."""
        return self._making

    def check(self, kind: Kind, row: Row) -> None:
        """Compile what a row would come to; raises ValueError that names the field which is wrong."""
        Callers(self._declared, self._making.kind, self.row).check(kind, row)

    def find(self, key: str) -> Caller | None:
        """Return the caller whose key this is."""
        return self.known(digest(key))

    def known(self, key_hash: str) -> Caller | None:
        """Return the caller whose key has this hash.

        Only hashes are compared: the master key's in constant time, the others' by table, where timing tells
        nothing of a key.
        """
        master = self._master
        if master is not None and hmac.compare_digest(master.key_hash, key_hash):
            return master
        return self._callers.get(key_hash) or self._made(key_hash)

    def row(self, kind: Kind, entity_id: str) -> Row | None:
        """Return an entity as it is in force: as it is declared, else as it is stored."""
        return self._declared.find(kind, entity_id) or self._stored[kind].get(entity_id)

    def customer(self, end_user: str) -> Customer:
        """Return an end user."""
        found = self._customers.get(end_user)
        if found is not None:
            self._customers.move_to_end(end_user)
            return found
        if not self._declared.end_user and end_user not in self._stored[Kind.CUSTOMER]:
            return ANYBODY
        try:
            found = Customer(*self._making.customer(end_user))
        except ValueError as error:
            log.warning("end user taken for blocked: its row cannot be used", end_user=end_user, why=str(error))
            found = Customer(blocked=True)
        self._customers[end_user] = found
        if len(self._customers) > CUSTOMERS:
            self._customers.popitem(last=False)
        return found

    def declare(self, master_key: str | None, declared: Declared, kind: PolicyKind) -> None:
        """Swap the declared layer; `kind` finds the policies that model lists are."""
        old, self._declared, self._master = self._declared, declared, _master(master_key)
        if self._making.kind != kind or not old.agrees(declared):
            self._making = Callers(declared, kind, self.row)
            self._callers = dict(self._given)
            self._behind.clear()
            self._customers.clear()
            return
        self._making.declared = declared
        for of, rows in declared.rows.items():
            before = old.rows[of]
            for entity_id in before.keys() | rows.keys():
                if before.get(entity_id) != rows.get(entity_id):
                    self._changed(of, entity_id)

    def fill(self, kind: Kind, rows: Iterable[Row]) -> None:
        """Take all rows of a kind from the store, at start."""
        self._stored[kind] = {row.id: row for row in rows}

    def refilling(self, kind: Kind, rows: Iterable[Row]) -> Generator[None, None, None]:
        """Take all rows of a kind anew in short steps, while calls go on; what differs is in force at once."""
        before, self._stored[kind] = self._stored[kind], {row.id: row for row in rows}
        for entity_id in before.keys() | self._stored[kind].keys():
            if before.get(entity_id) != self._stored[kind].get(entity_id):
                self._changed(kind, entity_id)
            yield

    def put(self, entity: Entity) -> None:
        """Put a stored entity in force, for the very next call."""
        self._stored[entity.kind][entity.id] = row_of(entity)
        self._changed(entity.kind, entity.id)

    def remove(self, kind: Kind, ids: Iterable[str]) -> None:
        """Take stored entities out of force."""
        for entity_id in ids:
            self._stored[kind].pop(entity_id, None)
            self._changed(kind, entity_id)

    def _made(self, key_hash: str) -> Caller | None:
        row = self.row(Kind.KEY, key_hash)
        if row is None:
            return None
        try:
            caller = self._making.caller(row)
        except ValueError as error:
            # Closed: what a row says can cease to be possible, as when the budget that it names is declared no more.
            log.warning("key taken for blocked: its row cannot be used", key_hash=key_hash, why=str(error))
            team = self.row(Kind.TEAM, row.team_id)
            caller = Caller(key_hash)
            caller.alias, caller.user, caller.team, caller.blocked = row.alias, row.user_id, row.team_id, True
            caller.org = row.organization_id or (team.organization_id if team is not None else "")
        self._callers[key_hash] = caller
        for behind in _behind(caller):
            self._behind.setdefault(behind, set()).add(key_hash)
        return caller

    def _changed(self, kind: Kind, entity_id: str) -> None:
        """Drop what was made of an entity as it was."""
        if kind is Kind.KEY:
            self._drop(entity_id)
        elif kind is Kind.CUSTOMER:
            self._customers.pop(entity_id, None)
        else:
            self._making.forget(kind, entity_id)
            for key_hash in self._behind.pop((kind, entity_id), ()):
                self._drop(key_hash)

    def _drop(self, key_hash: str) -> None:
        caller = self._callers.pop(key_hash, None)
        for behind in _behind(caller) if caller is not None else ():
            self._behind.get(behind, set()).discard(key_hash)


def _behind(caller: Caller) -> tuple[tuple[Kind, str], ...]:
    found = ((Kind.TEAM, caller.team), (Kind.USER, caller.user), (Kind.ORGANIZATION, caller.org))
    return tuple(one for one in found if one[1])


def _no_policies(name: str) -> type[Policy]:
    raise LookupError(f"nobody has said where policies of kind `{name}` are")


def _master(key: str | None) -> Caller | None:
    if not key:
        return None
    master = Caller(digest(key), "proxy_admin")
    master.alias = "master key"
    master.user = "default_user_id"
    return master
