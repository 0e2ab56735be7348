"""The families of a Snapshot, sample by sample."""

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from sidecar.core.counts.sale import Sale
from sidecar.core.events.event import FINISHED
from sidecar.core.snapshot.monotonic import TALLIES, raised
from sidecar.core.snapshot.snapshot import (
    Connections,
    Inventory,
    Phases,
    ProductOrders,
    Queue,
    SellOut,
    Snapshot,
    Summary,
)
from sidecar.exposition.prometheus.families import snapshot_families
from tests.exposition import snapshots
from tests.exposition.prometheus.library import as_metric
from tests.exposition.snapshots import REASONS, completeness, orders, series

SOURCES = ("pubsub:flash_sale:events", "stream:flash_sale:events")


class Families:
    """The families of a Snapshot, by sample."""

    def __init__(self, snapshot: Snapshot) -> None:
        assert snapshot.series
        self.families = [as_metric(family) for family in snapshot_families(snapshot, snapshot.series, "test", SOURCES)]
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def collect(self) -> list[Metric]:
        return self.families

    def value(self, name: str, **labels: str) -> float | None:
        return self._registry.get_sample_value(f"flash_sale_{name}", labels)

    def labels(self, name: str, label: str) -> set[str]:
        """Return the values of a label over the samples of this name."""
        samples = [sample for family in self.families for sample in family.samples]
        return {sample.labels[label] for sample in samples if sample.name == f"flash_sale_{name}"}


@pytest.mark.parametrize(
    ("sale", "start", "end"),
    [
        (Sale(), None, None),
        (Sale(state="running", started_at=5.0, started_by="orders"), 5.0, None),
        (Sale(state="ended", started_at=5.0, ended_at=9.0, started_by="orders", ended_by="orders"), 5.0, 9.0),
    ],
)
def test_a_sale_has_an_end_only_while_none_runs(sale: Sale, start: float | None, end: float | None) -> None:
    found = Families(snapshots.snapshot(sale=sale))
    assert (found.value("start_timestamp_seconds"), found.value("end_timestamp_seconds")) == (start, end)


@pytest.fixture
def shown() -> Families:
    return Families(snapshots.snapshot())


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("info", {"sidecar": "host-1", "environment": "test"}, 1),
        ("orders_total", {"status": "success"}, 7),
        ("orders_total", {"status": "failed"}, 2),
        ("orders_pending_total", {}, 9),
        ("orders_cancelled_total", {}, 0),
        ("orders_in_flight", {}, 0),
        ("product_orders_total", {"product_id": "sku-1", "status": "success"}, 7),
        ("product_orders_total", {"product_id": "sku-1", "status": "failed"}, 2),
        ("product_orders_pending_total", {"product_id": "sku-1"}, 9),
        ("product_orders_cancelled_total", {"product_id": "sku-1"}, 0),
        ("order_failures_total", {"reason": "sold_out", "kind": "refusal"}, 2),
        ("units_sold_total", {"product_id": "sku-1"}, 7),
        ("revenue_total", {"currency": "EUR"}, 70.0),
        ("order_latency_percentile_seconds", {"percentile": "50", "window": "10s"}, 0.04),
        ("order_latency_percentile_seconds", {"percentile": "99.9", "window": "total"}, 0.12),
        ("queue_length", {"queue": "orders"}, 3),
        ("queue_active_jobs", {"queue": "orders"}, 1),
        ("inventory_stock_units", {"product_id": "sku-1"}, 93),
        ("inventory_depletion_units_per_second", {"product_id": "sku-1"}, 0.7),
        ("time_to_sell_out_seconds", {"product_id": "sku-1"}, 132.8),
        ("time_to_sell_out_lower_seconds", {"product_id": "sku-1"}, 104.0),
        ("time_to_sell_out_upper_seconds", {"product_id": "sku-1"}, 169.0),
        ("sold_out_timestamp_seconds", {"product_id": "sku-1"}, None),
        ("active_connections", {}, 120),
        ("completeness_ratio", {}, 1.0),
        ("sidecar_events_received_total", {"source": "pubsub:flash_sale:events"}, 30),
        ("sidecar_events_missed_total", {"source": "pubsub:flash_sale:events"}, 0),
        ("sidecar_events_recovered_total", {"source": "stream:flash_sale:events"}, 0),
        ("sidecar_events_invalid_total", {"reason": "not_json"}, 0),
        ("sidecar_events_duplicate_total", {}, 0),
        ("sidecar_events_late_total", {}, 0),
        ("sidecar_label_overflow_total", {"label": "product"}, 0),
    ],
)
def test_a_snapshot_shows_every_name_of_the_contract(
    shown: Families, name: str, labels: dict[str, str], value: float
) -> None:
    assert shown.value(name, **labels) == value


def test_each_family_appears_once_and_has_help(shown: Families) -> None:
    names = [family.name for family in shown.families]
    assert len(names) == len(set(names))
    assert all(family.documentation for family in shown.families)


def test_a_histogram_is_cumulative_up_to_infinity(shown: Families) -> None:
    buckets = {
        le: shown.value("order_latency_seconds_bucket", status="success", le=le) for le in ("0.005", "0.1", "1.0")
    }
    assert buckets == {"0.005": 1, "0.1": 6, "1.0": 7}
    assert shown.value("order_latency_seconds_bucket", status="success", le="+Inf") == 7
    assert shown.value("order_latency_seconds_count", status="success") == 7
    assert shown.value("order_latency_seconds_sum", status="success") == 0.378
    assert shown.value("order_processing_seconds_count", status="success") == 7


def test_before_the_first_event_what_is_known_from_the_start_is_0() -> None:
    shown = Families(snapshots.empty())
    assert shown.value("orders_total", status="success") == 0
    assert shown.value("orders_total", status="failed") == 0
    assert shown.labels("sidecar_events_invalid_total", "reason") == set(REASONS)
    for name in ("received", "missed", "recovered"):
        assert shown.labels(f"sidecar_events_{name}_total", "source") == set(SOURCES)


def test_what_is_unknown_has_no_sample() -> None:
    empty = snapshots.empty(
        queues={"orders": Queue(waiting=4)}, inventory={"sku-1": Inventory(stock=5)}, connections=Connections(None)
    )
    shown = Families(empty)
    unknown = ["orders_in_flight", "active_connections", "completeness_ratio"]
    assert [shown.value(name) for name in unknown] == [None, None, None]
    assert shown.value("queue_length", queue="orders") == 4
    assert shown.value("queue_active_jobs", queue="orders") is None
    assert shown.value("inventory_depletion_units_per_second", product_id="sku-1") is None
    assert shown.labels("order_latency_percentile_seconds", "percentile") == set()


def test_the_phase_is_1_and_the_others_are_0() -> None:
    shown = Families(snapshots.empty(phases=Phases(now="tail")))
    assert (shown.value("phase", phase="tail"), shown.value("phase", phase="rush")) == (1, 0)
    assert Families(snapshots.empty()).value("phase", phase="rush") is None


def test_an_error_budget_shows_what_is_left_and_what_fires() -> None:
    series = replace(snapshots.series(), slo_bad={"orders": 2}, slo_valid={"orders": 557})
    shown = Families(snapshots.empty(slo={"orders": snapshots.BUDGET}, series=series))
    assert shown.value("burn_rate", slo="orders", window="10s") == 3.25
    assert shown.value("error_budget_remaining_ratio", slo="orders") == 0.9
    assert shown.value("error_budget_remaining_orders", slo="orders") == 18.0
    firing = {one: shown.value("slo_alert_firing", slo="orders", severity=one) for one in ("page", "warning")}
    assert firing == {"page": 1, "warning": 0}
    assert (shown.value("slo_bad_total", slo="orders"), shown.value("slo_valid_total", slo="orders")) == (2, 557)


def test_the_sale_and_its_kind_are_named() -> None:
    shown = Families(snapshots.empty(sale=Sale("drop", "running", 1.0, None, "manifest", kind="rehearsal")))
    assert shown.value("info", sidecar="host-1", environment="test", sale="drop", kind="rehearsal") == 1


def test_a_product_that_is_sold_out_shows_since_when() -> None:
    shown = Families(snapshots.empty(inventory={"sku-1": Inventory(0, 0.0, 0.0, SellOut("sold_out", at=1.5))}))
    assert shown.value("sold_out_timestamp_seconds", product_id="sku-1") == 1.5


def test_a_time_to_sell_out_that_is_not_known_is_left_out_and_comes_back_when_it_is() -> None:
    known = Inventory(stock=5, depletion_per_second=0.5, sell_out_in_s=10.0)
    for item, value in ((Inventory(stock=5), None), (known, 10.0), (Inventory(stock=0, sell_out_in_s=0.0), 0.0)):
        shown = Families(snapshots.empty(inventory={"sku-1": item}))
        assert shown.value("time_to_sell_out_seconds", product_id="sku-1") == value
        assert shown.value("inventory_stock_units", product_id="sku-1") == item.stock


def test_a_product_has_each_count_from_its_first_order() -> None:
    shown = Families(snapshots.snapshot(orders=orders(by_product={"new": ProductOrders(success=1)})))
    assert shown.labels("product_orders_total", "status") == {"success", "failed"}
    assert shown.value("product_orders_pending_total", product_id="new") == 0
    assert shown.value("product_orders_cancelled_total", product_id="new") == 0


def test_held_label_sets_are_0_whatever_was_counted() -> None:
    held = {("product", "sku-1"), ("reason", "timeout"), ("currency", "EUR"), ("ignored", "page"), ("invalid", "new")}
    held |= {("product", "sku-2"), ("currency", "CHF")}
    counted = series(
        faults={"timeout": 4, "error": 1}, ignored_by_type={"page": 5, "cart": 6}, invalid_by_reason={"new": 7}
    )
    shown = Families(snapshots.snapshot(series=replace(counted, held=frozenset(held))))
    for product in ("sku-1", "sku-2"):
        for status in FINISHED:
            assert shown.value("product_orders_total", product_id=product, status=status) == 0
        for name in ("product_orders_pending_total", "product_orders_cancelled_total"):
            assert shown.value(name, product_id=product) == 0
        assert shown.value("units_sold_total", product_id=product) == 0
    assert shown.value("order_failures_total", reason="timeout", kind="fault") == 0
    assert shown.value("order_failures_total", reason="error", kind="fault") == 1
    assert shown.value("revenue_total", currency="EUR") == 0
    assert shown.value("revenue_total", currency="CHF") == 0
    assert shown.value("sidecar_events_ignored_total", type="page") == 0
    assert shown.value("sidecar_events_ignored_total", type="cart") == 6
    assert shown.value("sidecar_events_invalid_total", reason="new") == 0
    assert shown.value("inventory_stock_units", product_id="sku-1") == 93


def test_duplicates_late_missed_and_overflow_come_from_the_committed_numbers() -> None:
    shown = Families(
        snapshots.snapshot(
            completeness=completeness(duplicates=3, late=4),
            series=series(missed_by_source={SOURCES[1]: 9}, overflow_by_label={"product": 2}),
        )
    )
    assert shown.value("sidecar_events_duplicate_total") == 3
    assert shown.value("sidecar_events_late_total") == 4
    assert shown.value("sidecar_events_missed_total", source=SOURCES[1]) == 9
    assert shown.value("sidecar_label_overflow_total", label="product") == 2


def test_a_percentile_without_samples_in_its_window_is_left_out() -> None:
    shown = Families(snapshots.snapshot(latency_ms=snapshots.timings(last_10s=Summary())))
    assert shown.labels("order_latency_percentile_seconds", "window") == {"1m", "5m", "total"}


def test_no_counter_or_histogram_goes_back_over_a_rollback() -> None:
    """Also one that is added later: everything shown of a full Snapshot is shown of one that lost it all."""
    tallies = {name: {"a": 5} for name in TALLIES}
    counts = completeness(duplicates=5, late=5, repeats=5, counted_twice=5)
    full = snapshots.snapshot(series=series(**tallies), completeness=counts)
    nothing = {"success": snapshots.histogram(0, 0, 0, 0), "failed": snapshots.histogram(0, 0, 0, 0)}
    tallies = {name: {} for name in TALLIES}
    lost = snapshots.empty(series=series(latency=nothing, processing={"success": nothing["success"]}, **tallies))
    before, after = Families(full), Families(raised(lost, full))
    for family in before.families:
        if family.type != "gauge":
            assert {sample.name: 0 for sample in family.samples if sample.value}, f"{family.name} is 0 before"
            for sample in family.samples:
                name = sample.name.removeprefix("flash_sale_")
                assert (after.value(name, **sample.labels) or 0) >= sample.value, sample
