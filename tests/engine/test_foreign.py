"""Errors that providers say in their own ways, in OpenAI's classes."""

from __future__ import annotations

import json
import time

import pytest

from adapters.dialects.openai import OpenAI
from engine.errors import UpstreamError
from engine.foreign import classify

ANTHROPIC = {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 5"}}
GOOGLE = {"error": {"code": 404, "message": "models/x is not found", "status": "NOT_FOUND"}}
SHAPES = [
    (400, ANTHROPIC, 400, "invalid_request_error", "context_length_exceeded", "prompt is too long"),
    (404, GOOGLE, 404, "not_found_error", "404", "models/x is not found"),
    (429, [{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}}], 429, "rate_limit_error", "429", "quota"),
    (400, {"message": "too many tokens: size limit exceeded by 9"}, 400, "invalid_request_error", "context_length_exceeded", "too many tokens"),
    (401, {"message": "invalid api token"}, 401, "authentication_error", "401", "invalid api token"),
    (403, {"message": "no access"}, 403, "permission_error", "403", "no access"),
    (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, 422, "invalid_request_error", "422", "field required"),
    (400, {"detail": "flagged by our content filter"}, 400, "invalid_request_error", "content_policy_violation", "content filter"),
    (400, {"message": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}, 400, "invalid_request_error", "content_policy_violation", "x"),
    (500, {"error": "Context size has been exceeded."}, 400, "invalid_request_error", "context_length_exceeded", "Context size"),
    (500, {"error": "boom"}, 500, "server_error", "500", "boom"),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529, "server_error", "529", "Overloaded"),
    (418, {"a": 1}, 418, "invalid_request_error", "418", '{"a":1}'),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "answered", "kind", "code", "says"), SHAPES)
def test_classes(status, body, answered, kind, code, says):
    dialect, error = OpenAI(), UpstreamError(status, "upstream_error", "`p` refused the call")
    data = json.dumps(body).encode()
    assert not dialect.is_error(data)
    classify(error, data)
    assert error.status == answered
    said = json.loads(dialect.error(error))["error"]
    assert said.keys() == {"message", "type", "param", "code"}
    assert (said["type"], said["code"]) == (kind, code)
    assert said["message"].startswith("`p` refused the call: ")
    assert says in said["message"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"\xff\xfe", b"<html>", b'"text"', b"[[[[]]]]", b'{"error": {}}']
)
def test_whatever_comes_is_said(body):
    error = UpstreamError(503, "upstream_error", "`p` refused the call")
    classify(error, body)
    assert (error.status, error.type) == (503, "server_error")


def test_text_is_quoted_up_to_a_bound():
    error = UpstreamError(502, "upstream_error", "`p` refused the call")
    classify(error, b"<html><script>evil()</script><h1>Bad</h1>" + b"y" * 9000)
    assert error.message.startswith("`p` refused the call: Bad yyy")
    assert len(error.message) < 520


def test_an_error_made_of_unclosed_tags_takes_no_time():
    error = UpstreamError(500, "upstream_error", "refused")
    began = time.process_time()
    classify(error, b"<script" * 150_000)
    assert time.process_time() - began < 0.5
