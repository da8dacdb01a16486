"""From the files of a configuration to all that can be made of them without a running gateway.

This is what starts a gateway, what `check` does, and what the compiler process does for every reload.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from engine.config.documents import documents
from engine.config.litellm import Loaded, load
from engine.config.problems import Mark, Problem
from engine.config.specs import ConfigSpec
from engine.documents import Kept, find, load_documents, load_policies, read_stable
from engine.governing import PolicySet
from engine.policy import Policy
from engine.watching import detector_files

Kind = Callable[[str], type[Policy]]


class Sources(NamedTuple):
    """Where a configuration is: LiteLLM's file, and a directory of policies."""

    config: Path | None = None
    policies: Path | None = None

    @property
    def any(self) -> bool:
        """Whether there is any file at all."""
        return self.config is not None or self.policies is not None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A configuration and its policies; fit for use only without errors among `problems`."""

    loaded: Loaded
    policies: PolicySet
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What must be mended first."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def compile_sources(
    sources: Sources,
    environ: Mapping[str, str],
    kind: Kind,
    still: float = 0.0,
    kept: dict[str, Kept] | None = None,
) -> Compiled:
    """Read and compile everything; never raises for what is in a file. `still`: see `read_stable`, `kept`: `load_policies`."""
    loaded = load(sources.config, environ)
    problems = list(loaded.problems)
    found: tuple[Policy, ...] = ()
    if loaded.spec is not None:
        own = load_documents(documents(loaded.spec), kind)
        problems += [*own.problems, *_trusting(loaded.spec)]
        found = own.policies
    if sources.policies is not None:
        texts, unread = read_stable(sources.policies, still)
        written = load_policies(texts, kind, kept)
        problems += [*unread, *written.problems]
        problems += _twins(written.policies, {policy.head.name for policy in found})
        found = (*written.policies, *found)  # `enable_tag_filtering` has a word for every call: files go before it
    return Compiled(_with_detectors(loaded, found), PolicySet(found), tuple(problems))


def _with_detectors(loaded: Loaded, policies: Iterable[Policy]) -> Loaded:
    """Add to the files of a configuration those that detectors of its policies are made of."""
    spec = loaded.spec
    if spec is None or not spec.files:
        return loaded
    files = tuple(dict.fromkeys((*spec.files, *detector_files(policies, spec.files[0]))))
    return replace(loaded, spec=spec.model_copy(update={"files": files})) if files != spec.files else loaded


def _twins(written: Iterable[Policy], names: set[str]) -> list[Problem]:
    """Report policies of files with names that the configuration gives its own."""
    message = "the configuration itself makes a policy of this name; choose another"
    return [
        Problem("error", None, one.head.place, f"`{one.head.name}`: {message}")
        for one in written
        if one.head.name in names
    ]


def _trusting(spec: ConfigSpec) -> list[Problem]:
    """Warn of a setting by which clients choose deployments."""
    if not spec.router.enable_tag_filtering:
        return []
    message = (
        "any client's tags choose deployments; a TagRouting policy with `byTags: true` heeds `allowed_tags` of keys"
    )
    mark = Mark(spec.files[0], 1, 1) if spec.files else None
    return [Problem("warning", mark, "router_settings.enable_tag_filtering", message)]


Seen = dict[str, tuple[int, int, int]]


def look(sources: Sources, files: tuple[str, ...]) -> Seen:
    """Return what tells whether a file has changed, for every file of a configuration by its name; what is gone is left out."""
    paths = {file: file for file in files}
    if sources.policies is not None:
        try:
            paths |= find(sources.policies)
        except OSError:
            paths[os.fspath(sources.policies)] = os.fspath(sources.policies)
    seen: Seen = {}
    for name, path in paths.items():
        try:
            stat = os.stat(path)  # noqa: PTH116 - names here are text throughout
        except OSError:
            continue
        seen[name] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return seen
