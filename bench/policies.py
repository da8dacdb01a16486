"""Twenty-five policies as an operator would have them, all of which govern the requests of the benchmark."""

from pathlib import Path

_RULES = (
    'deny: \'llm.tools.exists(t, t.name in ["shell", "exec_python"])\'',
    "deny: 'llm.params.?max_tokens.orValue(0) > 4096 && apiKey.team != \"research\"'",
    'require: \'request.route == "chat" || apiKey.role == "internal_user"\'',
    "deny: 'llm.params.?temperature.orValue(1.0) > 1.5'",
    'deny: \'llm.prompt.exists(m, m.role == "user" && m.content.contains("BEGIN PRIVATE KEY"))\'',
    "require: 'apiKey.team.startsWith(\"team-\")'",
    'deny: \'now.getHours("Asia/Taipei") < 0 || llm.streaming && apiKey.alias == "batch"\'',
    "deny: 'size(llm.prompt) > 500'",
    'deny: \'request.headers.?x_debug.orValue("") == "on" && !("debug" in apiKey.tags)\'',
    "deny: 'llm.prompt.all(m, size(m.content) == 0)'",
)
_OTHERS = """
---
kind: TagRouting
name: canary
routes: [{when: '"beta" in request.tags', to: {tags: [canary]}, weight: 20}]
---
kind: TagRouting
name: long-prompts
routes: [{when: 'llm.estimate.inputTokens > 2000000', to: {tags: [long]}}]
---
kind: Transform
name: bounds
clamp: {max_tokens: {max: 8192}, temperature: {min: 0, max: 2}}
---
kind: ModelAccess
name: listed
models: ["bench*", "gpt-4o*", "@premium"]
---
kind: ModelAccess
name: weekdays
matchConditions: [{name: day, expression: 'now.getDayOfWeek("UTC") >= 0'}]
variables: [{name: asked, expression: 'size(llm.prompt)'}]
rules: [{deny: 'variables.asked > 1000'}]
"""


def write(directory: Path, count: int = 25) -> Path:
    """Write `count` policies into a fresh directory and return it."""
    directory.mkdir()
    documents = [
        f"kind: ModelAccess\nname: rule-{at}\nmatch: {{models: ['bench*'], routes: [chat]}}\nrules:\n  - {_RULES[at % len(_RULES)]}\n"
        for at in range(count - 5)
    ]
    (directory / "policies.yaml").write_text("---\n".join(documents) + _OTHERS, encoding="utf-8")
    return directory
