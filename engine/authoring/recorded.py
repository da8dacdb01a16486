"""How a call was decided, from what was written of it: the decision log of a data directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.authoring.values import written

FILE = "records.jsonl"


def files_of(data: Path) -> list[Path]:
    """List the files of records in a data directory, the newest first; raises FileNotFoundError where there are none.

    Workers have theirs in directories of their own, listed one after the other.
    """
    found = [path for folder in (data, *sorted(data.glob("workers/*"))) for path in _in(folder)]
    if not found:
        raise FileNotFoundError(f"`{data}` holds no `{FILE}`")
    return found


def _in(folder: Path) -> list[Path]:
    rotated = [path for path in folder.glob(f"{FILE}.*") if path.suffix[1:].isdigit()]
    return [
        *([folder / FILE] if (folder / FILE).exists() else []),
        *sorted(rotated, key=lambda path: int(path.suffix[1:])),
    ]


def find(data: Path, decision: str) -> dict[str, Any] | None:
    """Return the record of a decision, None where none has this id; raises OSError."""
    needle = json.dumps(decision).encode()
    for path in files_of(data):
        with path.open("rb") as file:
            for line in file:
                if needle not in line:
                    continue
                try:
                    record = json.loads(line)
                except json.JSONDecodeError:
                    continue  # a line that is still being written
                if isinstance(record, dict) and record.get("id") == decision:
                    return record
    return None


def lines(record: dict[str, Any]) -> Iterator[str]:
    """Tell how a call was decided, as far as that was recorded."""
    when = datetime.fromtimestamp(record["time"], UTC).isoformat(timespec="milliseconds")
    yield f"decision {record['id']} at {when}: {verdict(record)}, status {record['status']}"
    if record.get("determining"):
        yield f"rules: {', '.join(record['determining'])}"
    if record.get("error"):
        yield f"error: {record['error']} ({record.get('error_source', '')}, id {record.get('error_id', '')})"
    for name in (
        "route",
        "model",
        "group",
        "deployment",
        "route_reason",
        "key_alias",
        "user",
        "team",
        "org",
        "revision",
    ):
        if record.get(name):
            yield f"{name.replace('_', ' ')}: {record[name]}"
    yield f"took: {record.get('duration', 0) * 1000:.3f} ms, policies {record.get('policy', 0) * 1e6:.1f} µs"
    yield ""
    rules = record.get("rules") or {}
    for told in rules.get("told", ()):
        yield f"{told['name']}: {told['said']}" + (f" ({told['detail']})" if told.get("detail") else "")
    for name in rules.get("quiet", ()):
        yield f"{name}: nothing to say"
    if not rules.get("told") and not rules.get("quiet"):
        yield "no rule governed this call"
    read = record.get("read") or {}
    if read:
        yield ""
        yield "what was read:"
        yield from (f"  {name} = {shown(value)}" for name, value in read.items())


def verdict(record: dict[str, Any]) -> str:
    """Say whether the gateway itself refused a call."""
    return "deny" if record.get("error_source") in ("client", "policy") else "allow"


def shown(value: Any) -> str:
    """Write a recorded value; of one that was hashed it is said that it is not there."""
    if isinstance(value, dict) and value.keys() == {"sha256", "size"}:
        return f"value not recorded (sha256 {value['sha256']}, {value['size']:,} bytes)"
    return written(value)
