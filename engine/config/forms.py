"""The forms in which people write a configuration, brought to one: sections, lists, and `model_info` out of place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.config import keys
from engine.config.fields import Spec
from engine.config.problems import Findings, Path, holds, kind_of_value, nearest
from engine.config.specs import LitellmParams, ModelInfo

Entry = tuple[Path, dict[str, Any]]
"""A mapping and where it stands."""


class Tree:
    """The values of a configuration, looked at section by section."""

    def __init__(self, value: dict[str, Any], findings: Findings) -> None:
        self.value = value
        self.findings = findings

    def at(self, path: Path) -> Any:
        """Return what stands at a path, None when nothing does."""
        value: Any = self.value
        for step in path:
            if not holds(value, step):
                return None
            value = value[step]
        return value

    def mapping(self, path: Path) -> dict[str, Any]:
        """Return the mapping at a path; nothing is as good as an empty one, anything else an error."""
        value = self.at(path)
        if value is not None and not isinstance(value, dict):
            self.findings.error(path, f"expected a mapping, found {kind_of_value(value)}")
        return value if isinstance(value, dict) else {}

    def entries(self, path: Path) -> list[Entry]:
        """Return the mappings listed at a path."""
        value = self.at(path)
        if value is not None and not isinstance(value, list):
            self.findings.error(path, f"expected a list, found {kind_of_value(value)}: begin each entry with `- `")
        if not isinstance(value, list):
            return []
        found = []
        for index, item in enumerate(value):
            if isinstance(item, dict):
                found.append(((*path, index), item))
            else:
                self.findings.error((*path, index), f"expected a mapping, found {kind_of_value(item)}")
        return found

    def rate_limits(self) -> list[Entry]:
        """Return the entries of `rate_limits`: a list, or a mapping from model to its limits."""
        section = self.at(("rate_limits",))
        if not isinstance(section, dict):
            return self.entries(("rate_limits",))
        paths: list[Path] = [("rate_limits", model) for model in section]
        return [(path, {**self.mapping(path), "model": path[-1]}) for path in paths]

    def deployment(self, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return params and info of a `model_list` entry; info among the params moves to where it belongs."""
        place: Path = (*path, "litellm_params")
        params = dict(self.mapping(place))
        info = dict(self.mapping((*path, "model_info")))
        inner = self.mapping((*place, "model_info"))
        moved = {name: (*place, "model_info", name) for name in inner}
        moved |= {name: (*place, name) for name in ("mode", "access_groups") if params.get(name) is not None}
        for name, source in moved.items():
            if info.get(name) is None:
                info[name] = self.at(source)
                self.findings.moved[*path, "model_info", name] = source
        for name in keys.INFO_AMONG_PARAMS:
            params.pop(name, None)
        return params, info

    def unknown(self, entry: Entry, known: Iterable[str]) -> None:
        """Warn of keys that nothing reads."""
        path, mapping = entry
        names = frozenset(known)
        for name in mapping:
            if name not in names and not (not path and name.startswith("x-")):
                self.findings.warning((*path, name), f"unknown key, ignored: {_advice(name, names)}")

    def unknown_params(self, entry: Entry) -> None:
        """Warn of keys under `litellm_params` that may be slips; they are sent all the same."""
        path, mapping = entry
        known = (
            LitellmParams.named()
            | frozenset(keys.NOT_IN_FORCE["litellm_params"])
            | keys.OPENAI_PARAMS
            | keys.LITELLM_PARAMS
            | frozenset(keys.INFO_AMONG_PARAMS)
        )
        for name in mapping:
            if name not in known and not keys.provider_key(name):
                advice = _advice(name, known)
                self.findings.warning((*path, name), f"unknown parameter, sent to the provider as it is: {advice}")

    def unknown_beside_params(self, entry: Entry) -> None:
        """Warn of keys of a `model_list` entry that belong one level deeper, or nowhere."""
        path, mapping = entry
        for name in mapping:
            if name in {"model_name", "litellm_params", "model_info"}:
                continue
            deeper = "litellm_params" if name in LitellmParams.named() | keys.OPENAI_PARAMS else None
            deeper = "model_info" if not deeper and name in ModelInfo.named() else deeper
            advice = (
                f"move it under `{deeper}`" if deeper else _advice(name, ("model_name", "litellm_params", "model_info"))
            )
            self.findings.warning((*path, name), f"unknown key, ignored: {advice}")

    def without_force(self, entry: Entry, section: str) -> None:
        """Record the keys of a section that are understood and have no effect yet."""
        path, mapping = entry
        kinds = keys.NOT_IN_FORCE.get(section, {})
        for name, value in mapping.items():
            if isinstance(value, list) and name in keys.AMONG:
                value = [one for one in value if not (isinstance(one, str) and one in keys.AMONG[name])]  # noqa: PLW2901 - what is left of it
            if name in kinds and value not in (None, "", [], {}) and value is not False:
                self.findings.without_force((*path, name), kinds[name])


def known_keys(spec: type[Spec], section: str, *more: str) -> frozenset[str]:
    """Return every key that a section may hold."""
    return spec.named() | frozenset(keys.NOT_IN_FORCE.get(section, {})) | frozenset(more)


def _advice(name: str, known: Iterable[str]) -> str:
    guess = nearest(name, known)
    return f"did you mean `{guess}`?" if guess else "check its spelling, or remove it"
