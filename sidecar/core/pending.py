"""What was counted and is not committed yet: a State, and the samples and refusals that are only passed on."""

from collections import deque
from random import Random

from msgspec import Struct

from sidecar.core.gauges import BySecond, forget, keep_all
from sidecar.core.state import HISTORY_SECONDS, State

SAMPLES_PER_COMMIT = 100
REJECTED_KEPT = 100


class Sample:
    """At most 100 values, drawn uniformly from all that were seen."""

    __slots__ = ("_random", "seen", "values")

    def __init__(self, random: Random) -> None:
        self._random = random
        self.seen = 0
        self.values: list[float] = []

    def add(self, value: float) -> None:
        """See one more value (algorithm R)."""
        self.seen += 1
        if len(self.values) < SAMPLES_PER_COMMIT:
            self.values.append(value)
        else:
            place = int(self._random.random() * self.seen)
            if place < SAMPLES_PER_COMMIT:
                del self.values[place]  # the newest stays last
                self.values.append(value)

    def merge(self, other: "Sample") -> None:
        """Draw from both in proportion to what each has seen; what `other` saw came later."""
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


class Refused(Struct, frozen=True):
    """One refused payload, as `sidecar rejected` shows it; `time` in Unix seconds."""

    time: float
    source: str
    reason: str
    detail: str
    payload: str


class Pending:
    """Everything one kind of source contributed since the last freeze."""

    __slots__ = ("connection_seconds", "latency", "processing", "queue_seconds", "refused", "state")

    def __init__(self, random: Random) -> None:
        self.state = State()
        self.latency = Sample(random)
        self.processing = Sample(random)
        self.refused: deque[Refused] = deque(maxlen=REJECTED_KEPT)
        self.queue_seconds: BySecond = {}
        self.connection_seconds: BySecond = {}

    def merge(self, later: "Pending") -> None:
        """Add what came later."""
        self.state.merge(later.state)
        self.latency.merge(later.latency)
        self.processing.merge(later.processing)
        self.refused.extend(later.refused)
        keep_all(self.queue_seconds, later.queue_seconds)
        keep_all(self.connection_seconds, later.connection_seconds)

    def forget(self, now: float, commit_interval: float) -> None:
        """Drop what will never be shown, so that memory stays bounded however long no commit succeeds."""
        self.state.remove(self.state.expired(now, commit_interval))
        forget(self.queue_seconds, now - HISTORY_SECONDS)
        forget(self.connection_seconds, now - HISTORY_SECONDS)
