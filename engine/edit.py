"""Changes a request's members, decoding only the one that is changed."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from engine.call import Call
from engine.errors import invalid_request
from engine.expr.values import EvaluationError
from engine.policy import REMOVED, Edit


def edit(call: Call, change: Edit) -> None:
    """Make one change; raises ClientError 400 where a path leads into what is not an object."""
    name, *inner = change.path
    members = call.members
    if not inner:
        if change.value is REMOVED:
            members.pop(name, None)
        else:
            members[name] = _encoded(change.value)
        return
    if name not in members and change.value is REMOVED:
        return
    whole: Any = msgspec.json.decode(members[name]) if name in members else {}
    holder = whole
    for step in inner[:-1]:
        if not isinstance(holder, dict):
            break
        holder = holder.setdefault(step, {})
    if not isinstance(holder, dict):
        raise invalid_request(f"`{'.'.join(change.path)}` cannot be set: what holds it is not an object", name)
    if change.value is REMOVED:
        holder.pop(inner[-1], None)
    else:
        holder[inner[-1]] = change.value
    members[name] = _encoded(whole)


def _encoded(value: object) -> Raw:
    try:
        return Raw(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError):
        raise EvaluationError("the value of a transform is not a JSON value") from None
