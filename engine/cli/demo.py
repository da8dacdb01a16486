"""`interlock demo`: the gateway before a bundled upstream, three calls through it, and then it stays up.

The upstream is a real HTTP server on loopback that answers with small exchanges written for this purpose; nothing leaves
the machine and no account is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shlex
import signal
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import click
import orjson
from aiohttp import web

CONFIG = """\
model_list:
  - model_name: gpt-4o-mini
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "http://127.0.0.1:{upstream}/v1", api_key: sk-demo-upstream}}
  - model_name: text-embedding-3-small
    litellm_params: {{model: openai/text-embedding-3-small, api_base: "http://127.0.0.1:{upstream}/v1", api_key: sk-demo-upstream}}
general_settings:
  master_key: {master}
litellm_settings:
  virtual_keys:
    - {{api_key: {key}, key_alias: demo, models: [gpt-4o-mini, text-embedding-3-small]}}
"""
CALLS = (
    (
        "a chat",
        "/v1/chat/completions",
        '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"The capital of Iceland?"}]}',
    ),
    (
        "a stream",
        "/v1/chat/completions",
        '{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"A haiku, please"}]}',
    ),
    ("an embedding", "/v1/embeddings", '{"model":"text-embedding-3-small","input":"embed this sentence for me"}'),
)


@click.command()
@click.option("--port", default=4000, show_default=True)
@click.option("--once", is_flag=True, help="stop after the three calls")
def command(port: int, once: bool) -> None:
    """Run the gateway before a bundled upstream, make three calls, stay up."""
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(_demo(port, once=once)))


async def _demo(port: int, *, once: bool) -> int:
    runner = web.AppRunner(_upstream())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    upstream = runner.addresses[0][1]
    key, master = f"sk-demo-{secrets.token_hex(8)}", f"sk-{secrets.token_hex(16)}"
    with tempfile.TemporaryDirectory(prefix="interlock-demo-") as folder:
        config = _written(Path(folder, "config.yaml"), CONFIG.format(upstream=upstream, master=master, key=key))
        gateway = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engine.cli.main", "serve", "--config", str(config), "--host", "127.0.0.1", "--port", str(port),
            "--data", str(Path(folder, "data")), env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        try:
            return await _show(
                gateway, Demo(f"http://127.0.0.1:{port}", key, Path(folder, "data", "records.jsonl")), once=once
            )
        finally:
            if gateway.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    gateway.send_signal(signal.SIGTERM)
                await gateway.wait()
            await runner.cleanup()


class Demo(NamedTuple):
    """Where the gateway is, how to call it, and where it writes what calls cost."""

    url: str
    key: str
    records: Path


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


async def _show(gateway: asyncio.subprocess.Process, demo: Demo, *, once: bool) -> int:
    url, key, records = demo
    if not await _ready(gateway, url):
        click.echo("the gateway did not start; its reason is above", err=True)
        return 2
    print(f"\n  Interlock   {url}\n  key         {key}\n")
    good = 0
    for title, path, body in CALLS:
        print(f"--- {title}\n\n{_curl(url + path, key, body)}\n")
        good += await _call(url + path, key, body, records)
    print(f"--- {good} of {len(CALLS)} calls good")
    if once or good < len(CALLS):
        return 0 if good == len(CALLS) else 1
    print(f"\nIt stays up; try the lines above, open {url}/ or {url}/metrics, stop it with Ctrl-C.", flush=True)
    await gateway.wait()
    return 0


async def _ready(gateway: asyncio.subprocess.Process, url: str) -> bool:
    from aiohttp import ClientConnectionError, ClientSession  # noqa: PLC0415 - only a demo that starts needs a client

    async with ClientSession() as session:
        for _ in range(200):
            if gateway.returncode is not None:
                return False
            with contextlib.suppress(ClientConnectionError):
                async with session.get(f"{url}/health/readiness") as answer:
                    if answer.status == 200:
                        return True
            await asyncio.sleep(0.05)
    return False


async def _call(url: str, key: str, body: str, records: Path) -> bool:
    from aiohttp import ClientSession  # noqa: PLC0415 - only a demo that starts needs a client

    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    async with ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        text = (await answer.text()).strip()
        cost = answer.headers.get("x-litellm-response-cost")
        cost = cost or await _recorded(records, answer.headers.get("x-litellm-call-id", ""))
        print(f"status  {answer.status}\ncost    {cost} USD\nanswer  {_said(text)}\n")
        return answer.status == 200


async def _recorded(records: Path, call_id: str) -> str:
    """Return a stream's cost, which its headers came too early for, from its record."""
    for _ in range(40):
        for line in _lines(records):
            record = orjson.loads(line)
            if record["id"] == call_id:
                return f"{record.get('cost', 0) / 1e9:.9f}"
        await asyncio.sleep(0.05)
    return "unknown"


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def _said(text: str) -> str:
    """Return what an answer says, in a line."""
    if text.startswith("data: "):
        frames = [orjson.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        words = "".join(frame["choices"][0]["delta"].get("content") or "" for frame in frames if frame["choices"])
        return f"{len(frames)} frames: {' / '.join(words.splitlines())}"
    answer = orjson.loads(text)
    if "choices" in answer:
        return str(answer["choices"][0]["message"]["content"])
    return text[:120] + ("..." if len(text) > 120 else "")


def _curl(url: str, key: str, body: str) -> str:
    return f"curl -N {url} -H 'authorization: Bearer {key}' -H 'content-type: application/json' -d {shlex.quote(body)}"


def _upstream() -> web.Application:
    """Make the upstream: it answers with the bundled exchange that a request asks for."""
    exchanges = orjson.loads(resources.files("engine.data").joinpath("demo.json").read_bytes())

    async def answer(request: web.Request) -> web.StreamResponse:
        text = (await request.read()).decode()
        for exchange in exchanges:
            if exchange["match"] in text:
                return await _play(request, exchange) if "frames" in exchange else web.json_response(exchange["body"])
        error = {
            "message": "the demo's upstream knows three questions only",
            "type": "demo_error",
            "param": None,
            "code": "404",
        }
        return web.json_response({"error": error}, status=404)

    application = web.Application()
    application.router.add_post("/{path:.*}", answer)
    return application


async def _play(request: web.Request, exchange: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    head = {
        "id": "chatcmpl-demo-2",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": "gpt-4o-mini-2024-07-18",
    }
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": {"content": word}, "finish_reason": None} for word in exchange["frames"]
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    for frame in [
        *({**head, "choices": [choice]} for choice in choices),
        {**head, "choices": [], "usage": exchange["usage"]},
    ]:
        await response.write(b"data: " + orjson.dumps(frame) + b"\n\n")
        await asyncio.sleep(0.02)
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response
