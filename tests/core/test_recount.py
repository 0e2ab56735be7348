"""A sale of thousands of random events, counted by the Aggregator and again by the plainest code there is."""

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from decimal import Decimal
from math import ceil, log
from random import Random
from typing import Any

import pytest

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.rules import Rules
from sidecar.core.events.batch import Batch
from sidecar.core.snapshot.snapshot import Snapshot, Summary, Timings
from tests.core.counted import NOW, PUBSUB, STREAM, commit, shown

EVENTS = 3000
BUCKETS_NS = (1_000_000, 5_000_000, 25_000_000, 100_000_000, 1_000_000_000)
RULES = Rules(buckets_ns=BUCKETS_NS, products=("p0", "never"))
REASONS = ("sold_out", "payment_declined", "timeout", "db_down", None)
Plain = dict[str, Any]


def random_event(random: Random, now: float) -> Plain:
    """Return one event as a backend would write it; `ts` and all values are in one spelling."""
    event: Plain = {} if random.random() < 0.3 else {"ts": round(now - random.choice((0, 0.5, 3, 8, 70, 400)), 3)}
    if random.random() < 0.02:
        event["ts"] = now + 30
    kind = random.random()
    if kind < 0.05:
        event |= {"type": "queue", "queue": random.choice("qr"), "waiting": random.randrange(100), "active": 1}
    elif kind < 0.1:
        event |= {"type": "inventory", "product_id": f"p{random.randrange(3)}", "stock": random.randrange(1, 99)}
    elif kind < 0.15:
        event |= {"type": "connections", "producer": random.choice("xyz"), "active": random.randrange(100)}
    elif kind < 0.18:
        event |= {"type": random.choice(("refund", "login"))}
    elif kind < 0.2:
        event |= {"type": "heartbeat"}
    elif kind < 0.24:
        event |= random.choice(({"status": "odd"}, {"quantity": 1}, {"status": "paid", "ts": "soon"}))
    else:
        event |= random_order(random)
    return event


def random_order(random: Random) -> Plain:
    event: Plain = {"status": random.choices(("pending", "success", "failed", "cancelled"), (3, 5, 2, 1))[0]}
    if random.random() < 0.2:
        event["items"] = [
            {"product_id": f"p{n}", "quantity": random.randint(1, 5), "amount": f"{random.randrange(10**5) / 100:.2f}"}
            for n in random.sample(range(6), random.randint(1, 3))
        ]
    elif random.random() < 0.8:
        event |= {"product_id": f"p{random.randrange(6)}", "quantity": random.randint(1, 3)}
    if random.random() < 0.5:
        event["amount"] = f"{random.randrange(10**9) / 10**6:.6f}"
    if random.random() < 0.7:
        event["currency"] = random.choice(("EUR", "USD"))
    if random.random() < 0.8:
        event["latency_ms"] = round(random.lognormvariate(3, 2), 6) % 10**7
    if random.random() < 0.5:
        event["processing_ms"] = random.choice((1, 5, 25.0, 0.0004, 100, 1000.000001))
    if event["status"] == "failed" and (reason := random.choice(REASONS)):
        event["reason"] = reason
    return event


class Recount:
    """Every event in lists; every number from its definition."""

    def __init__(self) -> None:
        self.orders: list[tuple[Plain, float]] = []  # with the time they count at
        self.readings: dict[tuple[str, str], tuple[float, int]] = {}
        self.counts: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()

    def add(self, event: Plain, arrival: float) -> None:
        kind = event.get("type", "order")
        if kind == "heartbeat":
            return
        self.counts["received"] += 1
        status = event.get("status")
        if kind == "order" and (status not in ("pending", "success", "failed", "cancelled")):
            self.counts["invalid"] += 1
            return
        ts = event.get("ts", arrival)
        self.counts["late"] += arrival - ts > 5
        ts = arrival if ts > arrival + 2 else ts
        if kind == "order":
            self.orders.append((event, ts))
        elif kind in ("queue", "inventory", "connections"):
            name = event.get("queue") or event.get("product_id") or event["producer"]
            value = event["stock"] if kind == "inventory" else event["waiting" if kind == "queue" else "active"]
            if ts >= self.readings.get((kind, name), (0.0, 0))[0]:
                self.readings[kind, name] = (ts, value)
        else:
            self.ignored[kind] += 1

    def finished(self, *statuses: str) -> list[tuple[Plain, float]]:
        return [(e, ts) for e, ts in self.orders if e["status"] in (statuses or ("success", "failed"))]

    def gauges(self, kind: str, since: float = 0.0) -> dict[str, int]:
        return {name: value for (k, name), (ts, value) in self.readings.items() if k == kind and ts >= since}


def lines(event: Plain) -> list[tuple[str, int]]:
    if "items" in event:
        return [(item["product_id"], item["quantity"]) for item in event["items"]]
    return [(event["product_id"], event["quantity"])] if "product_id" in event else []


@pytest.fixture(scope="module", params=range(3))
def sale(request: pytest.FixtureRequest) -> tuple[Recount, Snapshot, float]:
    """Count the sale in random batches from three sources, with commits, thaws and restarts in between."""
    random = Random(request.param)
    aggregate, recount = Aggregator(RULES, Random(1)), Recount()
    left, now = EVENTS, NOW
    while left > 0:
        now += random.choice((0.01, 0.1, 0.3, 2.0))
        size = min(left, random.choice((1, 3, 20, 100)))
        found = [random_event(random, now) for _ in range(size)]
        left -= size
        for event in found:
            recount.add(event, now)
        aggregate.apply(as_batch(random, found, now), now)
        aggregate = then(random, aggregate, now)
    commit(aggregate, now)
    return recount, shown(aggregate, now, RULES), now


def as_batch(random: Random, found: list[Plain], now: float) -> Batch:
    """Return the events as single payloads or as one array."""
    one_by_one = [json.dumps(event).encode() for event in found]
    payloads = one_by_one if random.random() < 0.5 else [b"[" + b",".join(one_by_one) + b"]"]
    return Batch(source=random.choice((PUBSUB, STREAM, "pubsub:b")), payloads=payloads, arrivals=[now] * len(payloads))


def then(random: Random, aggregate: Aggregator, now: float) -> Aggregator:
    chance = random.random()
    if chance < 0.3:
        commit(aggregate, now)
    elif chance < 0.4:
        aggregate.thaw(aggregate.freeze(now))
    elif chance < 0.45:
        commit(aggregate, now)
        fields = aggregate.fields()
        aggregate = Aggregator(RULES, random)
        aggregate.load(fields, same_generation=False)
    return aggregate


Sale = tuple[Recount, Snapshot, float]


def test_the_counts(sale: Sale) -> None:
    recount, snapshot, _ = sale
    by_status = Counter(event["status"] for event, _ in recount.orders)
    assert snapshot.orders.by_status == by_status
    finished = by_status["success"] + by_status["failed"]
    assert snapshot.orders.total == finished
    level = 0
    for event, _ in recount.orders:
        level = max(level + (1 if event["status"] == "pending" else -1), 0)
    assert snapshot.orders.in_flight == level
    found = snapshot.completeness
    assert {"received": found.received, "invalid": found.invalid, "late": found.late} == recount.counts
    assert (found.missed, found.duplicates, found.ratio) == (0, 0, 1.0)
    assert snapshot.series
    assert snapshot.series.ignored_by_type == recount.ignored


def test_the_reasons(sale: Sale) -> None:
    recount, snapshot, _ = sale
    reasons = Counter(event.get("reason", "unknown") for event, _ in recount.finished("failed"))
    assert snapshot.orders.failed_by_reason == reasons
    assert snapshot.orders.refusals == reasons["sold_out"] + reasons["payment_declined"]
    assert snapshot.orders.faults == reasons["timeout"] + reasons["db_down"] + reasons["unknown"]


def test_the_products(sale: Sale) -> None:
    recount, snapshot, _ = sale
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for event, _ in recount.orders:
        for product, quantity in lines(event):
            counts[product][event["status"]] += 1
            counts[product]["units"] += quantity if event["status"] == "success" else 0
    assert set(snapshot.orders.by_product) == {*counts, "never"}
    for name, shown_product in snapshot.orders.by_product.items():
        assert {key: getattr(shown_product, key) for key in (*snapshot.orders.by_status, "units")} == {
            key: counts[name][key] for key in (*snapshot.orders.by_status, "units")
        }


def test_the_revenue(sale: Sale) -> None:
    recount, snapshot, _ = sale
    revenue: dict[str, Decimal] = defaultdict(Decimal)
    for event, _ in recount.finished("success"):
        amounts = [event["amount"]] if "amount" in event else [item["amount"] for item in event.get("items", ())]
        for amount in amounts:
            revenue[event.get("currency", "XXX")] += Decimal(amount)
    assert {currency: Decimal(text) for currency, text in snapshot.orders.revenue.items()} == revenue


def test_the_throughput(sale: Sale) -> None:
    recount, snapshot, now = sale
    seconds = Counter(int(ts) for _, ts in recount.finished())
    last = int(now - 0.5) - 1
    speed = snapshot.orders.per_second
    assert speed.now == seconds[last]
    for value, length in ((speed.last_10s, 10), (speed.last_1m, 60), (speed.last_5m, 300)):
        assert value == sum(seconds[last - age] for age in range(length)) / length
    best = max(seconds.values())
    assert (speed.peak, speed.peak_at) == (best, min(s for s, n in seconds.items() if n == best))


def test_the_rates_of_every_window(sale: Sale) -> None:
    recount, snapshot, now = sale
    errors, faults = snapshot.orders.error_rate, snapshot.orders.fault_rate
    for name, width, length in (("last_10s", 1, 10), ("last_1m", 5, 60), ("last_5m", 10, 300), ("total", 1, 10**9)):
        found = in_window(recount.finished(), now, width, length)
        failed = [event for event in found if event["status"] == "failed"]
        faulty = [event for event in failed if event.get("reason") not in ("sold_out", "payment_declined")]
        assert getattr(errors, name) == (len(failed) / len(found) if found else None)
        assert getattr(faults, name) == (len(faulty) / len(found) if found else None)


def in_window(orders: list[tuple[Plain, float]], now: float, width: int, length: int) -> list[Plain]:
    """Return the orders in slices that begin within the window, which ends with the last whole second."""
    first = int(now - 0.5) - length
    return [event for event, ts in orders if int(ts) - int(ts) % width >= first]


@pytest.mark.parametrize("name", ["latency_ms", "processing_ms"])
def test_the_durations_of_every_window(sale: Sale, name: str) -> None:
    recount, snapshot, now = sale
    timings: Timings = getattr(snapshot, name)
    for window, width, length in (("last_10s", 1, 10), ("last_1m", 5, 60), ("last_5m", 10, 300), ("total", 1, 10**9)):
        found = in_window(recount.finished(), now, width, length)
        agree(getattr(timings, window), [event[name] for event in found if name in event])
    for status, one in timings.by_status.items():
        agree(one, [event[name] for event, _ in recount.finished(status) if name in event])


def agree(summary: Summary, values: list[float]) -> None:
    """Compare with the exact order statistics."""
    assert summary.count == len(values)
    if not values:
        assert summary == Summary()
        return
    ranked = sorted(round(value * 10**6) / 10**6 for value in values)
    assert (summary.min, summary.max) == (ranked[0], ranked[-1])
    assert summary.avg == pytest.approx(sum(ranked) / len(ranked), rel=1e-12)
    for name, permille in (("p50", 500), ("p90", 900), ("p95", 950), ("p99", 990), ("p999", 999)):
        exact = ranked[ceil(permille * len(ranked) / 1000) - 1]
        assert getattr(summary, name) == (pytest.approx(exact, rel=0.011) if exact >= 0.001 else 0.0)


@pytest.mark.parametrize("name", ["latency", "processing"])
def test_the_classic_buckets(sale: Sale, name: str) -> None:
    recount, snapshot, _ = sale
    assert snapshot.series
    for status, histogram in getattr(snapshot.series, name).items():
        values = [round(e[f"{name}_ms"] * 10**6) for e, _ in recount.finished(status) if f"{name}_ms" in e]
        counts = Counter(bisect_left(BUCKETS_NS, value) for value in values)
        assert histogram.counts == tuple(counts[at] for at in range(len(BUCKETS_NS) + 1))
        assert histogram.sum_seconds == sum(values) / 10**9
        assert histogram.bounds == tuple(bound / 10**9 for bound in BUCKETS_NS)


def test_the_gauges(sale: Sale) -> None:
    recount, snapshot, now = sale
    assert {name: queue.waiting for name, queue in snapshot.queues.items()} == recount.gauges("queue")
    assert {name: one.stock for name, one in snapshot.inventory.items()} == recount.gauges("inventory")
    assert snapshot.connections.active == sum(recount.gauges("connections", now - 60).values())


def test_the_depletion(sale: Sale) -> None:
    recount, snapshot, shown_at = sale
    for name, inventory in snapshot.inventory.items():
        # A sale counts in the middle of its second, which may be ahead of now.
        finished = recount.finished("success")
        sold = [(q, int(ts) + 0.5) for event, ts in finished for p, q in lines(event) if p == name]
        now = max(shown_at, *(ts for _, ts in sold))
        span = max(now - min(ts for _, ts in sold), 1.0)
        half_life = 10.0
        if sum(units * 2 ** (-(now - ts) / half_life) for units, ts in sold) < 20:
            half_life = 60.0
        weighted = sum(units * 2 ** (-(now - ts) / half_life) for units, ts in sold)
        rate = weighted / ((1 - 2 ** (-span / half_life)) * half_life / log(2))
        assert inventory.depletion_per_second == pytest.approx(rate, rel=1e-6)
        assert inventory.sell_out_in_s == pytest.approx(inventory.stock / rate, rel=1e-6)
