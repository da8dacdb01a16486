"""Where every request to manage arrives: who may ask, what was sent, and the table of routes."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import orjson
from aiohttp import web

from engine.api.json import answer
from engine.api.management.faults import bad_request
from engine.call import Caller
from engine.errors import ClientError
from engine.identity import Identity


class Who(enum.Enum):
    """Who may ask."""

    ADMINISTRATORS = "proxy_admin"
    READERS = "proxy_admin_viewer"
    """Administrators, and who may see all that they see."""
    ANYBODY = ""
    """Any key; what of it is its own affair is the handler's to say."""


class Asked(NamedTuple):
    """One request: by whom, and what it says."""

    caller: Caller
    path: str
    body: dict[str, Any]
    query: Mapping[str, str]

    @property
    def reads(self) -> bool:
        """Whether who asks may see everything."""
        return self.caller.admin or self.caller.role == Who.READERS.value

    def number(self, name: str, default: int, most: int) -> int:
        """Return a number of the query from 1 on, `most` at most; raises ClientError 400."""
        text = self.query.get(name) or str(default)
        if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) < 1:
            raise bad_request(f"`{name}`: `{text[:50]}` is no number from 1 on", name)
        return min(int(text), most)

    def flag(self, name: str) -> bool:
        """Return whether a switch of the query is on."""
        return self.query.get(name, "").lower() in {"true", "1", "yes"}

    def text(self, name: str) -> str:
        """Return a text of the body that must be there; raises ClientError 400."""
        value = self.body.get(name)
        if not isinstance(value, str) or not value:
            raise bad_request(f"`{name}` is required: name it as text", name)
        return value

    def texts(self, name: str) -> list[str]:
        """Return a list of texts in the body, empty when it is absent; raises ClientError 400."""
        value = self.body.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise bad_request(f"`{name}`: expected a list of texts", name)
        return value


Handler = Callable[[Asked], Awaitable[Any]]


class Row(NamedTuple):
    """One route: what it answers is JSON."""

    method: str
    path: str
    who: Who
    handler: Handler


class Desk:
    """Admits and reads requests; `key_header` is the one more header that keys may come in."""

    def __init__(self, identity: Identity, key_header: Callable[[], str]) -> None:
        self._identity = identity
        self._key_header = key_header

    def routes(self, rows: Sequence[Row]) -> list[web.RouteDef]:
        """Return a table of routes; other methods of their paths are refused."""
        made = []
        for row in rows:
            made.append(web.route(row.method, row.path, self._handler(row)))
            made.append(web.route("*", row.path, _other(row.method)))
        return made

    def _handler(self, row: Row) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            caller = await self._admit(request, row)
            body = _object(await request.read()) if row.method == "POST" else {}
            asked = Asked(caller, row.path, body, request.query)
            # A change that has begun is finished, though who asked for it hangs up: store and directory stay one.
            return answer(await asyncio.shield(_answered(row.handler, asked)))

        return handle

    async def _admit(self, request: web.Request, row: Row) -> Caller:
        caller = await self._identity.admitted(request.headers, self._key_header(), request.remote or "")
        may = {Who.ADMINISTRATORS.value} if row.who is Who.ADMINISTRATORS else {one.value for one in Who}
        if row.who is not Who.ANYBODY and caller.role not in may:
            raise ClientError(
                401, "auth_error", f"only a proxy admin may use `{row.path}`; the role of this key is `{caller.role}`"
            )
        return caller


async def _answered(handler: Handler, asked: Asked) -> Any:
    return await handler(asked)


def _object(data: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise bad_request("the body is no JSON; send an object such as `{}`") from error
    if not isinstance(body, dict):
        raise bad_request("the body is no JSON object; send one such as `{}`")
    return body


def _other(method: str) -> Callable[[web.Request], Awaitable[NoReturn]]:
    async def refuse(request: web.Request) -> NoReturn:
        raise web.HTTPMethodNotAllowed(request.method, [method])

    return refuse
