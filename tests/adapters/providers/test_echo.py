"""The echo provider: manners, limits, and answers of every format."""

from __future__ import annotations

import base64
import json
import math
import struct
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dialects.openai import OpenAI as Dialect
from adapters.dialects.responses import Responses
from adapters.providers.echo import MOCKED_ERRORS, Echo
from engine.call import Call, Route
from engine.contracts import Deps, Target, Timeouts
from engine.outside import SystemClock
from engine.snapshot import Settings, Snapshot
from tests.engine.streams import chunks, events

MEMBERS = ["messages", "input", "prompt", "instructions", "n", "max_tokens", "encoding_format", "temperature"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(0, 2) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "text"]), inner, max_size=3)
    ),
    max_leaves=6,
)
HELLO = {"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello brave new world"}]}
DIALECTS = {"responses": Responses()}


class Client:
    """A client's request without headers."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    def at_hand(self) -> bytes | None:
        return b"{}"

    async def read(self, limit: int) -> bytes:
        del limit
        return b"{}"


def endpoint(**params: Any):
    return Echo(Deps(SystemClock(), None, None, {})).endpoint(Target("echo", params, Timeouts(), Timeouts()))  # type: ignore[arg-type]


async def pieces(body: dict[str, Any], operation: str = "chat", **params: Any) -> tuple[int, list[bytes]]:
    """Ask once; return the status and the body in the pieces it came in."""
    route = Route("/x", operation, DIALECTS.get(operation, Dialect()))
    call = Call("c-1", route, Snapshot(1, Settings()), Client())
    call.stream = body.get("stream") is True
    answer = await endpoint(**params).send(call, (json.dumps({"model": "echo", **body}).encode(),))
    if call.stream and answer.status == 200:
        found: list[bytes] = []

        async def drain() -> None:
            """Wait for nothing."""

        await answer.pump(lambda piece: found.append(piece) is not None, drain)
        return answer.status, found
    whole = await answer.read(1 << 20)
    assert whole is not None
    return answer.status, [whole]


async def said(body: dict[str, Any], operation: str = "chat", **params: Any) -> Any:
    """Ask for a whole answer and parse it."""
    status, (answer,) = await pieces(body, operation, **params)
    assert status == 200
    return json.loads(answer)


async def test_the_last_user_message_comes_back_and_words_are_counted():
    answer = await said(HELLO)
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "hello brave new world"}, "logprobs": None, "finish_reason": "stop"}
    ]  # fmt: skip
    assert answer["usage"] == {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10}
    assert (answer["object"], answer["model"], answer["id"]) == ("chat.completion", "echo", "echo-c-1")


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([], ""),
        ([{"role": "user", "content": None}], ""),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "a"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}, {"role": "tool", "content": "c"}], "b"),
        ([{"role": "system", "content": "a"}], "a"),
        (
            [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}],
                }
            ],
            "a b",
        ),
        ([{"role": "user", "content": "  two  spaces\n"}], "two  spaces\n"),
        ([{"content": "no role"}], "no role"),
        (["plain"], "plain"),
    ],
)
async def test_what_counts_as_the_last_user_message(messages, text):
    assert (await said({"messages": messages}))["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(
    ("limit", "text", "finish", "tokens"),
    [(0, "", "length", 0), (2, "hello brave", "length", 2), (4, "hello brave new world", "stop", 4), (9, "hello brave new world", "stop", 4)],
)  # fmt: skip
async def test_limits_cut_by_words(name, limit, text, finish, tokens):
    answer = await said({**HELLO, name: limit})
    assert answer["choices"][0]["message"]["content"] == text
    assert answer["choices"][0]["finish_reason"] == finish
    assert answer["usage"]["completion_tokens"] == tokens


@pytest.mark.parametrize(("n", "count"), [(1, 1), (3, 3), (0, 1), (1000, 128), (None, 1)])
async def test_n_choices_say_the_same_and_all_count(n, count):
    answer = await said({**HELLO, "n": n})
    assert [choice["index"] for choice in answer["choices"]] == list(range(count))
    assert answer["usage"]["completion_tokens"] == 4 * count


@pytest.mark.parametrize("asks", [True, False])
async def test_a_stream_says_the_same_in_frames(asks):
    body = {**HELLO, "n": 2, "stream": True, "stream_options": {"include_usage": asks}}
    status, found = await pieces(body, echo_chunk_chars=5)
    stream = b"".join(found)
    assert status == 200
    assert events(stream)[-1] == ("", b"[DONE]")
    texts, finishes, usages = ["", ""], [], []
    for chunk in chunks(stream):
        assert (chunk["object"], chunk["id"]) == ("chat.completion.chunk", "echo-c-1")
        usages.append(chunk.get("usage"))
        for choice in chunk["choices"]:
            text = choice["delta"].get("content", "")
            assert len(text) <= 5
            texts[choice["index"]] += text
            finishes.append(choice["finish_reason"])
    assert texts == ["hello brave new world"] * 2
    assert finishes.count("stop") == 2
    expected = {"prompt_tokens": 6, "completion_tokens": 8, "total_tokens": 14}
    assert [usage for usage in usages if usage] == ([expected] if asks else [])


async def test_legacy_completions_and_their_stream():
    answer = await said({"prompt": "hello brave new world", "max_tokens": 3}, "completions")
    assert answer["choices"] == [{"index": 0, "text": "hello brave new", "logprobs": None, "finish_reason": "length"}]
    body = {"prompt": ["a", "b c"], "stream": True, "stream_options": {"include_usage": True}}
    _, found = await pieces(body, "completions", echo_chunk_chars=1)
    made = list(chunks(b"".join(found)))
    assert "".join(choice["text"] for chunk in made for choice in chunk["choices"]) == "b c"
    assert made[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


async def test_responses_and_their_stream_end_with_the_same_response():
    body = {"input": "hello brave new world", "instructions": "be brief", "max_output_tokens": 3}
    whole = await said(body, "responses")
    assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (whole["usage"]["input_tokens"], whole["usage"]["output_tokens"]) == (6, 3)
    _, found = await pieces({**body, "stream": True}, "responses")
    made = list(chunks(b"".join(found)))
    assert [event["sequence_number"] for event in made] == list(range(len(made)))
    assert [event for event, _ in events(b"".join(found))] == [event["type"] for event in made]
    deltas = "".join(event["delta"] for event in made if event["type"] == "response.output_text.delta")
    assert deltas == whole["output"][0]["content"][0]["text"] == "hello brave new"
    assert made[-1]["type"] == "response.incomplete"
    assert {**made[-1]["response"], "created_at": 0} == {**whole, "created_at": 0}


@pytest.mark.parametrize(
    ("tool", "arguments"), [({"name": "f", "arguments": {"x": [1]}}, {"x": [1]}), ({"name": "f"}, {}), ("f", {})]
)
async def test_tool_calls_in_every_format(tool, arguments):
    whole = await said(HELLO, echo_tool_call=tool)
    (call,) = whole["choices"][0]["message"]["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("f", arguments)
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    _, found = await pieces({**HELLO, "stream": True}, echo_tool_call=tool)
    deltas = [choice["delta"] for chunk in chunks(b"".join(found)) for choice in chunk["choices"]]
    assert [delta["tool_calls"][0]["function"] for delta in deltas if "tool_calls" in delta] == [call["function"]]
    response = await said({"input": "x"}, "responses", echo_tool_call=tool)
    assert response["output"][0]["type"] == "function_call"
    assert json.loads(response["output"][0]["arguments"]) == arguments


@pytest.mark.parametrize(
    ("given", "rows", "tokens"),
    [("a b", 1, 2), (["a", "b c"], 2, 3), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3), ([], 1, 0), ("", 1, 0)],
)
async def test_embeddings_are_unit_vectors_of_the_text(given, rows, tokens):
    answer = await said({"input": given}, "embeddings")
    assert [row["index"] for row in answer["data"]] == list(range(rows))
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    for row in answer["data"]:
        assert len(row["embedding"]) == 8
        assert math.isclose(math.hypot(*row["embedding"]), 1)
    packed = await said({"input": given, "encoding_format": "base64"}, "embeddings")
    for row, same in zip(packed["data"], answer["data"], strict=True):
        assert struct.unpack("<8f", base64.b64decode(row["embedding"])) == pytest.approx(same["embedding"])


async def test_the_same_text_has_the_same_vector_and_another_another():
    first, second, third = (await said({"input": ["a", "a", "b"]}, "embeddings"))["data"]
    assert first["embedding"] == second["embedding"] != third["embedding"]


async def test_mock_response_is_said_instead_and_its_error_names_answer_errors():
    assert (await said(HELLO, mock_response="so be it"))["choices"][0]["message"]["content"] == "so be it"
    for name, status in MOCKED_ERRORS.items():
        found, (body,) = await pieces(HELLO, mock_response=name)
        assert found == status
        assert json.loads(body)["error"]["message"] == name


@pytest.mark.parametrize("status", [400, 429, 503, 599])
async def test_a_status_is_answered_as_an_error_even_to_streams(status):
    for stream in (True, False):
        found, (body,) = await pieces({**HELLO, "stream": stream}, echo_status=status)
        assert found == status
        assert Dialect().is_error(body)


@given(
    st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=5),
    st.sampled_from(["chat", "completions", "responses", "embeddings"]),
)
@settings(deadline=None, max_examples=150)
async def test_whatever_a_client_asks_it_is_answered(body, operation):
    accepted = {
        name: value for name, value in body.items() if name not in {"n", "max_tokens"} or isinstance(value, int)
    }
    for stream in (False, True):
        status, found = await pieces({**accepted, "stream": stream}, operation)
        assert status == 200
        assert b"".join(found)


async def test_delays_are_kept():
    started = time.monotonic()
    await said(HELLO, echo_delay_ms=40)
    between = time.monotonic()
    assert between - started >= 0.04
    _, found = await pieces({**HELLO, "stream": True}, echo_frame_delay_ms=5, echo_chunk_chars=7)
    assert time.monotonic() - between >= 0.005 * len(found)


async def test_a_slow_client_is_waited_for():
    waited = []

    async def drain() -> None:
        waited.append(1)

    call = Call("c-1", Route("/x", "chat", Dialect()), Snapshot(1, Settings()), Client())
    call.stream = True
    answer = await endpoint().send(call, (json.dumps({**HELLO, "stream": True}).encode(),))
    taken: list[bytes] = []
    await answer.pump(lambda piece: bool(taken.append(piece)), drain)
    assert len(waited) == len(taken) > 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("echo_status", 200.5), ("echo_status", 301), ("echo_status", 600), ("echo_status", "four"), ("echo_status", -1),
        ("echo_chunk_chars", -1), ("echo_chunk_chars", "many"), ("echo_chunk_chars", [3]),
        ("echo_delay_ms", -1), ("echo_delay_ms", "soon"), ("echo_delay_ms", float("nan")), ("echo_delay_ms", float("inf")),
        ("echo_frame_delay_ms", -0.1), ("echo_frame_delay_ms", {}), ("echo_frame_delay_ms", [1]),
        ("echo_tool_call", {"arguments": {}}), ("echo_tool_call", {"name": 3}), ("echo_tool_call", ["f"]), ("echo_tool_call", 7),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name}: "):
        endpoint(**{name: value})


@pytest.mark.parametrize(
    "name", ["echo_status", "echo_chunk_chars", "echo_delay_ms", "echo_frame_delay_ms", "echo_tool_call"]
)
def test_an_absent_value_is_the_default(name):
    assert endpoint(**{name: None})._manner == endpoint()._manner
