"""The parts of a State. Each is small, mergeable, and one entry of the checkpoint.

The totals are in tallies.py; products share entries (checkpoint/products.py).

A part offers `merge` (add another part of the same kind), `copy`, `dump` (to what msgpack can hold) and `load`. Merging
equals replaying: counts add up, gauges keep the reading with the newest event time.
"""

from typing import Any, Protocol, Self

from sidecar.core.counts.depletion import Depletion
from sidecar.core.counts.histogram import BriefHistogram, Classic, Histogram
from sidecar.core.counts.minute import MinuteCounts

# The limit of a producer's counts: msgpack has 64 bits, and each event can claim that 10^12 before it were missed.
MOST = 2**63 - 1


class Part(Protocol):
    """What every part can do."""

    def merge(self, other: Self) -> None:
        """Add `other`, which happened in parallel or later."""
        ...

    def copy(self) -> Self:
        """Return an independent equal part."""
        ...

    def dump(self) -> Any:
        """Return the content as lists, dicts, numbers and strings."""
        ...

    @classmethod
    def load(cls, data: Any) -> Self:
        """Return the dumped part."""
        ...


class Timing:
    """All samples of one duration with one status: the fine histogram and the classic buckets."""

    __slots__ = ("classic", "histogram")

    def __init__(self, histogram: Histogram, classic: Classic) -> None:
        self.histogram = histogram
        self.classic = classic

    def merge(self, other: "Timing") -> None:
        self.histogram.merge(other.histogram)
        self.classic.merge(other.classic)

    def copy(self) -> "Timing":
        return Timing(self.histogram.copy(), self.classic.copy())

    def dump(self) -> Any:
        return [self.histogram.dump(), self.classic.dump()]

    @classmethod
    def load(cls, data: Any) -> "Timing":
        whole, classic = data
        histogram = Histogram.load(whole)
        return cls(histogram, Classic.load(classic, histogram))


class Slice:
    """What finished within one slice of event time; time windows are sums of slices.

    `slow` are successful orders above the threshold that the manifest of the sale has for them.
    """

    __slots__ = ("failed", "faults", "finished", "latency", "processing", "slow")

    def __init__(self) -> None:
        self.finished = 0
        self.failed = 0
        self.faults = 0
        self.slow = 0
        self.latency = BriefHistogram()
        self.processing = BriefHistogram()

    def merge(self, other: "Slice") -> None:
        self.finished += other.finished
        self.failed += other.failed
        self.faults += other.faults
        self.slow += other.slow
        self.latency.merge(other.latency)
        self.processing.merge(other.processing)

    def copy(self) -> "Slice":
        twin = Slice()
        twin.merge(self)
        return twin

    def dump(self) -> Any:
        counts = (self.finished, self.failed, self.faults)
        return [*counts, self.latency.dump(), self.processing.dump(), self.slow]

    @classmethod
    def load(cls, data: Any) -> "Slice":
        part = cls()
        part.finished, part.failed, part.faults, latency, processing, part.slow = data
        part.latency, part.processing = BriefHistogram.load(latency), BriefHistogram.load(processing)
        return part


class Minute:
    """The public per-second values of one minute.

    `finished`, `failed` and `faults` count orders, `p50` and `p99` are their latency in whole microseconds; `waiting`
    and `connections` are gauges. `counted` is 1 in each second that was counted to its end, with orders or without.
    """

    __slots__ = ("connections", "counted", "failed", "faults", "finished", "p50", "p99", "waiting")

    SUMS = ("finished", "failed", "faults")
    READINGS = ("waiting", "connections", "p50", "p99", "counted")
    TABLES = ("finished", "waiting", "connections", "failed", "faults", "p50", "p99", "counted")  # as stored

    finished: MinuteCounts
    failed: MinuteCounts
    faults: MinuteCounts
    waiting: MinuteCounts
    connections: MinuteCounts
    p50: MinuteCounts
    p99: MinuteCounts
    counted: MinuteCounts

    def __init__(self) -> None:
        for name in self.TABLES:
            setattr(self, name, MinuteCounts())

    def table(self, name: str) -> MinuteCounts:
        """Return the values of one name."""
        table: MinuteCounts = getattr(self, name)
        return table

    def merge(self, other: "Minute") -> None:
        for name in self.SUMS:
            for second, count in other.table(name).items():
                self.table(name).add(second, count)
        for name in self.READINGS:
            for second, value in other.table(name).items():
                self.table(name)[second] = value

    def cut(self, end: int) -> None:
        """Forget the seconds from `end` on."""
        for name in self.TABLES:
            self.table(name).cut(end)

    def copy(self) -> "Minute":
        twin = Minute()
        for name in self.TABLES:
            setattr(twin, name, self.table(name).copy())
        return twin

    def dump(self) -> Any:
        return [self.table(name).dump() for name in self.TABLES]

    @classmethod
    def load(cls, data: Any) -> "Minute":
        """Return the dumped minute; version 0.1.0 stored the first three tables."""
        part = cls()
        for name, stored in zip(cls.TABLES, data, strict=False):
            setattr(part, name, MinuteCounts.load(stored))
        return part


class Product:
    """Orders and units of one product, how fast it sells, and its newest stock reading."""

    __slots__ = (
        "cancelled",
        "depletion",
        "failed",
        "pending",
        "stock",
        "stock_seen",
        "stock_ts",
        "success",
        "turned_at",
        "units",
    )

    def __init__(self) -> None:
        """Start with nothing; `turned_at` is when the stock ran out, or rose again."""
        self.success = 0
        self.failed = 0
        self.pending = 0
        self.cancelled = 0
        self.units = 0
        self.depletion = Depletion()
        self.stock: int | None = None
        self.stock_ts = 0.0
        self.stock_seen = 0.0
        self.turned_at: float | None = None

    def merge(self, other: "Product") -> None:
        self.success += other.success
        self.failed += other.failed
        self.pending += other.pending
        self.cancelled += other.cancelled
        self.units += other.units
        if other.stock is not None:
            self.restock(other.stock, other.stock_ts, other.stock_seen, other.turned_at)
        self.depletion.merge(other.depletion)

    def restock(self, stock: int, ts: float, seen: float = 0.0, turned_at: float | None = None) -> None:
        """Take a stock reading that arrived at `seen`, unless a newer one is known; of equal times the last wins."""
        if self.stock is not None and (ts, seen) < (self.stock_ts, self.stock_seen):
            return
        if stock <= 0 and (self.stock is None or self.stock > 0):
            self.turned_at = ts if turned_at is None else turned_at
        elif stock > 0 and self.stock is not None and self.stock <= 0:
            self.depletion.resume(max(ts - (self.turned_at or ts), 0.0))
            self.turned_at = ts
        self.stock, self.stock_ts, self.stock_seen = stock, ts, seen

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`."""
        self.stock_ts, self.stock_seen = min(self.stock_ts, now), min(self.stock_seen, now)
        self.depletion.step(by, now)
        if self.turned_at is not None:
            self.turned_at = min(self.turned_at, now)

    def copy(self) -> "Product":
        twin = Product()  # one by one: a commit copies every product that changed
        twin.success, twin.failed, twin.pending, twin.cancelled = (
            self.success,
            self.failed,
            self.pending,
            self.cancelled,
        )
        twin.units, twin.stock, twin.stock_ts, twin.stock_seen = self.units, self.stock, self.stock_ts, self.stock_seen
        twin.depletion, twin.turned_at = self.depletion.copy(), self.turned_at
        return twin

    def dump(self) -> Any:
        counts = (self.success, self.failed, self.pending, self.cancelled, self.units)
        return [*counts, self.stock, self.stock_ts, *self.depletion.dump(), self.turned_at]

    @classmethod
    def load(cls, data: Any) -> "Product":
        part = cls()
        *counts, part.stock, part.stock_ts = data[:7]
        part.success, part.failed, part.pending, part.cancelled, part.units = counts
        part.depletion = Depletion.load(list(data[7:13]))
        part.turned_at = data[13] if len(data) == 14 else None
        return part


class Reading:
    """A gauge: a queue's five numbers, or one producer's open connections. Each number is its own newest reading.
    `times` are the event times of the numbers; `seen` is when the sender was last heard of. All in Unix seconds.
    """

    __slots__ = ("seen", "times", "values")

    def __init__(self, ts: float, values: list[int | None], seen: float | None = None) -> None:
        """Take numbers that were read together at `ts`; `None` is unknown. `seen` is `ts` by default."""
        self.values = values
        self.times = [ts] * len(values)
        self.seen = ts if seen is None else seen

    @property
    def value(self) -> int | None:
        """The number that is added up: jobs waiting, or open connections."""
        return self.values[0]

    @property
    def ts(self) -> float:
        """Return when that number was read."""
        return self.times[0]

    def merge(self, other: "Reading") -> None:
        """Take each number that is newer; of equal times the last to arrive wins."""
        lacking = [None] * (len(other.values) - len(self.values))
        values, times = [*self.values, *lacking], [*self.times, *[0.0] * len(lacking)]
        for at, (new, ts) in enumerate(zip(other.values, other.times, strict=True)):
            if new is not None and (values[at] is None or (ts, other.seen) >= (times[at], self.seen)):
                values[at], times[at] = new, ts
        self.values, self.times = values, times
        self.seen = max(self.seen, other.seen)

    def hear(self, seen: float) -> None:
        """Note that the sender was heard of."""
        self.seen = max(self.seen, seen)

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`: a reading in the future was read now."""
        self.times = [min(ts, now) for ts in self.times]
        self.seen = min(max(self.seen + by, 0.0), now)

    def copy(self) -> "Reading":
        twin = Reading(0.0, self.values)
        twin.times, twin.seen = self.times, self.seen
        return twin

    def dump(self) -> Any:
        return [self.seen, self.values, self.times]

    @classmethod
    def load(cls, data: Any) -> "Reading":
        """Return the dumped gauge; before version 0.2.0 all numbers had one time, stored as `seen`."""
        seen, values, times = data
        part = cls(seen, values)
        if times is not None:
            part.times = times
        if len(part.times) != len(values):
            raise ValueError("every number of a gauge needs its time")
        return part


class Attendance:
    """What the sequence numbers of one producer said since counting began."""

    __slots__ = ("duplicates", "missed", "received")

    def __init__(self, received: int = 0, missed: int = 0, duplicates: int = 0) -> None:
        self.received = received
        self.missed = missed
        self.duplicates = duplicates

    def merge(self, other: "Attendance") -> None:
        self.received = _storable(self.received + other.received)
        self.missed = _storable(self.missed + other.missed)
        self.duplicates = _storable(self.duplicates + other.duplicates)

    def copy(self) -> "Attendance":
        twin = Attendance()
        twin.merge(self)
        return twin

    def dump(self) -> Any:
        return [self.received, self.missed, self.duplicates]

    @classmethod
    def load(cls, data: Any) -> "Attendance":
        return cls(*data)


def _storable(count: int) -> int:
    return max(-MOST - 1, min(count, MOST))
