"""What several processes say of themselves, made into what one gateway says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

MOST = frozenset({"interlock_loop_gap_seconds_max", "interlock_policies"})
LEAST = frozenset({"interlock_revision"})
"""Families that are not sums over the processes; of the master's own only its word counts."""
OWN = frozenset({"interlock_config_in_sync", "interlock_reloads_total"})


class Family:
    """One family of metrics: its two lines of comment, and its samples."""

    __slots__ = ("head", "samples", "type")

    def __init__(self, head: str) -> None:
        self.head = head
        self.type = ""
        self.samples: dict[str, float] = {}


def families(text: str) -> dict[str, Family]:
    """Read Prometheus' text format as `Metrics` writes it."""
    found: dict[str, Family] = {}
    family = Family("")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = found[line.split(" ", 3)[2]] = Family(line)
        elif line.startswith("# TYPE "):
            family.type = line.rsplit(" ", 1)[1]
        elif line:
            name, _, value = line.rpartition(" ")
            family.samples[name] = float(value)
    return found


def summed(texts: Iterable[str]) -> dict[str, Family]:
    """Add up what processes have counted."""
    whole: dict[str, Family] = {}
    for text in texts:
        for name, family in families(text).items():
            into = whole.setdefault(name, family)
            if into is family:
                continue
            add: Callable[[float, float], float] = max if name in MOST else min if name in LEAST else float.__add__
            for sample, value in family.samples.items():
                into.samples[sample] = add(into.samples[sample], value) if sample in into.samples else value
    return whole


def counted(text: str) -> str:
    """Leave of a process that is gone what it has counted: a sum that fell would be taken for a restart."""
    return written({name: one for name, one in families(text).items() if one.type != "gauge"})


def written(whole: Mapping[str, Family]) -> str:
    """Write families in Prometheus' text format."""
    lines = []
    for name, family in whole.items():
        lines += [family.head, f"# TYPE {name} {family.type}"]
        lines += [f"{sample} {_number(value)}" for sample, value in family.samples.items()]
    return "\n".join([*lines, ""])


def whole_metrics(own: str, workers: Sequence[str], wanted: int, running: int) -> str:
    """Return what the gateway has counted, by what its master and its workers have."""
    whole = summed(workers)
    whole |= {name: family for name, family in families(own).items() if name in OWN}
    for name, meaning, value in (
        ("interlock_workers", "worker processes there should be", wanted),
        ("interlock_workers_running", "worker processes that answer", running),
    ):
        family = whole[name] = Family(f"# HELP {name} {meaning}")
        family.type, family.samples[name] = "gauge", value
    return written(whole)


def whole_state(states: Sequence[Mapping[str, Any]], wanted: int) -> dict[str, Any]:
    """Return how the gateway is: ready while every worker that answers is, and one does."""
    workers = {"configured": wanted, "running": len(states)}
    if not states:
        return {"ready": False, "workers": workers}
    return {
        **states[0],
        "ready": all(state["ready"] for state in states),
        "db": _worst(states, "db", "connected"),
        "journal": _worst(states, "journal", "healthy"),
        "counters": _worst(states, "counters", "connected"),
        "cache": _worst(states, "cache", states[0]["cache"]),
        "revision": min(state["revision"] for state in states),
        "draining": any(state["draining"] for state in states),
        "components_down": {name: why for state in states for name, why in state["components_down"].items()},
        "workers": workers,
    }


def _worst(states: Sequence[Mapping[str, Any]], name: str, well: Any) -> Any:
    return next((state[name] for state in states if state[name] != well), well)


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.9f}".rstrip("0")
