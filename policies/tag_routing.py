"""`TagRouting`: which deployments, or which other model, answer a call.

    kind: TagRouting
    name: canary
    routes:
      - when: '"beta" in request.tags'
        to: {tags: [canary]}                 # deployments with any of these tags (`matchAny: false`: with all)
        weight: 20                           # percent of the matching calls; the rest goes on to the next route
      - when: 'llm.estimate.inputTokens > 20000'
        to: {model: long-context}
    byTags: true                             # then by the call's own tags, as LiteLLM's `enable_tag_filtering`

Tags that a client sends count only where its key lists them in `allowed_tags`, or with `trustClient: true`. Weights are
drawn by a hash of the call's id: the same call is always sent the same way.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from engine.activation import Activation
from engine.policy import NO_VARIABLES, Direction, Expression, Head, Policy, Reader, Ref

HUNDRED = 100


class TagRoute(NamedTuple):
    """One way to go, and for which share of the calls that match."""

    name: str
    when: Expression
    direction: Direction
    weight: int


@dataclass(frozen=True, slots=True)
class TagRouting(Policy):
    """Says where calls are sent."""

    routes: tuple[TagRoute, ...] = ()
    by_tags: bool = False
    match_any: bool = True
    trust_client: bool = False

    @classmethod
    def read(cls, head: Head, fields: Reader) -> Self:
        """Read `routes`, `byTags`, `matchAny` and `trustClient`."""
        match_any = fields.flag("matchAny", default=True)
        found = [_route(at, entry, match_any=match_any) for at, entry in enumerate(fields.each("routes"))]
        by_tags = fields.flag("byTags")
        if not by_tags and not fields.has("routes"):
            fields.fault("says nothing; give it `routes` or `byTags: true`")
        return cls(head, tuple(r for r in found if r is not None), by_tags, match_any, fields.flag("trustClient"))

    @classmethod
    def reads(cls) -> frozenset[Ref]:
        """Name what is read beside expressions: tags."""
        return frozenset({("request", "tags"), ("apiKey", "tags")})

    def targets(self) -> Sequence[str]:
        """Name the models that calls may be sent to."""
        return [route.direction.model for route in self.routes if route.direction.model]

    def tags(self) -> Sequence[str]:
        """Name the tags by which calls may be sent."""
        return list(dict.fromkeys(tag for route in self.routes for tag in route.direction.tags))

    def view(self, activation: Activation) -> Mapping[str, Any]:
        """Hide the tags of a client that its key may not use."""
        request = activation["request"]
        if self.trust_client or not request["tags"]:
            return NO_VARIABLES
        caller = activation.call.caller
        allowed = caller.allowed_tags if caller is not None else ()
        return {"request": {**request, "tags": [tag for tag in request["tags"] if tag in allowed]}}

    def idle(self, activation: Activation) -> bool:
        """Tell whether no route holds, whatever is drawn."""
        if self.by_tags or self.head.conditions or self.head.variables:
            return False
        return not any(route.when.value(activation) for route in self.routes)

    def direct(self, activation: Activation) -> Direction | None:
        """Return the first route that holds and is drawn; then, if asked, the call's own tags."""
        call_id = activation.call.id
        for route in self.routes:
            if route.when.value(activation) and _drawn(route, call_id, self.head.name):
                return route.direction
        if not self.by_tags:
            return None
        tags = tuple(dict.fromkeys((*activation["apiKey"]["tags"], *activation["request"]["tags"])))
        return Direction("byTags", tags, self.match_any, else_default=True, else_all=not tags)


def _route(at: int, entry: Reader, *, match_any: bool) -> TagRoute | None:
    name = entry.text("name") or f"routes[{at}]"
    when = entry.cel("when")
    if not entry.has("when"):
        entry.fault("a route needs `when`; write `when: 'true'` for every call")
    target = entry.mapping("to")
    tags, model = target.texts("tags"), target.text("model")
    if bool(tags) == bool(model):
        entry.fault("a route leads to `tags` or to a `model`: give it one of them", "to")
    if "*" in model:
        target.fault("must be the name of one model, without `*`", "model")
    weight = entry.number("weight", HUNDRED, least=1, most=HUNDRED)
    if weight % 1:
        entry.fault("must be a whole number of percent", "weight")
    return TagRoute(name, when, Direction(name, tags, match_any, model), int(weight)) if when is not None else None


def _drawn(route: TagRoute, call_id: str, policy: str) -> bool:
    return route.weight == HUNDRED or zlib.crc32(f"{call_id}/{policy}/{route.name}".encode()) % HUNDRED < route.weight
