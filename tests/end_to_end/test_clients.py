"""Official clients against a gateway process: they find what they expect of OpenAI itself."""

from __future__ import annotations

import json
import time
from decimal import Decimal

import openai
import pytest
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.running import MASTER, Gateway

CONFIG = f"""
general_settings: {{master_key: {MASTER}}}
litellm_settings:
  virtual_keys:
    - {{api_key: sk-narrow-0123456789abcdef, models: [echo]}}
model_list:
  - {{model_name: echo, litellm_params: {{model: echo/echo, input_cost_per_token: 0.000001, output_cost_per_token: 0.000002}}}}
  - model_name: weather
    litellm_params: {{model: echo/weather, echo_tool_call: {{name: get_weather, arguments: {{city: Oslo}}}}}}
  - {{model_name: busy, litellm_params: {{model: echo/busy, echo_status: 429}}}}
  - {{model_name: broken, litellm_params: {{model: echo/broken, echo_status: 500}}}}
  - {{model_name: vectors, litellm_params: {{model: echo/vectors}}}}
"""
TEXT = "hello brave new world"
MESSAGES = [{"role": "user", "content": TEXT}]
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Run one gateway for all clients."""
    gateway = Gateway(tmp_path_factory.mktemp("clients") / "gateway", CONFIG, (), {}).start()
    yield gateway
    assert gateway.stop() == 0


@pytest.fixture(params=["", "/v1"])
def base(running, request):
    """Name the gateway with and without `/v1`, as users do."""
    return running.url + request.param


def client(base: str, key: str = MASTER) -> openai.OpenAI:
    return openai.OpenAI(base_url=base, api_key=key, max_retries=0, timeout=20)


@pytest.fixture
def sync(base):
    """Make the synchronous client."""
    with client(base) as made:
        yield made


def test_chat(sync):
    answer = sync.chat.completions.create(model="echo", messages=MESSAGES)
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (4, 4, 8)


@pytest.mark.parametrize("asks", [True, False])
def test_chat_stream(sync, asks):
    options = {"stream_options": {"include_usage": True}} if asks else {}
    stream = list(sync.chat.completions.create(model="echo", messages=MESSAGES, stream=True, **options))
    assert "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices) == TEXT
    assert [choice.finish_reason for chunk in stream for choice in chunk.choices][-1] == "stop"
    usages = [chunk.usage.total_tokens for chunk in stream if chunk.usage]
    assert usages == ([8] if asks else [])
    assert all(chunk.choices for chunk in stream if not chunk.usage)


def test_chat_stream_helper_puts_tool_calls_together(sync):
    with sync.chat.completions.stream(model="weather", messages=MESSAGES, tools=[WEATHER]) as stream:
        stream.until_done()
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Oslo"})


def test_tool_calls(sync):
    answer = sync.chat.completions.create(model="weather", messages=MESSAGES, tools=[WEATHER])
    (call,) = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert (call.type, call.function.name, json.loads(call.function.arguments)) == (
        "function",
        "get_weather",
        {"city": "Oslo"},
    )
    told = [
        *MESSAGES,
        answer.choices[0].message.to_dict(),
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    assert sync.chat.completions.create(model="echo", messages=told).choices[0].message.content == TEXT


def test_choices_and_limits(sync):
    answer = sync.chat.completions.create(model="echo", messages=MESSAGES, n=2, max_tokens=2)
    assert [(one.index, one.message.content, one.finish_reason) for one in answer.choices] == [
        (0, "hello brave", "length"), (1, "hello brave", "length"),
    ]  # fmt: skip
    stream = sync.chat.completions.create(model="echo", messages=MESSAGES, n=2, max_completion_tokens=3, stream=True)
    texts = ["", ""]
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == ["hello brave new"] * 2


def test_completions(sync):
    assert sync.completions.create(model="echo", prompt=TEXT).choices[0].text == TEXT
    stream = sync.completions.create(model="echo", prompt=TEXT, stream=True)
    assert "".join(choice.text for chunk in stream for choice in chunk.choices) == TEXT


def test_embeddings_are_the_same_as_numbers_and_packed(sync):
    plain = sync.embeddings.create(model="vectors", input=["a", "b"], encoding_format="float")
    packed = sync.embeddings.create(model="vectors", input=["a", "b"])  # this client asks for base64 unless told
    for one, other in zip(plain.data, packed.data, strict=True):
        assert len(one.embedding) == 8
        assert other.embedding == pytest.approx(one.embedding)
    raw = sync.embeddings.create(model="vectors", input="a", encoding_format="base64")
    assert isinstance(raw.data[0].embedding, str)
    assert raw.usage.total_tokens == 1


def test_responses(sync):
    answer = sync.responses.create(model="echo", input=TEXT)
    assert (answer.output_text, answer.status) == (TEXT, "completed")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 4)
    cut = sync.responses.create(model="echo", input=TEXT, max_output_tokens=2)
    assert (cut.output_text, cut.status, cut.incomplete_details.reason) == (
        "hello brave",
        "incomplete",
        "max_output_tokens",
    )


def test_responses_stream(sync):
    stream = list(sync.responses.create(model="echo", input=TEXT, stream=True))
    assert "".join(event.delta for event in stream if event.type == "response.output_text.delta") == TEXT
    assert stream[-1].type == "response.completed"
    with sync.responses.stream(model="weather", input=TEXT) as helped:
        helped.until_done()
        (call,) = helped.get_final_response().output
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Oslo"})


def test_models(sync):
    assert [model.id for model in sync.models.list()] == ["echo", "weather", "busy", "broken", "vectors"]
    assert sync.models.retrieve("weather").id == "weather"
    with pytest.raises(openai.NotFoundError):
        sync.models.retrieve("nothing")


def test_errors_are_of_the_clients_own_classes(base, sync):
    with client(base, "sk-wrong") as stranger, pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(model="echo", messages=MESSAGES)
    with pytest.raises(openai.NotFoundError) as missing:
        sync.chat.completions.create(model="nothing", messages=MESSAGES)
    assert (missing.value.type, missing.value.param) == ("model_not_found", "model")
    with client(base, "sk-narrow-0123456789abcdef") as narrow, pytest.raises(openai.PermissionDeniedError) as denied:
        narrow.chat.completions.create(model="weather", messages=MESSAGES)
    assert denied.value.type == "key_model_access_denied"
    with pytest.raises(openai.BadRequestError) as bad:
        sync.chat.completions.create(model="echo", messages="hello")
    assert (bad.value.type, bad.value.param) == ("invalid_request_error", "messages")
    for stream in (True, False):
        with pytest.raises(openai.RateLimitError):
            sync.chat.completions.create(model="busy", messages=MESSAGES, stream=stream)
    with pytest.raises(openai.InternalServerError):
        sync.responses.create(model="broken", input=TEXT)


def test_headers_say_which_call_and_what_it_cost(running, sync):
    raw = sync.chat.completions.with_raw_response.create(model="echo", messages=MESSAGES)
    assert raw.parse().choices[0].message.content == TEXT
    assert Decimal(raw.headers["x-litellm-response-cost"]) == Decimal("0.000012")
    call_id = raw.headers["x-litellm-call-id"]
    deadline = time.monotonic() + 10
    found: list[dict[str, object]] = []
    while not found and time.monotonic() < deadline:
        found = [one for one in running.records(1 << 30, 0.1) if one["id"] == call_id]
    (record,) = found
    assert (record["cost"], record["input_tokens"], record["output_tokens"]) == (12_000, 4, 4)
    with sync.chat.completions.with_streaming_response.create(model="echo", messages=MESSAGES, stream=True) as streamed:
        assert streamed.headers["x-litellm-model-group"] == "echo"
        assert streamed.headers["content-type"].startswith("text/event-stream")


async def test_the_asynchronous_client(base):
    async with openai.AsyncOpenAI(base_url=base, api_key=MASTER, max_retries=0, timeout=20) as asynchronous:
        answer = await asynchronous.chat.completions.create(model="echo", messages=MESSAGES)
        assert answer.choices[0].message.content == TEXT
        stream = await asynchronous.chat.completions.create(model="echo", messages=MESSAGES, stream=True)
        assert "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices]) == TEXT
        events = [event async for event in await asynchronous.responses.create(model="echo", input=TEXT, stream=True)]
        assert events[-1].type == "response.completed"
        assert len((await asynchronous.embeddings.create(model="vectors", input="a")).data[0].embedding) == 8
        with pytest.raises(openai.RateLimitError):
            await asynchronous.chat.completions.create(model="busy", messages=MESSAGES)


def test_langchain_chat_and_stream(base):
    model = ChatOpenAI(model="echo", base_url=base, api_key=MASTER, max_retries=0)
    answer = model.invoke(TEXT)
    assert answer.content == TEXT
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 8
    whole = AIMessageChunk(content="")
    for chunk in model.stream(TEXT, stream_usage=True):
        whole += chunk
    assert whole.content == TEXT
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 4


def test_langchain_tools_whole_and_streamed(base):
    model = ChatOpenAI(model="weather", base_url=base, api_key=MASTER, max_retries=0).bind_tools([WEATHER])
    assert [(call["name"], call["args"]) for call in model.invoke(TEXT).tool_calls] == [
        ("get_weather", {"city": "Oslo"})
    ]
    whole = AIMessageChunk(content="")
    for chunk in model.stream(TEXT):
        whole += chunk
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("get_weather", {"city": "Oslo"})]


def test_langchain_responses_and_embeddings(base):
    model = ChatOpenAI(model="echo", base_url=base, api_key=MASTER, max_retries=0, use_responses_api=True)
    assert model.invoke(TEXT).text == TEXT
    assert "".join(chunk.text for chunk in model.stream(TEXT)) == TEXT
    vectors = OpenAIEmbeddings(
        model="vectors", base_url=base, api_key=MASTER, check_embedding_ctx_length=False, max_retries=0
    )
    assert [len(vector) for vector in vectors.embed_documents(["a", "b"])] == [8, 8]


async def test_langchain_asynchronous(base):
    model = ChatOpenAI(model="echo", base_url=base, api_key=MASTER, max_retries=0)
    assert (await model.ainvoke(TEXT)).content == TEXT
    assert "".join([chunk.text async for chunk in model.astream(TEXT)]) == TEXT
