"""What was published, counted beside the sidecar; `differences` holds what the sidecar shows against it. Pure."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

Event = dict[str, Any]
STATUSES = ("success", "failed", "pending", "cancelled")


class Truth:
    """Counts of events that were published, and of those that were numbered and got lost."""

    def __init__(self) -> None:
        self.events = 0
        self.lost = 0
        self.statuses: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.units: Counter[str] = Counter()
        self.revenue = Decimal(0)

    def add(self, event: Event, copies: int = 1) -> None:
        """Count an event as often as it is published; a heartbeat is none."""
        if event.get("type") == "heartbeat":
            return
        self.events += copies
        if (status := event.get("status")) is None:
            return
        self.statuses[status] += copies
        if status == "failed":
            self.reasons[event.get("reason", "unknown")] += copies
        if status == "success":
            self.units[event["product_id"]] += event["quantity"] * copies
            self.revenue += Decimal(event["amount"]) * copies

    def lose(self) -> None:
        """Count an event that has a number and does not arrive."""
        self.lost += 1


def differences(truth: Truth, document: dict[str, Any], *, transport_loses: bool = False) -> list[str]:
    """Return what a snapshot shows differently, in words; nothing where all is equal.

    Where the transport may lose, only the sum is known: what was received and what was missed is what was numbered.
    """
    complete = document["completeness"]
    numbered = truth.events + truth.lost
    if transport_loses:
        return list(_unequal("received + missed", complete["received"] + complete["missed"], numbered))
    orders = document["orders"]
    units = {name: one["units"] for name, one in orders["by_product"].items() if one["units"]}
    return [
        *_unequal("received", complete["received"], truth.events),
        *_unequal("missed", complete["missed"], truth.lost),
        *(line for one in STATUSES for line in _unequal(one, orders["by_status"][one], truth.statuses[one])),
        *_unequal("reasons", dict(orders["failed_by_reason"]), dict(truth.reasons)),
        *_unequal("units", units, dict(+truth.units)),
        *_unequal("revenue", Decimal(orders["revenue"].get("EUR", 0)), truth.revenue),
    ]


def _unequal(name: str, shown: object, published: object) -> Iterator[str]:
    if shown != published:
        yield f"{name} {shown}, published {published}"
