"""From an exception back to the place in the expression that raised it; nothing is paid until one is raised."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import islice
from types import CodeType
from typing import Final

from engine.expr.faults import kind_name
from engine.expr.values import Duration, EvaluationError, LimitError, Timestamp, Uint

FILENAME: Final = "<expression>"

_SUBSCRIPTED: Final = re.compile(r"'(\w+)' object is not subscriptable|(list|string) ind")
_NAMES: Final = {one.__name__: kind_name(one) for one in (bool, int, float, Uint, Timestamp, Duration)} | {
    "NoneType": "null",
    "list": "list",
    "string": "string",
}

Places = tuple[tuple[int, int, int, int], ...]
"""Line and columns in the generated code, and the offset in the source they come from."""


def explained(error: BaseException, codes: Collection[CodeType], places: Places, source: str) -> tuple[int, str]:
    """Return the offset in the source at which an evaluation failed, and the reason, without any value in it."""
    found = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            found = trace.tb_frame.f_code, trace.tb_lasti
        trace = trace.tb_next
    return _offset(*found, places) if found else 0, _reason(error, source)


def _offset(code: CodeType, instruction: int, places: Places) -> int:
    """Return the offset of the smallest marked piece of code around an instruction."""
    position = next(islice(code.co_positions(), instruction // 2, None), None)
    if position is None:
        return 0
    line, _, start, end = position
    around = [
        (right - left, offset)
        for number, left, right, offset in places
        if number == line and (start is None or end is None or (left <= start and end <= right))
    ]
    return min(around)[1] if around else 0


def _held(error: TypeError | AttributeError) -> str:
    """Return the type of what was asked for a field though it has none, which Python's own message tells."""
    found = _SUBSCRIPTED.match(str(error))
    return _NAMES.get(found[1] or found[2], "") if found else ""


def _reason(error: BaseException, source: str) -> str:
    if isinstance(error, EvaluationError | LimitError):
        return str(error)
    if isinstance(error, KeyError):
        key = error.args[0] if error.args else None
        return f"no such key: `{key}`" if isinstance(key, str) and key and key in source else "no such key"
    if isinstance(error, IndexError):
        return "index out of range"
    if isinstance(error, TypeError | AttributeError):
        return f"no such overload: a field of {kind}" if (kind := _held(error)) else "no such overload"
    if isinstance(error, RecursionError | MemoryError):
        return "the evaluation takes more memory than it may"
    return f"the evaluation failed: {type(error).__name__}"
