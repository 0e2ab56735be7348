"""The events that a backend publishes (docs/reference/events.md), after decoding.

One wide struct serves all types: it decodes in one pass, and a batch of mixed types is one list.
"""

from decimal import Decimal
from math import inf
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, Struct, field

from sidecar.core.events.sale_event import ID_PATTERN, Action

Status = Literal["pending", "success", "failed", "cancelled"]
STATUSES: tuple[Status, ...] = ("success", "failed", "pending", "cancelled")
FINISHED: tuple[Status, ...] = ("success", "failed")

MAX_ID_BYTES = 128
MAX_QUANTITY = 1_000_000
MAX_STOCK = 10**12
MAX_COUNT = 10**12
MAX_AMOUNT = 10**9
MAX_EPOCH = 2**63 - 1  # a start time in nanoseconds fits
MAX_DURATION_MS = 36 * 3600 * 1000
MAX_PAYLOAD_BYTES = 1 << 20
MAX_BATCH_EVENTS = 10_000
MAX_REJECTED_BYTES = 1024
EARLIEST = 946_684_800.0  # 2000-01-01: an earlier time has a wrong unit
MAX_AHEAD_SECONDS = 86_400.0

# In characters; decode.py ensures that these are bytes.
Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_BYTES)]
Epoch = Annotated[int, Meta(ge=0, le=MAX_EPOCH)]
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
Amount = Annotated[Decimal, Meta(description=f"decimal, 0 to {MAX_AMOUNT}")]
Duration = Annotated[float, Meta(ge=0, le=MAX_DURATION_MS)]


def latest(arrival: float) -> float:
    """Return the latest `ts` that an event may have; a clock before the year 2000 is not set, and sets no limit."""
    return arrival + MAX_AHEAD_SECONDS if arrival >= EARLIEST else inf


class Item(Struct, gc=False, frozen=True):
    """One line of an order of several products."""

    product_id: Id
    quantity: Quantity = 1
    amount: Amount | None = None


class Event(Struct, gc=False, kw_only=True):
    """One valid event in canonical form: `ts` in seconds, status words translated, `None` for absent fields.

    Only the fields that `FIELDS` lists for its type mean anything, of an unknown type only `HEADER_FIELDS`.
    `status_word` is how the payload spelled the status, "" if canonically; no payload can set it.
    """

    type: Id = "order"
    ts: Annotated[float, Meta(ge=EARLIEST, lt=1e11)] | None = None
    producer: Id | None = None
    epoch: Id | Epoch | None = None
    seq: Count | None = None
    status: Status | None = None
    order_id: Id | None = None
    product_id: Id | None = None
    quantity: Quantity = 1
    items: Annotated[list[Item], Meta(min_length=1)] | None = None
    latency_ms: Duration | None = None
    processing_ms: Duration | None = None
    reason: Id | None = None
    amount: Amount | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None
    trace_id: Id | None = None
    queue: Id | None = None
    waiting: Count | None = None
    active: Count | None = None
    delayed: Count | None = None
    failed: Count | None = None
    completed: Count | None = None
    stock: Annotated[int, Meta(ge=-MAX_STOCK, le=MAX_STOCK)] | None = None
    status_word: str = ""


class SaleEvent(Event, gc=False, kw_only=True):
    """An event that announces that a sale starts or stops; `sale` is its id."""

    action: Action
    sale: Annotated[str, Meta(pattern=ID_PATTERN)] | None = None


HEADER_FIELDS = ("type", "ts", "producer", "epoch", "seq")
QUEUE_FIELDS = ("waiting", "active", "delayed", "failed", "completed")  # at least one of them
FIELDS: dict[str, tuple[str, ...]] = {
    "order": (
        *HEADER_FIELDS,
        "status",
        "order_id",
        "product_id",
        "quantity",
        "items",
        "latency_ms",
        "processing_ms",
        "reason",
        "amount",
        "currency",
        "trace_id",
    ),
    "queue": (*HEADER_FIELDS, "queue", *QUEUE_FIELDS),
    "inventory": (*HEADER_FIELDS, "product_id", "stock"),
    "connections": (*HEADER_FIELDS, "active"),
    "heartbeat": HEADER_FIELDS,
    "sale": (*HEADER_FIELDS, "action", "sale"),
}
REQUIRED: dict[str, tuple[str, ...]] = {
    "order": ("status",),
    "inventory": ("product_id", "stock"),
    "connections": ("active",),
    "heartbeat": (),
}

# Fields without which an order can be counted, and those of a queue, which needs at least one.
OPTIONAL: dict[str, frozenset[str]] = {
    "order": frozenset(FIELDS["order"]) - {*HEADER_FIELDS, "status"},
    "queue": frozenset(QUEUE_FIELDS),
}
CUT = ("order_id", "reason", "trace_id")  # cut if too long; other invalid values are left out
ADJUSTMENTS = (
    *(f"{name}_cut" for name in CUT),
    *(f"{name}_left_out" for names in OPTIONAL.values() for name in sorted(names)),
    "item_left_out",
)
_ONLY_DECIDED = frozenset({"latency_ms", "processing_ms", "quantity", "amount", "currency", "reason"})
# Fields that orders of a status do not use; their values may be invalid.
UNUSED: dict[Status, frozenset[str]] = {
    "success": frozenset({"reason"}),
    "failed": frozenset({"quantity", "amount", "currency"}),
    "pending": _ONLY_DECIDED,
    "cancelled": _ONLY_DECIDED,
}

RejectionReason = Literal[
    "not_json", "not_object", "missing_field", "wrong_type", "out_of_range", "unknown_status", "too_large", "unmapped"
]


class Number(NamedTuple):
    """The sequence fields of an event."""

    producer: str
    epoch: str | int | None
    seq: int


class Rejection(Struct, frozen=True):
    """One rejected payload. `numbers` is `None` if it may have numbers that cannot be read."""

    reason: RejectionReason
    detail: str
    payload: bytes
    arrival: float
    numbers: tuple[Number, ...] | None = ()


class Shared(Struct):
    """What all events of a list have in common, so that counting need not look at each.

    `only_orders`: all are orders. `priced`: some may have an amount or items. `dated`: each has a time, from `first` to
    `last` (Unix seconds).
    """

    only_orders: bool = True
    priced: bool = False
    dated: bool = True
    first: float = inf
    last: float = -inf

    def merge(self, other: "Shared") -> None:
        """Add what further events have in common."""
        self.only_orders &= other.only_orders
        self.priced |= other.priced
        self.dated &= other.dated
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)


NOTHING_SHARED = Shared(only_orders=False, priced=True, dated=False)


class Decoded(Struct):
    """The events and rejections of a list of payloads, in order of arrival.

    `arrivals[i]` is the arrival time of `events[i]`; `events_before[i]` is how many events came before `rejections[i]`.
    `paired` is whether each payload became one event, so that `events[i]` is of the i-th payload.
    `worded` is whether any event has a `status_word`, which is rare.
    `adjusted` names what was cut or left out of events, by the `id()` of each; `repeats` is by what a repeated delivery
    of one is recognised, likewise; `extras` has the fields of events beyond those here, where custom metrics read them.
    `taken` is how often each rule of a mapping took, dropped or rejected something, by mapping, rule and outcome.
    """

    events: list[Event]
    arrivals: list[float]
    rejections: list[Rejection]
    events_before: list[int] = field(default_factory=list)
    paired: bool = True
    worded: bool = False
    adjusted: dict[int, tuple[str, ...]] = field(default_factory=dict)
    repeats: dict[int, str] = field(default_factory=dict)
    extras: dict[int, dict[str, Any]] = field(default_factory=dict)
    taken: dict[tuple[str, str, str], int] = field(default_factory=dict)
    shared: Shared = field(default_factory=Shared)

    def add(self, event: Event, arrival: float, adjusted: tuple[str, ...]) -> None:
        """Add an event that was read by itself, with the names of what was cut or left out."""
        self.events.append(event)
        self.arrivals.append(arrival)
        self.worded |= event.status_word != ""
        if adjusted:
            self.adjusted[id(event)] = adjusted

    def take(self, names: tuple[str, str, str], number: int) -> None:
        """Add to what a rule took."""
        self.taken[names] = self.taken.get(names, 0) + number

    def reject(self, rejection: Rejection) -> None:
        """Add a rejection after what was decoded so far."""
        self.events_before.append(len(self.events))
        self.paired = False
        self.rejections.append(rejection)

    def extend(self, later: "Decoded") -> None:
        """Append what was decoded after this."""
        self.events_before += [len(self.events) + number for number in later.events_before]
        self.events += later.events
        self.arrivals += later.arrivals
        self.rejections += later.rejections
        self.paired &= later.paired
        self.worded |= later.worded
        self.shared.merge(later.shared)
        self.adjusted |= later.adjusted
        self.repeats |= later.repeats
        self.extras |= later.extras
        for names, number in later.taken.items():
            self.take(names, number)
