"""The guardrails of a snapshot, made at load: each with its detectors, ready to look."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from engine.config.problems import Mark, Problem
from engine.contracts import Channel, Registry, TextSlot
from engine.detecting import Blocked, Detector, RemoteDetector
from engine.expr.program import ERRORS, ExpressionError, compile_expression
from engine.expr.schema import STRING, Schema
from engine.guarding import Action, Redaction
from engine.guarding import Watch as Watched
from engine.policy import Detect, Policy, Watch
from engine.slots import ANSWERED, ASKED, CALLS, OUTPUT

REMOTE = "remote"
CUSTOM = "custom"
"""The remote detector whose service is a class of the operator's, in a file beside the configuration."""
REFERENCE = "os.environ/"
WARMING = (
    "Hello, how are you? See page 42, a@b.org.",
    "4111 1111 1111 1111 and +49 170 1234567",
    "password = x8Fk29Zq sk-abc https://u:pw@host/",
    "中文é",
)
"""Texts of the kinds that there are."""
STEP = 4
"""Characters of them at a time, as streams come."""
REPLACING = Schema({"text": STRING, "type": STRING}, {})
"""What an expression sees that writes something in the place of a hit."""


class Guard(NamedTuple):
    """One guardrail, ready: what looks at the text alone, and whom it asks."""

    policy: Policy
    watch: Watch
    redaction: Redaction
    detectors: tuple[tuple[Detector, str], ...]
    """What looks at the text alone, and what is done about what it finds."""
    remotes: tuple[tuple[Detect, RemoteDetector], ...]
    channels: frozenset[Channel]
    """Which texts of a stream it looks at."""
    asked: frozenset[str]
    answered: frozenset[str]
    """At which texts of a request, and of an answer."""

    @property
    def name(self) -> str:
        """The guardrail's name."""
        return self.policy.head.name


class Ready(NamedTuple):
    """Guardrails, and what is wrong with them."""

    guards: tuple[Guard, ...]
    problems: tuple[Problem, ...]


def guards_of(
    policies: Iterable[Policy], registry: Registry, problems: list[Problem], files: Sequence[str] = ()
) -> Iterator[Guard]:
    """Make the guardrails of some policies; what is wrong with them is added to `problems`. `files` are the configuration's."""
    for policy in policies:
        watch = policy.watch()
        if watch is not None:
            yield _guard(policy, watch, registry, (problems, files))


def ready(policies: Iterable[Policy], registry: Registry, files: Sequence[str] = ()) -> Ready:
    """Make the guardrails of some policies, for a thread: many patterns take tenths of a second, and so may a user's file."""
    problems: list[Problem] = []
    return Ready(tuple(guards_of(policies, registry, problems, files)), tuple(problems))


def detector_files(policies: Iterable[Policy], beside: str) -> Iterator[str]:
    """Name the files that detectors of some policies are made of: lists, and the operator's classes, which stand beside `beside`.

    What is made of one that changes is to be made anew.
    """
    for policy in policies:
        watch = policy.watch()
        for one in watch.detects if watch is not None else ():
            said = one.said if isinstance(one.said, dict) else {}
            if one.detector != REMOTE and isinstance(said.get("file"), str):
                yield _path(said["file"], policy)
            elif one.detector == REMOTE and said.get("type") == CUSTOM:
                written = said.get("file") or f"{str(said.get('class')).rpartition('.')[0].replace('.', '/')}.py"
                yield os.path.join(os.path.dirname(beside), str(written))  # noqa: PTH118, PTH120 - names here are text throughout


def _guard(policy: Policy, watch: Watch, registry: Registry, said: tuple[list[Problem], Sequence[str]]) -> Guard:
    problems, files = said
    local: list[Watched] = []
    remotes: list[tuple[Detect, RemoteDetector]] = []
    for one in watch.detects:
        try:
            if one.detector == REMOTE:
                remotes.append((one, _remote(one.said, policy, registry, files)))
            else:
                local.append(_local(one, policy, registry))
        except (ValueError, LookupError) as error:
            file, _, line = policy.head.place.rpartition(":")
            field = f"{policy.head.name}.{one.field}"
            problems.append(Problem("error", Mark(file, int(line), 1), field, str(error.args[0])))
    redaction = Redaction(local)
    _warm(redaction)
    looking = tuple((one.detector, str(one.action)) for one in local)
    phase = {one: CALLS if one is Channel.TOOL_ARGUMENTS else OUTPUT for one in Channel}
    channels = frozenset(one for one in Channel if phase[one] in watch.phases)
    return Guard(
        policy,
        watch,
        redaction,
        looking,
        tuple(remotes),
        channels,
        watch.phases & ASKED,
        watch.phases & ANSWERED,
    )


def _warm(redaction: Redaction) -> None:
    """Have made what RE2 makes of patterns only as texts ask for it: no call is to wait for that."""
    for text in WARMING:
        redaction.whole(text)
        guard = redaction.guard()
        with suppress(Blocked):
            for at in range(0, len(text), STEP):
                guard.feed(TextSlot(Channel.CONTENT, 0, 0, text[at : at + STEP]))


def _local(one: Detect, policy: Policy, registry: Registry) -> Watched:
    detector = registry.detector(one.detector, _with_file(one.said, policy))
    if one.window and not detector.whole:
        raise ValueError("sees streams as they come: leave `window` out")
    mask = _replacing(one.replace) if one.replace else one.mask_with or None
    return Watched(detector, Action(one.action), mask, one.window)


def _with_file(said: Any, policy: Policy) -> Any:
    """Add to what is written for a detector the text of the file that it names, which stands beside what names it."""
    if not isinstance(said, dict) or not isinstance(said.get("file"), str):
        return said
    path = _path(said["file"], policy)
    try:
        return {**said, "text": Path(path).read_text(encoding="utf-8")}
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read `{path}` as UTF-8 text: {error}") from error


def _path(file: str, policy: Policy) -> str:
    return os.path.join(os.path.dirname(policy.head.place.rpartition(":")[0]), file)  # noqa: PTH118, PTH120 - names here are text throughout


def _replacing(source: str) -> Callable[[str, str], str]:
    """Return what writes a text in a hit's place; of one that has no value only the type is said. Raises ValueError."""
    try:
        program = compile_expression(source, REPLACING, STRING)
    except ExpressionError as error:
        raise ValueError(f"replace: {error}") from None

    def replace(text: str, kind: str) -> str:
        try:
            return str(program.evaluate({"text": text, "type": kind}))
        except ERRORS:
            return f"<{kind}>"

    return replace


def _remote(said: Any, policy: Policy, registry: Registry, files: Sequence[str]) -> RemoteDetector:
    kind = said.get("type") if isinstance(said, dict) else None
    if not isinstance(kind, str):
        raise ValueError("needs a `type`, such as `presidio`")  # noqa: TRY004 - of what is written, not of the program
    settings = {name: _resolved(value, registry.environ) for name, value in said.items() if name != "type"}
    if kind == CUSTOM:
        # A class stands beside the configuration; where there is none, beside the policy.
        beside = os.path.dirname(os.path.abspath(files[0] if files else policy.head.place.rpartition(":")[0]))  # noqa: PTH100, PTH120 - names here are text throughout
        watch = policy.watch()
        own = {"guardrail_name": policy.head.name, "default_on": watch is not None and not watch.optional}
        settings = {**own, **settings, "config_folder": beside}
    return registry.remote_detector(kind, settings)


def _resolved(value: Any, environ: Mapping[str, str]) -> Any:
    """Replace references to the environment; raises ValueError for a variable that is not set."""
    if isinstance(value, dict):
        return {name: _resolved(inner, environ) for name, inner in value.items()}
    if not isinstance(value, str) or not value.startswith(REFERENCE):
        return value
    name = value.removeprefix(REFERENCE)
    if name not in environ:
        raise ValueError(f"environment variable `{name}` is not set")
    return environ[name]
