"""Paths to providers that need no configuration, and the model lists that hold for them."""

from __future__ import annotations

import pytest

from tests.end_to_end.wires import threaded
from tests.running import MASTER

SCIENTIST = "sk-scientist-0123456789"
CONFIG = f"""
model_list: [{{model_name: echo, litellm_params: {{model: echo/x}}}}]
general_settings:
  master_key: {MASTER}
  pass_through_endpoints:
  - {{path: /bria, target: "{{base}}/bria", include_subpath: true}}
litellm_settings: {{virtual_keys: [{{api_key: {SCIENTIST}, key_alias: scientist, team_id: research}}]}}
"""


@pytest.fixture(scope="module")
def upstream():
    with threaded() as server:
        server.handler = lambda exchange: exchange.json({"ok": True})
        yield server


def test_paths_to_providers_are_there_once_their_key_is(gateway, upstream):
    base = f"http://127.0.0.1:{upstream.port}"
    config = CONFIG.replace("{base}", base)
    environ = {
        "ANTHROPIC_API_KEY": "sk-ant-0123456789", "ANTHROPIC_API_BASE": base,
        "OPENAI_API_KEY": "sk-openai-0123456789", "OPENAI_API_BASE": f"{base}/v1", "GEMINI_API_KEY": "", "COHERE_API_KEY": "",
    }  # fmt: skip
    running = gateway(config, environ=environ)
    assert (
        running.post("/anthropic/v1/messages", {"model": "m"}, SCIENTIST, anthropic_version="2023-06-01").status == 200
    )
    seen = upstream.requests[-1]
    assert (seen.line, seen.header("x-api-key")) == ("POST /v1/messages HTTP/1.1", "sk-ant-0123456789")
    assert (seen.header("authorization"), seen.header("anthropic-version")) == (None, "2023-06-01")
    assert running.get("/v1/files?purpose=batch", SCIENTIST).status == 200
    seen = upstream.requests[-1]
    assert (seen.line, seen.header("authorization")) == (
        "GET /v1/files?purpose=batch HTTP/1.1",
        "Bearer sk-openai-0123456789",
    )
    assert running.request("DELETE", "/files/file-1", None, SCIENTIST, {}).status == 200
    assert upstream.requests[-1].line == "DELETE /v1/files/file-1 HTTP/1.1"
    form = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n{}\r\n--b--\r\n'
    assert running.post("/v1/files", form, SCIENTIST, content_type="multipart/form-data; boundary=b").status == 200
    assert upstream.requests[-1].body == form
    assert running.post("/v1/batches/b1/cancel", b"", SCIENTIST).status == 200
    missing = running.get("/gemini/v1beta/models", SCIENTIST)
    assert (missing.status, "GEMINI_API_KEY" in missing.json()["error"]["message"]) == (404, True)


def test_model_lists_of_keys_hold_for_what_is_passed_on(gateway, upstream):
    config = CONFIG.replace("{base}", f"http://127.0.0.1:{upstream.port}")
    running = gateway(config.replace("key_alias: scientist,", "key_alias: scientist, models: [claude-*],"))

    def ask(model: str) -> int:
        return running.post("/bria/v1/messages", {"model": model}, SCIENTIST).status

    assert (ask("claude-x"), ask("gpt-x")) == (200, 403)
