"""Distributions of durations that merge exactly: merging two equals replaying all their samples.

Bucket bounds grow by 2^(1/32), as in Prometheus native histograms of schema 5: bucket k has durations above
2^((k-1)/32) s, up to 2^(k/32) s. Its index is k + 638, so that index 1 has 1 µs; index 0 has everything below.

Counts are NumPy arrays, which count a thousand durations in a fifteenth of the time of a loop. Buckets are found by
comparing integers, never by a logarithm, whose last digit differs between machines.
"""

from collections.abc import Sequence
from math import exp2, isqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sidecar.errors import CheckpointError

NS_PER_SECOND = 1_000_000_000
NS_PER_MS = 1_000_000
SMALLEST_NS = 1_000
BUCKETS_PER_DOUBLING = 32
OFFSET = 638
BUCKETS = 1_184  # 0 and 2^(-637/32) s to 2^(545/32) s, which is beyond 36 h
# A large sum exceeds the 64 bits of msgpack, so it is stored as two numbers.
SUM_BASE = 10**18

Nanoseconds = NDArray[np.int64] | Sequence[int]  # whole durations, at most 36 h each
SUMMED = 60_000  # the sum of this many of 36 h fits into 64 bits


def _bound_ns(index: int) -> int:
    """Return the upper bound of a bucket in whole nanoseconds, exactly: five square roots are the 32nd root."""
    exponent = index - OFFSET
    root: int = NS_PER_SECOND**BUCKETS_PER_DOUBLING
    root = root << exponent if exponent >= 0 else root >> -exponent
    for _ in range(5):
        root = isqrt(root)
    return root


_BOUNDS_NS = np.array([SMALLEST_NS - 1, *map(_bound_ns, range(1, BUCKETS))])


def nanoseconds(values_ms: Sequence[float]) -> NDArray[np.int64]:
    """Convert milliseconds to whole nanoseconds."""
    rounded: NDArray[np.int64] = np.rint(np.array(values_ms) * NS_PER_MS).astype(np.int64)
    return rounded


def bucket_index(ns: int) -> int:
    """Return the index of the bucket of a duration in nanoseconds: 0 below 1 µs, 1,182 at 36 h."""
    return int(np.searchsorted(_BOUNDS_NS, ns))


def bucket_middle_ns(index: int) -> float:
    """Return the geometric mean of a bucket's bounds, within 2^(1/64) - 1 = 1.09 % of both."""
    return NS_PER_SECOND * exp2((index - OFFSET - 0.5) / BUCKETS_PER_DOUBLING)


class Histogram:
    """A distribution in 1,184 buckets; count, sum, min and max (nanoseconds) are exact."""

    __slots__ = ("buckets", "count", "max_ns", "min_ns", "sum_ns")

    kind: type[np.signedinteger] = np.int64  # of the counts

    def __init__(self) -> None:
        """Start empty; `min_ns` and `max_ns` mean nothing until there is a sample."""
        self.buckets = np.zeros(BUCKETS, self.kind)
        self.count = 0
        self.sum_ns = 0
        self.min_ns = 0
        self.max_ns = 0

    def __bool__(self) -> bool:
        """Return whether there is any sample."""
        return self.count > 0

    def __eq__(self, other: object) -> bool:
        """Compare every bucket and every exact figure."""
        return isinstance(other, Histogram) and self.dump() == other.dump()

    def update(self, values_ns: Nanoseconds) -> None:
        """Add durations, not below 0."""
        values = np.asarray(values_ns, np.int64)
        if values.size:
            self.buckets += np.bincount(np.searchsorted(_BOUNDS_NS, values), minlength=BUCKETS)
            self._extend(values.size, _sum_ns(values), int(values.min()), int(values.max()))

    def merge(self, other: "Histogram") -> None:
        """Add the samples of another histogram."""
        if other.count:
            self.buckets += other.buckets
            self._extend(other.count, other.sum_ns, other.min_ns, other.max_ns)

    def _extend(self, count: int, sum_ns: int, min_ns: int, max_ns: int) -> None:
        self.min_ns = min(self.min_ns, min_ns) if self.count else min_ns
        self.max_ns = max(self.max_ns, max_ns)
        self.count += count
        self.sum_ns += sum_ns

    def copy(self) -> Self:
        """Return an independent copy."""
        twin = type(self)()
        twin.merge(self)
        return twin

    def quantiles_ns(self, permilles: Sequence[int]) -> list[float | None]:
        """Estimate the samples of rank ceil(permille * count / 1000) in nanoseconds, within 1.1 %; 0 below 1 µs.

        They are `None` without samples.
        """
        if not self.count:
            return [None] * len(permilles)
        ranks = [-(-permille * self.count // 1000) for permille in permilles]
        return [self._estimate_ns(int(index)) for index in np.searchsorted(np.cumsum(self.buckets), ranks)]

    def _estimate_ns(self, index: int) -> float:
        return float(min(max(bucket_middle_ns(index), self.min_ns), self.max_ns)) if index else 0.0

    def counts_since(self, before: "Histogram") -> dict[int, int]:
        """Return the samples that came after `before`, by index of their bucket."""
        since = self.buckets - before.buckets
        used = np.flatnonzero(since)
        return dict(zip(used.tolist(), since[used].tolist(), strict=True))

    def dump(self) -> list[int]:
        """Return sum (two numbers), min, max, for each used bucket the step from the last index, then the counts."""
        if not self.count:
            return []
        used = np.flatnonzero(self.buckets)
        steps = np.diff(used, prepend=0)
        return [*divmod(self.sum_ns, SUM_BASE), self.min_ns, self.max_ns, *steps.tolist(), *self.buckets[used].tolist()]

    @classmethod
    def load(cls, data: list[int]) -> Self:
        """Return what was dumped; raise `CheckpointError` if it was damaged."""
        histogram = cls()
        if data == []:
            return histogram
        if not _whole_numbers(data) or len(data) < 6 or len(data) % 2:
            raise CheckpointError("a stored histogram is not a list of counts")
        buckets = len(data) // 2 - 2
        steps, counts = data[4 : 4 + buckets], data[4 + buckets :]
        if sum(steps) >= BUCKETS or sum(counts) > np.iinfo(cls.kind).max or 0 in steps[1:] or 0 in counts:
            raise CheckpointError("a stored histogram has impossible buckets")
        histogram.buckets[np.cumsum(steps)] = counts
        histogram._extend(sum(counts), data[0] * SUM_BASE + data[1], data[2], data[3])
        if not histogram._is_sound(steps[0], sum(steps)):
            raise CheckpointError("a stored histogram contradicts itself")
        return histogram

    def _is_sound(self, first: int, last: int) -> bool:
        """Check that the extremes lie in the outer buckets and the sum between the extremes."""
        return (
            (bucket_index(self.min_ns), bucket_index(self.max_ns)) == (first, last)
            and self.min_ns <= self.max_ns
            and self.count * self.min_ns <= self.sum_ns <= self.count * self.max_ns
        )


class BriefHistogram(Histogram):
    """A distribution of a few seconds in half the memory: no bucket gets two billion samples in that time."""

    __slots__ = ()

    kind = np.int32


class Classic:
    """A classic Prometheus histogram: `counts[i]` samples (not cumulative) up to `bounds_ns[i]`, the last above all.

    It has a sum of its own, since it starts when its bounds were set; `before` are the samples of earlier bounds.
    """

    __slots__ = ("before", "bounds_ns", "counts", "sum_ns")

    def __init__(self, bounds_ns: tuple[int, ...], before: Histogram | None = None) -> None:
        """Start empty with ascending bounds in nanoseconds."""
        self.bounds_ns = bounds_ns
        self.before = before or Histogram()
        self.counts = [0] * (len(bounds_ns) + 1)
        self.sum_ns = 0

    def __eq__(self, other: object) -> bool:
        """Compare bounds, counts and sum."""
        return isinstance(other, Classic) and self.dump() == other.dump()

    def update(self, values_ns: Nanoseconds) -> None:
        """Count durations; one equal to a bound lies below it."""
        values = np.asarray(values_ns, np.int64)
        indices = np.searchsorted(self.bounds_ns, values)
        self._add(np.bincount(indices, minlength=len(self.counts)).tolist(), _sum_ns(values))

    def merge(self, other: "Classic") -> None:
        """Add the counts of another histogram. Raises ValueError if its bounds differ."""
        if other.bounds_ns != self.bounds_ns:
            raise ValueError("histograms of different bounds do not merge")
        self._add(other.counts, other.sum_ns)
        self.before.merge(other.before)

    def _add(self, counts: list[int], sum_ns: int) -> None:
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, counts, strict=True)]
        self.sum_ns += sum_ns

    def copy(self) -> "Classic":
        """Return an independent copy."""
        twin = Classic(self.bounds_ns)
        twin.merge(self)
        return twin

    def dump(self) -> list[list[int]]:
        """Return bounds, counts, the sum as two numbers, and the samples of earlier bounds, if any."""
        before = [self.before.dump()] if self.before else []
        return [list(self.bounds_ns), list(self.counts), [*divmod(self.sum_ns, SUM_BASE)], *before]

    @classmethod
    def load(cls, data: list[list[int]], histogram: Histogram) -> "Classic":
        """Return the dumped histogram with its bounds. Raises CheckpointError if it is damaged.

        Version 0.1.0 stored no sum: it is that of `histogram`, which has the same samples. If `histogram` has more than
        is known of, the buckets restart at 0.
        """
        if not isinstance(data, list) or len(data) not in (2, 3, 4) or not all(map(_whole_numbers, data)):
            raise CheckpointError("stored histogram buckets are not lists of counts")
        bounds, counts, *others = data
        if len(counts) != len(bounds) + 1 or any(len(halves) != 2 for halves in others[:1]):
            raise CheckpointError("stored histogram buckets do not fit their bounds")
        before = Histogram.load(others[1] if len(others) == 2 else [])
        if sum(counts) + before.count != histogram.count:
            return cls(tuple(bounds), histogram.copy())
        classic = cls(tuple(bounds), before)
        classic._add(counts, others[0][0] * SUM_BASE + others[0][1] if others else histogram.sum_ns)
        return classic

    def with_bounds(self, bounds_ns: tuple[int, ...], histogram: Histogram) -> "Classic":
        """Return itself if it has these bounds, else an empty one: samples cannot move between buckets exactly.

        `histogram` has all samples until now.
        """
        return self if self.bounds_ns == bounds_ns else Classic(bounds_ns, histogram.copy())


def _sum_ns(values: NDArray[np.int64]) -> int:
    return sum(int(values[at : at + SUMMED].sum()) for at in range(0, values.size, SUMMED))


def _whole_numbers(data: object) -> bool:
    """Return whether this is a list of integers not below 0."""
    return isinstance(data, list) and all(type(number) is int and number >= 0 for number in data)
