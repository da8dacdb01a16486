"""Answers fit a schema or an expression, or are hit."""

from __future__ import annotations

import sys
import time

import pytest

from adapters.detectors.format import Format
from engine.detecting import Hit

SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}, "age": {"type": "integer"}},
}


def test_text_fits_an_expression_or_is_hit_whole():
    detector = Format({"regex": r"(?:yes|no)\.?"})
    assert not detector.find(" yes.\n")
    assert detector.find("yes or no") == [Hit(0, 9, "FORMAT", 1.0)]


@pytest.mark.parametrize("text", ['{"name": "a"}', ' {"name": "a", "age": 3}'])
def test_json_that_fits_a_schema_is_not_hit(text):
    pytest.importorskip("jsonschema_rs")
    assert not Format({"schema": SCHEMA}).find(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"name": "A"}',
        '{"name": "a", "age": "x"}',
        '```json\n{"name": "a"}\n```',
        "[" * 100_000,
        '{"name": NaN}',
        "\ud800",
    ],
)
def test_what_does_not_fit_is_hit(text):
    pytest.importorskip("jsonschema_rs")
    assert Format({"schema": SCHEMA}).find(text) == [Hit(0, len(text), "FORMAT", 1.0)]


def test_a_schemas_pattern_is_matched_in_linear_time():
    pytest.importorskip("jsonschema_rs")
    detector = Format({"schema": {"type": "string", "pattern": "^(a+)+$"}})
    began = time.perf_counter()
    assert detector.find('"' + "a" * 50_000 + '!"')
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("schema", "error"),
    [
        ({"$ref": "http://127.0.0.1:9/x.json"}, "write what stands there"), ({"$ref": "file:///etc/hostname"}, "write what stands there"), ({"type": "nothing"}, "is no JSON Schema"),
        (5, "is no JSON Schema"), ({"pattern": "(?=a)"}, "is no JSON Schema"),
    ],
)  # fmt: skip
def test_a_schema_that_is_none_or_refers_outside_is_refused(schema, error):
    pytest.importorskip("jsonschema_rs")
    with pytest.raises(ValueError, match=error):
        Format({"schema": schema})


def test_without_its_package_a_schema_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    with pytest.raises(ValueError, match=r"interlock-gateway\[format\]"):
        Format({"schema": SCHEMA})


@pytest.mark.parametrize("said", [{}, {"regex": "("}, {"regex": 3}, {"scheme": {}}, "x", {"regex": "a", "schema": {}}])
def test_what_is_wrong_is_said(said):
    with pytest.raises(ValueError, match=r"format|refused"):
        Format(said)
