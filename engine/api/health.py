"""Health, metrics and the page at `/`."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from engine import __version__
from engine.api.json import answer
from engine.snapshot import Snapshot

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Interlock</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}}code{{background:#eee;padding:.1em .3em}}</style>
<h1>Interlock {version}</h1><p>A policy-enforcing gateway for language models. It is {state}, with {models} in front of its upstreams.</p>
<ul><li><code>POST /v1/chat/completions</code>, <code>/v1/completions</code>, <code>/v1/embeddings</code>, <code>/v1/responses</code>: with
<code>Authorization: Bearer sk-...</code>; with and without <code>/v1</code></li>
<li><code>POST /v1/images/generations</code>, <code>/v1/images/edits</code>, <code>/v1/images/variations</code>, <code>/v1/audio/speech</code>,
<code>/v1/audio/transcriptions</code>, <code>/v1/audio/translations</code>, <code>/v1/moderations</code>, <code>/v1/rerank</code></li>
<li><a href="/v1/models"><code>GET /v1/models</code></a>: the models your key may call</li>
<li><a href="/health/readiness"><code>GET /health/readiness</code></a>, <a href="/health/liveliness"><code>/health/liveliness</code></a>,
<a href="/metrics"><code>/metrics</code></a></li></ul></html>
"""


class Health:
    """Says how the gateway is.

    `state` returns what readiness reports beside its status, with `ready` among it; `metrics` Prometheus' text.
    """

    def __init__(
        self, state: Callable[[], Awaitable[dict[str, Any]]], metrics: Callable[[], Awaitable[str]],
        snapshot: Callable[[], Snapshot],
    ) -> None:  # fmt: skip
        self._state = state
        self._metrics = metrics
        self._snapshot = snapshot

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [
            web.get("/", self.page),
            web.get("/ui", self.page),
            web.get("/health/liveliness", self.alive),
            web.get("/health/liveness", self.alive),
            web.get("/health/readiness", self.ready),
            web.get("/metrics", self.metrics),
        ]

    async def alive(self, request: web.Request) -> web.Response:
        """Answer as long as the process can."""
        del request
        return answer("I'm alive!")

    async def ready(self, request: web.Request) -> web.Response:
        """Answer 200 while calls are taken, 503 while they are not."""
        del request
        state = await self._state()
        ready = state.pop("ready")
        return answer({"status": "healthy" if ready else "unhealthy", **state}, 200 if ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer in Prometheus' text format."""
        del request
        return web.Response(
            text=await self._metrics(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def page(self, request: web.Request) -> web.Response:
        """Answer with a page that says what is here."""
        del request
        snapshot = self._snapshot()
        count = len(snapshot.groups) + len(snapshot.wildcards)
        models = "one model" if count == 1 else f"{count} models"
        state = "ready" if (await self._state())["ready"] else "not ready"
        return web.Response(
            text=PAGE.format(version=html.escape(__version__), state=state, models=models), content_type="text/html"
        )
