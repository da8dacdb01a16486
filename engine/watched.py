"""The guardrails that are at work for one call, and what they have found: kept by type, never by text."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from engine.contracts import Channel, TextGuard, TextSlot
from engine.decision import Outcome
from engine.detecting import Blocked, sides
from engine.errors import PolicyError
from engine.slots import OUTPUT
from engine.vault import Vault

if TYPE_CHECKING:
    from engine.call import Call
    from engine.slots import Slot
    from engine.watching import Guard


class Watched:
    """The guardrails that are at work for one call, and what they have masked of its request."""

    __slots__ = ("answering", "beside", "call", "changed", "decision", "guards", "remote", "said", "vault")

    def __init__(self, call: Call | None, guards: Sequence[Guard], said: Mapping[str, Any]) -> None:
        """`said` is what the request says to guardrails, by name; there is no call where one is tried on a text."""
        self.call, self.guards, self.said = call, tuple(guards), said
        self.decision = call.decision if call is not None else None
        self.vault = Vault() if any(guard.watch.restore for guard in guards) else None
        self.changed = False
        """Whether texts were changed, of those that were looked at last."""
        self.remote = any(guard.remotes for guard in guards)
        self.beside: asyncio.Task[None] | None = None
        """Services that are asked while the call is on its way."""
        self.answering = tuple([guard for guard in self.guards if guard.answered])
        """Those that look at answers."""

    @property
    def applied(self) -> tuple[str, ...]:
        """The names of the guardrails."""
        return tuple(guard.name for guard in self.guards)

    def put(self, slot: Slot, text: str) -> None:
        """Write a text in the place of another."""
        self.changed = True
        slot.put(text)

    async def passed(self) -> None:
        """Wait for the services that are asked beside the call, where any has a say in whether it is answered; raises PolicyError."""
        if self.beside is not None and not all(one.watch.observes for one in self.guards if one.watch.parallel):
            await self.beside

    async def close(self, *, ended: bool) -> None:
        """Let those who only put on record finish where a call has ended well; else nobody is asked any more."""
        task, self.beside = self.beside, None
        if task is None:
            return
        if not ended:
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def told(self, one: Guard, types: Mapping[str, None]) -> None:
        """Put on record what a guardrail has found."""
        decision = self.decision
        if decision is not None:
            decision.outcomes.append(Outcome(one.name, "match", ", ".join(types)))
            if one.name not in decision.determining:
                decision.determining = [*decision.determining, one.name]

    def streaming(self) -> tuple[TextGuard, ...]:
        """Return what watches a stream, in order; what was masked of the request is put back at last."""
        guards = [Phased(one) for one in self.answering]
        return (*guards, self.vault.guard()) if self.vault is not None and self.masked else tuple(guards)

    @property
    def masked(self) -> bool:
        """Whether anything was masked that is to be put back."""
        return self.vault is not None and bool(self.vault.originals)

    @property
    def asks(self) -> bool:
        """Whether a service is to see what is answered."""
        asked = (sides(remote) for one in self.answering if not one.watch.observes for _, remote in one.remotes)
        return any(wanted is None or OUTPUT in wanted for wanted in asked)


class Phased:
    """One guardrail over one stream: it looks at the texts of its phases, and lets the others pass."""

    __slots__ = ("_channels", "_inner", "blocked", "guard")

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self._inner = guard.redaction.guard()
        self._channels = guard.channels
        self.blocked: Blocked | None = None

    def feed(self, slot: TextSlot) -> str:
        """Take the next piece of a text; raises Blocked."""
        if slot.channel not in self._channels:
            return slot.text
        try:
            return self._inner.feed(slot)
        except Blocked as found:
            self.blocked = found
            raise

    def flush(self, channel: Channel, choice: int, index: int) -> str:
        """Return what is still held; raises Blocked."""
        if channel not in self._channels:
            return ""
        try:
            return self._inner.flush(channel, choice, index)
        except Blocked as found:
            self.blocked = found
            raise

    @property
    def found(self) -> tuple[str, ...]:
        """The types of what was found."""
        return tuple(dict.fromkeys(kind for _, kind, _ in self._inner.noted))


def block(one: Guard, what: str) -> NoReturn:
    """Refuse for what was found."""
    raise blocking(one, what)


def blocking(one: Guard, what: str) -> PolicyError:
    """Return the error of what was found."""
    said = f": {one.watch.message}" if one.watch.message else ""
    message = f"guardrail `{one.name}` found `{what}`, which must not pass{said}"
    return PolicyError(one.watch.status, "content_policy_violation", message)


def refuse(one: Guard, why: str, status: int = 400) -> NoReturn:
    """Refuse what a guardrail cannot look at."""
    raise PolicyError(status, "content_policy_violation", f"guardrail `{one.name}`: {why}")
