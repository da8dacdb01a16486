"""What is charged beside plain tokens, against the prices that are published."""

from __future__ import annotations

from types import SimpleNamespace

import orjson
import pytest
from msgspec import Raw

from adapters.dialects.openai import OpenAI, count
from engine.call import Measured, Route, Usage
from engine.measure import MEASURES
from engine.pricing import Price, Prices, custom

PRICES = Prices.bundled()


def usage(input: int = 0, output: int = 0, **more) -> Measured:  # noqa: A002 - the wire's own word
    made = Measured(input, output)
    made.units.update(more.pop("units", {}))
    for name, value in more.items():
        setattr(made, name, value)
    return made


def cost(model: str, used: Usage, provider: str = "openai") -> int:
    price = PRICES.find(model, provider)
    assert price is not None
    return price.cost(used)


def asked(task: str, form=None, **members):
    """Make what of a call is measured."""
    route = Route("/x", task.partition(".")[0], OpenAI(), task)
    raw = {name: Raw(orjson.dumps(value)) for name, value in members.items()}
    return SimpleNamespace(route=route, members=raw, form=form)


@pytest.mark.parametrize(
    ("model", "provider", "used", "nano"),
    [
        ("gpt-image-1", "openai", usage(50, 1056, image_output=1056, units={"images": 1}), 50 * 5_000 + 1056 * 40_000),
        ("gpt-image-1", "openai", usage(240, 100, image_input=200, image_output=100), 40 * 5_000 + 200 * 10_000 + 100 * 40_000),
        ("gpt-image-1", "openai", usage(units={"images": 2}, variant="low/1024x1024"), 22_000_000),
        ("dall-e-3", "azure", usage(units={"images": 1}, variant="/1024x1024"), 1024 * 1024 * 38),
        ("whisper-1", "openai", usage(units={"milliseconds": 9_500}), 950_000),
        ("groq/whisper-large-v3", "", usage(units={"milliseconds": 60_000}), 1_849_800),
        ("tts-1", "openai", usage(units={"characters": 1000, "spoken": 66_000}), 15_000_000),
        ("gpt-4o-mini-tts", "openai", usage(10, 100, audio_output=100, units={"characters": 40}), 6_000 + 1_200_000),
        ("gpt-4o-transcribe", "openai", usage(14, 45, audio_input=14, units={"milliseconds": 9000}), 35_000 + 450_000),
        ("rerank-v3.5", "cohere", usage(units={"queries": 3}), 6_000_000),
        ("rerank-v3.5", "cohere", Usage(), 2_000_000),
        ("omni-moderation-latest", "openai", Usage(), 0),
        ("sonar", "perplexity", usage(8, 2, units={"searches": 1}, variant="search_context_size_high"), 8_000 + 2_000 + 12_000_000),
        ("sonar", "perplexity", usage(8, 2, units={"searches": 1}, variant="search_context_size_odd"), 10_000),
        ("claude-opus-4-7", "anthropic", usage(1000, 0, cache_write=1000, cache_write_1h=400), 600 * 6_250 + 400 * 10_000),
    ],
)  # fmt: skip
def test_published_prices(model, provider, used, nano):
    price = PRICES.find(model, provider)
    assert price is not None
    if model == "dall-e-3":
        dot = price.variants["standard/1024x1024"].prices["input_cost_per_pixel"]
        nano = round(dot * 1024 * 1024 / 10**9)
    assert price.cost(used) == nano


def test_more_parts_than_there_are_never_pay_back():
    assert cost("gpt-image-1", usage(5, 5, image_input=9**9, image_output=9**9)) == 5 * 10_000 + 5 * 40_000
    assert cost("claude-opus-4-7", usage(5, 0, cache_write_1h=9**9), "anthropic") == 5 * 5_000


def test_an_operators_price_of_a_picture_is_that_of_all():
    price = custom({"output_cost_per_image": "0.5"}, PRICES.find("gpt-image-1", "openai"))
    free = Price(
        "", "", (None, None), frozenset(), {"output_cost_per_image": 5 * 10**17, "input_cost_per_image": 10**17}
    )
    assert price.variants == {}
    assert price.cost(usage(units={"images": 2}, variant="low/1024x1024")) == 10**9
    assert free.cost(usage(units={"images": 1, "input_images": 2})) == 700_000_000


def test_what_chats_report_beside_tokens():
    deep = count({"prompt_tokens": 33, "completion_tokens": 70, "total_tokens": 103, "search_context_size": "low",
                  "citation_tokens": 200, "num_search_queries": 18, "reasoning_tokens": 700})  # fmt: skip
    assert isinstance(deep, Measured)
    assert (deep.input, deep.output, deep.reasoning, deep.units) == (33, 770, 700, {"searches": 18, "citations": 200})
    kept = count({"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "cache_creation_input_tokens": 8,
                  "cache_creation": {"ephemeral_1h_input_tokens": 5, "ephemeral_5m_input_tokens": 3}})  # fmt: skip
    assert (kept.cache_write, kept.cache_write_1h) == (8, 5)
    drawn = count(
        {
            "prompt_tokens": 9,
            "completion_tokens": 90,
            "total_tokens": 99,
            "completion_tokens_details": {"image_tokens": 80},
        }
    )
    assert drawn.image_output == 80
    plain = count(
        {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "prompt_tokens_details": {"cached_tokens": 1}}
    )
    assert plain.units is None


def test_pictures_are_measured_by_what_was_asked():
    measure = MEASURES["images.generations"]
    found = measure(asked("images.generations", n=3, size="512x512", quality="hd"), None)
    assert (found.units, found.variant) == ({"images": 3}, "hd/512x512")
    assert measure(asked("images.generations", size="auto"), None).variant == "/1024x1024"
    said = measure(asked("images.generations", n=3), usage(units={"images": 1}, variant="low/1024x1536"))
    assert (said.units["images"], said.variant) == (1, "low/1024x1536")
    for wrong in ("three", -1, None, [1]):
        assert measure(asked("images.generations", n=wrong), None).units == {"images": 1}


def test_speech_and_recordings_are_measured_where_nobody_counts_them():
    spoken = MEASURES["audio.speech"](asked("audio.speech", input="é" * 150), None)
    assert (spoken.units, spoken.estimated) == ({"characters": 150, "spoken": 10_000}, True)
    wave = (
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\xbb\0\0\0\x77\x01\0\x02\0\x10\0data\0\0\0\0" + b"\0" * 96_000
    )
    head = b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    for recording, milliseconds in ((wave, 1000), (b"\xff\xfb" + b"\0" * 31_934, 2000)):
        form = SimpleNamespace(files={"file": [memoryview(head + recording)]})
        found = MEASURES["audio.transcriptions"](asked("audio.transcriptions", form), None)
        assert found.units["milliseconds"] == pytest.approx(milliseconds, abs=10)
        assert found.estimated
    counted = MEASURES["audio.transcriptions"](asked("audio.transcriptions", form), usage(units={"milliseconds": 7}))
    assert (counted.units["milliseconds"], counted.estimated) == (7, False)
