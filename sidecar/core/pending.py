"""What was counted and is not committed yet: a State, and the samples and refusals that are only passed on."""

from collections import deque
from random import Random

from msgspec import Struct

from sidecar.core.state import State

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
                self.values[place] = value

    def merge(self, other: "Sample") -> None:
        """Draw from both in proportion to what each has seen."""
        mine, theirs = list(self.values), list(other.values)
        seen, weight = self.seen + other.seen, self.seen
        if len(mine) + len(theirs) > SAMPLES_PER_COMMIT:
            self._random.shuffle(mine)
            self._random.shuffle(theirs)
        merged: list[float] = []
        while len(merged) < SAMPLES_PER_COMMIT and (mine or theirs):
            take_mine = not theirs or (mine and self._random.random() * seen < weight)
            merged.append(mine.pop() if take_mine else theirs.pop())
        self.values, self.seen = merged, seen


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
        self.queue_seconds: set[int] = set()
        self.connection_seconds: set[int] = set()

    def merge(self, later: "Pending") -> None:
        """Add what came later."""
        self.state.merge(later.state)
        self.latency.merge(later.latency)
        self.processing.merge(later.processing)
        self.refused.extend(later.refused)
        self.queue_seconds |= later.queue_seconds
        self.connection_seconds |= later.connection_seconds
