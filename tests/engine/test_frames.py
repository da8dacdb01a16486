"""Frames of a stream: any cutting of the bytes gives the same output, usage and count."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dialects.openai import OpenAI
from adapters.dialects.responses import Responses
from engine.contracts import Frame
from engine.errors import UpstreamError
from engine.frames import FRAME_LIMIT, Chunks, Frames, last_boundary, parse, split
from tests.end_to_end import transcripts
from tests.engine.streams import DONE, SIZES, chat, choice, chunks, cuttings, events, every, relayed, without_usage

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
ERROR = UpstreamError(502, "upstream_error", "the upstream broke off")
EOL = st.sampled_from([b"\n", b"\r\n"])
LAW = settings(deadline=None, max_examples=200)


@st.composite
def pieces_of_stream(draw: st.DrawFn, eol: st.SearchStrategy[bytes]) -> list[tuple[bytes, bool]]:
    """Write frames of every kind; each says whether hiding usage drops it."""
    kinds = {
        "content": {"choices": [{"index": 0, "delta": {"content": draw(st.text(max_size=8))}}]},
        "beside": {
            "choices": [{"index": 0, "delta": {}}],
            "usage": {**USAGE, "prompt_tokens": draw(st.integers(1, 99))},
        },
        "only": {"choices": [], "usage": {**USAGE, "prompt_tokens": draw(st.integers(100, 199))}},
        "null": {"choices": [], "usage": None},
        "filter": {"choices": [], "prompt_filter_results": []},
        "groq": {"choices": [], "x_groq": {"id": "r", "usage": USAGE}},
    }
    made = []
    for kind in draw(st.lists(st.sampled_from([*kinds, "comment", "blank", "event", "lines", "done"]), max_size=9)):
        end = draw(eol)
        if kind == "comment":
            made.append((b": keep-alive" + end + draw(eol), False))
        elif kind == "blank":
            made.append((end, False))
        elif kind == "done":
            made.append((b"data:[DONE]" + end + draw(eol), False))
        elif kind == "event":
            made.append((b"id: 4" + end + b"event: ping" + draw(eol) + b"data" + draw(eol) + draw(eol), False))
        elif kind == "lines":
            lines = json.dumps(kinds["only"], indent=1).encode().split(b"\n")
            made.append((b"".join(b"data: " + line + end for line in lines) + draw(eol), True))
        else:
            made.append((b"data: " + json.dumps(kinds[kind]).encode() + end + draw(eol), kind == "only"))
    return made


def checks(data, made):
    """Feed one cutting to all relays and compare each with what the frames say of themselves."""
    stream = b"".join(raw for raw, _ in made)
    pieces = data.draw(cuttings(stream))
    whole, hiding, looking, once = (
        Frames(OpenAI()),
        Frames(OpenAI(), hide_usage=True),
        Chunks(OpenAI()),
        Frames(OpenAI()),
    )
    assert relayed(whole, pieces) == stream
    assert relayed(looking, pieces) == stream
    assert relayed(hiding, pieces) == b"".join(raw for raw, dropped in made if not dropped)
    assert relayed(once, [stream]) == stream
    inputs = [relay.usage and relay.usage.input for relay in (whole, hiding, looking, once)]
    assert inputs == [_last_input(made)] * 4
    assert {relay.frames for relay in (whole, hiding, looking)} == {once.frames}


def _last_input(made):
    found = None
    for raw, _ in made:
        for _, data in events(raw):
            if b'"prompt_tokens"' in data:
                chunk = json.loads(data)
                found = (chunk.get("usage") or chunk["x_groq"]["usage"])["prompt_tokens"]
    return found


@given(st.data())
@LAW
def test_any_cutting_of_lf_and_crlf_frames_is_the_same(data):
    checks(data, data.draw(pieces_of_stream(EOL)))


@given(st.data())
@LAW
def test_any_cutting_of_cr_frames_is_the_same(data):
    checks(data, data.draw(pieces_of_stream(st.just(b"\r"))))


@given(st.data(), st.lists(st.sampled_from([b"\r", b"\n", b"data:", b"x", b'"usage":{', b"}", b":"]), max_size=30))
@LAW
def test_no_byte_of_garbage_is_lost(data, parts):
    stream = b"".join(parts)
    assert relayed(Frames(OpenAI(), hide_usage=True), data.draw(cuttings(stream))) == stream


@given(st.data(), st.binary(max_size=60))
@LAW
def test_no_byte_of_binary_is_lost(data, stream):
    assert relayed(Frames(OpenAI(), hide_usage=True), data.draw(cuttings(stream))) == stream
    assert b"".join(one.raw for one in split(stream)) == stream


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r\n"])
def test_usage_in_a_last_frame_without_blank_line_is_hidden_and_counted(tail):
    last = json.dumps({"choices": [], "usage": USAGE}).encode()
    for size in (1, 7, 1000):
        relay = Frames(OpenAI(), hide_usage=True)
        assert relayed(relay, every(chat(choice(content="a")) + b"data: " + last + tail, size)) == chat(
            choice(content="a")
        )
        assert relay.usage is not None
        assert relay.usage.output == 3


def test_a_frame_leaves_as_soon_as_it_is_whole():
    relay = Frames(OpenAI())
    first = chat(choice(content="a"))
    assert [relay.feed(first[:-1]), relay.feed(b"\n"), relay.feed(b"data: x")] == [b"", first, b""]
    assert relay.feed(b"\r\n\r\ndata: y\n\nda") == b"data: x\r\n\r\ndata: y\n\n"
    assert not relay.between_frames


def test_frames_are_counted_by_lines_that_begin_with_data():
    relay = Frames(OpenAI())
    stream = chat(choice(content="data: data:image/png;base64,xyz")) * 2 + b": data:\n\n" + DONE
    relayed(relay, [stream])
    assert relay.frames == 3


@pytest.mark.parametrize(
    ("raw", "data", "event"),
    [
        (b"data: {}\n\n", b"{}", b""),
        (b"data:{}\n\n", b"{}", b""),
        (b"data:  {}\n\n", b" {}", b""),
        (b"event: error\r\ndata: {}\r\n\r\n", b"{}", b"error"),
        (b"data: a\ndata\ndata:b\n\n", b"a\n\nb", b""),
        (b": data: no\n\n", b"", b""),
        (b"id: 1\rretry: 4\rdata: x\r\r", b"x", b""),
        (b"data: x", b"x", b""),
        (b"", b"", b""),
    ],
)
def test_fields_are_read_as_the_standard_says(raw, data, event):
    assert parse(raw) == Frame(raw, data, event)


@given(st.binary(max_size=40).map(lambda raw: raw.replace(b"x", b"\n").replace(b"y", b"\n\r\n")))
def test_the_last_boundary_is_behind_a_blank_line(data):
    end = last_boundary(data)
    assert end == 0 or data[:end].endswith((b"\n\n", b"\n\r\n", b"\r\r"))
    assert b"\n\n" not in data[end:]
    assert b"\n\r\n" not in data[end:]


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_what_broke_off_ends_with_an_error_and_done(at):
    first, second = chat(choice(content="one")), chat(choice(content="two"))
    for size in (1, 9, 1000):
        relay = Frames(OpenAI())
        out = b"".join(map(relay.feed, every(first + second[:at], size))) + relay.broken(ERROR)
        *texts, error = chunks(out)
        assert out.startswith(first)
        assert len(texts) == 1
        assert error["error"]["message"] == "the upstream broke off"
        assert out.endswith(DONE)


@pytest.mark.parametrize("cut", [b"", b"data: {", b'data: {"a"\n', b"data: x\r", b": ping"])
def test_chunks_that_broke_off_end_with_an_error_of_its_own(cut):
    relay = Chunks(OpenAI())
    first = chat(choice(content="one"))
    out = relay.feed(first + cut) + relay.broken(ERROR)
    assert out.startswith(first + cut)
    assert json.loads(events(out)[-2][1])["error"]["code"] == "502"
    assert events(out)[-1] == ("", b"[DONE]")


def test_a_broken_response_ends_with_an_error_event():
    relay = Frames(Responses())
    relay.feed(b'event: response.output_text.delta\ndata: {"type":"respo')
    ((event, data),) = events(relay.broken(ERROR))
    assert event == "error"
    assert json.loads(data)["message"] == "the upstream broke off"


@pytest.mark.parametrize("kind", [Frames, Chunks])
def test_a_frame_over_the_limit_goes_on_as_it_is_and_still_ends_well(kind):
    relay = kind(OpenAI())
    huge = b"data: " + b"x" * FRAME_LIMIT
    out = b"".join(map(relay.feed, every(huge, 1_000_000)))
    assert out == huge
    broken = relay.broken(ERROR)
    assert broken.startswith(b"\n\n")
    assert json.loads(events(broken)[0][1])["error"]["type"] == "upstream_error"


def test_frames_behind_one_over_the_limit_are_frames_again():
    relay = Frames(OpenAI(), hide_usage=True)
    huge = b"data: " + b"x" * FRAME_LIMIT
    tail = b"xx\n\n" + chat(choice(content="a")) + chat(usage=USAGE) + DONE
    out = relayed(relay, [*every(huge, 4_000_000), *every(tail, 11)])
    assert out == huge + b"xx\n\n" + chat(choice(content="a")) + DONE
    assert relay.usage is not None
    assert relay.usage.input == 7
    assert relay.broken(ERROR).startswith(b"data: ")


@pytest.mark.parametrize("size", SIZES)
def test_recorded_streams_pass_whole_at_any_cut(shared, size):
    seen = 0
    for one in transcripts.load(shared):
        if one.event_stream:
            dialect = Responses() if one.operation == "responses" else OpenAI()
            whole, looking, hiding = Frames(dialect), Chunks(dialect), Frames(dialect, hide_usage=True)
            assert relayed(whole, every(one.body, size)) == one.body, one.file
            assert relayed(looking, every(one.body, size)) == one.body, one.file
            assert relayed(hiding, every(one.body, size)) == without_usage(one.body), one.file
            assert looking.frames == whole.frames == hiding.frames, one.file
            seen += 1
    assert seen > 60
