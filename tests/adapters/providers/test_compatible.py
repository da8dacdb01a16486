"""The table of providers: it can be read, says nothing twice, and leads where providers really are."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from adapters.providers.openai import PATHS, OpenAI, Row, rows
from engine.contracts import Deps, Target, Timeouts
from engine.extensions import Extensions, names
from engine.outside import SystemClock
from tests.end_to_end import transcripts

ELSEWHERE = {"avian", "azure", "gpustack", "llamacpp", "lmstudio", "ollama", "snowflake", "vllm", "crusoe-vllm"}
"""Folders of providers without a row, or whose servers were somebody's own."""
OTHERS = re.compile(r"dashscope-(?:intl|us)\.|api\.together\.xyz|//api\.deepseek\.com/(?!beta)")
"""Addresses that a provider has beside its usual one."""
REGION = {"AWS_REGION": "us-east-1"}


def deps(environ: dict[str, str]) -> Deps:
    return Deps(SystemClock(), None, None, environ)  # type: ignore[arg-type]


def endpoint(name: str, environ: dict[str, str] | None = None, **params):
    made = Extensions(deps(environ or {})).provider(name)
    return made.endpoint(Target("m", params, Timeouts(), Timeouts()))


def lines(made) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in made._head.decode().split("\r\n")[:-1])


def test_every_row_makes_an_endpoint():
    assert len(rows()) > 110
    for name, row in rows().items():
        made = endpoint(name, REGION, **({} if row.base else {"api_base": "https://own.example/v1"}))
        assert made._requests.keys() == PATHS.keys()


def test_no_row_hides_behind_a_file_and_no_name_is_there_twice():
    assert not rows().keys() & set(names("providers"))
    folded = [re.sub("[-_]", "", name.lower()) for name in rows()]
    assert len(set(folded)) == len(folded)
    for row in rows().values():
        assert set(row.paths) <= set(PATHS), row.name
        assert len(set(row.key)) == len(row.key), row.name
        assert not row.renames.keys() & row.drops, row.name


@pytest.mark.parametrize(
    ("written", "says"),
    [({"bass": "x"}, "unknown keys `bass`"), ({"name": "x"}, "unknown keys `name`"), ({"stream_usage": "ask"}, "stream_usage is ")],
)  # fmt: skip
def test_a_row_that_is_wrong_is_refused(written, says):
    with pytest.raises(ValueError, match=says):
        Row.read("p", written)


@pytest.mark.parametrize(
    ("environ", "params", "base", "key"),
    [
        ({"GROQ_API_KEY": "gsk-1"}, {}, "https://api.groq.com/openai/v1", "gsk-1"),
        ({"GROQ_API_KEY": "gsk-1"}, {"api_key": "own"}, "https://api.groq.com/openai/v1", "own"),
        ({"GROQ_API_KEY": "gsk-1", "GROQ_API_BASE": "https://proxy/v1"}, {}, "https://proxy/v1", "gsk-1"),
        ({"GROQ_API_KEY": "gsk-1"}, {"api_base": "https://api.groq.com/other"}, "https://api.groq.com/other", "gsk-1"),
        ({"GROQ_API_KEY": "gsk-1"}, {"api_base": "http://api.groq.com/openai/v1"}, "http://api.groq.com/openai/v1", None),
        ({"GROQ_API_KEY": "gsk-1"}, {"api_base": "https://api.groq.com.evil/v1"}, "https://api.groq.com.evil/v1", None),
        ({}, {}, "https://api.groq.com/openai/v1", None),
    ],
)  # fmt: skip
def test_the_environments_key_goes_to_the_providers_or_the_environments_server_only(environ, params, base, key):
    made = endpoint("groq", environ, **params)
    assert made.api_base == base
    assert lines(made).get("authorization") == (f"Bearer {key}" if key else None)


def test_what_rows_differ_in():
    assert lines(endpoint("sarvam", {"SARVAM_API_KEY": "s"}))["api-subscription-key"] == "s"
    assert lines(endpoint("hosted_vllm", api_base="http://h/v1"))["authorization"] == "Bearer fake-api-key"
    site = {"OR_SITE_URL": "https://me", "OR_APP_NAME": "mine"}
    assert {**site, **lines(endpoint("openrouter", site))}["http-referer"] == "https://me"
    assert "http-referer" not in lines(endpoint("openrouter", site, api_base="https://other/v1"))
    assert dict(endpoint("mistral").renames) == {"max_completion_tokens": "max_tokens", "seed": "random_seed"}
    assert "stream_options" in endpoint("mistral").drops
    assert OpenAI(deps({}), rows()["mistral"]).stream_usage == "always"
    assert endpoint("ollama").api_base == endpoint("ollama", api_base="http://localhost:11434/").api_base
    assert endpoint("ollama", api_base="http://box/v1").api_base == "http://box/v1"


def test_an_address_is_filled_by_what_cannot_lead_elsewhere():
    assert endpoint("bedrock", REGION).api_base == "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1"
    assert "eu-west-1" in endpoint("bedrock", REGION, aws_region_name="eu-west-1").api_base
    for region in ("evil.com/", "a@b", "x.y", "a#"):
        with pytest.raises(ValueError, match=r"aws_region_name: .* is no part of a host's name"):
            endpoint("bedrock", aws_region_name=region)
    with pytest.raises(ValueError, match="set `api_base` or BEDROCK_API_BASE; `aws_region_name` or AWS_REGION_NAME"):
        endpoint("bedrock")


@pytest.mark.parametrize(
    ("name", "meant"), [("grok", "groq"), ("mistrall", "mistral"), ("azur", "azure"), ("opnai", "openai")]
)
def test_a_slip_is_answered_by_the_name_that_was_meant(name, meant):
    with pytest.raises(LookupError, match=f"unknown provider `{name}`; did you mean `{meant}`"):
        Extensions(deps({})).provider(name)


def test_recorded_exchanges_went_where_the_rows_lead(shared):
    compared = set()
    for one in transcripts.load(shared):
        url = f"{one.url}{one.query}"
        if one.provider in ELSEWHERE or OTHERS.search(url) or one.provider == "ollama":
            continue
        made = endpoint(transcripts.PREFIXES.get(one.provider, one.provider), REGION)
        address = urlsplit(made.api_base)
        targets = {f"{address.scheme}://{address.netloc}{target.decode()}" for target, _ in made._requests.values()}
        assert url in targets, one.file
        compared.add(one.provider)
    assert len(compared) >= 19
