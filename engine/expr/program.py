"""`compile_expression`: source text to a function over the activation, with all that is known of it beforehand.

A program is its Python code and constants; both pickle, so that a process can hand programs to others, which link them
in microseconds and never see a compiler.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from types import CodeType, FunctionType
from typing import Any, Final

from engine.expr.analysis import Analysis
from engine.expr.checker import Checker
from engine.expr.codegen import generate
from engine.expr.library import FUNCTIONS
from engine.expr.names import Names
from engine.expr.needles import Needles, needles
from engine.expr.nodes import Node
from engine.expr.parser import parse
from engine.expr.problems import ExpressionError, Fault, FaultAt, fault_at
from engine.expr.runtime import ABSORBED, ERRORS, NAMES
from engine.expr.schema import DYN, Function, Schema, Type
from engine.expr.tracing import FILENAME, Places, explained
from engine.expr.writing import Generated

__all__ = [
    "ABSORBED",
    "ERRORS",
    "Environment",
    "ExpressionError",
    "Fault",
    "Program",
    "compile_expression",
    "program_of",
]

KEPT_PROGRAMS: Final = 4_096
KEPT_ENVIRONMENTS: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A compiled expression.

    `result` is the type deduced; `refs` are the longest static paths read, `*` standing for any element; `loops` is the
    deepest nesting of macros, `patterns` the size of all regular expressions. `evaluate` raises one of ERRORS if the
    expression has no value. `needles` is what it is false without, if that is known.
    """

    source: str
    result: Type
    refs: frozenset[tuple[str, ...]]
    warnings: tuple[Fault, ...]
    loops: int
    patterns: int
    evaluate: Callable[[Mapping[str, object]], object] = field(repr=False)
    codes: tuple[CodeType, ...] = field(repr=False)
    constants: tuple[Any, ...] = field(repr=False)
    places: Places = field(repr=False)
    needles: Needles | None = None

    def explain(self, error: BaseException) -> Fault:
        """Return where and why an evaluation failed, without any value in it."""
        at, message = explained(error, self.codes, self.places, self.source)
        return fault_at(self.source, at, message)

    def __reduce__(self) -> tuple[Any, ...]:
        warnings = tuple((one.line, one.column, one.message) for one in self.warnings)
        needed: Any = tuple(self.needles) if self.needles is not None else None
        facts = (self.source, self.refs, warnings, self.loops, self.patterns, self.codes, self.places, needed)
        return _linked, (marshal.dumps(facts), self.result, self.constants)


def _linked(facts: bytes, result: Type, constants: tuple[Any, ...]) -> Program:
    """Return the program that was pickled."""
    source, refs, warnings, loops, patterns, codes, places, needed = marshal.loads(facts)  # noqa: S302 - written by __reduce__
    faults = tuple(Fault(*one) for one in warnings)
    evaluate = _function(codes, constants)
    lacking = Needles(*needed) if needed is not None else None
    return Program(source, result, refs, faults, loops, patterns, evaluate, codes, constants, places, lacking)


def _function(codes: tuple[CodeType, ...], constants: tuple[Any, ...]) -> Callable[[Mapping[str, object]], object]:
    """Return the function of a program: constants are default arguments, or names where several functions need them."""
    if len(codes) == 1:
        return FunctionType(codes[0], _NAMES, "expression", constants)
    names = _NAMES | {f"k{number}": constant for number, constant in enumerate(constants)}
    functions = [FunctionType(code, names) for code in codes]
    names.update((one.__name__, one) for one in functions)
    return functions[0]


_NAMES: Final = dict(NAMES)


@dataclass(frozen=True, slots=True, eq=False)
class Environment:
    """What expressions are compiled against. An unchecked one leaves unknown names and wrong types to the evaluation."""

    names: Names
    checked: bool = True
    macros: bool = True

    def check(self, source: str, expects: Type | None = None) -> tuple[Node, Type]:
        """Return the checked tree of an expression and its type; raises ExpressionError."""
        try:
            tree = parse(source, macros=self.macros)
            checker = Checker(self.names, checked=self.checked)
            root = checker.check(tree)
            result = checker.bindings.final(root.type)
            checker.expect(root, result, expects)
        except FaultAt as error:
            raise ExpressionError((fault_at(source, error.at, error.message),)) from None
        if checker.faults:
            raise ExpressionError(tuple(fault_at(source, at, message) for at, message in sorted(checker.faults)))
        return root, result

    def compile(self, source: str, expects: Type | None = None) -> Program:
        """Return the program of an expression; raises ExpressionError."""
        try:
            root, result = self.check(source, expects)
            return program_of(root, source, result, expects)
        except RecursionError:
            raise ExpressionError((Fault(1, 1, "the expression is too complex: write it in parts"),)) from None


def program_of(root: Node, source: str, result: Type = DYN, expects: Type | None = None) -> Program:
    """Return the program of a checked tree, or of a part of one, whose text is `source`."""
    analysis = Analysis(root)
    code = generate(root, expects, searches=analysis.searches)
    codes = _compiled(code)
    return Program(
        source=source,
        result=result,
        refs=frozenset(analysis.refs),
        warnings=tuple(fault_at(source, at, message) for at, message in sorted(set(analysis.warnings))),
        loops=analysis.loops,
        patterns=analysis.patterns,
        evaluate=_function(codes, code.constants),
        codes=codes,
        constants=code.constants,
        places=code.places,
        needles=needles(root),
    )


def _compiled(generated: Generated) -> tuple[CodeType, ...]:
    module = compile(generated.text, FILENAME, "exec", dont_inherit=True)
    return tuple(one for one in module.co_consts if isinstance(one, CodeType))


class _Cache:
    """The programs compiled last, and the environments they were compiled against."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.environments: dict[tuple[Any, ...], tuple[Environment, Schema, Any]] = {}
        self.programs: dict[tuple[str, Environment, Type | None], Program] = {}

    def environment(self, schema: Schema, container: str, functions: Mapping[str, Function]) -> Environment:
        """Return the environment of these names; ids are good keys as long as what they are of is held."""
        key = (id(schema), container, id(functions))
        with self.lock:
            known = self.environments.get(key)
            if known is None:
                known = (Environment(Names(schema, functions, container)), schema, functions)
                _keep(self.environments, key, known, KEPT_ENVIRONMENTS)
            return known[0]

    def program(self, environment: Environment, source: str, expects: Type | None) -> Program:
        """Return a program compiled before, or compile it."""
        key = (source, environment, expects)
        with self.lock:
            program = self.programs.pop(key, None)
            if program is not None:
                self.programs[key] = program
                return program
        program = environment.compile(source, expects)
        with self.lock:
            _keep(self.programs, key, program, KEPT_PROGRAMS)
        return program


def _keep(kept: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    """Add to a dict that forgets what was added first."""
    if len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = value


_cache: Final = _Cache()


def compile_expression(
    source: str,
    schema: Schema,
    expects: Type | None = None,
    *,
    container: str = "",
    functions: Mapping[str, Function] = FUNCTIONS,
) -> Program:
    """Compile an expression; raises ExpressionError with all that is wrong with it.

    A result of another type than `expects` is a fault, or an EvaluationError where the type is known at run time only.
    """
    return _cache.program(_cache.environment(schema, container, functions), source, expects)
