"""WebSocket through the gateway, over real sockets: both ways, refused, and ended by either side."""

from __future__ import annotations

import asyncio
import threading

import aiohttp
import pytest
from aiohttp import web

from tests.running import MASTER

SCIENTIST = "sk-scientist-0123456789"
CONFIG = f"""
model_list: [{{model_name: echo, litellm_params: {{model: echo/x}}}}]
general_settings: {{master_key: {MASTER}}}
litellm_settings: {{virtual_keys: [{{api_key: {SCIENTIST}, key_alias: scientist}}]}}
"""


@pytest.fixture(scope="module")
def chatterbox():
    """Serve WebSocket: text and bytes come back as they are, a room that is full refuses."""
    loop = asyncio.new_event_loop()
    seen: list[dict[str, str]] = []

    async def talk(request):
        seen.append({":path": request.path_qs, **{name.lower(): value for name, value in request.headers.items()}})
        if request.path.endswith("/full"):
            return web.json_response({"error": "full"}, status=403)
        socket_ = web.WebSocketResponse(protocols=("realtime",))
        await socket_.prepare(request)
        async for message in socket_:
            if message.data == "bye":
                await socket_.close(code=4000)
                break
            await (socket_.send_str if message.type == aiohttp.WSMsgType.TEXT else socket_.send_bytes)(message.data)
        return socket_

    async def start():
        application = web.Application()
        application.router.add_get("/{tail:.*}", talk)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner, site._server.sockets[0].getsockname()[1]

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner, port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield port, seen
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
def room(gateway, chatterbox, tmp_path):
    (tmp_path / "p").mkdir()
    text = f'{{kind: PassThrough, name: room, path: /room, target: "http://127.0.0.1:{chatterbox[0]}/r", headers: {{authorization: "Bearer up"}}}}'
    (tmp_path / "p" / "p.yaml").write_text(text)
    return gateway(CONFIG, "--policies", str(tmp_path / "p"))


async def test_websocket_both_ways(room, chatterbox):
    headers = {"authorization": f"Bearer {SCIENTIST}"}
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{room.url}/room/x?a=1", headers=headers, protocols=("realtime",)) as talk:
            assert talk.protocol == "realtime"
            for size in (1, 125, 126, 70_000, 1_000_000):
                await talk.send_bytes(b"x" * size)
                assert await talk.receive_bytes() == b"x" * size
            await talk.send_str("grüß dich")
            assert await talk.receive_str() == "grüß dich"
            await talk.send_str("bye")
            await talk.receive()
            assert talk.close_code == 4000
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{room.url}/room/full", headers=headers)
        assert refused.value.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{room.url}/room/x")
        assert refused.value.status == 401
    assert chatterbox[1][-1]["authorization"] == "Bearer up"
    rows = await asyncio.to_thread(room.records, 3)
    assert [row["status"] for row in rows] == [101, 403, 401]


async def test_websocket_ends_with_either_side(room):
    headers = {"authorization": f"Bearer {SCIENTIST}"}
    async with aiohttp.ClientSession() as session:
        talk = await session.ws_connect(f"{room.url}/room/x", headers=headers)
        await talk.send_str("a")
        await talk.receive_str()
        talk._writer.transport.abort()
    rows = await asyncio.to_thread(room.records, 1)
    assert rows[0]["status"] == 101
    metrics = (await asyncio.to_thread(room.get, "/metrics")).body.decode()
    assert "interlock_calls_active 0" in metrics


@pytest.fixture
def studio(gateway, chatterbox):
    def entry(name: str, params: str) -> str:
        return f"- {{model_name: {name}, litellm_params: {{{params}}}}}\n"

    base = f"http://127.0.0.1:{chatterbox[0]}"
    config = (
        "model_list:\n"
        + entry("voice", f"model: openai/gpt-realtime, api_base: '{base}/v1', api_key: sk-upstream-0123")
        + entry("azure-voice", f"model: azure/my-deployment, api_base: '{base}', api_key: az-0123456789, api_version: '2025-04-01'")
        + entry("text", "model: echo/x")
        + CONFIG.partition("\n")[2].partition("\n")[2]
    )  # fmt: skip
    return gateway(config.replace("key_alias: scientist", "key_alias: scientist, models: [voice, azure-voice, text]"))


async def test_models_that_speak_in_real_time(studio, chatterbox):
    seen = chatterbox[1]
    headers = {"authorization": f"Bearer {SCIENTIST}", "openai-beta": "realtime=v1"}
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{studio.url}/v1/realtime?model=voice&intent=talk", headers=headers) as talk:
            await talk.send_str('{"type":"session.update"}')
            assert await talk.receive_str() == '{"type":"session.update"}'
        assert (seen[-1]["authorization"], seen[-1]["openai-beta"]) == ("Bearer sk-upstream-0123", "realtime=v1")
        assert seen[-1][":path"] == "/v1/realtime?model=gpt-realtime&intent=talk"
        async with session.ws_connect(f"{studio.url}/openai/realtime?deployment=azure-voice", headers=headers) as talk:
            await talk.send_str("x")
            assert await talk.receive_str() == "x"
        assert (seen[-1]["api-key"], "authorization" in seen[-1]) == ("az-0123456789", False)
        assert seen[-1][":path"] == "/openai/realtime?api-version=2025-04-01&deployment=my-deployment"
        offered = ("realtime", f"openai-insecure-api-key.{SCIENTIST}")
        async with session.ws_connect(f"{studio.url}/realtime?model=voice", protocols=offered) as talk:
            assert talk.protocol == "realtime"
        assert seen[-1]["sec-websocket-protocol"] == "realtime"
        for model, status in (("text", 400), ("none", 404), ("", 400)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(f"{studio.url}/realtime?model={model}", headers=headers)
            assert refused.value.status == status, model
    plain = await asyncio.to_thread(studio.get, "/v1/realtime?model=voice", SCIENTIST)
    assert (plain.status, plain.json()["error"]["type"]) == (426, "upgrade_required")
    rows = await asyncio.to_thread(studio.records, 7)
    assert [row["status"] for row in rows[:3]] == [101, 101, 101]
    assert rows[0]["group"] == "voice"


async def test_a_provider_that_cannot_be_reached_in_real_time(gateway):
    config = (
        "model_list: [{model_name: voice, litellm_params: {model: openai/x, api_base: 'http://127.0.0.1:9/v1', api_key: k}}]\n"
        f"general_settings: {{master_key: {MASTER}}}\n"
    )
    running = gateway(config)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(
                f"{running.url}/realtime?model=voice", headers={"authorization": f"Bearer {MASTER}"}
            )
    assert refused.value.status == 502
