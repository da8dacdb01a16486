"""The shape of the house: small files and functions, honest names, a test and an example for every extension."""

from __future__ import annotations

import ast
import re
import statistics
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = ("engine", "policies", "adapters", "bench")
LONGEST_FILE, LONGEST_FUNCTION = 400, 50
MEDIAN_FILE, P90_FUNCTION = 130, 25
PATH_LINES = 25
VAGUE = frozenset(["util", "utils", "helper", "helpers", "manager", "managers", "common", "misc", "base", "types"])
TASKS = {
    "engine/supervisor.py": "background work",
    "engine/workers/channel.py": "one for each question of the other end",
    "engine/guard.py": "what services are asked beside a call; `Forwarding` ends it with the call",
    "engine/api/connection.py": "one for each request of a client",
}
"""The only places where tasks are made, and for what."""
EXTENSIONS = sorted(
    path for place in ("adapters/*/*.py", "policies/*.py") for path in ROOT.glob(place) if path.stem != "__init__"
)


INSTALLED = {".venv", "node_modules"}
"""Folders of what others wrote: peers of the benchmark bring their own."""


def files(*folders: str) -> list[Path]:
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if INSTALLED.isdisjoint(path.parts))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_files_are_short():
    lines = {named(path): len(path.read_text().splitlines()) for path in files(*CODE, "tests")}
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE} == {}
    median = statistics.median(len(path.read_text().splitlines()) for path in files(*CODE))
    print(f"files: {len(lines)}, median of the code {median:g} lines, longest {max(lines.values())}")
    assert median <= MEDIAN_FILE


def test_functions_are_short():
    lines = {f"{named(path)}:{name}": count for path in files(*CODE) for name, count in functions(path)}
    assert {name: count for name, count in lines.items() if count > LONGEST_FUNCTION} == {}
    p90 = statistics.quantiles(lines.values(), n=10)[-1]
    print(f"functions: {len(lines)}, p90 {p90:g} lines, longest {max(lines.values())}")
    assert p90 <= P90_FUNCTION


def test_the_request_path_fits_on_a_page():
    assert dict(functions(ROOT / "engine" / "gateway.py"))["handle"] <= PATH_LINES


def test_no_module_has_a_vague_name():
    vague = [named(path) for path in files(*CODE, "tests") if VAGUE & set(path.stem.split("_"))]
    folders = [named(path.parent) for path in files(*CODE, "tests") if VAGUE & set(path.parent.name.split("_"))]
    assert vague + folders == []


def test_no_package_shadows_the_standard_library():
    top = {path.name for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert top == {"engine", "policies", "adapters", "bench", "tests"}


@pytest.mark.parametrize("path", EXTENSIONS, ids=named)
def test_an_extension_has_a_test_of_its_name(path):
    test = ROOT / "tests" / path.relative_to(ROOT).with_name(f"test_{path.stem}.py")
    assert test.exists(), f"write {named(test)}"
    assert "def test_" in test.read_text()


@pytest.mark.parametrize("path", EXTENSIONS, ids=named)
def test_an_extension_is_shown_in_an_example(path):
    shown = [one for one in (ROOT / "examples").rglob("*") if one.is_file() and "__pycache__" not in one.parts]
    word = re.compile(rf"\b{re.escape(path.stem)}\b")
    assert any(word.search(one.read_text("utf-8", "replace")) for one in shown), f"no example uses `{path.stem}`"


def test_tasks_are_made_where_they_are_watched():
    makers, unwatched = set(), set()
    for path in files("engine", "policies", "adapters"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node, "attr", getattr(node, "id", ""))
            if name == "create_task":
                makers.add(named(path))
            if name in {"ensure_future", "TaskGroup"} or (
                name == "create_task" and ast.unparse(node) == "asyncio.create_task"
            ):
                unwatched.add(named(path))
    assert unwatched == set()
    assert makers <= set(TASKS)


def test_constraints_name_versions_and_no_index():
    path = ROOT / "constraints.txt"
    if not path.exists():
        pytest.skip("no constraints.txt in this tree")
    text = path.read_text()
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|^-[if]\b|@ file:", text, re.MULTILINE)
    pinned = {re.split(r"==", line)[0].lower() for line in text.splitlines() if "==" in line and line[:1] != "#"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[<>=!~\[ ;]", one)[0].lower() for one in project["dependencies"]}
    assert wanted <= pinned
