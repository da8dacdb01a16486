"""Bytes on the wire: a client that sends what no HTTP library would, and an upstream with a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

from tests.running import MASTER, Answer, Gateway, ScriptedUpstream

PATIENCE = 10.0
"""Seconds that anything may take which should happen at once."""
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Wire:
    """One client connection."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.sock = socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE)
        self._held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> Wire:
        """Send bytes as they are; a connection that is closed already takes them too."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.sock.sendall(data)
        return self

    def receive(self) -> bytes:
        """Take what the next read brings; nothing at the end."""
        try:
            return self.sock.recv(65536)
        except ConnectionResetError:
            return b""

    def until(self, mark: bytes) -> bytes:
        """Read through a mark; raises EOFError when the connection ends before it."""
        while mark not in self._held:
            data = self.receive()
            if not data:
                raise EOFError(f"closed after {self._held[-300:]!r}")
            self._held += data
        at = self._held.index(mark) + len(mark)
        found, self._held = self._held[:at], self._held[at:]
        return found

    def answer(self) -> Answer:
        """Read one answer that says its length."""
        head = self.until(b"\r\n\r\n")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        while len(self._held) < size:
            data = self.receive()
            if not data:
                raise EOFError("closed within a body")
            self._held += data
        body, self._held = self._held[:size], self._held[size:]
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
        return Answer(int(status.split(" ")[1]), headers, body)

    def rest(self) -> bytes:
        """Read to the end of the connection; raises TimeoutError when it stays open."""
        while data := self.receive():
            self._held += data
        found, self._held = self._held, b""
        return found

    def closed(self) -> bool:
        """Tell whether the connection ends, and without another byte."""
        try:
            return self.rest() == b""
        except TimeoutError:
            return False


def post(body: Any, *lines: str, key: str | None = MASTER, path: str = "/v1/chat/completions") -> bytes:
    """Write a POST with its length and these header lines."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(data)}", *lines]
    if key is not None:
        head.append(f"authorization: Bearer {key}")
    return "\r\n".join([*head, "", ""]).encode() + data


def chat(model: str = "echo", text: str = "hello", **members: Any) -> dict[str, Any]:
    """Write the members of a chat completion."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **members}


@contextlib.contextmanager
def threaded() -> Iterator[ScriptedUpstream]:
    """Serve a scripted upstream on a loop of its own, for tests that wait for the gateway by blocking."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ScriptedUpstream()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(PATIENCE)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


def eventually(condition: Any, seconds: float = PATIENCE) -> bool:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
