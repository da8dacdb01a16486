"""A kind of policy is one file: written beside the others it is loaded, enforced and tested, and nothing else changes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("engine", "policies", "adapters")
COPIED = (*PACKAGES, "examples", "tests", "pyproject.toml", "README.md")

KIND = '''
"""`QuietHours`: hours in which calls are refused, or sent to a model that is cheaper.

    kind: QuietHours
    name: nights
    match: {teams: [batch]}
    from: 22                      # hours of the day, in `timeZone`; over midnight where `to` is the lesser
    to: 6
    timeZone: Europe/Berlin       # UTC by default
    days: [Sat, Sun]              # all by default
    unless: 'apiKey.metadata.?oncall.orValue(false)'
    insteadUse: small             # another model, where refusing would be too much
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Self
from zoneinfo import ZoneInfo

from engine.activation import Activation
from engine.policy import Direction, Effect, Expression, Head, Policy, Reader, Ref, Rule

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class QuietHours(Policy):
    """Says when it is quiet."""

    begin: int = 0
    end: int = 0
    zone: str = "UTC"
    days: tuple[str, ...] = DAYS
    unless: Expression | None = None
    instead: str = ""

    @classmethod
    def read(cls, head: Head, fields: Reader) -> Self:
        """Read hours, days and what happens in them."""
        begin, end = fields.number("from", most=23), fields.number("to", most=23)
        if begin == end:
            fields.fault("`from` and `to` are the same hour, so it is never quiet", "to")
        days = fields.texts("days") or DAYS
        for day in days:
            if day not in DAYS:
                fields.fault(f"`{day}` is no day; days are {', '.join(DAYS)}", "days")
        zone = fields.text("timeZone", "UTC")
        try:
            _zone(zone)
        except (LookupError, ValueError, OSError):
            fields.fault(f"`{zone}` is no time zone; write one as `Europe/Berlin`", "timeZone")
        return cls(head, int(begin), int(end), zone, days, fields.cel("unless"), fields.text("insteadUse"))

    @classmethod
    def reads(cls) -> frozenset[Ref]:
        """Name what is read beside expressions: the time."""
        return frozenset({("now",)})

    def rules(self) -> Sequence[Rule]:
        """Refuse in quiet hours, unless another model answers in them."""
        if self.instead:
            return ()
        said = f"it is quiet from {self.begin} to {self.end} in {self.zone}; come back later"
        return (Rule("quiet", Effect.DENY, test=self.quiet, message=said, status=503),)

    def targets(self) -> Sequence[str]:
        """Name the model that answers instead."""
        return (self.instead,) if self.instead else ()

    def direct(self, activation: Activation) -> Direction | None:
        """Send calls of quiet hours to the other model."""
        return Direction("quiet", model=self.instead) if self.instead and self.quiet(activation) else None

    def quiet(self, activation: Activation) -> bool:
        """Tell whether a call comes in quiet hours and is not excused."""
        there = datetime.fromtimestamp(activation["now"] / 1e9, _zone(self.zone))
        over_midnight = self.begin > self.end
        within = self.begin <= there.hour < self.end
        if over_midnight:
            within = there.hour >= self.begin or there.hour < self.end
        if not within or DAYS[there.weekday()] not in self.days:
            return False
        return self.unless is None or self.unless.value(activation) is not True


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
'''

EXAMPLE = """
# Nobody waits for the batch jobs at night: what `quiet_hours` (policies/quiet_hours.py) shows.
# Every hour is quiet but the one that never comes, so that this example can be tried at any time.
kind: QuietHours
name: nights
match: {teams: [batch]}
from: 0
to: 23
timeZone: Etc/GMT+12
unless: apiKey.metadata.?oncall.orValue(false)
---
kind: QuietHours
name: half-asleep
match: {teams: [web]}
from: 0
to: 23
insteadUse: small
matchConditions:
- {name: not-by-hand, expression: llm.requestModel == "large"}
"""

CONFIG = """
model_list:
- {model_name: small, litellm_params: {model: echo/small}}
- {model_name: large, litellm_params: {model: echo/large}}
general_settings: {master_key: sk-quiet-master-0123456789}
"""

TEST = '''
"""`QuietHours`: by the clock of a place, on some days, with an excuse or another model."""

from datetime import datetime

import pytest

from engine.build import build
from engine.extensions import kind
from engine.governing import PolicySet
from engine.sources import Sources, compile_sources
from tests.engine.building import PRICES, REGISTRY, config, loaded
from tests.engine.deciding import asking, chat, decided, document, person, policies, problems, snapshot_of
from tests.running import ROOT

NIGHTS = {"from": 22, "to": 6, "timeZone": "Europe/Berlin"}


def at(moment, text, caller=None, **members):
    call = asking(snapshot_of(text), chat(**members), caller)
    call.time = datetime.fromisoformat(moment).timestamp()
    return decided(call)


@pytest.mark.parametrize(
    ("moment", "fields", "status"),
    [
        ("2026-01-12T20:59:59+00:00", NIGHTS, 200),
        ("2026-01-12T21:00:00+00:00", NIGHTS, 503),
        ("2026-01-12T04:59:59+00:00", NIGHTS, 503),
        ("2026-01-12T05:00:00+00:00", NIGHTS, 200),
        ("2026-07-12T20:00:00+00:00", NIGHTS, 503),
        ("2026-01-12T12:00:00+00:00", {"from": 9, "to": 17}, 503),
        ("2026-01-12T12:00:00+00:00", {"from": 9, "to": 17, "days": ["Sun"]}, 200),
        ("2026-01-12T12:00:00+00:00", {"from": 9, "to": 17, "unless": "apiKey.team == 't'"}, 200),
    ],
)
def test_quiet_hours(moment, fields, status):
    found = at(moment, document("QuietHours", **fields), person(team="t"))
    assert found.status == status
    if status == 503:
        assert found.rules == ["p/quiet"]
        assert found.message.startswith("it is quiet from ")


def test_another_model_answers():
    found = at("2026-01-12T12:00:00+00:00", document("QuietHours", **{"from": 9, "to": 17}, insteadUse="b"))
    assert (found.status, found.call.model, found.call.route_reason) == (200, "b", "quiet: b")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"from": 25, "to": 1}, "from: must be at least 0 and at most 23"),
        ({"from": 1, "to": 1}, "to: `from` and `to` are the same hour, so it is never quiet"),
        ({**NIGHTS, "days": ["sat"]}, "days: `sat` is no day"),
        ({**NIGHTS, "timezone": "UTC"}, "timezone: unknown field; did you mean `timeZone`?"),
        ({**NIGHTS, "timeZone": "Berlin/Wall"}, "timeZone: `Berlin/Wall` is no time zone"),
        ({**NIGHTS, "unless": "apiKey.teem"}, "unless: `apiKey` has no field `teem`; did you mean `team`?"),
    ],
)
def test_bad_input(fields, wrong):
    (found,) = problems(document("QuietHours", **fields))
    assert found.partition(": error: ")[2].startswith(wrong)


def test_a_model_that_does_not_exist():
    spec = loaded(config({"a": "echo/a"}))
    text = document("QuietHours", **NIGHTS, insteadUse="none")
    (found,) = build(spec, REGISTRY, PRICES, 1, PolicySet(policies(text))).problems
    assert "`p` sends calls to `none`" in str(found)


def test_the_example_loads():
    folder = ROOT / "examples" / "policies" / "quiet-hours"
    found = compile_sources(Sources(folder / "config.yaml", folder / "policies"), {}, kind)
    assert (found.problems, len(found.policies)) == ((), 2)
'''

DRIVE = """
from pathlib import Path
from engine.build import build
from engine.extensions import kind
from engine.sources import Sources, compile_sources
from tests.engine.building import PRICES, REGISTRY
from tests.engine.deciding import asking, chat, decided, person
folder = Path("examples/policies/quiet-hours")
found = compile_sources(Sources(folder / "config.yaml", folder / "policies"), {}, kind)
house = build(found.loaded.spec, REGISTRY, PRICES, 1, found.policies).snapshot
for team, metadata in (("batch", {}), ("batch", {"oncall": True}), ("web", {}), ("", {})):
    call = asking(house, {**chat(), "model": "large"}, person(team=team, metadata=metadata))
    call.time = 1_790_000_000.0
    verdict = decided(call)
    print(team, verdict.status, verdict.call.model, verdict.message)
"""


def digests(folder: Path) -> dict[str, str]:
    """Return what every file of a tree holds."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Copy the repository and add one kind: its file, its example, its test."""
    folder = tmp_path_factory.mktemp("house") / "interlock"
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(source, folder / name)
    before = digests(folder)
    story = folder / "examples" / "policies" / "quiet-hours"
    (story / "policies").mkdir(parents=True)
    (story / "config.yaml").write_text(CONFIG)
    (story / "policies" / "quiet_hours.yaml").write_text(EXAMPLE.lstrip())
    (folder / "policies" / "quiet_hours.py").write_text(KIND.lstrip())
    (folder / "tests" / "policies" / "test_quiet_hours.py").write_text(TEST.lstrip())
    added = digests(folder).keys() - before.keys()
    assert len({Path(name).parts[0] for name in added}) == 3
    return folder, before, added


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    environ.pop("CI", None)  # The copy is a user's tree: there is no recorded traffic beside it.
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_new_kind_is_checked_like_the_others(tree):
    folder, _, _ = tree
    story = "examples/policies/quiet-hours"
    good = run(
        folder,
        "-m",
        "engine.cli.main",
        "check",
        "--strict",
        "--config",
        f"{story}/config.yaml",
        "--policies",
        f"{story}/policies",
    )
    assert good.returncode == 0, good.stdout + good.stderr
    assert "2 policies: good" in good.stdout
    broken = folder / "broken"
    broken.mkdir()
    (broken / "p.yaml").write_text(
        "kind: QuietHour\nname: p\n---\nkind: QuietHours\nname: q\nfrom: 7\nto: 7\nform: 8\n"
    )
    bad = run(folder, "-m", "engine.cli.main", "check", "--config", f"{story}/config.yaml", "--policies", "broken")
    shutil.rmtree(broken)
    assert bad.returncode == 1
    assert "broken/p.yaml:1: error: kind: unknown kind `QuietHour`; did you mean `QuietHours`?" in bad.stdout
    assert "broken/p.yaml:7: error: to: `from` and `to` are the same hour, so it is never quiet" in bad.stdout
    assert "broken/p.yaml:8: error: form: unknown field; did you mean `from`?" in bad.stdout


def test_a_new_kind_is_in_force(tree):
    """1790000000 is 2:13 in the morning of a Monday where the example's clock hangs."""
    folder, _, _ = tree
    done = run(folder, "-c", DRIVE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "batch 503 large it is quiet from 0 to 23 in Etc/GMT+12; come back later",
        "batch 200 large ",
        "web 200 small ",
        " 200 large ",
    ]


def test_the_test_of_a_new_kind_runs_and_the_house_has_its_shape_still(tree):
    folder, _, _ = tree
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/policies/test_quiet_hours.py")
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b17 passed", done.stdout), done.stdout
    shape = run(
        folder,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/test_layout.py",
        "-k",
        "extension and quiet_hours",
    )
    assert "2 passed" in shape.stdout, shape.stdout


def test_no_other_file_was_touched(tree):
    folder, before, added = tree
    after = digests(folder)
    assert {name: one for name, one in after.items() if name not in added} == before
    assert sorted(added) == [
        "examples/policies/quiet-hours/config.yaml", "examples/policies/quiet-hours/policies/quiet_hours.yaml",
        "policies/quiet_hours.py", "tests/policies/test_quiet_hours.py",
    ]  # fmt: skip
