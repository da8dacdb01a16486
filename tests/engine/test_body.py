"""Request bodies: accepted exactly when strict parsers agree, kept byte by byte, refused only as 400."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine import body
from engine.errors import ClientError

LAW = settings(deadline=None, max_examples=300)
SPACE = st.text(" \t\r\n", max_size=3)
KEYS = st.sampled_from(["model", "Model", "stream", "ſtream", "n", "N", "messages", "é", "É", "ß", "SS", "\u0130", 'a"b', "\\", "x"])  # fmt: skip  # noqa: RUF001 - a long s folds to s


class NotStrictErrorError(Exception):
    """A strict reader refuses this."""


def strict(data: bytes) -> dict[str, Any]:
    """Read a body slowly, by the letter of the law."""
    try:
        text = data.decode("utf-8")
        pairs = json.loads(text, object_pairs_hook=Pairs, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise NotStrictErrorError from error
    if not isinstance(pairs, Pairs):
        raise NotStrictErrorError("not an object")
    keys = [key.casefold() for key, _ in pairs]
    if len(set(keys)) != len(keys) or _depth(pairs) > body.NESTING or not _sound(pairs):
        raise NotStrictErrorError("keys, nesting or surrogates")
    return {key: _plain(value) for key, value in pairs}


class Pairs(list):
    """An object as it was written."""


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _depth(value: Any) -> int:
    if isinstance(value, Pairs):
        return 1 + max((_depth(inner) for _, inner in value), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def _sound(value: Any) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, Pairs):
        return all(_sound(key) and _sound(inner) for key, inner in value)
    return not isinstance(value, list) or all(map(_sound, value))


def _plain(value: Any) -> Any:
    if isinstance(value, Pairs):
        return {key: _plain(inner) for key, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def agree(data: bytes) -> None:
    """Assert that `read` and the slow reader say the same, and that nothing is lost on the way."""
    try:
        expected = strict(data)
    except NotStrictErrorError:
        with pytest.raises(ClientError) as caught:
            body.read(data)
        assert caught.value.status == 400
        assert caught.value.type == "invalid_request_error"
        return
    members = body.read(data)
    assert list(members) == list(expected)
    assert json.loads(body.rebuild(members)) == expected
    assert body.read(body.rebuild(members)) == members
    for value in members.values():
        assert bytes(value) in data


@st.composite
def written(draw: st.DrawFn, value: st.SearchStrategy[Any]) -> bytes:
    """Write an object with any spacing and escaping."""
    parts = []
    for key, inner in draw(st.lists(st.tuples(KEYS, value), max_size=6)):
        name = json.dumps(key, ensure_ascii=draw(st.booleans()))
        if draw(st.booleans()):
            name = '"' + "".join(f"\\u{ord(c):04{draw(st.sampled_from('xX'))}}" for c in key) + '"'
        ascii_only, spaces = draw(st.booleans()), draw(st.sampled_from([(",", ":"), (", ", ": "), ("\n,\t", " : ")]))
        written_value = json.dumps(inner, ensure_ascii=ascii_only, separators=spaces)
        parts.append(draw(SPACE) + name + draw(SPACE) + ":" + draw(SPACE) + written_value + draw(SPACE))
    inside = ",".join(parts) or draw(SPACE)
    return (draw(SPACE) + "{" + inside + "}" + draw(SPACE)).encode("utf-8", "surrogatepass")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6) | st.sampled_from(["\ud83d", "\udc00x", "\ud83d\ude00", '"}', '\\"', "{[", "a\x00b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(written(VALUES))
@LAW
def test_written_objects_are_read_as_strict_parsers_read_them(data):
    agree(data)


@given(written(VALUES), st.data())
@LAW
def test_damaged_objects_are_judged_as_strict_parsers_judge_them(data, draw):
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(data)))
        new = draw.draw(st.sampled_from([b"", b'"', b"\\", b"{", b"}", b",", b":", b"0", b"-", b"e", b"\x80", b"\n", b"\\u", b"d800", b"n", b"\x0c", b"/"]))  # fmt: skip
        data = data[:at] + new + data[at + draw.draw(st.integers(0, 2)) :]
    agree(data)


@given(st.text('{}[]":,0123456789.eE+-\\untfalsr \n', max_size=24).map(lambda inner: ('{"a":' + inner + "}").encode()))
@LAW
def test_json_like_garbage_is_judged_alike(data):
    agree(data)


@given(st.binary(max_size=40))
@LAW
def test_binary_garbage_is_refused(data):
    agree(data)


@pytest.mark.parametrize(
    "data",
    [
        b"", b" \n", b"[]", b"1", b'"x"', b"null", b"{", b"{}", b"{}{}", b"{}x", b"\xef\xbb\xbf{}", b"{,}", b'{"a":1,}',
        b'{"a" 1}', b"{a:1}", b'{"a":01}', b'{"a":1.}', b'{"a":.5}', b'{"a":+1}', b'{"a":-}', b'{"a":1e}', b'{"a":1e5}',
        b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b'{"a":nul}', b'{"a":nulll}', b'{"a":truefalse}',
        b'{"a":"\\x"}', b'{"a":"\\u12g4"}', b'{"a":"\\u12"}', b'{"a":"\t"}', b'{"a":"\x00"}', b'{"a":"\x7f"}',
        b'{"a":"\\ud800"}', b'{"a":"\\uD83D\\uDE00"}', b'{"a":"\\ud83d\\ud83d"}', b'{"a":"\\udc00\\ud800"}',
        b'{"a":"\\\\ud800"}', b'{"\\ud800":1}', b'{"\\ud800":1,"a":2}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xff"}',
        b'{"a":"\xc3"}', b'{"\xc3\xa9":1}', b'{"a":[1,]}', b'{"a":[,1]}', b'{"a":{"b":1,}}', b'{"a":{"b" :1 "c":2}}',
        b'{"a":"x"/**/}', b"{'a':1}", b'{"a":1}\x00', b'\x0c{"a":1}', b'{"a":\xc2\xa01}', b'{"":1}', b'{"a":1 2}',
        b'{"a":123456789012345678901234567890}', b'{"a":-0}', b'{"a":1E400}', b'{"a":"\\/\\b\\f\\n\\r\\t\\"\\\\"}',
        b'{"a":{"\\ud800":1}}', b'{"a":[NaN]}', b'{"a":[01]}', b'{"a":["\t"]}', b'{"a":{"x":"\\q"}}', b'{"a":[tru]}',
    ],
)  # fmt: skip
def test_corners_of_json(data):
    agree(data)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("model", "model"), ("model", "mod\\u0065l"), ("\\u006dodel", "m\\u006fdel"), ("model", "Model"),
        ("MODEL", "\\u004dodel"), ("é", "\\u00e9"), ("ß", "ss"), ("stream", "\\u017ftream"), ("", ""), ('a\\"', 'A\\"'),
        ("\\ud83d\\ude00", "😀"), ("k", "\\u212a"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("space", ["", " ", "\n\t"])
@pytest.mark.parametrize("between", ["", '"x":{"model":[1,"}"]},', '"stream":true,"n":1,'])
def test_a_member_said_twice_is_refused(first, second, space, between):
    for data in (
        f'{{{space}"{first}"{space}:"one",{between}"{second}":{space}"two"}}',
        f'{{"{first}":1,{between}"{second}":1}}',
    ):
        agree(data.encode())
        with pytest.raises(ClientError, match=r"twice|but for case"):
            body.read(data.encode())


def test_the_name_said_twice_is_told():
    with pytest.raises(ClientError, match="near `model`"):
        body.read(b'{"model":"a","n":1,"model":"b"}')
    with pytest.raises(ClientError, match="`model` and `Model`"):
        body.read(b'{"model":"a","Model":"b"}')


@pytest.mark.parametrize("open_close", [("[", "]"), ('{"a":', "}"), ('[{"b":[', "]}]")])
def test_nesting_is_counted_to_512(open_close):
    opening, closing = open_close
    levels = opening.count("[") + opening.count("{")
    for times in (510 // levels, 511 // levels, 512 // levels, 513 // levels, 5_000, 100_000):
        data = f'{{"a":{opening * times}0{closing * times}}}'.encode()
        depth = 1 + times * levels
        if depth <= body.NESTING:
            assert body.rebuild(body.read(data)) == data
        else:
            with pytest.raises(ClientError, match="nested deeper than 512"):
                body.read(data)


@pytest.mark.parametrize("text", ["[" * 600, "{[" * 400, '\\"[' * 600, "\\\\" + "[" * 600, '\\\\\\"[' * 600, "]" * 600])
def test_brackets_in_text_are_no_nesting(text):
    data = f'{{"a":"{text}","b":[1]}}'.encode()
    assert body.rebuild(body.read(data)) == data


def test_deep_bodies_cost_no_more_than_their_length():
    data = b'{"a":[' + (b"[" * 500 + b"]" * 500 + b",") * 2_000 + b"1]}"
    started = time.process_time()
    body.read(data)
    assert time.process_time() - started < 1.0


def test_wide_bodies_are_not_deep_ones():
    data = b'{"a":[' + b"[],{}," * 5_000 + b"1]}"
    assert body.rebuild(body.read(data)) == data


@given(st.lists(st.sampled_from([b"[", b"]", b"{", b"}", b'"', b"\\", b"\\\\", b'\\"', b"x"]), max_size=12))
@example([b'"', b"\\\\", b'"', b"[", b"]"])
@LAW
def test_nesting_is_judged_alike_whatever_is_quoted(parts):
    deep = b"[" * 510 + b'["' + b"]" * 3
    quoted = orjson.dumps(b"".join(parts).decode())
    agree(b'{"a":' + b"[" * 511 + quoted + b"]" * 511 + b"}")
    agree(b'{"a":' + b"[" * 512 + quoted + b"]" * 512 + b"}")
    agree(b'{"a":' + deep + b"".join(parts) + b"}")


@pytest.mark.parametrize("spaces", [",:", " "])
def test_a_megabyte_is_read_and_kept(spaces):
    separators = (",", ":") if spaces == ",:" else (", ", ": ")
    messages = [{"role": "user", "content": f'{n} Ünïcödé \\ "quoted" 😀 [{{'} for n in range(18_000)]
    value = {"model": "m", "messages": messages, "stream": True, "ünknown": {"x": [1.5, None]}}
    for ascii_only in (True, False):
        data = json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode()
        assert len(data) > 1_000_000
        members = body.read(data)
        assert json.loads(body.rebuild(members)) == value
        assert msgspec.json.decode(members["stream"]) is True
        agree(data[:-2] + b"x" + data[-1:])
        agree(data[:-1] + b',"model":1}')


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"), (b"  ", "is empty"), (b"[1]", "must be a JSON object"), (b'"x"', "must be a JSON object"),
        (b'{"a":tru}', r"not valid JSON: .*line 1, column \d+"), (b'{\n"a":}', "line 2"),
        (b'{"a":"\xff"}', r"not valid UTF-8 \(byte 6\)"), (b'{"a":"\\ud800"}', "surrogate"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_wrong_and_where(data, said):
    with pytest.raises(ClientError, match=said):
        body.read(data)
