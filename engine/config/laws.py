"""What must hold beyond types: names that are unique, keys that look like keys.

Names are looked at as written, so that an entry with another fault still tells its double.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.config.entities import KeySpec
from engine.config.forms import Entry
from engine.config.problems import Findings, Path, dotted
from engine.config.specs import DeploymentSpec

_MASTER_KEY: Path = ("general_settings", "master_key")
_MIN_MASTER_KEY = 16


def master_key(key: str, findings: Findings) -> None:
    """Warn of a master key that is not one, or that could be guessed."""
    if not key.startswith("sk-"):
        findings.warning(_MASTER_KEY, "does not begin with `sk-`, as clients expect: write `sk-` and a random text")
    if len(key) < _MIN_MASTER_KEY:
        advice = "make one with `echo sk-$(openssl rand -hex 24)`"
        findings.warning(_MASTER_KEY, f"is easy to guess, shorter than {_MIN_MASTER_KEY} characters: {advice}")


def keys(entries: Sequence[Entry], findings: Findings) -> None:
    """Refuse what is no key and keys that stand twice, without ever showing one."""
    first: dict[str, Path] = {}
    for path, mapping in entries:
        if mapping.get("duration") is not None:
            message = "counts from the making of a key, which a key in a file has not: write `expires` with a date"
            findings.warning((*path, "duration"), message)
        key = mapping.get(KeySpec.written_name(mapping, "key"))
        if not isinstance(key, str):
            continue
        if not key.startswith("sk-"):
            findings.error(path, "its key does not begin with `sk-`: write `sk-` and a random text")
        holder = first.setdefault(key, path)
        if holder is not path:
            findings.error(path, f"has the same key as {_place(holder, findings)}: remove one of the two")


def unique(entries: Sequence[Entry], name: str, findings: Findings) -> None:
    """Refuse entries that share what names them."""
    first: dict[str, Path] = {}
    for path, mapping in entries:
        value = mapping.get(name)
        holder = first.setdefault(value, path) if isinstance(value, str) else path
        if holder is not path:
            findings.error((*path, name), f"is also that of {_place(holder, findings)}: give each its own")


def distinct(found: Sequence[tuple[Path, DeploymentSpec]], findings: Findings) -> tuple[DeploymentSpec, ...]:
    """Return the deployments; of entries without an id that say the same, the first is kept."""
    first: dict[str, Path] = {}
    kept = []
    for path, spec in found:
        holder = first.setdefault(spec.id, path)
        if holder is path:
            kept.append(spec)
        elif spec.info.id is None:
            findings.warning(path, f"says the same as {_place(holder, findings)}, ignored: remove one of the two")
    return tuple(kept)


def _place(path: Path, findings: Findings) -> str:
    mark = findings.mark(path)
    return f"`{dotted(findings.written(path))}`{f' ({mark})' if mark else ''}"
