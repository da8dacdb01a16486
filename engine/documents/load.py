"""Documents to policies: what every kind has is read here, the rest by the kind itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson

from engine.config.problems import Mark, Problem
from engine.config.yaml import Document, parse_all
from engine.documents.files import Source
from engine.documents.reader import PHASES, FieldReader, Sheet
from engine.expr.program import Program
from engine.expr.schema import BOOL, DYN
from engine.policy import ROUTES, Action, Expression, Head, Match, Phase, Policy
from engine.variables import with_variables

Kind = Callable[[str], type[Policy]]
"""Finds a kind by its name; raises LookupError with a suggestion."""

MOST = 10_000
"""Policies of one set."""
LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class LoadedPolicies:
    """A set of policies, or why there is none: `policies` is sound only without errors among `problems`."""

    policies: tuple[Policy, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether there is any error."""
        return any(problem.severity == "error" for problem in self.problems)


class Kept(NamedTuple):
    """What a file came to when it held this text."""

    text: str
    policies: tuple[tuple[Policy, Mark], ...]
    problems: tuple[Problem, ...]


def load_policies(sources: Sequence[Source], kind: Kind, kept: dict[str, Kept] | None = None) -> LoadedPolicies:
    """Compile every document of some files, in their order; names are unique over all of them.

    What `kept` holds of a file whose text has not changed is taken from there; it then holds these files and no others.
    """
    policies: dict[str, Policy] = {}
    problems: list[Problem] = []
    known = kept if kept is not None else {}
    files = {source.path: _file(source, known.get(source.path), kind) for source in sources}
    known.clear()
    known.update(files)
    for file in files.values():
        problems += file.problems
        for policy, mark in file.policies:
            _add(policies, problems, policy, mark)
    return LoadedPolicies(tuple(policies.values()), tuple(problems))


def _file(source: Source, known: Kept | None, kind: Kind) -> Kept:
    if known is not None and known.text == source.text:
        return known
    policies: list[tuple[Policy, Mark]] = []
    problems: list[Problem] = []
    lines = source.text.splitlines()
    documents = parse_all(source.text, source.path)
    if not any(document.value or document.problems for document in documents):
        message = "holds no policy: every line is blank or a comment"
        problems.append(Problem("error", Mark(source.path, 1, 1), "", message))
    for document in documents:
        problems += document.problems
        if document.value and not document.problems:
            sheet = Sheet(document, lines, source.path)
            policy = _compile(sheet, kind)
            problems += sheet.problems
            if policy is not None:
                policies.append((policy, sheet.mark(("name",))))
    return Kept(source.text, tuple(policies), tuple(problems))


def load_documents(documents: Iterable[tuple[Mapping[str, Any], Mark]], kind: Kind) -> LoadedPolicies:
    """Compile documents that another form of configuration was read into, each with where that stands."""
    policies: dict[str, Policy] = {}
    problems: list[Problem] = []
    for value, mark in documents:
        sheet = Sheet(Document(dict(value), {("kind",): mark}), (), mark.file)
        policy = _compile(sheet, kind)
        problems += sheet.problems
        if policy is not None:
            _add(policies, problems, policy, mark)
    return LoadedPolicies(tuple(policies.values()), tuple(problems))


def _add(policies: dict[str, Policy], problems: list[Problem], policy: Policy, mark: Mark) -> None:
    name = policy.head.name
    if name in policies:
        message = f"`{name}` is already the name of {policies[name].head.place}; names are unique"
        problems.append(Problem("error", mark, "name", message))
    elif len(policies) >= MOST:
        problems.append(Problem("error", mark, "", f"more than {MOST:,} policies"))
    else:
        policies[name] = policy


def _compile(sheet: Sheet, kind: Kind) -> Policy | None:
    """Compile one document; its problems are in the sheet."""
    schemas = dict(PHASES)
    fields = FieldReader(sheet, (), sheet.document.value, schemas)
    name = fields.text("name")
    if not name:
        fields.fault("needs a `name`, unique over all policies")
    elif len(name) > LONGEST_NAME or not name.isprintable():
        fields.fault(f"must be printable and at most {LONGEST_NAME} characters", "name")
    found = _kind(fields, kind)
    fields.text("description")
    match = _match(fields.mapping("match"))
    variables = _variables(fields, sheet, schemas)
    conditions = _named(fields, "matchConditions")
    # Expressions that err know no shares: there `Local` fails.
    ways = ("Fail", "Ignore", "Local") if found is not None and found.leases else ("Fail", "Ignore")
    ignore = fields.choice("failurePolicy", ways, "Fail") == "Ignore"
    action = _action(fields)
    mark = sheet.mark(("kind",))
    head = Head(
        found.__name__ if found else "", name, f"{mark.file}:{mark.line}", match, conditions, variables, ignore, action
    )
    if found is None:
        return None
    policy = found.read(head, fields)
    fields.finish()
    if any(problem.severity == "error" for problem in sheet.problems):
        return None
    return replace(policy, head=_summed(policy.head, sheet, found))


def _kind(fields: FieldReader, kind: Kind) -> type[Policy] | None:
    name = fields.text("kind")
    if not name:
        fields.fault("needs a `kind`, such as `ModelAccess`")
        return None
    try:
        return kind(name)
    except LookupError as error:
        fields.fault(str(error.args[0]), "kind")
        return None


def _match(fields: FieldReader) -> Match:
    routes = fields.texts("routes")
    for route in routes:
        if route not in ROUTES and "*" not in route:
            fields.fault(f"`{route}` is no route; known are {', '.join(ROUTES)}", "routes")
    return Match(
        models=fields.texts("models"),
        routes=routes,
        keys=fields.texts("keys"),
        users=fields.texts("users"),
        teams=fields.texts("teams"),
        orgs=fields.texts("orgs"),
        roles=fields.texts("roles"),
    )


def _variables(fields: FieldReader, sheet: Sheet, schemas: dict[Phase, Any]) -> tuple[tuple[str, Expression], ...]:
    """Compile the variables in order: each may read those before it, and all expressions after them may read all."""
    variables = []
    for entry in fields.each("variables"):
        name, expression = entry.text("name"), entry.cel("expression", DYN)
        if not (name.isidentifier() and name.isascii()) or name in sheet.variables:
            entry.fault("needs a `name` of its own: letters, digits and `_`", "name")
        elif expression is None and not entry.has("expression"):
            entry.fault("needs an `expression`")
        elif expression is not None:
            variables.append((name, expression))
        sheet.variables[name] = expression.program.result if expression is not None else DYN
        for phase, schema in PHASES.items():
            schemas[phase] = with_variables(schema, {n: t for n, t in sheet.variables.items() if n.isidentifier()})
    return tuple(variables)


def _named(fields: FieldReader, field: str) -> tuple[tuple[str, Expression], ...]:
    found = []
    for at, entry in enumerate(fields.each(field)):
        name = entry.text("name") or f"{field}[{at}]"
        expression = entry.cel("expression", BOOL)
        if not entry.has("expression"):
            entry.fault("needs an `expression`")
        if expression is not None:
            found.append((name, expression))
    return tuple(found)


def _action(fields: FieldReader) -> Action:
    """Read `validationActions`: the strongest counts, and Deny with Warn makes no sense."""
    actions = fields.texts("validationActions")
    for action in actions:
        if action not in set(Action):
            fields.fault(f"`{action}` is not known; it is one of {', '.join(Action)}", "validationActions")
    if {Action.DENY, Action.WARN} <= set(actions):
        fields.fault("`Deny` and `Warn` exclude each other: a refused call needs no warning", "validationActions")
    return next((action for action in Action if action in actions), Action.DENY)


def _summed(head: Head, sheet: Sheet, kind: type[Policy]) -> Head:
    """Add to a head what all its expressions come to."""
    refs = {ref for program in sheet.programs for ref in program.refs} | kind.reads()
    text = orjson.dumps(sheet.document.value, option=orjson.OPT_SORT_KEYS, default=str)
    return replace(
        head,
        refs=frozenset(ref for ref in refs if ref[0] != "variables"),
        loops=sum(map(passes, sheet.programs)),
        patterns=sum(program.patterns for program in sheet.programs),
        digest=hashlib.sha256(text).hexdigest()[:16],
    )


def passes(program: Program) -> int:
    """Weigh loops: one within another may run through its list once for every element, `format` through every character."""
    return (program.loops if program.loops < 2 else 100) + (75 if ".format(" in program.source else 0)
