"""A journal that ends anywhere: cut at drawn places, it is recovered up to its last whole record, once.

What is to come out is worked out here from the records alone, by other means than the product's.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engine.data_dir import DataDir
from engine.digest import digest
from engine.durable import Durable
from engine.journal.record import ends
from engine.journal.segment import HEADER, header_of
from engine.keeping import alone
from engine.outside import SystemClock
from engine.posting import Held, Part, Settled, decode
from engine.storing import Scope
from tests.end_to_end.books import Line, counted, day_sums, lines, open_holds
from tests.end_to_end.spending import BUDGET, MADE, POOR, config, house, lab, spend
from tests.end_to_end.wires import threaded
from tests.engine.building import REGISTRY
from tests.running import Gateway

LIMIT, CALLS = 30.0, 10_000


class Stopped(NamedTuple):
    """What a killed gateway left: its data, its settings, the last segment and where each record in it ends."""

    data: Path
    settings: Any
    segment: Path
    ends: list[int]
    before: list[Line]
    """The rows that were folded by then."""
    amounts: Counter[bytes]
    """What counters have of those."""
    folded: int
    """Up to where in the segment."""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Stopped:
    """Kill a gateway among many calls: half a second behind its last fold, or there would be few records to cut."""
    folder = tmp_path_factory.mktemp("cut")
    with threaded() as upstream:
        upstream.handler = lab
        settings = config(LIMIT, CALLS, upstream.port)
        for number in range(2):
            running = house(folder, f"run{number}", settings)
            if not number:
                assert running.post("/key/generate", {"key": MADE, "max_budget": BUDGET}).status == 200
            asyncio.run(spend(running, 0.8 + number))
    (segment,) = [path for path in (folder / "data" / "journal").glob("*.journal") if path.stat().st_size > HEADER]
    data = segment.read_bytes()
    header = header_of(data, segment)
    assert header is not None
    found = list(ends(data, HEADER, header.salt))
    assert len(found) > 500
    position = DataDir.open(folder / "data")
    store = REGISTRY.store("sqlite", {"path": folder / "data" / "interlock.db"})
    number, folded = store.position()
    store.close()
    position.close()
    assert number == header.number
    assert sum(end > folded for end in found) > 100, "all was folded: nothing to lose"
    return Stopped(
        folder / "data", settings, segment, found, lines(folder / "data"), sums(counted(folder / "data")), folded
    )


def sums(amounts: list[tuple[bytes, int, int]]) -> Counter[bytes]:
    """Add up what counters have, whenever it ends."""
    found: Counter[bytes] = Counter()
    for counter, _, used in amounts:
        found[counter] += used
    return found


def expected(stopped: Stopped, length: int) -> tuple[Counter[tuple[str, int, bool]], Counter[bytes]]:
    """Work out rows and amounts of a segment of this length, beginning from what was folded."""
    data = stopped.segment.read_bytes()
    rows = Counter((one.request_id, one.spend, one.estimated) for one in stopped.before)
    amounts, begun, open_ones = Counter(stopped.amounts), HEADER, dict[Any, list[Held]]()

    def add(parts: list[Part]) -> None:
        for counter, _, used in parts:
            amounts[counter] += used

    for end in stopped.ends:
        if end > length and end > stopped.folded:
            break
        record = decode(data[begun + 8 : end])
        begun = end
        if isinstance(record, Held):
            open_ones.setdefault((record.call, record.attempt), []).append(record)
            continue
        open_ones.pop((record.call, record.attempt), None)
        if end > stopped.folded and isinstance(record, Settled):
            add(record.parts)
            if record.row is not None:
                row = record.row
                rows[row.request_id, row.spend, "estimated" in row.metadata] += 1
    for slices in open_ones.values():
        for record in slices:
            add(record.parts)
        rows[slices[-1].row.request_id, slices[-1].row.spend, True] += 1
    return rows, +amounts


def recovered(data: Path) -> int:
    """Open and close what outlives a gateway, as its start does; return what the poor key has spent."""
    held = DataDir.open(data)
    durable = Durable(REGISTRY, held, SystemClock(), alone(data))
    spent = durable.ledger.spent.of(digest(POOR))
    assert durable.store.totals(Scope.KEY)[digest(POOR)].spend == spent
    asyncio.run(durable.close())
    held.close()
    return spent


def cut_copy(stopped: Stopped, folder: Path, length: int) -> Path:
    """Copy the data with the segment cut to a length."""
    shutil.copytree(stopped.data, folder)
    with (folder / "journal" / stopped.segment.name).open("rb+") as file:
        file.truncate(length)
    return folder


def places(stopped: Stopped, count: int) -> list[int]:
    """Draw places to cut at: within the header, at records' ends, a byte beside them, anywhere."""
    size = stopped.ends[-1]
    drawn = [random.randint(0, size) for _ in range(count // 2)]
    near = [random.choice(stopped.ends) + random.choice((-1, 0, 1, 8)) for _ in range(count // 3)]
    folded = [stopped.folded + off for off in (-1, 0, 1)]
    return sorted({0, 1, HEADER - 1, HEADER, size, *folded, *drawn, *near})


@pytest.mark.parametrize("count", [60, pytest.param(600, marks=pytest.mark.soak)])
def test_a_journal_cut_anywhere_is_recovered_up_to_its_last_whole_record_once(stopped, tmp_path, count):
    drawn = places(stopped, count)
    for number, length in enumerate(drawn):
        data = cut_copy(stopped, tmp_path / str(number), length)
        spent = recovered(data)
        rows, amounts = expected(stopped, length)
        found = lines(data)
        assert Counter((one.request_id, one.spend, one.estimated) for one in found) == rows, length
        assert max(rows.values()) == 1
        assert sums(counted(data)) == amounts, length
        assert (
            day_sums(data)[digest(POOR)][1] == spent == sum(one.spend for one in found if one.api_key == digest(POOR))
        )
        assert open_holds(data) == 0
        assert recovered(data) == spent
        assert lines(data) == found
        assert sums(counted(data)) == amounts, length
        shutil.rmtree(data)
    lost = len(stopped.ends) - sum(end <= stopped.folded for end in stopped.ends)
    print(f"cut at {len(drawn)} places of {len(stopped.ends)} records, {lost} of them not folded before")


@pytest.mark.parametrize("part", [0.0, 0.5, 0.999])
def test_a_gateway_starts_on_a_journal_that_was_cut(stopped, tmp_path, part):
    length = stopped.folded + int((stopped.ends[-1] - stopped.folded) * part) + 3
    cut_copy(stopped, tmp_path / "data", length)
    rows, _ = expected(stopped, length)
    running: Gateway = house(tmp_path, "gateway", stopped.settings)
    try:
        assert running.process is not None
        assert running.process.poll() is None, running.log
        assert running.chat(max_tokens=16).status == 200
        assert "interrupted write cut off the journal" in running.log
        found = lines(tmp_path / "data")
        assert Counter((one.request_id, one.spend, one.estimated) for one in found) == rows
    finally:
        assert running.stop() == 0


def test_damage_before_whole_records_keeps_a_gateway_from_starting_and_changes_nothing(stopped, tmp_path):
    data = cut_copy(stopped, tmp_path / "data", stopped.ends[-1])
    path = data / "journal" / stopped.segment.name
    begin = next(end for end in stopped.ends if end > stopped.folded)
    whole = bytearray(path.read_bytes())
    whole[begin + 20] ^= 0x40
    path.write_bytes(whole)
    before = (lines(data), counted(data), path.read_bytes(), sorted((data / "journal").iterdir()))
    running: Gateway = house(tmp_path, "gateway", stopped.settings)
    assert running.process is not None
    assert running.process.wait(10) == 2
    running.stop()
    assert f"`{path}` offset {begin}: a damaged record, and whole ones after it" in running.log
    assert "Traceback" not in running.log
    assert (lines(data), counted(data), path.read_bytes(), sorted((data / "journal").iterdir())) == before
