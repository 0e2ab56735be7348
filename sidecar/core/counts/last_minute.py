"""The last minute: how many events were received and missed in each second.

An event belongs to the second in which it was counted, a missed number to that in which its hole was shown, which is
known 5 s later. So both counts of a second are about the same events, and the minute that is shown ended 5 s ago.
"""

from collections.abc import Mapping
from typing import Any

LATELY_SECONDS = 60
KEPT_SECONDS = 90  # longer, since a fleet shows what its slowest member has committed


class Lately:
    """What was received and missed in one second; missed is below 0 if more was recovered."""

    __slots__ = ("missed", "received")

    def __init__(self, received: int = 0, missed: int = 0) -> None:
        self.received = received
        self.missed = missed

    def merge(self, other: "Lately") -> None:
        self.received += other.received
        self.missed += other.missed

    def copy(self) -> "Lately":
        return Lately(self.received, self.missed)

    def dump(self) -> Any:
        return [self.received, self.missed]

    @classmethod
    def load(cls, data: Any) -> "Lately":
        return cls(*data)


def enter(seconds: dict[int, Lately], second: int, *, received: int = 0, missed: int = 0) -> None:
    """Add what was received or missed in a second."""
    if received or missed:
        seconds.setdefault(second, Lately()).merge(Lately(received, missed))


def last_minute(seconds: Mapping[int, Lately], last_second: int) -> Lately:
    """Return the sum of the minute that ends with `last_second`, with missed not below 0."""
    total = Lately()
    for second, part in seconds.items():
        if last_second - LATELY_SECONDS < second <= last_second:
            total.merge(part)
    total.missed = max(total.missed, 0)
    return total
