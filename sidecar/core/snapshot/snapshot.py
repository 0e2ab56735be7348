"""The Snapshot: the committed counts as frozen values. Everything that readers see is rendered from it.

The field names are the JSON of `GET /monitoring/metrics`. `series` is only for the Prometheus exposition; `public`
leaves it out.
"""

from typing import Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from sidecar.core.counts.exemplars import Exemplar
from sidecar.core.counts.liveness import Presence
from sidecar.core.counts.phases import PhaseName
from sidecar.core.counts.sale import Sale
from sidecar.core.counts.understanding import NotUnderstood

T = TypeVar("T")
Role = Literal["active", "standby"]
Scope = Literal["instance", "fleet"]
JOB_STATES = ("waiting", "active", "delayed", "failed", "completed")


class Windows(Struct, Generic[T], frozen=True, kw_only=True):
    """One value for each time window."""

    last_10s: T = field(name="10s")
    last_1m: T = field(name="1m")
    last_5m: T = field(name="5m")
    total: T


class Summary(Struct, frozen=True):
    """A distribution in milliseconds; `None` without samples."""

    count: int = 0
    avg: float | None = None
    min: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None


class Timings(Windows[Summary], frozen=True, kw_only=True):
    """Summaries by window, and in total by status."""

    by_status: dict[str, Summary]


class PerSecond(Struct, frozen=True, kw_only=True):
    """Orders finished per second."""

    now: int
    last_10s: float = field(name="10s")
    last_1m: float = field(name="1m")
    last_5m: float = field(name="5m")
    total: float | None
    peak: int
    peak_at: int | None


class ProductOrders(Struct, frozen=True):
    """Orders of one product by status, and units sold."""

    success: int = 0
    failed: int = 0
    pending: int = 0
    cancelled: int = 0
    units: int = 0


class Orders(Struct, frozen=True, kw_only=True):
    """`total` is success + failed."""

    total: int
    by_status: dict[str, int]
    in_flight: int | None
    failed_by_reason: dict[str, int]
    refusals: int
    faults: int
    error_rate: Windows[float | None]
    fault_rate: Windows[float | None]
    per_second: PerSecond
    by_product: dict[str, ProductOrders]
    revenue: dict[str, str]


class Queue(Struct, frozen=True):
    """The newest numbers of one queue, from events or from the queue itself; `None` is unknown.

    `oldest_waiting_s` is how long the oldest waiting job has waited. `drift_jobs` is how many more orders events have
    decided than the queue has finished jobs.
    """

    waiting: int | None = None
    active: int | None = None
    delayed: int | None = None
    failed: int | None = None
    completed: int | None = None
    state_from: Literal["events", "redis"] = "events"
    oldest_waiting_s: float | None = None
    paused: bool | None = None
    drift_jobs: int | None = None


SellOutState = Literal[
    "not_started", "starting", "selling", "restocked", "stalled", "sold_out", "ended", "unknown"
]  # fmt: skip


class SellOut(Struct, frozen=True):
    """When a product sells out: `eta_s` seconds from now, between `low_s` and `high_s` in four of five cases.

    `at` is that time in Unix seconds; for a product that is sold out or stalled, when it was. `rate_per_second` of a
    stalled product is that from before. `units_seen` are the units that the estimate rests on.
    """

    state: SellOutState = "unknown"
    eta_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    at: float | None = None
    rate_per_second: float | None = None
    units_seen: int = 0


class Inventory(Struct, frozen=True):
    """Units left, how fast they go, and when they will be gone."""

    stock: int
    depletion_per_second: float | None = None
    sell_out_in_s: float | None = None
    sell_out: SellOut = SellOut()


class Connections(Struct, frozen=True):
    """Open connections of all producers that reported within a minute; `None` if none did."""

    active: int | None


class ProducerCompleteness(Struct, frozen=True):
    """What the sequence numbers of one producer show, and whether it is alive.

    `state` is `None` if it sends no heartbeats, or has left. `last_seen` is in Unix seconds, `None` if it has not been
    heard of since the sidecar started.
    """

    received: int = 0
    missed: int = 0
    duplicates: int = 0
    last_seen: float | None = None
    state: Presence | None = None
    restarts: int = 0


class Producers(Struct, frozen=True):
    """How many of the producers that send heartbeats are alive, and how many silent."""

    alive: int = 0
    silent: int = 0


class LastMinute(Struct, frozen=True):
    """What was received and missed in the minute that ended 5 s ago: later misses are not known yet."""

    ratio: float | None = None
    received: int = 0
    missed: int = 0


class Completeness(Struct, frozen=True, kw_only=True):
    """How much of what was published was received. `ratio` is `None` if unknown.

    `counted_twice` are events that came over two sources; `producers` is `None` if none sends heartbeats;
    `not_understood` is by source; `hints` has a sentence for each producer name that seems to be shared.
    """

    ratio: float | None
    received: int
    missed: int
    duplicates: int
    late: int
    invalid: int
    ignored: int
    adjusted: int = 0
    repeats: int = 0
    counted_twice: int = 0
    blind_s: float
    last_minute: LastMinute = LastMinute()
    producers: Producers | None = None
    by_producer: dict[str, ProducerCompleteness]
    not_understood: dict[str, NotUnderstood] = {}
    hints: list[str] | UnsetType = UNSET


class CustomSample(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One series of a custom metric: `value` of a counter or a gauge; a histogram has the others.

    `buckets` are cumulative, by upper bound as Prometheus writes it.
    """

    labels: dict[str, str]
    value: float | UnsetType = UNSET
    count: int | UnsetType = UNSET
    sum: float | UnsetType = UNSET
    buckets: dict[str, int] | UnsetType = UNSET


class Custom(Struct, frozen=True, kw_only=True):
    """A custom metric, with its series in the order of their labels."""

    type: Literal["counter", "gauge", "histogram"]
    help: str
    series: list[CustomSample]


class System(Struct, frozen=True):
    """The sidecar's own process, and its Redis."""

    cpu_percent: float | None = None
    rss_bytes: int | None = None
    redis_used_memory_bytes: int | None = None


class ClassicHistogram(Struct, frozen=True, kw_only=True):
    """A Prometheus histogram: `counts[i]` samples (not cumulative) up to `bounds[i]` seconds, the last up to +Inf.

    `fine` has the same samples by index of their bucket in `Histogram`, in ascending order.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum_seconds: float
    exemplars: dict[int, Exemplar]
    fine: dict[int, int]

    @property
    def count(self) -> int:
        """The number of samples."""
        return sum(self.counts)


class Series(Struct, frozen=True, kw_only=True):
    """What the exposition shows beyond the JSON.

    `slo_bad` and `slo_valid` are orders by the name of the SLO.

    `held` are the label sets, as (family, label value), so new that they are shown at 0: families are `product`,
    `reason`, `currency`, `ignored`, `invalid`. `latency` and `processing` are by status, `refusals` and `faults` by
    reason, the others by the label in their name.
    """

    latency: dict[str, ClassicHistogram]
    processing: dict[str, ClassicHistogram]
    refusals: dict[str, int]
    faults: dict[str, int]
    received_by_source: dict[str, int]
    missed_by_source: dict[str, int]
    recovered_by_source: dict[str, int]
    invalid_by_reason: dict[str, int]
    ignored_by_type: dict[str, int]
    adjusted_by_reason: dict[str, int]
    overflow_by_label: dict[str, int]
    slo_bad: dict[str, int] = {}
    slo_valid: dict[str, int] = {}
    held: frozenset[tuple[str, str]]


class PhaseOrders(Struct, frozen=True, kw_only=True):
    """What finished in a phase, over all times it was entered. `refusals` are failed orders that are no faults."""

    finished: int
    failed: int
    refusals: int
    faults: int
    latency_ms: Summary
    processing_ms: Summary


class PhaseEntry(Struct, frozen=True, kw_only=True):
    """When a phase began, in Unix seconds, and why."""

    at: float
    phase: PhaseName
    trigger: str


class Phases(Struct, frozen=True, kw_only=True):
    """Which phase the sale is in, how it came there, and what counted in each. `now` is `None` without a sale."""

    now: PhaseName | None = None
    since: float | None = None
    reopened: bool = False
    changes: list[PhaseEntry] = []
    orders: dict[PhaseName, PhaseOrders] = {}


class ErrorBudget(Struct, frozen=True, kw_only=True):
    """An SLO of the sale. `orders` may be bad, `left` of them are not spent; below 0 it did not last.

    `burn` is how many times faster than allowed orders are bad, by time window. `exhausted_in_s`: if it goes on as in
    the last minute. `since` is when the page or the warning began.
    """

    target: float
    bad: int
    valid: int
    orders: float
    left: float
    remaining_ratio: float
    burn: dict[str, float]
    exhausted_in_s: float | None
    state: Literal["ok", "warning", "page"]
    since: float | None


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything that is shown at one moment."""

    schema: int = 1
    instance: str
    scope: Scope = "instance"
    instances: list[str] | UnsetType = UNSET
    role: Role
    ts: float
    since: float | None
    committed_at: float | None
    stale: bool
    uptime_s: float
    sale: Sale = Sale()
    phases: Phases = Phases()
    slo: dict[str, ErrorBudget] = {}
    orders: Orders
    latency_ms: Timings
    processing_ms: Timings
    queues: dict[str, Queue]
    inventory: dict[str, Inventory]
    connections: Connections
    completeness: Completeness
    system: System
    custom: dict[str, Custom] | UnsetType = UNSET
    series: Series | UnsetType = UNSET

    def public(self) -> "Snapshot":
        """Return the snapshot as the JSON shows it."""
        return msgspec.structs.replace(self, series=UNSET)
