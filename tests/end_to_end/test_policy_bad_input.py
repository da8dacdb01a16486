"""What clients send to get past policies, or past their records: every call is decided, answered and recorded."""

from __future__ import annotations

import json

import pytest

from tests.end_to_end.wires import Wire, chat, post
from tests.running import Gateway

POLICIES = """
kind: ModelAccess
name: reads-everything
rules:
- name: params
  deny: llm.params.?seed.orValue(0) == 1 || llm.params.?stop.orValue("") == "x" || size(llmRequest) > 99
- name: headers
  deny: request.headers.exists(name, request.headers[name] == "forbidden") || request.query.exists(name, name == "x")
- name: prompts
  deny: llm.prompt.exists(m, m.content.matches("(?i)secret"))
---
kind: ModelAccess
name: patient
failurePolicy: Ignore
rules:
- name: quadratic
  deny: llm.prompt.exists(m, llm.prompt.exists(o, o.content == m.content + "!"))
---
kind: TagRouting
name: by-tags
byTags: true
trustClient: true
---
kind: Transform
name: clamped
clamp: {max_tokens: {max: 5}}
set: {reasoning.effort: '"low"'}
"""
CONFIG = """
model_list:
- {model_name: echo, litellm_params: {model: echo/echo}}
- {model_name: tagged, litellm_params: {model: echo/echo, tags: [ok]}}
general_settings: {master_key: sk-master-0123456789abcdef}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policies")
    (folder / "policies").mkdir()
    (folder / "policies" / "all.yaml").write_text(POLICIES)
    running = Gateway(folder / "gateway", CONFIG, ("--policies", str(folder / "policies")), {}).start()
    yield running
    running.stop()


def raw(**members: str) -> bytes:
    """Write a chat whose further members are JSON as it is given."""
    text = json.dumps(chat()).encode()
    return text[:-1] + "".join(f", {json.dumps(name)}: {value}" for name, value in members.items()).encode() + b"}"


CASES = [
    ("plain", raw(), (), 200),
    ("a number beyond 64 bits", raw(seed="1" + "0" * 40), (), 200),
    ("a number beyond doubles", raw(seed="1e999"), (), 403),
    ("a number that is none", raw(seed='"1"'), (), 200),
    ("a huge number of digits", raw(seed="9" * 5000), (), 403),
    ("a limit that is no number", raw(max_tokens="[1]"), (), 400),
    ("both limits", raw(max_tokens="1", max_completion_tokens="99999"), (), 200),
    ("a header that is not utf-8", raw(), ("x-odd: caf\udce9",), 200),
    ("a tag that is not utf-8", raw(), ("x-litellm-tags: caf\udce9",), 200),
    ("tags that do not fit a header", json.dumps(chat("tagged", tags=["a\r\nx-evil: 1", "é" * 600])).encode(), (), 401),
    ("a thousand tags", json.dumps(chat("tagged", tags=[f"tag-{n}" for n in range(1000)])).encode(), (), 401),
    ("tags of every kind", raw(tags='{"a": [1], "b": "c"}', metadata='{"tags": 5}', litellm_metadata="null"), (), 401),
    ("tags that cannot be read", raw(tags="[1e999]"), (), 403),
    ("a member where an object must be", raw(reasoning='"high"'), (), 400),
    ("null where an object must be", raw(reasoning="null"), (), 200),
    ("messages of every kind", raw(prediction='{"content": "x"}', functions="5", tools="[{}, 5]"), (), 200),
    ("a message for the patient", json.dumps({**chat(), "messages": chat()["messages"] * 300}).encode(), (), 403),
    ("what is forbidden", raw(), ("x-a: forbidden",), 403),
    ("a secret", json.dumps(chat(text="a SECRET")).encode(), (), 403),
    ("a user that is none", raw(user="5"), (), 400),
]  # fmt: skip


@pytest.mark.parametrize(("body", "lines", "status"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_hostile_call_is_decided_and_recorded(house, body, lines, status):
    head, _, rest = post(body).partition(b"host: x\r\n")
    extra = "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")
    with Wire(house) as wire:
        answer = wire.send(head + b"host: x\r\n" + extra + rest).answer()
    assert answer.status == status, answer.body[:500]
    assert "x-evil" not in answer.headers
    assert json.loads(answer.body)
    call = answer.headers.get("x-interlock-decision-id") or answer.headers["x-litellm-call-id"]
    found: list[dict] = []
    for count in range(1, 200):
        found = [row for row in house.records(count, seconds=0.3) if row["id"] == call]
        if found:
            break
    assert [row["status"] for row in found] == [status]
    if "max_completion_tokens" in body.decode("utf-8", "replace"):
        assert json.loads(answer.body)["usage"]["completion_tokens"] <= 5


def test_too_long_a_query_is_decided_and_recorded(house):
    query = "?" + "&".join(f"a{n}=1" for n in range(150))
    with Wire(house) as wire:
        answer = wire.send(post(raw(), path=f"/v1/chat/completions{query}")).answer()
    assert answer.status == 403
    assert "cannot be read" in answer.json()["error"]["message"]
    assert answer.headers["x-interlock-rule"] == "by-tags"


def test_nothing_went_wrong_inside(house):
    assert "internal error" not in house.log
    assert '"level":"error"' not in house.log
