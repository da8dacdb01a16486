"""Where something stands in a file, and what is wrong or without effect there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Path = tuple[str | int, ...]
"""The keys and indices that lead to a value: `("model_list", 0, "model_name")`."""

Kind = Literal["feature", "limit", "guardrail"]


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing a person should change, said so that they can."""

    severity: Literal["error", "warning"]
    mark: Mark | None
    field: str
    message: str
    excerpt: str = ""
    """The line that is meant and a caret under the place, where a column says more than the field."""

    def __str__(self) -> str:
        place = str(self.mark or "")
        if self.excerpt and self.mark:
            place = f"{place}:{self.mark.column}"
        said = ": ".join(filter(None, (place, self.severity, self.field, self.message)))
        return f"{said}\n{self.excerpt}" if self.excerpt else said


@dataclass(frozen=True, slots=True)
class NotInForce:
    """One setting that is understood and does nothing yet."""

    field: str
    mark: Mark | None
    kind: Kind

    def __str__(self) -> str:
        return f"{self.field}, {self.mark}" if self.mark else self.field


class Findings:
    """What one reading of a configuration brings to light, each with its place."""

    def __init__(self, marks: Mapping[Path, Mark]) -> None:
        self.marks = marks
        self.problems: list[Problem] = []
        self.not_in_force: list[NotInForce] = []
        self.from_environment: set[Path] = set()
        """Where a value holds text of the environment, which no message may show."""
        self.moved: dict[Path, Path] = {}
        """Where a value stands after a form was normalised -> where it was written."""
        self._failed: set[str] = set()

    def mark(self, path: Path) -> Mark | None:
        """Return the place of `path`, or of the nearest thing that holds it."""
        path = self.written(path)
        return next((mark for end in range(len(path), 0, -1) if (mark := self.marks.get(path[:end]))), None)

    def written(self, path: Path) -> Path:
        """Return the path under which a value stands in the file."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.moved:
                return self.moved[path[:end]] + path[end:]
        return path

    def error(self, path: Path, message: str) -> None:
        """Record an error; a second one about the same field adds nothing and is dropped."""
        field = dotted(self.written(path))
        if field not in self._failed:
            self._failed.add(field)
            self.problems.append(Problem("error", self.mark(path), field, message))

    def faulty(self, path: Path) -> bool:
        """Whether there is an error about a field itself."""
        return dotted(self.written(path)) in self._failed

    def warning(self, path: Path, message: str) -> None:
        """Record a warning."""
        self.problems.append(Problem("warning", self.mark(path), dotted(self.written(path)), message))

    def without_force(self, path: Path, kind: Kind) -> None:
        """Record a setting that is accepted and has no effect."""
        self.not_in_force.append(NotInForce(dotted(self.written(path)), self.mark(path), kind))

    @property
    def failed(self) -> bool:
        """Whether there is any error."""
        return any(problem.severity == "error" for problem in self.problems)


def dotted(path: Path) -> str:
    """Write a path as people do: `model_list[0].litellm_params.model`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{shown(step)}" if text else shown(step)
    return text


_CREDENTIAL = re.compile(r"sk-[^\s`]+")


def shown(name: str) -> str:
    """Write a key of the file; one that looks like a credential, pasted in a wrong place, stays hidden."""
    name = _CREDENTIAL.sub("sk-…", name if name.isprintable() else repr(name))
    return name if len(name) <= 80 else f"{name[:79]}…"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant."""
    import difflib  # noqa: PLC0415 - a file without a slip does not pay for it

    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return close[0] if close else None


_KINDS = {
    "NoneType": "nothing",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "str": "text",
    "dict": "a mapping",
    "list": "a list",
    "tuple": "a list",
}


def kind_of_value(value: Any) -> str:
    """Name what stands in the file, without showing it."""
    return _KINDS.get(type(value).__name__, type(value).__name__)


def holds(value: Any, step: str | int) -> bool:
    """Whether a value has something at a key or an index."""
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)
