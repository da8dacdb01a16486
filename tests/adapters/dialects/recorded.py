"""Recorded exchanges of the dialects that are not OpenAI's, and what they used.

`python -m tests.adapters.dialects.recorded --write` writes the counts to `tests/golden/dialects.json`: file names and
numbers, no recorded text. Read the difference before it is committed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Raw

from adapters.dialects.anthropic import Anthropic
from adapters.dialects.cohere import Cohere
from adapters.dialects.gemini import Gemini
from engine.contracts import Dialect
from engine.frames import Frames
from tests.adapters.dialects.laws import Counts, at_any_cut, counts, masks, members, only_texts_change, said
from tests.engine.streams import events, relayed
from tests.running import ROOT

GOLDEN = ROOT / "tests" / "golden" / "dialects.json"
SHARED = ROOT.parent / "shared"
SPOKEN: dict[type[Dialect], dict[str, tuple[str, ...]]] = {
    Anthropic: {"anthropic": ("messages",), "vertex": ("messages",)},
    Gemini: {"gemini": ("generateContent", "embeddings"), "vertex": ("generateContent",)},
    Cohere: {"cohere": ("chat", "embeddings", "rerank")},
}
"""Which of a provider's APIs speak a dialect."""


class Exchange(NamedTuple):
    """One exchange of the recorded traffic."""

    file: str
    status: int
    request: dict[str, Any]
    body: bytes

    @property
    def streams(self) -> bool:
        """Whether the answer is an event stream, whatever its header calls it."""
        return self.status == 200 and self.body.lstrip()[:1] not in {b"{", b"["}

    @property
    def members(self) -> dict[str, Raw]:
        """The request's members, as the gateway keeps them."""
        return members(**self.request)


def load(shared: Path, dialect: type[Dialect]) -> Iterator[Exchange]:
    """Read the exchanges of a dialect, errors among them."""
    for provider, endpoints in SPOKEN[dialect].items():
        for path in sorted((shared / "transcripts" / provider).glob("*.json")):
            document = json.loads(path.read_text("utf-8"))
            if document["endpoint"] in endpoints and document["api"] in {*endpoints, "error"}:
                response, request = document["response"], document["request"]["body"]
                known = request if isinstance(request, dict) else {}
                yield Exchange(f"{provider}/{path.name}", response["status"], known, response["body"].encode())


def used(dialect: Dialect, one: Exchange) -> Counts | None:
    """Count what an exchange used."""
    if not one.streams:
        return counts(dialect.usage(one.body))
    relay = Frames(dialect)
    relayed(relay, [one.body])
    return counts(relay.usage)


def judge(kind: type[Dialect], shared: Path, reckon: Callable[[dict[str, Any]], Counts | None]) -> dict[str, int]:
    """Hold a dialect to every law on what was recorded; `reckon` counts what all usages of an exchange say."""
    dialect, golden = kind(), json.loads(GOLDEN.read_text())
    seen = {"answers": 0, "errors": 0, "streams": 0, "unreported": 0}
    for one in load(shared, kind):
        prompt = dialect.prompt(one.members)
        assert all(isinstance(value, str) for said in prompt + dialect.tools(one.members) for value in said.values())
        assert dialect.is_error(one.body) == (one.status >= 400), one.file
        if one.status >= 400:
            assert golden[one.file] is used(dialect, one) is None
            seen["errors"] += 1
            continue
        reported = _reported(one)
        assert used(dialect, one) == golden[one.file] == (reckon(reported) if reported else None), one.file
        seen["answers"] += 1
        seen["unreported"] += golden[one.file] is None
        if one.streams:
            assert counts(at_any_cut(dialect, one.body)) == golden[one.file], one.file
            texts = only_texts_change(dialect, one.body)
            assert texts >= len(said(dialect, one.body)), one.file
            masks(dialect, one.body, "the", "THE")
            seen["streams"] += 1
    return seen


def _reported(one: Exchange) -> dict[str, Any]:
    """Gather every member of every usage of an exchange, a later one over an earlier."""
    gathered: dict[str, Any] = {}

    def keep(found: dict[str, Any]) -> dict[str, Any]:
        for name in ("usage", "usageMetadata", "meta"):
            if isinstance(found.get(name), dict):
                gathered.update({member: value for member, value in found[name].items() if value is not None})
        return found

    for data in [data for _, data in events(one.body)] if one.streams else [one.body]:
        if data != b"[DONE]":
            json.loads(data, object_hook=keep)
    return gathered


def main() -> None:
    """Write the golden file, or say what would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {GOLDEN.relative_to(ROOT)}")
    write = parser.parse_args().write
    found = {one.file: used(kind(), one) for kind in SPOKEN for one in load(SHARED, kind)}
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    for name in sorted(found.keys() | known.keys()):
        if found.get(name) != known.get(name):
            print(f"{name}: {known.get(name)} -> {found.get(name)}")
    if write:
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(found.items()))
        GOLDEN.write_text(f"{{\n{rows}\n}}\n")


if __name__ == "__main__":
    main()
