"""What carries secrets by its own syntax: key blocks, signed tokens, addresses, headers, and files of accounts."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator

from adapters.detectors.secrets import shapes
from engine.scanning import Rule

BLOCK = 8192
"""Characters of a private key that are looked for behind its first line."""
TOKEN = 4096
"""Characters of a signed token."""
_NO_PASSWORD = re.compile(
    r"(?i)(?:pass|password|passwd|pwd|secret|token|x-oauth-basic|user|username|x+|\*+|\.+|your.*|change.?me)$"
)
_HEADER = r"(?:(?:proxy-)?authorization|x-(?:[a-z]+-){0,3}(?:key|token|auth|secret)|(?:api|auth|access|private|subscription|ocp-apim-subscription)-?(?:key|token)|cookie|dd-api-key|apikey)"


def carried() -> Iterator[Rule]:
    """Yield the rules of what carries secrets."""
    yield from _blocks()
    yield from _tokens()
    yield from _addresses()
    yield from _headers()
    yield from _files()


def _blocks() -> Iterator[Rule]:
    yield Rule(
        "PRIVATE_KEY",
        r"-{4,5} ?BEGIN[ A-Z0-9_-]{0,60}PRIVATE KEY(?: BLOCK)? ?-{4,5}(?:[A-Za-z0-9+/=\s\\:,.()<>@_]|-[A-Za-z0-9]|[\"'][ \t]{0,3}[+.\\]?[ \t]{0,3}\r?\n\s{0,40}[\"'])*(?:-{4,5} ?END[ A-Z0-9_-]{0,60}PRIVATE KEY(?: BLOCK)? ?-{4,5})?",
        longest=BLOCK, sieve="PRIVATE KEY",
    )  # fmt: skip
    yield Rule(
        "PRIVATE_KEY",
        r"PuTTY-User-Key-File-\d: [^\n]{1,80}(?:\r?\n|\\[rn])(?:[A-Za-z0-9+/=\s\\:.()@_-])*?Private-MAC: [0-9a-f]{40,64}",
        longest=BLOCK, sieve="PuTTY-User-Key-File",
    )  # fmt: skip
    yield Rule("PRIVATE_KEY", r"PuTTY-User-Key-File-\d")
    yield Rule(
        "PRIVATE_KEY", r"\bLS0tLS1CRUdJTi[A-Za-z0-9+/]{4,}={0,2}", _encoded_block, longest=BLOCK, sieve="LS0tLS1CRUdJTi"
    )
    yield Rule("PRIVATE_KEY", r"\"d\"\s{0,3}:\s{0,3}\"([A-Za-z0-9_-]{40,900})\"", group=1, sieve=r"\"d\"\s{0,3}:")
    yield Rule(
        "PRIVATE_KEY",
        r"(?i)(?:private|secret|priv|wallet|signer|deployer|eth(?:ereum)?)[\w .-]{0,20}key[\"'\s:=]{1,6}(?:is\s)?[\"']?((?:0x)?[a-f0-9]{64})\b",
        lambda found, _: float(shapes.entropy(found) >= 3.0),
        group=1,
        sieve=r"(?i)key[\"'\s:=]{1,6}(?:is\s)?[\"']?(?:0x)?[a-f0-9]{10}",
    )


def _tokens() -> Iterator[Rule]:
    yield Rule(
        "JWT",
        r"\bey[A-Za-z0-9_-]{12,}\.ey[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
        _signed,
        longest=TOKEN,
        sieve=r"\bey[A-Za-z0-9_-]{12}",
    )
    yield Rule(
        "JWT",
        r"\bey[A-Za-z0-9_-]{16,}(?:\.[A-Za-z0-9_-]*){4}",
        _signed,
        longest=TOKEN,
        sieve=r"\bey[A-Za-z0-9_-]{12}",
    )
    yield Rule("JWT", r"\bZXlK[A-Za-z0-9+/]{40,}={0,2}", _encoded_token, longest=TOKEN, sieve="ZXlK")


def _addresses() -> Iterator[Rule]:
    yield Rule(
        "BASIC_AUTH_URL",
        r"(?i)\b[a-z][a-z0-9+.-]{1,30}://[^\s:/?#@\"'<>\[\]]{0,100}:([^\s/?#\"'<>]{1,200})@[a-z0-9\[$_{(*]",
        _userinfo, group=1, sieve="://[^\\s/]{0,100}:[^\\s/]{1,200}@",
    )  # fmt: skip
    yield Rule(
        "BASIC_AUTH_URL",
        r"(?i)\bhttps?://([A-Za-z0-9_-]{20,120})@[a-z0-9]",
        lambda found, _: float(shapes.mixed(found) and not shapes.worded(found)),
        group=1,
        sieve="://[A-Za-z0-9_-]{20,120}@",
    )
    yield Rule(
        "CONNECTION_PASSWORD",
        r"(?i)\b(?:password|pwd)\s?=\s?([^;,\s\"'()]{3,100})(?:;|[\"'\s]|$)",
        _connection,
        group=1,
        sieve=r"(?i)\b(?:password|pwd)\s?=",
    )
    yield Rule(
        "URL_SECRET",
        r"(?i)[?&](?:access_token|refresh_token|id_token|api_?key|apikey|token|auth|secret|client_secret|password|passwd|pwd|key|sig|signature|x-amz-signature|x-amz-security-token|x-goog-signature|code_verifier|private_token|subscription-key|appid|session)=([A-Za-z0-9_.~%+/=:-]{8,470})",
        _query,
        group=1,
        sieve=r"[?&][A-Za-z_-]{3,20}=[A-Za-z0-9_.~%+/=:-]{8}",
    )


def _headers() -> Iterator[Rule]:
    yield Rule(
        "AUTHORIZATION",
        rf"(?i){_HEADER}\\{{0,2}}[\"'\]]{{0,2}}\s{{0,2}}(?:[:=]\s{{0,2}}(?:f?\\{{0,2}}[\"'`])?|,\s{{0,2}}[\"'`])(?:(?:bearer|basic|token|apikey|api-key|bot|digest|key|glpat|splunk|negotiate|aws4-hmac-sha256)\s{{1,2}})?([A-Za-z0-9_.~+/=:-]{{8,470}})",
        _bearer,
        group=1,
        sieve=rf"(?i){_HEADER}\\{{0,2}}[\"'\]]{{0,2}}\s{{0,2}}[:=,]",
    )
    yield Rule(
        "AUTHORIZATION", r"(?i)\b(?:bearer|basic)\s{1,2}([A-Za-z0-9_.~+/=-]{16,470})", _bearer, group=1, sieve=r"(?i)\b(?:bearer|basic)\s[A-Za-z0-9_.~+/=-]{16}",
    )  # fmt: skip


def _files() -> Iterator[Rule]:
    yield Rule(
        "DOCKER_AUTH",
        r"\"auth\"\s{0,3}:\s{0,3}\"([A-Za-z0-9+/]{12,400}={0,2})\"",
        _pair,
        group=1,
        sieve=r"\"auth\"\s{0,3}:",
    )
    yield Rule(
        "GOOGLE_SERVICE_ACCOUNT",
        r"\"?private_key_id\\?\"?\s{0,3}:\s{0,3}\\?\"?([0-9a-f]{40})\b",
        group=1,
        sieve="private_key_id",
    )
    entries = (
        r"(?:\s{0,2}\n?[ \t]{1,12}[\w.-]{1,80}:[ \t]{0,4}(?:[|>][+-]?\s{1,20})?[\"']?[A-Za-z0-9+/]{6,}={0,2}[\"']?)+"
    )
    kind = r"\bkind[\"']?:\s{0,3}[\"']?Secret\b"
    for pattern in (
        rf"{kind}(?s:.){{0,400}}?\b(?:data|stringData):[ \t]{{0,3}}\r?\n({entries})",
        rf"\bdata:[ \t]{{0,3}}\r?\n({entries})(?s:.){{0,300}}?{kind}",
        rf"{kind}[^{{}}]{{0,300}}(?:\{{[^{{}}]{{0,300}}\}}[^{{}}]{{0,100}})?[\"'](?:data|stringData)[\"']:\s{{0,3}}\{{([^{{}}]{{8,}})\}}",
    ):
        yield Rule("KUBERNETES_SECRET", pattern, _entries, group=1, longest=BLOCK, sieve=kind)
    yield Rule(
        "PASSWORD",
        r"(?i)\bmachine\s{1,4}[\w.-]{1,100}\s{1,4}login\s{1,4}\S{1,100}\s{1,4}password\s{1,4}([^\s\"']{4,200})",
        lambda found, _: 0.0 if shapes.reference(found) else 1.0,
        group=1,
        sieve=r"(?i)\bmachine\s",
    )


def _told(head: str) -> object:
    try:
        return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError):
        return None


def _signed(found: str, _: str) -> float:
    """Tell whether a JSON Web Token has a head, and claims unless they are encrypted."""
    head, _, rest = found.partition(".")
    told = _told(head)
    claims = rest.partition(".")[0]
    whole = found.count(".") > 2 or len(found) > TOKEN - 2 or isinstance(_told(claims), dict)
    return 1.0 if whole and isinstance(told, dict) and told.keys() & {"alg", "typ", "kid", "enc", "zip"} else 0.0


def _decoded(found: str) -> str:
    text = found.rstrip("=")
    try:
        return base64.b64decode(text[: len(text) // 4 * 4]).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _encoded_block(found: str, _: str) -> float:
    return 1.0 if "PRIVATE KEY" in _decoded(found[:120]) else 0.0


def _encoded_token(found: str, _: str) -> float:
    return 1.0 if re.match(r"ey[A-Za-z0-9_-]{12,}(?:\.ey|$)", _decoded(found)) and _told_head(found) else 0.0


def _told_head(found: str) -> bool:
    head = _decoded(found).partition(".")[0]
    return _decoded(head.replace("-", "+").replace("_", "/")).startswith('{"')


def _pair(found: str, _: str) -> float:
    """Tell whether base64 holds a user and a password."""
    user, colon, password = _decoded(found + "====").partition(":")
    return 1.0 if colon and user.isprintable() and password.isprintable() and len(password) > 2 else 0.0


def _entries(found: str, _: str) -> float:
    values = re.findall(r"[\w.-]{1,80}[\"']?\s?:\s*[\"']?(?:[|>][+-]?\s+)?([A-Za-z0-9+/]{6,}={0,2})", found)
    return 1.0 if any("=" in one or not shapes.worded(one) for one in values) else 0.0


def _userinfo(found: str, _: str) -> float:
    plain = found.startswith(("$", "{", "<", "%", "[", "(")) or _NO_PASSWORD.fullmatch(found) is not None
    return 0.0 if plain or len(found) < 3 else 1.0


def _connection(found: str, before: str) -> float:
    """Tell whether a password stands among other settings of a connection."""
    others = re.search(
        r"(?i)(?:server|host|data source|uid|user(?: id|name)?|database|initial catalog|dbname|port|sslmode|driver|endpoint|sasl[\w.]*)\s?=",
        before,
    )
    plain = shapes.reference(found) or shapes.technical(found) or _NO_PASSWORD.fullmatch(found) is not None
    return 0.0 if others is None or plain or (";" not in before and shapes.worded(found)) else 1.0


def _query(found: str, before: str) -> float:
    least = 3.5 if before.lower().endswith(("?key=", "&key=", "&code=", "?code=")) else 3.0
    drawn = (
        shapes.mixed(found)
        and not shapes.worded(found)
        and shapes.random_enough(found, least)
        and shapes.UUID.fullmatch(found) is None
    )
    return 0.9 if drawn and not shapes.reference(found) and not shapes.technical(found) else 0.0


def _bearer(found: str, before: str) -> float:
    if before.lower().rstrip().endswith("basic") and _pair(found, before) > 0:
        return 1.0
    if shapes.reference(found) or shapes.technical(found) or shapes.UUID.fullmatch(found):
        return 0.0
    return 0.9 if shapes.mixed(found) and not shapes.worded(found) and shapes.random_enough(found, 2.75) else 0.0
