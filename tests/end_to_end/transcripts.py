"""Recorded exchanges carried through a gateway.

`python -m tests.end_to_end.transcripts --write` writes what each of them cost to `tests/golden/usage.json`. No recorded
text goes there: file names and counts only. Read the difference before it is committed; prices come from the bundled
list, so a new list moves costs.
"""

from __future__ import annotations

import argparse
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
from urllib.parse import urlsplit

from engine.pricing import Prices
from tests.running import MASTER, ROOT, Answer, Gateway, free_port

GOLDEN = ROOT / "tests" / "golden" / "usage.json"
SHARED = ROOT.parent / "shared"
OPERATION = re.compile(r"/(chat/completions|completions|embeddings|responses)$")
VENDORS = {"together": "together_ai", "vercel-gateway": "vercel_ai_gateway"}
"""What the price list calls a vendor, where it differs from the folder."""
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
    base: str
    query: str
    request: dict[str, Any]
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

    def sent(self, *, ask: bool = True) -> bytes:
        """Write the request for the gateway; `ask` False leaves the question for usage out."""
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
        found.append(
            Recorded(
                path.relative_to(root).as_posix(),
                document["provider"],
                operation[1],
                url.path[: operation.start()],
                f"?{url.query}" if url.query else "",
                request["body"],
                response["status"],
                response["body"].encode(),
                request["body"].get("stream") is True,
                any(kind.startswith("text/event-stream") for kind in kinds),
            )
        )
    return found


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
        "model": f"openai/{one.request.get('model') or 'unnamed'}",
        "api_base": f"{upstream}/{one.provider}{one.base}{one.query}",
        "api_key": "sk-upstream",
        "extra_headers": {"x-replay-file": one.file},
    }
    row = price_name(one, listed)
    if row is None:
        return {"model_name": one.name, "litellm_params": {**params, **UNLISTED}}
    return {"model_name": one.name, "litellm_params": params, "model_info": {"base_model": row}}


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
        return gateway.post(f"/v1/{exchange.operation}", exchange.sent(ask=ask))

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


def main() -> None:
    """Write the golden file, or say what would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write tests/golden/usage.json")
    write = parser.parse_args().write
    exchanges = load(SHARED)
    with tempfile.TemporaryDirectory() as folder, replaying(SHARED) as upstream:
        gateway = Gateway(Path(folder) / "gateway", config(exchanges, upstream), (), {}).start()
        try:
            ask_all(gateway, exchanges)
            found = usage(gateway, len(exchanges))
        finally:
            gateway.stop()
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    for name in sorted(found.keys() | known.keys()):
        if found.get(name) != known.get(name):
            print(f"{name}: {known.get(name)} -> {found.get(name)}")
    if write:
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in found.items())
        GOLDEN.write_text(f"{{\n{rows}\n}}\n")


if __name__ == "__main__":
    main()
