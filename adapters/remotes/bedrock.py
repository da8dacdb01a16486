"""What a guardrail of Amazon Bedrock says, its masks too: `ApplyGuardrail`, signed by ourselves.

Settings, LiteLLM's names: `guardrailIdentifier` (an id or an ARN), `guardrailVersion` (DRAFT or a number),
`aws_region_name` (or AWS_REGION_NAME, AWS_REGION, AWS_DEFAULT_REGION), `aws_access_key_id`, `aws_secret_access_key` and
`aws_session_token` (or the variables of these names), or `api_key` (AWS_BEARER_TOKEN_BEDROCK) instead of a signature, and
`aws_bedrock_runtime_endpoint`. All texts are one question. Where anything is blocked, all are refused: no assessment says
which text it is of. What is masked comes back text by text.

Source: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ApplyGuardrail.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from engine.asking import Service, answered, together
from engine.contracts import Deps
from engine.detecting import DetectorError, Finding, Question
from engine.settings import Settings
from engine.signing import Request, Scope, signed

NAME = "bedrock"
SERVICE = "bedrock"
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-\d{1,2}")
_IDENTIFIER = re.compile(r"[a-z0-9]+|arn:aws(?:-[^:/]+)?:bedrock:[a-z0-9-]{1,20}:\d{12}:guardrail/[a-z0-9]+")
_VERSION = re.compile(r"DRAFT|[1-9][0-9]{0,7}")
_ELSEWHERE = ("disable_exception_on_block", "mask_request_content", "mask_response_content")
"""Settings that LiteLLM has for what the guardrail does here."""
_ROLES = ("aws_role_name", "aws_session_name", "aws_profile_name", "aws_web_identity_token", "aws_sts_endpoint")


class _Output(msgspec.Struct):
    text: str


class _Answer(msgspec.Struct):
    action: str
    outputs: list[_Output] = []
    assessments: list[dict[str, Any]] = []


class Bedrock:
    """The detector `bedrock`."""

    def __init__(self, settings: Mapping[str, Any], deps: Deps) -> None:
        reader = Settings(settings, deps.environ)
        self._clock = deps.clock
        for name in _ROLES:
            if reader.text(name):
                raise ValueError(f"{name}: roles are not assumed here; write `aws_access_key_id` and its secret")
        region = _matched(_REGION, "aws_region_name", _region(reader))
        names = ("aws_bedrock_runtime_endpoint", "url", "api_base")
        own = f"https://bedrock-runtime.{region}.amazonaws.com"
        base = reader.base("AWS_BEDROCK_RUNTIME_ENDPOINT", default=own, names=names)
        identifier = _matched(_IDENTIFIER, "guardrailIdentifier", reader.needed("guardrailIdentifier"))
        version = _matched(_VERSION, "guardrailVersion", reader.needed("guardrailVersion"))
        path = f"{base.path}/guardrail/{quote(identifier, safe='')}/version/{version}/apply"
        key = reader.key(base, "AWS_BEARER_TOKEN_BEDROCK")
        self._scope = _scope(reader, region, needed=not key)
        reader.end(("type", "timeout", *_ELSEWHERE))
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._signed = Request("POST", base.host, path)
        self._service = Service(NAME, deps.http, base._replace(path=path, query=""), _Answer, headers)

    async def ask(self, question: Question) -> Sequence[Finding]:
        """Return masked texts in the place of those that changed, or refuse all of them."""
        source = "OUTPUT" if answered(question) else "INPUT"
        return await together(lambda texts: self._all(source, texts), question.texts)

    async def _all(self, source: str, texts: list[str]) -> Sequence[Finding]:
        content = [{"text": {"text": text}} for text in texts]
        body = self._service.written({"source": source, "content": content})
        answer = await self._service.post(body, self._signature(body))
        if answer.action == "NONE":
            return [Finding()] * len(texts)
        if answer.action != "GUARDRAIL_INTERVENED":
            raise DetectorError(f"`{NAME}` did not answer NONE or GUARDRAIL_INTERVENED")
        blocked = sorted(set(_blocked(answer.assessments)))
        if blocked or not answer.outputs:
            return [Finding(refused=f"blocked by {', '.join(blocked) or 'the guardrail'}")] * len(texts)
        if len(answer.outputs) != len(texts):
            raise DetectorError(f"`{NAME}` answered {len(answer.outputs)} outputs for {len(texts)} texts")
        return [
            Finding(replacement=output.text if output.text != text else None)
            for text, output in zip(texts, answer.outputs, strict=True)
        ]

    def _signature(self, body: bytes) -> dict[str, str]:
        if self._scope is None:
            return {}
        return signed(self._scope, self._signed._replace(body=body), self._clock.time())


def _region(reader: Settings) -> str:
    return reader.needed("aws_region_name", "AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")


def _scope(reader: Settings, region: str, *, needed: bool) -> Scope | None:
    read = reader.needed if needed else reader.text
    access = read("aws_access_key_id", "AWS_ACCESS_KEY_ID")
    secret = read("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY")
    token = reader.text("aws_session_token", "AWS_SESSION_TOKEN")
    return Scope(access, secret, region, SERVICE, token) if needed else None


def _matched(pattern: re.Pattern[str], name: str, value: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"{name}: `{value}` is none")
    return value


def _blocked(assessments: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Name what blocked, by the operator's own names; a word that matched is text of a client and stays unsaid."""
    for policy, parts in ((name, parts) for one in assessments for name, parts in one.items()):
        lists = parts.values() if isinstance(parts, dict) else ()
        for item in (item for found in lists if isinstance(found, list) for item in found if isinstance(item, dict)):
            if item.get("action") == "BLOCKED":
                what = item.get("name") or item.get("type")
                yield f"{policy} ({what})" if isinstance(what, str) else policy
