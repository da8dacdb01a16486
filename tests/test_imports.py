"""Who may import whom: the contracts of pyproject.toml hold, cover every module, and hold at run time too."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PORTS = frozenset(
    {
        "activation",
        "arguments",
        "asking",
        "body",
        "call",
        "claims",
        "closure",
        "contracts",
        "detecting",
        "end_user",
        "errors",
        "expr",
        "frames",
        "globs",
        "guarding",
        "hashed",
        "holdback",
        "limit",
        "outbound",
        "panel",
        "places",
        "policy",
        "prompts",
        "rollups",
        "scanning",
        "settings",
        "shape",
        "signing",
        "slots",
        "storing",
        "syntax",
        "tallies",
        "variables",
        "vault",
        "windowed",
        "windows",
    }
)
"""What an extension may see of the engine."""
LINTER = Path(sys.executable).with_name("lint-imports")


def contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return found


def modules(package: str) -> set[str]:
    return {path.stem for path in (ROOT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}


def loaded(*imports: str) -> set[str]:
    """Import modules in a process of their own; return the top-level names that came along."""
    code = f"import sys, {', '.join(imports)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_contract_is_kept():
    done = subprocess.run([LINTER, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_a_broken_contract_would_be_found(tmp_path):
    """The linter is not asleep: an adapter that imports the engine's upper layers fails it."""
    for package in ("engine", "policies", "adapters"):
        for path in (ROOT / package).rglob("*.py"):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    with (tmp_path / "adapters" / "providers" / "echo.py").open("a") as file:
        file.write("\nimport engine.snapshot\n")
    with (tmp_path / "engine" / "call.py").open("a") as file:
        file.write("\nimport engine.gateway\n")
    done = subprocess.run([LINTER, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "The layers of the house BROKEN" in done.stdout
    assert "Extensions see the ports only BROKEN" in done.stdout


def test_the_contract_on_extensions_names_every_module_above_the_ports():
    contract = next(one for one in contracts() if one["name"] == "Extensions see the ports only")
    above = {f"engine.{name}" for name in modules("engine") - PORTS - {"__init__"}}
    assert set(contract["forbidden_modules"]) == above


@pytest.mark.parametrize("name", ["call", "errors"])
def test_the_lowest_layer_needs_only_the_standard_library(name):
    assert loaded(f"engine.{name}") - sys.stdlib_module_names - {"__main__", "engine", "_virtualenv"} <= loaded("sys")


@pytest.mark.parametrize("name", [*sorted(PORTS), "ledger", "extensions"])
def test_values_ports_streams_and_the_ledger_load_neither_http_nor_yaml(name):
    assert not {"aiohttp", "yaml", "pydantic"} & loaded(f"engine.{name}")


def test_modules_are_imported_by_name_only_where_names_are_commands_extensions_or_libraries():
    """A dynamic import elsewhere would go around every contract."""
    asked = set()
    for package in ("engine", "policies", "adapters"):
        for path in (ROOT / package).rglob("*.py"):
            names = {getattr(n, "attr", getattr(n, "id", "")) for n in ast.walk(ast.parse(path.read_text()))}
            if names & {"import_module", "__import__"}:
                asked.add(str(path.relative_to(ROOT)))
    assert asked == {
        "engine/extensions.py", "engine/cli/main.py", "engine/cli/doctor.py",
        "adapters/remotes/custom/loading.py",  # what a user's own file imports
    }  # fmt: skip
