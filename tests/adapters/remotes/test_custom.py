"""Classes of hooks, from real files: which are asked, and what comes of what they do."""

from __future__ import annotations

import asyncio
import copy

import pytest

from engine.detecting import DetectorError, Finding
from tests.adapters.remotes.hooked import DURING, MASK, NEWER, OLDER, POST, PRE, answer, asked, back, chat, of, replaced


@pytest.mark.parametrize(
    "lines",
    [
        [*MASK, "return data"],
        MASK,
        [
            "return {**data, 'messages': [{**m, 'content': m['content'].replace('plover', '***')} for m in data['messages']]}"
        ],
        [
            "data['messages'] = [dict(m, content=m['content'].replace('plover', '***')) for m in data['messages']]",
            "return data",
        ],
        [*MASK, "data['messages'].insert(0, {'role': 'system', 'content': 'be good'})", "return data"],
        [*MASK, "import copy", "return copy.deepcopy(data)"],
        [
            "data['metadata']['was'] = data['messages']",
            "data['messages'] = [{**m, 'content': m['content'].replace('plover', '***')} for m in data['messages']]",
        ],
        [*MASK, "data['messages'].reverse()"],
        ["class Text(str): pass", "data['messages'][0]['content'] = Text('a ***')"],
    ],
    ids=[
        "in place",
        "without return",
        "another dict",
        "another list",
        "one more",
        "a copy",
        "what was is kept",
        "another order",
        "another class",
    ],
)
async def test_a_text_that_is_changed_is_replaced_however_it_is_done(guard, lines):
    assert replaced(await of(guard(PRE, *lines, mode="pre_call"), "a plover", "an owl")) == ["a ***", None]


@pytest.mark.parametrize(
    "line",
    [
        "data['messages'] = [{'role': 'user', 'content': 'x'}]; return data",
        "data['messages'].insert(0, {}); return {**data, 'messages': [dict(m) for m in data['messages']]}",
        "del data['messages'][0]",
        "data['messages'][0]['content'] = None",
        "data['messages'][0]['content'] = [{'type': 'text', 'text': 'x'}]",
        "del data['messages']",
        "data['messages'] = 7",
        "data['messages'] = [{}, *(dict(m) for m in data['messages'])]; data['metadata']['was'] = data['messages']",
        "data['messages'][0]['content'] = '\\ud800'",
        "return {}",
        "return 7",
        "return ['x']",
    ],
)
async def test_a_text_that_is_gone_is_an_error_and_no_pass(guard, line):
    with pytest.raises(DetectorError, match="async_pre_call_hook`"):
        await of(guard(PRE, line, mode="pre_call"), "a plover", "an owl")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("raise ValueError('no plovers')", "no plovers"),
        ("raise Exception('no plovers')", "no plovers"),
        ("raise ValueError()", "ValueError"),
        ("raise HTTPException(status_code=400, detail='no plovers')", "no plovers"),
        ("raise HTTPException(400, {'error': 'no plovers', 'more': 1})", "no plovers"),
        ("raise HTTPException(400, {'reason': 1})", "{'reason': 1}"),
        ("raise litellm.exceptions.GuardrailRaisedException(guardrail_name='g', message='no plovers')", "no plovers"),
        ("raise litellm.exceptions.GuardrailRaisedException('g', 'no plovers')", "no plovers"),
        ("raise litellm.BadRequestError('no plovers', 'm', 'openai')", "no plovers"),
        ("raise litellm.exceptions.BlockedPiiEntityError('BIRD', 'g')", "found BIRD, which is blocked"),
        ("raise ModifyResponseException(message='no plovers', model='m', request_data=data)", "no plovers"),
        ("return 'no plovers'", "no plovers"),
        ("return ValueError('no plovers')", "no plovers"),
        ("raise ValueError('x' * 600)", "x" * 500),
        ("data.no_such_thing", "'dict' object has no attribute 'no_such_thing'"),
        ("raise TimeoutError('too slow')", "too slow"),
    ],
)
@pytest.mark.parametrize(("hook", "mode"), [(PRE, "pre_call"), (DURING, "during_call")])
async def test_what_is_raised_refuses_and_a_text_that_is_returned_too(guard, hook, mode, line, said):
    assert await of(guard(hook, line, mode=mode), "a", "b") == [Finding(refused=said)] * 2


@pytest.mark.parametrize(
    "line",
    [
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "raise asyncio.CancelledError",
        "asyncio.current_task().cancel(); await asyncio.sleep(0)",
    ],
)
async def test_what_ends_programs_ends_none(guard, line):
    detector = guard(PRE, line, mode="pre_call")
    with pytest.raises((DetectorError, asyncio.CancelledError)):
        await of(detector, "a")
    assert replaced(await of(guard(PRE, *MASK, mode="pre_call"), "plover")) == ["***"], "the loop goes on"


async def test_which_hook_is_asked_is_the_mode_s(guard):
    more = f"    {DURING}\n        raise ValueError('during')\n    {POST}\n        raise ValueError('post')\n"
    for mode, asked_, answered in (
        ("pre_call", "pre", ""), ("during_call", "during", ""), ("post_call", "", "post"), (["pre_call", "post_call"], "pre", "post"),
        ({"tags": {"a": "during_call"}, "default": ["post_call"]}, "during", "post"), (None, "pre", "post"),
    ):  # fmt: skip
        detector = guard(PRE, "raise ValueError('pre')", more=more, mode=mode)
        assert detector.sides == {side for side, said in (("input", asked_), ("output", answered)) if said}
        assert [one.refused for one in await of(detector, "x")] == [asked_]
        assert [one.refused for one in await back(detector, "x")] == [answered]


async def test_both_hooks_of_a_request_are_asked_in_turn(guard):
    more = f"    {DURING}\n        if 'plover' in str(data): raise ValueError('during')\n"
    assert replaced(await of(guard(PRE, *MASK, more=more, mode=["pre_call", "during_call"]), "plover")) == ["***"]


async def test_an_answer_looks_as_litellm_s(guard):
    lines = [
        "assert isinstance(response, litellm.ModelResponse) and not isinstance(response, dict)",
        "assert response['choices'][0]['message']['content'] == response.choices[0].message.content == 'a plover'",
        "assert response.choices[0].message.tool_calls is None and not hasattr(response.choices[0].message, 'thinking')",
        "assert response.usage.prompt_tokens == 1 and response.get('model') == 'm' and 'id' in response",
        "assert response.model_dump()['choices'][0]['message'] == {'role': 'assistant', 'content': 'a plover'} and response.json()['id'] == 'x'",
        "assert data['messages'][0]['content'] == 'q'",
        "for choice in response.choices:",
        "    if isinstance(choice, litellm.Choices): choice.message.content = choice.message.content.replace('plover', '***')",
    ]
    assert replaced(await back(guard(POST, *lines, mode="post_call"), "a plover", "an owl")) == ["a ***", None]


@pytest.mark.parametrize(
    "line",
    [
        "response['choices'][0]['message']['content'] = '***'",
        "import copy; response = copy.deepcopy(response); response.choices[0].message.content = '***'; return response",
        "response = response.model_copy(); response.choices[0].message['content'] = '***'; return response",
        "made = response.model_dump(); made['choices'][0]['message']['content'] = '***'; return made",
        "response.choices[0].message = litellm.Message(content='***', role='assistant'); return response",
    ],
)
async def test_an_answer_is_changed_however_it_is_done(guard, line):
    assert replaced(await back(guard(POST, line, mode="post_call"), "a plover")) == ["***"]


async def test_other_answers_are_what_litellm_makes_of_them(guard):
    lines = ["SEEN.append(type(response).__name__)", "response['content'][0]['text'] = '***'", "return response"]
    body = {"type": "message", "content": [{"type": "text", "text": "plover"}]}
    detector = guard(POST, *lines, mode="post_call")
    question = asked(chat("q")[0], (body["content"][0], "text"), phase="output", body=body)
    assert replaced(await detector.ask(question)) == ["***"]
    detector = guard(
        POST,
        "assert isinstance(response, litellm.TextCompletionResponse)",
        "response.choices[0].text = '***'",
        mode="post_call",
    )
    body = {"object": "text_completion", "choices": [{"text": "plover"}]}
    assert replaced(
        await detector.ask(asked({"prompt": "q"}, (body["choices"][0], "text"), phase="output", body=body))
    ) == ["***"]
    lines = [
        "from litellm.types.llms.openai import ResponsesAPIResponse", "assert isinstance(response, ResponsesAPIResponse)",
        "for item in response.output:", "    for part in item.content: part.text = '***'",
    ]  # fmt: skip
    body = {
        "object": "response",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "plover"}]}],
    }
    question = asked({"input": "q"}, (body["output"][0]["content"][0], "text"), phase="output", body=body)
    assert replaced(await guard(POST, *lines, mode="post_call").ask(question)) == ["***"]


async def test_hooks_of_streams_are_given_the_text_as_one_piece(guard):
    iterator = "async def async_post_call_streaming_iterator_hook(self, user_api_key_dict, response, request_data):"
    lines = [
        "async for chunk in response:",
        "    assert isinstance(chunk, litellm.ModelResponseStream) and isinstance(chunk.choices[0], litellm.StreamingChoices)",
        "    text = chunk.choices[0].delta.content",
        "    if 'owl' in text: raise ValueError('no owls')",
        "    chunk.choices[0].delta.content = text.replace('plover', '***')",
        "    yield chunk",
    ]
    detector = guard(iterator, *lines, mode="post_call")
    assert replaced(await back(detector, "a plover", "a crow")) == ["a ***", None]
    assert [one.refused for one in await back(detector, "an owl")] == ["no owls"]
    streamed = "async def async_post_call_streaming_hook(self, user_api_key_dict, response):"
    detector = guard(
        streamed, "return response.replace('plover', '***') if 'plover' in response else None", mode="post_call"
    )
    assert replaced(await back(detector, "a plover", "a crow")) == ["a ***", None]


async def test_apply_guardrail_of_old(guard):
    lines = ["if 'owl' in text: raise Exception('no owls')", "return text.replace('plover', '***')"]
    for mode in ("pre_call", "during_call", "post_call"):
        ask = back if mode == "post_call" else of
        detector = guard(OLDER, *lines, mode=mode)
        assert replaced(await ask(detector, "a plover", " ")) == ["a ***", None]
        assert [one.refused for one in await ask(detector, "a plover", "an owl")] == ["no owls"] * 2


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"to": "plover"}'}}


async def test_apply_guardrail_as_it_is_now(guard):
    lines = [
        "SEEN.append((input_type, [*inputs['texts']], [c['function']['name'] for c in inputs.get('tool_calls', [])]))",
        "for call in inputs.get('tool_calls', []):",
        "    call['function']['arguments'] = call['function']['arguments'].replace('plover', '***')",
        "    if call['function']['name'] == 'rm': call['guardrail_deleted'] = True",
        "assert input_type == 'response' or inputs['structured_messages'] == request_data['messages']",
        "return {'texts': [text.replace('plover', '***') for text in inputs['texts']]}",
    ]
    request, places = chat("a plover", "an owl")
    request["messages"].append({"role": "assistant", "content": None, "tool_calls": [copy.deepcopy(CALL)]})
    function = request["messages"][2]["tool_calls"][0]["function"]
    detector = guard(NEWER, *lines)
    found = await detector.ask(asked(request, *places, (function, "arguments")))
    assert replaced(found) == ["a ***", None, '{"to": "***"}']
    body, places = answer("a plover")
    body["choices"][0]["message"]["tool_calls"] = [copy.deepcopy(CALL)]
    function = body["choices"][0]["message"]["tool_calls"][0]["function"]
    question = asked(request, *places, (function, "arguments"), phase="output", body=body)
    assert replaced(await detector.ask(question)) == ["a ***", '{"to": "***"}']
    function["name"] = "rm"
    assert [one.refused for one in await detector.ask(question)] == ["calls a tool that must not be called"] * 2


async def test_apply_guardrail_may_leave_the_inputs_or_say_nonsense(guard):
    assert replaced(await of(guard(NEWER, "inputs['texts'][0] = '***'"), "a")) == ["***"]
    assert replaced(await of(guard(NEWER, "return {'texts': [*inputs['texts'], 'more']}"), "a")) == [None]
    for line in ("return {}", "return {'texts': []}", "return {'texts': [None]}", "return 7", "return {'texts': None}"):
        with pytest.raises(DetectorError, match="`apply_guardrail`"):
            await of(guard(NEWER, line), "a")
