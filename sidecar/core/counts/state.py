"""The State: every count, keyed so that it can be merged, stored and loaded part by part.

One State has what is committed, others what is pending; a flight has the parts that change, with absolute values.
"""

from collections.abc import Collection, Iterator
from typing import Any

from msgspec import Struct

from sidecar.core.counts import order_memory
from sidecar.core.counts.custom_series import CustomSeries
from sidecar.core.counts.histogram import Classic, Histogram
from sidecar.core.counts.last_minute import KEPT_SECONDS, Lately
from sidecar.core.counts.liveness import Sign
from sidecar.core.counts.order_memory import MOST_ENDED, MOST_SAID, Ended, Said, forgotten
from sidecar.core.counts.parts import Attendance, Minute, Product, Reading, Slice, Timing
from sidecar.core.counts.phases import PhasePart
from sidecar.core.counts.queue_read import QueueRead
from sidecar.core.counts.rules import AHEAD_SECONDS, CONNECTION_SECONDS, HISTORY_SECONDS
from sidecar.core.counts.sale_record import SalePart
from sidecar.core.counts.slo_alert import SloPart
from sidecar.core.counts.tallies import Totals


class Ring(Struct, frozen=True):
    """A time window: `slices` slices of `width` seconds."""

    section: str
    width: int
    slices: int

    @property
    def seconds(self) -> int:
        """The length of the window."""
        return self.width * self.slices

    def oldest(self, now: float, commit_interval: float) -> float:
        """Return a time before which no shown window begins: windows end with a committed second."""
        return now - commit_interval - self.seconds - 3 * self.width


RINGS = {"10s": Ring("slices1", 1, 10), "1m": Ring("slices5", 5, 12), "5m": Ring("slices10", 10, 30)}


class State:
    """All counts. Sections are dicts of parts; those by time are keyed by the Unix second at which they begin."""

    __slots__ = (
        "connections",
        "custom",
        "ended",
        "lately",
        "minutes",
        "phase_counts",
        "phases",
        "producers",
        "products",
        "queues",
        "reads",
        "said",
        "sales",
        "signs",
        "slices1",
        "slices5",
        "slices10",
        "slos",
        "timings",
        "totals",
    )

    def __init__(self) -> None:
        self.totals: dict[str, Totals] = {"": Totals()}  # always one part
        self.timings: dict[str, Timing] = {}  # latency:success, latency:failed, processing:...
        self.slices1: dict[int, Slice] = {}
        self.slices5: dict[int, Slice] = {}
        self.slices10: dict[int, Slice] = {}
        self.minutes: dict[int, Minute] = {}
        self.products: dict[str, Product] = {}
        self.queues: dict[str, Reading] = {}
        self.reads: dict[str, QueueRead] = {}
        self.connections: dict[str, Reading] = {}
        self.producers: dict[str, Attendance] = {}
        self.signs: dict[str, Sign] = {}
        self.lately: dict[int, Lately] = {}
        self.said: dict[int, Said] = {}
        self.ended: dict[int, Ended] = {}
        self.custom: dict[str, CustomSeries] = {}
        self.phases: dict[str, PhasePart] = {}  # at most one part, ""
        self.phase_counts: dict[str, Slice] = {}  # number:phase
        self.slos: dict[str, SloPart] = {}  # by the name of the SLO
        self.sales: dict[str, SalePart] = {}  # by the id of the sale, "" for one without

    def sections(self) -> Iterator[tuple[str, dict[Any, Any]]]:
        """Yield every section with its parts."""
        for name in self.__slots__:
            yield name, getattr(self, name)

    @property
    def total(self) -> Totals:
        """The plain counts."""
        return self.totals[""]

    def timing(self, duration: str, status: str, buckets_ns: tuple[int, ...]) -> Timing:
        """Return the samples of `latency` or `processing` with a status, created on first use."""
        key = f"{duration}:{status}"
        if key not in self.timings:
            self.timings[key] = Timing(Histogram(), Classic(buckets_ns))
        return self.timings[key]

    def merge(self, other: "State", *, leave_out: Collection[str] = ()) -> None:
        """Add what `other` counted, except the sections to leave out."""
        for name, parts in other.sections():
            if name in leave_out:
                continue
            mine = getattr(self, name)
            for key, part in parts.items():
                if key in mine:
                    mine[key].merge(part)
                else:
                    mine[key] = part.copy()

    def changed_by(self, *deltas: "State") -> "State":
        """Return the totals, and the parts that `deltas` change, with their new absolute values, as copies."""
        result = State()
        result.totals = {"": self.total.copy()}
        for delta in deltas:
            for name, parts in delta.sections():
                mine, merged = getattr(self, name), getattr(result, name)
                for key, part in parts.items():
                    if key not in merged and key in mine:
                        merged[key] = mine[key].copy()
                    if key in merged:
                        merged[key].merge(part)
                    else:
                        merged[key] = part.copy()
        for product in result.products.values():
            product.depletion.settle()
        return result

    def replace(self, newer: "State") -> None:
        """Take over the absolute parts of `newer`, which must not be used afterwards."""
        for name, parts in newer.sections():
            getattr(self, name).update(parts)

    def fit(self, buckets_ns: tuple[int, ...]) -> set[str]:
        """Empty classic buckets with other bounds; return the keys of their timings."""
        others = {key: part for key, part in self.timings.items() if part.classic.bounds_ns != buckets_ns}
        for timing in others.values():
            timing.classic = timing.classic.with_bounds(buckets_ns, timing.histogram)
        return set(others)

    def expired(self, now: float, commit_interval: float) -> list[tuple[str, Any]]:
        """Return the parts, as (section, key), that no window, history or gauge needs any more."""
        gone: list[tuple[str, Any]] = []
        for ring in RINGS.values():
            oldest = ring.oldest(now, commit_interval)
            gone += [(ring.section, start) for start in getattr(self, ring.section) if start < oldest]
        gone += [("said", second) for second in forgotten(self.said, now, MOST_SAID)]
        gone += [("ended", second) for second in forgotten(self.ended, now, MOST_ENDED)]
        gone += [("lately", second) for second in self.lately if second < now - KEPT_SECONDS]
        gone += [("minutes", start) for start in self.minutes if start < now - HISTORY_SECONDS - 60]
        gone += [("reads", key) for key, part in self.reads.items() if part.reading.at < now - HISTORY_SECONDS]
        gone += [("connections", key) for key, part in self.connections.items() if part.seen < now - CONNECTION_SECONDS]
        return gone

    def step(self, by: float, now: float) -> list[tuple[str, Any]]:
        """Follow a clock that was set by `by` seconds, to `now`; return the removed parts, as (section, key).

        Slices and seconds that now lie in the future are removed: their time comes again. A step of less than a second
        removes none, nor does any step remove what may be ahead. Remembered orders move with the clock; the seconds
        that they left are returned, too.
        """
        end = int(now) if by <= -1 else int(now + AHEAD_SECONDS) + 1
        names = (*(ring.section for ring in RINGS.values()), "minutes", "lately")
        gone = [(name, start) for name in names for start in getattr(self, name) if start >= end]
        self.remove(gone)
        for name in order_memory.REMEMBERED:
            gone += [(name, second) for second in order_memory.step(getattr(self, name), by, now)]
        for minute in self.minutes.values():
            minute.cut(end)
        self.total.step(by, now)
        for product in self.products.values():
            product.step(by, now)
        for part in (*self.queues.values(), *self.connections.values()):
            part.step(by, now)
        for read in self.reads.values():
            read.step(by, now)
        for sign in self.signs.values():
            sign.step(by, now)
        for series in self.custom.values():
            series.step(by, now)
        for progress in self.phases.values():
            progress.step(now)
        return gone

    def remove(self, names: list[tuple[str, Any]]) -> None:
        """Remove parts, given as (section, key)."""
        for name, key in names:
            getattr(self, name).pop(key, None)
