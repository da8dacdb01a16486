"""Recorded exchanges in providers' own formats, passed on by a gateway.

`python -m tests.end_to_end.native --write` writes what each of them used and cost to `tests/golden/native.json`: file names and
numbers, no recorded text. Read the difference before it is committed.
"""

from __future__ import annotations

import argparse
import base64
import json
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.end_to_end.transcripts import SHARED, compared, replaying
from tests.running import MASTER, ROOT, Answer, Gateway

GOLDEN = ROOT / "tests" / "golden" / "native.json"
PROVIDERS = ("anthropic", "cohere", "gemini", "vertex")
KEY = "sk-native-0123456789abcd"


class Native(NamedTuple):
    """One exchange as a provider's own client has it."""

    file: str
    method: str
    target: str
    body: bytes
    kind: str
    status: int
    answer: bytes

    def ask(self, gateway: Gateway) -> Answer:
        """Send it through a gateway."""
        headers = {"x-pass-x-replay-file": self.file, "content-type": self.kind, "anthropic-version": "2023-06-01"}
        return gateway.request(self.method, self.target, self.body or None, KEY, headers)


def load(shared: Path) -> Iterator[Native]:
    """Read every exchange that is not in OpenAI's format."""
    for provider in PROVIDERS:
        for path in sorted((shared / "transcripts" / provider).glob("*.json")):
            document = json.loads(path.read_text("utf-8"))
            request, response = document["request"], document["response"]
            url = urlsplit(request["url"])
            if "/openai/" in url.path or url.path.endswith("/chat/completions"):
                continue
            target = f"/native/{provider}{url.path}{'?' + url.query if url.query else ''}"
            kind = {name.lower(): value for name, value in request["headers"].items()}.get(
                "content-type", "application/json"
            )
            yield Native(
                f"{provider}/{path.name}",
                request["method"],
                target,
                _bytes(request),
                kind,
                response["status"],
                _bytes(response),
            )


def _bytes(message: dict[str, Any]) -> bytes:
    body = message.get("body")
    if body is None:
        return b""
    if message.get("encoding") == "base64":
        return base64.b64decode(body)
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def serve(folder: Path, upstream: str) -> Gateway:
    """Run a gateway that passes every provider's requests on to the recorded ones."""
    (folder / "policies").mkdir()
    passages = [
        {"kind": "PassThrough", "name": name, "path": f"/native/{name}", "target": f"{upstream}/{name}"}
        for name in PROVIDERS
    ]
    rule = {
        "kind": "ModelAccess",
        "name": "house",
        "rules": [{"deny": 'llm.prompt.exists(m, m.content.contains("never said"))'}],
    }
    (folder / "policies" / "p.yaml").write_text("\n---\n".join(map(json.dumps, [*passages, rule])))
    config = {
        "model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/x"}}],
        "general_settings": {"master_key": MASTER},
        "litellm_settings": {"virtual_keys": [{"api_key": KEY, "key_alias": "native"}]},
    }
    return Gateway(folder / "gateway", json.dumps(config), ("--policies", str(folder / "policies")), {}).start()


def ask_all(gateway: Gateway, exchanges: Sequence[Native]) -> list[Answer]:
    """Send every exchange; answers come in the same order."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda one: one.ask(gateway), exchanges))


def used(gateway: Gateway, exchanges: Sequence[Native], answers: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Return what the records say each exchange used, by file; what used nothing is left out."""
    rows = {row["id"]: row for row in gateway.records(len(exchanges), 15)}
    found = {}
    for one, answer in zip(exchanges, answers, strict=True):
        row = rows[answer.headers["x-interlock-decision-id"]]
        assert row["key_alias"] == "native", one.file
        assert row["rules"]["quiet"] == ["house/rules[0]"], one.file
        counts = {name: row.get(f"{name}_tokens", 0) for name in ("input", "output", "cached_input", "reasoning")}
        if any(counts.values()):
            found[one.file] = {**counts, "cost": row.get("cost")}
    return dict(sorted(found.items()))


def main() -> None:
    """Write the golden file, or say what would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write tests/golden/native.json")
    write = parser.parse_args().write
    exchanges = list(load(SHARED))
    with tempfile.TemporaryDirectory() as folder, replaying(SHARED) as upstream:
        gateway = serve(Path(folder), upstream)
        try:
            found = used(gateway, exchanges, ask_all(gateway, exchanges))
        finally:
            gateway.stop()
    compared((GOLDEN, found), write=write)


if __name__ == "__main__":
    main()
