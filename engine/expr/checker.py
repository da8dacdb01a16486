"""Names and types: what each part of an expression stands for, and whether the parts go together.

Typing is gradual: what is `dyn` goes with everything and is looked at again at run time; what is deduced of the rest is
true, and the code generator relies on it. Unchecked, nothing is a fault here and every variable is `dyn`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from engine.expr.checker_macros import MacroVisits
from engine.expr.deduction import type_of
from engine.expr.folding import folded
from engine.expr.macros import MACROS
from engine.expr.nodes import (
    Binary,
    Call,
    Conditional,
    Constant,
    Has,
    Index,
    ListLiteral,
    Local,
    Logic,
    MapLiteral,
    Name,
    Node,
    Select,
    Unary,
    Variable,
    walk,
)
from engine.expr.overloads import chosen, refusal, refused_call, result_of
from engine.expr.problems import suggestion
from engine.expr.schema import BOOL, DYN, NULL, STRING, Type, list_of, map_of, optional_of
from engine.expr.unify import NUMBERS, field_of

Visit = Generator[Node, Node, Node]

_KEYS: Final = frozenset(["bool", "int", "uint", "string", "dyn"])
_NEGATED: Final = {"!": frozenset(["bool", "dyn"]), "-": frozenset(["int", "double", "dyn"])}


class Checker(MacroVisits):
    """Checks one tree; what is wrong gathers in `faults`, as offsets and messages."""

    def check(self, root: Node) -> Node:
        """Return the tree with names resolved and types deduced."""
        return walk(self.visit, root)

    def visit(self, node: Node) -> Visit:
        """Visit a node of any kind."""
        visit: Visit = self.visits[type(node)](self, node)
        return visit

    def constant(self, node: Constant) -> Visit:
        """Deduce the type of a literal."""
        yield from ()
        return self.typed(node, type_of(node.value))

    def name(self, node: Name) -> Visit:
        """Find out what an identifier stands for."""
        yield from ()
        local = None if node.absolute else self.scope.get(node.name)
        if local is not None:
            return self.typed(Local(node.at, node.name, local[0]), local[1])
        found = self.names.find(node.at, node.name, absolute=node.absolute)
        if found is None:
            self.fault(node.at, self.unknown_variable(node.name))
            return Variable(node.at, node.name)
        return self.untrusted(found)

    def unknown_variable(self, name: str) -> str:
        """Return the message about a name that stands for nothing."""
        elsewhere = self.names.schema.elsewhere.get(name)
        if elsewhere is not None:
            return elsewhere
        return f"unknown variable `{name}`{suggestion(name, [*self.scope, *self.names.schema.variables])}"

    def select(self, node: Select) -> Visit:
        """Deduce the type of a field, if the whole is not a name."""
        spelled = None if node.optional else self.names.spelled(node)
        if spelled is not None and (spelled[1].absolute or spelled[1].name not in self.scope):
            whole = self.names.find(node.at, spelled[0], absolute=spelled[1].absolute)
            if whole is not None:
                return self.untrusted(whole)
        node.operand = yield node.operand
        return self.typed(node, self.field_type(node, node.operand, optional=node.optional))

    def has(self, node: Has) -> Visit:
        """Check that the field may exist."""
        node.operand = yield node.operand
        self.field_type(node, node.operand, optional=False)
        return self.typed(node, BOOL)

    def field_type(self, node: Select | Has, operand: Node, *, optional: bool) -> Type:
        """Return the type of a field; that of an optional is optional, and so is that of `.?`."""
        one = self.shape(operand.type)
        if one.name == "optional":
            one, optional = self.shape(one.parameters[0]), True
        found = DYN
        if one.name == "map":
            found = one.parameters[1]
        elif one.name == "record":
            found = self.record_field(node, operand, one, node.field)
        elif one.name != "dyn":
            self.fault(node.at, f"{one} has no field `{node.field}`")
        return self.as_optional(found) if optional else found

    def record_field(self, node: Node, operand: Node, one: Type, name: str) -> Type:
        """Return the type of a record's field."""
        field = field_of(one, name)
        if field is not None:
            return field.type
        owner = "the record"
        if isinstance(operand, Variable | Local):
            owner = f"`{operand.name}`"
        elif isinstance(operand, Select):
            owner = f"`{operand.field}`"
        self.fault(node.at, f"{owner} has no field `{name}`{suggestion(name, [each for each, _ in one.fields])}")
        return DYN

    def as_optional(self, one: Type) -> Type:
        """Return the optional of a type; that of an optional is itself."""
        return one if one.name == "optional" else optional_of(one)

    def index(self, node: Index) -> Visit:
        """Deduce the type of what a list or map holds."""
        node.operand = yield node.operand
        node.key = yield node.key
        one, optional = self.shape(node.operand.type), node.optional
        if one.name == "optional":
            one, optional = self.shape(one.parameters[0]), True
        found = self.element_type(node, one)
        return self.typed(node, self.as_optional(found) if optional else found)

    def element_type(self, node: Index, one: Type) -> Type:
        """Return the type of `operand[key]`."""
        key = self.shape(node.key.type)
        if one.name == "list":
            if key.name not in NUMBERS and key != DYN:
                self.fault(node.at, f"a list is indexed by int, not by {key}")
            return one.parameters[0]
        if one.name == "map":
            wanted = self.shape(one.parameters[0])
            if not (wanted.name in NUMBERS and key.name in NUMBERS) and not self.bindings.assignable(key, wanted):
                self.fault(node.at, f"the keys are {wanted}, not {key}")
            return one.parameters[1]
        if one.name == "record":
            if isinstance(node.key, Constant) and type(node.key.value) is str:
                return self.record_field(node, node.operand, one, node.key.value)
            if key not in {STRING, DYN}:
                self.fault(node.at, f"the keys are string, not {key}")
        elif one.name != "dyn":
            self.fault(node.at, f"{one} cannot be indexed")
        return DYN

    def call(self, node: Call) -> Visit:
        """Find the function, and the overload that takes the arguments."""
        function = None if self.shadowed(node.receiver) else self.names.function(node)
        method = node.receiver is not None and function is None
        space = self.namespace(node.receiver) if method else ""
        if method and not space and node.receiver is not None:
            node.args.insert(0, (yield node.receiver))
            function = self.names.functions.get(node.name)
        node.receiver = None
        for position in range(int(method and not space), len(node.args)):
            node.args[position] = yield node.args[position]
        node.function = function
        if function is None:
            self.unknown_function(node, f"{space}.{node.name}" if space else node.name, method=method and not space)
            return node
        given = [self.shape(one.type) for one in node.args]
        fitting = [one for one in function.signatures if one.method is method]
        result = chosen(fitting, given, self.bindings)
        if result is None:
            self.fault(node.at, refused_call(function, [self.bindings.final(one) for one in given], method=method))
            if not fitting:
                node.function = None
        return self.folded(self.typed(node, result or DYN))

    def shadowed(self, receiver: Node | None) -> bool:
        """Whether the receiver begins with a macro's variable, and so is no part of a function's name."""
        spelled = None if receiver is None else self.names.spelled(receiver)
        return spelled is not None and not spelled[1].absolute and spelled[1].name in self.scope

    def namespace(self, receiver: Node | None) -> str:
        """Return the receiver as it is spelled, if that is what functions' names begin with and nothing else."""
        spelled = None if receiver is None else self.names.spelled(receiver)
        if spelled is None or spelled[0] not in self.names.namespaces or self.shadowed(receiver):
            return ""
        return "" if self.names.find(0, spelled[0]) is not None else spelled[0]

    def unknown_function(self, node: Call, name: str, *, method: bool) -> None:
        """Fault a call of a function that is not there."""
        if name in MACROS:
            self.fault(node.at, f"`{name}` is written `{MACROS[name]}`")
            return
        wanted = [
            each
            for each, function in self.names.functions.items()
            if any(one.method is method for one in function.signatures)
        ]
        self.fault(node.at, f"unknown function `{name}`{suggestion(name, [*wanted, *MACROS])}")

    def unary(self, node: Unary) -> Visit:
        """Check `!x` and `-x`."""
        node.operand = yield node.operand
        one = self.shape(node.operand.type)
        if one.name not in _NEGATED[node.sign]:
            self.fault(node.at, f"`{node.sign}` does not take {one}")
            one = DYN
        return self.folded(self.typed(node, BOOL if node.sign == "!" else one))

    def binary(self, node: Binary) -> Visit:
        """Check an operator with two sides."""
        node.left = yield node.left
        node.right = yield node.right
        result = result_of(node.sign, self.shape(node.left.type), self.shape(node.right.type), self.bindings)
        if result is None:
            left, right = (self.bindings.final(one.type) for one in (node.left, node.right))
            self.fault(node.at, refusal(node.sign, left, right))
            result = DYN
        return self.folded(self.typed(node, result))

    def logic(self, node: Logic) -> Visit:
        """Check that all operands are bool."""
        for position, operand in enumerate(node.operands):
            checked = yield operand
            node.operands[position] = checked
            self.condition(checked, f"`{node.sign}` takes bool")
        return self.typed(node, BOOL)

    def conditional(self, node: Conditional) -> Visit:
        """Check the test, and that both branches have a type in common."""
        node.test = yield node.test
        self.condition(node.test, "the condition before `?` is bool")
        node.yes = yield node.yes
        node.no = yield node.no
        joined = self.bindings.join(node.yes.type, node.no.type)
        if joined is None:
            yes, no = (self.bindings.final(one.type) for one in (node.yes, node.no))
            if NULL not in {yes, no}:
                self.fault(node.at, f"`?` gives {yes} or {no}: both must be of one type, or dyn(x)")
            joined = DYN
        return self.typed(node, joined)

    def list_literal(self, node: ListLiteral) -> Visit:
        """Deduce the type that all items have in common."""
        joined: Type | None = None
        for position, item in enumerate(node.items):
            node.items[position] = checked = yield item
            one = self.item_type(checked, optional=position in node.optionals)
            joined = one if joined is None else (self.bindings.join(joined, one) or DYN)
        return self.folded(self.typed(node, list_of(joined or self.bindings.fresh())))

    def map_literal(self, node: MapLiteral) -> Visit:
        """Deduce the types that all keys and all values have in common."""
        keys: Type | None = None
        values: Type | None = None
        for position, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
            node.keys[position] = checked = yield key
            if self.shape(checked.type).name not in _KEYS:
                self.fault(key.at, f"a key is string, int, uint or bool, not {self.bindings.final(checked.type)}")
                checked.type = DYN
            keys = checked.type if keys is None else (self.bindings.join(keys, checked.type) or DYN)
            node.values[position] = checked = yield value
            one = self.item_type(checked, optional=position in node.optionals)
            values = one if values is None else (self.bindings.join(values, one) or DYN)
        fresh = self.bindings.fresh
        return self.folded(self.typed(node, map_of(keys or fresh(), values or fresh())))

    def item_type(self, item: Node, *, optional: bool) -> Type:
        """Return what an item adds to a literal: with a question mark, what the optional holds."""
        if not optional:
            return item.type
        one = self.shape(item.type)
        if one.name == "optional":
            return one.parameters[0]
        if one != DYN:
            self.fault(item.at, f"after `?` stands an optional, not {one}")
        return DYN

    def folded(self, node: Node) -> Node:
        """Return the constant that a node of constants is, or the node; a literal that is wrong is a fault."""
        after, wrong = folded(node)
        if wrong:
            self.fault(node.at, wrong)
        return after


Checker.visits = {
    **MacroVisits.visits,
    Constant: Checker.constant,
    Name: Checker.name,
    Select: Checker.select,
    Has: Checker.has,
    Index: Checker.index,
    Call: Checker.call,
    Unary: Checker.unary,
    Binary: Checker.binary,
    Logic: Checker.logic,
    Conditional: Checker.conditional,
    ListLiteral: Checker.list_literal,
    MapLiteral: Checker.map_literal,
}
