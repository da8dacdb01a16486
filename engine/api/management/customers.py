"""End users: `/customer/*`, and `/end_user/*` for the same."""

from __future__ import annotations

from typing import Any

from engine.api.management.desk import Asked, Row, Who
from engine.api.management.faults import bad_request, unknown
from engine.api.management.fields import CUSTOMERS, changed, picked, read
from engine.api.management.keeper import BUDGET, Keeper, Spent
from engine.errors import ClientError
from engine.storing import ConflictError, Entity, Kind


class Customers:
    """Makes and shows end users."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def rows(self) -> list[Row]:
        """Return the route table."""
        return [
            Row("POST", "/customer/new", Who.ADMINISTRATORS, self.new),
            Row("POST", "/end_user/new", Who.ADMINISTRATORS, self.new),
            Row("GET", "/customer/info", Who.READERS, self.info),
            Row("GET", "/end_user/info", Who.READERS, self.info),
        ]

    async def new(self, asked: Asked) -> dict[str, Any]:
        """Make an end user's row."""
        said, now = read(CUSTOMERS, asked.body, unenforced=False), self._keeper.now()
        name = said.given["user_id"]
        entity = changed(CUSTOMERS, Entity(Kind.CUSTOMER, name, created_at=now), said, now)
        async with self._keeper.writing:
            try:
                await self._keeper.put(entity, new=True)
            except ConflictError as error:
                raise _taken(name) from error
        return customer_row(entity, await self._keeper.spent(entity), self._keeper)

    async def info(self, asked: Asked) -> dict[str, Any]:
        """Show an end user: its row, or what its calls have cost where it has none."""
        name = asked.query.get("end_user_id")
        if not name:
            raise bad_request("`end_user_id` is required: name the end user in the query", "end_user_id")
        await self._keeper.settled()
        entity = await self._keeper.get(Kind.CUSTOMER, name)
        spent = await self._keeper.spent(entity or Entity(Kind.CUSTOMER, name))
        if entity is None and not spent.usd:
            raise unknown(f"end user `{name[:80]}` does not exist here, and has called nothing", "end_user_id")
        return customer_row(entity or Entity(Kind.CUSTOMER, name), spent, self._keeper)


def customer_row(entity: Entity, spent: Spent, keeper: Keeper) -> dict[str, Any]:
    """Return an end user as LiteLLM shows its row."""
    said = entity.document
    limits = picked(said, BUDGET)
    own = (
        {"budget_id": None, **limits, "budget_reset_at": spent.resets}
        if any(v is not None for v in limits.values())
        else None
    )
    return {
        "user_id": entity.id,
        "alias": entity.alias or None,
        "spend": spent.usd,
        "allowed_model_region": said.get("allowed_model_region"),
        "default_model": said.get("default_model"),
        "blocked": entity.blocked,
        "litellm_budget_table": keeper.budget_table(said.get("budget_id")) or own,
    }


def _taken(name: str) -> ClientError:
    message = f"Customer already exists, passed user_id={name}. Please pass a new user_id."
    return bad_request(message, "user_id")
