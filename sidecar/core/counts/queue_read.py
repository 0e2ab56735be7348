"""A queue that the sidecar reads itself: what the job queue says, in addition to what events say about it."""

from typing import Any

from msgspec import Struct
from msgspec.structs import astuple, replace

FRESH_SECONDS = 5.0  # an older reading says nothing about now


class QueueReading(Struct, frozen=True, kw_only=True):
    """What a queue said at `at` (Unix seconds); `None` is what its system cannot say.

    `finished` is its own counter of jobs that are done or given up. It only grows, unless somebody resets it.
    """

    at: float
    waiting: int | None = None
    active: int | None = None
    delayed: int | None = None
    failed: int | None = None
    completed: int | None = None
    oldest_waiting_s: float | None = None
    paused: bool | None = None
    finished: int | None = None

    @property
    def numbers(self) -> list[int | None]:
        """Jobs by state, in the order of a Reading."""
        return [self.waiting, self.active, self.delayed, self.failed, self.completed]


class Balance(Struct, frozen=True):
    """How orders decided by events and jobs finished by the queue compare (drift.py).

    Their difference at the beginning was from `low` to `high`; `drift` is what has come on top of it since.
    """

    low: int
    high: int
    drift: int = 0


class QueueRead:
    """The newest reading of a queue, and its balance if its jobs decide the orders."""

    __slots__ = ("balance", "reading")

    def __init__(self, reading: QueueReading, balance: Balance | None = None) -> None:
        self.reading = reading
        self.balance = balance

    def is_fresh(self, now: float) -> bool:
        """Return whether the reading is of the last seconds."""
        return now - self.reading.at <= FRESH_SECONDS

    def merge(self, other: "QueueRead") -> None:
        if other.reading.at >= self.reading.at:
            before, after = self.reading.finished, other.reading.finished
            was_reset = before is not None and after is not None and after < before
            self.balance = other.balance or (None if was_reset else self.balance)
            self.reading = other.reading

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`."""
        self.reading = replace(self.reading, at=min(max(self.reading.at + by, 0.0), now))

    def copy(self) -> "QueueRead":
        return QueueRead(self.reading, self.balance)

    def dump(self) -> Any:
        return [list(astuple(self.reading)), None if self.balance is None else list(astuple(self.balance))]

    @classmethod
    def load(cls, data: Any) -> "QueueRead":
        reading, balance = data
        found = QueueReading(**dict(zip(QueueReading.__struct_fields__, reading, strict=True)))
        return cls(found, None if balance is None else Balance(*balance))
