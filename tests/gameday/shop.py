"""A shop of four backend processes with one queue and its workers. Pure: `now` in, events out, and the truth of them.

Every process numbers its events, sends a heartbeat and its open connections each second; the first one that lives
reports the queue and the stock, too. What goes wrong is a knob.
"""

import heapq
import random
from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from msgspec import Struct

from tests.gameday.truth import Event, Truth

PROCESSES = ("api-1", "api-2", "api-3", "api-4")
STREAM, PUBSUB = "stream", "pubsub"
SPREAD = 0.5  # sigma of the lognormal service time: its p99 is about three times its mean
SOLD_OUT_SHARE = 0.3  # of the service time: looking at the stock is all there is to do
SLOW_SECONDS = 4.0
CANCELLED, DECLINED, ERRORS = 0.015, 0.03, 0.001
OPEN_PER_RATE = 6  # shoppers with a page open for each order a second
QUANTITIES = (1, 1, 1, 1, 2, 3)
QUEUE = "orders"


class Knobs(Struct):
    """What a scenario turns. `slow` is the share of the orders that take SLOW_SECONDS, as behind one bad shard; `lost`
    the share of the events of `losers` that are numbered and never arrive.
    """

    rate: float = 0.0
    payment_failing: float = 0.0
    service_seconds: float = 0.25
    slow: float = 0.0
    workers: int = 64
    others_take_over: bool = True
    lost: float = 0.0
    losers: tuple[str, ...] = ()
    transports: tuple[str, ...] = (STREAM,)


class Message(Struct, frozen=True):
    """An event, and over which transports it goes."""

    event: Event
    transports: tuple[str, ...]


class _Order(Struct, frozen=True):
    number: int
    product: str
    quantity: int
    accepted: float
    process: str


class Shop:
    """Call `step` several times a second; in between, turn the knobs, `kill` and `revive`."""

    def __init__(self, seed: int, stock: dict[str, int], *, transports: tuple[str, ...] = (STREAM,)) -> None:
        """Open it; the first of `stock` sells best."""
        self.knobs = Knobs(transports=transports)
        self.truth = Truth()
        self.stock = dict(stock)
        self._popularity = list(accumulate(1 / (place + 1) for place in range(len(stock))))
        self._prices = {product: 990 + 500 * place for place, product in enumerate(stock)}
        self._rng = random.Random(seed)
        self._processes = list(PROCESSES)
        self._alive = dict.fromkeys(PROCESSES, 0)  # process -> epoch; the dead are not in it
        self._numbers = dict.fromkeys(PROCESSES, 0)
        self._changed = set(stock)
        self._waiting: deque[_Order] = deque()
        self._jobs: list[tuple[float, int, _Order]] = []
        self._orphans: list[_Order] = []
        self._said: list[str] = []
        self._before = self._reported = 0.0
        self._accepted = self._completed = self._failed = 0

    def kill(self, *processes: str) -> None:
        """End processes without a word."""
        for process in processes:
            self._alive.pop(process, None)

    def revive(self, now: float) -> None:
        """Start the dead ones again; what was in work when all were dead is cancelled."""
        if not self._alive:
            self._orphans = [*(order for *_, order in self._jobs), *self._waiting]
            self._jobs.clear()
            self._waiting.clear()
        for process in self._processes:
            if process not in self._alive:
                self._alive[process], self._numbers[process] = round(now * 1000), 0

    def replace(self, process: str, other: str, now: float) -> None:
        """Let another process take the place of one, as a rolling deployment does."""
        self.kill(process)
        self._processes[self._processes.index(process)] = other
        self._alive[other], self._numbers[other] = round(now * 1000), 0

    def say(self, action: str) -> None:
        """Let the backend say that the sale starts or stops."""
        self._said.append(action)

    def step(self, now: float) -> Iterator[Message]:
        """Yield what happened since the step before, in order."""
        if not self._before:
            self._before = now
            self._alive = dict.fromkeys(self._alive, round(now * 1000))
        if self._alive:
            while self._said:
                yield from self._event(next(iter(self._alive)), now, type="sale", action=self._said.pop(0))
            yield from self._cancel_orphans(now)
            yield from self._accept(now)
            yield from self._work(now)
            if now - self._reported >= 1:
                self._reported = now
                yield from self._report(now)
        self._before = now

    def _cancel_orphans(self, now: float) -> Iterator[Message]:
        orphans, self._orphans = self._orphans, []
        for order in orphans:
            yield from self._event(order.process, now, **_fields(order, "cancelled"))

    def _accept(self, now: float) -> Iterator[Message]:
        moment = self._before
        while self.knobs.rate and (moment := moment + self._rng.expovariate(self.knobs.rate)) < now:
            process = self._rng.choice(self._processes)
            if process not in self._alive:
                if not self.knobs.others_take_over:
                    continue  # the customer sees an error, and nobody counts it
                process = self._rng.choice(list(self._alive))
            self._accepted += 1
            product = self._rng.choices(list(self.stock), cum_weights=self._popularity)[0]
            order = _Order(self._accepted, product, self._rng.choice(QUANTITIES), moment, process)
            self._waiting.append(order)
            yield from self._event(process, now, **_fields(order, "pending"))

    def _work(self, now: float) -> Iterator[Message]:
        self._begin(self._before)  # not now: a step that comes late is no latency
        while self._jobs and self._jobs[0][0] <= now:
            done, _, order = heapq.heappop(self._jobs)
            yield from self._decide(order, done, now)
            self._begin(done)

    def _begin(self, free_since: float) -> None:
        while self._waiting and len(self._jobs) < self.knobs.workers:
            order = self._waiting.popleft()
            seconds = self._rng.lognormvariate(-(SPREAD**2) / 2, SPREAD) * self.knobs.service_seconds
            if self.stock[order.product] < order.quantity:
                seconds *= SOLD_OUT_SHARE
            if self.knobs.slow and self._rng.random() < self.knobs.slow:
                seconds = SLOW_SECONDS
            heapq.heappush(self._jobs, (max(free_since, order.accepted) + seconds, order.number, order))

    def _decide(self, order: _Order, done: float, now: float) -> Iterator[Message]:
        fields = _fields(order, "success") | {"latency_ms": round((done - order.accepted) * 1000, 3)}
        reason = self._why_not(order)
        if reason == "cancelled":
            fields = _fields(order, "cancelled")
        elif reason:
            self._failed += 1
            fields |= {"status": "failed", "reason": reason}
        else:
            self._completed += 1
            self.stock[order.product] -= order.quantity
            self._changed.add(order.product)
            cents = self._prices[order.product] * order.quantity
            fields |= {"amount": f"{cents // 100}.{cents % 100:02d}", "currency": "EUR"}
        process = order.process if order.process in self._alive else self._rng.choice(list(self._alive))
        yield from self._event(process, now, **fields)

    def _why_not(self, order: _Order) -> str:
        if self._rng.random() < CANCELLED:
            return "cancelled"
        if self.stock[order.product] < order.quantity:
            return "sold_out"
        if self._rng.random() < self.knobs.payment_failing:
            return "payment_provider_error"
        drawn = self._rng.random()
        return "payment_declined" if drawn < DECLINED else "internal_error" if drawn < DECLINED + ERRORS else ""

    def _report(self, now: float) -> Iterator[Message]:
        first = next(iter(self._alive))
        numbers = {"waiting": len(self._waiting), "active": len(self._jobs), "delayed": 0}
        numbers |= {"failed": self._failed, "completed": self._completed}
        yield from self._event(first, now, type="queue", queue=QUEUE, **numbers)
        for product in sorted(self._changed):
            yield from self._event(first, now, type="inventory", product_id=product, stock=self.stock[product])
        self._changed.clear()
        for process in self._alive:
            active = round(self.knobs.rate * OPEN_PER_RATE / len(self._alive))
            yield from self._event(process, now, type="connections", active=active)
            yield Message(self._header(process, now) | {"type": "heartbeat"}, self.knobs.transports)

    def set_stock(self, product: str, units: int) -> None:
        """Correct a stock: below 0, more was sold than there was."""
        self.stock[product] = units
        self._changed.add(product)

    def skip(self) -> None:
        """Let one event of the first process get lost."""
        self._numbers[next(iter(self._alive))] += 1
        self.truth.lose()

    def _event(self, process: str, now: float, **fields: Any) -> Iterator[Message]:
        """Number an event and count it; it may get lost on its way."""
        self._numbers[process] += 1
        event = fields | self._header(process, now)
        if process in self.knobs.losers and self._rng.random() < self.knobs.lost:
            self.truth.lose()
            return
        self.truth.add(event, len(self.knobs.transports))
        yield Message(event, self.knobs.transports)

    def _header(self, process: str, now: float) -> Event:
        epoch = self._alive[process]
        return {"ts": round(now, 3), "producer": process, "epoch": epoch, "seq": self._numbers[process]}


def _fields(order: _Order, status: str) -> Event:
    identity = {"order_id": order.number, "product_id": order.product, "quantity": order.quantity}
    return {"status": status, **identity}
