"""What was counted and is not committed yet: a State, and the samples and refusals that are only passed on."""

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
SAID_KEPT = 100  # of a sale: more is noise
SALES_GATHERED = 10_000
TIMES_GATHERED = 5_000  # of one kind: many cost the least each; beyond some thousands there is nothing to gain
READINGS_GATHERED = 100_000  # 25 MB: what 1,000 producers say in 100 s without a commit; beyond, history has a gap
SECONDS_GATHERED = 64  # at most: live events are of two or three seconds; a backlog is read in order


class Sample:
    """At most 100 values, drawn uniformly from all that were seen."""

    __slots__ = ("_random", "seen", "values")

    def __init__(self, random: Random) -> None:
        self._random = random
        self.seen = 0
        self.values: list[float] = []

    def add(self, values: list[float]) -> None:
        """See more values, in steps from one that is drawn to the next (algorithm L)."""
        room = SAMPLES_PER_COMMIT - len(self.values)
        self.values += values[:room]
        seen, self.seen = self.seen + len(values[:room]), self.seen + len(values)
        if self.seen <= SAMPLES_PER_COMMIT:
            return
        # Were every value to get a random key and those with the 100 smallest to stay, this is the largest of these.
        key = self._random.betavariate(SAMPLES_PER_COMMIT, seen - SAMPLES_PER_COMMIT + 1)
        at = room - 1 + self._step(key)
        while at < len(values):
            del self.values[self._random.randrange(SAMPLES_PER_COMMIT)]  # the newest stays last
            self.values.append(values[at])
            key *= self._random.random() ** (1 / SAMPLES_PER_COMMIT)
            at += self._step(key)

    def _step(self, key: float) -> int:
        """Draw how far it is to the next value whose key is smaller."""
        return int(log(1 - self._random.random()) / log1p(-key)) + 1 if key < 1 else 1

    def merge(self, other: "Sample") -> None:
        """Draw from both in proportion to what each has seen; what `other` saw came later."""
        if not other.seen:
            return
        mine, theirs = len(self.values), len(other.values)
        seen = self.seen + other.seen
        if seen > SAMPLES_PER_COMMIT:
            mine = sum(place < self.seen for place in self._random.sample(range(seen), SAMPLES_PER_COMMIT))
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

    `sales` counts orders of one product by (status, product, quantity), where the product is `None` for an order
    without one; `several` those of several products by status, and `lines` what they are made of, as `sales` does.
    `times` gathers milliseconds by (duration, status) until they are counted into `whole` together.
    """

    __slots__ = ("lines", "sales", "several", "times", "whole")

    def __init__(self) -> None:
        self.whole = Slice()
        self.sales: Counter[tuple[Status, str | None, int]] = Counter()
        self.several: Counter[str] = Counter()
        self.lines: Counter[tuple[Status, str | None, int]] = Counter()
        self.times: defaultdict[tuple[str, Status], list[float]] = defaultdict(list)


class Pending:
    """Everything one source contributed since the last freeze.

    The orders of a second gather in `seconds`; they are folded (counting.py) into the products, totals, windows and
    history they belong to once for many batches.
    """

    __slots__ = (
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
        "sold",
        "state",
    )

    def __init__(self, random: Random) -> None:
        self.state = State()
        self.seconds: dict[int, Second] = {}
        self.shown: defaultdict[tuple[str, Status], Shown] = defaultdict(Shown)
        self.followed = False  # whether any order was pending
        self.dated = Lately()  # what of it is in `state.lately`
        self.level = 0  # change in orders in flight (in_flight.py), with those not folded yet
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
        """Whether it is time to fold: what gathers under foreign names must not grow however late a commit comes."""
        return (
            max(count(self.queue_seconds), count(self.connection_seconds)) > READINGS_GATHERED
            or any(len(cell.sales) + len(cell.lines) > SALES_GATHERED for cell in self.seconds.values())
            or sum(map(len, self.state.said.values())) > 2 * MOST_SAID
        )

    def merge(self, later: "Pending") -> None:
        """Add what came later to what is folded."""
        self.seconds, self.shown = later.seconds, later.shown
        self.state.merge(later.state)
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

    def date(self, now: float, grace: float) -> None:
        """Enter what is newly received and missed into its second; what is missed was shown `grace` seconds ago."""
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
