"""The one place where calls hold and spend: every egress reserves before it sends and settles when it ends.

Every operation is idempotent by (call id, attempt). This ledger knows no limits: it grants each hold at once, and
keeps what each key has spent since the start.
"""

from __future__ import annotations

from engine.call import Call, Usage
from engine.contracts import Hold, HoldId
from engine.errors import GatewayError

KEYS = 1_000_000
"""Keys whose spend is kept in memory."""


class Ledger:
    """Grants holds and counts what was spent, in nano-dollars by key hash."""

    def __init__(self) -> None:
        self._open: dict[HoldId, Hold] = {}
        self._spent: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Ledger {len(self._open)} open holds>"

    @property
    def open_holds(self) -> int:
        """How many holds are neither settled nor released."""
        return len(self._open)

    def peek(self, call: Call) -> GatewayError | None:
        """Tell whether the caller is out of budget already, before any work is done for it."""
        del call
        return None

    async def reserve(self, call: Call) -> Hold:
        """Hold what one attempt of a call may use."""
        hold_id = HoldId(call.id, call.attempt)
        hold = self._open.get(hold_id)
        if hold is None:
            hold = self._open[hold_id] = Hold(hold_id, ())
        return hold

    def settle(self, call: Call, hold: Hold, usage: Usage | None) -> None:
        """Turn a hold into spend; a hold that is not open changes nothing."""
        if self._open.pop(hold.id, None) is None or usage is None or not usage.cost or call.caller is None:
            return
        key = call.caller.key_hash
        if key in self._spent or len(self._spent) < KEYS:
            self._spent[key] = self._spent.get(key, 0) + usage.cost

    def release(self, hold: Hold) -> None:
        """Give a hold back unused."""
        self._open.pop(hold.id, None)

    def spent(self, key_hash: str) -> int:
        """Return what a key has spent, in nano-dollars."""
        return self._spent.get(key_hash, 0)
