"""Who calls: the key in any place a client may put it, looked up in the Directory.

The places are those LiteLLM's users know; credentials never travel on to an upstream or into a log, because nothing
but this file reads them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl

from engine.call import Call, Caller, Headers
from engine.directory import Directory, digest
from engine.errors import ClientError

PLACES = ("x-litellm-api-key", "authorization", "api-key", "x-api-key", "x-goog-api-key", "ocp-apim-subscription-key")
PROTOCOL = "openai-insecure-api-key."
REFUSALS = 20
"""Refusals a second that one address and key get a full answer to; more are turned away unread."""
ADDRESSES = 10_000


class Identity:
    """Finds the caller of a call.

    `now` gives Unix seconds, for expiry. `look`, where it is set, asks for a key that is not known here whether another
    process has just made it.
    """

    def __init__(self, directory: Directory, now: Callable[[], float]) -> None:
        self.directory = directory
        self.clock = now
        self.look: Callable[[str], Awaitable[None]] | None = None
        self._refused: dict[str, int] = {}
        self._second = 0

    def known(self, key_hash: str) -> Caller | None:
        """Return who has a key of this hash now."""
        return self.directory.known(key_hash)

    async def identify(self, call: Call) -> None:
        """Set `call.caller`; raises ClientError 401 for a missing, unknown, expired or blocked key."""
        call.caller = await self.admitted(call.headers, call.snapshot.settings.key_header, call.address)

    async def identify_passed(self, call: Call, key_header: str) -> None:
        """Set `call.caller` of what browsers and Google's clients send: its key may stand in query or protocols, too."""
        header = key_header or call.snapshot.settings.key_header
        call.caller = await self.admitted(
            call.headers, header, call.address, _in_query(call.source.target) or _in_protocols(call.headers)
        )

    async def admitted(self, headers: Mapping[str, str], key_header: str, address: str, spare: str = "") -> Caller:
        """Return the caller that these headers name, as `admit` does, also of a key that was made a moment ago elsewhere."""
        if self.look is not None:
            found = key_hash(headers, key_header) or (digest(spare) if spare else "")
            if found and self.directory.known(found) is None:
                await self.look(found)
        return self.admit(headers, key_header, address, spare)

    def admit(self, headers: Mapping[str, str], key_header: str, address: str, spare: str = "") -> Caller:
        """Return the caller that these headers name, else the `spare` key; raises ClientError 401, or 429 after too many refusals."""
        caller = self.directory.known(key_hash(headers, key_header) or (digest(spare) if spare else ""))
        if caller is None:
            self._count(address)
            raise _unknown(credential(headers, key_header) or spare)
        if caller.blocked or caller.team_blocked:
            self._count(address)
            what = "key" if caller.blocked else f"team `{caller.team}`"
            raise _refusal("auth_error", f"this {what} is blocked; ask an administrator to unblock it")
        if caller.expires is not None and caller.expires <= self.clock():
            self._count(address)
            raise _refusal("expired_key", "this key has expired; ask an administrator for a new one")
        return caller

    def _count(self, address: str) -> None:
        second = int(self.clock())
        if second != self._second or len(self._refused) >= ADDRESSES:
            self._second = second
            self._refused.clear()
        count = self._refused[address] = self._refused.get(address, 0) + 1
        if count > REFUSALS:
            error = ClientError(
                429, "rate_limit_error", "too many refused requests from this address; try again in a second"
            )
            error.retry_after = 1
            raise error


def _in_query(target: str) -> str:
    """Return the key that a target carries, as Google's clients send theirs."""
    query = target.partition("?")[2]
    return next((value for name, value in parse_qsl(query, max_num_fields=100) if name == "key"), "") if query else ""


def _in_protocols(headers: Mapping[str, str]) -> str:
    """Return the key among the protocols that a browser offers, which has no other place for it."""
    offered = headers.get("sec-websocket-protocol", "")
    found = (one.strip().removeprefix(PROTOCOL) for one in offered.split(",") if one.strip().startswith(PROTOCOL))
    return next(found, "")


def key_hash(headers: Mapping[str, str], key_header: str) -> str:
    """Return the hash of the key that a request carries, computed once for the same head; empty without a key."""
    if type(headers) is Headers and headers.key_hash and headers.place == key_header:
        return headers.key_hash
    key = credential(headers, key_header)
    found = digest(key) if key else ""
    if type(headers) is Headers:
        headers.key_hash, headers.place = found, key_header
    return found


def credential(headers: Mapping[str, str], key_header: str = "") -> str:
    """Return the key that a request carries, without its scheme; empty when there is none."""
    value = headers.get(key_header) if key_header else None
    if value is None:
        for place in PLACES:
            value = headers.get(place)
            if value is not None:
                break
        else:
            return ""
    if value[:7].lower() == "bearer ":
        value = value[7:]
    return value.strip()


def _unknown(key: str) -> ClientError:
    if not key:
        return _refusal("auth_error", "no api key passed; send `Authorization: Bearer sk-...`")
    if not key.startswith("sk-"):
        return _refusal("auth_error", "this is not a key of this gateway; its keys begin with `sk-`")
    return _refusal("token_not_found_in_db", "this key is unknown; check it, or ask an administrator for one")


def _refusal(kind: str, message: str) -> ClientError:
    return ClientError(401, kind, message)
