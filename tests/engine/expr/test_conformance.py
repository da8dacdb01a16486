"""The CEL specification's own cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.engine.expr import conformance


def test_every_case_of_the_specification_passes(shared: Path):
    cases = list(conformance.cases(shared / "conformance" / "cel.jsonl"))
    wrong = {f"{case['section']}/{case['name']}: {case['expr']}": conformance.fault(case) for case in cases}
    assert {name: reason for name, reason in wrong.items() if reason} == {}
    assert len(cases) > 800


@pytest.mark.parametrize(
    ("expr", "expect", "passes"),
    [("1 + 1", {"int": 2}, True), ("1 + 1", {"double": 2.0}, False), ("1 / 0", "error", True), ("1", "error", False)],
)
def test_the_runner_counts_and_tells(tmp_path: Path, capsys, expr, expect, passes):
    file = tmp_path / "cases.jsonl"
    file.write_text(json.dumps({"section": "s", "group": "g", "name": "n", "expr": expr, "expect": expect}) + "\n\n")
    assert conformance.main([str(file)]) == (0 if passes else 1)
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == ("1 passed, 0 failed" if passes else "0 passed, 1 failed")
    assert passes or "s/g/n" in printed[0]


@pytest.mark.parametrize(
    ("source", "deduced"),
    [
        ("[[], [[]], [[[]]]]", "list(list(list(list(dyn))))"),
        ("[optional.of(1), null][0]", "optional_type(int)"),
        ("[optional.of(dyn(1)), optional.of(1)]", "list(optional_type(dyn))"),
        ("([].map(x, x))[0].foo", "dyn"),
        ("[[1], ['a']]", "list(dyn)"),
        ("{'a': 1, 1: 2}", "map(dyn, int)"),
        ("[1] + dyn(['a'])", "list(dyn)"),
        ("true ? [] : [1]", "list(int)"),
        ("{'a': 1}.transformMap(k, v, string(v))", "map(string, string)"),
        ("timestamp(0) - timestamp(1)", "google.protobuf.Duration"),
    ],
)
def test_types_are_deduced(source, deduced):
    assert conformance.fault({"expr": source, "deduced_type": deduced, "check_only": True, "expect": None}) == ""
