"""`PassThrough`: requests under a path that go on to another server as they come.

    kind: PassThrough
    name: bria
    path: /bria                              # and everything below it, unless `subpaths: false`
    target: https://engine.prod.bria-api.com
    methods: [POST]                          # all of them where nothing is said
    headers: {Authorization: Bearer os.environ/BRIA_KEY}
    forwardHeaders: [x-request-id]           # of the client's; true: all but credentials and those of the connection
    query: {version: "2"}                    # a client's own parameter of the same name wins
    mergeQuery: true                         # false: the client's query stays behind
    cost: 12.00                              # USD a request, or CEL over `request` and `response`
    timeout: 60
    guardrails: [no-secrets]                 # those that are `optional`, and are to look here
    texts: {request: ["query", "documents[].text"], response: ["results[].snippet"]}   # where they look; else at every text

Whom it is for is said by `match` (keys, users, teams, orgs, roles); what else must hold by other policies with
`match: {routes: [pass-through]}`. A header `x-pass-NAME` of the client always goes on as `NAME`. Without `cost`, calls
to providers whose answers report usage cost what their models do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Self

from engine.expr.schema import DYN
from engine.policy import Action, Head, Passage, Phase, Policy, Reader

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
NOWHERE = Passage("", "")
_PLACE = re.compile(r"[\w-]+(?:\[\])*(?:\.[\w-]+(?:\[\])*)*(?:\.\*\*)?")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class PassThrough(Policy):
    """Says where requests under a path go on to."""

    sent: Passage = NOWHERE

    @classmethod
    def read(cls, head: Head, fields: Reader) -> Self:
        """Read where from, where to, and what is added on the way."""
        if head.match.models or head.match.routes:
            fields.fault("a PassThrough has no models and no other route; `match` says who may use it", "match")
        if head.conditions or head.variables or head.action is not Action.DENY:
            fields.fault("says where requests go; what they must meet is said by other policies for `pass-through`")
        path, target = fields.text("path"), fields.text("target")
        if not _PATH.fullmatch(path) or any(step in (".", "..") for step in path.split("/")):
            fields.fault("needs a `path` such as `/bria`: plain steps, no slash at its end, no query", "path")
        if not target:
            fields.fault("needs a `target`, such as `https://api.example.com`", "target")
        methods = tuple(method.upper() for method in fields.texts("methods"))
        for method in methods:
            if method not in METHODS:
                fields.fault(f"`{method}` is no method that is passed on; they are {', '.join(METHODS)}", "methods")
        texts = fields.mapping("texts")
        sent = Passage(
            path=path,
            target=target,
            subpaths=fields.flag("subpaths", default=True),
            methods=methods or METHODS,
            headers=_pairs(fields, "headers"),
            forward=_forwarded(fields),
            query=_pairs(fields, "query", names=False),
            merge_query=fields.flag("mergeQuery", default=True),
            auth=fields.flag("auth", default=True),
            key_header=fields.text("keyHeader").lower(),
            cost=fields.cel("cost", DYN, phase=Phase.RESPONSE),
            timeout=fields.number("timeout", least=0.001) if fields.has("timeout") else 0.0,
            allow_link_local=fields.flag("allowLinkLocal"),
            guardrails=fields.texts("guardrails"),
            asked=_places(texts, "request"),
            answered=_places(texts, "response"),
        )
        return cls(replace(head, match=replace(head.match, routes=("pass-through",))), sent)

    def passage(self) -> Passage:
        """Say where requests go."""
        return self.sent


def _places(texts: Reader, name: str) -> tuple[str, ...]:
    """Read paths of texts, such as `documents[].text`."""
    paths = texts.texts(name)
    for path in paths:
        if not _PLACE.fullmatch(path):
            texts.fault(f"`{path}` is no path of texts; write members, `[]` for each element: `documents[].text`", name)
    return paths


def _pairs(fields: Reader, name: str, *, names: bool = True) -> tuple[tuple[str, str], ...]:
    written = fields.mapping(name)
    found = []
    for key in written.names():
        if names and not _NAME.fullmatch(key):
            written.fault(f"`{key}` is not the name of a header", key)
        found.append((key, written.text(key)))
    return tuple(found)


def _forwarded(fields: Reader) -> tuple[str, ...] | None:
    """Read the client's headers that go on; None for all of them."""
    name = "forwardHeaders"
    if not fields.has(name):
        return ()
    if fields.is_flag(name):
        return None if fields.flag(name) else ()
    return tuple(header.lower() for header in fields.texts(name))
