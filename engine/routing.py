"""Where a call goes: its model name to a group, and the order in which a group's deployments are tried."""

from __future__ import annotations

from collections.abc import Iterator

from engine.call import Call
from engine.contracts import Random
from engine.errors import ClientError, invalid_request
from engine.snapshot import LONGEST, Deployment


def route(call: Call) -> None:
    """Set `call.group` from `call.model`, after the caller's own aliases; raises ClientError 400 or 404."""
    if not call.model and call.route.operation == "moderations":
        call.model = call.snapshot.settings.moderation_model
    if not call.model:
        raise invalid_request("the request names no model; set `model`", "model")
    if len(call.model) > LONGEST or not call.model.isprintable():
        raise invalid_request(f"`model` must be a printable name of at most {LONGEST} characters", "model")
    call.model_asked = call.model
    aliases = call.caller.aliases if call.caller is not None else {}
    if aliases:
        call.model = aliases.get(call.model, call.model)
    call.group = call.snapshot.find(call.model)
    if call.group is None:
        raise ClientError(
            404, "model_not_found", f"model `{call.model}` does not exist here; see GET /v1/models", "model"
        )


def order(deployments: tuple[Deployment, ...], random: Random) -> Iterator[Deployment]:
    """Draw the deployments to try, by weight and without repetition, each when it is asked for."""
    if len(deployments) == 1:
        yield deployments[0]
        return
    left = list(deployments)
    while left:
        point = random.random() * sum(d.weight for d in left)
        for deployment in left:
            point -= deployment.weight
            if point < 0:
                break
        yield deployment
        left.remove(deployment)
