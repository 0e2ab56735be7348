"""Valid events -> counts: what each type of event adds to a Pending.

Event time decides where an event counts; an event from the future counts when it arrived.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from decimal import Decimal

from sidecar.core.events import FINISHED, Event, Status
from sidecar.core.gauges import keep
from sidecar.core.histogram import Histogram
from sidecar.core.labels import Labels
from sidecar.core.parts import Minute, Product, Reading, Slice
from sidecar.core.pending import Pending, Sample, Second
from sidecar.core.snapshot import Exemplar
from sidecar.core.state import HISTORY_SECONDS, OTHER, RINGS, Rules, State

AHEAD_SECONDS = 2.0  # clocks of a well-kept fleet agree within this
LATE_SECONDS = 5.0
MICROS = 10**6
NS_PER_MS = 10**6
NS_PER_SECOND = 10**9
EXEMPLARS_A_BATCH = 5  # of one status and second: enough to keep exemplars fresh, few enough to cost nothing
EXEMPLAR_CHARACTERS = 110  # OpenMetrics allows 128 for names and values together


class Count:
    """Count the events of one batch into `pending`: `add` sorts them, `finish` counts orders of a kind together.

    What many events share is worked out once for all of them: that makes an event cost a microsecond.
    """

    def __init__(
        self, pending: Pending, *, labels: Labels, rules: Rules, exemplars: dict[tuple[str, str, int], Exemplar]
    ) -> None:
        self._pending = pending
        self._state = pending.state
        self._tallies = pending.state.total.tallies
        self._labels = labels
        self._rules = rules
        self._exemplars = exemplars
        self._orders: defaultdict[Status, list[Event]] = defaultdict(list)

    def add(self, events: list[Event], arrivals: list[float]) -> None:
        """Take events that are neither heartbeats nor duplicates; `arrivals[i]` is when `events[i]` came."""
        self._settle_times(events, arrivals)
        orders = self._orders
        for event in events:
            if event.type == "order":
                orders[event.status].append(event)  # type: ignore[index]  # an order has a status
            else:
                self._count_other(event, moment(event))

    def _count_other(self, event: Event, ts: float) -> None:
        """Count an event that is no order."""
        match event.type:
            case "queue":
                self._queue(event, ts)
            case "inventory":
                self._inventory(event, ts)
            case "connections":
                self._connections(event, ts)
            case _:
                self._tallies["ignored"][self._admit("type", event.type)] += 1

    def finish(self) -> None:
        """Count the orders; call once, after the last `add`."""
        for status, orders in self._orders.items():
            self._tallies["orders"][status] += len(orders)
            for second, part in _by_second(orders).items():
                self._count_orders(status, second, part)

    def _count_orders(self, status: Status, second: int, orders: list[Event]) -> None:
        """Count orders of one status that belong to one second."""
        cell = self._pending.seconds.setdefault(second, Second())
        self._products(status, orders, cell)
        if status == "success":
            self._revenue(orders)
        if status in FINISHED:
            self._finished(status, orders, cell)
            for order in orders[:: len(orders) // EXEMPLARS_A_BATCH + 1]:
                self._exemplify(order, status, moment(order))

    def _settle_times(self, events: list[Event], arrivals: list[float]) -> None:
        """Give events without a time, or with one from the future, that of their arrival; count the late ones."""
        times = [event.ts for event in events]
        if None in times or (times and max(filter(None, times)) > min(arrivals) + AHEAD_SECONDS):
            for event, arrival in zip(events, arrivals, strict=True):
                if event.ts is None or event.ts > arrival + AHEAD_SECONDS:
                    event.ts = arrival
        elif times and min(filter(None, times)) >= max(arrivals) - LATE_SECONDS:
            return
        late = sum(arrival - moment(event) > LATE_SECONDS for event, arrival in zip(events, arrivals, strict=True))
        if late:
            self._tallies["late"][""] += late

    def _admit(self, kind: str, value: str, times: int = 1) -> str:
        return admit(self._pending, self._labels, kind, value, times)

    def _products(self, status: Status, orders: list[Event], cell: Second) -> None:
        """Count each product once an order, and the units that were sold."""
        single = [order for order in orders if order.items is None]
        counts = cell.products[status]
        counts.update([order.product_id for order in single])
        for order in orders:
            if order.items is not None:
                counts.update({item.product_id for item in order.items})
        if status == "success":
            for order in single:
                cell.units[order.product_id] += order.quantity
            for order in orders:
                for item in order.items or ():
                    cell.units[item.product_id] += item.quantity

    def _revenue(self, orders: list[Event]) -> None:
        for order in orders:
            amounts = [order.amount] if order.items is None else [item.amount for item in order.items]
            known = [amount for amount in amounts if amount is not None]
            if known:
                currency = self._admit("currency", order.currency or self._rules.currency)
                micros = sum(known, Decimal(0)) * MICROS
                self._tallies["revenue_micros"][currency] += int(micros.to_integral_value())

    def _finished(self, status: Status, orders: list[Event], cell: Second) -> None:
        cell.finished += len(orders)
        if status == "failed":
            cell.failed += len(orders)
            cell.faults += self._failed(orders)
        latencies = [order.latency_ms for order in orders if order.latency_ms is not None]
        self._timed("latency", status, latencies, cell.latency, self._pending.latency)
        times = [order.processing_ms for order in orders if order.processing_ms is not None]
        self._timed("processing", status, times, cell.processing, self._pending.processing)

    def _timed(
        self, duration: str, status: Status, values_ms: list[float], cell: dict[str, Histogram], sample: Sample
    ) -> None:
        if not values_ms:
            return
        sample.add(values_ms)
        values_ns = [round(value * NS_PER_MS) for value in values_ms]
        if status not in cell:
            cell[status] = Histogram()
        cell[status].update(values_ns)
        self._state.timing(duration, status, self._rules.buckets_ns).classic.update(values_ns)

    def _failed(self, orders: list[Event]) -> int:
        """Count the reasons; return how many are faults."""
        faults = 0
        for reason, count in Counter([order.reason for order in orders]).items():
            reason = reason or "unknown"
            fault = reason not in self._rules.refusals
            self._tallies["faults" if fault else "refusals"][self._admit("reason", reason, count)] += count
            faults += count * fault
        return faults

    def _exemplify(self, order: Event, status: Status, ts: float) -> None:
        labels = {}
        for name in ("trace_id", "order_id"):
            value = getattr(order, name)
            if value and len(value) <= EXEMPLAR_CHARACTERS:
                labels = {name: value}
                break
        for duration, value_ms in (("latency", order.latency_ms), ("processing", order.processing_ms)):
            if labels and value_ms is not None:
                ns = round(value_ms * NS_PER_MS)
                bucket = bisect_left(self._rules.buckets_ns, ns)
                self._exemplars[duration, status, bucket] = Exemplar(labels, ns / NS_PER_SECOND, ts)

    def _queue(self, event: Event, ts: float) -> None:
        reading = Reading(ts, [event.waiting, event.active, event.delayed, event.failed, event.completed])
        label = self._admit("queue", event.queue or "orders")
        keep(self._state.queues, label, reading)
        keep(self._pending.queue_seconds.setdefault(int(ts), {}), label, reading)

    def _inventory(self, event: Event, ts: float) -> None:
        assert event.product_id is not None and event.stock is not None
        label = self._admit("product", event.product_id)
        if label is not OTHER:  # the stock of many products has no meaning as one number
            self._state.products.setdefault(label, Product()).restock(event.stock, ts)

    def _connections(self, event: Event, ts: float) -> None:
        label = self._admit("connection", event.producer or "")
        reading = Reading(ts, [event.active])
        keep(self._state.connections, label, reading)
        keep(self._pending.connection_seconds.setdefault(int(ts), {}), label, reading)


def moment(event: Event) -> float:
    """Return when an event counts; its time is settled."""
    assert event.ts is not None
    return event.ts


def _by_second(orders: list[Event]) -> dict[int, list[Event]]:
    """Sort orders by the second they belong to; mostly that is one."""
    times = [moment(order) for order in orders]
    first = int(min(times))
    if int(max(times)) == first:
        return {first: orders}
    seconds: defaultdict[int, list[Event]] = defaultdict(list)
    for order, ts in zip(orders, times, strict=True):
        seconds[int(ts)].append(order)
    return seconds


def fold(pending: Pending, labels: Labels, rules: Rules, now: float) -> None:
    """Add the gathered seconds to the products, totals, windows and history; drop what will never be shown."""
    for second, cell in pending.seconds.items():
        _fold_products(pending, labels, second, cell)
        if cell.finished:
            _fold_finished(pending.state, second, cell, now)
    pending.seconds.clear()
    pending.forget(now, rules.commit_interval)


def admit(pending: Pending, labels: Labels, kind: str, value: str, times: int = 1) -> str:
    """Return the label for a value, and count `times` uses of it that are beyond the limit."""
    label = labels.admit(kind, value)
    if label is OTHER:
        pending.state.total.tallies["overflow"][kind] += times
    return label


def _fold_products(pending: Pending, labels: Labels, second: int, cell: Second) -> None:
    products = pending.state.products
    for status, counts in cell.products.items():
        for product_id, count in counts.items():
            if product_id is not None:
                product = products.setdefault(admit(pending, labels, "product", product_id, count), Product())
                setattr(product, status, getattr(product, status) + count)
    for product_id, units in cell.units.items():
        if product_id is not None:
            product = products[labels.admit("product", product_id)]
            product.units += units
            # In the middle of its second: the rate must not depend on how events were batched.
            product.depletion.sell(units, second + 0.5)


def _fold_finished(state: State, second: int, cell: Second, now: float) -> None:
    whole = Slice()
    whole.finished, whole.failed, whole.faults = cell.finished, cell.failed, cell.faults
    for duration, by_status, histogram in (
        ("latency", cell.latency, whole.latency),
        ("processing", cell.processing, whole.processing),
    ):
        for status, part in by_status.items():
            state.timings[f"{duration}:{status}"].histogram.merge(part)
            histogram.merge(part)
    if second >= now - HISTORY_SECONDS:
        state.minutes.setdefault(second - second % 60, Minute()).finished[second] += cell.finished
    for ring in RINGS.values():
        getattr(state, ring.section).setdefault(second - second % ring.width, Slice()).merge(whole)
