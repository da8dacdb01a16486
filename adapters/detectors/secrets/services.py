"""Keys that have no form of their own, but a length and an alphabet, beside the name of their service: `FASTLY_TOKEN=…`.

Sources: what the services document, and gitleaks' and detect-secrets' knowledge of lengths and alphabets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from adapters.detectors.secrets import shapes
from engine.scanning import Rule

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ENTROPY = 2.5
SERVICES: Mapping[str, str] = {
    "adafruit": r"[a-z0-9_-]{32}", "adobe": r"[a-f0-9]{32}", "airtable": r"key[a-z0-9]{14}|[a-z0-9]{17}", "algolia": r"[a-z0-9]{32}", "alibaba|aliyun|alicloud": r"[a-z0-9]{30}", "amplitude": r"[a-f0-9]{32}",
    "asana": r"[a-z0-9]{32}", "atlassian|confluence|jira": r"[a-z0-9]{24}", "aws|amazon": r"[a-z0-9/+]{40}", "beamer": r"b_[a-z0-9=_-]{44}", "binance": r"[a-z0-9]{64}",
    "bitbucket": r"[a-z0-9]{32}|[a-z0-9=_-]{64}", "bitly": r"[a-f0-9]{40}", "bittrex": r"[a-z0-9]{32}", "bugsnag": r"[a-f0-9]{32}", "circleci|circle": r"[a-f0-9]{40}", "cloudant|clou|cl": r"[0-9a-f]{64}|[a-z]{24}",
    "cloudflare": r"[a-z0-9_-]{40}|[a-f0-9]{37}", "cloudinary": r"[a-z0-9_-]{27}", "codecov": r"[a-z0-9]{32}", "codacy": r"[a-f0-9]{32}", "cohere|co": r"[a-z0-9]{40}", "coinbase": r"[a-z0-9_-]{64}", "confluent": r"[a-z0-9+/]{16}|[a-z0-9+/]{64}",
    "contentful": r"[a-z0-9=_-]{43}", "coveralls": r"[a-z0-9]{32,37}", "datadog|dd": r"[a-f0-9]{32}|[a-z0-9]{40}", "deepgram": r"[a-f0-9]{40}", "deepl": rf"{_UUID}(?::fx)?", "discord": r"[a-f0-9]{64}|[a-z0-9=_-]{32}",
    "droneci|drone": r"[a-z0-9]{32}", "dropbox": r"[a-z0-9]{15}|sl\.[a-z0-9_=-]{135}", "etsy": r"[a-z0-9]{24}", "elevenlabs|eleven": r"[a-f0-9]{32}", "facebook|fb": r"[a-f0-9]{32}", "fastly": r"[a-z0-9=_-]{32}",
    "finicity": r"[a-f0-9]{32}|[a-z0-9]{20}", "finnhub": r"[a-z0-9]{20}", "flickr": r"[a-z0-9]{32}", "freshbooks": r"[a-z0-9]{64}", "freshdesk": r"[a-z0-9]{20}", "ghost": r"[a-f0-9]{24}:[a-f0-9]{64}", "gitter": r"[a-z0-9_-]{40}",
    "gocardless": r"(?:live|sandbox)_[a-z0-9_=-]{40}", "heroku": _UUID, "hubspot": _UUID, "ibm|ibmcloud|iam|cloud": r"[a-z0-9_-]{44}", "cos|ibmcos": r"[a-f0-9]{48}", "infura": r"[a-f0-9]{32}", "intercom": r"[a-z0-9=_-]{60}",
    "instagram": r"[a-f0-9]{32}", "ipinfo": r"[a-f0-9]{14}", "jfrog|artifactory|bintray|xray": r"[a-z0-9]{73}|[a-z0-9]{64}", "jumpcloud": r"[a-z0-9]{40}", "keen": r"[a-f0-9]{64}", "klaviyo": r"pk_[a-f0-9]{34}",
    "kraken": r"[a-z0-9/=_+-]{80,90}", "kucoin": rf"[a-f0-9]{{24}}|{_UUID}", "launchdarkly": r"[a-z0-9=_-]{40}", "linear": r"[a-f0-9]{32}", "linkedin|linked_in|linked-in": r"[a-z0-9]{14}|[a-z0-9]{16}", "linode": r"[a-f0-9]{64}",
    "hetzner|hcloud": r"[a-z0-9]{64}", "mailgun": r"[a-h0-9]{32}-[a-h0-9]{8}-[a-h0-9]{8}", "mailjet": r"[a-f0-9]{32}", "mattermost": r"[a-z0-9]{26}", "meraki": r"[0-9a-f]{40}", "messagebird|message_bird|message-bird": rf"[a-z0-9]{{25}}|{_UUID}",
    "mistral": r"[a-z0-9]{32}", "mixpanel": r"[a-f0-9]{32}", "netlify": r"[a-z0-9=_-]{40,46}", "newrelic|new_relic|new-relic": r"[a-z0-9]{64}", "ngrok": r"[a-z0-9_]{40,50}", "nytimes|newyorktimes|new-york-times": r"[a-z0-9=_-]{32}",
    "okta": r"00[a-z0-9_=-]{40}", "opsgenie": _UUID, "pagerduty": r"[a-z0-9_+-]{20}", "pipedrive": r"[a-f0-9]{40}", "plaid": r"[a-z0-9]{24}|[a-z0-9]{30}", "postmark": _UUID, "privateai|private_ai|private-ai": r"[a-z0-9]{32}",
    "pusher": r"[a-f0-9]{20}", "rapidapi": r"[a-z0-9_-]{50}", "rollbar": r"[a-f0-9]{32}", "segment": r"[a-z0-9_-]{32}", "sendbird": rf"[a-f0-9]{{40}}|{_UUID}", "sentry": r"[a-f0-9]{64}", "shodan": r"[a-z0-9]{32}",
    "snyk": _UUID, "softlayer|sl": r"[a-z0-9]{64}", "sonar": r"[a-z0-9=_-]{40}", "spotify": r"[a-f0-9]{32}", "squarespace": _UUID, "stability": r"sk-[a-z0-9]{48}", "sumo|sumologic": r"su[a-z0-9]{12}|[a-z0-9]{64}",
    "together": r"[a-f0-9]{64}", "travis|travisci": r"[a-z0-9_-]{22}", "trello": r"[a-f0-9]{32}|[a-f0-9]{64}", "twilio": r"[a-f0-9]{32}", "twitch": r"[a-z0-9]{30}",
    "twitter": r"[a-z0-9]{25}|[a-z0-9]{45}|[a-z0-9]{50}|\d{15,25}-[a-z0-9]{20,40}|A{22}[a-z0-9%]{80,100}", "vercel": r"[a-z0-9]{24}", "wakatime": rf"(?:waka_)?{_UUID}", "weatherstack": r"[a-f0-9]{32}", "yandex": r"[a-z0-9_-]{39,58}",
    "zendesk": r"[a-z0-9]{40}", "zoom": r"[a-z0-9_-]{22,32}", "vault|hashicorp": r"[a-z0-9._-]{26,120}", "wandb|weightsandbiases": r"[a-f0-9]{40}", "zhipu|glm|bigmodel": r"[a-f0-9]{32}\.[a-z0-9]{16}", "qiniu": r"[a-z0-9_-]{40}",
    "huawei|huaweicloud": r"[a-z0-9]{20}|[a-z0-9]{40}", "baidu|bce|qianfan": r"[a-z0-9]{24}|[a-z0-9]{32}", "wechat|weixin": r"[a-f0-9]{32}", "dashscope|deepseek|moonshot": r"sk-[a-f0-9]{32}", "volcengine|ark": _UUID,
}  # fmt: skip
"""A service's names, and what its keys look like, without case."""
_FORMS = {
    name: re.compile(form, re.IGNORECASE | re.ASCII) for names, form in SERVICES.items() for name in names.split("|")
}
_NAME = rf"(?:{'|'.join(sorted(_FORMS, key=len, reverse=True))})"
_WORD = r"(?:api|app|auth|access|secret|private|client|consumer|bearer|bot|oauth|license|service|account|admin|session|master|global|origin|ingest|insert|user|token|key|pass|password|passwd|pwd|pw|cred|credential|hmac|id|login)"
_ASSIGNED = re.compile(
    rf"(?i)(?:^|[^a-z])({_NAME})(?:[_. -]?{_WORD}){{1,5}}[\w.-]{{0,8}}[\"'\s\]\\]{{0,4}}{shapes.TYPED}\s{{0,3}}(?:[=:>,|?]{{1,3}}|\s)[\s\"'`=\\@]{{0,5}}$"
)
_LETTERS = frozenset({"cloudant", "clou", "cl"})
"""Services with keys of letters alone."""


def named() -> Iterator[Rule]:
    """Yield the rule of keys beside their service's name."""
    yield Rule(
        "SERVICE_KEY",
        rf"(?i){_NAME}(?:[_. -]?{_WORD}){{1,5}}[\w.-]{{0,8}}[\"'\]\\]{{0,3}}{shapes.TYPED}\s{{0,3}}(?:=>|:{{1,2}}=|\?=|\|\|=?|={{1,3}}|:|>|,|\s)[\s\"'`\\@]{{0,5}}([a-z0-9_=/+.:%-]{{14,122}})",
        _key,
        group=1,
        sieve=rf"(?i){_NAME}[_. -]?{_WORD}",
    )
    yield Rule(
        "SERVICE_KEY",
        r"(?i)softlayer\.com/(?:soap|rest)/v3(?:\.1)?/([a-z0-9]{64})\b",
        group=1,
        sieve="(?i)softlayer",
    )


def _key(found: str, before: str) -> float:
    named = _ASSIGNED.search(before)
    if named is None:
        return 0.0
    name = named[1].lower()
    lone = name in _LETTERS or shapes.mixed(found)
    right = _FORMS[name].fullmatch(found) is not None and lone and shapes.entropy(found) >= _ENTROPY
    return 1.0 if right and (name in _LETTERS or not shapes.named(found)) else 0.0
