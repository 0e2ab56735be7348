"""The life of an order: pending, then decided, once. This gives the orders in flight, and the repeats.

Orders in flight are a level: a pending order raises it, a decided one lowers it. Four kinds of events leave it
unchanged. They count by their status, and for the level as

- `refunded`: the order was decided before. Only the status word distinguishes it from a cancellation.
- `again`: the order failed or was cancelled before, was not pending since, and was tried again.
- `unseen`: nothing is in flight, so its pending event was never seen. It is written off, not subtracted from later
  orders.
- `overtaken`: a pending order whose decision came before, and was counted as unseen.
"""

from collections import Counter
from itertools import accumulate
from typing import Any

from sidecar.core.counts.order_memory import Memory
from sidecar.core.counts.pending import Pending
from sidecar.core.events.event import STATUSES, Event

REFUNDED = "refunded"

ByStatus = dict[Any, list[Event]]


class Course:
    """Update the orders in flight by one batch, in order of arrival."""

    def __init__(
        self, pending: Pending, memory: Memory, *, level: int, worded: bool, count_repeats: bool, now: float
    ) -> None:
        """`level` is how many orders were in flight before `pending`; `worded`: some status words are not canonical."""
        self._pending = pending
        self._said, self._ended = pending.state.said, pending.state.ended
        self._tallies = pending.state.total.tallies
        self._memory = memory
        self._level = level
        self._worded = worded
        self._count_repeats = count_repeats
        self._now = now

    def without_repeats(self, orders: list[Event]) -> list[Event]:
        """Return the orders that report a new state; count the others as repeats."""
        if not self._worded or self._count_repeats:
            return orders
        return [order for order in orders if not self._is_repeat(order)]

    def follow(self, orders: list[Event], by_status: ByStatus) -> None:
        """Update the orders in flight; `by_status` holds the same orders."""
        if by_status["pending"]:
            self._pending.followed = self._memory.followed = True
        if not self._memory.followed:
            self._tallies["beside"]["unseen"] += len(orders)
        elif self._worded:
            self._follow_each(orders)
        elif met := self._met_again(orders, by_status):
            if self._level + self._pending.level < len(orders) - len(by_status["pending"]):
                self._follow_each(orders)  # whether one is written off depends on those before it
                return
            self._follow_each([order for order in orders if order.order_id in met])
            others = [order for order in orders if order.order_id not in met]
            self._follow_all(others, grouped(others))
        else:
            self._follow_all(orders, by_status)

    def _is_repeat(self, order: Event) -> bool:
        status, order_id = order.status, order.order_id
        if not order.status_word or order_id is None or status is None:
            return False
        if not self._memory.repeats(self._said, status, order_id, self._now):
            return False
        self._tallies["repeats"][status] += 1
        return True

    def _met_again(self, orders: list[Event], by_status: ByStatus) -> set[str | None]:
        """Return the ids of orders that ended before, or that may end twice in this batch."""
        ended = {order.order_id for order in self._ends_to_remember(by_status)} - {None}
        if not ended and not self._memory.knows_ends:
            return set()
        order_ids = [order.order_id for order in orders]
        met = self._memory.known(order_ids)
        if ended and sum(map(ended.__contains__, order_ids)) > len(ended):
            named = Counter(order_ids)
            met.update(order_id for order_id in ended if named[order_id] > 1)
        return met

    def _ends_to_remember(self, by_status: ByStatus) -> list[Event]:
        has_room = self._memory.has_room(self._ended, self._now)
        return by_status["failed"] + by_status["cancelled"] if has_room else []

    def _follow_all(self, orders: list[Event], by_status: ByStatus) -> None:
        """Follow orders that do not depend on each other, all at once where possible."""
        opened = len(by_status["pending"])
        ended = len(orders) - opened
        before = self._level + self._pending.level
        below = 0
        if before < ended:
            steps = [1 if order.status == "pending" else -1 for order in orders]
            below = min(before, 0) - min(accumulate(steps, initial=before))
            if below and self._memory.has_room(self._ended, self._now):
                self._follow_each(orders)
                return
            self._tallies["beside"]["unseen"] += below
        self._pending.level += opened - ended + below
        for order in self._ends_to_remember(by_status):
            self._memory.end(self._ended, order.order_id, 0, self._now)

    def _follow_each(self, orders: list[Event]) -> None:
        for order in orders:
            self._follow_one(order)

    def _follow_one(self, order: Event) -> None:
        since = self._memory.pending_since(order.order_id, self._now)
        if order.status == "pending":
            self._open(order, since)
        elif order.status_word == REFUNDED:
            self._tallies["beside"][REFUNDED] += 1
        elif since is not None and since <= 0:
            self._tallies["beside"]["again"] += 1
        else:
            self._end(order, since)

    def _open(self, order: Event, since: int | None) -> None:
        if since is not None:
            self._memory.end(self._ended, order.order_id, since + 1, self._now)
        if since is not None and since < 0:
            self._tallies["overtaken"][""] += 1
        else:
            self._pending.level += 1

    def _end(self, order: Event, since: int | None) -> None:
        seen = self._level + self._pending.level > 0
        if seen:
            self._pending.level -= 1
        else:
            self._tallies["beside"]["unseen"] += 1
        if since is not None:
            self._memory.end(self._ended, order.order_id, since - 1, self._now)
        elif order.status != "success" or not seen:
            self._memory.end(self._ended, order.order_id, 0 if seen else -1, self._now)


def grouped(orders: list[Event]) -> ByStatus:
    """Group orders by status."""
    by_status: ByStatus = {status: [] for status in STATUSES}
    for order in orders:
        by_status[order.status].append(order)
    return by_status
