"""Ports for servers that the bench and the tests start, none of which the kernel deals to somebody's connection."""

import random
import socket
from collections.abc import Iterator
from pathlib import Path

_DEALT = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST, _BEYOND = 10_000, 65_536


def _undealt() -> range:
    """Return the wider side of what connections get their own port from (ip(7); RFC 6335 §6 elsewhere)."""
    low, high = map(int, _DEALT.read_text().split()) if _DEALT.exists() else (49_152, 65_535)
    below, above = range(_FIRST, low), range(high + 1, _BEYOND)
    return max(below, above, key=len) or range(_FIRST, _BEYOND)


def _shuffled() -> Iterator[int]:
    """Yield ports for ever, in an order of this process's own: two test processes seldom meet."""
    ports = _undealt()
    while True:
        yield from random.sample(ports, len(ports))


_ports = _shuffled()


def free_port() -> int:
    """Return a loopback port that nobody listens on, and that no outgoing connection will take by chance."""
    for port in _ports:
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("the ports never end")
