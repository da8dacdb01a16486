"""Requests as people have them at hand."""

from __future__ import annotations

import pytest

from engine.authoring.asking import Request, read_request


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ('{"model": "a"}', Request("POST", "/v1/chat/completions", {}, b'{"model": "a"}')),
        ('{"path": "/x", "headers": {"X-A": "b"}, "body": {"m": 1}}', Request("POST", "/x", {"x-a": "b"}, b'{"m": 1}')),
        ('{"method": "GET", "body": "raw"}', Request("GET", "/v1/chat/completions", {}, b"raw")),
        ('POST /v1/x?a=b HTTP/1.1\r\nX-A: b: c\r\n\r\n{"m": 1}\r\n', Request("POST", "/v1/x?a=b", {"x-a": "b: c"}, b'{"m": 1}')),
        ("\nPOST /x\n\n", Request("POST", "/x", {}, b"")),
    ],
)  # fmt: skip
def test_a_request_is_read(text, request_):
    assert read_request(text) == request_


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line must be a method and a path"),
        ("hello there you", "the first line must be a method and a path"),
        ("POST /x\nnonsense\n\n{}", "`nonsense` is no header"),
        ('{"a": ', r"is no JSON: expecting value \(line 1, column 7\)"),
        ('{"path": "/x", "boddy": 1}', "unknown member `boddy`"),
        ('{"body": {}, "headers": {"a": 1}}', "`headers` must be an object of texts"),
    ],
)
def test_what_is_wrong_is_said(text, message):
    with pytest.raises(ValueError, match=message):
        read_request(text)
