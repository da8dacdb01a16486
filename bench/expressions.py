"""What policy expressions cost: `python -m bench.expressions`.

The 22 expressions are those of `shared/reference/cel.md` §3, on a small chat body and on a large one. Each figure is
the least of several repeats, in CPU time, of a loop of calls; the cost of the empty loop is taken away.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from engine.expr.library import FUNCTIONS
from engine.expr.names import Names
from engine.expr.program import Environment, compile_expression
from engine.expr.schema import DOUBLE, DYN, INT, STRING, TIMESTAMP, Schema, Type, list_of, map_of, record
from engine.expr.values import Timestamp

EXPRESSIONS: Final = (
    'request.model.startsWith("gpt-4") && "premium" in key.access_groups',
    'key.team == "research" && request.max_tokens <= 4096',
    'request.messages.exists(m, m.role == "user" && m.content.matches("(?i)ssn"))',
    'has(request.metadata.tags) && request.metadata.tags.exists(t, t in ["free","trial"])',
    "budget.spent + request.estimated_cost <= budget.limit",
    'now.getHours("Asia/Shanghai") >= 9 && now.getHours("Asia/Shanghai") < 18',
    "size(request.messages) > 50",
    'key.metadata.tier in ["gold","platinum"] ? "fast" : "cheap"',
    "request.stream == true && !has(request.tools)",
    "request.messages.all(m, size(m.content) < 8000)",
    'request.messages.filter(m, m.role == "system").size() <= 1',
    "has(request.temperature) && request.temperature > 1.5",
    'client.ip.startsWith("10.") || key.role == "admin"',
    "!(request.model in key.models)",
    'headers["x-tenant"] == "acme" && key.org == "acme"',
    'request.messages[0].role == "system" && request.messages[0].content.contains("internal")',
    'has(request.tools) && request.tools.exists(t, t.function.name in ["shell","exec_python"])',
    'timestamp(key.expires) - now < duration("24h")',
    "request.messages.map(m, size(m.content)).exists(n, n > 20000)",
    r'request.user.matches("^[a-z0-9._-]+@example\\.com$")',
    "usage.rpm < key.limits.rpm && usage.tpm + estimate.tokens < key.limits.tpm",
    (
        '(key.team in ["research","platform"] || "admin" in key.roles) && request.model.startsWith("gpt-")'
        " && request.max_tokens <= 8192"
        ' && !(has(request.metadata) && has(request.metadata.env) && request.metadata.env == "prod")'
    ),
)

KEY: Final = record(
    team=STRING,
    org=STRING,
    role=STRING,
    roles=list_of(STRING),
    access_groups=list_of(STRING),
    models=list_of(STRING),
    metadata=map_of(STRING, DYN),
    limits=record(rpm=INT, tpm=INT),
    expires=STRING,
)
VARIABLES: Final[Mapping[str, Type]] = {
    "request": DYN,
    "key": KEY,
    "budget": record(spent=DOUBLE, limit=DOUBLE),
    "usage": record(rpm=INT, tpm=INT),
    "estimate": record(tokens=INT),
    "headers": map_of(STRING, STRING),
    "client": record(ip=STRING),
    "now": TIMESTAMP,
}
TYPED: Final = Schema(VARIABLES, {})
UNTYPED: Final = Schema(dict.fromkeys(VARIABLES, DYN) | {"now": TIMESTAMP}, {})


def body(messages: int, length: int) -> dict[str, Any]:
    """Return a chat-completions body as it is parsed."""
    text = "The quick brown fox jumps over the lazy dog and asks for a summary of the report. " * 10
    roles = ("system", "user", "assistant", "user")
    listed = [{"role": roles[n % 4] if n else "system", "content": text[: length - n % 7]} for n in range(messages)]
    made = {
        "model": "gpt-4o-mini",
        "messages": listed,
        "max_tokens": 512,
        "temperature": 0.7,
        "stream": True,
        "user": "someone@example.com",
        "metadata": {"tags": ["paid", "eu"], "env": "dev"},
        "estimated_cost": 0.0123,
    }
    parsed: dict[str, Any] = json.loads(json.dumps(made))
    return parsed


def activation(messages: int, length: int) -> dict[str, object]:
    """Return what expressions are evaluated on."""
    return {
        "request": body(messages, length),
        "key": {
            "team": "research",
            "org": "acme",
            "role": "member",
            "roles": ["developer", "reader"],
            "access_groups": ["basic", "premium"],
            "models": ["gpt-4o", "gpt-4o-mini"],
            "metadata": {"tier": "gold"},
            "limits": {"rpm": 600, "tpm": 200_000},
            "expires": "2027-01-01T00:00:00Z",
        },
        "budget": {"spent": 12.5, "limit": 100.0},
        "usage": {"rpm": 17, "tpm": 45_000},
        "estimate": {"tokens": 800},
        "headers": {"x-tenant": "acme", "user-agent": "bench"},
        "client": {"ip": "10.1.2.3"},
        "now": Timestamp(1_795_000_000 * 10**9),
    }


def microseconds(call: Callable[[Any], object], argument: object, seconds: float = 0.02, repeats: int = 5) -> float:
    """Return the least CPU time of a call, in µs."""
    count, best = 1, 0.0
    while (spent := _spent(call, argument, count)) < seconds / 4:
        count *= 4
    count = max(1, int(count * seconds / spent))
    best = min(_spent(call, argument, count) / count for _ in range(repeats))
    return best * 1e6


def _spent(call: Callable[[Any], object], argument: object, count: int) -> float:
    begin = time.process_time()
    for _ in range(count):
        call(argument)
    return time.process_time() - begin


def main() -> None:
    """Measure and print."""
    small, large = activation(4, 150), activation(200, 440)
    sizes = [len(json.dumps(one["request"])) / 1024 for one in (small, large)]
    print(
        f"{'typed S':>8}{'untyped S':>10}{'typed L':>9}{'compile':>9}   µs; bodies of {sizes[0]:.1f} and {sizes[1]:.1f} KiB"
    )
    compiler = Environment(Names(TYPED, FUNCTIONS, ""))
    rows: list[tuple[float, ...]] = []
    for source in EXPRESSIONS:
        typed, untyped = (compile_expression(source, schema).evaluate for schema in (TYPED, UNTYPED))
        row = microseconds(typed, small), microseconds(untyped, small), microseconds(typed, large)
        rows.append((*row, microseconds(compiler.compile, source, 0.01, 3)))
        print(_line(rows[-1], source))
    print(_line([statistics.median(column) for column in zip(*rows, strict=True)], "median"))
    mixed = [compile_expression(EXPRESSIONS[n % 22], TYPED).evaluate for n in range(100)]

    def rules(values: Mapping[str, object]) -> None:
        for evaluate in mixed:
            evaluate(values)

    print(f"{microseconds(rules, small):8.1f}   100 rules on one small activation")


def _line(row: Sequence[float], text: str) -> str:
    typed, untyped, large, compiling = row
    return f"{typed:8.2f}{untyped:10.2f}{large:9.2f}{compiling:9.0f}   {text}"


if __name__ == "__main__":
    main()
