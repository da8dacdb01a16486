"""The names of LiteLLM that files of hooks use: what each is, where LiteLLM is not installed."""

from __future__ import annotations

import copy
import json

import pytest

from adapters.remotes.custom import answers, cache, client, litellm, refusals
from adapters.remotes.custom.offered import OFFERED, ROOTS, imported, offer

BODY = {
    "id": "x", "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}}],
    "usage": {"prompt_tokens": 1},
}  # fmt: skip


def test_every_name_is_bound_as_an_import_binds_it():
    modules = offer(ROOTS)
    for name, members in OFFERED.items():
        assert imported(modules, name, ()) is modules[name.partition(".")[0]]
        leaf = imported(modules, name, tuple(members))
        assert all(getattr(leaf, one) is value for one, value in members.items())
    assert modules["litellm"].types.utils.ModelResponse is modules["litellm"].ModelResponse
    assert not hasattr(modules["litellm"], "nothing")
    with pytest.raises(AttributeError, match=r"this gateway has no litellm\.types\.nothing: pip install litellm"):
        _ = modules["litellm"].types.nothing
    assert offer(["fastapi"]).keys() == {"fastapi", "fastapi.exceptions", "fastapi.status"}


def test_an_answer_is_looked_at_by_name_and_by_item():
    made = answers.shaped(copy.deepcopy(BODY), answers.kind_of(BODY))
    message = made.choices[0].message
    assert isinstance(message.tool_calls[0], answers.ChatCompletionMessageToolCall)
    assert message.tool_calls[0].function.name == message["tool_calls"][0]["function"]["name"] == "f"
    assert (message.function_call, made.system_fingerprint, made.get("none", 3)) == (None, None, 3)
    with pytest.raises(AttributeError, match="`Message` has no member `audio`"):
        _ = message.audio
    with pytest.raises(AttributeError):
        del message.audio
    message.extra = 1
    del message.extra
    assert "extra" not in message
    assert dict(message)["content"] == "hi"
    assert made.model_dump() == made.dict() == made.json() == json.loads(made.model_dump_json()) == BODY
    twin = copy.deepcopy(made)
    assert twin == made
    twin.choices[0].message.content = "other"
    assert (message.content, twin != made) == ("hi", True)
    assert "content='other'" in repr(twin)
    assert answers.Message(content=None, role="a").model_dump(exclude_none=True) == {"role": "a"}
    assert answers.kind_of([]) is answers.kind_of({"content": []}) is None


def test_pieces_of_a_stream_are_joined():
    pieces = [
        answers.shaped({"id": "x", "choices": [{"index": at, "delta": {"content": text}}]}, answers.ModelResponseStream)
        for at, text in ((0, "a "), (1, "an "), (0, "plover"), (1, None), (1, "owl"))
    ]
    made = answers.stream_chunk_builder(pieces, messages=[])
    assert isinstance(made, answers.ModelResponse)
    assert [choice.message.content for choice in made.choices] == ["a plover", "an owl"]
    assert answers.stream_chunk_builder(chunks=[]) is None
    assert litellm.get_content_from_model_response(made) == "a ploveran owl"


async def test_an_answer_is_a_stream_of_one_piece():
    made = answers.shaped(copy.deepcopy(BODY), answers.ModelResponse)
    (piece,) = [one async for one in answers.MockResponseIterator(model_response=made)]
    assert isinstance(piece, answers.ModelResponseStream)
    assert piece.choices[0].delta.content == "hi"
    assert piece.choices[0].delta.tool_calls[0].function.name == "f"


async def test_what_is_kept_is_found_again_until_its_time_is_over(monkeypatch):
    kept = cache.DualCache()
    monkeypatch.setattr(cache, "MOST", 3)
    for at in range(5):
        await kept.async_set_cache(at, at)
    assert await kept.async_batch_get_cache(range(5)) == [None, None, 2, 3, 4]
    kept.set_cache("soon", 1, ttl=0)
    assert kept.get_cache("soon") is None
    assert [await kept.async_increment_cache("n", 2, ttl=60) for _ in range(3)] == [2, 4, 6]
    await kept.async_delete_cache("n")
    assert kept.get_cache("n") is None
    kept.flush_cache()
    assert kept.batch_get_cache([3, 4]) == [None, None]


EVENTS = litellm.GuardrailEventHooks


@pytest.mark.parametrize(
    ("made", "metadata", "event", "runs"),
    [
        ({"event_hook": "pre_call", "default_on": True}, {}, EVENTS.pre_call, True),
        ({"event_hook": "pre_call", "default_on": True}, {}, EVENTS.post_call, False),
        ({"event_hook": "pre_call"}, {}, EVENTS.pre_call, False),
        ({"event_hook": "pre_call"}, {"guardrails": ["g"]}, EVENTS.pre_call, True),
        ({"event_hook": "pre_call"}, {"guardrails": [{"g": {"extra_body": {}}}]}, EVENTS.pre_call, True),
        ({"event_hook": "pre_call"}, {"guardrails": ["other"]}, EVENTS.pre_call, False),
        ({"event_hook": "logging_only"}, {}, EVENTS.logging_only, True),
        ({"event_hook": ["pre_call", EVENTS.post_call]}, {"guardrails": ["g"]}, EVENTS.post_call, True),
        ({"event_hook": litellm.Mode(tags={"a": "post_call"}, default="pre_call")}, {"guardrails": ["g"]}, EVENTS.post_call, True),
        ({"event_hook": {"tags": {"a": ["post_call"]}}}, {"guardrails": ["g"]}, EVENTS.pre_call, False),
        ({}, {}, EVENTS.during_call, True),
    ],
)  # fmt: skip
def test_when_a_guardrail_is_asked(made, metadata, event, runs):
    assert litellm.CustomGuardrail("g", **made).should_run_guardrail({"metadata": metadata}, event) is runs


async def test_what_else_the_base_class_knows():
    made = litellm.CustomGuardrail(
        guardrail_name="g", event_hook=EVENTS.pre_call, supported_event_hooks=[EVENTS.pre_call], api_key="k"
    )
    params = made.get_guardrail_dynamic_request_body_params
    assert params(request_data={"metadata": {"guardrails": ["x", {"g": {"extra_body": {"a": 1}}}]}}) == {"a": 1}
    assert (
        params(request_data={"guardrails": [{"g": {}}]}) == params(request_data={}) == params({"metadata": None}) == {}
    )
    with pytest.raises(
        ValueError, match="event hook post_call is none of those that this guardrail supports: pre_call"
    ):
        litellm.CustomGuardrail(event_hook="post_call", supported_event_hooks=[EVENTS.pre_call])
    proceeds = litellm.should_proceed_based_on_metadata
    assert [await proceeds({"metadata": {"guardrails": said}}, "g") for said in ({"g": True}, {"g": False}, {}, ["g"], ["x"])] == [
        True, False, False, True, False,
    ]  # fmt: skip
    assert await proceeds({}, "g")
    assert made.mask_content_in_string("a plover", "***", 2, 8) == "a ***"
    assert made.mask_content_in_string("a plover", "***", 2, 9) == "a plover"
    assert made.render_violation_message("no") == "no"
    told = litellm.CustomGuardrail(violation_message_template="{default_message}: {x}")
    assert told.render_violation_message("no", {"x": 1}) == "no: 1"
    with pytest.raises(refusals.ModifyResponseException, match=r"^no$"):
        made.raise_passthrough_exception("no", {}, detection_info={})
    auth = litellm.UserAPIKeyAuth(user_id="ada")
    assert (auth.user_id, auth.team_id, auth["user_id"], auth.get("x", 2), auth.metadata) == ("ada", None, "ada", 2, {})
    with pytest.raises(AttributeError):
        _ = auth.nothing


async def test_the_client_asks_services(service):
    service.says({"ok": True})
    asks = client.get_async_httpx_client(llm_provider=client.httpxSpecialProvider.LoggingCallback)
    found = await asks.post(f"{service.url}/check", headers={"x-key": "k"}, json={"text": "a"}, timeout=5)
    assert (found.status_code, found.json(), json.loads(found.text), found.is_success) == (
        200,
        {"ok": True},
        {"ok": True},
        True,
    )
    assert (service.asked, service.exchanges[0].header("x-key")) == ([{"text": "a"}], "k")
    service.status = 403
    with pytest.raises(client.HTTPStatusError, match="a service answered 403") as caught:
        await asks.post(f"{service.url}/check", json={})
    assert caught.value.response.json() == {"ok": True}


async def test_a_service_that_is_silent_is_waited_for_as_long_as_is_said(upstream):
    async def silent(exchange):
        await exchange.reader.read()

    upstream.handler = silent
    with pytest.raises(refusals.Timeout, match="did not answer in time"):
        await client.AsyncHTTPHandler(timeout=0.05).get(upstream.base)
