"""The format of pictures: what is counted of an answer, whole and streamed."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from adapters.dialects.images import Images
from engine.contracts import Frame

DIALECT = Images()


def test_pictures_are_counted_where_no_tokens_are():
    usage = DIALECT.usage(b'{"created": 1, "data": [{"url": "a"}, {"url": "b"}]}')
    assert usage is not None
    assert (usage.units, usage.input, usage.output) == ({"images": 2}, 0, 0)


@pytest.mark.parametrize(
    ("details", "pictured"), [({}, 200), ({"output_tokens_details": {"image_tokens": 150, "text_tokens": 50}}, 150)]
)
def test_tokens_are_of_pictures_where_nothing_else_is_said(details, pictured):
    reported = {
        "input_tokens": 50,
        "output_tokens": 200,
        "total_tokens": 250,
        "input_tokens_details": {"image_tokens": 40},
    }
    answer = {"data": [{}], "size": "1024x1536", "quality": "high", "usage": {**reported, **details}}
    usage = DIALECT.usage(json.dumps(answer).encode())
    assert (usage.input, usage.output, usage.image_input, usage.image_output) == (50, 200, 40, pictured)
    assert usage.variant == "high/1024x1536"


def test_the_last_event_of_a_stream_says_the_usage():
    partial = b'{"type":"image_generation.partial_image","b64_json":"x"}'
    last = b'{"type":"image_generation.completed","usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}'
    assert DIALECT.frame_usage(Frame(b"", partial)) == (None, False)
    usage, dropped = DIALECT.frame_usage(Frame(b"", last))
    assert (usage.total, usage.image_output, dropped) == (3, 2, False)


@pytest.mark.parametrize("answer", [b"", b"[]", b"{", b'{"data": 5}', b'{"usage": []}', b"\xff"])
def test_what_is_no_answer_counts_nothing(answer):
    assert DIALECT.usage(answer) is None


def test_the_prompt_is_what_is_asked():
    assert DIALECT.prompt({"prompt": Raw(b'"a cat"')}) == [{"role": "user", "content": "a cat"}]
