"""Every name of the contract is exposed: with its type, its labels and a sentence that says what it is."""

import re

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from sidecar.core.snapshot.snapshot import Queue, Snapshot
from sidecar.exposition.prometheus.negotiation import Format
from sidecar.exposition.prometheus.render import Exposition
from sidecar.exposition.published import Published
from sidecar.process.telemetry import Telemetry
from tests.exposition import snapshots
from tests.exposition.monitors import SOURCES, parse_openmetrics
from tests.exposition.snapshots import series

SALE = {
    "orders_total": ("counter", {"status"}),
    "orders_pending_total": ("counter", set()),
    "orders_cancelled_total": ("counter", set()),
    "orders_in_flight": ("gauge", set()),
    "product_orders_total": ("counter", {"product_id", "status"}),
    "product_orders_pending_total": ("counter", {"product_id"}),
    "product_orders_cancelled_total": ("counter", {"product_id"}),
    "order_failures_total": ("counter", {"reason", "kind"}),
    "units_sold_total": ("counter", {"product_id"}),
    "revenue_total": ("counter", {"currency"}),
    "order_latency_seconds": ("histogram", {"status"}),
    "order_processing_seconds": ("histogram", {"status"}),
    "order_latency_percentile_seconds": ("gauge", {"percentile", "window"}),
    "queue_length": ("gauge", {"queue"}),
    "queue_active_jobs": ("gauge", {"queue"}),
    "queue_jobs": ("gauge", {"queue", "state"}),
    "queue_oldest_waiting_seconds": ("gauge", {"queue"}),
    "queue_paused": ("gauge", {"queue"}),
    "queue_drift_jobs": ("gauge", {"queue"}),
    "inventory_stock_units": ("gauge", {"product_id"}),
    "inventory_depletion_units_per_second": ("gauge", {"product_id"}),
    "time_to_sell_out_seconds": ("gauge", {"product_id"}),
    "time_to_sell_out_lower_seconds": ("gauge", {"product_id"}),
    "time_to_sell_out_upper_seconds": ("gauge", {"product_id"}),
    "active_connections": ("gauge", set()),
    "completeness_ratio": ("gauge", set()),
    "info": ("gauge", {"sidecar", "environment"}),
}
COMMITTED = {
    "sidecar_events_received_total": ("counter", {"source"}),
    "sidecar_events_invalid_total": ("counter", {"reason"}),
    "sidecar_events_missed_total": ("counter", {"source"}),
    "sidecar_events_recovered_total": ("counter", {"source"}),
    "sidecar_events_duplicate_total": ("counter", set()),
    "sidecar_events_late_total": ("counter", set()),
    "sidecar_order_faults_total": ("counter", set()),
    "sidecar_events_ignored_total": ("counter", {"type"}),
    "sidecar_label_overflow_total": ("counter", {"label"}),
}
LIVE = {
    "sidecar_source_connected": ("gauge", {"source"}),
    "sidecar_source_lag_seconds": ("gauge", {"source"}),
    "sidecar_source_last_event_timestamp_seconds": ("gauge", {"source"}),
    "sidecar_source_resets_total": ("counter", {"source"}),
    "sidecar_commit_duration_seconds": ("histogram", set()),
    "sidecar_commits_total": ("counter", {"outcome"}),
    "sidecar_last_commit_timestamp_seconds": ("gauge", set()),
    "sidecar_redis_up": ("gauge", set()),
    "sidecar_redis_refuses_writes": ("gauge", {"reason"}),
    "sidecar_producers_doubted": ("gauge", set()),
    "sidecar_websocket_clients": ("gauge", set()),
    "sidecar_websocket_updates_total": ("counter", {"outcome"}),
    "sidecar_loop_lag_seconds": ("gauge", set()),
    "sidecar_build_info": ("gauge", {"version"}),
}
VALUES = {
    ("orders_total", "status"): {"success", "failed"},
    ("product_orders_total", "status"): {"success", "failed"},
    ("order_latency_seconds", "status"): {"success", "failed"},
    ("order_latency_percentile_seconds", "percentile"): {"50", "90", "95", "99", "99.9"},
    ("order_latency_percentile_seconds", "window"): {"10s", "1m", "5m", "total"},
    ("order_failures_total", "kind"): {"fault", "refusal"},
    ("sidecar_commits_total", "outcome"): {"ok", "conflict", "cleared", "reread", "rolled_back", "emptied", "failed"},
    ("sidecar_source_connected", "source"): set(SOURCES),
    ("sidecar_events_received_total", "source"): set(SOURCES),
}
OF_THE_SAMPLE = {"le"}  # of a bucket: no label of the metric


async def families(snapshot: Snapshot | None) -> dict[str, Metric]:
    """Return what a daemon that has counted and committed exposes, by name without `flash_sale_`."""
    registry = CollectorRegistry()
    telemetry = Telemetry(registry, version="1.2.3", sources=SOURCES)
    telemetry.last_commit.set(1.0)
    telemetry.source_last_event.labels(SOURCES[0]).set(1.0)
    exposition = Exposition(registry, environment="test", sources=SOURCES)
    published = None if snapshot is None else Published(snapshot)
    exposed = (await exposition.render(lambda: published, Format.OPENMETRICS)).decode()
    named = {family.name + "_total" * (family.type == "counter"): family for family in parse_openmetrics(exposed)}
    return {name.removeprefix("flash_sale_"): family for name, family in named.items()}


def all_there_is() -> Snapshot:
    queues = {
        "orders": Queue(waiting=3, active=1, state_from="redis", oldest_waiting_s=0.5, paused=False, drift_jobs=0)
    }
    counts = series(faults={"timeout": 1}, ignored_by_type={"page": 1})
    return snapshots.snapshot(series=counts, queues=queues)


async def test_every_name_of_the_contract_has_its_type_and_labels() -> None:
    found = await families(all_there_is())
    for name, (kind, labels) in (SALE | COMMITTED | LIVE).items():
        assert found[name].type == kind, name
        assert {frozenset(s.labels.keys() - OF_THE_SAMPLE) for s in found[name].samples} == {frozenset(labels)}, name


async def test_no_other_name_belongs_to_the_sale() -> None:
    found = await families(all_there_is())
    others = [name for name in found if not name.startswith(("sidecar_", "process_", "python_"))]
    assert sorted(others) == sorted(SALE)


@pytest.mark.parametrize(("name", "label"), VALUES)
async def test_labels_have_the_values_of_the_contract(name: str, label: str) -> None:
    found = await families(all_there_is())
    assert {sample.labels[label] for sample in found[name].samples} == VALUES[name, label]


async def test_a_standby_shows_itself_and_nothing_of_the_business() -> None:
    found = await families(None)
    assert found.keys() >= LIVE.keys()
    assert not found.keys() & (SALE | COMMITTED).keys()


async def test_every_name_says_in_a_sentence_what_it_is_and_ends_in_a_base_unit() -> None:
    found = await families(all_there_is())
    ours = {name: family for name, family in found.items() if name in SALE or name.startswith("sidecar_")}
    for name, family in ours.items():
        assert re.fullmatch(r"[A-Z0-9][^\n\\]{5,}\.", family.documentation), name
        assert not re.search(r"_(ms|millis\w*|minutes|kb|mb|percent)(_|$)", name), name
    assert len({family.documentation for family in ours.values()}) == len(ours)
