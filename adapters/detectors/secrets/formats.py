"""How credentials are written, family by family: what their issuers put before and how many characters follow.

What a format says is checked on the match alone: a placeholder (`xxxx`) has no entropy. Documentation's own values are masked
like any other: nobody can tell them from live ones by looking.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from engine.scanning import Check, Rule

BLOCK = 8192
"""Characters of a private key that are looked for behind its first line."""
TOKEN = 4096
"""Characters of a signed token."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NAMES = re.compile(r"[A-Za-z_]+\d{0,3}(?:[./:_-]+[A-Za-z_]+\d{0,3})*")
_HOST = re.compile(r"(?i)[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?(?:/.*)?")
_VERSION = re.compile(r"\w{0,8}\d+\.\d+|(?i:https?:|file:|/|\./|\w+:\d+$)|.*SNAPSHOT")
_WORDY = re.compile(r"(?i)example|placeholder|changeme|your[-_]|redacted|dummy|\bxxx|test[-_]?(?:key|token)$")


class Family(NamedTuple):
    """Formats of one issuer: patterns of what is secret, whole."""

    entropy: float
    patterns: Sequence[str]


FAMILIES: Mapping[str, Family] = {
    "ANTHROPIC_KEY": Family(3.5, [r"\bsk-ant-[a-z]{2,8}\d{2}-[A-Za-z0-9_-]{60,120}"]),
    "OPENAI_KEY": Family(3.5, [
        r"\bsk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,200}", r"\bsk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}", r"\bsk-[A-Za-z0-9]{32,64}\b",
    ]),
    "OPENROUTER_KEY": Family(3.0, [r"\bsk-or-v1-[0-9a-f]{64}\b"]),
    "GROQ_KEY": Family(3.5, [r"\bgsk_[A-Za-z0-9]{40,60}\b"]),
    "XAI_KEY": Family(3.5, [r"\bxai-[A-Za-z0-9]{60,100}\b"]),
    "PERPLEXITY_KEY": Family(3.5, [r"\bpplx-[A-Za-z0-9]{40,60}\b"]),
    "REPLICATE_KEY": Family(3.0, [r"\br8_[A-Za-z0-9]{37}\b"]),
    "HUGGING_FACE_TOKEN": Family(3.0, [r"\bhf_[A-Za-z]{34}\b", r"\bapi_org_[A-Za-z]{34}\b"]),
    "AWS_ACCESS_KEY": Family(3.0, [r"\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z2-7]{16}\b", r"\bABSK[A-Za-z0-9+/]{109,269}={0,2}"]),
    "AWS_BEDROCK_KEY": Family(3.0, [r"\bbedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t[A-Za-z0-9+/=]{0,400}"]),
    "GOOGLE_API_KEY": Family(3.0, [r"\bAIza[A-Za-z0-9_-]{35}", r"\bGOCSPX-[A-Za-z0-9_-]{28}", r"\bya29\.[A-Za-z0-9_-]{20,400}"]),
    "AZURE_KEY": Family(3.5, [
        r"(?i:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{42,86}={1,2}", r"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}",
        r"\b[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}\b", r"[?&]sig=[A-Za-z0-9%]{43,64}%3[dD]",
    ]),
    "GITHUB_TOKEN": Family(3.0, [r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b", r"\bgithub_pat_[A-Za-z0-9_]{82}\b"]),
    "GITLAB_TOKEN": Family(3.0, [
        r"\bgl(?:pat|oas|dt|cbt|ptt|ft|imt|agent|soat|ffct|rt|rtr)-(?:[0-9a-zA-Z_]{2,4}_)?[0-9a-zA-Z_-]{20,64}(?:\.[0-9a-z]{2}\.?[0-9a-z]{7,9})?",
        r"\bGR1348941[A-Za-z0-9_-]{20}\b", r"\b_gitlab_session=[0-9a-z]{32}\b",
    ]),
    "SLACK_TOKEN": Family(2.5, [
        r"\bxox[abposr]-(?:\d{8,14}-){1,3}[A-Za-z0-9-]{10,80}", r"\bxox[abpesr](?:\.xox[bp])?-\d-[A-Za-z0-9]{20,250}", r"(?i)\bxapp-\d-[a-z0-9]{8,16}-\d{10,16}-[a-z0-9]{40,80}",
        r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{43,80}",
    ]),
    "DISCORD_TOKEN": Family(3.5, [r"\b[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}", r"https://(?:ptb\.|canary\.)?discord(?:app)?\.com/api/webhooks/\d{17,20}/[A-Za-z0-9_-]{60,80}"]),
    "TELEGRAM_TOKEN": Family(3.0, [r"\b\d{5,16}:AA[A-Za-z0-9_-]{32,33}\b"]),
    "STRIPE_KEY": Family(3.0, [r"\b(?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{10,99}\b", r"\bwhsec_[A-Za-z0-9+/=]{32,64}"]),
    "TWILIO_KEY": Family(3.0, [r"\b(?:AC|SK)[0-9a-f]{32}\b"]),
    "SENDGRID_KEY": Family(3.0, [r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}"]),
    "MAILGUN_KEY": Family(3.0, [r"\b(?:key|pubkey)-[0-9a-f]{32}\b"]),
    "MAILCHIMP_KEY": Family(3.0, [r"\b[0-9a-f]{32}-us\d{1,2}\b"]),
    "NPM_TOKEN": Family(3.0, [r"\bnpm_[A-Za-z0-9]{36}\b", r"//[a-z0-9.-]{3,100}/(?:[\w-]{1,40}/){0,5}:_authToken=\s{0,2}(?:npm_[A-Za-z0-9]{20,60}|[A-Fa-f0-9-]{36})"]),
    "PYPI_TOKEN": Family(3.0, [r"\bpypi-AgE(?:IcHlwaS5vcmc|NdGVzdC5weXBpLm9yZ)[A-Za-z0-9_-]{50,400}"]),
    "RUBYGEMS_KEY": Family(3.0, [r"\brubygems_[a-f0-9]{48}\b"]),
    "DOCKER_TOKEN": Family(3.0, [r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{27,32}"]),
    "FACEBOOK_TOKEN": Family(3.0, [r"\bEAA[MC][A-Za-z0-9]{100,400}", r"\b\d{15,16}(?:\||%7[cC])[A-Za-z0-9_-]{27,40}"]),
    "VAULT_TOKEN": Family(3.0, [r"\bhv[sbr]\.[A-Za-z0-9_-]{90,300}", r"\bs\.[A-Za-z0-9]{24}\b"]),
    "TERRAFORM_TOKEN": Family(3.0, [r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}"]),
    "DATABRICKS_TOKEN": Family(3.0, [r"\bdapi[a-f0-9]{32}(?:-\d)?\b"]),
    "DIGITALOCEAN_TOKEN": Family(3.0, [r"\bdo[oprt]_v1_[a-f0-9]{64}\b"]),
    "SHOPIFY_TOKEN": Family(2.5, [r"\bshp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}\b"]),
    "SQUARE_TOKEN": Family(3.0, [r"\b(?:EAAA|sq0atp-|sq0csp-)[A-Za-z0-9_+=-]{22,60}\b"]),
    "ATLASSIAN_TOKEN": Family(3.5, [r"\bATATT3[A-Za-z0-9_=-]{180,200}", r"\bATCTT3[A-Za-z0-9_=-]{160,200}"]),
    "LINEAR_KEY": Family(2.5, [r"\blin_(?:api|oauth)_[A-Za-z0-9]{32,64}\b"]),
    "NOTION_KEY": Family(3.5, [r"\bntn_\d{11}[A-Za-z0-9]{35}\b", r"\bsecret_[A-Za-z0-9]{43}\b"]),
    "FIGMA_TOKEN": Family(3.0, [r"\bfig[dopr]_[A-Za-z0-9_-]{40,60}"]),
    "GRAFANA_TOKEN": Family(3.0, [r"\bglsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}\b", r"\bglc_[A-Za-z0-9+/]{32,400}={0,2}"]),
    "NEWRELIC_KEY": Family(2.5, [r"\bNRAK-[A-Z0-9]{27}\b", r"\bNRII-[A-Za-z0-9-]{32}", r"\bNRJS-[a-f0-9]{19}\b"]),
    "DYNATRACE_TOKEN": Family(3.5, [r"\bdt0c01\.[A-Z0-9]{24}\.[A-Z0-9]{64}\b"]),
    "SENTRY_TOKEN": Family(3.0, [r"\bsntrys_eyJpYXQiO[A-Za-z0-9+/=_]{80,300}", r"\bsntryu_[a-f0-9]{64}\b"]),
    "POSTMAN_KEY": Family(3.0, [r"\bPMAK-[a-fA-F0-9]{24}-[a-fA-F0-9]{34}\b"]),
    "PULUMI_TOKEN": Family(2.5, [r"\bpul-[a-f0-9]{40}\b"]),
    "SOURCEGRAPH_TOKEN": Family(3.0, [r"\bsgp_(?:(?:[a-fA-F0-9]{16}|local)_)?[a-fA-F0-9]{40}\b"]),
    "INTRA42_SECRET": Family(3.0, [r"\bs-s4t2(?:ud|af)-[a-f0-9]{64}\b"]),
    "ARTIFACTORY_TOKEN": Family(0.0, [r"(?:^|[\s=:\"'])(AKC[A-Za-z0-9]{10,200})\b", r"(?:^|[\s=:\"'])(AP[0-9A-F][A-Za-z0-9]{8,200})\b", r"\bcmVmd[A-Za-z0-9]{59}\b"]),
    "ONEPASSWORD_TOKEN": Family(3.5, [r"\bops_eyJ[A-Za-z0-9+/]{250,900}={0,3}", r"\bA3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}\b"]),
    "AGE_SECRET_KEY": Family(3.0, [r"\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}\b"]),
    "PLANETSCALE_TOKEN": Family(3.0, [r"\bpscale_(?:tkn|pw|oauth)_[A-Za-z0-9=._-]{32,64}"]),
    "SUPABASE_TOKEN": Family(3.0, [r"\bsbp_[a-f0-9]{40}\b", r"\bsb_secret_[A-Za-z0-9_-]{20,60}"]),
    "FLY_TOKEN": Family(3.5, [r"\bfo1_[A-Za-z0-9_-]{43}", r"\bfm[12][ar]?_[A-Za-z0-9+/]{100,600}={0,3}"]),
    "ALIBABA_KEY": Family(3.0, [r"\bLTAI[A-Za-z0-9]{17,21}\b"]),
    "TENCENT_KEY": Family(3.0, [r"\bAKID[A-Za-z0-9]{32}\b"]),
    "SONAR_TOKEN": Family(3.0, [r"\bsq[pua]_[a-z0-9]{40}\b"]),
    "DOPPLER_TOKEN": Family(3.0, [r"\bdp\.(?:pt|st|ct|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}\b"]),
    "DROPBOX_TOKEN": Family(3.5, [r"\bsl\.(?:u\.)?[A-Za-z0-9_=-]{130,700}"]),
    "AIRTABLE_TOKEN": Family(3.0, [r"\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b"]),
    "CLOUDFLARE_KEY": Family(3.0, [r"\bv1\.0-[a-f0-9]{24}-[a-f0-9]{146}\b"]),
    "EASYPOST_KEY": Family(3.0, [r"\bEZ[AT]K[A-Za-z0-9]{54}\b"]),
    "DUFFEL_TOKEN": Family(2.5, [r"\bduffel_(?:test|live)_[A-Za-z0-9_=-]{43}"]),
    "FLUTTERWAVE_KEY": Family(2.5, [r"\bFLW(?:PUB|SEC)K(?:_TEST)?-[A-Za-z0-9]{32}-X\b", r"\bFLWSECK_TEST-?[A-Za-z0-9]{12}\b"]),
    "FRAMEIO_TOKEN": Family(3.0, [r"\bfio-u-[A-Za-z0-9_=-]{64}"]),
    "HEROKU_KEY": Family(3.5, [r"\bHRKU-(?:AA[A-Za-z0-9_-]{58}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"]),
    "INFRACOST_KEY": Family(3.0, [r"\bico-[A-Za-z0-9]{32}\b"]),
    "LOB_KEY": Family(3.0, [r"\b(?:live|test)_(?:pub_)?[a-f0-9]{31,35}\b"]),
    "NETLIFY_TOKEN": Family(3.0, [r"\bnfp_[A-Za-z0-9]{36,40}\b"]),
    "NUGET_KEY": Family(3.0, [r"\boy2[a-z0-9]{43}\b"]),
    "OPENSHIFT_TOKEN": Family(3.5, [r"\bsha256~[A-Za-z0-9_-]{43}"]),
    "PREFECT_TOKEN": Family(2.5, [r"\bpnu_[A-Za-z0-9]{36}\b"]),
    "README_TOKEN": Family(2.5, [r"\brdme_[a-z0-9]{70}\b"]),
    "SCALINGO_TOKEN": Family(3.0, [r"\btk-us-[A-Za-z0-9_-]{48}"]),
    "BREVO_KEY": Family(3.0, [r"\bxkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}\b"]),
    "SHIPPO_TOKEN": Family(3.0, [r"\bshippo_(?:live|test)_[a-fA-F0-9]{40}\b"]),
    "SETTLEMINT_TOKEN": Family(3.0, [r"\bsm_(?:aat|pat|sat)_[A-Za-z0-9]{16}\b"]),
    "TYPEFORM_TOKEN": Family(3.0, [r"\btfp_[A-Za-z0-9_.=-]{59}"]),
    "YANDEX_KEY": Family(3.0, [r"\bAQVN[A-Za-z0-9_-]{35,38}", r"\bt1\.[A-Z0-9a-z_-]{6,400}={0,2}\.[A-Z0-9a-z_-]{86}={0,2}", r"\bYC[A-Za-z0-9_-]{38}"]),
    "CLICKHOUSE_KEY": Family(3.0, [r"\b4b1d[A-Za-z0-9]{38}\b"]),
    "MAXMIND_KEY": Family(3.0, [r"\b[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk\b"]),
    "CLOJARS_TOKEN": Family(2.5, [r"(?i)\bCLOJARS_[a-z0-9]{60}\b"]),
    "ADOBE_SECRET": Family(2.5, [r"\bp8e-[a-zA-Z0-9]{32}\b"]),
    "HOSTING_TOKEN": Family(3.0, [r"\bvercel_[A-Za-z0-9]{24,60}\b", r"\brnd_[A-Za-z0-9]{28,32}\b", r"\bre_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}\b"]),
    "TEAMS_WEBHOOK": Family(3.0, [r"https://[a-z0-9-]{1,60}\.webhook\.office\.com/webhookb2/[A-Za-z0-9@/-]{80,260}"]),
    "SIDEKIQ_CREDENTIAL": Family(0.0, [r"(?i)BUNDLE_(?:ENTERPRISE|GEMS)__CONTRIBSYS__COM[\s=:\"']{1,6}[a-f0-9]{8}:[a-f0-9]{8}", r"(?i)https?://[a-f0-9]{8}:[a-f0-9]{8}@(?:gems|enterprise)\.contribsys\.com"]),
    "INTERLOCK_KEY": Family(3.0, [r"\bsk-[A-Za-z0-9_-]{20,24}\b"]),
}  # fmt: skip
"""What is told by its form."""


def entropy(text: str) -> float:
    """Return the Shannon entropy of a text's characters, in bits a character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values()) if text else 0.0


def random_enough(least: float) -> Check:
    """Return a check that a match is no placeholder."""
    return lambda found, _: 1.0 if entropy(found) >= least else 0.0


def _mixed(found: str) -> bool:
    return any(map(str.isdigit, found)) and any(map(str.isalpha, found))


def _password(found: str, _: str) -> float:
    """Tell a password from code: letters and digits, no version, path or address."""
    plain = _UUID.fullmatch(found) or _VERSION.match(found) or _WORDY.search(found) or _HOST.fullmatch(found)
    return 0.8 if _mixed(found) and plain is None and entropy(found) >= min(2.75, math.log2(len(found)) * 0.75) else 0.0


def _assigned(found: str, before: str) -> float:
    """Tell a key from code: as a password, and of no words."""
    words = _NAMES.fullmatch(found) or entropy(found) < min(3.0, math.log2(len(found)) * 0.75)
    return 0.0 if words else _password(found, before)


def _spoken(found: str, _: str) -> float:
    return (
        0.7 if any(map(str.isdigit, found)) and any(map(str.isalpha, found)) and _UUID.fullmatch(found) is None else 0.0
    )


def _signed(found: str, _: str) -> float:
    """Tell whether the head of a JSON Web Token is one."""
    head = found.partition(".")[0]
    try:
        told = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError):
        return 0.0
    return 1.0 if isinstance(told, dict) and ("alg" in told or "typ" in told or "kid" in told) else 0.0


def _userinfo(found: str, _: str) -> float:
    return (
        0.0
        if found.startswith(("$", "{", "<", "%", "[")) or found.lower() in {"password", "pass", "pwd", "x-oauth-basic"}
        else 1.0
    )


_NAMED = (
    r"(?i)(?:secret|(?:secret|api|access|private|auth|account|encryption|signing|master|service|client|app|admin|cos|iam|softlayer|sl|cloudant|cl|ibm)[_-]?key"
    r"|apikey|(?:access|auth|api|bearer|refresh|session|bot|secret|private|service)?[_-]?token|credentials?|client[_-]?secret)"
)
_WORDS = r"(?i)(?:password|passwd|passphrase|pwd|[_-]pass|[_-]pw)"
_IS = r"[\"']?\s{0,3}(?:=>|:=|==?|:)\s{0,3}[\"']?([^\s\"'`,;<>{}()\[\]$|&]{8,200})"


def rules() -> Iterator[Rule]:
    """Yield the rules of all families; which one a rule is of, its type says."""
    for name, family in FAMILIES.items():
        for pattern in family.patterns:
            group = 1 if "(AKC" in pattern or "(AP[" in pattern else 0
            yield Rule(name, pattern, random_enough(family.entropy) if family.entropy else None, group)
    yield from _signed_and_private()
    yield from _passwords()


def _signed_and_private() -> Iterator[Rule]:
    yield Rule(
        "PRIVATE_KEY",
        r"-----BEGIN[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=\s\\:,.()<>@_]|-[A-Za-z0-9])*(?:-----END[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----)?",
        longest=BLOCK, sieve="PRIVATE KEY",
    )  # fmt: skip
    yield Rule(
        "JWT",
        r"\bey[A-Za-z0-9_-]{12,}\.ey[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
        _signed,
        longest=TOKEN,
        sieve=r"\bey[A-Za-z0-9_-]{12}",
    )


def _passwords() -> Iterator[Rule]:
    yield Rule(
        "BASIC_AUTH_URL", r"(?i)\b[a-z][a-z0-9+.-]{1,30}://[^\s:/?#@\"'<>\[\]]{0,100}:([^\s/?#@\"'<>]{3,200})@[a-z0-9\[]", _userinfo, group=1, sieve="://",
    )  # fmt: skip
    yield Rule(
        "BASIC_AUTH",
        r"(?i)\bcurl\b[^\n]{0,300}?\s(?:-u|--user)[ =]\s{0,2}[\"']?[^\s:\"']{1,100}:([^\s\"']{4,100})",
        _spoken,
        group=1,
        sieve="(?i)curl",
    )
    yield Rule(
        "AUTHORIZATION",
        r"(?i)authorization[\"']?\s{0,2}[:=]\s{0,2}[\"']?(?:bearer|basic|token)\s{1,2}([A-Za-z0-9_.~+/=-]{12,600})",
        _spoken,
        group=1,
        sieve="(?i)authorization",
    )
    yield Rule("PASSWORD", _NAMED + _IS, _assigned, group=1, sieve=_NAMED + r"[\"']?\s{0,3}[:=]")
    yield Rule("PASSWORD", _WORDS + _IS, _password, group=1, sieve=_WORDS + r"[\"']?\s{0,3}[:=]")
    yield Rule(
        "PASSWORD",
        r"(?i)(?:password|passphrase|passwd|pwd)\s{1,2}(?:is|was|to)\s{0,2}:?\s{1,2}[\"'`]?([^\s\"'`,;<>]{6,64})",
        _spoken,
        group=1,
        sieve="(?i)pass|pwd",
    )
    yield Rule(
        "PASSWORD",
        r"(?:密码|口令|密钥)(?:是|为|改成|设为)?\s{0,2}[:\x{ff1a}=]?\s{0,2}([A-Za-z0-9!@#$%^&*_+=.~-]{6,64})",
        _spoken,
        group=1,
    )
