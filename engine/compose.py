"""What an upstream is sent: the client's members, less what is the gateway's own, plus what the deployment adds."""

from __future__ import annotations

from msgspec import Raw

from engine import body
from engine.amounts import LENGTHS
from engine.call import Call
from engine.contracts import Pieces
from engine.errors import ClientError, invalid_request
from engine.receive import OWN
from engine.snapshot import Deployment

INJECTED = frozenset({"chat", "completions"})
"""Operations whose streams report usage when `stream_options` asks for it."""
_ASK = Raw(b'{"include_usage":true}')
_TRUE = Raw(b"true")
_NULL = Raw(b"null")


def compose(call: Call, deployment: Deployment) -> Pieces:
    """Write the request body for a deployment."""
    members = call.members.copy()
    members["model"] = deployment.raw_model
    for name in members.keys() & OWN:
        del members[name]
    if "metadata" in members and call.route.operation != "responses" and members.get("store") != _TRUE:
        # Tags and traces for the gateway: the provider's own `metadata` only goes with `store`.
        del members["metadata"]
    for name, value in deployment.defaults:
        members.setdefault(name, value)
    for name, value in deployment.forced:
        members[name] = value
    if call.account.shortest is not None:
        _shorten(members, call, deployment, call.account.shortest)
    for name in deployment.drops:
        members.pop(name, None)
    if deployment.renames:
        _rename(members, deployment)
    if call.stream and not call.wants_usage and injects(call, deployment):
        members["stream_options"] = _asking(members.get("stream_options"))
    if call.route.media and call.form is not None:
        return call.form.rebuild(members)
    return body.pieces(members) if call.body_size > body.LARGE else (body.rebuild(members),)


def _shorten(members: body.Members, call: Call, deployment: Deployment, limit: int) -> None:
    """Ask for no longer an answer than is paid for, by the words that the client uses."""
    said = [name for name in LENGTHS if name in members]
    if not said and call.route.operation == "responses":
        said = ["max_output_tokens"]
    elif not said:
        # Reasoning models refuse the older word, servers that are not OpenAI's may not know the newer.
        said = ["max_completion_tokens" if deployment.endpoint.unsupported else "max_tokens"]
    for name in said:
        members[name] = Raw(b"%d" % limit)


def _rename(members: body.Members, deployment: Deployment) -> None:
    """Say members by the provider's names; one that stands under its name already is the client's last word."""
    for name, other in deployment.renames:
        value = members.pop(name, None)
        if value is not None:
            members.setdefault(other, value)


def injects(call: Call, deployment: Deployment) -> bool:
    """Tell whether a stream of this deployment reports usage only when asked."""
    return deployment.stream_usage == "inject" and call.route.operation in INJECTED


def _asking(options: Raw | None) -> Raw:
    """Ask for usage beside whatever else the client's options say."""
    if options is None or options == _NULL:
        return _ASK
    try:
        asked = body.read(bytes(options))
    except ClientError as error:
        raise invalid_request(f"in `stream_options`: {error.message}", "stream_options") from None
    asked["include_usage"] = _TRUE
    return Raw(body.rebuild(asked))
