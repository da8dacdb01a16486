"""Work that may take long, off the event loop: in one thread, for all of it holds the same interpreter lock.

With several threads the loop would compete with each of them whenever it wants the lock back; with one it waits half a
millisecond, or as long as a single call into C takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_thread = ThreadPoolExecutor(1, "aside")


async def aside(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do work in the thread, after what waits there already."""
    return await asyncio.get_running_loop().run_in_executor(_thread, lambda: work(*args, **kwargs))
