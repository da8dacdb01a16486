"""What a process that serves needs of the system: its socket, its files, its memory."""

from __future__ import annotations

import resource
import socket
import sys

from engine import memory
from engine.settle import StartError

SWITCH = 0.0005
"""Seconds for which a thread may hold the interpreter while the event loop waits."""


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Open the listening socket, `shared` with other processes; raises StartError saying what stands in the way."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"cannot listen on {host}:{port}: {reason}; choose another with --host or --port") from error
    sock.setblocking(False)
    return sock


def raise_file_limit() -> None:
    """Let the process open as many sockets as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def tune() -> None:
    """Settle what is there by now: threads give way to the loop, and memory stays."""
    sys.setswitchinterval(SWITCH)
    memory.keep_freed()
    memory.settle()
