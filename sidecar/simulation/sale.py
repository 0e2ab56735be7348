"""One sale as a discrete event simulation: orders queue for workers, which sell until the stock is gone.

Latency is not drawn but emerges: the time in the queue plus that of the worker. It rises in the rush, and again while
the payment provider is slow. Every order is decided: pending == success + failed + cancelled + in flight. After the
sale the backend stays idle: every process sends heartbeats and readings, and nobody buys.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

from msgspec import Struct

from sidecar.simulation.demand import Demand, SimulatedProduct, catalogue

SimulatedEvent = dict[str, Any]
Stage = Callable[[float], Iterator[SimulatedEvent]]

APIS = ("sim-api-1", "sim-api-2")
WORKERS = ("sim-worker-1", "sim-worker-2")
CLERK = WORKERS[0]  # the process that reports the queue and the stock
CURRENCY = "EUR"

# Workers manage this many times the mean rate: a little less than the rush, so that a queue builds up, then drains.
CAPACITY = 2.4
MAX_WORKERS = 64
WORKERS_PER_RATE = 0.15
SLOWEST_SERVICE = 0.1
SERVICE_SPREAD = 0.5  # sigma of the lognormal: its p99 is about three times its mean
# No order waits longer, since another worker starts, and no worker takes longer. So a healthy sale has a queue, but its
# latency fires no alert: it is below 1 s in the rush, and never above 2 s.
LONGEST_WAIT = 0.6
LONGEST_SERVICE = 1.2

# Shares of the duration: the payment provider is slow, the hottest product is restocked. Even in a long sale the
# provider recovers before an alert fires.
INCIDENT_AT = 0.40
INCIDENT_SHARE = 0.07
LONGEST_INCIDENT = 15.0
INCIDENT_SLOWDOWN = 2.0
RESTOCK_AT = 0.6
RESTOCK_SHARE = 0.25

CANCELLED = 0.015
DECLINED = 0.03
INTERNAL_ERROR = 0.001
TIMEOUT = 0.002
TIMEOUT_IN_INCIDENT = 0.015

QUEUE_EVERY = 0.5
STATE_EVERY = 1.0
WHOLE_STOCK_EVERY = 30.0  # in between, only stock that changed
OPEN_PER_RATE = 6.0  # shoppers with a page open for each order a second
VISITORS = 0.05  # shoppers while nothing is sold, as a share of the mean rate


class SimulatedSale(Struct, frozen=True, kw_only=True):
    """A sale: iterate over (offset in seconds, event) in time order, as often as needed.

    `rate` is the mean number of orders a second over `duration` seconds; the sale then runs until every order is
    decided, and the backend stays idle for `idle` seconds more. The same seed gives the same sale; `start` (Unix
    seconds) only moves `ts` and `epoch`.
    """

    seed: int
    rate: float = 50.0
    duration: float = 60.0
    idle: float = 0.0
    products: int = 8
    start: float = 0.0

    def __iter__(self) -> Iterator[tuple[float, SimulatedEvent]]:
        return _Run(self).events()


class _SimulatedOrder(Struct, frozen=True):
    number: int
    product: SimulatedProduct
    quantity: int
    accepted: float
    trace_id: str


class _Run:
    """The state of one iteration over a sale."""

    def __init__(self, sale: SimulatedSale) -> None:
        self._sale = sale
        self._rng = random.Random(sale.seed)
        self._products = catalogue(self._rng, count=sale.products, orders=sale.rate * sale.duration)
        self._demand = Demand(self._rng, rate=sale.rate, duration=sale.duration, products=self._products)
        self._stock = {product.id: product.stock for product in self._products}
        self._changed = set(self._stock)
        self._workers = max(2, min(MAX_WORKERS, round(sale.rate * WORKERS_PER_RATE)))
        self._service_seconds = min(SLOWEST_SERVICE, self._workers / (CAPACITY * sale.rate))
        self._waiting: deque[_SimulatedOrder] = deque()
        self._busy = self._completed = self._failed = 0
        self._sequence: dict[str, int] = {}
        self._numbers = count(1)
        self._agenda: list[tuple[float, int, Stage]] = []
        self._ties = count()

    def events(self) -> Iterator[tuple[float, SimulatedEvent]]:
        """Run the agenda until it is empty."""
        arrivals = self._demand.arrivals()
        self._at(0.0, self._report_state)
        self._at(0.0, self._report_queue)
        self._at(self._sale.duration * RESTOCK_AT, self._restock)
        self._await_next(arrivals)
        while self._agenda:
            offset, _, action = heapq.heappop(self._agenda)
            for event in action(offset):
                yield offset, event

    def _at(self, offset: float, action: Stage) -> None:
        heapq.heappush(self._agenda, (offset, next(self._ties), action))

    def _await_next(self, arrivals: Iterator[float]) -> None:
        offset = next(arrivals, None)
        if offset is not None:
            self._at(offset, partial(self._accept, arrivals))

    def _accept(self, arrivals: Iterator[float], now: float) -> Iterator[SimulatedEvent]:
        """Accept an order."""
        product, quantity = self._demand.choose()
        order = _SimulatedOrder(next(self._numbers), product, quantity, now, f"{self._rng.getrandbits(128):032x}")
        self._waiting.append(order)
        yield self._event(self._rng.choice(APIS), now, **self._fields(order, "pending"))
        self._begin(now)
        if self._waiting:
            self._at(now + LONGEST_WAIT, partial(self._hasten, order))
        self._await_next(arrivals)

    def _hasten(self, order: _SimulatedOrder, now: float) -> Iterator[SimulatedEvent]:
        """Let one more worker take an order that has waited `LONGEST_WAIT`, if it still waits."""
        if self._waiting and self._waiting[0] is order:
            self._take(now)
        return iter(())

    def _begin(self, now: float) -> None:
        """Let a free worker take the first order, if there are both."""
        if self._waiting and self._busy < self._workers:
            self._take(now)

    def _take(self, now: float) -> None:
        """Let a worker take the first order in the queue."""
        order = self._waiting.popleft()
        self._busy += 1
        seconds = self._rng.lognormvariate(0.0, SERVICE_SPREAD) * self._service_seconds
        if self._in_incident(now):
            seconds *= INCIDENT_SLOWDOWN
        if self._stock[order.product.id] < order.quantity:
            seconds *= 0.3  # the worker only checks the stock
        seconds = min(seconds, LONGEST_SERVICE)
        self._at(now + seconds, partial(self._decide, order, seconds))

    def _decide(self, order: _SimulatedOrder, processing: float, now: float) -> Iterator[SimulatedEvent]:
        """Finish an order; the worker takes the next one."""
        fields = self._fields(order, "success") | {
            "latency_ms": round((now - order.accepted) * 1000, 3),
            "processing_ms": round(processing * 1000, 3),
            "trace_id": order.trace_id,
        }
        reason = self._why_not(order, now)
        if reason == "cancelled":
            fields = self._fields(order, "cancelled")
        elif reason:
            fields |= {"status": "failed", "reason": reason}
            self._failed += 1
        else:
            cents = order.product.price_cents * order.quantity
            fields |= {"amount": f"{cents // 100}.{cents % 100:02d}", "currency": CURRENCY}
            self._sell(order)
        yield self._event(self._rng.choice(WORKERS), now, **fields)
        self._busy -= 1
        self._begin(now)

    def _why_not(self, order: _SimulatedOrder, now: float) -> str:
        """Return why an order is not sold: a reason, `cancelled`, or "" if it is."""
        if self._rng.random() < CANCELLED:
            return "cancelled"
        if self._stock[order.product.id] < order.quantity:
            return "sold_out"
        timeout = TIMEOUT_IN_INCIDENT if self._in_incident(now) else TIMEOUT
        drawn = self._rng.random()
        for reason, share in (("timeout", timeout), ("payment_declined", DECLINED), ("internal_error", INTERNAL_ERROR)):
            if drawn < share:
                return reason
            drawn -= share
        return ""

    def _sell(self, order: _SimulatedOrder) -> None:
        self._completed += 1
        self._stock[order.product.id] -= order.quantity
        self._changed.add(order.product.id)

    def _in_incident(self, now: float) -> bool:
        began = INCIDENT_AT * self._sale.duration
        return began <= now < began + min(INCIDENT_SHARE * self._sale.duration, LONGEST_INCIDENT)

    def _restock(self, now: float) -> Iterator[SimulatedEvent]:
        """Restock the hottest product."""
        hottest = self._products[0]
        self._stock[hottest.id] += max(1, round(hottest.stock * RESTOCK_SHARE))
        yield self._event(CLERK, now, type="inventory", product_id=hottest.id, stock=self._stock[hottest.id])

    def _report_queue(self, now: float) -> Iterator[SimulatedEvent]:
        numbers = {"waiting": len(self._waiting), "active": self._busy, "delayed": 0}
        numbers |= {"failed": self._failed, "completed": self._completed}
        yield self._event(CLERK, now, type="queue", queue="orders", **numbers)
        if not self._over(now):
            self._at(now + QUEUE_EVERY, self._report_queue)

    def _report_state(self, now: float) -> Iterator[SimulatedEvent]:
        """Report changed stock (from time to time all of it), connections, and a heartbeat of every producer."""
        if now % WHOLE_STOCK_EVERY < STATE_EVERY:
            self._changed.update(self._stock)
        for product in sorted(self._changed):
            yield self._event(CLERK, now, type="inventory", product_id=product, stock=self._stock[product])
        self._changed.clear()
        for api in APIS:
            rate = max(self._demand.rate_at(now), self._sale.rate * VISITORS)
            shoppers = rate * OPEN_PER_RATE * self._rng.uniform(0.95, 1.05)
            yield self._event(api, now, type="connections", active=round(shoppers / len(APIS)))
        for producer in sorted(self._sequence):
            yield self._header(producer, now) | {"type": "heartbeat"}
        if not self._over(now):
            self._at(now + STATE_EVERY, self._report_state)

    def _over(self, now: float) -> bool:
        return now >= self._sale.duration + self._sale.idle and not self._waiting and not self._busy

    def _fields(self, order: _SimulatedOrder, status: str) -> SimulatedEvent:
        identity = {"order_id": f"{order.number:06d}", "product_id": order.product.id, "quantity": order.quantity}
        return {"status": status, **identity}

    def _event(self, producer: str, now: float, **fields: Any) -> SimulatedEvent:
        """Return the next numbered event of `producer`; heartbeats repeat the last number instead."""
        self._sequence[producer] = self._sequence.get(producer, 0) + 1
        return fields | self._header(producer, now)

    def _header(self, producer: str, now: float) -> SimulatedEvent:
        epoch = round(self._sale.start * 1000)
        return {
            "ts": round(self._sale.start + now, 6),
            "producer": producer,
            "epoch": epoch,
            "seq": self._sequence[producer],
        }
