"""Sends a call where a policy says: to deployments with some tags, or to another model."""

from __future__ import annotations

from engine.call import Call
from engine.errors import InternalError, PolicyError
from engine.policy import Direction
from engine.snapshot import Deployment

DEFAULT = "default"
REFUSAL = "Not allowed to access model due to tags configuration"
"""LiteLLM's words, by which its clients know the refusal."""


def direct(call: Call, direction: Direction | None) -> None:
    """Set `call.candidates`, or another `call.group`; raises PolicyError 401 where no deployment is left."""
    if direction is not None and direction.model:
        _elsewhere(call, direction)
        return
    assert call.group is not None  # noqa: S101 - route comes before check
    deployments = call.group.deployments
    if not call.group.tagged and (direction is None or not direction.tags):
        return
    wanted = frozenset(direction.tags) if direction is not None else frozenset[str]()
    call.candidates = _chosen(deployments, wanted, direction)
    if not call.candidates:
        said = f"{REFUSAL}: no deployment of `{call.model}` has {_listed(wanted)}"
        raise PolicyError(401, "tag_routing_denied", said)
    if direction is not None:
        call.route_reason = f"{direction.rule}: {', '.join(direction.tags)}" if direction.tags else "default"


def _chosen(
    deployments: tuple[Deployment, ...], wanted: frozenset[str], direction: Direction | None
) -> tuple[Deployment, ...]:
    """Choose the deployments with the wanted tags, else those tagged `default`, else the untagged of an untagged call."""
    if wanted:
        match_any = direction is None or direction.match_any
        found = tuple(d for d in deployments if (wanted & d.tags if match_any else wanted <= d.tags))
        if found or (direction is not None and not direction.else_default):
            return found
        return tuple(d for d in deployments if DEFAULT in d.tags)
    found = tuple(d for d in deployments if DEFAULT in d.tags)
    if found or (direction is not None and direction.else_all):
        return found or deployments
    return tuple(d for d in deployments if not d.tags)


def _elsewhere(call: Call, direction: Direction) -> None:
    group = call.snapshot.find(direction.model)
    if group is None:
        message = f"rule `{direction.rule}` sends calls to model `{direction.model}`, which does not exist"
        raise InternalError(500, "policy_error", message)
    call.model, call.group = direction.model, group
    call.route_reason = f"{direction.rule}: {direction.model}"


def _listed(wanted: frozenset[str]) -> str:
    return f"one of the tags {', '.join(f'`{tag}`' for tag in sorted(wanted))}" if wanted else "no tags, or `default`"
