"""When a sale is over although nobody announced its end: its orders stopped while producers were alive to send them.

Quiet is time without an order in which producers were heard. Where nothing is heard, no quiet passes: neither a dead
backend nor one silent producer ends a sale. Undecided orders keep a sale open for ten minutes. Once everything is sold
out, refusals may go on for hours: then only successful orders count.

A slow sale has long pauses, so it needs a longer quiet: three times the longest pause between its last orders.
"""

from collections.abc import Collection, Iterator
from itertools import islice, pairwise

from sidecar.core.counts.pending import Pending
from sidecar.core.counts.queues import queues_at
from sidecar.core.counts.sale import Span, joined
from sidecar.core.counts.state import State

QUIET_SECONDS = 30.0  # a sale with an order every 5 s pauses this long, by chance, once in 400 orders
SOLD_OUT_SECONDS = 5.0  # the payments of the last units
UNDECIDED_SECONDS = 600.0  # a lost decision must not keep a sale open forever
ABANDONED_SECONDS = 3600.0  # without an order, whether anybody was heard or not
HEARING_SECONDS = 5.0  # heartbeats come more often; hearing one says nothing about the time long before it
PAUSES = 3.0
LOOK_BACK = 20  # seconds with orders whose pauses are compared
LONGEST_PAUSE_SECONDS = 60.0
MINUTES = 11  # to look back at most

Pendings = Collection[Pending]


class Quiet:
    """How long it has been quiet. It restarts from 0 with the process, which does not know what was heard before."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._heard_at: float | None = None
        self._newest = 0.0  # event time of the newest order that counts

    def listen(self, merged: State, committed: State, pending: Pendings, now: float) -> Span | None:
        """Take what is about to be committed; return the orders that show that the sale continues."""
        sold_out = is_sold_out(merged, committed)
        orders = joined(*(part.sold if sold_out else part.placed for part in pending))
        if any(part.heard for part in pending):
            passed = 0.0 if self._heard_at is None else now - self._heard_at
            self._seconds += min(max(passed, 0.0), HEARING_SECONDS)
            self._heard_at = now
        if orders is not None and orders.newest > self._newest:
            self._seconds, self._newest = 0.0, orders.newest
        return orders

    def over_at(
        self, merged: State, committed: State, pending: Pendings, now: float, *, silent: bool = False
    ) -> float | None:
        """Return when the sale was over, as of its last order; `None` if it may go on.

        `silent`: a producer fell silent; it may be the one that would send orders.
        """
        if self._seconds < SOLD_OUT_SECONDS and self._newest >= now - ABANDONED_SECONDS:
            return None
        newest = self._newest or next(seconds_with_orders(merged, committed, now), None)
        if newest is None:
            return now if self._seconds >= QUIET_SECONDS else None
        over = self._seconds >= self._needed(merged, committed, pending, newest, now) and not silent
        return float(newest) if over or newest < now - ABANDONED_SECONDS else None

    def step(self, now: float) -> None:
        """Follow a clock that was set to `now`."""
        self._newest, self._heard_at = min(self._newest, now), None

    def _needed(self, merged: State, committed: State, pending: Pendings, newest: float, now: float) -> float:
        """Return how much quiet ends the sale."""
        if _is_undecided(merged, committed, pending, now):
            return UNDECIDED_SECONDS
        if is_sold_out(merged, committed):
            return SOLD_OUT_SECONDS
        return max(QUIET_SECONDS, PAUSES * longest_pause(merged, committed, newest))


def is_sold_out(merged: State, committed: State) -> bool:
    """Return whether the stock of every product is known and gone."""
    known = committed.products
    return bool(merged.products or known) and not (
        any(part.stock is None or part.stock > 0 for part in merged.products.values())
        or any(part.stock is None or part.stock > 0 for name, part in known.items() if name not in merged.products)
    )


def longest_pause(merged: State, committed: State, newest: float) -> float:
    """Return the longest pause between the last orders."""
    seconds = islice(seconds_with_orders(merged, committed, newest), LOOK_BACK + 1)
    return min(max((later - earlier for later, earlier in pairwise(seconds)), default=0), LONGEST_PAUSE_SECONDS)


def seconds_with_orders(merged: State, committed: State, until: float) -> Iterator[int]:
    """Yield the seconds in which orders finished, newest first, from the ten minutes or so before `until`."""
    last = int(until) - int(until) % 60
    for start in range(last, last - 60 * MINUTES, -60):
        minute = merged.minutes.get(start) or committed.minutes.get(start)
        if minute is not None:
            yield from (second for second in sorted(minute.finished, reverse=True) if second <= until)


def _is_undecided(merged: State, committed: State, pending: Pendings, now: float) -> bool:
    """Return whether orders or jobs wait and none was decided since the last commit."""
    decided = sum(part.state.total.tallies["orders"][s] for part in pending for s in ("success", "failed", "cancelled"))
    if decided:
        return False
    queues = queues_at(now, committed, merged)
    return merged.total.in_flight > 0 or any((n or 0) > 0 for queue in queues.values() for n in queue.values[:2])
