"""Many processes on one port: the master reads the configuration and keeps the workers, who answer the calls."""

from __future__ import annotations

from engine.workers.master import Master

__all__ = ["Master"]
