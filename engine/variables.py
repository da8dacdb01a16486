"""The variables of CEL: what each holds, in which phase it is there, and how it is made from a call.

`budget` holds the Budget policies by name, each as this call would be counted in it. `request`, `source`, `apiKey`, `endUser` have all their fields always, empty where nothing is known. What a client may
leave out (`llm.params`, `llmRequest`, `jwt`, metadata) is absent then, never null. Names are agentgateway's.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.expr.schema import (
    BOOL,
    DOUBLE,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Schema,
    Type,
    list_of,
    map_of,
    record,
)

OPEN = map_of(STRING, DYN)
"""A JSON object of which nothing is known."""
_STRINGS = list_of(STRING)

ALWAYS: Mapping[str, Type] = {
    "request": record(
        method=STRING, path=STRING, host=STRING, route=STRING, headers=map_of(STRING, STRING),
        query=map_of(STRING, STRING), tags=_STRINGS, time=TIMESTAMP,
    ),
    "source": record(address=STRING, port=INT),
    "apiKey": record(
        id=STRING, alias=STRING, user=STRING, team=STRING, org=STRING, project=STRING, role=STRING, models=_STRINGS,
        tags=_STRINGS, metadata=OPEN,
    ),
    "endUser": record(id=STRING, blocked=BOOL, metadata=OPEN),
    "jwt": OPEN,
    "llm": record(
        requestModel=STRING, model=STRING, streaming=BOOL, prompt=list_of(record(role=STRING, content=STRING)),
        params=OPEN, tools=list_of(record(name=STRING)),
        estimate=record(inputTokens=INT, outputTokens=INT, cost=DOUBLE),
    ),
    "llmRequest": OPEN,
    "env": record(podName=STRING, namespace=STRING, gateway=STRING),
    "now": TIMESTAMP,
    "budget": map_of(
        STRING,
        record(limit=DOUBLE, used=DOUBLE, held=DOUBLE, remaining=DOUBLE, remainingRatio=DOUBLE, resetAt=TIMESTAMP),
    ),
}  # fmt: skip

_BACKEND = record(id=STRING, group=STRING, provider=STRING, tags=_STRINGS, region=STRING)
_LATER = {
    "backend": "`backend` is known only once a deployment is chosen",
    "response": "`response` is known only after the call",
    "mcp": "`mcp` is there for MCP calls only",
    "metadata": "`metadata` is what Transforms set; they run when rules and routes have had their say",
}

REQUEST = Schema(ALWAYS, _LATER)
"""What rules and routes may read."""
CHANGE = Schema({**ALWAYS, "metadata": OPEN}, _LATER)
"""What transforms may read."""
ROUTED = Schema({**ALWAYS, "metadata": OPEN, "backend": _BACKEND}, _LATER)
"""What may be read once a deployment is chosen, as records are."""

_RESPONSE = record(code=INT, headers=map_of(STRING, STRING), body=DYN)
ANSWERED = Schema(
    {**ALWAYS, "metadata": OPEN, "response": _RESPONSE},
    {name: why for name, why in _LATER.items() if name != "response"},
)
"""What may be read once an upstream has answered; `response.body` is null unless it is JSON."""

EVERY = Schema({**ROUTED.variables, "response": _RESPONSE}, {"mcp": _LATER["mcp"]})
"""What any expression may read, whatever its phase."""


def with_variables(schema: Schema, declared: Mapping[str, Type]) -> Schema:
    """Add a policy's own variables, as fields of `variables`."""
    if not declared:
        return schema
    return Schema({**schema.variables, "variables": record(**declared)}, schema.elsewhere)
