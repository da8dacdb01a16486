"""The format of rankings: units of search, tokens, and what is asked."""

from __future__ import annotations

import pytest
from msgspec import Raw

from adapters.dialects.rerank import Rerank

DIALECT = Rerank()


@pytest.mark.parametrize(
    ("answer", "tokens", "units"),
    [
        (b'{"results":[],"meta":{"billed_units":{"search_units":3}}}', 0, {"queries": 3}),
        (b'{"results":[],"meta":{"tokens":{"input_tokens":9}}}', 9, {}),
        (b'{"data":[],"usage":{"total_tokens":12}}', 12, {}),
        (b'{"results":[],"usage":{"prompt_tokens":7,"completion_tokens":0,"total_tokens":7}}', 7, {}),
        (b'{"results":[],"meta":{"billed_units":{"total_tokens":5}}}', 5, {}),
        (b'{"results":[]}', 0, {}),
    ],
)
def test_usage(answer, tokens, units):
    usage = DIALECT.usage(answer)
    assert (usage.input, usage.output, usage.units) == (tokens, 0, units)


@pytest.mark.parametrize("answer", [b"", b"5", b'{"meta": 5}', b"{"])
def test_what_is_no_answer_counts_nothing(answer):
    assert DIALECT.usage(answer) is None


def test_question_and_documents_are_asked():
    members = {"query": Raw(b'"who"'), "documents": Raw(b'["a", {"text": "b"}, {"title": "c"}, 5]')}
    assert [one["content"] for one in DIALECT.prompt(members)] == ["who", "a", "b"]
