"""The State: every count, keyed so that it can be merged, stored and loaded part by part.

One State holds what is committed, others what is pending; a flight carries the parts that change, in absolute
values. `fields` and `load` translate to the fields of the stored checkpoint: `c:<section>:<key>`, and for products
the blocks of blocks.py.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from msgspec import Struct

from sidecar.core import blocks, memory
from sidecar.core.fields import COUNTS, deflated, field, inflated, pack, reading
from sidecar.core.histogram import Classic, Histogram
from sidecar.core.lately import KEPT_SECONDS, Lately
from sidecar.core.memory import MOST_ENDED, MOST_SAID, Ended, Said, forgotten
from sidecar.core.parts import Attendance, Minute, Part, Product, Reading, Slice, Timing
from sidecar.core.stored import decode, place, seal, unseal
from sidecar.core.totals import Totals
from sidecar.core.watch import Sign
from sidecar.errors import CheckpointError

OTHER = "__other__"
CLEARED_AT = "cleared_at"  # field of the checkpoint: when it was last cleared, in Unix seconds
HISTORY_SECONDS = 3600
AHEAD_SECONDS = 2.0  # how far an event may be ahead: well-kept clocks agree within this
MAX_PRODUCERS = 1000
CONNECTION_SECONDS = 60  # a producer that has been silent for so long no longer counts


class Rules(Struct, frozen=True, kw_only=True):
    """What the configuration says about counting."""

    products: tuple[str, ...] = ()
    refusals: frozenset[str] = frozenset({"sold_out", "limit_reached", "duplicate", "payment_declined"})
    currency: str = "XXX"
    count_repeats: bool = False
    buckets_ns: tuple[int, ...] = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000)
    max_products: int = 1000
    max_reasons: int = 100
    max_queues: int = 100
    max_currencies: int = 20
    max_types: int = 100
    max_producers: int = MAX_PRODUCERS
    new_series_hold: float = 12.0
    commit_interval: float = 0.5


class Ring(Struct, frozen=True):
    """One window: so many slices of so many seconds."""

    section: str
    width: int
    slices: int

    @property
    def seconds(self) -> int:
        """The length of the window."""
        return self.width * self.slices

    def oldest(self, now: float, commit_interval: float) -> float:
        """Return the time before which no window that is shown begins: it ends with a second that is committed."""
        return now - commit_interval - self.seconds - 3 * self.width


RINGS = {"10s": Ring("slices1", 1, 10), "1m": Ring("slices5", 5, 12), "5m": Ring("slices10", 10, 30)}

_PARTS: dict[str, type[Part]] = {
    "totals": Totals,
    "timings": Timing,
    "slices1": Slice,
    "slices5": Slice,
    "slices10": Slice,
    "minutes": Minute,
    "products": Product,
    "queues": Reading,
    "connections": Reading,
    "producers": Attendance,
    "signs": Sign,
    "lately": Lately,
    "said": Said,
    "ended": Ended,
}
_DEFLATED = frozenset({"timings", "slices1", "slices5", "slices10", "ended"})  # histograms: a third smaller


class State:
    """All counts. Sections are dicts of parts; those by time are keyed by the Unix second they begin at."""

    __slots__ = tuple(_PARTS)

    def __init__(self) -> None:
        self.totals: dict[str, Totals] = {"": Totals()}  # always this one part
        self.timings: dict[str, Timing] = {}  # latency:success, latency:failed, processing:...
        self.slices1: dict[int, Slice] = {}
        self.slices5: dict[int, Slice] = {}
        self.slices10: dict[int, Slice] = {}
        self.minutes: dict[int, Minute] = {}
        self.products: dict[str, Product] = {}
        self.queues: dict[str, Reading] = {}
        self.connections: dict[str, Reading] = {}
        self.producers: dict[str, Attendance] = {}
        self.signs: dict[str, Sign] = {}
        self.lately: dict[int, Lately] = {}
        self.said: dict[int, Said] = {}
        self.ended: dict[int, Ended] = {}

    def sections(self) -> Iterator[tuple[str, dict[Any, Any]]]:
        """Yield every section with its parts."""
        for name in _PARTS:
            yield name, getattr(self, name)

    @property
    def total(self) -> Totals:
        """The plain counts."""
        return self.totals[""]

    def timing(self, duration: str, status: str, buckets_ns: tuple[int, ...]) -> Timing:
        """Return the samples of `latency` or `processing` with a status, made when first needed."""
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
        """Return the totals and the parts that `deltas` touch as they will be: absolute, independent of this State."""
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
        """Empty the classic buckets that were counted with other bounds; return the keys of their timings."""
        others = {key: part for key, part in self.timings.items() if part.classic.bounds_ns != buckets_ns}
        for timing in others.values():
            timing.classic = timing.classic.with_bounds(buckets_ns)
        return set(others)

    def expired(self, now: float, commit_interval: float) -> list[tuple[str, Any]]:
        """Name the parts, as (section, key), that no window, history or gauge needs any more."""
        gone: list[tuple[str, Any]] = []
        for ring in RINGS.values():
            oldest = ring.oldest(now, commit_interval)
            gone += [(ring.section, start) for start in getattr(self, ring.section) if start < oldest]
        gone += [("said", second) for second in forgotten(self.said, now, MOST_SAID)]
        gone += [("ended", second) for second in forgotten(self.ended, now, MOST_ENDED)]
        gone += [("lately", second) for second in self.lately if second < now - KEPT_SECONDS]
        gone += [("minutes", start) for start in self.minutes if start < now - HISTORY_SECONDS - 60]
        gone += [("connections", key) for key, part in self.connections.items() if part.seen < now - CONNECTION_SECONDS]
        return gone

    def step(self, by: float, now: float) -> list[tuple[str, Any]]:
        """Follow a clock that was set by `by` seconds, to `now`; return the removed parts, as (section, key).

        Slices and seconds that now lie in the future come again and are then counted from 0. A step of less than a
        second removes none of them, nor does any step remove what may be ahead. What is remembered of orders moves
        with the clock; the seconds that it left are among those returned.
        """
        end = int(now) if by <= -1 else int(now + AHEAD_SECONDS) + 1
        names = (*(ring.section for ring in RINGS.values()), "minutes", "lately")
        gone = [(name, start) for name in names for start in getattr(self, name) if start >= end]
        self.remove(gone)
        for name in memory.SECTIONS:
            gone += [(name, second) for second in memory.step(getattr(self, name), by, now)]
        for minute in self.minutes.values():
            minute.cut(end)
        self.total.step(by, now)
        for product in self.products.values():
            product.step(by, now)
        for part in (*self.queues.values(), *self.connections.values()):
            part.step(by, now)
        for sign in self.signs.values():
            sign.step(by, now)
        return gone

    def remove(self, names: list[tuple[str, Any]]) -> None:
        """Forget the parts named."""
        for name, key in names:
            getattr(self, name).pop(key, None)

    def fields(self, committed: "State | None" = None) -> dict[str, bytes]:
        """Return every part as a field of the checkpoint; products with the others of their block in `committed`."""
        found = blocks.dump(self.products, committed.products if committed else {})
        for name, parts in self.sections():
            if name != blocks.NUMBERS:
                encode = deflated if name in _DEFLATED else pack
                found.update((field(name, key), encode(part.dump())) for key, part in parts.items())
        return {name: seal(name, value) for name, value in found.items()}

    @classmethod
    def load(cls, fields: Mapping[str, bytes]) -> "State":
        """Read the counts of a checkpoint: its `c:` fields, or nothing since a clear that nobody committed after.

        Raises CheckpointError if one of them is damaged.
        """
        state = cls()
        counts = {name: unseal(name, value) for name, value in fields.items() if name.startswith(COUNTS)}
        state.products = blocks.load(counts)
        for name, value in counts.items():
            if not blocks.is_block(name):
                with reading(name):
                    section, key = place(name)
                    part = _PARTS[section].load(decode(section, inflated(value) if section in _DEFLATED else value))
                    getattr(state, section)[key] = part
        cleared_at = _moment(fields[CLEARED_AT]) if CLEARED_AT in fields else None
        if state.total.committed_at is None:
            state.total.since = state.total.committed_at = cleared_at
        state.total.write_off()  # version 0.1.0 stored what is below 0 in flight
        return state


def _moment(text: bytes) -> float:
    """Return the time of a clear."""
    if not re.fullmatch(rb"[0-9]{1,12}(\.[0-9]{1,9})?", text):
        raise CheckpointError(f"checkpoint field {CLEARED_AT!r} is damaged")
    return float(text)
