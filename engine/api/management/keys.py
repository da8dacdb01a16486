"""Virtual keys: `/key/*`. A key is shown once, when it is made; only its SHA-256 is stored."""

from __future__ import annotations

import json
import re
import secrets
from datetime import UTC, datetime
from typing import Any

from engine.allowances import nano
from engine.api.management.desk import Asked, Row, Who
from engine.api.management.faults import bad_request, unknown
from engine.api.management.fields import KEYS, Said, changed, metadata, picked, read
from engine.api.management.keeper import Keeper, Spent
from engine.api.management.times import iso
from engine.digest import digest, masked
from engine.errors import ClientError
from engine.storing import ConflictError, Entity, EntityFilter, EntityPage, Kind
from engine.windows import after

LISTED = 100
"""Keys on a page at most."""
OWN = re.compile(r"sk-[!-~]{1,512}")
"""What a key may look like that somebody chose: a header must be able to carry it."""
SORTS = {
    "spend": "spend", "max_budget": "max_budget", "created_at": "created_at", "updated_at": "updated_at", "user_id": "user_id",
    "team_id": "team_id", "key_alias": "alias", "token": "id", "expires": "expires",
}  # fmt: skip
NULLS = (
    "soft_budget", "budget_duration", "budget_id", "agent_id", "project_id", "max_parallel_requests", "tpm_limit", "rpm_limit",
    "max_budget", "policies", "access_group_ids", "router_settings", "object_permission", "rotation_interval",
    "created_by", "updated_by",
)  # fmt: skip
OBJECTS = ("aliases", "config", "permissions", "model_max_budget")
LISTS = ("models", "allowed_cache_controls", "allowed_routes")
ANSWERED = (
    "guardrails", "tags", "prompts", "model_rpm_limit", "model_tpm_limit", "tpm_limit_type", "rpm_limit_type",
    "enforced_params", "allowed_passthrough_routes", "allowed_vector_store_indexes", "disable_global_guardrails", "key_type",
)  # fmt: skip
"""What `/key/generate` answers beside the row."""


class Keys:
    """Makes, changes, blocks, deletes and shows keys; `unenforced` lets limits pass that would not hold."""

    def __init__(self, keeper: Keeper, *, unenforced: bool) -> None:
        self._keeper = keeper
        self._unenforced = unenforced

    def rows(self) -> list[Row]:
        """Return the route table."""
        return [
            Row("POST", "/key/generate", Who.ADMINISTRATORS, self.generate),
            Row("POST", "/key/update", Who.ADMINISTRATORS, self.update),
            Row("POST", "/key/delete", Who.ADMINISTRATORS, self.delete),
            Row("POST", "/key/block", Who.ADMINISTRATORS, self.block),
            Row("POST", "/key/unblock", Who.ADMINISTRATORS, self.unblock),
            Row("GET", "/key/info", Who.ANYBODY, self.info),
            Row("GET", "/key/list", Who.READERS, self.list),
        ]

    async def generate(self, asked: Asked) -> dict[str, Any]:
        """Make a key, and show it this once."""
        said = read(KEYS, asked.body, unenforced=self._unenforced)
        key, now = _chosen(asked.body.get("key")), self._keeper.now()
        _refuse_clear(key, said)
        blank = Entity(
            Kind.KEY, digest(key), created_at=now, expires=_expiry(asked.body.get("duration"), now),
            spend=nano("spend", said.given.get("spend") or 0),
            document={"key_name": masked(key), "created_by": asked.caller.user, "updated_by": asked.caller.user},
        )  # fmt: skip
        entity = changed(KEYS, blank, said, now)
        async with self._keeper.writing:
            self._refuse_taken(entity)
            await self._put(entity, new=True)
        shown = key_row(entity, await self._keeper.spent(entity), self._keeper)
        del shown["soft_budget_cooldown"], shown["model_spend"], shown["last_active"]
        return {
            "key": key, "token_id": entity.id, **shown, **picked(entity.document, ANSWERED),
            "duration": asked.body.get("duration"),
        }  # fmt: skip

    async def update(self, asked: Asked) -> dict[str, Any]:
        """Change what a body names of a key; null clears."""
        said, now = read(KEYS, asked.body, unenforced=self._unenforced), self._keeper.now()
        _refuse_clear(asked.text("key"), said)
        await self._keeper.settled()
        async with self._keeper.writing:
            old = await self._named(asked.text("key"), change=True)
            old = old._replace(document={**old.document, "updated_by": asked.caller.user})
            entity = changed(KEYS, old, said, now)
            if "duration" in asked.body:
                entity = entity._replace(expires=_expiry(asked.body["duration"], now))
            self._refuse_alias(entity)
            await self._put(entity)
            if "spend" in said.given:
                entity = entity._replace(spend=nano("spend", said.given["spend"]))
                await self._keeper.set_spend(Kind.KEY, entity.id, entity.spend)
        return {**key_row(entity, await self._keeper.spent(entity), self._keeper), "key": asked.text("key")}

    async def delete(self, asked: Asked) -> dict[str, Any]:
        """Delete keys by `keys` or `key_aliases`; unknown ones are passed over unless none is known."""
        keys, aliases = asked.texts("keys"), asked.texts("key_aliases")
        if not keys and not aliases:
            raise bad_request("`keys` or `key_aliases` is required: list the keys to delete", "keys")
        async with self._keeper.writing:
            named = {digest_of(key): key for key in keys}
            for alias in aliases:
                which = EntityFilter(alias=alias)
                held = [*self._keeper.declared(Kind.KEY, which), *await self._keeper.every(Kind.KEY, which)]
                named |= {one.id: alias for one in held}
            for key_hash in named:
                self._keeper.changeable(Kind.KEY, key_hash)
            gone = await self._keeper.remove(Kind.KEY, list(named))
        if not gone:
            raise unknown("no keys found: none of these exists here", "keys")
        return {"deleted_keys": [named[key_hash] for key_hash in gone]}

    async def block(self, asked: Asked) -> dict[str, Any]:
        """Block a key, from the next call on."""
        return await self._blocked(asked, blocked=True)

    async def unblock(self, asked: Asked) -> dict[str, Any]:
        """Let a blocked key be used again."""
        return await self._blocked(asked, blocked=False)

    async def info(self, asked: Asked) -> dict[str, Any]:
        """Show a key: any to who may see all, its own to every key."""
        name = asked.query.get("key") or asked.caller.key_hash
        if not asked.reads and digest_of(name) != asked.caller.key_hash:
            raise ClientError(403, "permission_denied", "this key may be shown itself only; leave `key` out", "key")
        await self._keeper.settled()
        entity = await self._named(name)
        row = key_row(entity, await self._keeper.spent(entity), self._keeper)
        del row["token"]
        return {"key": name, "info": row}

    async def list(self, asked: Asked) -> dict[str, Any]:
        """List a page of keys, newest first, those of the configuration last."""
        page, size = asked.number("page", 1, 10**6), asked.number("size", 10, LISTED)
        which = EntityFilter(
            asked.query.get("key_hash"), asked.query.get("key_alias"), asked.query.get("user_id"), asked.query.get("team_id"),
            asked.query.get("organization_id"),
        )  # fmt: skip
        sort = SORTS.get(asked.query.get("sort_by") or "created_at")
        if sort is None:
            raise bad_request(f"`sort_by`: there are {', '.join(f'`{name}`' for name in SORTS)}", "sort_by")
        order = EntityPage(page, size, sort, asked.query.get("sort_order", "desc").lower() != "asc")  # type: ignore[arg-type]  # SORTS holds what can be sorted by
        await self._keeper.settled()
        listing = await self._keeper.read(lambda store: store.list(Kind.KEY, which, order))
        declared = self._keeper.declared(Kind.KEY, which)
        begin = max(0, (page - 1) * size - listing.total)
        shown = [*listing.entities, *declared[begin : begin + size - len(listing.entities)]]
        total = listing.total + len(declared)
        full = asked.flag("return_full_object")
        keys = [key_row(one, await self._keeper.spent(one), self._keeper) if full else one.id for one in shown]
        return {"keys": keys, "total_count": total, "current_page": page, "total_pages": -(-total // size)}

    async def _blocked(self, asked: Asked, *, blocked: bool) -> dict[str, Any]:
        await self._keeper.settled()
        async with self._keeper.writing:
            old = await self._named(asked.text("key"), change=True)
            entity = old._replace(blocked=blocked, updated_at=self._keeper.now())
            await self._put(entity)
        return key_row(entity, await self._keeper.spent(entity), self._keeper)

    async def _named(self, name: str, *, change: bool = False) -> Entity:
        """Return the key of this clear text or hash; raises ClientError 404, and 400 for one that is not to be changed."""
        key_hash = digest_of(name)
        if change:
            self._keeper.changeable(Kind.KEY, key_hash)
        entity = await self._keeper.get(Kind.KEY, key_hash)
        if entity is None:
            raise unknown("this key does not exist here; check it", "key")
        return entity

    async def _put(self, entity: Entity, *, new: bool = False) -> None:
        try:
            await self._keeper.put(entity, new=new)
        except ConflictError as error:
            if new and await self._keeper.get(Kind.KEY, entity.id) is not None:
                raise _taken() from error
            raise _alias_taken(entity.alias) from error

    def _refuse_taken(self, entity: Entity) -> None:
        if self._keeper.directory.known(entity.id) is not None:
            raise _taken()
        self._refuse_alias(entity)

    def _refuse_alias(self, entity: Entity) -> None:
        declared = self._keeper.directory.declared.rows[Kind.KEY].values()
        if entity.alias and any(row.alias == entity.alias for row in declared):
            raise _alias_taken(entity.alias)


def key_row(entity: Entity, spent: Spent, keeper: Keeper) -> dict[str, Any]:
    """Return a key as LiteLLM shows its row."""
    said = entity.document
    return {
        "token": entity.id,
        "key_name": said.get("key_name"),
        "key_alias": entity.alias or None,
        "soft_budget_cooldown": False,
        "spend": spent.usd,
        "expires": iso(entity.expires),
        "user_id": entity.user_id or None,
        "team_id": entity.team_id or None,
        "organization_id": entity.organization_id or None,
        **{name: said.get(name) or [] for name in LISTS},
        **{name: said.get(name) or {} for name in OBJECTS},
        **picked(said, NULLS),
        "metadata": metadata(said),
        "blocked": entity.blocked,
        "budget_reset_at": spent.resets,
        "model_spend": {},
        "auto_rotate": said.get("auto_rotate") or False,
        "litellm_budget_table": keeper.budget_table(said.get("budget_id")),
        "created_at": iso(entity.created_at),
        "updated_at": iso(entity.updated_at),
        "last_active": None,
    }  # fmt: skip


def digest_of(name: str) -> str:
    """Return the hash of a key that is named by its clear text or by its hash."""
    return digest(name) if name.startswith("sk-") else name


def _chosen(key: Any) -> str:
    if key is None:
        return f"sk-{secrets.token_urlsafe(16)}"
    if not isinstance(key, str) or not OWN.fullmatch(key):
        raise bad_request(
            "`key`: a key begins with `sk-`, and has no spaces and no other characters than ASCII behind it", "key"
        )
    return key


def _expiry(duration: Any, now: float) -> float | None:
    """Return when a key ends that lasts for a duration from now; `-1` and null are for ever. Raises ClientError 400."""
    if duration in (None, "-1", -1):
        return None
    try:
        return after(str(duration), datetime.fromtimestamp(now, UTC)).timestamp()
    except ValueError as error:
        raise bad_request(f"`duration`: {error}", "duration") from error


def _refuse_clear(key: str, said: Said) -> None:
    """Refuse a body that would have a key's clear text kept; raises ClientError 400."""
    if key.startswith("sk-") and key in json.dumps(said.given, ensure_ascii=False):
        raise bad_request("leave the key itself out of its alias, its metadata and all else that is kept of it", "key")


def _taken() -> ClientError:
    return bad_request("`key`: there is such a key already; choose another, or leave it out", "key")


def _alias_taken(alias: str) -> ClientError:
    message = f"Key with alias '{alias}' already exists. Unique key aliases across all keys are required."
    return bad_request(message, "key_alias")
