"""Recorded exchanges carried through a gateway.

`python -m tests.end_to_end.transcripts --write` writes what each of them cost to `tests/golden/usage.json`, and how each error was said
to `errors.json`. No recorded
text goes there: file names and counts only. Read the difference before it is committed; prices come from the bundled
list, so a new list moves costs.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from bench.ports import free_port
from engine.pricing import Prices
from tests.running import MASTER, ROOT, Answer, Gateway

GOLDEN = ROOT / "tests" / "golden" / "usage.json"
SHARED = ROOT.parent / "shared"
ERRORS = ROOT / "tests" / "golden" / "errors.json"
OPERATION = re.compile(
    r"/(chat/completions|completions|embeddings|responses|images/generations|images|audio/speech|audio/transcriptions"
    r"|moderations|rerank)$"
)
VENDORS = {"bedrock": "bedrock_mantle", "together": "together_ai", "vercel-gateway": "vercel_ai_gateway"}
"""What the price list calls a vendor, where it differs from the folder."""
PREFIXES = {
    **VENDORS,
    "crusoe-vllm": "hosted_vllm",
    "lmstudio": "lm_studio",
    "llamacpp": "llamafile",
    "vllm": "hosted_vllm",
    "xiaomi": "xiaomi_mimo",
    **dict.fromkeys(("avian", "gpustack", "snowflake"), "openai"),
}
"""The provider that serves a folder's exchanges, where it is called otherwise."""
BELOW = {"cohere": ("/v2",), "bedrock": ("/openai/v1", "/v1")}
"""What of a path is the provider's own, and no part of its address."""
MODEL_FIELD = re.compile(rb'(name="model"\r\n\r\n)([^\r]*)')
UNLISTED = {
    "input_cost_per_token": 0.000001,
    "output_cost_per_token": 0.000003,
    "cache_read_input_token_cost": 0.0000001,
}
"""The price of models that are not in the list, so that every exchange costs something."""


class Recorded(NamedTuple):
    """One exchange of the recorded traffic."""

    file: str
    provider: str
    operation: str
    url: str
    base: str
    query: str
    request: dict[str, Any]
    form: tuple[bytes, str] | None
    status: int
    body: bytes
    stream: bool
    event_stream: bool

    @property
    def name(self) -> str:
        """The model name by which the gateway knows this exchange."""
        return self.file.removesuffix(".json")

    @property
    def asks_usage(self) -> bool:
        """Whether the client asked for the usage of its stream."""
        return (self.request.get("stream_options") or {}).get("include_usage") is True

    @property
    def path(self) -> str:
        """The gateway's path."""
        return "/v1/images/generations" if self.operation == "images" else f"/v1/{self.operation}"

    @property
    def kind(self) -> str:
        """The request's content type."""
        return self.form[1] if self.form is not None else "application/json"

    def sent(self, *, ask: bool = True) -> bytes:
        """Write the request for the gateway; `ask` False leaves the question for usage out."""
        if self.form is not None:
            return MODEL_FIELD.sub(rb"\g<1>" + self.name.encode(), self.form[0], count=1)
        kept = {name: value for name, value in self.request.items() if ask or name != "stream_options"}
        return json.dumps({**kept, "model": self.name}).encode()


def load(shared: Path) -> list[Recorded]:
    """Read every exchange with OpenAI's paths and formats."""
    root = shared / "transcripts"
    found = []
    for path in sorted(root.glob("*/*.json")):
        document = json.loads(path.read_text("utf-8"))
        request, response = document["request"], document["response"]
        url = urlsplit(request["url"])
        operation = OPERATION.search(url.path)
        if operation is None or request["method"] != "POST":
            continue
        kinds = [value for name, value in response["headers"].items() if name.lower() == "content-type"]
        form = _form(request)
        found.append(
            Recorded(
                path.relative_to(root).as_posix(),
                document["provider"],
                operation[1],
                f"{url.scheme}://{url.netloc}{url.path}",
                url.path[: operation.start()],
                f"?{url.query}" if url.query else "",
                _fields(form[0]) if form else request["body"],
                form,
                response["status"],
                _bytes(response),
                document["stream"] if form else request["body"].get("stream") is True,
                any(kind.startswith("text/event-stream") for kind in kinds),
            )
        )
    return found


def _form(request: dict[str, Any]) -> tuple[bytes, str] | None:
    kinds = {name.lower(): value for name, value in request["headers"].items()}
    if not kinds.get("content-type", "").startswith("multipart/"):
        return None
    return _bytes(request), kinds["content-type"]


def _fields(form: bytes) -> dict[str, Any]:
    found = MODEL_FIELD.search(form)
    return {"model": found[2].decode() if found else ""}


def _bytes(message: dict[str, Any]) -> bytes:
    body: str = message["body"]
    return base64.b64decode(body) if message.get("encoding") == "base64" else body.encode()


def config(exchanges: Sequence[Recorded], upstream: str) -> str:
    """Write a configuration with one deployment for each exchange (JSON is YAML)."""
    listed = set(Prices.bundled())
    models = [_model(one, upstream, listed) for one in exchanges]
    return json.dumps({"general_settings": {"master_key": MASTER}, "model_list": models})


def price_name(one: Recorded, listed: set[str]) -> str | None:
    """Name the row of the price list that is about an exchange's model at its vendor."""
    model = one.request.get("model", "")
    names = [f"{VENDORS.get(one.provider, one.provider)}/{model}"]
    if one.provider in {"openai", "anthropic"}:
        names.append(model)
    return next((name for name in names if name in listed), None)


def _model(one: Recorded, upstream: str, listed: set[str]) -> dict[str, Any]:
    params = {
        **_address(one, f"{upstream}/{one.provider}"),
        "api_key": "sk-upstream",
        "extra_headers": {"x-replay-file": one.file},
    }
    row = price_name(one, listed)
    if row is None:
        return {"model_name": one.name, "litellm_params": {**params, **UNLISTED}}
    return {"model_name": one.name, "litellm_params": params, "model_info": {"base_model": row}}


def _address(one: Recorded, folder: str) -> dict[str, str]:
    """Say where an exchange was sent: a deployment of Azure's by its name, others by their base."""
    model = one.request.get("model") or "unnamed"
    resource, found, deployment = one.base.partition("/openai/deployments/")
    if found:
        version = parse_qs(one.query[1:])["api-version"][0]
        return {"model": f"azure/{deployment}", "api_base": folder + resource, "api_version": version}
    base = one.base
    for own in BELOW.get(one.provider, ()):
        base = base.removesuffix(own)
    return {"model": f"{PREFIXES.get(one.provider, one.provider)}/{model}", "api_base": f"{folder}{base}{one.query}"}


@contextlib.contextmanager
def replaying(shared: Path, *options: str) -> Iterator[str]:
    """Run the replay server as a process of its own; yield its URL."""
    port = free_port()
    command = [sys.executable, str(shared / "transcripts" / "replay.py"), "--port", str(port), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def ask_all(gateway: Gateway, exchanges: Sequence[Recorded], *, ask: bool = True) -> list[Answer]:
    """Send every exchange through a gateway; answers come in the same order."""

    def one(exchange: Recorded) -> Answer:
        return gateway.post(exchange.path, exchange.sent(ask=ask), content_type=exchange.kind)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, exchanges))


def usage(gateway: Gateway, count: int) -> dict[str, dict[str, Any]]:
    """Return what the records say each exchange used, by file; errors used nothing and are left out."""
    rows = {}
    for record in gateway.records(count, 15):
        if record["status"] == 200:
            used = {
                "input": record.get("input_tokens", 0),
                "output": record.get("output_tokens", 0),
                "cached": record.get("cached_input_tokens", 0),
                "reasoning": record.get("reasoning_tokens", 0),
                "cost": record.get("cost"),
            }
            rows[f"{record['model']}.json"] = {**used, **({"estimated": True} if record.get("estimated") else {})}
    return dict(sorted(rows.items()))


def errors(exchanges: Sequence[Recorded], answers: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Return how each error was said: as it came, or in which class of OpenAI's."""
    rows: dict[str, dict[str, Any]] = {}
    for one, answer in zip(exchanges, answers, strict=True):
        if answer.status >= 400:
            error = answer.json()["error"]
            came = answer.body == one.body
            said = {} if came else {name: error[name] for name in ("type", "param", "code")}
            rows[one.file] = {"status": answer.status, "as_it_came": came, **said}
    return rows


def main() -> None:
    """Write the golden files, or say what would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write tests/golden/{usage,errors}.json")
    write = parser.parse_args().write
    exchanges = load(SHARED)
    with tempfile.TemporaryDirectory() as folder, replaying(SHARED) as upstream:
        gateway = Gateway(Path(folder) / "gateway", config(exchanges, upstream), (), {}).start()
        try:
            said = errors(exchanges, ask_all(gateway, exchanges))
            compared((GOLDEN, usage(gateway, len(exchanges))), (ERRORS, said), write=write)
        finally:
            gateway.stop()


def compared(*pairs: tuple[Path, dict[str, dict[str, Any]]], write: bool) -> None:
    """Print what a golden file does not say yet, and write it."""
    for path, found in pairs:
        known = json.loads(path.read_text()) if path.exists() else {}
        for name in sorted(found.keys() | known.keys()):
            if found.get(name) != known.get(name):
                print(f"{name}: {known.get(name)} -> {found.get(name)}")
        if write:
            rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in found.items())
            path.write_text(f"{{\n{rows}\n}}\n")


if __name__ == "__main__":
    main()
