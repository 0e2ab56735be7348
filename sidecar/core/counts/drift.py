"""Events against the queue: orders decided, as events say, minus jobs finished, as the queue's own counter says.

Both count from different beginnings, so only the change of this difference says anything. And neither is exact at a
moment: an event comes before its job is finished, or after it, and some systems write their counter late. The jobs that
are active explain a part of the difference, and so does everything that either side counted in the last seconds. So
the difference at the beginning is known as a range. Whatever fits narrows it, most of all when nothing is in flight;
what does not fit has drifted.
"""

from collections import deque
from typing import NamedTuple

from sidecar.core.counts.queue_read import Balance, QueueRead

WINDOW_SECONDS = 12.0  # Sidekiq writes its counters every ten


class _Seen(NamedTuple):
    at: float
    orders: int
    finished: int


class Drift:
    """The comparison of one queue, each of whose jobs decides an order."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque()

    def judge(self, part: QueueRead, orders: int, now: float) -> None:
        """Update the balance of a new reading, when `orders` were decided as of `now` (Unix seconds)."""
        finished = part.reading.finished
        if finished is None:
            part.balance = None
            self._seen.clear()
            return
        seen = self._seen
        if seen and (orders < seen[-1].orders or finished < seen[-1].finished):
            part.balance = None  # somebody reset a counter
            seen.clear()
        seen.append(_Seen(now, orders, finished))
        while len(seen) > 1 and seen[1].at <= now - WINDOW_SECONDS:
            seen.popleft()
        if now - seen[0].at < WINDOW_SECONDS:
            return
        early = orders - seen[0].orders + (part.reading.active or 0)  # jobs whose event may be ahead
        late = finished - seen[0].finished  # jobs whose event may still come
        part.balance = _balance(part.balance, orders - finished - early, orders - finished + late)

    def restart(self) -> None:
        """Wait for a whole window again: the clock was set."""
        self._seen.clear()


def _balance(known: Balance | None, low: int, high: int) -> Balance:
    """Return the balance after a difference from `low` to `high` was seen."""
    if known is None:
        return Balance(low, high)
    if low > known.high or high < known.low:
        return Balance(known.low, known.high, low - known.high if low > known.high else high - known.low)
    return Balance(max(known.low, low), min(known.high, high))
