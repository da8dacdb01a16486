"""Long work on the event loop in slices, so that calls go on between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from typing import Any, TypeVar

SLICE = 0.002
"""Seconds of work before others have the event loop."""

T = TypeVar("T")


async def breathe() -> None:
    """Let everything else that waits have the event loop."""
    await asyncio.sleep(0)


async def sliced(steps: Generator[None, None, T]) -> T:
    """Take short steps, letting others have the event loop every two milliseconds."""
    began = time.perf_counter()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Any = end.value
            return result  # type: ignore[no-any-return]  # what a generator returns has no type here
        if time.perf_counter() - began > SLICE:
            await breathe()
            began = time.perf_counter()
