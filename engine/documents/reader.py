"""Reads policy documents field by field, and reports all that is wrong with them at once: the `Reader` of kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.config.problems import Mark, Path, Problem, dotted, kind_of_value, nearest, shown
from engine.config.yaml import Document
from engine.documents.place import locate
from engine.expr.problems import ExpressionError, Fault
from engine.expr.program import Program, compile_expression
from engine.expr.schema import BOOL, Schema, Type
from engine.policy import Expression, Phase
from engine.variables import ANSWERED, CHANGE, REQUEST, ROUTED

PHASES = {Phase.REQUEST: REQUEST, Phase.CHANGE: CHANGE, Phase.ROUTED: ROUTED, Phase.RESPONSE: ANSWERED}


class Sheet:
    """One document on its way to a policy: its text, its problems, and the expressions found in it."""

    def __init__(self, document: Document, lines: Sequence[str], file: str) -> None:
        self.document = document
        self.lines = lines
        self.file = file
        self.problems: list[Problem] = []
        self.programs: list[Program] = []
        self.variables: dict[str, Type] = {}

    def mark(self, path: Path) -> Mark:
        """Return the place of a path, or of the nearest thing that holds it."""
        marks = self.document.marks
        begin = next(iter(marks.values()), Mark(self.file, 1, 1))
        return next((mark for end in range(len(path), 0, -1) if (mark := marks.get(path[:end]))), begin)

    def error(self, path: Path, message: str) -> None:
        """Report an error."""
        self.problems.append(Problem("error", self.mark(path), dotted(path), message))

    def compile(self, path: Path, source: str, expects: Type, schema: Schema) -> Expression | None:
        """Compile an expression; its faults are problems of the document."""
        try:
            program = compile_expression(source, schema, expects)
        except ExpressionError as error:
            for fault in error.faults:
                self._place("error", path, fault, source)
            return None
        for fault in program.warnings:
            self._place("warning", path, fault, source)
        self.programs.append(program)
        mark = self.mark(path)
        return Expression(program, f"{mark.file}:{mark.line}", dotted(path))

    def _place(self, severity: Any, path: Path, fault: Fault, source: str) -> None:
        mark, excerpt = locate(self, path, fault, source)
        self.problems.append(Problem(severity, mark, dotted(path), fault.message, excerpt))


class FieldReader:
    """Reads one mapping of a sheet."""

    def __init__(self, sheet: Sheet, path: Path, value: dict[str, Any], schemas: dict[Phase, Schema]) -> None:
        self._sheet = sheet
        self._path = path
        self._value = value
        self._schemas = schemas
        self._known: set[str] = set()
        self._inner: list[FieldReader] = []

    def has(self, name: str) -> bool:
        """Tell whether a field is written."""
        self._known.add(name)
        return self._value.get(name) is not None

    def value(self, name: str) -> Any:
        """Return what is written of any form, for whoever knows it; None where there is nothing."""
        self._known.add(name)
        return self._value.get(name)

    def text(self, name: str, default: str = "") -> str:
        """Read text."""
        value = self._take(name, str, "text")
        return value if isinstance(value, str) else default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Read true or false."""
        value = self._take(name, bool, "true or false")
        return value if isinstance(value, bool) else default

    def is_flag(self, name: str) -> bool:
        """Tell whether a field is written as true or false."""
        return isinstance(self._value.get(name), bool)

    def number(self, name: str, default: float = 0.0, *, least: float = 0.0, most: float = float("inf")) -> float:
        """Read a number within bounds."""
        value = self._take(name, (int, float), "a number")
        if value is None or isinstance(value, bool):
            if value is not None:
                self.fault("must be a number, not true or false", name)
            return default
        if not least <= value <= most:
            self.fault(f"must be at least {least:g}" + (f" and at most {most:g}" if most < float("inf") else ""), name)
            return default
        return float(value)

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """Read one of some words."""
        word = self.text(name, default)
        if word in choices:
            return word
        guess = nearest(word, choices)
        hint = f"did you mean `{guess}`?" if guess else f"it is one of {', '.join(f'`{one}`' for one in choices)}"
        self.fault(f"`{shown(word)}` is not known; {hint}", name)
        return default

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a list of texts; one text alone is a list of it."""
        value = self._take(name, (list, str), "a list of texts")
        entries = [value] if isinstance(value, str) else value or []
        if not all(isinstance(entry, str) and entry for entry in entries):
            self.fault("must be a list of texts, none of them empty; put numbers into quotes", name)
            return ()
        return tuple(entries)

    def each(self, name: str) -> Sequence[FieldReader]:
        """Read a list of mappings."""
        readers = []
        for at, entry in enumerate(self._take(name, list, "a list") or []):
            if isinstance(entry, dict):
                readers.append(self._within((*self._path, name, at), entry))
            else:
                self._sheet.error((*self._path, name, at), f"must be a mapping, not {kind_of_value(entry)}")
        return readers

    def mapping(self, name: str) -> FieldReader:
        """Read a mapping; an empty one when it is not there."""
        value = self._take(name, dict, "a mapping")
        return self._within((*self._path, name), value if isinstance(value, dict) else {})

    def names(self) -> Sequence[str]:
        """Name the fields that are written, for a mapping whose keys the user chooses."""
        return list(self._value)

    def cel(self, name: str, expects: Type = BOOL, *, phase: Phase = Phase.REQUEST) -> Expression | None:
        """Compile an expression; None when it is not there or does not compile."""
        value = self._take(name, (str, int, float, bool), "a CEL expression")
        if value is None:
            return None
        source = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
        return self._sheet.compile((*self._path, name), source, expects, self._schemas[phase])

    def fault(self, message: str, name: str = "") -> None:
        """Report a problem of a field, or of the whole mapping."""
        self._sheet.error((*self._path, name) if name else self._path, message)

    def finish(self) -> None:
        """Report every field that nobody asked for, here and within."""
        for name in self._value:
            if name not in self._known:
                guess = nearest(name, self._known)
                hint = f"did you mean `{guess}`?" if guess else f"known are {', '.join(sorted(self._known)) or 'none'}"
                self._sheet.error((*self._path, name), f"unknown field; {hint}")
        for reader in self._inner:
            reader.finish()

    def _within(self, path: Path, value: dict[str, Any]) -> FieldReader:
        reader = FieldReader(self._sheet, path, value, self._schemas)
        self._inner.append(reader)
        return reader

    def _take(self, name: str, kinds: type | tuple[type, ...], wanted: str) -> Any:
        """Return a field of one of these classes; report another and take it as absent."""
        self._known.add(name)
        value = self._value.get(name)
        if value is None:
            if name in self._value:
                self.fault(f"says nothing; give it {wanted}, or remove it", name)
            return None
        allowed = kinds if isinstance(kinds, tuple) else (kinds,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in allowed and int not in allowed):
            self.fault(f"must be {wanted}, not {kind_of_value(value)}", name)
            return None
        return value
