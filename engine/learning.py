"""What answers have taken so far: running quantiles in bounded memory, by model and by (model, key).

Two are kept: the 95th percentile of output tokens, and the 99th of how far the input's estimate fell short. Counts lie in
buckets whose width is at most 1/32 of the value, so a read is never below the exact quantile (by rank, rounded up)
and at most 1/32 above it, until a sketch has aged: at 16,384 samples counts are halved, rounded up. The order of samples,
and of merges up to that age, changes nothing.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from typing import Final

FINE: Final = 5
"""Binary digits of a value that its bucket keeps beside the first: 32 buckets for each doubling."""
LARGEST: Final = 2**31 - 1
AGED: Final = 1 << 14
UNKNOWN_OUTPUT: Final = 256
OUTPUT_SAMPLES: Final = 20
UNKNOWN_MARGIN: Final = 2_500
MARGIN_SAMPLES: Final = 100
WHOLE: Final = 10_000
"""Margins are in ten-thousandths, as whole numbers: what is held must not depend on a float."""


class Quantile:
    """One running quantile of whole numbers from 0 to 2³¹ - 1; larger ones count as that, negative ones as 0.

    `percent` says which. An update walks from bucket to bucket only as far as the quantile moves; a read walks nowhere.
    At most 3.5 KB.
    """

    __slots__ = ("_below", "_counts", "_place", "percent", "samples")

    def __init__(self, percent: int) -> None:
        self.percent = percent
        self.samples = 0
        self._counts = array("I")
        self._place = 0
        self._below = 0
        """Samples in the buckets before `_place`."""

    def add(self, value: int) -> None:
        """Count one more value."""
        if value < 2 << FINE:
            place = max(value, 0)
        else:
            value = min(value, LARGEST)
            shift = value.bit_length() - FINE - 1
            place = (shift << FINE) + (value >> shift)
        counts = self._counts
        if place >= len(counts):
            counts.frombytes(bytes((place + 1 - len(counts)) * counts.itemsize))
        counts[place] += 1
        self.samples += 1
        if place < self._place:
            self._below += 1
        if self.samples >= AGED:
            self._age()
        rank = -(-self.samples * self.percent // 100)
        if not self._below < rank <= self._below + counts[self._place]:
            self._settle()

    def read(self) -> int:
        """Return the quantile, at the upper edge of its bucket; 0 before the first sample."""
        if self._place < 2 << FINE:
            return self._place
        shift = (self._place >> FINE) - 1
        return (((self._place & ((1 << FINE) - 1)) + (1 << FINE) + 1) << shift) - 1

    def merge(self, other: Quantile) -> None:
        """Count everything that another has counted; it is left as it is."""
        mine, theirs = self._counts, other._counts
        if len(theirs) > len(mine):
            mine.frombytes(bytes((len(theirs) - len(mine)) * mine.itemsize))
        for place, count in enumerate(theirs):
            mine[place] += count
        self.samples += other.samples
        self._place = self._below = 0
        while self.samples >= AGED:
            self._age()
        self._settle()

    def _settle(self) -> None:
        """Move to the bucket that holds the sample whose rank is the quantile's."""
        if not self.samples:
            return
        counts, place, below = self._counts, self._place, self._below
        rank = -(-self.samples * self.percent // 100)
        while below >= rank:
            place -= 1
            below -= counts[place]
        while below + counts[place] < rank:
            below += counts[place]
            place += 1
        self._place, self._below = place, below

    def _age(self) -> None:
        """Halve all counts, so that what is new weighs more than what is old."""
        self._counts = array("I", [(count + 1) >> 1 for count in self._counts])
        self.samples = sum(self._counts)
        self._place = self._below = 0


class Learned:
    """What has been learned of models, in memory: at most `most` sketches of each kind, the least recently updated go.

    A key's own answers count for it and for its model. Not for threads.
    """

    __slots__ = ("_errors", "_most", "_outputs")

    def __init__(self, most: int = 2_048) -> None:
        self._most = most
        self._outputs: OrderedDict[tuple[str, str], Quantile] = OrderedDict()
        self._errors: OrderedDict[tuple[str, str], Quantile] = OrderedDict()

    def answered(self, model: str, key: str, output: int) -> None:
        """Learn how many tokens an answer had."""
        self._of(self._outputs, (model, ""), 95).add(output)
        if key:
            self._of(self._outputs, (model, key), 95).add(output)

    def counted(self, model: str, estimate: int, actual: int) -> None:
        """Learn how many input tokens a provider counted where we had estimated so many; too high an estimate is no error."""
        short = max(actual - estimate, 0)
        self._of(self._errors, (model, ""), 99).add(-(-short * WHOLE // max(estimate, 1)))

    def knows(self, model: str, key: str) -> bool:
        """Tell whether a model's answers to a key, and the error of its estimates, are known well enough."""
        answers, errors = self._outputs.get((model, key)), self._errors.get((model, ""))
        return (
            answers is not None
            and answers.samples >= MARGIN_SAMPLES
            and (errors is None or errors.samples >= MARGIN_SAMPLES)
        )

    def output(self, model: str, key: str = "") -> int:
        """Return the 95th percentile of output tokens: the key's, else the model's, each from 20 samples on; else 256."""
        for one in ((model, key), (model, "")):
            found = self._outputs.get(one)
            if found is not None and found.samples >= OUTPUT_SAMPLES:
                return found.read()
        return UNKNOWN_OUTPUT

    def margin(self, model: str) -> int:
        """Return what to add to an estimate, in ten-thousandths of it: the 99th percentile of the error from 100 samples on, else 25 %."""
        found = self._errors.get((model, ""))
        return found.read() if found is not None and found.samples >= MARGIN_SAMPLES else UNKNOWN_MARGIN

    def bound(self, model: str, estimate: int) -> int:
        """Return the most input tokens to expect of an estimate, rounded up."""
        return -(-estimate * (WHOLE + self.margin(model)) // WHOLE)

    def merge(self, other: Learned) -> None:
        """Learn all that another process has learned; what it updated last counts as the newest."""
        for mine, theirs, percent in (
            (self._outputs, other._outputs, 95),
            (self._errors, other._errors, 99),
        ):
            for name, found in theirs.items():
                self._of(mine, name, percent).merge(found)

    def __len__(self) -> int:
        return len(self._outputs) + len(self._errors)

    def _of(self, found: OrderedDict[tuple[str, str], Quantile], name: tuple[str, str], percent: int) -> Quantile:
        one = found.get(name)
        if one is None:
            one = found[name] = Quantile(percent)
            if len(found) > self._most:
                found.popitem(last=False)
            return one
        found.move_to_end(name)
        return one
