"""Sets of policies that the rows with policies run under; what each comes to is in bench/README.md."""

from pathlib import Path

_MIX = (
    'llm.requestModel.startsWith("gpt-4") && "premium" in apiKey.tags',
    'apiKey.team == "research" && llm.params.?max_tokens.orValue(0) <= 4096',
    'llm.prompt.exists(m, m.role == "user" && m.content.contains("BEGIN PRIVATE KEY"))',
    'has(apiKey.metadata.tier) && apiKey.metadata.tier in ["free", "trial"]',
    "llm.estimate.cost > 100.0",
    'now.getHours("Asia/Taipei") > 23',
    "size(llm.prompt) > 500",
    "llm.streaming && size(llm.tools) > 64",
    "llm.prompt.exists(m, size(m.content) > 80000)",
    'llm.prompt.filter(m, m.role == "system").size() > 3',
    "llm.params.?temperature.orValue(1.0) > 1.5",
    'source.address.startsWith("10.") && apiKey.role == "guest"',
    'llm.model in ["o1", "o1-mini", "o3"]',
    'request.headers.?x_tenant.orValue("") == "acme" && apiKey.org != "acme"',
    'llm.prompt[0].role == "user" && llm.prompt[0].content.contains("internal")',
    'llm.tools.exists(t, t.name in ["shell", "exec_python"])',
    'request.time - now > duration("24h")',
    'endUser.id.matches("^[a-z0-9._-]+@example\\\\.com$")',
    'request.route == "embeddings" && llm.estimate.inputTokens > 8000',
    '(apiKey.team in ["a", "b"] || "admin" in apiKey.tags) && llm.model.startsWith("gpt-") && request.method != "POST"',
)
"""Conditions as operators write them; none holds for a request of the benchmark."""

_SITE = """
kind: TagRouting
name: canary
routes: [{when: '"beta" in request.tags', to: {tags: [canary]}, weight: 20}]
---
kind: Transform
name: bounds
clamp: {max_tokens: {max: 8192}, temperature: {min: 0, max: 2}}
---
kind: ModelAccess
name: house
models: ["bench*", "gpt-4o*", "@premium"]
---
kind: DecisionLog
name: records
mask: [{attribute: apiKey.user, when: 'apiKey.org == "eu"'}]
"""
_EVERYBODY = (
    'llm.params.?max_tokens.orValue(0) > 16384 && apiKey.team != "research"',
    'llm.tools.exists(t, t.name in ["shell", "exec_python"])',
    'llm.prompt.exists(m, m.content.contains("BEGIN PRIVATE KEY"))',
    "llm.params.?n.orValue(1) > 4",
    'has(apiKey.metadata.tier) && apiKey.metadata.tier == "free" && llm.streaming',
    'apiKey.team.startsWith("trial") && now.getHours("Asia/Taipei") >= 18',
    'llm.params.?temperature.orValue(1.0) > 1.9 && apiKey.role != "proxy_admin"',
    'source.address.startsWith("10.99.")',
)
_OTHERS = ("teams: [research]", 'models: ["o1-*", "o3-*"]', "routes: [embeddings]", "roles: [guest]", "orgs: [acme]")


def site(directory: Path) -> Path:
    """Write 25 policies as a site has them: twelve for everybody, the others for some teams, models, routes and roles."""
    documents = [_rule(f"all-{at}", condition) for at, condition in enumerate(_EVERYBODY)]
    documents += [_rule(f"some-{at}", _MIX[at], _OTHERS[at % len(_OTHERS)]) for at in range(13)]
    return _written(directory, [_SITE, *documents])


def hundred(directory: Path) -> Path:
    """Write one hundred rules, all of which apply."""
    return _written(directory, [_rule(f"rule-{at}", _MIX[at % len(_MIX)]) for at in range(100)])


def thousand(directory: Path) -> Path:
    """Write a thousand policies, ten of which apply."""
    documents = [_rule(f"all-{at}", _MIX[at]) for at in range(10)]
    documents += [_rule(f"other-{at}", _MIX[at % len(_MIX)], f"teams: [other-{at}]") for at in range(990)]
    return _written(directory, documents)


def guarded(directory: Path) -> Path:
    """Write the site's policies and a guardrail of fifty patterns, personal data and credentials over all that is said."""
    patterns = "".join(f"  - pattern: 'TICKET-{number:02d}-[0-9]{{4,8}}[a-f]?'\n" for number in range(50))
    detect = f"{patterns}  - pii: all\n  - secrets: all\n"
    phases = "phases: [input, output, toolCalls, toolResults]"
    written = site(directory)
    text = f"kind: Guardrail\nname: everything\n{phases}\naction: mask\ndetect:\n{detect}"
    (written / "guardrail.yaml").write_text(text, encoding="utf-8")
    return written


def _rule(name: str, condition: str, match: str = "") -> str:
    quoted = condition.replace("'", "''")
    return f"kind: ModelAccess\nname: {name}\nmatch: {{{match}}}\nrules: [{{deny: '{quoted}'}}]\n"


def _written(directory: Path, documents: list[str]) -> Path:
    directory.mkdir()
    (directory / "policies.yaml").write_text("---\n".join(documents), encoding="utf-8")
    return directory
