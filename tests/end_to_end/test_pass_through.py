"""Requests that go on as they come, over real sockets: what arrives upstream, what comes back, what is refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import time

import pytest

from bench.ports import free_port
from tests.end_to_end.wires import Wire, eventually, threaded
from tests.running import CHAT, MASTER, Gateway

SCIENTIST, HELPER = "sk-scientist-0123456789", "sk-helper-0123456789abc"
UPSTREAM_KEY = "sk-upstream-0123456789"
POLICIES = """
kind: PassThrough
name: lab
path: /lab
target: {base}/inner?api=2
headers: {{authorization: "Bearer {key}", x-fixed: ours}}
forwardHeaders: [x-wanted]
query: {{a: "1", b: "2"}}
---
{{kind: PassThrough, name: exact, path: /exact, target: "{base}/one", subpaths: false, methods: [GET, HEAD], mergeQuery: false}}
---
{{kind: PassThrough, name: open, path: /open, target: "{base}", auth: false, forwardHeaders: true}}
---
{{kind: PassThrough, name: priced, path: /priced, target: "{base}", cost: 12.00}}
---
{{kind: PassThrough, name: counted, path: /counted, target: "{base}", cost: 'response.code == 200 ? 0.5 * double(response.body.?pictures.orValue(0)) + (request.query[?"x"].orValue("") == "1" ? 1.0 : 0.0) : 0.0'}}
---
{{kind: PassThrough, name: teamed, path: /teamed, target: "{base}", match: {{teams: [research]}}}}
---
{{kind: PassThrough, name: metadata, path: /metadata, target: "http://169.254.169.254"}}
---
{{kind: PassThrough, name: away, path: /away, target: "http://127.0.0.1:{nobody}", timeout: 5}}
---
kind: ModelAccess
name: house
match: {{routes: [pass-through], teams: [support]}}
rules:
- {{deny: 'llm.prompt.exists(m, m.content.contains("SECRET"))', name: secret, message: no secrets}}
- {{deny: 'request.method == "DELETE"', name: deletes}}
---
kind: Transform
name: shorter
match: {{routes: [pass-through], teams: [support]}}
set: {{max_tokens: "5"}}
"""
CONFIG = f"""
model_list: [{{model_name: echo, litellm_params: {{model: echo/x}}}}]
general_settings:
  master_key: {MASTER}
  pass_through_endpoints:
  - {{path: /bria, target: "{{base}}/bria", headers: {{x-a: b, litellm_user_api_key: x-bria-key}}, include_subpath: true, cost_per_request: 0.25}}
litellm_settings:
  virtual_keys:
  - {{api_key: {SCIENTIST}, key_alias: scientist, team_id: research}}
  - {{api_key: {HELPER}, key_alias: helper, team_id: support}}
proxy_settings: {{teams: [{{team_id: research}}, {{team_id: support}}]}}
"""
SSE = [b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % at for at in range(5)]
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}\n\n'


@pytest.fixture(scope="module")
def upstream():
    with threaded() as server:
        yield server


@pytest.fixture(scope="module", params=["own", "aiohttp"])
def house(tmp_path_factory, upstream, request):
    folder = tmp_path_factory.mktemp("pass")
    (folder / "policies").mkdir()
    base = f"http://127.0.0.1:{upstream.port}"
    text = POLICIES.format(base=base, key=UPSTREAM_KEY, nobody=free_port())
    (folder / "policies" / "p.yaml").write_text(text)
    options = ("--policies", str(folder / "policies"))
    environ = {"INTERLOCK_TRANSPORT": request.param}
    running = Gateway(folder / "gateway", CONFIG.replace("{base}", base), options, environ).start()
    assert running.process.poll() is None, running.log
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def fresh(upstream):
    """Let the upstream answer well, and forget what it saw."""
    upstream.handler = lambda exchange: exchange.json({"ok": True})
    upstream.requests.clear()


def last_record(house, answer) -> dict:
    """Return the record of an answer."""
    name = answer.headers["x-interlock-decision-id"]
    assert eventually(lambda: any(row["id"] == name for row in house.records(0, 0)))
    return next(row for row in house.records(0, 0) if row["id"] == name)


def test_what_arrives_upstream_is_what_was_sent_less_credentials(house, upstream):
    body = b'{ "model":"gpt-4o",  "messages": [] }'
    answer = house.post(
        "/lab/deep/er%20?c=3&b=9&key=x", body, SCIENTIST, x_wanted="w", x_other="o", cookie="c=1", x_pass_extra="e",
        x_pass_x_fixed="theirs", x_forwarded_for="1.2.3.4", accept_encoding="gzip", x_api_key="sk-no",
    )  # fmt: skip
    assert (answer.status, answer.json()) == (200, {"ok": True})
    (seen,) = upstream.requests
    assert seen.line == "POST /inner/deep/er%20?a=1&api=2&c=3&b=9 HTTP/1.1"
    assert seen.body == body
    assert seen.header("authorization") == f"Bearer {UPSTREAM_KEY}"
    assert (seen.header("x-fixed"), seen.header("x-wanted"), seen.header("extra")) == ("ours", "w", "e")
    assert seen.header("accept-encoding") == "identity"
    assert seen.header("content-type") == "application/json"
    for name in ("x-other", "cookie", "x-forwarded-for", "x-api-key", "x-pass-extra", "connection", "expect"):
        assert seen.header(name) is None, name
    row = last_record(house, answer)
    assert (row["route"], row["status"], row["group"], row["key_alias"]) == ("pass-through", 200, "lab", "scientist")
    assert row["model"] == "gpt-4o"
    assert answer.headers["x-litellm-model-id"] == "lab"


@pytest.mark.parametrize(
    "path",
    [
        "/lab/../etc", "/lab/a/..", "/lab/%2e%2e/x", "/lab/.%2E/x", "/lab//x", "/lab/a\\b", "/lab/a%2fb", "/lab/a%5Cb",
        "/lab/%00", "/lab/%0d%0ax", "/lab/a%252fb", "/lab/./x", "/lab/..;/x",
    ],
)  # fmt: skip
def test_paths_that_could_lead_elsewhere_are_refused(house, upstream, path):
    with Wire(house) as wire:
        request = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SCIENTIST}\r\n\r\n"
        answer = wire.send(request.encode()).answer()
    assert answer.status == 400, path
    assert "path" in answer.json()["error"]["message"]
    assert not upstream.requests


def test_subpaths_methods_and_queries_are_as_configured(house, upstream):
    assert house.get("/exact?x=1", SCIENTIST).status == 200
    assert upstream.requests[-1].line == "GET /one HTTP/1.1"
    assert house.get("/exact/below", SCIENTIST).status == 404
    assert house.get("/exactly", SCIENTIST).status == 404
    refused = house.request("DELETE", "/exact", None, SCIENTIST, {})
    assert (refused.status, refused.json()["error"]["type"]) == (405, "method_not_allowed")
    assert "GET, HEAD" in refused.json()["error"]["message"]


def test_whom_it_is_for(house, upstream):
    assert house.get("/teamed", SCIENTIST).status == 200
    assert house.get("/teamed", HELPER).status == 403
    assert house.get("/teamed", None).status == 401
    assert house.get("/teamed", "sk-unknown-0123456789").status == 401
    assert house.get("/open/x", None, authorization="Bearer theirs", x_any="1", cookie="a=b").status == 200
    seen = upstream.requests[-1]
    assert (seen.header("x-any"), seen.header("authorization"), seen.header("cookie")) == ("1", None, None)
    assert house.get(f"/lab/x?key={SCIENTIST}", None).status == 200
    assert "key=" not in upstream.requests[-1].line
    assert house.get(f"/lab/x?%6bey={SCIENTIST}&q=%C3%BC", None).status == 200
    assert upstream.requests[-1].line == "GET /inner/x?a=1&b=2&api=2&q=%C3%BC HTTP/1.1"
    assert house.get("/bria/x", None, x_bria_key=SCIENTIST).status == 200
    assert (upstream.requests[-1].line, upstream.requests[-1].header("x-bria-key")) == ("GET /bria/x HTTP/1.1", None)


def test_policies_govern_what_goes_on(house, upstream):
    def ask(text: str, **headers):
        return house.post(
            "/lab/v1/chat", {"model": "m", "messages": [{"role": "user", "content": text}]}, HELPER, **headers
        )

    good = ask("hello")
    assert good.status == 200
    assert json.loads(upstream.requests[-1].body)["max_tokens"] == 5
    refused = ask("a SECRET")
    assert (refused.status, refused.json()["error"]["message"]) == (403, "no secrets")
    assert refused.headers["x-interlock-rule"] == "house/secret"
    assert last_record(house, refused)["read"]["llm.prompt"]["size"] > 0
    packed = gzip.compress(json.dumps({"messages": [{"role": "user", "content": "SECRET"}]}).encode())
    assert house.post("/lab/x", packed, HELPER, content_encoding="gzip").status == 403
    plain = json.dumps({"messages": [{"role": "user", "content": "SECRET"}]}).encode()
    assert house.post("/lab/x", plain, HELPER, content_type="text/plain").status == 403
    assert house.post("/lab/x", b'{"a":1,"a":2}', HELPER).status == 400
    assert house.request("DELETE", "/lab/x", None, HELPER, {}).status == 403
    assert house.request("DELETE", "/lab/x", None, SCIENTIST, {}).status == 200


def test_what_is_no_json_object_is_never_rewritten(house, upstream):
    form = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n{"a":1}\r\n--b--\r\n'
    for body, kind in ((form, "multipart/form-data; boundary=b"), (b"{half", "text/plain"), (b"[1]", "text/plain")):
        assert house.post("/lab/up", body, HELPER, content_type=kind).status == 200
        assert upstream.requests[-1].body == body
    assert house.request("GET", "/lab/x", None, HELPER, {}).status == 200
    assert upstream.requests[-1].body == b""


def test_a_slow_body_is_judged_whole(house):
    body = json.dumps({"messages": [{"role": "user", "content": "x" * 90_000 + "SECRET"}]}).encode()
    with Wire(house) as wire:
        head = f"POST /lab/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {HELPER}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        wire.send(head.encode() + body[:1000])
        time.sleep(0.1)
        assert wire.send(body[1000:]).answer().status == 403


def test_costs(house, upstream):
    answer = house.get("/priced", SCIENTIST)
    assert answer.headers["x-litellm-response-cost"] == "12.000000000"
    assert last_record(house, answer)["cost"] == 12_000_000_000
    upstream.handler = lambda exchange: exchange.json({"pictures": 3})
    assert house.get("/counted?x=1", SCIENTIST).headers["x-litellm-response-cost"] == "2.500000000"
    assert house.get("/bria", None, x_bria_key=SCIENTIST).headers["x-litellm-response-cost"] == "0.250000000"
    upstream.handler = lambda exchange: exchange.json({**CHAT, "model": "gpt-4o"})
    answer = house.post("/lab/v1/chat/completions", {"model": "gpt-4o"}, SCIENTIST)
    row = last_record(house, answer)
    assert (row["input_tokens"], row["output_tokens"], row["cost"]) == (10, 2, 45_000)


def test_events_flow_as_they_come_and_their_usage_counts(house, upstream):
    upstream.handler = lambda exchange: exchange.stream([*SSE, USAGE, b"data: [DONE]\n\n"], pause=0.01)
    answer = house.post("/lab/v1/chat", {"model": "gpt-4o", "stream": True}, SCIENTIST)
    assert answer.body == b"".join([*SSE, USAGE, b"data: [DONE]\n\n"])
    assert answer.headers["content-type"] == "text/event-stream"
    row = last_record(house, answer)
    assert (row["input_tokens"], row["output_tokens"], row["cost"]) == (7, 3, 47_500)


def test_an_upstream_that_breaks_off(house, upstream):
    async def half(exchange) -> None:
        await exchange.stream(SSE[:2], end=False)
        exchange.close()

    upstream.handler = half
    answer = house.post("/lab/x", {}, SCIENTIST)
    assert answer.body.startswith(SSE[0] + SSE[1])
    assert b'"error"' in answer.body[len(SSE[0] + SSE[1]) :]

    async def short(exchange) -> None:
        await exchange.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 100\r\n\r\nabc"
        )
        exchange.close()

    upstream.handler = short
    with Wire(house) as wire:
        wire.send(f"GET /lab/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SCIENTIST}\r\n\r\n".encode())
        head = wire.until(b"\r\n\r\n")
        assert b"content-length: 100" in head
        assert wire.rest() == b"abc"


def test_errors_redirects_and_empty_answers_pass_as_they_are(house, upstream):
    async def moved(exchange) -> None:
        await exchange.send(
            b"HTTP/1.1 302 Found\r\nlocation: https://elsewhere.example/\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
        )

    async def empty(exchange) -> None:
        await exchange.send(b"HTTP/1.1 204 No Content\r\nx-it: 1\r\n\r\n")

    async def headless(exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\ncontent-type: text/plain\r\n\r\n")

    def raw(method: str, path: str):
        with Wire(house) as wire:
            wire.send(f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SCIENTIST}\r\n\r\n".encode())
            return wire.until(b"\r\n\r\n").decode()

    upstream.handler = moved
    found = raw("GET", "/lab/x")
    assert "302" in found.split("\r\n")[0]
    assert "location: https://elsewhere.example/" in found
    assert "set-cookie" not in found
    upstream.handler = empty
    found = raw("DELETE", "/lab/x")
    assert "204" in found.split("\r\n")[0]
    assert "x-it: 1" in found
    assert "transfer-encoding" not in found
    upstream.handler = headless
    assert "content-length: 1234" in raw("HEAD", "/exact")
    upstream.handler = lambda exchange: exchange.json({"detail": "no such thing"}, 418)
    answer = house.get("/lab/x", SCIENTIST)
    assert (answer.status, answer.json()) == (418, {"detail": "no such thing"})


def test_addresses_that_nobody_should_reach(house):
    answer = house.get("/metadata/latest/meta-data", SCIENTIST)
    assert answer.status == 502
    assert "link-local" in answer.json()["error"]["message"]
    assert house.get("/away/x", SCIENTIST).status == 502


class Taker:
    """Takes a request of any length, and answers with its size and hash."""

    def __init__(self) -> None:
        self.size = 0
        self.hash = hashlib.sha256()

    async def __call__(self, exchange) -> None:
        if exchange.header("transfer-encoding") == "chunked":
            while size := int(await exchange.reader.readuntil(b"\n"), 16):
                self.take(await exchange.reader.readexactly(size))
                await exchange.reader.readexactly(2)
            await exchange.reader.readexactly(2)
        else:
            self.take(exchange.body)
        await exchange.json({"size": self.size, "sha256": self.hash.hexdigest()})

    def take(self, data: bytes) -> None:
        self.size += len(data)
        self.hash.update(data)


def chunked_upload(house, pieces, path: str = "/lab/up", key: str = SCIENTIST):
    with Wire(house) as wire:
        wire.send(
            f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ntransfer-encoding: chunked\r\n"
            "content-type: application/octet-stream\r\nexpect: 100-continue\r\n\r\n".encode()
        )
        assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        for piece in pieces:
            wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        return wire.send(b"0\r\n\r\n").answer()


def test_a_chunked_upload_arrives_as_it_was(house, upstream):
    upstream.handler = Taker()
    pieces = [bytes([at % 256]) * (1 + at * 37) for at in range(300)]
    answer = chunked_upload(house, pieces)
    whole = b"".join(pieces)
    assert answer.json() == {"size": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}


def test_a_client_that_leaves_within_its_upload_frees_the_upstream(house, upstream):
    upstream.handler = Taker()
    before = upstream.closed
    with Wire(house) as wire:
        wire.send(
            f"POST /lab/up HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SCIENTIST}\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".encode()
        )
        assert eventually(lambda: upstream.requests)
    assert eventually(lambda: upstream.closed > before)
    assert b"interlock_open_holds 0" in house.get("/metrics").body


def test_an_answer_before_the_end_of_an_upload(house, upstream):
    async def hasty(exchange) -> None:
        await exchange.json({"error": "too large"}, 413)

    upstream.handler = hasty
    with Wire(house) as wire:
        wire.send(
            f"POST /lab/up HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SCIENTIST}\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".encode()
        )
        answer = wire.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")


def streamed_download(port: int, path: str, key: str) -> tuple[int, int]:
    """Download and count; return the bytes of the body and how many the head promised."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        head, _, rest = data.partition(b"\r\n\r\n")
        promised = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        size = len(rest)
        while size < promised:
            size += len(sock.recv(1 << 20))
        return size, promised


@pytest.mark.parametrize("megabytes", [24, pytest.param(100, marks=pytest.mark.soak)])
def test_large_bodies_go_through_in_little_memory(house, upstream, megabytes):
    size = megabytes * 1024 * 1024
    piece = bytes(64 * 1024)

    async def give(exchange) -> None:
        await exchange.send(
            f"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {size}\r\n\r\n".encode()
        )
        for _ in range(size // len(piece)):
            await exchange.send(piece)

    upstream.handler = Taker()
    chunked_upload(house, [piece] * 32)
    upstream.handler = give
    before = house.rss()
    assert streamed_download(house.port, "/lab/big", SCIENTIST) == (size, size)
    down = house.rss() - before
    upstream.handler = Taker()
    assert chunked_upload(house, [piece] * (size // len(piece))).json()["size"] == size
    up = house.rss() - before
    print(f"{megabytes} MB down: RSS +{down / 1e6:.1f} MB, then up: +{up / 1e6:.1f} MB")
    assert max(up, down) < 8 * 1024 * 1024
