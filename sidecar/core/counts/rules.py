"""The rules of counting: from the configuration, and fixed limits."""

from msgspec import Struct

from sidecar.core.counts.custom_definition import CustomMetric

OTHER = "__other__"
HISTORY_SECONDS = 3600
AHEAD_SECONDS = 2.0  # how far an event may be ahead: synchronised clocks agree within this
MAX_PRODUCERS = 1000
CONNECTION_SECONDS = 60  # after this, the connections of a silent producer no longer count
GRACE_SECONDS = 5.0


class Rules(Struct, frozen=True, kw_only=True):
    """The configuration of counting."""

    products: tuple[str, ...] = ()
    refusals: frozenset[str] = frozenset({"sold_out", "limit_reached", "duplicate", "payment_declined"})
    currency: str = "XXX"
    count_repeats: bool = False
    buckets_ns: tuple[int, ...] = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000)
    max_products: int = 1000
    max_reasons: int = 100
    max_queues: int = 100
    max_currencies: int = 20
    max_types: int = 100
    max_producers: int = MAX_PRODUCERS
    new_series_hold: float = 12.0
    commit_interval: float = 0.5
    custom_metrics: tuple[CustomMetric, ...] = ()
    queues: tuple[str, ...] = ()  # those that the sidecar reads itself
    order_queue: str = ""  # the one of them whose every job decides an order, if any
