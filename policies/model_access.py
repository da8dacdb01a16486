"""`ModelAccess`: which calls may go on, by model lists and by rules.

    kind: ModelAccess
    name: trial-keys
    match: {teams: [trial]}
    models: ["gpt-4o-mini", "@cheap"]        # the only models that these calls may name
    rules:
      - deny: 'llm.tools.exists(t, t.name in ["shell", "exec_python"])'
        message: trial keys have no shell tools
      - require: 'llm.params.?max_tokens.orValue(0) <= 1024'
      - allow: 'apiKey.metadata.?tier.orValue("") == "gold"'

Any `deny` that holds refuses, any `require` that does not refuses, and where a governing policy has an `allow`, one of
all of them must hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from engine.activation import Activation
from engine.expr.schema import STRING
from engine.globs import matches
from engine.policy import Effect, Head, Policy, Reader, Rule

if TYPE_CHECKING:
    from engine.snapshot import ModelGroup

STATUSES = (400, 599)


@dataclass(frozen=True, slots=True)
class ModelList:
    """Model names, wildcards and access groups (`@name`, or the bare name as LiteLLM writes it)."""

    entries: tuple[str, ...]

    def __call__(self, activation: Activation) -> bool:
        """Tell whether the model that a call asks for is in the list."""
        call = activation.call
        return call.group is not None and self.holds(call.model, call.group)

    def holds(self, model: str, group: ModelGroup) -> bool:
        """Tell whether a model is in the list, by the name that is asked for or by its group's."""
        for entry in self.entries:
            if entry in (model, group.name) or entry.removeprefix("@") in group.access_groups:
                return True
            if "*" in entry and matches(entry, model):
                return True
        return False


@dataclass(frozen=True, slots=True)
class ModelAccess(Policy):
    """Says which calls may go on."""

    models: ModelList | None = None
    written: tuple[Rule, ...] = ()

    @classmethod
    def read(cls, head: Head, fields: Reader) -> Self:
        """Read `models` and `rules`."""
        listed = fields.texts("models")
        models = ModelList(listed) if fields.has("models") else None
        rules = [rule for at, entry in enumerate(fields.each("rules")) if (rule := _rule(at, entry)) is not None]
        if models is None and not fields.has("rules"):
            fields.fault("says nothing; give it `models` or `rules`")
        return cls(head, models, tuple(rules))

    def rules(self) -> Sequence[Rule]:
        """List the model list, as a requirement, and the rules as they are written."""
        if self.models is None:
            return self.written
        named = ", ".join(f"`{entry}`" for entry in self.models.entries) or "none"
        listed = Rule(
            "models", Effect.REQUIRE, test=self.models, standing=True, message=f"the model is not one of {named}"
        )
        return (listed, *self.written)

    def admits(self, model: str, group: ModelGroup) -> bool:
        """Tell whether the model list holds a model."""
        return self.models is None or self.models.holds(model, group)


def _rule(at: int, entry: Reader) -> Rule | None:
    written = [effect for effect in Effect if entry.has(effect)]
    message, says = entry.text("message"), entry.cel("messageExpression", STRING)
    name = entry.text("name") or f"rules[{at}]"
    status = entry.number("status", 403, least=STATUSES[0], most=STATUSES[1])
    if len(written) != 1:
        entry.fault("a rule is one of `deny`, `require` and `allow`")
        return None
    effect = written[0]
    expression = entry.cel(effect)
    if status % 1:
        entry.fault("must be a status such as 403", "status")
    if message and says is not None:
        entry.fault("`message` and `messageExpression` exclude each other", "messageExpression")
    if effect is Effect.ALLOW and (message or says is not None or entry.has("status")):
        entry.fault("an `allow` refuses nothing, so it has neither message nor status; give them to a `require`")
    if expression is None:
        return None
    return Rule(name, effect, expression, None, message, says, int(status))
