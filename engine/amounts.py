"""How much of each unit a call may use at most, and how small its answer may be made where that is too much.

Input is what the provider will count, where it counts as we can (echo: words), else an estimate with the margin that was
learned for the model. Output is the client's own limit within the model's maximum, for every choice; where nobody knows
a maximum, 4,096 tokens. Token rates are admitted on what answers usually take: the 95th percentile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine import tokens
from engine.call import Call, Usage
from engine.claims import NANO, Refused, Unit
from engine.learning import Learned

if TYPE_CHECKING:
    from engine.pricing import Price
    from engine.snapshot import Deployment

Amounts = list[int | None]
"""By the places of units (`engine.claims.PLACES`); None where nothing is counted."""
WRITES = frozenset({"chat", "completions", "responses", "messages"})
"""Operations whose answers are written token by token, and can be told how long to be."""
UNKNOWN = 4_096
"""Tokens held for an answer of which nobody knows the most."""
LEAST = 16
"""Tokens of a choice below which no answer is made shorter."""
SLICE = 256
"""Tokens that a stream holds at first."""
ROUGH = 32 * 1024
"""Bytes of a request up to which its size will do where there is plenty."""
LENGTHS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_NULL = msgspec.Raw(b"null")
_decode = msgspec.json.Decoder().decode


class Wanted:
    """What one attempt of a call wants: `output` tokens of `choices` answers together, of which money is held for `held`.

    `asked` is the client's own limit for a choice; `known` whether anybody knows the most that an answer may have. `estimate`
    is the input as estimated, `input` the most to expect of it; `guessed` whether the provider may count otherwise. `unsure`
    whether only the answer tells what the call costs: budgets count it, though nothing is known to be held. `worth` is what
    is held of money.
    """

    __slots__ = (
        "asked",
        "choices",
        "estimate",
        "guessed",
        "held",
        "input",
        "known",
        "output",
        "price",
        "stream",
        "unsure",
        "usual",
        "worth",
    )

    def __init__(self, input_bound: int, estimate: int, price: Price | None) -> None:
        self.input = input_bound
        self.estimate = estimate
        self.price = price
        self.output = self.held = self.worth = 0
        self.usual = 0
        """What answers usually take at most."""
        self.choices = 1
        self.asked: int | None = None
        self.known = True
        self.stream = self.guessed = self.unsure = False

    @property
    def floor(self) -> int:
        """The least output that is worth asking for."""
        least = LEAST if self.asked is None else min(LEAST, self.asked)
        return least * self.choices

    @property
    def limit(self) -> int:
        """The most tokens of one choice that are held."""
        return self.held // self.choices

    def cost(self, output: int) -> int:
        """Return what that much output costs with the input, in nano-dollars."""
        return self.price.cost(Usage(self.input, output)) if self.price is not None else 0

    def amounts(self, *, request: bool) -> Amounts:
        """Return what to hold of each unit; a `request` counts once for a call."""
        output = min(self.held, self.usual)
        self.worth = self.cost(self.held)
        return [
            self.worth or (0 if self.unsure else None),
            1 if request else None,
            self.input + output,
            self.input,
            output,
            1,
        ]

    def asks(self, call: Call) -> int:
        """Return the input as estimated, which is done only when it is asked for where the most was enough to know."""
        if self.estimate < 0:
            self.estimate = estimated(call, call.deployment) if call.deployment is not None else 0
        return self.estimate

    def shorten(self, refused: Refused) -> bool:
        """Make the answer as short as what remains of a budget asks for; False when that is too short."""
        counter, _ = refused.claim
        if counter.unit is not Unit.USD or self.held <= self.floor:
            return False
        remaining = counter.limit - refused.used - refused.held
        fits = self._affordable(remaining)
        # What answers usually take may be less than is worth asking for.
        held = min(max(self.usual, self.floor), fits, self.held - 1) // self.choices * self.choices
        if held < self.floor or not held:
            return False
        self.held = held
        return True

    def _affordable(self, nano: int) -> int:
        """Return the most output that costs no more, -1 where the input alone does."""
        least, most = -1, self.held
        while least < most:
            middle = (least + most + 1) // 2
            least, most = (middle, most) if self.cost(middle) <= nano else (least, middle - 1)
        return least


def estimated(call: Call, deployment: Deployment) -> int:
    """Estimate the input tokens of a call."""
    return tokens.count(call.members, deployment.family)


def unmeasured(*, request: bool) -> Amounts:
    """Return what to hold of a call of which only counts matter."""
    return [None, 1 if request else None, 0, 0, 0, 1]


def wanted(call: Call, deployment: Deployment, learned: Learned) -> Wanted:
    """Say what an attempt at a deployment wants."""
    operation, price = call.route.operation, deployment.price
    if call.route.measure is not None:
        return _measured(call, price)
    exact = deployment.endpoint.input_tokens(call)
    estimate = estimated(call, deployment) if exact is None else exact
    found = Wanted(estimate if exact is not None else learned.bound(deployment.model, estimate), estimate, price)
    found.guessed = exact is None
    if operation in WRITES:
        _answer(found, call, deployment, learned)
    return found


def roughly(call: Call, deployment: Deployment) -> Wanted | None:
    """Say roughly what an attempt wants, at a fraction of the cost: four bytes of the request are a token.

    None where that says too little. It is for limits of which there is plenty; near them, `wanted` counts.
    """
    if call.route.measure is not None or call.body_size > ROUGH:
        return None
    exact = deployment.endpoint.input_tokens(call)
    found = (
        Wanted(call.body_size // 4, -1, deployment.price) if exact is None else Wanted(exact, exact, deployment.price)
    )
    found.guessed = exact is None
    if call.route.operation in WRITES:
        _lengthen(found, call, deployment)
        found.usual = found.held
    found.known = True
    return found


def _measured(call: Call, price: Price | None) -> Wanted:
    """Say what a request for media wants: what it is charged for stands in it."""
    assert call.route.measure is not None  # noqa: S101 - asked by the caller
    usage = call.route.measure(call, None)
    cost = price.cost(usage) if price is not None and usage is not None else 0
    found = Fixed(cost, usage.input if usage is not None else 0)
    found.unsure = price is not None and any(price.prices.values())
    return found


class Fixed(Wanted):
    """What is wanted where the request says what it costs."""

    __slots__ = ("_cost",)

    def __init__(self, cost: int, input_bound: int = 0) -> None:
        super().__init__(input_bound, input_bound, None)
        self._cost = cost

    def cost(self, output: int) -> int:
        """Return the cost, whatever is answered."""
        del output
        return self._cost


def passed(call: Call, price: Price | None, held: bytes | None, learned: Learned) -> Wanted:
    """Say what a request wants that goes on as it came, of a body that may not be here yet: three bytes a token at least."""
    size = len(held) if held is not None else call.body_size
    found = Wanted(size // 3, size // 3, price)
    limit = _length(held) if held and len(held) <= READ else None
    most = price.max_output_tokens if price is not None else None
    if price is None or not call.model:
        # An answer may name the model that the request did not.
        found.unsure = not call.model
        return found
    found.output = found.held = limit if limit is not None else most or UNKNOWN
    found.usual = min(found.held, learned.output(call.model))
    return found


READ = 256 * 1024
"""Bytes of a body of which it is read how long its answer may be."""


class _Lengths(msgspec.Struct):
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    generationConfig: dict[str, object] | None = None  # noqa: N815 - Gemini's own word


_lengths = msgspec.json.Decoder(_Lengths).decode


def _length(body: bytes) -> int | None:
    """Return the output limit that a body sets, in any dialect's words."""
    try:
        said = _lengths(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    gemini = (said.generationConfig or {}).get("maxOutputTokens")
    found = [
        one for one in (said.max_tokens, said.max_completion_tokens, said.max_output_tokens, gemini) if type(one) is int
    ]
    return max(0, *found) if found else None


def _answer(found: Wanted, call: Call, deployment: Deployment, learned: Learned) -> None:
    _lengthen(found, call, deployment)
    if not found.stream:
        found.usual = learned.output(deployment.model, call.caller.key_hash if call.caller is not None else "")


def _lengthen(found: Wanted, call: Call, deployment: Deployment) -> None:
    """Set what the answer may have at most, and for streams what is held at first."""
    members = call.members
    found.stream = call.stream
    if "n" in members or "best_of" in members:
        found.choices = min(max(1, number(members.get("n")) or 1, number(members.get("best_of")) or 1), 128)
    limits = [limit for name in LENGTHS if (limit := number(members.get(name))) is not None]
    if not limits and deployment.output_default is not None:
        limits = [deployment.output_default]
    most = deployment.price.max_output_tokens if deployment.price is not None else None
    if deployment.output_forced is not None:
        limits = [deployment.output_forced]
    if limits:
        # Of several the provider may go by any.
        found.asked = max(0, *limits)
    found.known = bool(limits) or most is not None
    one = min(found.asked if found.asked is not None else most or UNKNOWN, most or NANO)
    found.output = found.held = one * found.choices
    if call.stream:
        found.usual = found.held = min(found.output, max(SLICE, LEAST * found.choices))


def number(raw: msgspec.Raw | None) -> int | None:
    """Read a whole number; None of anything else."""
    if raw is None or raw == _NULL:
        return None
    value = _decode(raw)
    return value if type(value) is int else None
