"""Pictures, speech, recordings, moderation and rankings through a gateway process, asked by the official client."""

from __future__ import annotations

import base64
import json
import time

import openai
import pytest

from tests.end_to_end.wires import Wire, eventually, post, threaded
from tests.running import MASTER, Gateway

NARROW = "sk-narrow-0123456789abcdef"
PICTURE = {"created": 1, "data": [{"b64_json": base64.b64encode(b"png").decode()}],
           "usage": {"input_tokens": 10, "output_tokens": 100, "total_tokens": 110}}  # fmt: skip
SOUND = bytes(range(256)) * 2000
MP3 = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n"
POLICIES = """
kind: ModelAccess
name: no-pictures-of-cats
match: {routes: [images]}
rules:
  - {name: cats, deny: 'llm.prompt.exists(m, m.content.contains("cat"))', message: no cats}
  - {name: large, deny: 'has(llm.params.size) && llm.params.size == "4096x4096"'}
---
kind: ModelAccess
name: recordings
match: {routes: [audio]}
rules:
  - {name: language, deny: 'has(llm.params.language) && llm.params.language == "xx" && llm.requestModel == "scribe"'}
---
kind: Transform
name: in-english
match: {routes: [audio], models: [english]}
set: {language: '"en"'}
"""


@pytest.fixture(scope="module")
def far():
    with threaded() as server:
        yield server


@pytest.fixture(scope="module")
def house(far, tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    (folder / "policies").mkdir()
    (folder / "policies" / "media.yaml").write_text(POLICIES)

    def entry(name: str, model: str) -> str:
        return f"- {{model_name: {name}, litellm_params: {{model: '{model}', api_base: '{far.base}', api_key: sk-upstream-1}}}}\n"

    models = (("picture", "openai/gpt-image-1"), ("voice", "openai/tts-1"), ("scribe", "openai/gpt-4o-transcribe"),
              ("english", "openai/whisper-1"), ("judge", "openai/omni-moderation-latest"), ("ranker", "cohere/rerank-v3.5"))  # fmt: skip
    config = (
        f"general_settings: {{master_key: {MASTER}, max_request_size_mb: 2}}\n"
        f"litellm_settings: {{virtual_keys: [{{api_key: {NARROW}, models: [judge]}}]}}\n"
        "model_list:\n" + "".join(entry(*one) for one in models)
    )
    gateway = Gateway(folder / "gateway", config, ("--policies", str(folder / "policies")), {}).start()
    yield gateway
    assert gateway.stop() == 0


@pytest.fixture(autouse=True)
def fresh(far):
    """Forget the requests of the test before."""
    far.requests.clear()


@pytest.fixture
def client(house):
    with openai.OpenAI(base_url=house.url + "/v1", api_key=MASTER, max_retries=0, timeout=20) as made:
        yield made


def record(house, count: int = 0):
    """Return the last record, once it is written."""
    time.sleep(0.5)
    return house.records(count, 0)[-1]


def cost_of(raw) -> str:
    return raw.headers["x-litellm-response-cost"]


def test_a_picture_is_made(client, far):
    far.handler = lambda exchange: exchange.json(PICTURE)
    raw = client.images.with_raw_response.generate(model="picture", prompt="a dog", size="1024x1024")
    assert raw.parse().data[0].b64_json == PICTURE["data"][0]["b64_json"]
    (request,) = far.requests
    assert request.line.startswith("POST /v1/images/generations ")
    assert json.loads(request.body) == {"model": "gpt-image-1", "prompt": "a dog", "size": "1024x1024"}
    assert cost_of(raw) == "0.004050000"  # 10 tokens of text at 5 dollars a million, 100 of picture at 40


def test_a_picture_is_edited_and_its_bytes_arrive(client, far):
    far.handler = lambda exchange: exchange.json(PICTURE)
    files = [("a.png", SOUND, "image/png"), ("b.png", b"second", "image/png")]
    raw = client.images.with_raw_response.edit(model="picture", image=files, prompt="brighter", n=1)
    assert raw.parse().data
    (request,) = far.requests
    assert request.line.startswith("POST /v1/images/edits ")
    assert request.header("content-type").startswith("multipart/form-data; boundary=")
    assert request.body.count(SOUND) == 1
    assert b'name="model"\r\n\r\ngpt-image-1\r\n' in request.body
    assert b"sk-master" not in request.head


def test_sound_is_relayed_as_it_comes(client, far, house):
    pieces = [SOUND[at : at + 50_000] for at in range(0, len(SOUND), 50_000)]

    async def speak(exchange):
        await exchange.send(MP3)
        for piece in pieces:
            await exchange.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await exchange.send(b"0\r\n\r\n")

    far.handler = speak
    with client.audio.speech.with_streaming_response.create(
        model="voice", voice="alloy", input="hello there"
    ) as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        assert b"".join(answer.iter_bytes()) == SOUND
    assert json.loads(far.requests[0].body)["model"] == "tts-1"
    assert record(house)["cost"] == 11 * 15_000


def test_sound_that_breaks_off_cuts_the_connection(client, far):
    async def break_off(exchange):
        await exchange.send(MP3 + b"3\r\nabc\r\n")
        exchange.close()

    far.handler = break_off
    with (
        pytest.raises(Exception, match=r"(?i)incomplete|closed|protocol"),
        client.audio.speech.with_streaming_response.create(model="voice", voice="alloy", input="x") as answer,
    ):
        answer.read()


def test_spoken_events_are_a_stream_and_counted(far, house):
    frames = [b'data: {"type":"speech.audio.delta","audio":"AAA="}\n\n',
              b'data: {"type":"speech.audio.done","usage":{"input_tokens":3,"output_tokens":5,"total_tokens":8}}\n\n']  # fmt: skip
    far.handler = lambda exchange: exchange.stream(frames)
    body = {"model": "voice", "voice": "alloy", "input": "x", "stream_format": "sse"}
    answer = house.post("/v1/audio/speech", body)
    assert (answer.headers["content-type"], answer.body) == ("text/event-stream", b"".join(frames))
    row = record(house)
    assert (row["input_tokens"], row["output_tokens"], row.get("estimated", False)) == (3, 5, False)


def test_a_recording_is_transcribed(client, far):
    usage = {
        "type": "tokens",
        "input_tokens": 14,
        "output_tokens": 45,
        "total_tokens": 59,
        "input_token_details": {"audio_tokens": 14},
    }
    far.handler = lambda exchange: exchange.json({"text": "hello", "usage": usage})
    raw = client.audio.transcriptions.with_raw_response.create(
        model="scribe", file=("a.wav", SOUND), language="de", temperature=0.2
    )
    assert raw.parse().text == "hello"
    assert cost_of(raw) == "0.000485000"
    (request,) = far.requests
    assert request.line.startswith("POST /v1/audio/transcriptions ")
    assert SOUND in request.body
    for field in (
        b'name="model"\r\n\r\ngpt-4o-transcribe',
        b'name="language"\r\n\r\nde',
        b'name="temperature"\r\n\r\n0.2',
    ):
        assert field in request.body


def test_a_transcript_is_streamed(client, far):
    events = [{"type": "transcript.text.delta", "delta": "hel"}, {"type": "transcript.text.delta", "delta": "lo"},
              {"type": "transcript.text.done", "text": "hello", "usage": {"type": "tokens", "input_tokens": 1, "output_tokens": 2, "total_tokens": 3}}]  # fmt: skip
    far.handler = lambda exchange: exchange.stream([b"data: %b\n\n" % json.dumps(one).encode() for one in events])
    stream = client.audio.transcriptions.create(model="scribe", file=("a.wav", b"RIFF"), stream=True)
    assert [event.type for event in stream] == [one["type"] for one in events]


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the client says so of this method
def test_a_policy_may_change_a_field(client, far):
    far.handler = lambda exchange: exchange.json({"text": "hello", "duration": 2.5})
    raw = client.audio.translations.with_raw_response.create(model="english", file=("a.wav", SOUND))
    assert cost_of(raw) == "0.000250000"
    assert b'name="language"\r\n\r\nen\r\n' in far.requests[0].body
    assert SOUND in far.requests[0].body


def test_moderation_needs_no_model(client, far, house):
    far.handler = lambda exchange: exchange.json({"id": "m", "model": "omni", "results": []})
    assert client.moderations.create(input="is this fine").results == []
    assert json.loads(far.requests[0].body)["model"] == "omni-moderation-latest"
    assert house.post("/moderations", {"input": "x"}, NARROW).status == 200
    assert record(house)["model"] == "judge"


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_documents_are_ranked(far, house, path):
    found = {"results": [{"index": 0, "relevance_score": 0.9}], "meta": {"billed_units": {"search_units": 2}}}
    far.handler = lambda exchange: exchange.json(found)
    answer = house.post(path, {"model": "ranker", "query": "q", "documents": ["a", "b"]})
    assert (answer.json(), answer.headers["x-litellm-response-cost"]) == (found, "0.004000000")
    assert far.requests[0].line.startswith("POST /v1/v2/rerank ")


@pytest.mark.parametrize("prefix", ["/openai/deployments/picture", "/v1/openai/deployments/picture"])
def test_a_path_may_name_the_model(far, house, prefix):
    far.handler = lambda exchange: exchange.json(PICTURE)
    assert house.post(f"{prefix}/images/generations?api-version=1", {"prompt": "x"}).status == 200
    assert json.loads(far.requests[0].body)["model"] == "gpt-image-1"


def test_a_key_that_may_not_is_refused_on_every_route(client, far, house):
    for path, body in (("/v1/images/generations", {"model": "picture", "prompt": "x"}),
                       ("/v1/audio/speech", {"model": "voice", "input": "x", "voice": "a"}),
                       ("/rerank", {"model": "ranker", "query": "q", "documents": []})):  # fmt: skip
        answer = house.post(path, body, NARROW)
        assert (answer.status, answer.json()["error"]["type"]) == (403, "key_model_access_denied"), path
    with client.with_options(api_key=NARROW) as narrow, pytest.raises(openai.PermissionDeniedError):
        narrow.audio.transcriptions.create(model="scribe", file=("a.wav", SOUND))
    assert far.requests == []


def test_policies_see_prompts_params_and_models_of_pictures_and_recordings(client, far, house):
    for asked in ({"prompt": "a cat"}, {"prompt": "a dog", "size": "4096x4096"}):
        with pytest.raises(openai.PermissionDeniedError):
            client.images.generate(model="picture", **asked)
        with pytest.raises(openai.PermissionDeniedError):
            client.images.edit(model="picture", image=("a.png", b"x"), **asked)
    with pytest.raises(openai.PermissionDeniedError):
        client.audio.transcriptions.create(model="scribe", file=("a.wav", b"x"), language="xx")
    assert far.requests == []
    assert record(house)["route"] == "audio"


def form(*fields: tuple[str, str], file: bytes = b"") -> bytes:
    parts = [
        f'--B\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields
    ]
    parts += [b'--B\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n', file, b"\r\n--B--\r\n"]
    return b"".join(parts)


@pytest.mark.parametrize(
    ("body", "kind", "status", "says"),
    [
        (form(("model", "scribe"), ("model", "english")), "multipart/form-data; boundary=B", 400, "says `model` twice"),
        (form(("model", "scribe")), "multipart/form-data", 400, "boundary=..."),
        (form(("model", "scribe"))[:-9], "multipart/form-data; boundary=B", 400, "does not end with its boundary"),
        (form(("model", "nobody")), "multipart/form-data; boundary=B", 404, "model `nobody` does not exist"),
        (form(("language", "de")), "multipart/form-data; boundary=B", 400, "names no model"),
        (form(("model", "scribe"), ("api_key", "sk")), "multipart/form-data; boundary=B", 400, "`api_key` is not allowed"),
        (form(("model", "scribe"), ("temperature", "warm")), "multipart/form-data; boundary=B", 400, "`temperature` must be a number"),
        (form(("model", "scribe"), file=b"x" * 2**21), "multipart/form-data; boundary=B", 413, "over 2 MB"),
        (b"RIFF", "audio/wav", 415, "send `content-type: multipart/form-data`"),
    ],
)  # fmt: skip
def test_a_form_that_is_none_is_refused(far, house, body, kind, status, says):
    answer = house.post("/v1/audio/transcriptions", body, content_type=kind)
    assert (answer.status, answer.json()["error"]["code"]) == (status, str(status)), answer.body
    assert says in answer.json()["error"]["message"]
    assert far.requests == []


def test_forms_that_go_away_leave_nothing_behind(far, house):
    far.handler = lambda exchange: exchange.json({"text": "x"})
    whole = post(
        form(("model", "scribe"), file=SOUND),
        "content-type: multipart/form-data; boundary=B",
        path="/v1/audio/transcriptions",
    )
    for _ in range(20):
        with Wire(house) as wire:
            wire.send(whole[:-100_000])
    before = house.rss()
    for _ in range(150):
        with Wire(house) as wire:
            wire.send(whole[:-100_000])
    assert eventually(lambda: b"interlock_open_holds 0\n" in house.get("/metrics", key=None).body)
    assert house.rss() - before < 30 * 2**20
    with Wire(house) as wire:
        assert wire.send(whole).answer().status == 200


def test_the_echo_provider_says_what_it_does_not_do(gateway):
    answer = gateway(
        f"general_settings: {{master_key: {MASTER}}}\nmodel_list: [{{model_name: e, litellm_params: {{model: echo/e}}}}]"
    ).post("/v1/images/generations", {"model": "e", "prompt": "x"})
    assert (answer.status, answer.json()["error"]["message"]) == (404, "the echo provider does not do images")
