"""Who may call, over HTTP: every place of a key, every way it can be bad, and models that it may not name."""

from __future__ import annotations

import pytest

from tests.end_to_end.wires import Wire, chat, post
from tests.running import MASTER, Gateway

CONFIG = f"""
model_list:
- {{model_name: open, litellm_params: {{model: echo/open}}, model_info: {{access_groups: [everyone]}}}}
- {{model_name: closed, litellm_params: {{model: echo/closed}}}}
- {{model_name: "wild/*", litellm_params: {{model: "echo/*"}}}}
general_settings: {{master_key: {MASTER}, litellm_key_header_name: X-Company-Key}}
router_settings: {{model_group_alias: {{other: open, dark: {{model: closed, hidden: true}}}}}}
teams:
- {{team_id: good, models: [open, closed]}}
- {{team_id: bad, blocked: true}}
keys:
- {{key: sk-any-key-1, key_alias: any}}
- {{key: sk-open-key-1, models: [everyone], aliases: {{mine: open}}}}
- {{key: sk-team-key-1, team_id: good, models: [all-team-models]}}
- {{key: sk-expired-1, expires: "2020-01-01"}}
- {{key: sk-blocked-1, blocked: true}}
- {{key: sk-bad-team-1, team_id: bad}}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    running = Gateway(tmp_path_factory.mktemp("keys") / "gateway", CONFIG, (), {}).start()
    yield running
    running.stop()


def refusal(answer, status: int, kind: str) -> str:
    """Check an error of OpenAI's form; return its message."""
    assert answer.status == status, answer.body
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == kind
    message: str = error["message"]
    assert message[0].islower() or message[0] == "`"
    assert not message.endswith(".")
    return message


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer {}",
        "authorization: bearer {}",
        "AUTHORIZATION: BEARER {}",
        "authorization: {}",
        "api-key: {}",
        "X-Api-Key: {}",
        "x-goog-api-key: {}",
        "Ocp-Apim-Subscription-Key: {}",
        "x-litellm-api-key: Bearer {}",
        "x-company-key: {}",
        "X-Company-Key: Bearer {}",
    ],
)
def test_a_key_is_taken_in_every_place(house, line):
    with Wire(house) as wire:
        assert wire.send(post(chat("open"), line.format("sk-any-key-1"), key=None)).answer().status == 200
        request = f"GET /v1/models HTTP/1.1\r\nhost: x\r\n{line.format('sk-any-key-1')}\r\n\r\n".encode()
        assert wire.send(request).answer().status == 200


@pytest.mark.parametrize(
    ("key", "kind", "says"),
    [
        (None, "auth_error", "no api key passed; send `Authorization: Bearer sk-...`"),
        ("hello", "auth_error", "this is not a key of this gateway; its keys begin with `sk-`"),
        ("sk-unknown-77", "token_not_found_in_db", "this key is unknown; check it, or ask an administrator for one"),
        ("sk-expired-1", "expired_key", "this key has expired; ask an administrator for a new one"),
        ("sk-blocked-1", "auth_error", "this key is blocked; ask an administrator to unblock it"),
        ("sk-bad-team-1", "auth_error", "this team `bad` is blocked; ask an administrator to unblock it"),
    ],
)
def test_a_bad_key_is_401_for_calls_and_lists_alike(house, key, kind, says):
    answers = [house.chat(model="open", key=key), house.get("/v1/models", key), house.get("/v1/models/open", key)]
    for answer in answers:
        assert refusal(answer, 401, kind) == says
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert key is None or key.encode() not in answer.body


def test_a_bad_key_is_refused_before_its_body_is_read(house):
    head = post(b"", "content-length: 1000000", key="sk-unknown-77").replace(b"content-length: 0\r\n", b"")
    with Wire(house) as wire:
        assert refusal(wire.send(head).answer(), 401, "token_not_found_in_db")


def test_a_model_that_the_key_may_not_name_is_403_and_lists_those_it_may(house):
    message = refusal(house.chat(model="closed", key="sk-open-key-1"), 403, "key_model_access_denied")
    assert message == "this key may not call model `closed`; it may call: `everyone`"
    message = refusal(house.chat(model="wild/x", key="sk-team-key-1"), 403, "team_model_access_denied")
    assert message == "this team may not call model `wild/x`; it may call: `open`, `closed`"


@pytest.mark.parametrize(
    ("model", "shown"), [("nothing", "nothing"), ("OPEN", "OPEN"), ("wild/", "wild/"), ("ключ", "ключ"), ("a`b", "a`b")]
)
def test_an_unknown_model_is_404(house, model, shown):
    message = refusal(house.chat(model=model, key="sk-any-key-1"), 404, "model_not_found")
    assert message == f"model `{shown}` does not exist here; see GET /v1/models"


@pytest.mark.parametrize(
    ("key", "names"),
    [
        (MASTER, ["open", "closed", "other"]),
        ("sk-any-key-1", ["open", "closed", "other"]),
        ("sk-open-key-1", ["open", "other", "mine"]),
        ("sk-team-key-1", ["open", "closed", "other"]),
    ],
)
def test_listed_exactly_when_callable(house, key, names):
    listed = house.get("/v1/models", key).json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == names
    assert listed["data"][0] == {"id": "open", "object": "model", "created": 1677610602, "owned_by": "openai"}
    for model in ("open", "closed", "other", "mine", "wild/x"):
        called = house.chat(model=model, key=key).status == 200
        assert called is (model in names or (model == "wild/x" and key in (MASTER, "sk-any-key-1")))
        assert (house.get(f"/v1/models/{model}", key).status == 200) is called


def test_hidden_aliases_and_wildcards(house):
    assert house.chat(model="dark", key="sk-any-key-1").status == 200
    listed = house.get("/models?return_wildcard_routes=true", "sk-any-key-1").json()["data"]
    assert [model["id"] for model in listed] == ["open", "closed", "other", "wild/*"]


def test_a_name_that_breaks_out_of_a_header_is_no_model(house):
    for path in ("/v1/models/wild%2fa%0d%0ab", "/v1/models/wild%2f%00", "/v1/models/wild/" + "x" * 300):
        assert house.get(path).status == 404


def test_many_bad_keys_in_a_second_are_turned_away_unread(house):
    def refused() -> list[int]:
        with Wire(house) as wire:
            for _ in range(60):
                wire.send(post(chat("open"), key="sk-unknown-77"))
            return [wire.answer().status for _ in range(60)]

    statuses = refused() + refused()
    assert set(statuses) == {401, 429}
    answer = house.chat(model="open", key="sk-any-key-1")
    assert answer.status == 200
