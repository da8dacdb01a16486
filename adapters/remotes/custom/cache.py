"""What hooks remember between calls, under LiteLLM's names: in memory, of this process only, the oldest entries go first."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

MOST = 10_000
"""Entries kept."""


class DualCache:
    """Values by key, each for `ttl` seconds where that is said; LiteLLM's other arguments mean nothing here."""

    def __init__(self, *of: Any, **more: Any) -> None:
        del of, more
        self._kept: OrderedDict[Any, tuple[Any, float | None]] = OrderedDict()
        self._lock = threading.Lock()

    def get_cache(self, key: Any, **more: Any) -> Any:
        """Return a value, None where there is none any more."""
        del more
        with self._lock:
            return self._get(key)

    def set_cache(self, key: Any, value: Any, **more: Any) -> None:
        """Keep a value; the oldest goes where there are too many."""
        with self._lock:
            self._set(key, value, more.get("ttl"))

    def increment_cache(self, key: Any, value: float = 1, **more: Any) -> Any:
        """Add to a number; its time to live is that of its first."""
        with self._lock:
            before = self._get(key)
            if before is None:
                self._set(key, value, more.get("ttl"))
                return value
            self._kept[key] = (before + value, self._kept[key][1])
            return before + value

    def delete_cache(self, key: Any) -> None:
        """Forget a value."""
        with self._lock:
            self._kept.pop(key, None)

    def flush_cache(self) -> None:
        """Forget all values."""
        with self._lock:
            self._kept.clear()

    def batch_get_cache(self, keys: Iterable[Any], **more: Any) -> list[Any]:
        """Return the values of some keys."""
        return [self.get_cache(key, **more) for key in keys]

    async def async_get_cache(self, key: Any, **more: Any) -> Any:
        """Return a value, None where there is none any more."""
        return self.get_cache(key, **more)

    async def async_set_cache(self, key: Any, value: Any, **more: Any) -> None:
        """Keep a value."""
        self.set_cache(key, value, **more)

    async def async_increment_cache(self, key: Any, value: float = 1, **more: Any) -> Any:
        """Add to a number."""
        return self.increment_cache(key, value, **more)

    async def async_delete_cache(self, key: Any) -> None:
        """Forget a value."""
        self.delete_cache(key)

    async def async_batch_get_cache(self, keys: Iterable[Any], **more: Any) -> list[Any]:
        """Return the values of some keys."""
        return self.batch_get_cache(keys, **more)

    def _get(self, key: Any) -> Any:
        value, until = self._kept.get(key, (None, None))
        if until is not None and until <= time.monotonic():
            del self._kept[key]
            return None
        return value

    def _set(self, key: Any, value: Any, ttl: float | None) -> None:
        self._kept.pop(key, None)
        self._kept[key] = (value, None if ttl is None else time.monotonic() + ttl)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
