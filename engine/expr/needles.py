"""Texts without which an expression is false: `xs.exists(x, x.content.contains("KEY"))` needs `KEY` somewhere in `xs`.

Whoever holds `xs` as bytes can look for them there, and need not make the values that the expression is about.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from engine.expr.nodes import Call, Comprehension, Constant, Local, Logic, Node, Select, Variable

MOST: Final = 64
"""Texts of one expression; with more, looking for each is no gain."""
_FINDERS: Final = frozenset({"contains", "startsWith", "endsWith"})


class Needles(NamedTuple):
    """One of `texts` stands in the field `field` of an element of the list at `path`, or the expression is false.

    Limits apart: where an evaluation would have run into one, the expression is still not true.
    """

    path: tuple[str, ...]
    field: str
    texts: frozenset[str]


def needles(root: Node) -> Needles | None:
    """Find what a condition needs; None where that cannot be told."""
    if isinstance(root, Logic):
        return _junction(root, [needles(one) for one in root.operands])
    if not isinstance(root, Comprehension) or root.macro != "exists" or len(root.slots) != 1:
        return None
    path = _path(root.range)
    found = _said(root.body, root.slots[0])
    return found._replace(path=path) if path and found is not None else None


def _said(node: Node, slot: int) -> Needles | None:
    """Find what a condition about one element needs in one field of it."""
    if isinstance(node, Logic):
        return _junction(node, [_said(one, slot) for one in node.operands])
    if not isinstance(node, Call) or node.name not in _FINDERS or len(node.args) != 2:
        return None
    of, text = node.args
    if not (isinstance(of, Select) and not of.optional and isinstance(of.operand, Local) and of.operand.slot == slot):
        return None
    if not isinstance(text, Constant) or type(text.value) is not str or not text.value:
        return None
    return Needles((), of.field, frozenset({text.value}))


def _junction(node: Logic, found: list[Needles | None]) -> Needles | None:
    """Of `&&` one operand's needles will do, for `false` absorbs whatever the others are; `||` needs those of all."""
    known = [one for one in found if one is not None]
    if node.sign == "&&":
        return known[0] if known else None
    if len(known) < len(found) or len({(one.path, one.field) for one in known}) > 1:
        return None
    texts = frozenset[str]().union(*(one.texts for one in known))
    return known[0]._replace(texts=texts) if len(texts) <= MOST else None


def _path(node: Node) -> tuple[str, ...]:
    steps: list[str] = []
    while isinstance(node, Select) and not node.optional:
        steps.append(node.field)
        node = node.operand
    return (node.name, *reversed(steps)) if isinstance(node, Variable) else ()
