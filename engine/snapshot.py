"""The rules, models and routes in force at one revision: immutable, taken once by each call.

What a name means is decided here at load: exact names and aliases in one table, wildcards by the longest literal. A
wildcard's group for a concrete model is made when that model is first named, and kept within a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Raw

from engine.allowances import Terms
from engine.contracts import Endpoint
from engine.governing import PolicySet
from engine.tokens import family_of

if TYPE_CHECKING:
    from engine.claims import Counter
    from engine.passages import Passages
    from engine.pricing import Price
    from engine.watching import Guard

CONCRETE = 4096
"""Concrete models kept of all wildcards together; beyond it the table starts anew."""
LONGEST = 256
"""Characters of a model's name."""


class Settings(NamedTuple):
    """What the configuration says of every call."""

    max_request_bytes: int = 32 * 1024 * 1024
    key_header: str = ""
    user_header: str = ""
    """One more header in which clients say on whose behalf they call."""
    retries: int = 1
    moderation_model: str = "omni-moderation-latest"
    """What moderates where a request names no model."""
    budget_status: int = 400
    """How a call is refused whose budget is used up."""
    terms: Terms = Terms()
    """What holds for all limits of the configuration."""
    everywhere: tuple[Counter, ...] = ()
    """What all calls together may use."""
    models: Mapping[str, tuple[Counter, ...]] = MappingProxyType({})
    """What all calls to a model may use."""
    tags: Mapping[str, tuple[Counter, ...]] = MappingProxyType({})
    """What all calls with a tag may use."""
    trusts_tags: bool = False
    """Whether tags that clients send count, whatever their keys may say."""
    parallel: int | None = None
    """How many calls a key may have at once that says nothing of it."""


class Deployment:
    """One concrete upstream of a model group, with everything constant composed.

    `defaults` are members a client may override, `forced` are not, `drops` never leave, `renames` leave under another
    name; `head` are the answer's header lines that depend on the deployment alone.
    """

    __slots__ = (
        "api_base",
        "counters",
        "defaults",
        "drops",
        "endpoint",
        "family",
        "forced",
        "guardrails",
        "head",
        "id",
        "info",
        "mode",
        "model",
        "name",
        "output_default",
        "output_forced",
        "price",
        "provider",
        "raw_model",
        "region",
        "renames",
        "stream_usage",
        "tags",
        "weight",
    )

    def __init__(self, deployment_id: str, name: str, provider: str, model: str, endpoint: Endpoint) -> None:
        self.id = deployment_id
        self.name = name
        self.provider = provider
        self.model = model
        self.endpoint = endpoint
        self.api_base = endpoint.api_base
        self.raw_model = Raw(b"")
        self.stream_usage = "always"
        self.weight = 1.0
        self.tags: frozenset[str] = frozenset()
        self.region = ""
        self.mode = ""
        self.price: Price | None = None
        self.counters: tuple[Counter, ...] = ()
        """What this deployment, and its provider, may be used for."""
        self.family = family_of(model)
        """Whose tokenizer counts its input."""
        self.output_default: int | None = None
        self.output_forced: int | None = None
        """How long an answer may be where the client does not say, and whatever it says."""
        self.defaults: tuple[tuple[str, Raw], ...] = ()
        self.forced: tuple[tuple[str, Raw], ...] = ()
        self.guardrails: frozenset[str] = frozenset()
        self.drops: frozenset[str] = frozenset()
        self.renames: tuple[tuple[str, str], ...] = ()
        self.head = b""
        self.info: Mapping[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Deployment {self.name} {self.provider}/{self.model} {self.id[:8]}>"


class ModelGroup:
    """A public model name over its deployments, some of them perhaps `tagged`; `access_groups` are names it may also be granted by.

    `guardrails` are those that its deployments ask for.
    """

    __slots__ = ("access_groups", "deployments", "guardrails", "name", "pattern", "tagged")

    def __init__(
        self, name: str, deployments: Iterable[Deployment], access_groups: Iterable[str], pattern: str = ""
    ) -> None:
        self.name = name
        self.deployments = tuple(deployments)
        self.guardrails = frozenset(name for deployment in self.deployments for name in deployment.guardrails)
        self.tagged = any(deployment.tags for deployment in self.deployments)
        self.access_groups = frozenset(access_groups)
        self.pattern = pattern

    def __repr__(self) -> str:
        return f"<ModelGroup {self.name} x{len(self.deployments)}>"


class Wildcard:
    """A public name with one `*`, and how to make the group of a name that it matches.

    `provider` and `target` say what is behind it; the `*` of `target`, if any, takes what that of the name stood for.
    """

    __slots__ = ("_make", "pattern", "prefix", "provider", "suffix", "target")

    def __init__(self, pattern: str, provider: str, target: str, make: Callable[[str, str], ModelGroup]) -> None:
        self.pattern = pattern
        self.prefix, _, self.suffix = pattern.partition("*")
        self.provider = provider
        self.target = target
        self._make = make

    def __repr__(self) -> str:
        return f"<Wildcard {self.pattern}>"

    def matches(self, name: str) -> bool:
        """Tell whether a name fits."""
        fixed = len(self.prefix) + len(self.suffix)
        return len(name) > fixed and name.startswith(self.prefix) and name.endswith(self.suffix)

    def names(self, models: Iterable[str]) -> Iterator[str]:
        """Write the names that reach these models of the provider; none when all names reach the same one."""
        head, star, tail = self.target.partition("*")
        for model in models:
            if star and len(model) > len(head) + len(tail) and model.startswith(head) and model.endswith(tail):
                yield self.prefix + model[len(head) : len(model) - len(tail)] + self.suffix

    def concrete(self, name: str) -> ModelGroup:
        """Make the group of a matching name; raises ValueError when the upstream cannot be composed."""
        return self._make(name, name[len(self.prefix) : len(name) - len(self.suffix)])


class Snapshot:
    """Everything decided at load, at one revision."""

    __slots__ = (
        "_concrete", "groups", "guardrails", "head", "hidden", "names", "passages", "policies", "revision", "settings", "wildcards",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - one for each part of a configuration
        self, revision: int, settings: Settings, groups: Iterable[ModelGroup] = (), wildcards: Iterable[Wildcard] = (),
        aliases: Mapping[str, str] | None = None, hidden: Iterable[str] = (), policies: PolicySet | None = None,
        passages: Passages | None = None, guardrails: Iterable[Guard] = (),
    ) -> None:  # fmt: skip
        self.revision = revision
        self.policies = policies or PolicySet()
        self.passages = passages
        self.guardrails = {guard.name: guard for guard in guardrails}
        self.head = (
            f"x-interlock-revision: {'-'.join(filter(None, (str(revision), self.policies.digest)))}\r\n".encode()
        )
        self.settings = settings
        self.groups = tuple(groups)
        self.wildcards = tuple(sorted(wildcards, key=lambda w: len(w.prefix) + len(w.suffix), reverse=True))
        self.names = {group.name: group for group in self.groups}
        self._concrete: dict[str, ModelGroup] = {}
        self.hidden = frozenset(hidden)
        for alias, target in (aliases or {}).items():
            group = self.find(target)
            if group is not None and alias not in self.names:
                self.names[alias] = group

    def __repr__(self) -> str:
        return f"<Snapshot {self.revision} {len(self.groups)} groups, {len(self.wildcards)} wildcards>"

    def find(self, name: str) -> ModelGroup | None:
        """Say which group a public name means: exact name, alias, then the longest wildcard."""
        group = self.names.get(name) or self._concrete.get(name)
        if group is not None:
            return group
        if len(name) > LONGEST or not name.isprintable():
            return None
        for wildcard in self.wildcards:
            if wildcard.matches(name):
                if len(self._concrete) >= CONCRETE:
                    self._concrete.clear()
                try:
                    group = self._concrete[name] = wildcard.concrete(name)
                except (LookupError, ValueError):
                    # `*` alone lets a client name any provider, one that does not exist included.
                    return None
                return group
        return None
