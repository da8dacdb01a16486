"""Any records, folded in any batches by processes that die anywhere, come to what they come to at once."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.stores.sqlite import Sqlite
from engine import folding
from engine.folding import Folder
from engine.journal import Journal, Position
from engine.outside import SystemClock
from engine.posting import Held, Part, Released, Reset, Settled, encode
from engine.storing import Batch, LogFilter, Scope
from engine.windows import NEVER
from tests.engine.settling import row


class DeadError(BaseException):
    """Where a process ended."""


class Mortal(Sqlite):
    """A store whose process dies at one of its transactions, before or after it is written."""

    lives = -1
    late = False

    def fold(self, batch: Batch, journal: str = "main") -> bool:
        self.lives -= 1
        if self.lives == -1 and not self.late:
            raise DeadError
        done = super().fold(batch, journal)
        if self.lives == -1:
            raise DeadError
        return done


class Step(NamedTuple):
    what: str
    call: int
    attempt: int
    counter: bytes
    until: int
    amount: int


class Process(NamedTuple):
    steps: list[Step]
    together: int
    lives: int
    late: bool


steps = st.builds(
    Step,
    st.sampled_from(["held", "held", "settled", "settled", "bare", "released", "reset", "fold"]),
    st.integers(0, 3),
    st.integers(1, 2),
    st.sampled_from([b"a" * 16, b"b" * 16]),
    st.sampled_from([NEVER, 9 * 10**18]),
    st.integers(0, 1000),
)
processes = st.builds(Process, st.lists(steps, max_size=25), st.integers(1, 5), st.integers(-1, 6), st.booleans())


class Model:
    """What should be in the store."""

    def __init__(self) -> None:
        self.used: Counter[tuple[bytes, int]] = Counter()
        self.spends: dict[str, int] = {}
        self.held: dict[tuple[int, int], tuple[list[Part], str, int]] = {}
        self.ended: set[tuple[int, int]] = set()

    def count(self, parts: list[Part]) -> None:
        for counter, until, amount in parts:
            self.used[counter, until] += amount

    def settle_open(self) -> None:
        """End a process."""
        for parts, name, spend in self.held.values():
            self.count(parts)
            self.spends[name] = spend
        self.held, self.ended = {}, set()

    def take(self, step: Step, prefix: str) -> bytes | None:
        """Take a step as the ledger would; return its record, None when it would not."""
        pair, part = (step.call, step.attempt), (step.counter, step.until, step.amount)
        call, name = f"{prefix}-{step.call}", f"{prefix}-{step.call}-{step.attempt}"
        if step.what == "reset":
            for key in [key for key in self.used if key[0] == step.counter]:
                del self.used[key]
            self.held = {
                pair: ([part for part in parts if part[0] != step.counter], name, spend)
                for pair, (parts, name, spend) in self.held.items()
            }
            return encode(Reset(step.counter))
        if pair in self.ended:
            return None
        if step.what == "held":
            before = self.held[pair][0] if pair in self.held else []
            self.held[pair] = [*before, part], name, step.amount
            return encode(Held(call, step.attempt, [part], row(name, step.amount)))
        self.held.pop(pair, None)
        self.ended.add(pair)
        if step.what == "released":
            return encode(Released(call, step.attempt))
        self.count([part])
        if step.what == "settled":
            self.spends[name] = step.amount
        return encode(Settled(call, step.attempt, [part], row(name, step.amount) if step.what == "settled" else None))


def live(directory: Path, process: Process, model: Model, prefix: str) -> None:
    """Let a process start, go through its steps and end."""
    store = Mortal({"path": directory / "store.sqlite"})
    store.lives, store.late = process.lives, process.late
    journal = Journal.open(directory / "journal", since=Position(*store.position()), limit=600)
    folding.TOGETHER = process.together
    folder = Folder(journal, store, SystemClock())
    with suppress(DeadError):
        folder.catch_up()
        for step in process.steps:
            if step.what == "fold":
                assert folder._fold_through(journal.position), folder.reason
            elif record := model.take(step, prefix):
                journal.append(record)
                assert journal.write_now()
    model.settle_open()
    journal.close()
    store.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(processes, min_size=1, max_size=4))
def test_any_records_in_any_batches_with_deaths_anywhere_count_once(many):
    together, model = folding.TOGETHER, Model()
    with tempfile.TemporaryDirectory() as name:
        for number, process in enumerate([*many, Process([], 1000, -1, late=False)]):
            live(Path(name), process, model, f"p{number}")
        store = Sqlite({"path": Path(name) / "store.sqlite"})
        rows = store.logs(LogFilter(), 1000).rows
        assert sorted((one.request_id, one.spend) for one in rows) == sorted(model.spends.items())
        counts = {(counter, until): used for counter, until, used in store.counts(0)}
        assert counts == {key: used for key, used in model.used.items() if key in counts or used}
        spent = store.totals(Scope.TEAM)
        assert sum(one.spend for one in spent.values()) == sum(model.spends.values())
        assert sum(one.requests for one in spent.values()) == len(model.spends)
        assert store.holds() == []
        store.close()
    folding.TOGETHER = together
