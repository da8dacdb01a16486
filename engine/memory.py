"""How the process keeps its memory: what a request frees the next one finds, without asking the system.

By default glibc gives the top of the heap back as soon as 128 KiB lie free there, and takes pages of its own for every
larger block: a gateway that carries bodies of 100 KB would then fault the same pages in anew for every one of them.
"""

from __future__ import annotations

import ctypes
import gc
import sys

KEPT = 64 * 1024 * 1024
"""Bytes that may lie free at the top of the heap before the system gets them back."""
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
"""Parameters of mallopt(3)."""


def keep_freed() -> None:
    """Keep freed blocks for the next request; other C libraries than glibc are left as they are."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT)
        mallopt(_MMAP_THRESHOLD, KEPT // 2)


def settle() -> None:
    """Take what is there now for what stays: collections of the young need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
