"""Finds extensions by the name of their file and imports each on first use.

`adapters/providers/openai.py` is the provider `openai`; its class is the one in the file whose lower-cased name is the
file's without underscores. No list of extensions exists anywhere: a file added is an extension added. Providers that
need no file of their own are rows of `adapters/providers/compatible.toml`, which `openai` serves.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

import msgspec

from engine.contracts import Clock, Counters, Deps, Dialect, Provider, Sink
from engine.detecting import Detector, RemoteDetector
from engine.policy import Policy
from engine.storing import Store, StoreError

DISTRIBUTION = "interlock-gateway"
"""What `pip` knows this program by; an extension that needs more than it has an extra of the extension's name."""
DETECTORS = 1_000
"""Detectors kept, by what is written for them; beyond it they are made anew."""
SHOWN = 20
"""Names that an error lists."""


class Extensions:
    """The `Registry`: each extension is imported and made once, when first asked for."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._providers: dict[str, Provider] = {}
        self._dialects: dict[str, Dialect] = {}
        self._detectors: dict[bytes, Detector] = {}

    @property
    def environ(self) -> Mapping[str, str]:
        """Return the environment that extensions see."""
        return self._deps.environ

    def provider(self, name: str) -> Provider:
        """Return a provider, by the prefix of a model string."""
        if name not in self._providers:
            self._providers[name] = self._provider(name)
        return self._providers[name]

    def _provider(self, name: str) -> Provider:
        row = None if name in names("providers") else _rows().get(name)
        provider: Provider = (
            _find("providers", name, _rows)(self._deps)
            if row is None
            else _find("providers", "openai")(self._deps, row)
        )
        return provider

    def dialect(self, name: str) -> Dialect:
        """Return a wire format."""
        if name not in self._dialects:
            self._dialects[name] = _find("dialects", name)()
        return self._dialects[name]

    def sink(self, name: str, settings: Mapping[str, Any]) -> Sink:
        """Make a record sink."""
        sink: Sink = _find("sinks", name)(settings)
        return sink

    def counters(self, name: str, clock: Clock, settings: Mapping[str, Any] | None = None) -> Counters:
        """Make the place where counters live; raises ValueError for settings that are none."""
        counters: Counters = _find("counters", name)(clock, settings)
        return counters

    def store(self, name: str, settings: Mapping[str, Any]) -> Store:
        """Open a store; raises StoreError, also where what it needs is not installed."""
        try:
            store: Store = _find("stores", name)(settings)
        except ModuleNotFoundError as error:
            raise StoreError(
                f"store `{name}` needs the package `{error.name}`: pip install '{DISTRIBUTION}[{name}]'"
            ) from error
        return store

    def detector(self, name: str, said: Any) -> Detector:
        """Make a detector of what is written for it, once for the same text.

        Raises ValueError for what is wrong with it, LookupError for a detector that nobody has.
        """
        key = msgspec.json.encode((name, said))
        found = self._detectors.get(key)
        if found is None:
            if len(self._detectors) >= DETECTORS:
                self._detectors.clear()
            module = "".join(f"_{one.lower()}" if one.isupper() else one for one in name)
            found = self._detectors[key] = _find("detectors", module)(said)
        return found

    def remote_detector(self, name: str, settings: Mapping[str, Any], deps: Deps | None = None) -> RemoteDetector:
        """Make what asks a service about texts; raises ValueError naming the setting that is missing or wrong."""
        detector: RemoteDetector = _find("remotes", name)(settings, deps or self._deps)
        return detector

    def kind(self, name: str) -> type[Policy]:
        """Return a kind of policy, by its name in YAML."""
        return kind(name)

    def provider_names(self) -> Sequence[str]:
        """Name every provider."""
        return sorted({*names("providers"), *_rows()})


def kind(name: str) -> type[Policy]:
    """Return a kind of policy, by its name in YAML: `TagRouting` is `policies/tag_routing.py`.

    Raises LookupError with a suggestion.
    """
    known = {"".join(word.title() for word in one.split("_")): one for one in _modules("policies")}
    if name not in known:
        raise LookupError(f"unknown kind `{name}`; {_suggestion(name, list(known))}")
    found: type[Policy] = _class_of(importlib.import_module(f"policies.{known[name]}"), known[name])
    return found


def names(kind: str) -> Sequence[str]:
    """Name the extensions of a kind, in the order of the alphabet."""
    return _modules(f"adapters.{kind}")


def _modules(package: str) -> Sequence[str]:
    path = importlib.import_module(package).__path__
    return sorted(module.name for module in pkgutil.iter_modules(path))


def _suggestion(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known are {', '.join(f'`{one}`' for one in known[:SHOWN])}{' and more' if len(known) > SHOWN else ''}"


def _rows() -> Mapping[str, Any]:
    """Return the providers without a file, by name."""
    rows: Mapping[str, Any] = importlib.import_module("adapters.providers.openai").rows()
    return rows


def _find(kind: str, name: str, more: Callable[[], Iterable[str]] = tuple) -> Any:
    known = names(kind)
    if name not in known:
        raise LookupError(f"unknown {kind.removesuffix('s')} `{name}`; {_suggestion(name, [*known, *more()])}")
    return _class_of(importlib.import_module(f"adapters.{kind}.{name}"), name)


def _class_of(module: ModuleType, name: str) -> Any:
    wanted = name.replace("_", "")
    for attribute, value in vars(module).items():
        if attribute.lower() == wanted and isinstance(value, type):
            return value
    raise LookupError(f"`{module.__name__}` defines no class named like its file")
