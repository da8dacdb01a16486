"""`DecisionLog`: what is written of calls and decisions.

kind: DecisionLog
name: records
content: false                           # true: prompts themselves instead of their hash and size
drop: 'request.path == "/v1/embeddings"' # calls that leave no record
mask:                                    # attributes that are left out, always or when an expression holds
- attribute: apiKey.user
- {attribute: request.headers, when: 'apiKey.org == "eu"'}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from engine.expr.problems import suggestion
from engine.expr.schema import Type
from engine.policy import Action, Expression, Head, Log, Match, Policy, Reader
from engine.variables import ALWAYS


@dataclass(frozen=True, slots=True)
class DecisionLog(Policy):
    """Says how calls are recorded."""

    content: bool = False
    drop: Expression | None = None
    mask: tuple[tuple[str, Expression | None], ...] = ()

    @classmethod
    def read(cls, head: Head, fields: Reader) -> Self:
        """Read `content`, `drop` and `mask`."""
        if not any(fields.has(name) for name in ("content", "drop", "mask")):
            fields.fault("says nothing; give it `content`, `drop` or `mask`")
        if head.match != Match() or head.conditions or head.variables or head.action is not Action.DENY:
            fields.fault("governs the records of all calls: say in `drop` and `when` which calls are meant")
        mask = []
        for entry in fields.each("mask"):
            attribute = entry.text("attribute")
            if not attribute:
                entry.fault("needs an `attribute`, such as `apiKey.user`")
            elif wrong := _unknown(attribute):
                entry.fault(wrong, "attribute")
            mask.append((attribute, entry.cel("when")))
        return cls(head, fields.flag("content"), fields.cel("drop"), tuple(mask))

    def log(self) -> Log:
        """Say how calls are recorded."""
        return Log(self.content, (self.drop,) if self.drop else (), self.mask)


def _unknown(attribute: str) -> str:
    """Say what is wrong with an attribute: a mask that meets nothing would hide nothing."""
    name, *path = attribute.split(".")
    known: dict[str, Type] | None = dict(ALWAYS)
    for step in (name, *path):
        if known is None:
            return ""
        found = known.get(step)
        if found is None:
            return f"`{attribute}` is no attribute: there is no `{step}`{suggestion(step, known)}"
        fields = {field: one.type for field, one in found.fields}
        known = None if found.name in ("map", "dyn") else fields
    return ""
