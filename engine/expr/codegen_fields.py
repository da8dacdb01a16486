"""The code of fields, indices and literals: `d["k"]` on dicts, and never any attribute of anything."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

from engine.expr.folding import constant_value
from engine.expr.nodes import Constant, Has, Index, ListLiteral, MapLiteral, Node, Select
from engine.expr.schema import DYN
from engine.expr.unify import field_of
from engine.expr.visits import CodeVisits
from engine.expr.writing import Code, marked

Visit = Generator[Node, Code, Code]


class FieldVisits(CodeVisits):
    """Visits to what reads parts of values, and to what makes values of parts."""

    visits: ClassVar[dict[type, Any]]

    def select(self, node: Select) -> Visit:
        """Generate `operand.field` or `operand.?field`."""
        operand = yield node.operand
        return self.selected(node, operand, node.field, optional=node.optional)

    def selected(self, node: Node, operand: Code, name: str, *, optional: bool) -> Code:
        """Return the code of a field: a KeyError says that it is missing, a TypeError that there are no fields."""
        if optional or operand.type.name == "optional":
            return self.found(node, operand, ascii(name))
        depth, kind = operand.depth + 1, node.type
        if operand.type.name not in {"dyn", "map", "record"}:
            return Code(marked(node, f"index({operand.text}, {name!a})"), kind, True, depth)
        text = f"{operand.text}[{name!a}]"
        if operand.type.name == "record":
            field = field_of(operand.type, name)
            if field is not None and not field.optional:
                return Code(text, kind, operand.fails, depth, operand.cheap and depth < 5)
        return Code(marked(node, text), kind, True, depth, operand.cheap and depth < 5)

    def found(self, node: Node, operand: Code, key: str) -> Code:
        """Return the code of a part that may be missing, as an optional."""
        return Code(marked(node, f"find({operand.text}, {key})"), node.type, True, operand.depth + 1)

    def has(self, node: Has) -> Visit:
        """Generate `has(operand.field)`."""
        operand = yield node.operand
        name = ascii(node.field)
        if operand.type.name in {"record", "map"}:
            return Code(f"({name} in {operand.text})", node.type, operand.fails, operand.depth + 1)
        if operand.type.name != "dyn":
            return Code(marked(node, f"has_field({operand.text}, {name})"), node.type, True, operand.depth + 1)
        value = self.new_name()
        long = marked(node, f"has_field({value}, {name})")
        text = f"({name} in {value} if type({value} := {operand.text}) is dict else {long})"
        return Code(text, node.type, True, operand.depth + 2)

    def index(self, node: Index) -> Visit:
        """Generate `operand[key]` or `operand[?key]`."""
        operand = yield node.operand
        constant = node.key.value if isinstance(node.key, Constant) else None
        holder = operand.type.name
        if type(constant) is str and holder != "list":
            return self.selected(node, operand, constant, optional=node.optional)
        key = yield node.key
        if node.optional or holder == "optional":
            code = self.found(node, operand, key.text)
            return code._replace(depth=max(operand.depth, key.depth) + 1)
        if type(constant) is int and constant >= 0 and holder in {"list", "dyn"}:
            return self.at_position(node, operand, constant)
        text = self.indexed(node, operand, key)
        return Code(text, node.type, True, max(operand.depth, key.depth) + 2)

    def at_position(self, node: Index, operand: Code, position: int) -> Code:
        """Return the code of a list's value at a position known at load."""
        if operand.type.name == "list":
            text = marked(node, f"{operand.text}[{position}]")
            return Code(text, node.type, True, operand.depth + 1, operand.cheap and operand.depth < 4)
        name = self.new_name()
        short, long = marked(node, f"{name}[{position}]"), marked(node, f"index({name}, {position})")
        text = f"({short} if type({name} := {operand.text}) is list else {long})"
        return Code(text, node.type, True, operand.depth + 2)

    def indexed(self, node: Index, operand: Code, key: Code) -> str:
        """Return the text of `operand[key]`: maps with text for keys are Python's own."""
        general = marked(node, f"index({operand.text}, {key.text})")
        if operand.type.name not in {"map", "record"} or key.type.name not in {"string", "dyn"}:
            return general
        if key.type.name == "string":
            return marked(node, f"{operand.text}[{key.text}]")
        operand, name = self.twice(operand), self.new_name()
        short, long = marked(node, f"{operand.text}[{name}]"), marked(node, f"index({operand.text}, {name})")
        return f"({short} if type({name} := {key.text}) is str else {long})"

    def list_literal(self, node: ListLiteral) -> Visit:
        """Generate a list."""
        items: list[Code] = []
        texts: list[str] = []
        for position, item in enumerate(node.items):
            code = yield item
            if position in node.optionals:
                text, held = marked(item, f"optional_item({code.text})"), code.type.name == "optional"
                code = Code(text, DYN, code.fails or not held, code.depth + 1)
                texts.append(f"*{code.text}")
            else:
                texts.append(code.text)
            items.append(code)
        depth = max((code.depth for code in items), default=0) + 1
        code = Code(f"[{', '.join(texts)}]", node.type, any(code.fails for code in items), depth)
        return self.weighed(node, code) if items else code

    def map_literal(self, node: MapLiteral) -> Visit:
        """Generate a map: a dict display if its keys are distinct strings, known at load."""
        pairs: list[tuple[Code, Code]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            pairs.append(((yield key), (yield value)))
        codes = [code for pair in pairs for code in pair]
        depth, fails = max((code.depth for code in codes), default=0) + 2, any(code.fails for code in codes)
        names = [constant_value(key) for key in node.keys]
        plain = not node.optionals and all(type(name) is str for name in names) and len(set(names)) == len(names)
        if plain:
            text = ", ".join(f"{key.text}: {value.text}" for key, value in pairs)
            return self.weighed(node, Code(f"{{{text}}}", node.type, fails, depth))
        texts = [
            marked(node.values[position], f"*optional_entry({key.text}, {value.text})")
            if position in node.optionals
            else f"({key.text}, {value.text})"
            for position, (key, value) in enumerate(pairs)
        ]
        code = Code(marked(node, f"new_map([{', '.join(texts)}])"), node.type, True, depth)
        return self.weighed(node, code)


FieldVisits.visits = {
    Select: FieldVisits.select,
    Has: FieldVisits.has,
    Index: FieldVisits.index,
    ListLiteral: FieldVisits.list_literal,
    MapLiteral: FieldVisits.map_literal,
}
