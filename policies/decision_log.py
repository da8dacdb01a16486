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

from engine.policy import Expression, Head, Log, Policy, Reader


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
        mask = []
        for entry in fields.each("mask"):
            attribute = entry.text("attribute")
            if not attribute:
                entry.fault("needs an `attribute`, such as `apiKey.user`")
            mask.append((attribute, entry.cel("when")))
        return cls(head, fields.flag("content"), fields.cel("drop"), tuple(mask))

    def log(self) -> Log:
        """Say how calls are recorded."""
        return Log(self.content, (self.drop,) if self.drop else (), self.mask)
