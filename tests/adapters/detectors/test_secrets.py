"""Credentials are found by what their issuers write; placeholders and code are not."""

from __future__ import annotations

import base64
import json
import random
import string

import pytest

from adapters.detectors.secrets import Secrets
from engine.contracts import Channel, TextSlot
from engine.guarding import Action, Redaction

EVERY = Secrets("all")
DRAW = random.Random(11)


def letters(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(DRAW.choices(alphabet, k=count))


def token() -> str:
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()).decode().rstrip("=")
    return f"{head}.eyJzdWIiOiIxMjM0In0.{letters(43)}"


HEX = "0123456789abcdef"
MADE = [
    ("AWS_ACCESS_KEY", lambda: "AKIA" + letters(16, string.ascii_uppercase + "234567")), ("GITHUB_TOKEN", lambda: "ghp_" + letters(36)),
    ("ANTHROPIC_KEY", lambda: "sk-ant-api03-" + letters(95)), ("OPENAI_KEY", lambda: "sk-proj-" + letters(74) + "T3BlbkFJ" + letters(74)), ("GOOGLE_API_KEY", lambda: "AIza" + letters(35)),
    ("SLACK_TOKEN", lambda: f"xoxb-{letters(12, string.digits)}-{letters(12, string.digits)}-{letters(24)}"), ("STRIPE_KEY", lambda: "sk_live_" + letters(24)),
    ("GITLAB_TOKEN", lambda: "glpat-" + letters(20)), ("HUGGING_FACE_TOKEN", lambda: "hf_" + letters(34, string.ascii_letters)), ("JWT", token),
    ("SENDGRID_KEY", lambda: f"SG.{letters(22)}.{letters(43)}"), ("NPM_TOKEN", lambda: "npm_" + letters(36)), ("DATABRICKS_TOKEN", lambda: "dapi" + letters(32, HEX)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "make"), MADE, ids=[kind for kind, _ in MADE])
def test_keys_of_known_form_are_found_whole(kind, make):
    for _ in range(20):
        secret = make()
        for text in (secret, f"use {secret} please", f'"{secret}"', f"KEY={secret}\n", f"密钥{secret}。"):
            spans = [(hit.start, hit.end) for hit in EVERY.find(text)]
            start = text.index(secret)
            assert any(first <= start and start + len(secret) <= last for first, last in spans), (kind, text)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql://app:s3cr3tPw9@db/prod", "s3cr3tPw9"), ("password: hunter2Hunter2", "hunter2Hunter2"), ('"api_key": "9f8e7d6c5b4a39281706"', "9f8e7d6c5b4a39281706"),
        ("my password is hunter22x", "hunter22x"), ("密码是Abc12345!", "Abc12345!"), ("Authorization: Bearer abcDEF123456789xyz", "abcDEF123456789xyz"),
        ("curl -u jane:pass1234word https://x", "pass1234word"), ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ],
)  # fmt: skip
def test_what_is_secret_is_hidden_and_no_more(text, hidden):
    assert Redaction([(EVERY, Action.MASK, None)]).whole(text).text == text.replace(hidden, "[REDACTED]")


@pytest.mark.parametrize(
    "text",
    [
        "ghp_" + "x" * 36, "password=changeme", "password = os.environ['PASSWORD']", "token: str | None = None", "api_key=${API_KEY}", "the password field is required",
        "https://user:password@example.org", "secret: <your-secret-here>", "version=rc0.13.0_20230412_0712-SNAPSHOT", "id 743b294a-cd03-11ec-9d64-0242ac120002",
        "eyJAAAA.eyJBBB", "def get_access_token(self): return self.token", "The secret of good bread is time.", "tokens=1234567890",
    ],
)  # fmt: skip
def test_what_is_none_is_not_found(text):
    assert not EVERY.find(text)


def test_a_private_key_is_hidden_up_to_its_end_however_it_streams():
    body = "\n".join(letters(64, string.ascii_letters + string.digits + "+/") for _ in range(25))
    text = f"here:\n-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\nbye"
    redaction = Redaction([(EVERY, Action.MASK, None)])
    assert redaction.whole(text).text == "here:\n[REDACTED]\nbye"
    guard = redaction.guard()
    out = [guard.feed(TextSlot(Channel.CONTENT, 0, 0, text[at : at + 7])) for at in range(0, len(text), 7)]
    assert "".join(out) + guard.flush(Channel.CONTENT, 0, 0) == "here:\n[REDACTED]\nbye"
    assert redaction.whole(json.dumps({"key": text}), arguments=True).text == json.dumps(
        {"key": "here:\n[REDACTED]\nbye"}
    )


def test_families_are_chosen_by_name():
    text = f"ghp_{letters(36)} AKIA{letters(16, string.ascii_uppercase)}"
    assert {hit.type for hit in Secrets(["github_token"]).find(text)} == {"GITHUB_TOKEN"}


@pytest.mark.parametrize(
    ("said", "error"), [(["GITHUB_TOKENS"], "did you mean `GITHUB_TOKEN`"), ([], "write `all`"), ("aws", "write `all`"), (["zzz"], "known are")]
)  # fmt: skip
def test_what_is_wrong_is_said(said, error):
    with pytest.raises(ValueError, match=error):
        Secrets(said)
