"""What was counted and is not committed yet: a State, and samples and rejected events."""

from collections import Counter, defaultdict, deque
from math import log, log1p
from random import Random

from msgspec import Struct

from sidecar.core.counts.exemplars import Shown
from sidecar.core.counts.last_minute import Lately, enter
from sidecar.core.counts.order_memory import MOST_SAID
from sidecar.core.counts.parts import Slice
from sidecar.core.counts.readings import BySecond, count, forget, keep_all, step, thin
from sidecar.core.counts.rules import HISTORY_SECONDS
from sidecar.core.counts.sale import Announcement, Span, joined
from sidecar.core.counts.state import State
from sidecar.core.events.event import Status

SAMPLES_PER_COMMIT = 100
REJECTED_KEPT = 100
SAID_KEPT = 100  # announcements: more are noise
CELLS_KEPT = 600  # seconds of 10 KB; while no commit succeeds, or of a long backlog
SALES_GATHERED = 10_000
TIMES_GATHERED = 5_000  # of one kind: counting many at once is cheap, but no cheaper beyond some thousands
READINGS_GATHERED = 100_000  # 25 MB: of 1,000 producers in 100 s without a commit; beyond, the history has a gap
SECONDS_GATHERED = 64  # live events are of two or three seconds, and a backlog is read in order


class Sample:
    """At most 100 values, drawn uniformly from all values seen."""

    __slots__ = ("_random", "seen", "values")

    def __init__(self, random: Random) -> None:
        self._random = random
        self.seen = 0
        self.values: list[float] = []

    def add(self, values: list[float]) -> None:
        """Add values, stepping from each drawn one to the next (algorithm L)."""
        room = SAMPLES_PER_COMMIT - len(self.values)
        self.values += values[:room]
        seen, self.seen = self.seen + len(values[:room]), self.seen + len(values)
        if self.seen <= SAMPLES_PER_COMMIT:
            return
        # If every value had a random key, and the 100 values with the smallest keys stayed, this would be the largest.
        key = self._random.betavariate(SAMPLES_PER_COMMIT, seen - SAMPLES_PER_COMMIT + 1)
        at = room - 1 + self._step(key)
        while at < len(values):
            del self.values[self._random.randrange(SAMPLES_PER_COMMIT)]  # the newest stays last
            self.values.append(values[at])
            key *= self._random.random() ** (1 / SAMPLES_PER_COMMIT)
            at += self._step(key)

    def _step(self, key: float) -> int:
        """Draw the distance to the next value with a smaller key."""
        return int(log(1 - self._random.random()) / log1p(-key)) + 1 if key < 1 else 1

    def merge(self, other: "Sample") -> None:
        """Draw from both in proportion to what they have seen; the values of `other` came later."""
        if not other.seen:
            return
        mine, theirs = len(self.values), len(other.values)
        seen = self.seen + other.seen
        if seen > SAMPLES_PER_COMMIT:
            mine = sum(index < self.seen for index in self._random.sample(range(seen), SAMPLES_PER_COMMIT))
            theirs = SAMPLES_PER_COMMIT - mine
        self.values = self._drawn(self.values, mine) + self._drawn(other.values, theirs)
        self.seen = seen

    def copy(self) -> "Sample":
        """Return an independent equal sample."""
        twin = Sample(self._random)
        twin.seen, twin.values = self.seen, list(self.values)
        return twin

    def _drawn(self, values: list[float], count: int) -> list[float]:
        """Draw `count` of the values, in their order."""
        return [values[at] for at in sorted(self._random.sample(range(len(values)), count))]


class RejectedEvent(Struct, frozen=True):
    """One rejected payload, as `sidecar rejected` shows it; `time` in Unix seconds."""

    time: float
    source: str
    reason: str
    detail: str
    payload: str


class Second:
    """The orders of one second of event time.

    `sales` counts orders of one product, or none (`None`), by (status, product, quantity). `several` counts orders of
    several products by status, `lines` their items like `sales`. `times` gathers milliseconds by (duration, status)
    until they are counted into `whole`.
    """

    __slots__ = ("lines", "sales", "several", "times", "whole")

    def __init__(self) -> None:
        self.whole = Slice()
        self.sales: Counter[tuple[Status, str | None, int]] = Counter()
        self.several: Counter[str] = Counter()
        self.lines: Counter[tuple[Status, str | None, int]] = Counter()
        self.times: defaultdict[tuple[str, Status], list[float]] = defaultdict(list)


class Pending:
    """Everything that one source contributed since the last freeze.

    The orders of a second gather in `seconds`; once for many batches they are folded (tally.py) into products, totals,
    time windows and history.
    """

    __slots__ = (
        "cells",
        "connection_seconds",
        "dated",
        "followed",
        "heard",
        "latency",
        "level",
        "placed",
        "processing",
        "queue_seconds",
        "rejected",
        "said",
        "seconds",
        "shown",
        "slow_ns",
        "sold",
        "state",
    )

    def __init__(self, random: Random, slow_ns: int | None = None) -> None:
        """`slow_ns`: how long a successful order may take, if the sale has a rule for that."""
        self.slow_ns = slow_ns
        self.state = State()
        self.seconds: dict[int, Second] = {}
        self.cells: dict[int, Slice] = {}  # what finished, by second, until the phases of these seconds are known
        self.shown: defaultdict[tuple[str, Status], Shown] = defaultdict(Shown)
        self.followed = False  # whether any order was pending
        self.dated = Lately()  # the part of it that is in `state.lately`
        self.level = 0  # change in orders in flight (in_flight.py), including orders that are not folded yet
        self.latency = Sample(random)
        self.processing = Sample(random)
        self.rejected: deque[RejectedEvent] = deque(maxlen=REJECTED_KEPT)
        self.queue_seconds: BySecond = {}
        self.connection_seconds: BySecond = {}
        self.heard = False  # whether anything came
        self.placed: Span | None = None  # orders that were not cancelled
        self.sold: Span | None = None  # those that succeeded
        self.said: deque[Announcement] = deque(maxlen=SAID_KEPT)

    @property
    def is_full(self) -> bool:
        """Whether it must be folded, to bound what gathers under arbitrary names while no commit succeeds."""
        return (
            max(count(self.queue_seconds), count(self.connection_seconds)) > READINGS_GATHERED
            or any(len(cell.sales) + len(cell.lines) > SALES_GATHERED for cell in self.seconds.values())
            or sum(map(len, self.state.said.values())) > 2 * MOST_SAID
        )

    def merge(self, later: "Pending") -> None:
        """Add what came later; this one must be folded."""
        self.seconds, self.shown = later.seconds, later.shown
        self.state.merge(later.state)
        for second, whole in later.cells.items():
            self.keep(second, whole)
        self.dated.merge(later.dated)
        self.level += later.level
        self.followed |= later.followed
        self.latency.merge(later.latency)
        self.processing.merge(later.processing)
        self.rejected.extend(later.rejected)
        keep_all(self.queue_seconds, later.queue_seconds)
        keep_all(self.connection_seconds, later.connection_seconds)
        self.heard |= later.heard
        self.placed, self.sold = joined(self.placed, later.placed), joined(self.sold, later.sold)
        self.said.extend(later.said)

    def keep(self, second: int, whole: Slice) -> None:
        """Keep what finished in a second for its phase; of many seconds, by the minute."""
        if second not in self.cells and len(self.cells) >= CELLS_KEPT:
            second -= second % 60
        if second in self.cells:
            self.cells[second].merge(whole)
        else:
            self.cells[second] = whole

    def date(self, now: float, grace: float) -> None:
        """Add newly received and missed events to their seconds; missed ones were shown `grace` seconds ago."""
        tallies, dated = self.state.total.tallies, self.dated
        received = tallies["received"].total() - dated.received
        missed = tallies["missed"].total() - tallies["recovered"].total() - dated.missed
        enter(self.state.lately, int(now), received=received)
        enter(self.state.lately, int(now - grace), missed=missed)
        dated.merge(Lately(received, missed))

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`; all seconds must be folded."""
        self.state.step(by, now)
        step(self.queue_seconds, by, now)
        step(self.connection_seconds, by, now)

    def forget(self, now: float, commit_interval: float) -> None:
        """Drop what will never be shown."""
        self.state.remove(self.state.expired(now, commit_interval))
        for seconds in (self.queue_seconds, self.connection_seconds):
            forget(seconds, now - HISTORY_SECONDS)
            if count(seconds) > READINGS_GATHERED:
                thin(seconds, READINGS_GATHERED // 2)
