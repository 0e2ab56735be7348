"""What is counted, from the contract alone: a payload as it was read, and one recount."""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf
from typing import Any, Literal, NamedTuple

from tests.walk.custom import Newest, Values
from tests.walk.steps import DEFAULTS, Event, Settings

PUBSUB, STREAM = "pubsub:shop", "stream:shop"
WORDS = {
    **dict.fromkeys(("success", "paid", "completed", "confirmed", "ok"), "success"),
    **dict.fromkeys(("failed", "error", "rejected", "declined", "timeout"), "failed"),
    **dict.fromkeys(("pending", "created", "accepted", "queued", "reserved"), "pending"),
    **dict.fromkeys(("cancelled", "canceled", "refunded", "expired"), "cancelled"),
}
STATUSES = ("success", "failed", "pending", "cancelled")
FINISHED = ("success", "failed")
REMEMBERED_SECONDS = 600.0
FIELDS = ("waiting", "active", "delayed", "failed", "completed")
LATE_SECONDS = 5.0
AHEAD_SECONDS = 2.0
SILENT_SECONDS = 60.0
HEARD_SECONDS = 10.0  # that a producer was heard of is stored at least so often
HISTORY_SECONDS = 3600


@dataclass(frozen=True)
class Heard:
    """One payload as it was read; `published` and `read` are by a clock that nobody sets."""

    source: str
    events: tuple[Event, ...]
    published: float
    published_wall: float
    read: float
    entry: int = 0  # of the stream
    lost: int = 0  # entries of the stream that were gone before they were read
    settings: Settings = DEFAULTS  # by which it was counted


def fault_of(event: Event) -> str | None:
    """Return why an event is refused."""
    if isinstance(event, str):
        return "not_json"
    match event.get("type", "order"):
        case "order":
            status = event.get("status")
            return "missing_field" if status is None else None if status.lower() in WORDS else "unknown_status"
        case "inventory":
            stock = event.get("stock")
            return "missing_field" if stock is None else None if isinstance(stock, int) else "wrong_type"
        case "connections":
            return "out_of_range" if event["active"] < 0 else None
    return None


@dataclass
class Reading:
    """A value, and when it was read: by its explicit time or its arrival, then by arrival."""

    at: tuple[float, float]
    value: int


def newest(readings: dict[Any, Reading], name: Any, reading: Reading) -> None:
    """Keep the newer reading, and of equal ones the last to arrive."""
    if name not in readings or reading.at >= readings[name].at:
        readings[name] = reading


Kind = Literal["refusal", "fault"]


class Finished(NamedTuple):
    """A finished order: the second it belongs to, and its times in milliseconds."""

    second: int
    failed: bool
    fault: bool
    latency: float | None
    processing: float | None


@dataclass
class Counts:
    """A recount since the last clear."""

    since: float  # at the earliest
    since_shown: float | None = None
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    products: Counter[tuple[str, str]] = field(default_factory=Counter)  # (product, status or "units")
    revenue: Counter[str] = field(default_factory=Counter)
    times: dict[tuple[str, str], list[float]] = field(default_factory=dict)  # (latency or processing, status)
    other_buckets: dict[tuple[str, str], int] = field(default_factory=dict)  # how many times fell into earlier ones
    finished: list[Finished] = field(default_factory=list)
    received: Counter[str] = field(default_factory=Counter)  # by source
    invalid: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)  # by source, numbers alone
    recovered: Counter[str] = field(default_factory=Counter)
    lost: int = 0  # entries of the stream that were trimmed before they were read
    lost_before: int = 0  # likewise, before the last clear: numbers that are missed since may have been in them
    missed_before: int = 0  # numbers of the stream, likewise: entries that are lost since may have held them
    rolled_back: bool = False  # whether Redis was: what producers had told since is missed, but not by producer
    producers: dict[str, Counter[str]] = field(default_factory=dict)
    duplicates: int = 0
    late: int = 0
    queues: dict[tuple[str, str], Reading] = field(default_factory=dict)  # (queue, field)
    stock: dict[str, Reading] = field(default_factory=dict)
    connections: dict[str, Reading] = field(default_factory=dict)
    outlasting: set[str] = field(default_factory=set)  # producers whose connections were timed by another clock
    perhaps_silent: set[str] = field(default_factory=set)  # producers with connections
    numbered: bool = False
    custom: Values = field(default_factory=Counter)
    newest_custom: Newest = field(default_factory=Newest)
    in_flight: int = 0
    orders_from: set[str] = field(default_factory=set)  # the sources of orders of this commit
    mixed: bool = False  # orders of one commit came from two sources: nobody knows which came first
    repeats: int = 0
    said: dict[tuple[str, str], float] = field(default_factory=dict)  # when a word told a state of an order
    followed: bool = False  # whether any order was pending
    perhaps_known: set[str] = field(default_factory=set)  # orders decided just before, which may have been read with it
    pending_since: dict[str, int] = field(default_factory=dict)  # of orders decided before: how often they were pending

    def published(self, source: str) -> int:
        """Return how many events are known to have been published over a source."""
        return self.received[source] + self.missed[source] - self.recovered[source]

    @property
    def seconds(self) -> Counter[int]:
        """Finished orders by second."""
        return Counter(order.second for order in self.finished)

    def order(self, event: dict[str, Any], second: int, now: float, settings: Settings) -> None:
        """Count an order."""
        word = event["status"].lower()
        status = WORDS[word]
        if not settings.count_repeats and word not in STATUSES and (order_id := event.get("order_id")):
            if now - self.said.get((order_id, status), -inf) < REMEMBERED_SECONDS:
                self.repeats += 1
                return
            self.said[order_id, status] = now
        self._fly(event.get("order_id"), word, status)
        units = event.get("quantity", 1) if status == "success" else 0
        self.statuses[status] += 1
        if product := event.get("product_id"):
            self.products[product, status] += 1
            self.products[product, "units"] += units
        if status not in ("success", "failed"):
            return
        for duration in ("latency", "processing"):
            if (value := event.get(f"{duration}_ms")) is not None:
                self.times.setdefault((duration, status), []).append(value)
        reason = event.get("reason", word if word in ("rejected", "declined", "timeout") else "unknown")
        failed = status == "failed"
        times = event.get("latency_ms"), event.get("processing_ms")
        kind: Kind = "refusal" if reason in settings.refusals else "fault"
        self.finished.append(Finished(second, failed, failed and kind == "fault", *times))
        if failed:
            self.reasons[reason, kind] += 1
        elif (amount := event.get("amount")) is not None:
            self.revenue[event.get("currency", settings.currency).upper()] += Decimal(str(amount))  # type: ignore[assignment]

    def _fly(self, order_id: str | None, word: str, status: str) -> None:
        """Follow the orders in flight, from the first that was pending."""
        self.followed |= status == "pending"
        if not self.followed:
            self.perhaps_known |= {order_id} if order_id else set()
            return
        self.mixed |= order_id in self.perhaps_known
        since = self.pending_since.get(order_id or "")
        if status == "pending":
            self.in_flight += since is None or since >= 0
            if order_id and since is not None:
                self.pending_since[order_id] = since + 1
        elif word != "refunded" and (since is None or since > 0):
            seen = self.in_flight > 0
            self.in_flight -= seen
            if order_id and (since or status != "success" or not seen):
                self.pending_since[order_id] = since - 1 if since else 0 if seen else -1
