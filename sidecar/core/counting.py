"""Valid events -> counts: what each type of event adds to a Pending.

Event time decides where an event counts; an event from the future counts when it arrived.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal

from sidecar.core.events import Event
from sidecar.core.gauges import keep
from sidecar.core.histogram import Classic, Histogram
from sidecar.core.labels import Labels
from sidecar.core.parts import Minute, Product, Reading, Slice, Timing
from sidecar.core.pending import Pending
from sidecar.core.snapshot import Exemplar
from sidecar.core.state import HISTORY_SECONDS, OTHER, RINGS, Rules

AHEAD_SECONDS = 2.0  # clocks of a well-kept fleet agree within this
LATE_SECONDS = 5.0
MICROS = 10**6
NS_PER_MS = 10**6
NS_PER_SECOND = 10**9
EXEMPLAR_CHARACTERS = 110  # OpenMetrics allows 128 for names and values together


class _Second:
    """What finished in one second of event time, before it is folded into every part that shows it."""

    __slots__ = ("failed", "faults", "finished", "latency", "processing")

    def __init__(self) -> None:
        self.finished = self.failed = self.faults = 0
        self.latency: dict[str, list[int]] = {}
        self.processing: dict[str, list[int]] = {}


class Count:
    """Count the events of one batch into `pending`; `finish` folds what belongs to seconds and windows."""

    def __init__(
        self, pending: Pending, *, labels: Labels, rules: Rules, exemplars: dict[tuple[str, str, int], Exemplar]
    ) -> None:
        self._pending = pending
        self._state = pending.state
        self._tallies = pending.state.total.tallies
        self._labels = labels
        self._rules = rules
        self._exemplars = exemplars
        self._seconds: dict[int, _Second] = {}
        self._by_type: dict[str, Callable[[Event, float], None]] = {
            "order": self._order,
            "queue": self._queue,
            "inventory": self._inventory,
            "connections": self._connections,
        }

    def add(self, event: Event, arrival: float) -> None:
        """Count one event that is neither a heartbeat nor a duplicate."""
        ts = event.ts
        if ts is None or ts > arrival + AHEAD_SECONDS:
            ts = arrival
        elif arrival - ts > LATE_SECONDS:
            self._tallies["late"][""] += 1
        self._by_type.get(event.type, self._ignored)(event, ts)

    def finish(self, now: float) -> None:
        """Fold the seconds into totals, history and windows; call once, after the last `add`.

        Windows that are over already are left to `Pending.forget`.
        """
        for second, cell in self._seconds.items():
            self._fold(second, cell, now)

    def _admit(self, kind: str, value: str) -> str:
        label = self._labels.admit(kind, value)
        if label is OTHER:
            self._tallies["overflow"][kind] += 1
        return label

    def _order(self, event: Event, ts: float) -> None:
        status = event.status
        assert status is not None
        self._tallies["orders"][status] += 1
        for product_id, quantity in _lines(event):
            product = self._product(product_id)
            setattr(product, status, getattr(product, status) + 1)
            if status == "success":
                product.units += quantity
                product.depletion.sell(quantity, ts)
        if status == "success":
            self._revenue(event)
        if status in ("success", "failed"):
            self._finished(event, status, ts)

    def _product(self, product_id: str) -> Product:
        label = self._admit("product", product_id)
        product = self._state.products.get(label)
        if product is None:
            product = self._state.products[label] = Product()
        return product

    def _revenue(self, event: Event) -> None:
        if event.items is None:
            amount = event.amount
        else:
            amounts = [item.amount for item in event.items if item.amount is not None]
            amount = sum(amounts, Decimal(0)) if amounts else None
        if amount is not None:
            currency = self._admit("currency", event.currency or self._rules.currency)
            self._tallies["revenue_micros"][currency] += int((amount * MICROS).to_integral_value())

    def _finished(self, event: Event, status: str, ts: float) -> None:
        second = int(ts)
        cell = self._seconds.get(second)
        if cell is None:
            cell = self._seconds[second] = _Second()
        cell.finished += 1
        if status == "failed":
            cell.failed += 1
            cell.faults += self._failed(event)
        if event.latency_ms is not None:
            self._pending.latency.add(event.latency_ms)
            ns = round(event.latency_ms * NS_PER_MS)
            cell.latency.setdefault(status, []).append(ns)
            self._exemplify("latency", event, status, ns, ts)
        if event.processing_ms is not None:
            self._pending.processing.add(event.processing_ms)
            ns = round(event.processing_ms * NS_PER_MS)
            cell.processing.setdefault(status, []).append(ns)
            self._exemplify("processing", event, status, ns, ts)

    def _failed(self, event: Event) -> int:
        """Count the reason; return 1 for a fault, 0 for a refusal."""
        reason = event.reason or "unknown"
        fault = reason not in self._rules.refusals
        self._tallies["faults" if fault else "refusals"][self._admit("reason", reason)] += 1
        return int(fault)

    def _exemplify(self, duration: str, event: Event, status: str, ns: int, ts: float) -> None:
        labels = {}
        for name in ("trace_id", "order_id"):
            value = getattr(event, name)
            if value and len(value) <= EXEMPLAR_CHARACTERS:
                labels = {name: value}
                break
        if labels:
            bounds = self._rules.buckets_ns
            bucket = next((i for i, bound in enumerate(bounds) if ns <= bound), len(bounds))
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

    def _ignored(self, event: Event, ts: float) -> None:
        self._tallies["ignored"][self._admit("type", event.type)] += 1

    def _fold(self, second: int, cell: _Second, now: float) -> None:
        whole = Slice()
        whole.finished, whole.failed, whole.faults = cell.finished, cell.failed, cell.faults
        self._time("latency", cell.latency, whole.latency)
        self._time("processing", cell.processing, whole.processing)
        if second >= now - HISTORY_SECONDS:
            self._state.minutes.setdefault(second - second % 60, Minute()).finished[second] += cell.finished
        for ring in RINGS.values():
            getattr(self._state, ring.section).setdefault(second - second % ring.width, Slice()).merge(whole)

    def _time(self, duration: str, values_by_status: dict[str, list[int]], whole: Histogram) -> None:
        for status, values in values_by_status.items():
            histogram = Histogram()
            histogram.update(values)
            key = f"{duration}:{status}"
            timing = self._state.timings.get(key)
            if timing is None:
                timing = self._state.timings[key] = Timing(Histogram(), Classic(self._rules.buckets_ns))
            timing.histogram.merge(histogram)
            timing.classic.update(values)
            whole.merge(histogram)


def _lines(event: Event) -> Iterable[tuple[str, int]]:
    """Return the products of an order with their quantities, each product once."""
    if event.items is None:
        return () if event.product_id is None else ((event.product_id, event.quantity),)
    units: dict[str, int] = {}
    for item in event.items:
        units[item.product_id] = units.get(item.product_id, 0) + item.quantity
    return units.items()
