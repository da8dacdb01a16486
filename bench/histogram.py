"""A log-bucketed histogram: every value keeps eight significant bits, whatever its size."""

from collections.abc import Mapping

_BITS = 7


def _bucket(value: int) -> int:
    shift = max(0, value.bit_length() - _BITS - 1)
    return (shift << _BITS) + (value >> shift)


def _middle(bucket: int) -> int:
    if bucket < 2 << _BITS:
        return bucket
    shift = (bucket >> _BITS) - 1
    return ((bucket - (shift << _BITS)) << shift) + (1 << shift >> 1)


class Histogram:
    """Counts of non-negative integers, each true to within 0.4 %."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.total = 0

    def record(self, value: int, count: int = 1) -> None:
        """Count `value` `count` times; what is below zero counts as zero."""
        bucket = _bucket(max(0, value))
        self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.total += count

    def merge(self, other: "Histogram") -> None:
        """Add the counts of `other`."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.total += other.total

    def quantile(self, share: float) -> float | None:
        """Return the smallest recorded value that `share` of the counts do not exceed, or None if there are none."""
        if not self.total:
            return None
        wanted = min(self.total, max(1, -int(-share * self.total // 1)))
        for bucket in sorted(self.counts):
            wanted -= self.counts[bucket]
            if wanted <= 0:
                return float(_middle(bucket))
        raise AssertionError("the counts do not add up to the total")

    def points(self) -> list[tuple[int, float]]:
        """Return (value, share of the counts at or below it), ascending."""
        seen, line = 0, []
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            line.append((_middle(bucket), seen / self.total))
        return line

    def to_json(self) -> dict[str, int]:
        """Return the counts as a JSON object."""
        return {str(bucket): count for bucket, count in self.counts.items()}

    @classmethod
    def from_json(cls, counts: Mapping[str, int]) -> "Histogram":
        """Return the histogram that `to_json` wrote."""
        made = cls()
        made.counts = {int(bucket): count for bucket, count in counts.items()}
        made.total = sum(made.counts.values())
        return made
