"""Forms: what is read of one, what is refused, and that what is sent on is what came."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from engine import form
from engine.errors import ClientError

KIND = "multipart/form-data; boundary=XX"
FILE = 'form-data; name="file"; filename="a.wav"'


def part(disposition: str, content: bytes, *lines: str) -> bytes:
    head = "\r\n".join([f"Content-Disposition: {disposition}", *lines])
    return b"--XX\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


def text(name: str, value: str) -> bytes:
    return part(f'form-data; name="{name}"', value.encode())


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--XX--\r\n"


def sent(made: form.Form, members) -> bytes:
    """Write a form anew, with the client's boundary in place of ours."""
    ours = re.search(rb"boundary=(\w+)", made.line)[1]
    return b"".join(made.rebuild(members)).replace(b"--" + ours, b"--XX")


WHOLE = body(text("model", "whisper"), part(FILE, b"\x00RIFF\r\n\xff" * 9, "Content-Type: audio/wav"), text("temperature", "0.2"),
             text("stream", "True"), text("granularities[]", "word"), text("granularities[]", "segment"))  # fmt: skip


def test_text_fields_are_members_and_files_are_not():
    made = form.read(WHOLE, KIND)
    assert {name: bytes(raw) for name, raw in made.members.items()} == {
        "model": b'"whisper"', "temperature": b"0.2", "stream": b"true", "granularities": b'["word","segment"]',
    }  # fmt: skip
    assert list(made.files) == ["file"]


def test_what_nobody_changed_is_sent_as_it_came():
    made = form.read(WHOLE, KIND)
    assert sent(made, made.members.copy()) == WHOLE


def test_changed_fields_are_written_anew_and_the_file_is_not_copied():
    big = b"\x01" * 100_000
    whole = body(text("model", "a"), part(FILE, big), text("tags", "x"))
    made = form.read(whole, KIND)
    members = {"model": Raw(b'"up\\"stream"'), "language": Raw(b'"en"'), "n": Raw(b"2"), "include": Raw(b'["a","b"]')}
    written = made.rebuild(members)
    assert any(isinstance(piece, memoryview) and len(piece) > len(big) and piece.obj is whole for piece in written)
    anew = form.read(sent(made, members), KIND)
    assert {name: bytes(raw) for name, raw in anew.members.items()} == {
        "model": b'"up\\"stream"', "language": b'"en"', "n": b"2", "include": b'["a","b"]',
    }  # fmt: skip
    assert anew.files["file"][0].tobytes().endswith(big)


def test_the_boundary_sent_is_not_the_clients():
    made, again = (form.read(WHOLE, KIND) for _ in range(2))
    assert b"boundary=XX" not in made.line
    assert made.line != again.line


@pytest.mark.parametrize(
    ("kind", "whole", "says"),
    [
        ("multipart/form-data", WHOLE, "boundary=..."),
        ("multipart/form-data; boundary=", WHOLE, "boundary=..."),
        ("multipart/form-data; boundary=XX; boundary=YY", WHOLE, "boundary=..."),
        ('multipart/form-data; boundary="X\x01"', WHOLE, "boundary=..."),
        (f"multipart/form-data; boundary={'x' * 71}", WHOLE, "boundary=..."),
        (KIND, b"", "does not begin with its boundary"),
        (KIND, b"hello\r\n" + WHOLE, "does not begin with its boundary"),
        (KIND, WHOLE[:-8], "does not end with its boundary"),
        (KIND, WHOLE + b"more", "something follows the end"),
        (KIND, body(text("model", "a"), text("model", "b")), "says `model` twice"),
        (KIND, body(text("model", "a"), text("Model", "b")), "says `Model` twice"),
        (KIND, body(text("model", "a"), text("model[]", "b")), "says `model` twice"),
        (KIND, body(text("model", "a"), part('form-data; name="model"; filename="x"', b"b")), "says `model` twice"),
        (KIND, body(part('form-data; name="model"; filename="x"', b"b")), "`model` must be a text field"),
        (KIND, body(text("a", "b\r\n--XXc")), "boundary stands inside"),
        (KIND, body(part('form-data; name="a"\r\nX-Evil: 1', b"")), "malformed, doubled or unknown"),
        (KIND, body(part('form-data; name="a"\r\nContent-Disposition: form-data; name="b"', b"")), "doubled"),
        (KIND, body(part('form-data; name="a"\r\n folded', b"")), "malformed"),
        (KIND, body(part('form-data; name="a"\nx', b"")), "malformed"),
        (KIND, body(part("form-data", b"")), "with a plain name"),
        (KIND, body(part('form-data; name="a\\"b"', b"")), "with a plain name"),
        (KIND, body(part("attachment; name=a", b"")), "with a plain name"),
        (KIND, body(part('form-data; name="a"', b"", "Content-Transfer-Encoding: base64")), "content-transfer-encoding"),
        (KIND, body(part('form-data; name="a"', b"\xff")), "`a` is not valid UTF-8"),
        (KIND, body(*[text(f"f{at}", "") for at in range(form.PARTS + 1)]), f"more than {form.PARTS} parts"),
        (KIND, body(part(f'form-data; name="a"; filename="{"x" * 5000}"', b"")), "no headers, or more than"),
    ],
)  # fmt: skip
def test_what_two_parsers_could_read_differently_is_refused(kind, whole, says):
    with pytest.raises(ClientError, match=re.escape(says)) as caught:
        form.read(whole, kind)
    assert caught.value.status == 400


def test_text_is_bounded():
    with pytest.raises(ClientError) as caught:
        form.read(body(text("a", "x" * 600_000), text("b", "x" * 600_000)), KIND)
    assert caught.value.status == 413


def test_several_files_may_have_one_name():
    made = form.read(body(*[part('form-data; name="image[]"; filename="a.png"', b"x")] * 3), KIND)
    assert len(made.files["image"]) == 3


@given(st.binary(max_size=200), st.integers(0, 200))
def test_no_bytes_break_it(data, cut):
    for whole in (data, b"--XX\r\n" + data, WHOLE[:cut] + data + WHOLE[cut:]):
        try:
            made = form.read(whole, KIND)
        except ClientError:
            continue
        anew = form.read(sent(made, made.members), KIND)
        assert anew.members == made.members
