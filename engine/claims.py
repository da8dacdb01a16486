"""What calls claim of counters, what they hold, and why they are refused. Every amount is an integer."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, Protocol

from engine.windows import NEVER, Algorithm, Window

NANO = 1_000_000_000
"""Nano-dollars in a dollar."""
UNLIMITED = 2**62
"""The limit of a counter that only warns."""
LARGEST = 9 * 10**15
"""The greatest limit that counters count up to exactly which processes share: a double of Redis' scripts holds no more."""
Failure = Literal["Fail", "Ignore", "Local"]
"""What becomes of a call while its counters are away: refused, let pass and counted later, or paid from a share held ahead."""


class CountersError(Exception):
    """Counters are away, so that nobody knows whether a call fits; the text says why."""


class Unit(enum.StrEnum):
    """What a counter counts; money is in nano-dollars."""

    USD = "usd"
    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    PARALLEL = "parallel"


PLACES = {unit: place for place, unit in enumerate(Unit)}
"""Where each unit stands in a list of amounts."""


class Scope(enum.StrEnum):
    """Whose a counter is, by the words of LiteLLM's headers and refusals."""

    KEY = "api_key"
    USER = "user"
    TEAM = "team"
    MEMBER = "team_member"
    ORGANIZATION = "organization"
    END_USER = "end_user"
    TAG = "tag"
    KEY_MODEL = "model_per_key"
    TEAM_MODEL = "model_per_team"
    ORGANIZATION_MODEL = "model_per_organization"
    MODEL = "model"
    GLOBAL = "global"
    PROVIDER = "provider"
    DEPLOYMENT = "deployment"
    POLICY = "policy"


class Subject(NamedTuple):
    """Whose a counter is: the key's hash, the team's id, the policy's name; `detail` says what else tells it apart."""

    scope: Scope
    id: str
    detail: str = ""


class Counter:
    """One limit as it is in force, made at load: `limit` and `soft`, after which to warn, are in the unit.

    `id` outlives a change of the limit, the name and the algorithm; a policy's `values` tell its counters apart (the
    key, the model). `subject` is what a refusal and headers speak of; `fallback` is the model that answers when the limit
    is used up, `message` what is said then beside the facts, `finding` what is done beyond `soft` where nothing is refused,
    `failure` what becomes of calls while the counter is away.
    Raises ValueError for a limit below 0.
    """

    __slots__ = (
        "algorithm", "failure", "fallback", "finding", "id", "limit", "message", "name", "place", "soft", "subject", "unit", "values",
        "window",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of the id, then what may change under it
        self, policy: str, unit: Unit, window: Window, limit: int, values: Sequence[str] = (), name: str = "",
        subject: Subject | None = None, soft: int | None = None,
    ) -> None:  # fmt: skip
        if limit < 0:
            raise ValueError(f"`{policy}`: a limit is not below 0, as {limit} is")
        self.id = counter_id(policy, unit, window.kind, values)
        self.name = name or policy
        self.values = tuple(values)
        self.subject = subject or Subject(Scope.POLICY, self.name)
        self.unit = unit
        self.place = PLACES[unit]
        self.limit = limit
        self.soft = soft
        self.fallback = self.message = self.finding = ""
        self.failure: Failure = "Fail"
        self.window = window
        self.algorithm = window.algorithm

    def __repr__(self) -> str:
        return f"<Counter {self.name} {self.limit} {self.unit} {self.window.kind}>"


def counter_id(policy: str, unit: str, kind: str, values: Sequence[str]) -> bytes:
    """Return BLAKE2b-128 of the parts, each behind its length in UTF-8 as 4 bytes, the greatest first."""
    parts = [part.encode() for part in (policy, unit, kind, *values)]
    return blake2b(b"".join(len(part).to_bytes(4, "big") + part for part in parts), digest_size=16).digest()


def too_large(counter: Counter) -> str:
    """Say why counters that processes share cannot count up to a limit; empty when they can."""
    if counter.limit <= LARGEST or counter.limit == UNLIMITED:
        return ""
    return f"`{counter.name}`: a limit is {LARGEST} {counter.unit} at most where processes share counters, {counter.limit} is more"


class Claim(NamedTuple):
    """What one call wants of one counter, in its unit, at least 0; admitted while it fits under the limit."""

    counter: Counter
    amount: int


class HoldId(NamedTuple):
    """Who holds: every operation is idempotent by this pair."""

    call: str
    attempt: int


class Hold:
    """A granted set of claims, open until it is settled or released.

    The caller's claims come first, then those of the candidate at index `candidate`, then what was held later.
    `estimated` once its lease ran out: it counts as used in full until its settle arrives.
    """

    __slots__ = ("_claims", "candidate", "estimated", "id", "slices")

    def __init__(self, hold_id: HoldId, claims: Sequence[Claim], candidate: int = 0) -> None:
        self.id = hold_id
        self._claims: list[Claim] | None = [*claims]
        self.candidate = candidate
        self.estimated = False
        self.slices = 0

    def __repr__(self) -> str:
        return f"<Hold {self.id.call}/{self.id.attempt} claims={len(self.claims)}>"

    @property
    def claims(self) -> list[Claim]:
        """What is held, of which counters."""
        return self._claims or []

    @claims.setter
    def claims(self, claims: list[Claim]) -> None:
        self._claims = claims

    def left(self) -> Sequence[int]:
        """Return what is left under the limit of each claim's counter, less than 0 where a settle went beyond it."""
        return [counter.limit - amount for counter, amount in self.claims]

    def until(self) -> Sequence[int]:
        """Return the Unix nanoseconds from which on each claim no longer counts; NEVER where it always does."""
        return [NEVER] * len(self.claims)


class Count(NamedTuple):
    """A counter's state; `reset_at` is Unix nanoseconds, None where time alone frees nothing.

    A token bucket has its level as `used`, with what is held in it.
    """

    used: int
    held: int
    reset_at: int | None


class Refused(NamedTuple):
    """Why no hold was granted: the claim that did not fit and the counter's state, as in `Count`."""

    claim: Claim
    used: int
    held: int
    reset_at: int | None


class Overrun(NamedTuple):
    """By how much a settle exceeded its hold."""

    counter: Counter
    amount: int


def spread(claims: Sequence[Claim], amounts: Mapping[bytes, int]) -> tuple[list[int], list[Overrun]]:
    """Divide each counter's amount among its claims: the first are filled first, the last takes what is over.

    What is not named was used as claimed. Calls that run overrun nothing.
    """
    rest = {counter.id: max(0, amounts[counter.id]) for counter, _ in claims if counter.id in amounts}
    last = {counter.id: place for place, (counter, _) in enumerate(claims)}
    actuals, overruns = [], []
    for place, (counter, amount) in enumerate(claims):
        if counter.id not in rest:
            actuals.append(amount)
            continue
        actual = rest[counter.id] if last[counter.id] == place else min(amount, rest[counter.id])
        rest[counter.id] -= actual
        actuals.append(actual)
        if actual > amount and counter.algorithm is not Algorithm.LEASE:
            overruns.append(Overrun(counter, actual - amount))
    return actuals, overruns


class Counters(Protocol):
    """Where counters live: one atomic step over any number of them. Every operation may be repeated."""

    @property
    def reason(self) -> str:
        """Why counters cannot be asked at the moment; empty while they can."""

    def restore(self, amounts: Iterable[tuple[bytes, int, int]]) -> None:
        """Take up what counters had before: (counter id, Unix nanoseconds at which it stops counting, amount) each."""

    async def reserve(
        self, hold: HoldId, caller: Sequence[Claim], candidates: Sequence[Sequence[Claim]]
    ) -> Hold | Refused:
        """Grant the caller's claims and those of the first candidate that fits, or nothing.

        A counter is claimed once at most by the caller and a candidate together. If no candidate fits, the refusal is
        that with the earliest reset. Without candidates the caller's claims are all there is. Raises CountersError when the
        counters are away, but for claims whose counters say otherwise.
        """

    def lot(self, counters: Sequence[Counter]) -> Any:
        """Prepare counters that are claimed together over and over; None where nothing is gained by it."""

    def grant(self, hold: HoldId, lot: Any, amounts: Sequence[int], room: Sequence[int]) -> Hold | None:
        """Grant amounts of a lot at once where there is `room` for as much, plain and never waiting.

        None where there is not, or where that is for `reserve` to decide.
        """

    def roomy(self, counters: Sequence[Counter], room: Sequence[int]) -> bool:
        """Tell whether there was room for as much of each when this process last heard of it; plain and never waiting."""

    def spend(self, hold: Hold, amounts: Sequence[int]) -> Sequence[Overrun]:
        """Settle, as `settle` does, by the amounts used in the order of the hold's claims, none of them below 0."""

    async def extend(self, hold: Hold, number: int, claims: Sequence[Claim]) -> Refused | None:
        """Hold more against the limits that the claims bring: slice `number`, counted from 1; None if granted.

        A slice that was granted already stays granted. Raises LookupError for a hold that is not open, CountersError as
        `reserve` does.
        """

    def settle(self, hold: Hold, amounts: Mapping[bytes, int]) -> Sequence[Overrun]:
        """Turn a hold into use by the amounts really used, by counter id; plain and never waiting.

        What is not named was used as held. It counts in the windows that the hold was taken in. Only the first settle
        of a hold counts; that of an estimated one replaces the estimate.
        """

    def release(self, hold: Hold) -> None:
        """Give a hold back unused; plain and never waiting."""

    async def renew(self, holds: Sequence[Hold]) -> Sequence[Hold]:
        """Lease holds anew; returns those that are no longer open."""

    async def sweep(self) -> Sequence[Hold]:
        """Settle holds whose lease ran out, as estimated; returns those of them that no sweep returned yet."""

    async def count(self, counter: Counter) -> Count:
        """Return a counter's state now; raises CountersError when nobody knows."""

    def view(self, counter: Counter) -> Count:
        """Return what this process knows of a counter's state, plain and never waiting: at most a second old."""

    def knows(self, counter: Counter) -> bool:
        """Tell whether this process keeps anything of a counter; plain and never waiting."""

    async def reset(self, counter: Counter) -> None:
        """Start a counter anew; holds settle where they were taken. Leases stay, they are calls that run.

        Raises CountersError when the counters are away.
        """

    async def replay(self, settled: Iterable[tuple[HoldId, Sequence[tuple[bytes, int]]]]) -> None:
        """Settle again what a process settled before it ended: each hold by all that it used; twice changes nothing."""

    async def ping(self) -> str:
        """Say why counters cannot be reached; empty when they can."""

    async def run(self) -> None:
        """Keep in touch with where the counters are, until cancelled."""

    async def close(self) -> None:
        """Let go of what `run` does not."""


class Past(Protocol):
    """What a store and a journal have counted, for counters whose server forgot. Positions are a journal's, increasing."""

    store: str
    """Which store it is: processes on one store share it."""
    journal: str
    """The name of this process's journal, the same after a restart: what the process is called among the others."""

    def pause(self) -> None:
        """Fold nothing more into the store until `resume`."""

    def resume(self) -> None:
        """Fold again."""

    def counted(self) -> tuple[Mapping[str, tuple[int, int]], list[tuple[bytes, int, int]]]:
        """Return one snapshot of the store: to where each journal is folded, and (counter, until in ns, amount); blocking."""

    def mark(self) -> tuple[int, int]:
        """Return the position that everything settled so far is before; plain and never waiting."""

    def since(self, begin: tuple[int, int], end: tuple[int, int]) -> list[tuple[bytes, int, int]]:
        """Return what this journal settled between two positions, as `counted` does; blocking."""
