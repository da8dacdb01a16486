"""Mask a text, then the same text as a stream, then look at what an answer is: `python examples/detectors/redact.py`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from adapters.detectors.code import Code
from adapters.detectors.format import Format
from adapters.detectors.keywords import Keywords
from adapters.detectors.length import Length
from adapters.detectors.pattern import Pattern
from adapters.detectors.pii import Pii
from adapters.detectors.secrets import Secrets
from engine.contracts import Channel, TextSlot
from engine.guarding import Action, Redaction

TEXT = "Falcon, ticket PROJ-123456: jane@mail.example.org has the key AKIAIOSFODNN7EXAMPLE."
REDACTION = Redaction([
    (Pii(["EMAIL_ADDRESS"]), Action.MASK, None),
    (Secrets("all"), Action.MASK, None),
    (Pattern({"pattern": r"PROJ-\d{6}", "name": "TICKET"}), Action.MASK, None),
    (Keywords(["Falcon"]), Action.MASK, "[project]"),
    (Code("all"), Action.LOG, None),
])  # fmt: skip


def main() -> None:
    """Print what leaves."""
    print(REDACTION.whole(TEXT).text)
    guard = REDACTION.guard()
    pieces = [guard.feed(TextSlot(Channel.CONTENT, 0, 0, TEXT[at : at + 5])) for at in range(0, len(TEXT), 5)]
    print("".join(pieces) + guard.flush(Channel.CONTENT, 0, 0))
    for answer in ("yes", "perhaps"):
        print(f"{answer}: {'fits' if not Format({'regex': 'yes|no'}).find(answer) else 'does not fit'}")
    print(f"too long: {bool(Length({'max': 10}).find(TEXT))}")


if __name__ == "__main__":
    main()
