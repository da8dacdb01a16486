"""Types against types: what may stand where, and what a signature's variables stand for.

A type variable's name begins with `$`; `$A` is a signature's own, `$1` one of an expression. Two laws: `dyn` goes with
everything, and a variable that met `dyn` is `dyn` from then on, so that what is deduced of a value is true of it.
"""

from __future__ import annotations

from typing import Final

from engine.expr.schema import DYN, NULL, STRING, Field, Signature, Type, map_of

NUMBERS: Final = frozenset(["int", "uint", "double"])
MAX_DEPTH: Final = 100

_NULLABLE: Final = frozenset(["optional", "timestamp", "duration", "ip", "cidr"])
"""Types whose place null may take, as the specification has it; what is done with one looks at it again."""


class Bindings:
    """What the type variables of one expression stand for."""

    def __init__(self) -> None:
        self.bound: dict[str, Type] = {}
        self.count = 0

    def fresh(self) -> Type:
        """Return a variable of its own."""
        self.count += 1
        return Type(f"${self.count}")

    def known(self, one: Type) -> Type:
        """Return what a variable stands for, as far as it is bound; another type as it is."""
        while one.name in self.bound:
            one = self.bound[one.name]
        return one

    def final(self, one: Type, depth: int = 0) -> Type:
        """Return the type with its variables replaced; unbound ones are `dyn`."""
        one = self.known(one)
        if one.name[0] == "$" or depth > MAX_DEPTH:
            return DYN
        if not one.parameters:
            return one
        return Type(one.name, tuple(self.final(each, depth + 1) for each in one.parameters), one.fields)

    def instance(self, one: Type, renamed: dict[str, Type]) -> Type:
        """Return a signature's type with variables of this expression for those of the signature."""
        if one.name[0] == "$":
            return renamed.setdefault(one.name, self.fresh())
        if not one.parameters:
            return one
        return Type(one.name, tuple(self.instance(each, renamed) for each in one.parameters), one.fields)

    def matches(self, signature: Signature, given: list[Type]) -> Type | None:
        """Return the result if the signature takes these types, binding variables; else None, and nothing is bound."""
        params = list(signature.params)
        if signature.variadic and len(given) >= len(params):
            params += [params[-1]] * (len(given) - len(params))
        if len(params) != len(given):
            return None
        before = self.bound.copy()
        renamed: dict[str, Type] = {}
        for one, param in zip(given, params, strict=True):
            if not self.assignable(one, self.instance(param, renamed)):
                self.bound = before
                return None
        return self.instance(signature.result, renamed)

    def assignable(self, given: Type, wanted: Type) -> bool:
        """Whether a value of one type may stand where the other is wanted; binds variables."""
        if given == wanted:
            return True
        if wanted.name[0] == "$" or given.name[0] == "$":
            return self._substitutes(given, wanted) if wanted.name[0] == "$" else self._substitutes(wanted, given)
        if DYN in {given, wanted}:
            self._loosen(wanted if given == DYN else given)
            return True
        if NULL in {given, wanted}:
            return (wanted if given == NULL else given).name in _NULLABLE
        given, wanted = _as_map(given, wanted), _as_map(wanted, given)
        return (
            given.name == wanted.name
            and len(given.parameters) == len(wanted.parameters)
            and given.fields == wanted.fields
            and all(self.assignable(one, other) for one, other in zip(given.parameters, wanted.parameters, strict=True))
        )

    def join(self, one: Type, other: Type) -> Type | None:
        """Return the type that is true of values of both types, or None if the two do not go together."""
        if not self.assignable(one, other):
            return None
        return self._general(one, other)

    def _general(self, one: Type, other: Type) -> Type:
        """Return the more general of two types that go together, part by part."""
        if one == other:
            return one
        if one.name[0] == "$" or other.name[0] == "$":
            return one if one.name[0] == "$" else other
        if one.name == "dyn" or other.name == "dyn":
            return DYN
        if NULL in {one, other}:
            return other if one == NULL else one
        one, other = _as_map(one, other), _as_map(other, one)
        pairs = zip(one.parameters, other.parameters, strict=True)
        return Type(one.name, tuple(self._general(first, second) for first, second in pairs), one.fields)

    def _substitutes(self, given: Type, variable: Type) -> bool:
        bound = self.bound.get(variable.name)
        if bound is None:
            if not self._occurs(variable, given):
                self.bound[variable.name] = given
                return True
            return self.known(given) == variable
        if bound == given:
            return True
        if not self.assignable(given, bound):
            return False
        general = self._general(given, bound)
        if not self._occurs(variable, general):
            self.bound[variable.name] = general
        return True

    def _occurs(self, variable: Type, within: Type) -> bool:
        within = self.known(within)
        return within == variable or any(self._occurs(variable, each) for each in within.parameters)

    def _loosen(self, one: Type) -> None:
        """Let the variables of a type that met `dyn` be `dyn`."""
        for each in one.parameters:
            if each.name[0] == "$":
                self._substitutes(DYN, each)
            else:
                self._loosen(each)


def _as_map(one: Type, other: Type) -> Type:
    """Return a record as the map it is, unless it meets a record of the same fields."""
    return map_of(STRING, DYN) if one.name == "record" and one.fields != other.fields else one


def comparable(one: Type, other: Type, bindings: Bindings) -> bool:
    """Whether `==` between the types makes sense: one may be null, and numbers compare with numbers."""
    one, other = bindings.known(one), bindings.known(other)
    if NULL in {one, other} or (one.name in NUMBERS and other.name in NUMBERS):
        return True
    if one.name == other.name and one.name in {"list", "map", "optional"}:
        return all(comparable(a, b, bindings) for a, b in zip(one.parameters, other.parameters, strict=True))
    return bindings.assignable(one, other)


def field_of(one: Type, name: str) -> Field | None:
    """Return the field of a record."""
    return next((field for each, field in one.fields if each == name), None)
