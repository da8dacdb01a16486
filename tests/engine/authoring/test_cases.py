"""Test files: read with every problem at its place, compared field by field."""

from __future__ import annotations

import pytest

from engine.authoring.cases import Expect, Known, find_tests, read_cases
from engine.authoring.expectation import failures
from engine.authoring.suite import run
from engine.authoring.upstream import Canned
from engine.sources import Sources
from tests.engine.authoring.staging import asks, stage_of

GOOD = """
tests:
  - name: one
    caller: app
    request: {path: /v1/responses, headers: {X-A: 1}, body: {model: a}}
    clock: "2026-01-12T12:00:00+01:00"
    upstream: {status: 503, headers: {retry-after: "3"}, body: busy}
    expect: {decision: deny, status: 403, rule: p/r, tags: [], message: =no, headers: {X-B: null}, body: {n: null}}
  - name: two
    caller: {alias: x, team: web, role: internal_user, tags: [a], metadata: {b: 1}}
    request: {body: {model: a}}
    expect: {rule: [p/a, p/b]}
"""


def read(folder, text):
    (folder / "x_test.yaml").write_text(text)
    return read_cases(str(folder / "x_test.yaml"), Known(["app", "narrow"], ["month"]))


def test_a_good_file(tmp_path):
    (one, two), problems = read(tmp_path, GOOD)
    assert problems == []
    assert (one.path, one.headers, one.body, one.clock) == (
        "/v1/responses",
        {"x-a": "1"},
        b'{"model": "a"}',
        1_768_215_600.0,
    )
    assert one.upstream == Canned(503, {"retry-after": "3"}, "busy")
    assert one.expect == Expect("deny", 403, ("p/r",), None, (), "=no", {"x-b": None}, {"n": None})
    assert two.caller == {
        "key_alias": "x", "team_id": "web", "role": "internal_user", "tags": ["a"], "metadata": {"b": 1}, "aliases": {},
    }  # fmt: skip
    assert (two.path, two.expect.rule, two.mark.line) == ("/v1/chat/completions", ("p/a", "p/b"), 9)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: error: holds no `tests`"),
        ("tests: [", "2: error: while parsing a flow node"),
        ("tests: {}", "1: error: tests: must be a list, not a mapping"),
        ("tests: []\ntest: []", "2: error: test: unknown field; did you mean `tests`?"),
        ("tests:\n- {name: a, caller: ap, expect: {status: 200}}", "2: error: tests[0].caller: no key has the alias `ap`; did you mean `app`?"),
        ("tests:\n- {name: a, caller: 5, expect: {status: 200}}", "2: error: tests[0].caller: must be the alias of a key or the fields of one, not a number"),
        ("tests:\n- {name: a, caller: {tem: x}, expect: {status: 200}}", "2: error: tests[0].caller.tem: unknown field; did you mean `team`?"),
        ("tests:\n- {caller: app, expect: {status: 200}}", "2: error: tests[0]: needs a `name`"),
        ("tests:\n- {name: a, caller: app}", "2: error: tests[0]: needs `expect`"),
        ("tests:\n- {name: a, expect: {status: 1}}", "2: error: tests[0]: needs a `caller`"),
        ("tests:\n- {name: a, caller: app, expect: {status: 1}}", "2: error: tests[0].expect.status: must be at least 100"),
        ("tests:\n- {name: a, caller: app, expect: {decision: no}}", "2: error: tests[0].expect.decision: `no` is not known"),
        ("tests:\n- {name: a, caller: app, counters: {}, expect: {status: 200}}", "2: error: tests[0].counters: must be a list, not a mapping"),
        ("tests:\n- {name: a, caller: app, counters: [{policy: months, used: 1}], expect: {status: 200}}", "2: error: tests[0].counters[0].policy: no Budget or RateLimit is named `months`; did you mean `month`?"),
        ("tests:\n- {name: a, caller: app, counters: [{used: 1}], expect: {status: 200}}", "2: error: tests[0].counters[0]: needs the name of a `policy`"),
        ("tests:\n- {name: a, caller: app, states: {}, expect: {status: 200}}", "2: error: tests[0].states: unknown field"),
        ("tests:\n- {name: a, caller: app, clock: 2026-01-01, expect: {status: 200}}", "2: error: tests[0].clock: must be an instant"),
        ("tests:\n- {name: a, caller: app, request: {body: []}, expect: {status: 200}}", "2: error: tests[0].request.body: must be a mapping, not a list"),
        ("tests:\n- {name: a, caller: app, request: {headers: {a: [1]}}, expect: {status: 200}}", "2: error: tests[0].request.headers: `a` must be text, not a list"),
        ("tests:\n- {name: a, caller: app, expect: {status: 200}}\n- {name: a, caller: app, expect: {status: 200}}", "3: error: tests[1].name: `a` is already the name of another case"),
        ("tests:\n- name: a\n  name: b", "3: error: tests[0].name: `name` is already on line 2"),
    ],
)  # fmt: skip
def test_a_bad_file_says_where_and_what(tmp_path, text, said):
    _, problems = read(tmp_path, text)
    file = tmp_path / "x_test.yaml"
    assert any(str(problem).startswith(f"{file}:{said}") for problem in problems), list(map(str, problems))


def test_all_problems_come_at_once(tmp_path):
    _, problems = read(tmp_path, "tests:\n- {nam: a, caller: ap, request: {boddy: 1}, expect: {rules: x}}\n- 5\n")
    assert len(problems) == 6


def test_files_are_found_below_the_directory(tmp_path):
    for name in ("a_test.yaml", "b.yaml", "deep/c_test.yml", ".d_test.yaml", ".e/f_test.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    assert find_tests(tmp_path) == [str(tmp_path / "a_test.yaml"), str(tmp_path / "deep" / "c_test.yml")]


RULES = """
kind: ModelAccess
name: p
rules:
  - {name: short, deny: 'llm.params.?max_tokens.orValue(0) > 9', message: ask for less}
---
kind: ModelAccess
name: w
validationActions: [Warn]
rules: [{name: n, deny: 'llm.params.?n.orValue(1) > 1', message: one is enough}]
"""


@pytest.mark.parametrize(
    ("expect", "fields"),
    [
        (Expect("allow", 200, (), "a", (), None, {"x-interlock-warning": "one is"}, {"n": 2, "metadata": None}), []),
        (Expect("deny", 201, ("p/short",), "b", ("x",)), ["decision", "status", "rule", "model", "tags"]),
        (Expect(message="anything"), ["message"]),
        (Expect(headers={"x-interlock-warning": "=one is", "x-other": "", "content-type": None}), [
            "headers.x-interlock-warning", "headers.x-other", "headers.content-type",
        ]),
        (Expect(body={"n": 3, "model": None, "messages": [], "stop": "x"}), ["body.n", "body.model", "body.messages", "body.stop"]),
        (Expect(body={"n": True}), ["body.n"]),
    ],
)  # fmt: skip
def test_every_expectation_can_fail(tmp_path, expect, fields):
    trial = asks(stage_of(tmp_path, RULES), n=2)
    assert [failure.field for failure in failures(expect, trial)] == fields


def test_a_refusal_is_compared_by_its_message(tmp_path):
    trial = asks(stage_of(tmp_path, RULES), max_tokens=10)
    assert failures(Expect("deny", 403, ("p/short",), message="=ask for less"), trial) == []
    assert [one.field for one in failures(Expect(message="=ask", body={"n": 1}), trial)] == ["message", "body"]


def test_a_suite_runs_all_or_those_that_are_asked_for(tmp_path):
    stage_of(tmp_path, RULES)
    (tmp_path / "policies" / "x_test.yaml").write_text(
        """
tests:
  - {name: good, caller: app, request: {body: {model: a}}, expect: {decision: allow}}
  - {name: bad, caller: app, request: {body: {model: a}}, expect: {decision: deny}}
  - {name: nowhere, caller: app, request: {path: /v1/nothing}, expect: {decision: deny}}
  - {name: odd, caller: {models: [a], metadata: {tags: 5}}, request: {body: {model: a}}, expect: {decision: deny}}
"""
    )
    sources = Sources(tmp_path / "config.yaml", tmp_path / "policies")
    suite = run(sources, {})
    assert [(one.case.name, one.good) for one in suite.results] == [
        ("good", True), ("bad", False), ("nowhere", False), ("odd", False),
    ]  # fmt: skip
    assert suite.results[2].broken == "no inference route answers `POST /v1/nothing`"
    assert suite.results[3].broken.startswith("no key can have these fields")
    assert [account.name for account in suite.results[1].accounts] == ["p", "w"]
    assert [one.case.name for one in run(sources, {}, "^goo").results] == ["good"]
