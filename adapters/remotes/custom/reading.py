"""Reads a file of hooks before it is run: what it asks of a package that is not installed, and we do not have, is an error at load.

Also what only a hook would import, or use, once a call comes. What stands under `if TYPE_CHECKING:` is never run, and who catches
ImportError has thought of it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import ModuleType

from adapters.remotes.custom.offered import imported, lacking

_NEVER = frozenset({"get_config_model"})
"""Methods that only LiteLLM's pages call."""
_MISSING = frozenset({"ImportError", "ModuleNotFoundError"})


def read(source: bytes, path: str, modules: Mapping[str, ModuleType]) -> ast.Module:
    """Return what a file says; raises SyntaxError, also for what nobody has."""
    tree = ast.parse(source, path)
    roots = {name for name in modules if "." not in name}
    named: set[str] = set()
    for node in _run(tree.body, _MISSING | {"Exception", "BaseException", ""}):
        if isinstance(node, ast.Import):
            for one in node.names:
                if one.name.partition(".")[0] in roots:
                    _look(modules, one.name, (), node, path)
                    named |= {one.name} if one.asname is None and "." not in one.name else set()
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] in roots:
            _look(modules, node.module or "", [one.name for one in node.names], node, path)
    for node in _run(tree.body, {"AttributeError"}):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name):
            root = node.value.id
            if root in named and not hasattr(modules[root], node.attr) and node.attr not in _set(tree, root):
                raise _error(lacking(f"{root}.{node.attr}"), node, path)
    return tree


def _look(modules: Mapping[str, ModuleType], name: str, wanted: Sequence[str], node: ast.stmt, path: str) -> None:
    try:
        imported(modules, name, wanted)
    except ImportError as error:
        raise _error(str(error), node, path) from None


def _error(message: str, node: ast.stmt | ast.expr, path: str) -> LackingError:
    return LackingError(message, (path, node.lineno, node.col_offset + 1, None))


class LackingError(SyntaxError):
    """A file asks for what nobody has."""


def _set(tree: ast.Module, root: str) -> set[str]:
    """Name the members of a module that the file itself sets."""
    return {
        node.attr for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name)
        and node.value.id == root
    }  # fmt: skip


def _run(body: Sequence[ast.AST], caught: AbstractSet[str]) -> Iterator[ast.AST]:
    """Give all that may be run, without what is for type checkers only, or is tried by who catches one of these."""
    waiting = list(reversed(body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING":
            waiting += reversed(node.orelse)
        elif isinstance(node, ast.Try) and any(_kinds(handler) & caught for handler in node.handlers):
            waiting += [*node.finalbody, *node.orelse, *node.handlers]
        elif isinstance(node, ast.FunctionDef) and node.name in _NEVER:
            continue
        else:
            yield node
            waiting += reversed([*ast.iter_child_nodes(node)])


def _name(node: ast.expr | None) -> str:
    return str(getattr(node, "id", getattr(node, "attr", "")))


def _kinds(handler: ast.ExceptHandler) -> set[str]:
    """Name what a handler catches; all has no name."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {_name(kind) for kind in kinds}
