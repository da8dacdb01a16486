"""The management API, in LiteLLM's shapes: keys, teams, end users, and what was spent.

Every route is one line of a table in the file of its kind; `Desk` admits and reads what comes, `Keeper` changes and reads
what is kept.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from engine.api.management.customers import Customers
from engine.api.management.desk import Desk
from engine.api.management.keeper import Beside, Keeper
from engine.api.management.keys import Keys
from engine.api.management.spend import Spend
from engine.api.management.teams import Teams
from engine.identity import Identity
from engine.storing import Store

__all__ = ["Beside", "management"]


def management(
    identity: Identity, store: Store, key_header: Callable[[], str], beside: Beside, *, unenforced: bool
) -> list[web.RouteDef]:
    """Return all routes; `unenforced` lets limits pass that are not enforced yet."""
    keeper = Keeper(store, identity.directory, identity.clock, beside)
    kinds = (
        Keys(keeper, unenforced=unenforced),
        Teams(keeper, unenforced=unenforced),
        Customers(keeper),
        Spend(keeper),
    )
    return Desk(identity, key_header).routes([row for kind in kinds for row in kind.rows()])
