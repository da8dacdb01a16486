"""Real processes and sockets for tests: the gateway as its users start it, an upstream that does exactly as told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
MASTER = "sk-master-0123456789abcdef"
READY_SECONDS = 60.0

Handler = Callable[["Exchange"], Awaitable[None]]


class Answer(NamedTuple):
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)


class Gateway:
    """`interlock serve` as a process of its own; `log` is what it wrote to standard error."""

    def __init__(self, folder: Path, config: str | None, options: tuple[str, ...], environ: dict[str, str]) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [
            sys.executable,
            "-m",
            "engine.cli.main",
            "serve",
            "--port",
            str(self.port),
            "--data",
            str(folder / "data"),
            "--log-format",
            "json",
        ]
        if config is not None:
            (folder / "config.yaml").write_text(config)
            self._command += ["--config", str(folder / "config.yaml")]
        self._command += [*options] if "--host" in options else ["--host", "127.0.0.1", *options]
        self._environ = {
            **{k: v for k, v in os.environ.items() if not k.endswith("_MASTER_KEY")},
            "PYTHONPATH": str(ROOT),
            **environ,
        }
        self._out = (folder / "out").open("w+")
        self._err = (folder / "err").open("w+")
        self.process: subprocess.Popen[str] | None = None

    @property
    def log(self) -> str:
        """What the process wrote to standard error."""
        return (self.folder / "err").read_text()

    @property
    def out(self) -> str:
        """What the process wrote to standard output."""
        return (self.folder / "out").read_text()

    def start(self, *, wait: bool = True) -> Gateway:
        """Start the process; wait until it is ready or has ended."""
        self.process = subprocess.Popen(
            self._command, cwd=self.folder, env=self._environ, stdout=self._out, stderr=self._err, text=True
        )
        deadline = time.monotonic() + READY_SECONDS
        while wait and self.process.poll() is None:
            with contextlib.suppress(OSError):
                if self.get("/health/readiness", key=None).status == 200:
                    break
            assert time.monotonic() < deadline, f"not ready in {READY_SECONDS:.0f} s: {self.log}"
            time.sleep(0.02)
        return self

    def stop(self, number: int = signal.SIGTERM, seconds: float = 15.0) -> int:
        """Send a signal and return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._out.close()
        self._err.close()
        return self.process.returncode

    def rss(self) -> int:
        """Return the process's resident bytes."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def get(self, path: str, key: str | None = MASTER, **headers: str) -> Answer:
        """GET a path."""
        return self.request("GET", path, None, key, headers)

    def post(self, path: str, body: Any, key: str | None = MASTER, **headers: str) -> Answer:
        """POST JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, data, key, {"content-type": "application/json", **headers})

    def request(self, method: str, path: str, data: bytes | None, key: str | None, headers: dict[str, str]) -> Answer:
        """Send any request; header names may use `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            named["authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self.url + path, data, named, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())

    def chat(
        self, text: str = "hello brave new world", model: str = "echo", key: str | None = MASTER, **members: Any
    ) -> Answer:
        """Ask a model one thing."""
        return self.post(
            "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": text}], **members}, key
        )

    def records(self, count: int, seconds: float = 5.0) -> list[dict[str, Any]]:
        """Return the call records once there are `count` of them."""
        path = self.folder / "data" / "records.jsonl"
        deadline = time.monotonic() + seconds
        while True:
            rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
            if len(rows) >= count or time.monotonic() > deadline:
                return rows
            time.sleep(0.05)


class Exchange:
    """One request that reached a scripted upstream, and the socket to answer it on."""

    def __init__(
        self, number: int, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self.head = head
        self.body = body
        self.reader = reader
        self.writer = writer

    @property
    def line(self) -> str:
        """The request line."""
        return self.head.split(b"\r\n", 1)[0].decode()

    def header(self, name: str) -> str | None:
        """Return a request header."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name:
                return value.strip()
        return None

    async def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def json(self, body: Any, status: int = 200, extra: str = "") -> None:
        """Answer with JSON and its length."""
        data = json.dumps(body).encode()
        await self.send(
            f"HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n{extra}content-length: {len(data)}\r\n\r\n".encode()
            + data
        )

    async def stream(self, frames: list[bytes], *, end: bool = True, pause: float = 0.0) -> None:
        """Answer with an event stream, one chunk a frame."""
        await self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for frame in frames:
            await self.send(b"%x\r\n%b\r\n" % (len(frame), frame))
            await asyncio.sleep(pause)
        if end:
            await self.send(b"0\r\n\r\n")

    def close(self) -> None:
        """Close the socket."""
        self.writer.close()

    def abort(self) -> None:
        """Reset the socket."""
        self.writer.transport.abort()


CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
}


class ScriptedUpstream:
    """A raw HTTP/1.1 server: `handler` answers each request as it likes; requests, connections and closes are counted.

    `handler` defaults to answering a small chat completion. `requests` holds every `Exchange`; `closed` counts
    connections that the other side has ended.
    """

    def __init__(self) -> None:
        self.handler: Handler = lambda exchange: exchange.json(CHAT)
        self.requests: list[Exchange] = []
        self.connections = 0
        self.closed = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def base(self) -> str:
        """The `api_base` of this upstream."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut what is open."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed += 1
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0
        )
        body = await reader.readexactly(length)
        self.requests.append(Exchange(len(self.requests), head, body, reader, writer))
        await self.handler(self.requests[-1])
        return not writer.is_closing()
