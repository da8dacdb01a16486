"""What the kernel tells: facts of the machine, cores, CPU time and memory of process trees."""

import os
import platform
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def facts() -> dict[str, str | int]:
    """Return what a reader must know to judge the figures."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": f"{os.getloadavg()[0]:.2f}",
    }


def cores() -> tuple[set[int], set[int]]:
    """Return the core of the gateway and the cores of everything else; one and the same on a single core."""
    allowed = sorted(os.sched_getaffinity(0))
    return {allowed[-1]}, set(allowed[:-1]) or {allowed[-1]}


@contextmanager
def pinned(to: set[int]) -> Iterator[None]:
    """Run the block, and for good what it starts, on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, to)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _stat(pid: int) -> list[str]:
    try:
        # The name of a process may hold spaces and parentheses: fields are counted from its last one.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def tree(root: int) -> list[int]:
    """Return the process and all its living descendants."""
    living = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    parents = {pid: _stat(pid)[1:2] for pid in living}
    found = [root]
    for parent in found:
        found += [pid for pid, stat in parents.items() if stat and int(stat[0]) == parent]
    return found


def cpu_ns(pids: Iterable[int]) -> int:
    """Return the user and system time of these processes so far; one that has gone counts nothing."""
    return sum(map(_cpu_ns, pids))


def _cpu_ns(pid: int) -> int:
    try:
        # clock_getcpuclockid(3): the same user+system time as /proc/PID/stat, in nanoseconds instead of ticks.
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        fields = _stat(pid)
        return (int(fields[11]) + int(fields[12])) * _TICK_NS if fields else 0


def rss_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of these processes together."""
    pages = 0
    for pid in pids:
        fields = _stat(pid)
        pages += int(fields[21]) if fields else 0
    return pages * os.sysconf("SC_PAGE_SIZE")
