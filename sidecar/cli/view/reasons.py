"""Why orders fail: in the last seconds of watching, or since counting began."""

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.core.snapshot.snapshot import Snapshot

RECENT_SECONDS = 10.0  # as the shortest window of the rates beside it
ReasonCounts = dict[str, int]


class FailureReasons:
    """The counts of each reason over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, ReasonCounts]] = deque()

    def see(self, snapshot: "Snapshot") -> None:
        """Take a snapshot."""
        ts, counts = snapshot.ts, snapshot.orders.failed_by_reason
        if self._seen and (ts < self._seen[-1][0] or _fell(self._seen[-1][1], counts)):
            self._seen.clear()  # cleared, or another daemon
        self._seen.append((ts, counts))
        while len(self._seen) > 2 and self._seen[1][0] <= ts - RECENT_SECONDS:
            self._seen.popleft()

    def recent(self) -> tuple[float, ReasonCounts]:
        """Return how many seconds were watched, and how many orders failed in them, by reason."""
        (began, before), (ended, now) = self._seen[0], self._seen[-1]
        found = {reason: number - before.get(reason, 0) for reason, number in now.items()}
        return ended - began, {reason: number for reason, number in found.items() if number}


def worst_first(counts: ReasonCounts) -> list[str]:
    """Sort the reasons: faults before the default refusals, the most frequent first."""
    from sidecar.config import Config

    refusals = Config().refusals
    return sorted(counts, key=lambda reason: (reason in refusals, -counts[reason], reason))


def _fell(before: ReasonCounts, now: ReasonCounts) -> bool:
    return any(now.get(reason, 0) < number for reason, number in before.items())
