"""A queue that the sidecar reads itself: what the job queue says, in addition to what events say about it."""

from typing import Any

from msgspec import Struct
from msgspec.structs import astuple, replace

FRESH_SECONDS = 5.0  # an older reading says nothing about now


class QueueReading(Struct, frozen=True, kw_only=True):
    """What a queue said at `at` (Unix seconds); `None` is what its system cannot say."""

    at: float
    waiting: int | None = None
    active: int | None = None
    delayed: int | None = None
    failed: int | None = None
    completed: int | None = None
    oldest_waiting_s: float | None = None
    paused: bool | None = None

    @property
    def numbers(self) -> list[int | None]:
        """Jobs by state, in the order of a Reading."""
        return [self.waiting, self.active, self.delayed, self.failed, self.completed]


class QueueRead:
    """The newest reading of a queue."""

    __slots__ = ("reading",)

    def __init__(self, reading: QueueReading) -> None:
        self.reading = reading

    def is_fresh(self, now: float) -> bool:
        """Return whether the reading is of the last seconds."""
        return now - self.reading.at <= FRESH_SECONDS

    def merge(self, other: "QueueRead") -> None:
        if other.reading.at >= self.reading.at:
            self.reading = other.reading

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`."""
        self.reading = replace(self.reading, at=min(max(self.reading.at + by, 0.0), now))

    def copy(self) -> "QueueRead":
        return QueueRead(self.reading)

    def dump(self) -> Any:
        return list(astuple(self.reading))

    @classmethod
    def load(cls, data: Any) -> "QueueRead":
        return cls(QueueReading(**dict(zip(QueueReading.__struct_fields__, data, strict=True))))
