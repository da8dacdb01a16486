"""From a configuration to what the request path reads: a `Snapshot` of models and the callers of the `Directory`.

Everything that can be decided once is decided here: providers found, endpoints and headers composed, prices fixed,
defaults encoded. Problems are collected, never raised one by one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import orjson
from msgspec import Raw

from engine import quotas
from engine.amounts import LENGTHS, number
from engine.call import Caller
from engine.callers import compiling
from engine.claims import Counter
from engine.config.builtin import built_in
from engine.config.problems import Mark, Problem, nearest
from engine.config.specs import ConfigSpec, DeploymentSpec, GroupAlias, LitellmParams
from engine.config.specs import Prices as PriceFields
from engine.contracts import Registry, Target, Timeouts
from engine.declared import Declared, declaring
from engine.governing import PolicySet
from engine.headers import deployment_head
from engine.limiting import made
from engine.passages import Passages, Passing, own
from engine.policy import Passage
from engine.pricing import Price, Prices, agrees, custom
from engine.snapshot import Deployment, ModelGroup, Settings, Snapshot, Wildcard
from engine.watching import Ready, ready

_PRICES = tuple(PriceFields.model_fields)
_LIMITS = ("max_tokens", "max_input_tokens", "max_output_tokens")


NOBODY = Ready((), ())


class Built(NamedTuple):
    """What a configuration comes to; `snapshot` is sound only without errors among `problems`."""

    snapshot: Snapshot
    callers: tuple[Caller, ...]
    problems: tuple[Problem, ...]
    declared: Declared


def build(
    spec: ConfigSpec, registry: Registry, prices: Prices, revision: int, policies: PolicySet | None = None
) -> Built:
    """Compile a configuration, under its policies."""
    guards = ready((policies or PolicySet()).policies, registry, spec.files)
    steps = building(Builder(spec, registry, prices), revision, policies, guards)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            built: Built = end.value
            return built


def building(
    builder: Builder, revision: int, policies: PolicySet | None = None, guards: Ready = NOBODY
) -> Generator[None, None, Built]:
    """Compile a configuration in short steps, between which others may have the event loop."""
    groups: list[ModelGroup] = []
    wildcards: list[Wildcard] = []
    yield from builder.models(groups, wildcards)
    aliases, hidden = builder.aliases()
    passages = Passages(builder.passages(policies or PolicySet()))
    builder.problems += guards.problems
    snapshot = Snapshot(
        revision, _settings(builder.spec, groups), groups, wildcards, aliases, hidden, policies, passages, guards.guards
    )
    builder.check_aliases(snapshot, aliases)
    builder.check_targets(snapshot)
    builder.check_guardrails(snapshot)
    declared = Declared(builder.spec)
    yield from declaring(declared, builder.spec, builder.problems)
    builder.problems += quotas.uncountable(builder.spec, _limits(builder.spec, groups, policies or PolicySet()))
    callers = []
    for caller in compiling(declared, builder.registry.kind, builder.problems):
        if caller is not None:
            callers.append(caller)
            builder.problems += _missing(caller, snapshot)
            own = (one for each in caller.allowances for one in (*each.every, *chain(*each.by_model.values())))
            builder.problems += quotas.uncountable(builder.spec, own)
        yield
    return Built(snapshot, tuple(callers), tuple(builder.problems), declared)


def _limits(spec: ConfigSpec, groups: list[ModelGroup], policies: PolicySet) -> Iterator[Counter]:
    """Name the limits that are no caller's."""
    yield from quotas.everywhere(spec)
    yield from chain(*quotas.models(spec).values(), *quotas.tags(spec).values())
    yield from (counter for group in groups for deployment in group.deployments for counter in deployment.counters)
    yield from (made(policy, limit, ()) for policy in policies.policies for limit in policy.limits())


def _missing(caller: Caller, snapshot: Snapshot) -> Iterator[Problem]:
    """Report the guardrails that a key asks for and nobody has."""
    for name in sorted(caller.guardrails - snapshot.guardrails.keys()):
        message = f"there is no guardrail `{name}`, which key `{caller.alias or caller.masked}` asks for"
        yield Problem("error", None, "guardrails", message)


class Builder:
    """Compiles one configuration's parts; what is wrong is in `problems`."""

    def __init__(self, spec: ConfigSpec, registry: Registry, prices: Prices) -> None:
        self.spec = spec
        self.registry = registry
        self.prices = prices
        self.problems: list[Problem] = []

    def models(self, groups: list[ModelGroup], wildcards: list[Wildcard]) -> Iterator[None]:
        """Compile `model_list`, a name at a time: deployments of one name are one group."""
        named: dict[str, list[tuple[int, DeploymentSpec]]] = {}
        for at, spec in enumerate(self.spec.deployments):
            named.setdefault(spec.model_name, []).append((at, spec))
        for name, entries in named.items():
            made = [(spec, made) for at, spec in entries if (made := self._deployment(at, spec)) is not None]
            _weigh([deployment for _, deployment in made], [spec.params for spec, _ in made])
            access = {group for spec, _ in made for group in spec.info.access_groups}
            if made and "*" in name:
                wildcards.append(self._wildcard(name, [spec for spec, _ in made], access))
            elif made:
                groups.append(ModelGroup(name, [deployment for _, deployment in made], access))
            yield

    def aliases(self) -> tuple[dict[str, str], set[str]]:
        """Read `router_settings.model_group_alias`."""
        aliases: dict[str, str] = {}
        hidden: set[str] = set()
        for alias, target in self.spec.router.model_group_alias.items():
            aliases[alias] = target.model if isinstance(target, GroupAlias) else target
            if isinstance(target, GroupAlias) and target.hidden:
                hidden.add(alias)
        return aliases, hidden

    def passages(self, policies: PolicySet) -> Iterator[Passing]:
        """Compile the policies that pass requests on; two of one path are an error."""
        environ = {**self.registry.environ, **self.spec.environment}
        taken: dict[str, str] = {}
        for policy in policies.policies:
            sent = policy.passage()
            if sent is None:
                continue
            holder = taken.setdefault(sent.path, policy.head.place)
            if holder != policy.head.place or own(sent.path):
                whose = f"that of {holder}" if holder != policy.head.place else "one of the gateway's own"
                self.problems.append(Problem("error", _mark(policy.head.place), "path", f"`{sent.path}` is {whose}"))
                continue
            try:
                yield Passing(policy, sent, self.registry, environ)
            except ValueError as error:
                self.problems.append(Problem("error", _mark(policy.head.place), policy.head.name, str(error)))
        for sent in built_in(environ):
            if sent.path not in taken:
                yield from self._built_in(sent, environ)

    def _built_in(self, sent: Passage, environ: Mapping[str, str]) -> Iterator[Passing]:
        """Compile a passage that the environment brings; one that it says wrongly is left out, with a warning."""
        try:
            yield Passing(None, sent, self.registry, environ)
        except ValueError as error:
            self.problems.append(Problem("warning", None, sent.path, f"is not served: {error}"))

    def check_aliases(self, snapshot: Snapshot, aliases: Mapping[str, str]) -> None:
        """Report aliases of models that do not exist."""
        for alias, target in aliases.items():
            if snapshot.find(target) is None:
                message = f"alias of `{target}`, which is not in `model_list`"
                self.problems.append(Problem("error", None, f"router_settings.model_group_alias.{alias}", message))

    def check_guardrails(self, snapshot: Snapshot) -> None:
        """Report guardrails that models ask for and nobody has."""
        for at, spec in enumerate(self.spec.deployments):
            for name in spec.params.guardrails:
                if name not in snapshot.guardrails:
                    message = f"there is no guardrail `{name}`; add it to `guardrails`, or take it away"
                    self.problems.append(
                        Problem("error", spec.mark, f"model_list[{at}].litellm_params.guardrails", message)
                    )

        for passing in snapshot.passages or ():
            for name in sorted(passing.guardrails - snapshot.guardrails.keys()):
                place = passing.policy.head.place if passing.policy is not None else ""
                message = f"`{passing.name}` asks for the guardrail `{name}`, which nobody has"
                self.problems.append(Problem("error", _mark(place) if place else None, "", message))

    def check_targets(self, snapshot: Snapshot) -> None:
        """Report policies that name models, budgets or tags of deployments that do not exist."""
        tagged = {tag for deployment in self.spec.deployments for tag in deployment.params.tags}
        budgets = {policy.head.name for policy in snapshot.policies.policies if policy.limits()}
        for policy in snapshot.policies.policies:
            name, mark = policy.head.name, _mark(policy.head.place)
            for model in policy.targets():
                if snapshot.find(model) is None:
                    message = f"`{name}` sends calls to `{model}`, which is not in `model_list`"
                    self.problems.append(Problem("error", mark, "", message))
            for _, budget in (ref[:2] for ref in policy.head.refs if ref[0] == "budget" and len(ref) > 1):
                if budget not in budgets:
                    guess = nearest(budget, budgets)
                    hint = f"did you mean `{guess}`?" if guess else "no policy of kind Budget has this name"
                    self.problems.append(Problem("error", mark, "", f'`{name}` reads `budget["{budget}"]`: {hint}'))
            for tag in policy.tags():
                if tag not in tagged:
                    message = f"`{name}` sends calls to deployments tagged `{tag}`, but none is"
                    self.problems.append(Problem("warning", mark, "", message))

    def _deployment(self, at: int, spec: DeploymentSpec) -> Deployment | None:
        try:
            return self._compile(spec, spec.model_name, "")
        except (LookupError, ValueError) as error:
            message = error.args[0] if error.args else str(error)
            self.problems.append(Problem("error", spec.mark, f"model_list[{at}].litellm_params", message))
            return None

    def _wildcard(self, pattern: str, specs: list[DeploymentSpec], access: set[str]) -> Wildcard:
        def make(name: str, captured: str) -> ModelGroup:
            deployments = [self._compile(spec, name, captured) for spec in specs]
            _weigh(deployments, [spec.params for spec in specs])
            return ModelGroup(name, deployments, access, pattern)

        return Wildcard(pattern, *self._named(specs[0].params), make)

    def _compile(self, spec: DeploymentSpec, name: str, captured: str) -> Deployment:
        """Make one deployment; raises LookupError or ValueError saying what is wrong."""
        params = spec.params
        provider_name, model = self._named(params, captured)
        if captured:
            model = model.replace("*", captured)
        provider = self.registry.provider("echo" if params.mock_response is not None else provider_name)
        endpoint = provider.endpoint(self._target(params, model))
        deployment = Deployment(spec.id, name, provider_name, model, endpoint)
        deployment.raw_model = _raw(model)
        deployment.tags = frozenset(params.tags)
        deployment.guardrails = frozenset(params.guardrails)
        deployment.region = params.region_name or ""
        deployment.stream_usage = provider.stream_usage
        deployment.price = self._price(spec, provider_name, model)
        deployment.mode = spec.info.mode or (deployment.price.mode if deployment.price is not None else "")
        deployment.defaults, deployment.forced = _defaults(params)
        deployment.output_default, deployment.output_forced = map(_length, (deployment.defaults, deployment.forced))
        deployment.counters = quotas.deployment(self.spec, params, spec.id, provider_name)
        dropping = self.spec.litellm.drop_params if params.drop_params is None else params.drop_params
        kept = frozenset(params.allowed_openai_params)
        unsupported = endpoint.unsupported - kept if dropping else frozenset()
        deployment.drops = unsupported | (endpoint.drops - kept) | frozenset(params.additional_drop_params)
        deployment.renames = tuple(pair for pair in endpoint.renames if pair[0] not in kept)
        deployment.head = deployment_head(spec.id, endpoint.api_base, name)
        return deployment

    def _named(self, params: LitellmParams, captured: str = "") -> tuple[str, str]:
        """Split `provider/model`; a bare name is looked up in the price list, a bare `*` is what was asked for."""
        if params.model == "*" and not params.custom_llm_provider and not captured:
            return "openai", "*"
        prefix, slash, rest = (captured if params.model == "*" else params.model).partition("/")
        if params.custom_llm_provider:
            named = slash and prefix == params.custom_llm_provider
            return params.custom_llm_provider, rest if named else params.model
        if slash:
            return prefix, rest
        price = self.prices.find(prefix)
        if price is None:
            raise LookupError(f"`{prefix}` names no provider; write `provider/{prefix}`, for example `openai/{prefix}`")
        return price.provider, prefix

    def _target(self, params: LitellmParams, model: str) -> Target:
        total = params.timeout or self.spec.router.timeout or self.spec.litellm.request_timeout
        first = params.stream_timeout or self.spec.router.stream_timeout or min(total, 600.0)
        whole = Timeouts(first_byte=float(total), idle=float(total), total=float(total))
        stream = Timeouts(first_byte=float(first), idle=min(float(total), 600.0), total=float(total))
        values = {name: value for name, value in params if value is not None}
        return Target(model, {**values, **params.provider_params}, whole, stream)

    def _price(self, spec: DeploymentSpec, provider: str, model: str) -> Price | None:
        base = spec.info.base_model
        found = self.prices.find(base) if base else self.prices.find(model, provider)
        if found is not None and not base and provider != "openai" and not agrees(found.provider, provider):
            # Another vendor's model of that name: `openai/` alone stands for whatever server speaks OpenAI's API.
            found = None
        given: dict[str, Any] = {}
        for holder in (spec.info, spec.params):
            given.update({name: value for name in _PRICES if (value := getattr(holder, name)) is not None})
        given.update({name: value for name in _LIMITS if (value := getattr(spec.info, name)) is not None})
        return custom(given, found) if given else found


def _settings(spec: ConfigSpec, groups: list[ModelGroup]) -> Settings:
    general, router = spec.general, spec.router
    moderators = [group.name for group in groups if _moderates(group)]
    retries = router.num_retries if router.num_retries is not None else spec.litellm.num_retries
    return Settings(
        max_request_bytes=int(general.max_request_size_mb * 1024 * 1024),
        key_header=(general.litellm_key_header_name or "").lower(),
        retries=1 if retries is None else retries,
        moderation_model=next(iter(moderators), Settings().moderation_model),
        user_header=(general.user_header_name or "").lower(),
        budget_status=general.budget_exceeded_status_code,
        terms=quotas.terms(spec),
        everywhere=quotas.everywhere(spec),
        models=quotas.models(spec),
        tags=quotas.tags(spec),
        trusts_tags=bool(router.enable_tag_filtering),
        parallel=general.max_parallel_requests,
    )


def _moderates(group: ModelGroup) -> bool:
    return any(deployment.mode == "moderation" for deployment in group.deployments)


def _mark(place: str) -> Mark:
    file, _, line = place.rpartition(":")
    return Mark(file, int(line), 1)


def _weigh(deployments: list[Deployment], params: list[LitellmParams]) -> None:
    """Set weights as LiteLLM's simple-shuffle does: by `weight`, else `rpm`, else `tpm` of all, if the first has it."""
    for field in ("weight", "rpm", "tpm"):
        if params and getattr(params[0], field) is not None:
            for deployment, given in zip(deployments, params, strict=True):
                deployment.weight = float(getattr(given, field) or 0)
            return


def _defaults(params: LitellmParams) -> tuple[tuple[tuple[str, Raw], ...], tuple[tuple[str, Raw], ...]]:
    """Encode the request members a deployment adds: those a client may override, and `extra_body`, which wins."""
    extra = params.defaults.get("extra_body")
    forced = extra if isinstance(extra, Mapping) else {}
    plain = {name: value for name, value in params.defaults.items() if name != "extra_body"}
    return tuple((n, _raw(v)) for n, v in plain.items()), tuple((str(n), _raw(v)) for n, v in forced.items())


def _length(members: tuple[tuple[str, Raw], ...]) -> int | None:
    """Return how long members let an answer be."""
    found = [number(value) for name, value in members if name in LENGTHS]
    return max((length for length in found if length is not None), default=None)


def _raw(value: Any) -> Raw:
    return Raw(orjson.dumps(value, default=str))
