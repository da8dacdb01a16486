"""Changes a request's members, decoding only the one that is changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from engine.body import Members
from engine.errors import invalid_request
from engine.expr.values import EvaluationError, Uint
from engine.policy import REMOVED, Edit

NULL = Raw(b"null")
ABSENT = object()


def edit(members: Members, change: Edit) -> None:
    """Make one change; raises ClientError 400 where a path leads into what is not an object."""
    name, *inner = change.path
    if not inner:
        if change.value is REMOVED:
            members.pop(name, None)
        else:
            members[name] = _encoded(change.value)
        return
    whole: Any = msgspec.json.decode(members.get(name, NULL))
    if change.value is REMOVED:
        if _removed(whole, inner):
            members[name] = _encoded(whole)
        return
    whole = holder = {} if whole is None else whole
    for step in inner[:-1]:
        if not isinstance(holder, dict):
            break
        if holder.get(step) is None:
            holder[step] = {}
        holder = holder[step]
    if not isinstance(holder, dict):
        raise invalid_request(f"`{'.'.join(change.path)}` cannot be set: what holds it is not an object", name)
    holder[inner[-1]] = change.value
    members[name] = _encoded(whole)


def _removed(holder: Any, path: Sequence[str]) -> bool:
    """Take away what a path leads to; False when there is no such thing."""
    for step in path[:-1]:
        holder = holder.get(step) if isinstance(holder, dict) else None
    return isinstance(holder, dict) and holder.pop(path[-1], ABSENT) is not ABSENT


def written(change: Edit) -> Edit:
    """Return a change with its value as JSON, if it sets a whole member: it can be made many times."""
    whole = len(change.path) == 1 and change.value is not REMOVED
    return change._replace(value=_encoded(change.value)) if whole else change


def _encoded(value: object) -> Raw:
    if type(value) is Raw:
        return value
    if type(value) is int:
        return Raw(b"%d" % value)
    try:
        return Raw(msgspec.json.encode(value, enc_hook=_number))
    except (TypeError, ValueError, RecursionError):
        raise EvaluationError("the value of a transform is not a JSON value") from None


def _number(value: object) -> int:
    """Write an unsigned number; whatever else JSON does not know is refused."""
    if isinstance(value, Uint):
        return int(value)
    raise TypeError
