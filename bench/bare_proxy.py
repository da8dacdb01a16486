"""The yardstick: an ordinary aiohttp reverse proxy, written the way a competent user writes it."""

import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_TARGET = web.AppKey("target", str)
_SESSION = web.AppKey("session", aiohttp.ClientSession)


def _end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP)


async def relay(request: web.Request) -> web.StreamResponse:
    """Send the request on and bring the answer back."""
    body = await request.read()
    url = request.app[_TARGET] + request.raw_path
    headers = _end_to_end(request.headers)
    async with request.app[_SESSION].request(request.method, url, headers=headers, data=body) as answer:
        back = _end_to_end(answer.headers)
        if answer.content_type != "text/event-stream":
            return web.Response(status=answer.status, headers=back, body=await answer.read())
        out = web.StreamResponse(status=answer.status, headers=back)
        await out.prepare(request)
        async for piece in answer.content.iter_any():
            await out.write(piece)
        await out.write_eof()
        return out


async def _session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        skip_auto_headers=("user-agent", "accept", "accept-encoding", "content-type"),
    ) as session:
        app[_SESSION] = session
        yield


def application(target: str) -> web.Application:
    """Return the proxy in front of `target`."""
    app = web.Application(client_max_size=64 << 20)
    app[_TARGET] = target
    app.cleanup_ctx.append(_session)
    app.router.add_route("*", "/{path:.*}", relay)
    return app


def main(port: int, target: str) -> None:
    """Serve on loopback until told to stop."""
    web.run_app(
        application(target),
        host="127.0.0.1",
        port=port,
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
