"""Exemplars: for every histogram bucket, one order of those that fell into it between two commits."""

from bisect import bisect_left, bisect_right
from operator import attrgetter

from msgspec import Struct

from sidecar.core.counts.histogram import NS_PER_MS, NS_PER_SECOND
from sidecar.core.events.event import Event

# OpenMetrics 1.0 allows 128 for names and values together; with a longer one the whole scrape fails.
CHARACTERS = 110
# Characters that would be escaped: a quote in an exemplar makes prometheus-client's parser fail the scrape.
UNREADABLE = frozenset('"\\\n')
# Prometheus ignores an exemplar that is older than the last one, or of the same millisecond.
NEWER_SECONDS = 0.001


class Exemplar(Struct, frozen=True):
    """One order that fell into a bucket."""

    labels: dict[str, str]
    value_seconds: float
    ts: float


Exemplars = dict[tuple[str, str, int], Exemplar]  # by duration, status and bucket


class Shown:
    """The buckets of one duration and status that were checked since the last commit.

    Durations between `low_ms` and `high_ms` fall into such buckets, so for most batches it is enough to compare the
    smallest and the largest duration.
    """

    __slots__ = ("buckets", "high_ms", "low_ms")

    def __init__(self) -> None:
        self.buckets: set[int] = set()
        self.low_ms = self.high_ms = 0.0

    def lacking(self, values_ms: list[float], bounds_ns: tuple[int, ...]) -> set[int]:
        """Return the unchecked buckets that these durations fall into."""
        if self.low_ms < min(values_ms) and max(values_ms) <= self.high_ms:
            return set()
        ordered = sorted(values_ms)
        ends = [0, *(bisect_right(ordered, bound / NS_PER_MS) for bound in bounds_ns), len(ordered)]
        return {at for at in range(len(bounds_ns) + 1) if ends[at] < ends[at + 1]} - self.buckets

    def add(self, buckets: set[int], bounds_ns: tuple[int, ...]) -> None:
        """Mark these buckets as checked."""
        self.buckets |= buckets
        first, last = _longest_run(self.buckets)
        bounds_ms = [bound / NS_PER_MS for bound in bounds_ns]
        self.low_ms = bounds_ms[first - 1] if first else -1.0
        self.high_ms = bounds_ms[last] if last < len(bounds_ms) else float("inf")


def exemplify(
    exemplars: Exemplars, timed: tuple[str, str], orders: list[Event], buckets: set[int], bounds_ns: tuple[int, ...]
) -> None:
    """Make the newest order of each of these buckets its exemplar; `timed` is (duration, status)."""
    duration_ms = attrgetter(f"{timed[0]}_ms")
    wanted = set(buckets)
    for order in reversed(orders):
        if not wanted:
            break
        if (value_ms := duration_ms(order)) is not None:
            ns = round(value_ms * NS_PER_MS)
            bucket = bisect_left(bounds_ns, ns)
            if bucket in wanted and (labels := _labels(order)):
                wanted.remove(bucket)
                _renew(exemplars, (*timed, bucket), Exemplar(labels, ns / NS_PER_SECOND, order.ts or 0.0))


def _renew(exemplars: Exemplars, key: tuple[str, str, int], found: Exemplar) -> None:
    known = exemplars.get(key)
    if known is None or found.ts >= known.ts + NEWER_SECONDS:
        exemplars[key] = found


def _longest_run(numbers: set[int]) -> tuple[int, int]:
    """Return the first and last of the longest run of consecutive numbers."""
    best = run = (0, -1)
    for number in sorted(numbers):
        run = (run[0], number) if number == run[1] + 1 else (number, number)
        best = max(best, run, key=lambda ends: ends[1] - ends[0])
    return best


def _labels(order: Event) -> dict[str, str]:
    for name in ("trace_id", "order_id"):
        value = getattr(order, name)
        if value and len(value) <= CHARACTERS and UNREADABLE.isdisjoint(value):
            return {name: value}
    return {}
