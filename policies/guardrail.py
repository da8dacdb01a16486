r"""`Guardrail`: what must not pass in the texts of calls, and what is done about it.

    kind: Guardrail
    name: no-secrets
    phases: [input, output, toolCalls]      # also toolResults; `[log]` alone: all of them, and only for the record
    detect:
      - {secrets: all}
      - {pii: [EMAIL_ADDRESS, CREDIT_CARD], action: mask}
      - {pattern: 'PROJ-\\d{6}', name: project}
    action: block                           # mask | block | log, where a detector says nothing else
    maskWith: '***'                         # instead of <EMAIL_ADDRESS>; beside a detector, too, and there in CEL also
                                            # `replace: '"<" + type + " of " + string(size(text)) + ">"'`
    restore: true                           # what was masked of the request is put back into the answer
    optional: true                          # at work only for calls, keys, teams and models that name it
    waivable: true                          # keys and teams with `disable_global_guardrails` go without it
    message: ask security
    timeout: 2s                             # of a detector that asks a service
    parallel: true                          # services are asked about a request while it is on its way; they may not mask

A detector that cannot be asked in time, or answers nonsense, blocks; with `failurePolicy: Ignore` it lets pass.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from engine.policy import Detect, Head, Policy, Reader, Watch

PHASES = ("input", "output", "toolCalls", "toolResults")
LOG = "log"
"""The phase of what looks everywhere and only puts on record what it finds: records hold no text, so there is nothing to mask."""
REMOTE = "remote"
ACTIONS = ("block", "mask", "log")
NOTHING = Watch(frozenset(), ())
NAMED = {"pattern": "pattern", "keywords": "words", "cel": "expression"}
"""Detectors whose findings have the name that is written beside them."""
OWN = frozenset({"action", "maskWith", "maxLength", "name", "replace", "window"})
"""What may stand beside a detector."""
WINDOW = 1 << 20
"""Characters that a window may have."""
_TIME = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(ms|s)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Guardrail(Policy):
    """Looks for what must not pass."""

    what: Watch = NOTHING

    @classmethod
    def read(cls, head: Head, fields: Reader) -> Self:
        """Read `phases`, `detect` and what is done about findings."""
        phases = _phases(fields)
        observes = LOG in phases
        action = fields.choice("action", ACTIONS, "log" if observes else "block")
        mask_with, restore = fields.text("maskWith"), fields.flag("restore")
        detects = [
            one for at, entry in enumerate(fields.each("detect")) if (one := _detect(entry, at, action, mask_with))
        ]
        if not detects and not fields.has("detect"):
            fields.fault("needs `detect`, such as `detect: [{secrets: all}]`")
        if restore and not any(one.action == "mask" for one in detects):
            fields.fault("means nothing where nothing is masked: leave it out", "restore")
        parallel = fields.flag("parallel") or observes
        _judge(fields, detects, observes=observes, parallel=parallel)
        what = Watch(
            frozenset(PHASES) if observes else phases, tuple(detects), fields.flag("optional"), restore, fields.text("message"),
            int(fields.number("status", 400, least=400, most=499)), _timeout(fields),
            parallel, fields.flag("waivable"),
        )  # fmt: skip
        return cls(head, what)

    def watch(self) -> Watch:
        """Say what must not pass."""
        return self.what


def _judge(fields: Reader, detects: Sequence[Detect], *, observes: bool, parallel: bool) -> None:
    """Report what cannot be done about findings when and where they are made."""
    if observes and any(one.action != "log" for one in detects):
        fields.fault("only puts on record in the phase `log`: leave `action` out, or name other phases", "action")
    elif parallel and any(one.detector == REMOTE and one.action == "mask" for one in detects):
        fields.fault("cannot mask what is on its way already: write `action: block` or `log`", "parallel")


def _phases(fields: Reader) -> frozenset[str]:
    written = fields.texts("phases")
    unknown = [one for one in written if one not in (*PHASES, LOG)]
    if unknown:
        fields.fault(f"`{unknown[0]}` is no phase; they are {', '.join((*PHASES, LOG))}", "phases")
    elif LOG in written and len(written) > 1:
        fields.fault("has `log` beside others: it stands for all of them, in a guardrail of its own", "phases")
    if not written:
        fields.fault("needs `phases`, such as `phases: [input, output]`")
    return frozenset(written)


def _detect(entry: Reader, at: int, action: str, mask_with: str) -> Detect | None:
    chosen: Sequence[str] = [name for name in entry.names() if name not in OWN]
    if len(chosen) != 1:
        entry.fault("is one detector, such as `secrets: all`, and its `action`, `name` or `maskWith`")
        return None
    detector = chosen[0]
    said, name = entry.value(detector), entry.text("name")
    if detector in NAMED and name:
        said = {**(said if isinstance(said, dict) else {NAMED[detector]: said}), "name": name}
    if detector == "pattern" and entry.has("maxLength"):
        said = {**(said if isinstance(said, dict) else {"pattern": said}), "maxLength": entry.value("maxLength")}
    chosen_action, replace = entry.choice("action", ACTIONS, action), entry.text("replace")
    if replace and (chosen_action != "mask" or detector == REMOTE):
        entry.fault("is for what a detector masks here: write `action: mask`, or leave it out", "replace")
    return Detect(
        detector, said, name or detector, chosen_action, entry.text("maskWith", mask_with), replace,
        int(entry.number("window", 0, least=64, most=WINDOW)) if entry.has("window") else 0, f"detect[{at}].{detector}",
    )  # fmt: skip


def _timeout(fields: Reader) -> float:
    """Read seconds: `2`, `2s` or `500ms`."""
    written = fields.value("timeout")
    found = _TIME.fullmatch(str(written)) if isinstance(written, str | int | float) else None
    if written is None:
        return 2.0
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1) if found is not None else 0.0
    if not 0 < seconds <= 60:
        fields.fault("is a time such as `2s` or `500ms`, a minute at most", "timeout")
        return 2.0
    return seconds
