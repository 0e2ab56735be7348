"""Valid events -> counts: what each type of event adds to a Pending.

An event counts at its event time; one from the future at its arrival.
"""

from collections import Counter, defaultdict
from collections.abc import Collection
from decimal import Decimal
from itertools import repeat

from sidecar.core.counts.exemplars import Exemplars, exemplify
from sidecar.core.counts.histogram import Histogram, nanoseconds
from sidecar.core.counts.in_flight import ByStatus, Course, grouped
from sidecar.core.counts.labels import Labels
from sidecar.core.counts.parts import Minute, Product, Reading, Slice
from sidecar.core.counts.pending import SECONDS_GATHERED, TIMES_GATHERED, Pending, Second
from sidecar.core.counts.readings import keep
from sidecar.core.counts.rules import AHEAD_SECONDS, HISTORY_SECONDS, OTHER, Rules
from sidecar.core.counts.sale import Announcement, Span, joined
from sidecar.core.counts.state import RINGS, State
from sidecar.core.events.event import FINISHED, Event, SaleEvent, Shared, Status

LATE_SECONDS = 5.0
MICROS = Decimal(10**6)


class Tally:
    """Counts events into `pending`.

    What many events share is computed once for all of them, and `fold` runs once for many batches, so that an event
    costs half a microsecond.
    """

    def __init__(
        self,
        pending: Pending,
        course: Course,
        *,
        labels: Labels,
        rules: Rules,
        exemplars: Exemplars,
        now: float,
        custom: Collection[str] = (),
    ) -> None:
        """`custom` are types of events that only custom metrics count."""
        self._pending = pending
        self._course = course
        self._exemplars = exemplars
        self._now = now
        self._state = pending.state
        self._tallies = pending.state.total.tallies
        self._labels = labels
        self._rules = rules
        self._custom = custom
        self.ignored: dict[str, int] = {}  # events of unknown types

    def add(self, events: list[Event], arrivals: list[float], shared: Shared) -> None:
        """Count events that are neither heartbeats nor duplicates; `arrivals[i]` is when `events[i]` arrived.

        `shared` is true of them, and perhaps of others.
        """
        if not events:
            return
        ends = self._settle_times(events, arrivals, shared)
        orders = events if shared.only_orders else [event for event in events if event.type == "order"]
        if len(orders) < len(events):
            for at in [at for at, event in enumerate(events) if event.type != "order"]:
                self._count_other(events[at], moment(events[at]), arrivals[at])
        orders = self._course.without_repeats(orders)
        by_status = grouped(orders)
        self._course.follow(orders, by_status)
        for second, part in _by_second(orders, ends, int(self._now - HISTORY_SECONDS) - 1).items():
            parts = by_status if len(part) == len(orders) else grouped(part)
            self._count_orders(self._cell(second), parts, priced=shared.priced)

    def _cell(self, second: int) -> Second:
        """Return the gathered orders of a second."""
        seconds = self._pending.seconds
        if second not in seconds:
            if len(seconds) >= SECONDS_GATHERED:
                fold(self._pending, self._labels, self._rules, self._now)
            seconds[second] = Second()
        return seconds[second]

    def _count_other(self, event: Event, ts: float, arrival: float) -> None:
        """Count an event that is not an order."""
        match event.type:
            case "queue":
                self._queue(event, ts, arrival)
            case "inventory":
                self._inventory(event, ts, arrival)
            case "connections":
                self._connections(event, ts, arrival)
            case "sale" if isinstance(event, SaleEvent):
                self._pending.said.append(Announcement(action=event.action, id=event.sale, at=ts, by="event"))
            case _ if event.type in self._custom:
                pass
            case _:
                self._tallies["ignored"][self._admit("type", event.type)] += 1
                self.ignored[event.type] = self.ignored.get(event.type, 0) + 1

    def _count_orders(self, cell: Second, by_status: ByStatus, *, priced: bool) -> None:
        """Count orders of one second."""
        for status, orders in by_status.items():
            if orders:
                _sell(cell, status, orders, priced=priced)
                if status in FINISHED:
                    self._finished(cell, status, orders)
        if priced:
            self._revenue(by_status["success"])

    def _settle_times(self, events: list[Event], arrivals: list[float], shared: Shared) -> tuple[float, float]:
        """Set missing and future times to the arrival; count late events. Return bounds of all times."""
        due, latest = max(arrivals) - LATE_SECONDS, min(arrivals) + AHEAD_SECONDS
        if shared.dated and due <= shared.first and shared.last <= latest:
            return shared.first, shared.last
        for event, arrival in zip(events, arrivals, strict=True):
            if event.ts is None or event.ts > arrival + AHEAD_SECONDS:
                event.ts = arrival
        times = list(map(moment, events))
        if min(times) < due:
            late = sum(arrival - ts > LATE_SECONDS for ts, arrival in zip(times, arrivals, strict=True))
            if late:
                self._tallies["late"][""] += late
        return min(times), max(times)

    def _admit(self, kind: str, value: str, times: int = 1) -> str:
        return admit(self._pending, self._labels, kind, value, times)

    def _finished(self, cell: Second, status: Status, orders: list[Event]) -> None:
        cell.whole.finished += len(orders)
        if status == "failed":
            cell.whole.failed += len(orders)
            cell.whole.faults += self._failed(orders)
        latencies = [order.latency_ms for order in orders if order.latency_ms is not None]
        self._timed(cell, ("latency", status), orders, latencies)
        processings = [order.processing_ms for order in orders if order.processing_ms is not None]
        self._timed(cell, ("processing", status), orders, processings)

    def _timed(self, cell: Second, timed: tuple[str, Status], orders: list[Event], values_ms: list[float]) -> None:
        if values_ms and (lacking := self._pending.shown[timed].lacking(values_ms, self._rules.buckets_ns)):
            exemplify(self._exemplars, timed, orders, lacking, self._rules.buckets_ns)
            self._pending.shown[timed].add(lacking, self._rules.buckets_ns)
        gathered = cell.times[timed]
        gathered += values_ms
        if len(gathered) > TIMES_GATHERED:
            _count_times(self._pending, cell, self._rules)

    def _revenue(self, orders: list[Event]) -> None:
        by_currency: defaultdict[str, list[Decimal]] = defaultdict(list)
        for order in orders:
            amount = order.amount
            if amount is None and order.items is not None:
                known = [item.amount for item in order.items if item.amount is not None]
                amount = sum(known, Decimal(0)) if known else None
            if amount is not None:
                by_currency[order.currency or self._rules.currency].append(amount)
        for currency, amounts in by_currency.items():
            label = self._admit("currency", currency, len(amounts))
            if label is not OTHER:  # amounts in different currencies have no sum
                self._tallies["revenue_micros"][label] += sum([round(amount * MICROS) for amount in amounts])

    def _failed(self, orders: list[Event]) -> int:
        """Count the reasons; return how many are faults."""
        faults = 0
        for reason, count in Counter([order.reason for order in orders]).items():
            reason = reason or "unknown"
            fault = reason not in self._rules.refusals
            self._tallies["faults" if fault else "refusals"][self._admit("reason", reason, count)] += count
            faults += count * fault
        return faults

    def _queue(self, event: Event, ts: float, arrival: float) -> None:
        numbers = [event.waiting, event.active, event.delayed, event.failed, event.completed]
        reading = Reading(ts, numbers, arrival)
        label = self._admit("queue", event.queue or "orders")
        keep(self._state.queues, label, reading)
        if event.waiting is not None:
            keep(self._pending.queue_seconds.setdefault(int(ts), {}), label, reading)

    def _inventory(self, event: Event, ts: float, arrival: float) -> None:
        assert event.product_id is not None and event.stock is not None
        label = self._admit("product", event.product_id)
        if label is not OTHER:  # the stock of many products has no meaning as one number
            self._state.products.setdefault(label, Product()).restock(event.stock, ts, arrival)

    def _connections(self, event: Event, ts: float, arrival: float) -> None:
        label = self._admit("connection", event.producer or "")
        reading = Reading(ts, [event.active], arrival)
        keep(self._state.connections, label, reading)
        keep(self._pending.connection_seconds.setdefault(int(ts), {}), label, reading)


def moment(event: Event) -> float:
    """Return the time at which an event counts, after its time was settled."""
    assert event.ts is not None
    return event.ts


def _by_second(orders: list[Event], ends: tuple[float, float], oldest: int) -> dict[int, list[Event]]:
    """Group orders by second; mostly there is one. Their times lie between the `ends`.

    Orders before `oldest` count at `oldest`: no window, history or rate distinguishes such seconds.
    """
    first = max(int(ends[0]), oldest)
    if int(ends[1]) <= first:
        return {first: orders} if orders else {}
    seconds: defaultdict[int, list[Event]] = defaultdict(list)
    for order in orders:
        seconds[max(int(moment(order)), oldest)].append(order)
    return seconds


def _sell(cell: Second, status: Status, orders: list[Event], *, priced: bool) -> None:
    """Count the products of orders in one status."""
    if priced and (several := [order for order in orders if order.items is not None]):
        _sell_several(cell, status, several)
        orders = [order for order in orders if order.items is None]
    products, quantities = [order.product_id for order in orders], [order.quantity for order in orders]
    cell.sales.update(zip(repeat(status), products, quantities))


def _sell_several(cell: Second, status: Status, orders: list[Event]) -> None:
    """Count each product once per order, with all its units."""
    for order in orders:
        units: Counter[str] = Counter()
        for item in order.items or ():
            units[item.product_id] += item.quantity
        cell.several[status] += 1
        cell.lines.update((status, product_id, quantity) for product_id, quantity in units.items())


def fold(pending: Pending, labels: Labels, rules: Rules, now: float) -> None:
    """Add the gathered seconds to products, totals, time windows and history; drop what will never be shown."""
    for second, cell in pending.seconds.items():
        _meet(pending, second, cell)
        _fold_sales(pending, labels, second, cell)
        if cell.whole.finished:
            _count_times(pending, cell, rules)
            _fold_finished(pending.state, second, cell.whole, now, rules.commit_interval)
            pending.keep(second, cell.whole)
    pending.seconds.clear()
    pending.forget(now, rules.commit_interval)


def admit(pending: Pending, labels: Labels, kind: str, value: str, times: int = 1) -> str:
    """Return the label for a value; count `times` uses as overflow if it is beyond the limit."""
    label = labels.admit(kind, value)
    if label is OTHER:
        pending.state.total.tallies["overflow"][kind] += times
    return label


def _fold_sales(pending: Pending, labels: Labels, second: int, cell: Second) -> None:
    products, counts = pending.state.products, pending.state.total.tallies["orders"]
    counts.update(cell.several)
    for (status, _, _), orders in cell.sales.items():
        counts[status] += orders
    sold: Counter[str] = Counter()
    squares: Counter[str] = Counter()
    for (status, product_id, quantity), orders in (*cell.sales.items(), *cell.lines.items()):
        if product_id is not None:
            label = admit(pending, labels, "product", product_id, orders)
            if (product := products.get(label)) is None:
                product = products[label] = Product()
            setattr(product, status, getattr(product, status) + orders)
            if status == "success":
                sold[label] += orders * quantity
                squares[label] += orders * quantity**2
    for label, units in sold.items():
        products[label].units += units
        # In the middle of its second: the rate must not depend on how events were batched.
        products[label].depletion.sell(units, second + 0.5, squares[label])


def _meet(pending: Pending, second: int, cell: Second) -> None:
    """Note the times of orders, which show a sale."""
    statuses = {status for status, _, _ in cell.sales} | cell.several.keys()
    span = Span(float(second), float(second))
    if statuses - {"cancelled"}:
        pending.placed = joined(pending.placed, span)
    if "success" in statuses:
        pending.sold = joined(pending.sold, span)


def _count_times(pending: Pending, cell: Second, rules: Rules) -> None:
    """Count the gathered durations."""
    for (duration, status), values_ms in cell.times.items():
        values = nanoseconds(values_ms)
        part = Histogram()
        part.update(values)
        timing = pending.state.timing(duration, status, rules.buckets_ns)
        timing.histogram.merge(part)
        timing.classic.update(values)
        getattr(cell.whole, duration).merge(part)
        getattr(pending, duration).add(values_ms)
        if pending.slow_ns is not None and (duration, status) == ("latency", "success"):
            cell.whole.slow += sum(value > pending.slow_ns for value in values.tolist())
    cell.times.clear()


def _fold_finished(state: State, second: int, whole: Slice, now: float, commit_interval: float) -> None:
    if second >= now - HISTORY_SECONDS:
        minute = state.minutes.setdefault(second - second % 60, Minute())
        for name in Minute.SUMS:
            minute.table(name).add(second, getattr(whole, name))
    for ring in RINGS.values():
        start = second - second % ring.width
        if start >= ring.oldest(now, commit_interval):
            slices = getattr(state, ring.section)
            if start not in slices:
                slices[start] = Slice()
            slices[start].merge(whole)
