"""The limits of a configuration that are no key's, team's or user's own: of deployments, providers, models, tags and all calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine.allowances import Terms, allowance
from engine.claims import Counter, Scope, Subject, Unit, too_large
from engine.config.problems import Problem
from engine.config.specs import BudgetShare, ConfigSpec, LitellmParams

TOKENS = {"total": Unit.TOKENS, "input": Unit.INPUT_TOKENS, "output": Unit.OUTPUT_TOKENS}


def terms(spec: ConfigSpec) -> Terms:
    """Return what a configuration says of all limits."""
    return Terms(spec.litellm.timezone, TOKENS[spec.general.token_rate_limit_type], spec.general.limits_failure_policy)


def deployment(spec: ConfigSpec, params: LitellmParams, deployment_id: str, provider: str) -> tuple[Counter, ...]:
    """Return the counters of a deployment, and those that it shares with all of its provider."""
    parallel = params.max_parallel_requests
    said = {
        "max_budget": params.max_budget, "budget_duration": params.budget_duration, "rpm_limit": params.rpm, "tpm_limit": params.tpm,
        "max_parallel_requests": spec.router.default_max_parallel_requests if parallel is None else parallel,
    }  # fmt: skip
    own = allowance(Subject(Scope.DEPLOYMENT, deployment_id), said, terms(spec)).every
    shared = spec.router.provider_budget_config.get(provider)
    return own if shared is None else (*own, *_share(Subject(Scope.PROVIDER, provider), shared, terms(spec)))


def everywhere(spec: ConfigSpec) -> tuple[Counter, ...]:
    """Return the counters of all calls together."""
    said = {
        "max_budget": spec.litellm.max_budget, "budget_duration": spec.litellm.budget_duration,
        "max_parallel_requests": spec.general.global_max_parallel_requests,
    }  # fmt: skip
    return allowance(Subject(Scope.GLOBAL, "all calls"), said, terms(spec)).every


def models(spec: ConfigSpec) -> Mapping[str, tuple[Counter, ...]]:
    """Return the counters of all calls to a model, by its public name."""
    return {
        limits.model: allowance(
            Subject(Scope.MODEL, limits.model), {"rpm_limit": limits.rpm, "tpm_limit": limits.tpm}, terms(spec)
        ).every
        for limits in spec.rate_limits
    }


def tags(spec: ConfigSpec) -> Mapping[str, tuple[Counter, ...]]:
    """Return the counters of all calls with a tag."""
    return {
        tag: _share(Subject(Scope.TAG, tag), share, terms(spec))
        for tag, share in spec.litellm.tag_budget_config.items()
    }


def uncountable(spec: ConfigSpec, counters: Iterable[Counter]) -> Iterator[Problem]:
    """Find the limits that cannot be counted where processes count together; none where each counts for itself."""
    if spec.redis is not None:
        for counter in counters:
            said = too_large(counter)
            if said:
                yield Problem("error", None, counter.name, said)


def _share(subject: Subject, share: BudgetShare, said: Terms) -> tuple[Counter, ...]:
    return allowance(subject, {"max_budget": share.max_budget, "budget_duration": share.budget_duration}, said).every
