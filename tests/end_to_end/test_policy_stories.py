"""Every story of `examples/policies` as its operator would live it: who may, who may not, and what each is told."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from engine.build import build
from engine.cli.check import command
from engine.documents import find
from engine.extensions import kind
from engine.sources import Sources, compile_sources
from tests.end_to_end.wires import threaded
from tests.engine.building import PRICES, REGISTRY
from tests.engine.deciding import asking, chat, decided
from tests.running import CHAT, MASTER, ROOT

STORIES = sorted((ROOT / "examples" / "policies").iterdir())
ENVIRON = {
    "INTERLOCK_MASTER_KEY": MASTER,
    "OPENAI_API_KEY": "sk-upstream-0123456789",
    "OPENAI_API_BASE": "http://127.0.0.1:9/v1",
    "ANTHROPIC_API_KEY": "sk-ant-0123456789",
    **{f"{name}_URL": "http://127.0.0.1:9" for name in ("CLAUDE", "LAB", "PICTURES")},
}
REVISION = re.compile(r"1-[0-9a-f]{8}")


@pytest.fixture
def story(gateway):
    """Start a story: `story(name)`; its keys are `sk-<name>-…`, asked for by `<name>`."""

    def start(name: str, **environ: str):
        folder = ROOT / "examples" / "policies" / name
        text = (folder / "config.yaml").read_text()
        running = gateway(text, "--policies", str(folder / "policies"), environ={**ENVIRON, **environ})
        assert '"level":"warning"' not in running.log
        keys = dict(re.findall(r"api_key: (sk-([a-z]+)-\w+)", text))
        running.keys = {short: key for key, short in keys.items()}
        return running

    return start


def ask(running, who: str, text: str = "hello brave new world", model: str = "assistant", headers=None, **members):
    body = {"model": model, "messages": [{"role": "user", "content": text}], **members}
    return running.post("/v1/chat/completions", body, running.keys[who], **(headers or {}))


def passed(answer, rule: str | None = None, reason: str | None = None) -> str:
    """Check an answer and its headers; return the text that was said."""
    assert answer.status == 200, answer.body
    assert answer.headers.get("x-interlock-rule") == rule
    assert answer.headers.get("x-interlock-route-reason") == reason
    assert REVISION.fullmatch(answer.headers["x-interlock-revision"])
    assert answer.headers["x-interlock-decision-id"]
    return answer.json()["choices"][0]["message"]["content"]


def refused(answer, rule: str, message: str, status: int = 403, error: str = "policy_denied") -> None:
    """Check a refusal: body and headers."""
    assert (answer.status, answer.json()["error"]["type"]) == (status, error), answer.body
    assert answer.json()["error"]["message"] == message
    assert answer.headers["x-interlock-rule"] == rule
    assert REVISION.fullmatch(answer.headers["x-interlock-revision"])
    assert answer.headers["x-interlock-decision-id"]


def row_of(running, answer, count: int) -> dict:
    """Return the record of an answer, the last of `count`."""
    rows = running.records(count)
    return next(row for row in rows if row["id"] == answer.headers["x-interlock-decision-id"])


def listed(running, who: str) -> list[str]:
    return [model["id"] for model in running.get("/v1/models", running.keys[who]).json()["data"]]


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.name)
def test_a_story_loads_without_any_finding(path, monkeypatch):
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(
        command, ["--strict", "--config", str(path / "config.yaml"), "--policies", str(path / "policies")]
    )
    assert result.exit_code == 0, result.output
    assert ": good\n" in result.output


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.name)
def test_a_story_is_told_at_the_top_of_every_file(path):
    for file, _ in find(path / "policies"):  # the files of tests tell it by their cases
        lines = Path(file).read_text().splitlines()
        assert 2 <= next(at for at, line in enumerate(lines) if line[:1] != "#") <= 4, file


def test_free_tier(story):
    running = story("free-tier")
    assert listed(running, "free") == ["small", "mini"]
    assert listed(running, "paying") == ["small", "mini", "large"]
    passed(ask(running, "free", model="small"))
    assert len(passed(ask(running, "free", "word " * 300, "mini")).split()) == 256
    refused(ask(running, "free", model="large"), "free-models/models", "the model is not one of `@free`")
    long = "free keys get answers of at most 256 tokens; lower `max_tokens`, or upgrade"
    for name in ("max_tokens", "max_completion_tokens"):
        refused(ask(running, "free", model="small", **{name: 257}), "free-models/short-answers", long, 402)
    both = ask(running, "free", model="large", max_tokens=257)
    both_rules = "free-models/models, free-models/short-answers"
    refused(both, both_rules, f"the model is not one of `@free`; {long}")
    assert len(passed(ask(running, "paying", "word " * 300, "large", max_tokens=299)).split()) == 299
    row = row_of(running, both, 7)
    assert (row["determining"], row["status"], row["error"]) == (both_rules.split(", "), 403, "policy_denied")
    assert row["read"]["llm.params.max_tokens"] == 257
    assert row["rules"]["told"][0] == {"name": "free-models/models", "said": "miss", "detail": ""}


REST = "support keys rest at weekends; ask operations if it cannot wait"
BERLIN = ZoneInfo("Europe/Berlin")


def office_hours(moment: datetime) -> tuple[int, str]:
    """Say what a support key is to be told at a time: by Python's own calendar."""
    there = moment.astimezone(BERLIN)
    reasons = [REST] * (there.weekday() >= 5)
    if not 8 <= there.hour < 18:
        reasons.append(f"support keys work from 8 to 18 in Berlin, where it is past {there.hour}")
    return (403, "; ".join(reasons)) if reasons else (200, "")


@pytest.mark.parametrize(
    "moment",
    [
        "2026-01-12T07:00", "2026-01-12T06:59:59", "2026-01-12T16:59:59", "2026-01-12T17:00", "2026-07-13T06:00",
        "2026-07-13T05:59:59", "2026-07-13T15:59:59", "2026-07-13T16:00", "2026-07-10T21:59:59", "2026-07-10T22:00",
        "2026-07-12T21:59:59", "2026-07-12T22:00", "2026-07-11T10:00", "2026-03-29T01:00", "2026-10-25T01:00",
    ],
)  # fmt: skip
def test_office_hours_by_the_clock_of_berlin(moment):
    folder = ROOT / "examples" / "policies" / "office-hours"
    found = compile_sources(Sources(folder / "config.yaml", folder / "policies"), ENVIRON, kind)
    built = build(found.loaded.spec, REGISTRY, PRICES, 1, found.policies)
    when = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    seen = {}
    for caller in built.callers:
        call = asking(built.snapshot, {**chat(), "model": "assistant"}, caller)
        call.time = when.timestamp()
        verdict = decided(call)
        seen[caller.team] = (verdict.status, verdict.message)
    assert seen == {"support": office_hours(when), "operations": (200, "")}


def test_office_hours(story):
    running = story("office-hours")
    passed(ask(running, "operations"))
    before = office_hours(datetime.now(UTC))
    answer = ask(running, "support")
    message = answer.json()["error"]["message"] if answer.status != 200 else ""
    assert (answer.status, message) in {before, office_hours(datetime.now(UTC))}


def test_canary(story):
    running = story("canary")

    def goes(who, tags=""):
        answer = ask(running, who, headers={"x_litellm_tags": tags} if tags else {})
        assert answer.status == 200
        shown = [answer.headers.get(f"x-interlock-{name}") for name in ("rule", "route-reason")]
        return answer.headers["x-litellm-model-id"], *shown

    assert goes("tester", "beta") == ("canary", "canary/testers", "testers: canary")
    assert goes("tester") == ("stable", None, None)
    assert goes("billing", "beta") == ("stable", None, None)
    asked = [goes("web") for _ in range(300)]
    assert set(asked) == {("stable", None, None), ("canary", "canary/fifth-of-web", "fifth-of-web: canary")}
    drawn = sum(deployment == "canary" for deployment, *_ in asked)
    assert 20 <= drawn <= 105, "a fifth of 300 calls, give or take six standard deviations"
    rows = running.records(303)
    assert sum(row.get("route_reason") == "fifth-of-web: canary" for row in rows) == drawn
    assert sum(row["deployment"] == "canary" for row in rows) == drawn + 1


def tool(name: str) -> dict:
    return {"type": "function", "function": {"name": name, "parameters": {}}}


def test_no_shell_tools(story):
    running = story("no-shell-tools")
    tools = [tool("get_weather"), tool("Run_command"), tool("BASH"), {"type": "code_interpreter"}]
    passed(ask(running, "full", tools=tools))
    passed(ask(running, "trial", tools=tools[:1]))
    said = "keys on trial have no shell tools; leave out "
    rule = "shell-tools/no-shell"
    refused(ask(running, "trial", tools=tools), rule, said + "Run_command, BASH, code_interpreter")
    old = running.post(
        "/v1/chat/completions",
        {"model": "assistant", "messages": [], "functions": [{"name": "sh"}]},
        running.keys["trial"],
    )
    refused(old, rule, said + "sh")
    responses = {"model": "assistant", "input": "hi", "tools": [{"type": "function", "name": "exec-python"}]}
    refused(running.post("/v1/responses", responses, running.keys["trial"]), rule, said + "exec-python")
    skipped = row_of(running, ask(running, "full"), 6)
    assert skipped["rules"]["told"] == [{"name": "shell-tools/on-trial", "said": "skipped", "detail": ""}]


def test_answer_length(story):
    running = story("answer-length")
    passed(ask(running, "web"))
    passed(ask(running, "web", max_tokens=1024))
    rule = "answer-length/within-the-limit"
    said = "max_tokens is {}, but team `{}` may ask for {} at most"
    refused(ask(running, "web", max_tokens=1025), rule, said.format(1025, "web", 1024))
    sneaky = ask(running, "web", max_tokens=5, max_completion_tokens=9999)
    refused(sneaky, rule, said.format(9999, "web", 1024))
    passed(ask(running, "research", max_tokens=8192))
    words = "word " * 50
    for limit in (
        {},
        {"max_tokens": 9999},
        {"max_completion_tokens": 9999},
        {"max_tokens": 5, "max_completion_tokens": 99},
    ):
        assert len(passed(ask(running, "batch", words, **limit)).split()) == 20, limit
    assert len(passed(ask(running, "batch", words, max_tokens=3)).split()) == 3
    streamed = ask(running, "batch", words, stream=True, stream_options={"include_usage": True})
    assert b'"completion_tokens":20' in streamed.body


def test_eu_region(story):
    running = story("eu-region")

    def reaches(who):
        answer = ask(running, who)
        rule = {"eu": "eu-only", "us": "elsewhere"}[who]
        passed(answer, f"residency/{rule}", f"{rule}: {who}")
        return answer.headers["x-litellm-model-id"]

    assert {reaches("eu") for _ in range(10)} == {"frankfurt"}
    assert {reaches("us") for _ in range(10)} == {"virginia"}
    nowhere = ask(running, "eu", model="experimental")
    message = "Not allowed to access model due to tags configuration: no deployment of `experimental` has one of the tags `eu`"
    refused(nowhere, "residency/eu-only", message, 401, "tag_routing_denied")
    row = row_of(running, nowhere, 21)
    assert (row["status"], row["determining"], row.get("deployment")) == (401, ["residency/eu-only"], None)


def test_reasoning_team(story):
    running = story("reasoning-team")
    for model in ("o1-mini", "o1-not-yet-made", "o3-mini", "thinker"):
        passed(ask(running, "research", model=model))
        said = f"`{model}` thinks, and is for team research; use `assistant`"
        refused(ask(running, "web", model=model), "reasoning-models/research-only", said)
    passed(ask(running, "web"))


def test_long_prompts(story):
    running = story("long-prompts")
    short = ask(running, "app", max_tokens=100)
    passed(short)
    assert short.headers["x-litellm-model-group"] == "assistant"
    for text, limit in (("word " * 6400, 100), ("short", 7999)):
        long = ask(running, "app", text, max_tokens=limit)
        passed(long, "long-prompts/too-long", "too-long: assistant-long")
        assert long.headers["x-litellm-model-group"] == "assistant-long"
        assert long.json()["model"] == "assistant-long"
    passed(ask(running, "app", "x" * 20_000, "summary"))
    passed(ask(running, "app", "x" * 20_001, "summary"), "long-texts/long-text", "long-text: assistant-long")
    assert row_of(running, long, 5)["model"] == "assistant-long"


def test_rollout(story):
    running = story("rollout")
    silent = ask(running, "app")
    passed(silent)
    assert "x-interlock-warning" not in silent.headers
    warned = ask(running, "old", headers={"x_project": "apollo"}, n=4)
    passed(warned)
    warning = "keys-have-owners/owner: key `old` has no owner and will stop working on 1 March"
    assert warned.headers["x-interlock-warning"] == warning
    denied = ask(running, "old", n=5)
    refused(denied, "one-choice/few-choices", "ask for at most 4 choices at once", 422)
    assert denied.headers["x-interlock-warning"] == warning
    passed(ask(running, "app", n=None))
    told = {row["id"]: row["rules"]["told"] for row in running.records(4)}
    audited = {"name": "projects-are-named/header", "said": "miss", "detail": ""}
    assert told[silent.headers["x-interlock-decision-id"]] == [audited]
    assert audited not in told[warned.headers["x-interlock-decision-id"]]
    assert running.log.count('"finding":"keys-have-owners/owner"') == 2
    assert "projects-are-named" not in running.log


def test_reasoning_effort(story):
    with threaded() as upstream:
        running = story("reasoning-effort", OPENAI_API_BASE=upstream.base)

        def sent(model, **members):
            answer = ask(running, "app", model=model, **members)
            assert (answer.status, answer.json()["id"]) == (200, CHAT["id"])
            body = json.loads(upstream.requests[-1].body)
            assert body.pop("messages") == [{"role": "user", "content": "hello brave new world"}]
            return body

        assert sent("quick", temperature=0.2, top_p=1, seed=7) == {
            "model": "o4-mini", "seed": 7, "reasoning_effort": "low",
        }  # fmt: skip
        assert sent("thorough", reasoning_effort="low", max_tokens=100) == {
            "model": "o4-mini", "reasoning_effort": "high", "max_tokens": 4096,
        }  # fmt: skip
        assert sent("o4-mini", reasoning_effort="high") == {"model": "o4-mini", "reasoning_effort": "medium"}
        assert sent("o4-mini", reasoning_effort="low") == {"model": "o4-mini", "reasoning_effort": "low"}
        assert sent("o4-mini") == {"model": "o4-mini"}
        assert sent("gpt-4o-mini", temperature=0.2) == {"model": "gpt-4o-mini", "temperature": 0.2}


def test_clean_prompts(story):
    running = story("clean-prompts")
    acme = {"x_tenant": "acme"}
    passed(ask(running, "acme", headers=acme))
    secret = "the prompt holds a credential; take it out, and revoke it, for it has been sent"
    credentials = ("AKIA" + "Q" * 16, "ghp_" + "a" * 36, "sk-proj-" + "x" * 20, "-----BEGIN RSA PRIVATE KEY-----")
    for credential in credentials:
        parts = [{"type": "text", "text": "look:"}, {"type": "text", "text": f"my key is {credential}."}]
        body = {
            "model": "assistant",
            "messages": [{"role": "system", "content": parts}, {"role": "user", "content": "x"}],
        }
        answer = running.post("/v1/chat/completions", body, running.keys["acme"], **acme)
        refused(answer, "prompts/no-credentials", secret, 400)
    embedded = running.post(
        "/v1/embeddings", {"model": "assistant", "input": ["a", credentials[0]]}, running.keys["acme"], **acme
    )
    refused(embedded, "prompts/no-credentials", secret, 400)
    named = "the prompt names a project that is not announced"
    refused(ask(running, "acme", "what is Project-ORION?", headers=acme), "prompts/no-internal-names", named)
    passed(ask(running, "acme", "projects orionis", headers=acme))
    tenant = "the header `x-tenant` must name the tenant of the key"
    refused(ask(running, "acme"), "where-from/tenant", tenant)
    refused(ask(running, "acme", headers={"x_tenant": "branch"}), "where-from/tenant", tenant)
    network = "key `branch` is used from 10.20.0.0/16 only, not from 127.0.0.1"
    refused(ask(running, "branch", headers={"x_tenant": "branch"}), "where-from/network", network)
    refused(ask(running, "branch"), "where-from/network, where-from/tenant", f"{network}; {tenant}")
    lines = (running.folder / "data" / "records.jsonl").read_text() if running.records(12) else ""
    assert not [secret for secret in (*credentials, "ORION") if secret in lines]


def test_records(story):
    running = story("records")
    anna, bob = (ask(running, who, "are prompts recorded?") for who in ("app", "us"))
    browser = {"user_agent": "Mozilla/5.0 (X11)"}
    refused(ask(running, "us", headers=browser), "sensible-calls/browser", "this is no place for browsers")
    refused(ask(running, "app", "x" * 1001), "sensible-calls/short", "at most 1,000 characters a message")
    embedding = running.post("/v1/embeddings", {"model": "embedder", "input": "x"}, running.keys["app"])
    assert embedding.status == 200
    last = ask(running, "us")
    row_of(running, last, 5)
    rows = {row["id"]: row for row in running.records(6, seconds=0.5)}
    assert len(rows) == 5
    assert embedding.headers["x-interlock-decision-id"] not in rows
    reads = [rows[answer.headers["x-interlock-decision-id"]]["read"] for answer in (anna, bob)]
    assert reads[0].keys() == {"apiKey.metadata", "apiKey.org", "llm.prompt", "request.route"}
    assert reads[1]["request.headers.user-agent"].startswith("Python-urllib")
    assert reads[1]["apiKey.user"] == "bob"
    assert [read["apiKey.metadata"] for read in reads] == [{"tier": "gold"}] * 2
    assert {*reads[0]["llm.prompt"]} == {"sha256", "size"}
    written = (running.folder / "data" / "records.jsonl").read_text()
    assert "example.com" not in written
    assert "are prompts recorded" not in written
