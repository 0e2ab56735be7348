"""Snapshots as the pipeline publishes them, for the tests of everything that renders one."""

from typing import Any

from msgspec.structs import replace

from sidecar.core.counts.exemplars import Exemplar
from sidecar.core.counts.histogram import bucket_index
from sidecar.core.events.event import RejectionReason
from sidecar.core.snapshot.snapshot import (
    ClassicHistogram,
    Completeness,
    Connections,
    Custom,
    CustomSample,
    ErrorBudget,
    Inventory,
    Orders,
    PerSecond,
    ProducerCompleteness,
    ProductOrders,
    Queue,
    SellOut,
    Series,
    Snapshot,
    Summary,
    System,
    Timings,
    Windows,
)

TS = 1_790_000_000.123
SELL_OUT = SellOut("selling", 132.8, 104.0, 169.0, TS + 132.8, 0.7, 214)
BUDGET = ErrorBudget(
    target=0.99,
    bad=2,
    valid=557,
    orders=20.0,
    left=18.0,
    remaining_ratio=0.9,
    burn={"10s": 3.25, "1m": 1.0, "5m": 1.0},
    exhausted_in_s=540.0,
    state="page",
    since=TS,
)
BOUNDS = (0.005, 0.1, 1.0)
WITHIN_NS = (500, 40_000_000, 1_000_000_000, 2_000_000_000)  # of each bucket, a duration
REASONS: tuple[str, ...] = RejectionReason.__args__  # type: ignore[attr-defined]


def snapshot(**changes: Any) -> Snapshot:
    """Nine finished orders of one product; `changes` replace fields of the Snapshot."""
    return replace(
        Snapshot(
            instance="host-1",
            role="active",
            ts=TS,
            since=1_789_999_000.0,
            committed_at=1_790_000_000.1,
            stale=False,
            uptime_s=12.3,
            orders=orders(),
            latency_ms=timings(),
            processing_ms=timings(),
            queues={"orders": Queue(waiting=3, active=1, delayed=0, failed=0, completed=8)},
            inventory={"sku-1": Inventory(93, 0.7, 132.8, SELL_OUT)},
            connections=Connections(active=120),
            completeness=completeness(),
            system=System(cpu_percent=1.2, rss_bytes=1, redis_used_memory_bytes=1),
            series=series(),
        ),
        **changes,
    )


CUSTOM = {
    "shop_vouchers_total": Custom(
        type="counter", help="Vouchers.", series=[CustomSample(labels={"campaign": "black friday"}, value=3.0)]
    ),
    "shop_basket_euros": Custom(
        type="histogram",
        help="Baskets.",
        series=[CustomSample(labels={}, count=3, sum=69.8, buckets={"10.0": 1, "50.0": 3, "+Inf": 3})],
    ),
    "shop_workers": Custom(type="gauge", help="Workers.", series=[CustomSample(labels={"pool": "a"}, value=2.5)]),
}


def empty(**changes: Any) -> Snapshot:
    """The first Snapshot of a daemon that has read nothing."""
    nothing: Windows[float | None] = Windows(last_10s=None, last_1m=None, last_5m=None, total=None)
    none_yet = Summary()
    quiet = Timings(last_10s=none_yet, last_1m=none_yet, last_5m=none_yet, total=none_yet, by_status={})
    return snapshot(
        **{
            "orders": Orders(
                total=0,
                by_status={"success": 0, "failed": 0, "pending": 0, "cancelled": 0},
                in_flight=None,
                failed_by_reason={},
                refusals=0,
                faults=0,
                error_rate=nothing,
                fault_rate=nothing,
                per_second=PerSecond(now=0, last_10s=0.0, last_1m=0.0, last_5m=0.0, total=None, peak=0, peak_at=None),
                by_product={},
                revenue={},
            ),
            "latency_ms": quiet,
            "processing_ms": quiet,
            "queues": {},
            "inventory": {},
            "connections": Connections(active=None),
            "completeness": completeness(ratio=None, received=0, by_producer={}),
            "series": Series(
                latency={},
                processing={},
                refusals={},
                faults={},
                received_by_source={},
                missed_by_source={},
                recovered_by_source={},
                invalid_by_reason={},
                ignored_by_type={},
                adjusted_by_reason={},
                overflow_by_label={},
                held=frozenset(),
            ),
            **changes,
        }
    )


def orders(**changes: Any) -> Orders:
    """Seven successes, two refusals."""
    return replace(
        Orders(
            total=9,
            by_status={"success": 7, "failed": 2, "pending": 9, "cancelled": 0},
            in_flight=0,
            failed_by_reason={"sold_out": 2},
            refusals=2,
            faults=0,
            error_rate=Windows(last_10s=0.22, last_1m=0.22, last_5m=0.22, total=0.22),
            fault_rate=Windows(last_10s=0.0, last_1m=0.0, last_5m=0.0, total=0.0),
            per_second=PerSecond(
                now=3, last_10s=0.9, last_1m=0.15, last_5m=0.03, total=0.009, peak=5, peak_at=1_789_999_990
            ),
            by_product={"sku-1": ProductOrders(success=7, failed=2, pending=9, cancelled=0, units=7)},
            revenue={"EUR": "70.00"},
        ),
        **changes,
    )


def summary(count: int = 9) -> Summary:
    """Milliseconds around 40."""
    return Summary(count=count, avg=42.0, min=4.0, p50=40.0, p90=80.0, p95=90.0, p99=99.0, p999=120.0, max=120.5)


def timings(**changes: Any) -> Timings:
    """The same distribution in each window."""
    return replace(
        Timings(
            last_10s=summary(),
            last_1m=summary(),
            last_5m=summary(),
            total=summary(),
            by_status={"success": summary(7), "failed": summary(2)},
        ),
        **changes,
    )


def completeness(**changes: Any) -> Completeness:
    """Nothing missed by one numbered producer."""
    return replace(
        Completeness(
            ratio=1.0,
            received=30,
            missed=0,
            duplicates=0,
            late=0,
            invalid=0,
            ignored=0,
            adjusted=0,
            repeats=0,
            blind_s=0.0,
            by_producer={"api-1": ProducerCompleteness(received=30, missed=0, duplicates=0)},
        ),
        **changes,
    )


def histogram(*counts: int, exemplars: dict[int, Exemplar] | None = None) -> ClassicHistogram:
    """A histogram over `BOUNDS`; `counts` are not cumulative, the last is up to +Inf."""
    fine = {bucket_index(ns): n for ns, n in zip(WITHIN_NS, counts, strict=True) if n}
    return ClassicHistogram(bounds=BOUNDS, counts=counts, sum_seconds=0.378, exemplars=exemplars or {}, fine=fine)


def series(**changes: Any) -> Series:
    """What only the exposition shows of the same orders."""
    exemplar = Exemplar(labels={"trace_id": "4bf92f3577b34da6"}, value_seconds=0.04, ts=1_789_999_999.5)
    return replace(
        Series(
            latency={"success": histogram(1, 5, 1, 0, exemplars={1: exemplar}), "failed": histogram(0, 2, 0, 0)},
            processing={"success": histogram(2, 5, 0, 0)},
            refusals={"sold_out": 2},
            faults={},
            received_by_source={"pubsub:flash_sale:events": 30},
            missed_by_source={"pubsub:flash_sale:events": 0},
            recovered_by_source={"pubsub:flash_sale:events": 0},
            invalid_by_reason=dict.fromkeys(REASONS, 0),
            ignored_by_type={},
            adjusted_by_reason={},
            overflow_by_label={},
            held=frozenset(),
        ),
        **changes,
    )
