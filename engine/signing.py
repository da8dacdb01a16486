"""Signatures that AWS asks for: version 4, over the whole of a request.

Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"


class Scope(NamedTuple):
    """Who signs, and for what: credentials, the region and the service's signing name (`bedrock`)."""

    access_key: str
    secret_key: str
    region: str
    service: str
    token: str = ""
    """The session's, where the credentials are temporary."""

    def __repr__(self) -> str:
        return f"<Scope {self.region}/{self.service}>"


class Request(NamedTuple):
    """What is signed. `path` stands as it is sent, its segments percent-encoded once; `query` is sorted and encoded."""

    method: str
    host: str
    path: str
    query: str = ""
    body: bytes = b""


def signed(scope: Scope, request: Request, seconds: float, headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the headers to add: the time, the session's token where there is one, and the signature.

    `seconds` are Unix time; `headers`, names in lower case, are signed along.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
    added = {"x-amz-date": moment, **({"x-amz-security-token": scope.token} if scope.token else {})}
    names, canonical = _canonical(request, {"host": request.host, **(headers or {}), **added})
    within = f"{moment[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = "\n".join((_ALGORITHM, moment, within, hashlib.sha256(canonical.encode()).hexdigest()))
    signature = hmac.new(_key(scope, moment[:8]), text.encode(), hashlib.sha256).hexdigest()
    credential = f"{_ALGORITHM} Credential={scope.access_key}/{within}, SignedHeaders={names}, Signature={signature}"
    return {**added, "authorization": credential}


def _canonical(request: Request, headers: Mapping[str, str]) -> tuple[str, str]:
    """Write a request in the one form that both sides compute, and the names of its signed headers."""
    names = sorted(headers)
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
    # All services but S3 see a path encoded twice.
    path = quote(request.path or "/", safe="/-_.~")
    joined = ";".join(names)
    digest = hashlib.sha256(request.body).hexdigest()
    return joined, f"{request.method}\n{path}\n{request.query}\n{lines}\n{joined}\n{digest}"


def _key(scope: Scope, day: str) -> bytes:
    key = f"AWS4{scope.secret_key}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
