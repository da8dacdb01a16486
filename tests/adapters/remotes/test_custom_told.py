"""Classes of hooks, from real files: what they are told, what is told of them, and where and for how long they run."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import structlog

from adapters.remotes.custom import facts
from adapters.remotes.custom.thread import HooksThread
from engine.detecting import DetectorError, Finding, Question
from tests.adapters.remotes.hooked import MASK, POST, PRE, asked, chat, of, replaced


async def test_what_hooks_are_told(guard):
    lines = [
        "assert call_type == 'completion' and call_type == 'acompletion' and call_type in ['acompletion'] and call_type != 'embeddings'",
        "from litellm.types.utils import CallTypes",
        "assert CallTypes(call_type) is CallTypes.acompletion and call_type in {CallTypes.acompletion} and f'{call_type}' == 'acompletion'",
        "assert user_api_key_dict.token == 'h' and user_api_key_dict.user_id == 'ada' and user_api_key_dict.api_key == 'h'",
        "assert user_api_key_dict.team_id is None and user_api_key_dict.metadata == {}",
        "assert data['metadata']['user_api_key_user_id'] == 'ada' and data['metadata']['mine'] == 1, data",
        "assert data['litellm_call_id'] == 'c1'",
        "assert self.get_guardrail_dynamic_request_body_params(request_data=data) == {'x': 1}",
        "assert self.should_run_guardrail(data=data, event_type=GuardrailEventHooks.pre_call)",
        "assert not self.should_run_guardrail(data=data, event_type=GuardrailEventHooks.post_call)",
        "await cache.async_set_cache('k', 1, ttl=60)",
        "assert await cache.async_get_cache('k') == 1 and cache.get_cache('other') is None",
        "assert (self.guardrail_name, self.event_hook, self.default_on, self.word) == ('g', 'pre_call', False, 'w')",
    ]
    init = "    def __init__(self, word, **kwargs):\n        self.word = word\n        super().__init__(**kwargs)\n"
    request, places = chat("a")
    request["metadata"] = {"mine": 1, "user_api_key_user_id": "eve", "user_api_key": "x", "guardrails": ["none"]}
    metadata = {
        "user_api_key_hash": "h", "user_api_key_user_id": "ada", "litellm_call_id": "c1", "extra_body": {"x": 1},
        "user_api_key_request_route": "/v1/chat/completions",
    }  # fmt: skip
    detector = guard(PRE, *lines, mode="pre_call", more=init, word="w")
    assert await detector.ask(asked(request, *places, metadata=metadata)) == [Finding()]


async def test_a_member_that_is_a_text_itself(guard):
    values = {"prompt": "a plover"}
    question = asked({"model": "m", "prompt": values["prompt"]}, (values, "prompt"))
    detector = guard(PRE, "data['prompt'] = data['prompt'].replace('plover', '***')", "return data", mode="pre_call")
    assert replaced(await detector.ask(question)) == ["a ***"]


async def test_texts_in_metadata_give_way_to_what_is_known_and_are_as_they_were(guard):
    request = {
        "metadata": {
            "user_api_key_x": "a plover",
            "guardrails": ["a plover"],
            "note": "a plover",
            "deep": {"x": "a plover"},
        }
    }
    metadata = request["metadata"]
    places = [(metadata, "user_api_key_x"), (metadata["guardrails"], 0), (metadata, "note"), (metadata["deep"], "x")]
    lines = [
        "for holder in (data['metadata'], data['metadata']['deep']):",
        "    for name in holder:",
        "        if holder[name] == 'a plover': holder[name] = '***'",
    ]
    found = await guard(PRE, *lines, mode="pre_call").ask(asked(request, *places))
    assert replaced(found) == [None, None, "***", "***"]


async def test_what_a_hook_leaves_that_cannot_be_read_is_an_error(guard):
    more = "    class Odd(dict):\n        def get(self, *of): raise RuntimeError('a plover')\n"
    with pytest.raises(DetectorError, match=r"^what hooks left cannot be read \(RuntimeError\)$"):
        await of(guard(PRE, "return G.Odd(data)", more=more, mode="pre_call"), "a plover")


async def test_texts_that_come_alone_are_made_a_request_or_an_answer(guard):
    assert replaced(await guard(PRE, *MASK, mode="pre_call").ask(Question("input", ["a plover", "x"], "m"))) == [
        "a ***",
        None,
    ]
    detector = guard(POST, "response.choices[1].message.content = '***'", mode="post_call")
    assert replaced(await detector.ask(Question("output", ["a", "b"], "m"))) == [None, "***"]
    assert await detector.ask(Question("output", [])) == []


async def test_what_else_is_changed_is_told_once_by_its_name(guard):
    lines = [
        "data['temperature'] = 'plover'",
        "data['metadata']['x'] = 1",
        "data['messages'][0]['role'] = 'system'",
        "return data",
    ]
    detector = guard(PRE, *lines, mode="pre_call")
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            assert replaced(await of(detector, "a plover")) == [None]
    assert [entry["members"] for entry in logs] == [["messages", "temperature"]]
    assert "plover" not in str(logs)


async def test_a_slip_is_told_without_what_it_says(guard):
    detector = guard(PRE, "data[data['messages'][0]['content']]", mode="pre_call")
    with structlog.testing.capture_logs() as logs:
        assert [one.refused for one in await of(detector, "plover")] == ["'plover'"]
    assert logs[0]["exception"] == "KeyError"
    assert logs[0]["at"].startswith("mine.py:")
    assert "plover" not in str(logs)


async def test_who_says_when_to_be_asked_is_asked_then_only(guard):
    more = "    def should_run_guardrail(self, data, event_type): return 'now' in str(data['messages']) and event_type == 'pre_call'\n"
    detector = guard(PRE, "raise ValueError('no')", more=more, mode="pre_call")
    assert [one.refused for one in await of(detector, "now")] == ["no"]
    assert [one.refused for one in await of(detector, "later")] == [""]


async def test_hooks_may_be_plain_functions_take_less_and_be_decorated(guard):
    assert [
        one.refused
        for one in await of(
            guard("def async_pre_call_hook(self, data):", "raise ValueError('no')", mode="pre_call"), "x"
        )
    ] == ["no"]
    assert [
        one.refused
        for one in await of(
            guard(f"@log_guardrail_information\n    {PRE}", "raise ValueError('no')", mode="pre_call"), "x"
        )
    ] == ["no"]
    assert [
        one.refused
        for one in await of(
            guard(
                "async def async_pre_call_hook(self, **given):",
                "raise ValueError(' '.join(sorted(given)))",
                mode="pre_call",
            ),
            "x",
        )
    ] == ["cache call_type data user_api_key_dict"]


async def test_a_body_nested_too_deep_is_not_asked_about(guard):
    request, places = chat("a")
    for _ in range(5000):
        request = {"model": "m", "messages": request["messages"], "deep": request}
    with pytest.raises(DetectorError, match="nested too deep"):
        await guard(PRE, "return data", mode="pre_call").ask(asked(request, *places))


async def test_the_caller_s_deadline_ends_a_hook_and_hooks_never_run_on_its_loop(guard):
    lines = [
        "import threading",
        "SEEN.append(threading.current_thread().name)",
        "try:",
        "    await asyncio.sleep(30)",
        "finally:",
        "    SEEN.append('ended')",
    ]
    detector = guard(PRE, *lines, mode="pre_call")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(of(detector, "x"), 0.05)
    seen = detector._hooks._instance.async_pre_call_hook.__globals__["SEEN"]
    for _ in range(100):
        if len(seen) == 2:
            break
        await asyncio.sleep(0.01)
    assert seen == ["hooks", "ended"]
    assert threading.current_thread().name not in seen


async def test_a_hook_that_blocks_holds_up_hooks_only_and_they_are_bounded():
    thread = HooksThread(2)
    release = threading.Event()

    async def blocks():
        release.wait(5)

    ran = []

    async def behind():
        ran.append(True)

    waiting = [asyncio.ensure_future(thread.run(work)) for work in (blocks, behind)]
    await asyncio.sleep(0.05)
    with pytest.raises(DetectorError, match="2 questions wait for hooks already"):
        await thread.run(blocks)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert thread.waiting == 2, "what was given up takes its place until the loop gets to it"
    release.set()
    deadline = time.monotonic() + 5
    while thread.waiting and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert (thread.waiting, ran) == (0, [])

    async def good():
        return 7

    assert await thread.run(good) == 7


async def test_a_class_that_asks_a_service_as_litellm_s_quick_start_does(guard, service):
    service.says({"action": "BLOCK", "reason": "no plovers"}, {"action": "NONE"})
    lines = [
        "from litellm.llms.custom_httpx.http_handler import get_async_httpx_client, httpxSpecialProvider",
        "client = get_async_httpx_client(llm_provider=httpxSpecialProvider.LoggingCallback)",
        "response = await client.post(f'{self.api_base}/check', headers={'x-key': 'k'}, json={'text': text}, timeout=5)",
        "response.raise_for_status()",
        "if response.json()['action'] == 'BLOCK': raise Exception('Content blocked: ' + response.json()['reason'])",
        "return text",
    ]
    init = "    def __init__(self, api_base=None, **kwargs):\n        self.api_base = api_base\n        super().__init__(**kwargs)\n"
    older = "async def apply_guardrail(self, text, language=None, entities=None, request_data=None):"
    detector = guard(older, *lines, more=init, mode="during_call", api_base=service.url)
    assert [one.refused for one in await of(detector, "a plover")] == ["Content blocked: no plovers"]
    assert await of(detector, "an owl") == [Finding()]
    assert service.asked == [{"text": "a plover"}, {"text": "an owl"}]


@pytest.mark.parametrize(
    ("route", "names"),
    [
        ("/v1/chat/completions", ["completion", "acompletion"]), ("/engines/m/completions", ["text_completion", "atext_completion"]),
        ("/v1/embeddings", ["embeddings", "embedding", "aembedding"]), ("/v1/messages", ["anthropic_messages"]),
        ("/v1/responses", ["responses", "aresponses"]), ("/other", ["pass_through_endpoint"]),
    ],
)  # fmt: skip
def test_a_call_is_for_what_any_version_of_litellm_calls_it(route, names):
    found = facts.call_type({"user_api_key_request_route": route})
    every = {name for _, known in facts._TYPES for name in known} | {"pass_through_endpoint"}
    assert {name for name in every if found == name} == {*names}
    assert all(found == name for name in names)
    assert found != "other"
