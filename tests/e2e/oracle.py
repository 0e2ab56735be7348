"""What the numbers must be, computed from the events themselves and from the contract, without the daemon's code."""

import math
import random
from collections import Counter
from decimal import Decimal
from typing import Any

BUCKETS_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
REFUSALS = {"sold_out", "limit_reached", "duplicate", "payment_declined"}
REASONS = ("sold_out", "limit_reached", "payment_declined", "timeout", "db_error")
PERCENTILES = {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p999": 999}

Event = dict[str, Any]


def mixed_events(seed: int, number: int, now: float) -> list[Event]:
    """Make events of every type, by three producers, within the last four seconds."""
    rnd = random.Random(seed)
    numbers = Counter[str]()
    events = []
    for i in range(number):
        producer = f"web-{rnd.randrange(3)}"
        numbers[producer] += 1
        event: Event = {
            "ts": round(now - rnd.random() * 4, 3),
            "producer": producer,
            "epoch": 7,
            "seq": numbers[producer],
        }
        kind = rnd.random()
        if kind < 0.95:
            events.append(event | _order(rnd, i))
        elif kind < 0.97:
            events.append(event | {"type": "queue", "queue": rnd.choice("ab"), "waiting": rnd.randrange(500)})
        elif kind < 0.99:
            events.append(
                event | {"type": "inventory", "product_id": f"sku-{rnd.randrange(40)}", "stock": rnd.randrange(-5, 900)}
            )
        else:
            events.append(event | {"type": "page_view"})
    return events


def _order(rnd: random.Random, i: int) -> Event:
    status = rnd.choices(("success", "failed", "pending", "cancelled"), (50, 25, 20, 5))[0]
    order: Event = {"status": status, "order_id": f"o-{i}", "quantity": rnd.randrange(1, 4)}
    if rnd.random() < 0.95:
        order["product_id"] = f"sku-{rnd.randrange(40)}"
    if status in ("success", "failed"):
        order["latency_ms"] = round(rnd.lognormvariate(4, 1), 3)
        order["processing_ms"] = round(rnd.lognormvariate(2, 1), 3)
    if status == "failed" and rnd.random() < 0.9:
        order["reason"] = rnd.choice(REASONS)
    if status == "success":
        order["amount"] = f"{rnd.randrange(1, 100000) / 100:.2f}"
        order["currency"] = rnd.choice(("EUR", "USD"))
    return order


class Truth:
    """The numbers that a list of events must give."""

    def __init__(self, events: list[Event]) -> None:
        orders = [event for event in events if "status" in event]
        self.by_status = Counter(event["status"] for event in orders)
        finished = [event for event in orders if event["status"] in ("success", "failed")]
        self.total = len(finished)
        self.reasons = Counter(event.get("reason", "unknown") for event in orders if event["status"] == "failed")
        self.refusals = sum(count for reason, count in self.reasons.items() if reason in REFUSALS)
        self.per_second = Counter(int(event["ts"]) for event in finished)
        self.latency = {
            status: sorted(event["latency_ms"] for event in finished if event["status"] == status)
            for status in ("success", "failed")
        }
        self.processing = {
            status: sorted(event["processing_ms"] for event in finished if event["status"] == status)
            for status in ("success", "failed")
        }
        self.products: dict[str, Counter[str]] = {}
        self.revenue: dict[str, Decimal] = {}
        for event in orders:
            if "product_id" in event:
                product = self.products.setdefault(event["product_id"], Counter())
                product[event["status"]] += 1
                product["units"] += event["quantity"] * (event["status"] == "success")
            if event["status"] == "success":
                currency = event["currency"]
                self.revenue[currency] = self.revenue.get(currency, Decimal(0)) + Decimal(event["amount"])
        self.stock = _newest(events, "inventory", "product_id", "stock")
        self.waiting = _newest(events, "queue", "queue", "waiting")
        self.received = len(events)
        self.ignored = sum(event.get("type") == "page_view" for event in events)


def _newest(events: list[Event], kind: str, key: str, value: str) -> dict[str, int]:
    """Return the value with the newest `ts` for each key; of two the later event."""
    newest: dict[str, Event] = {}
    for event in events:
        if event.get("type") == kind and event["ts"] >= newest.get(event[key], event)["ts"]:
            newest[event[key]] = event
    return {name: event[value] for name, event in newest.items()}


def order_statistic(values: list[float], permille: int) -> float:
    """Return the value of rank ceil(q n) of sorted values."""
    return values[math.ceil(permille * len(values) / 1000) - 1]


def cumulative(values: list[float]) -> list[int]:
    """Return how many values lie at or below each classic bucket, the last for +Inf."""
    return [sum(value <= bound for value in values) for bound in BUCKETS_MS] + [len(values)]
