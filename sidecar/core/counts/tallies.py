"""The totals: the plain counts of a State, by name and label."""

from collections import Counter
from typing import Any

from msgspec.structs import astuple

from sidecar.core.counts.sale import Sale, merged

# Each is a Counter by label: a status, a reason, a source and so on, "" if there is none.
TALLIES = (
    "orders",
    "refusals",
    "faults",
    "revenue_micros",
    "received",
    "missed",
    "recovered",
    "blind_ms",
    "invalid",
    "ignored",
    "adjusted",
    "overflow",
    "duplicates",
    "twice",
    "late",
    "repeats",
    "beside",
    "overtaken",
)


class Totals:
    """All plain counts, the peak, when counting began and was last committed, and the sale.

    `commit_interval` is in seconds, `None` where version 0.1.0 or older stored it. `announced` is the `unique_id` of
    the last announcement of a sale that was taken from Redis.
    """

    __slots__ = ("announced", "commit_interval", "committed_at", "peak", "peak_at", "sale", "since", "tallies")

    def __init__(self) -> None:
        self.tallies: dict[str, Counter[str]] = {name: Counter() for name in TALLIES}
        self.since: float | None = None
        self.committed_at: float | None = None
        self.commit_interval: float | None = None
        self.peak = 0
        self.peak_at: int | None = None
        self.sale = Sale()
        self.announced = ""

    @property
    def missed(self) -> int:
        """How many events are missed and not recovered."""
        return self.tallies["missed"].total() - self.recovered.total()

    @property
    def recovered(self) -> Counter[str]:
        """How many missed events were recovered, by source, never more than were missed.

        Version 0.1.0 stored more, if events that were missed before a clear came after it.
        """
        missed = self.tallies["missed"]
        return Counter({source: min(n, missed[source]) for source, n in self.tallies["recovered"].items()})

    @property
    def in_flight(self) -> int:
        """How many orders are pending and undecided (in_flight.py)."""
        orders = self.tallies["orders"]
        ended = orders["success"] + orders["failed"] + orders["cancelled"] - self.tallies["beside"].total()
        return orders["pending"] - self.tallies["overtaken"].total() - ended

    def write_off(self) -> None:
        """Attribute a negative number in flight to decided orders that were never seen as pending."""
        if self.in_flight < 0:
            self.tallies["beside"]["unseen"] -= self.in_flight

    def merge(self, other: "Totals") -> None:
        for name, tally in other.tallies.items():
            self.tallies[name].update(tally)
        if other.since is not None and (self.since is None or other.since < self.since):
            self.since = other.since
        if other.committed_at is not None and (self.committed_at is None or other.committed_at > self.committed_at):
            self.committed_at = other.committed_at
        if other.commit_interval is not None:
            self.commit_interval = max(self.commit_interval or 0.0, other.commit_interval)
        if other.peak_at is not None:
            self.reach(other.peak, other.peak_at)
        self.sale = merged(self.sale, other.sale)
        self.announced = self.announced or other.announced

    def reach(self, finished: int, second: int) -> None:
        """Compare a second with the peak; of equal ones the first is the peak, in whatever order they come."""
        if finished > self.peak or (finished == self.peak and self.peak_at is not None and second < self.peak_at):
            self.peak, self.peak_at = finished, second

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`. A start that was in the future before stays."""
        if self.since is not None and self.since <= now - by:
            self.since = max(self.since + by, 0.0)
        if self.committed_at is not None:
            self.committed_at = min(self.committed_at, now)
        if self.peak_at is not None:
            self.peak_at = min(self.peak_at, int(now))
        self.sale = self.sale.step(now)

    def copy(self) -> "Totals":
        twin = Totals()
        twin.merge(self)
        return twin

    def dump(self) -> Any:
        # As text: the millionths of a large revenue exceed the 64 bits of msgpack.
        tallies = {name: {k: str(n) for k, n in tally.items()} for name, tally in self.tallies.items() if tally}
        times = [self.since, self.committed_at, self.peak, self.peak_at, self.commit_interval]
        return [tallies, *times, list(astuple(self.sale)), self.announced]

    @classmethod
    def load(cls, data: Any) -> "Totals":
        totals = cls()
        tallies, totals.since, totals.committed_at, totals.peak, totals.peak_at, totals.commit_interval = data[:6]
        known, totals.announced = data[6:]
        totals.sale = Sale(*known) if known else Sale()
        for name in TALLIES:
            totals.tallies[name].update({label: int(count) for label, count in tallies.get(name, {}).items()})
        return totals
