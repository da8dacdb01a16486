"""Decisions found again in what was written of them, in whatever file they are."""

from __future__ import annotations

import json

import pytest

from engine.authoring.recorded import files_of, find, lines, shown

RECORD = {
    "id": "call-1", "time": 1_768_215_600.25, "route": "chat", "status": 403, "model": "a", "team": "web", "revision": 3,
    "error": "policy_denied", "error_id": "abcd", "error_source": "policy", "determining": ["p/r"], "duration": 0.0015,
    "policy": 0.00002, "rules": {"quiet": ["p/q"], "told": [{"name": "p/r", "said": "match", "detail": ""}, {"name": "p/s", "said": "error", "detail": "no such key"}]},
    "read": {"apiKey.team": "web", "llm.prompt": {"sha256": "00ff", "size": 1234}},
}  # fmt: skip


@pytest.fixture
def data(tmp_path):
    (tmp_path / "records.jsonl").write_text(json.dumps({**RECORD, "id": "call-3"}) + "\n" + '{"id":"half')
    (tmp_path / "records.jsonl.1").write_text(json.dumps({**RECORD, "id": "call-2"}) + "\n")
    (tmp_path / "records.jsonl.10").write_text(json.dumps(RECORD) + "\n")
    (tmp_path / "records.jsonl.bak").write_text(json.dumps({**RECORD, "id": "other"}) + "\n")
    return tmp_path


def test_a_decision_is_found_in_every_file(data):
    assert [path.name for path in files_of(data)] == ["records.jsonl", "records.jsonl.1", "records.jsonl.10"]
    assert [find(data, f"call-{number}")["id"] for number in (1, 2, 3)] == ["call-1", "call-2", "call-3"]
    assert find(data, "call") is None
    assert find(data, "web") is None
    assert find(data, "other") is None


def test_without_a_log_that_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no `records\.jsonl`"):
        find(tmp_path, "call-1")


def test_a_decision_is_told():
    text = list(lines(RECORD))
    assert text[0] == "decision call-1 at 2026-01-12T11:00:00.250+00:00: deny, status 403"
    assert "rules: p/r" in text
    assert "took: 1.500 ms, policies 20.0 µs" in text
    assert [line for line in text if line.startswith("p/")] == [
        "p/r: match",
        "p/s: error (no such key)",
        "p/q: nothing to say",
    ]
    assert text[-2:] == ['  apiKey.team = "web"', "  llm.prompt = value not recorded (sha256 00ff, 1,234 bytes)"]


def test_a_value_that_looks_alike_is_a_value():
    assert shown({"sha256": "x"}) == '{"sha256": "x"}'
