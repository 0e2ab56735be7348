"""What each event adds, told from outside: payloads in, Snapshot and State out."""

import tracemalloc
from decimal import Decimal
from string import ascii_uppercase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.counts import pending
from sidecar.core.counts.pending import SALES_GATHERED, TIMES_GATHERED
from sidecar.core.counts.readings import count
from sidecar.core.counts.rules import OTHER, Rules
from sidecar.core.counts.state import RINGS
from sidecar.core.events.currencies import ISO_4217
from sidecar.core.events.event import MAX_BATCH_EVENTS
from tests.core.counted import NOW, PUBSUB, RULES, STREAM, aggregator, batch, commit, committed, order, shown

STATUSES = ("success", "failed", "pending", "cancelled")


def tallies(*events: Any, rules: Rules = RULES) -> Any:
    return committed(*events, rules=rules).committed.total.tallies


@pytest.mark.parametrize("status", STATUSES)
def test_an_order_counts_in_its_status(status: str) -> None:
    snapshot = shown(committed(order(status, product_id="p")))
    assert snapshot.orders.by_status == {**dict.fromkeys(STATUSES, 0), status: 1}
    product = snapshot.orders.by_product["p"]
    assert {name: getattr(product, name) for name in STATUSES} == snapshot.orders.by_status
    assert product.units == (1 if status == "success" else 0)


def test_the_smallest_event_counts_in_the_totals_only() -> None:
    snapshot = shown(committed(order()))
    assert snapshot.orders.total == 1
    assert snapshot.orders.by_product == {}
    assert snapshot.orders.revenue == {}
    assert snapshot.latency_ms.total.count == snapshot.processing_ms.total.count == 0


def test_an_order_id_does_not_deduplicate() -> None:
    assert shown(committed(order(order_id="1"), order(order_id="1"))).orders.total == 2


def test_the_lines_of_an_order_are_its_items_and_each_product_counts_once() -> None:
    items = [
        {"product_id": "a", "quantity": 2, "amount": "1.10"},
        {"product_id": "b", "amount": 3},
        {"product_id": "a", "quantity": 4},
    ]
    snapshot = shown(committed(order(items=items, quantity=99, product_id="z")))
    assert {name: (p.success, p.units) for name, p in snapshot.orders.by_product.items()} == {"a": (1, 6), "b": (1, 1)}
    assert snapshot.orders.revenue == {"XXX": "4.10"}
    assert snapshot.orders.total == 1


@pytest.mark.parametrize(
    ("fields", "items", "revenue"),
    [
        ({}, [{"product_id": "a"}], {}),
        ({"amount": "64.60"}, [{"product_id": "a", "quantity": 2}], {"EUR": "64.60"}),
        ({"amount": "64.60"}, [{"product_id": "a", "amount": 50}, {"product_id": "b"}], {"EUR": "64.60"}),  # discount
        ({"amount": 0}, [{"product_id": "a", "amount": 50}], {"EUR": "0.00"}),  # a voucher
        ({}, [{"product_id": "a", "amount": 50}, {"product_id": "b"}], {"EUR": "50.00"}),
        ({}, [{"product_id": "a", "quantity": 3, "amount": 50}], {"EUR": "50.00"}),  # of the line, not of a unit
    ],
)
@pytest.mark.parametrize("status", ["success", "Paid"])  # by either stage
def test_the_amount_of_an_order_takes_precedence_over_those_of_its_items(
    fields: dict[str, Any], items: list[dict[str, Any]], revenue: dict[str, str], status: str
) -> None:
    orders = shown(committed(order(status, items=items, currency="EUR", **fields))).orders
    assert orders.revenue == revenue
    assert orders.by_product["a"].units == items[0].get("quantity", 1)


@pytest.mark.parametrize("status", ["failed", "pending", "cancelled"])
def test_only_successful_orders_sell(status: str) -> None:
    aggregate = committed(order(status, product_id="p", quantity=3, amount=5))
    assert shown(aggregate).orders.revenue == {}
    assert aggregate.committed.products["p"].units == 0
    assert aggregate.committed.products["p"].depletion.rate(NOW) is None


@given(st.lists(st.decimals(0, 10**9, places=6), max_size=20))
def test_revenue_is_summed_exactly(amounts: list[Decimal]) -> None:
    snapshot = shown(committed(*[order(amount=str(amount), currency="EUR") for amount in amounts]))
    assert {name: Decimal(text) for name, text in snapshot.orders.revenue.items()} == (
        {"EUR": sum(amounts)} if amounts else {}
    )


def test_revenue_is_kept_by_currency_and_the_configured_one_stands_in() -> None:
    events = (order(amount=1, currency="EUR"), order(amount="2.50"), order(amount=0.1, currency="USD"))
    assert shown(committed(*events)).orders.revenue == {"EUR": "1.00", "USD": "0.10", "XXX": "2.50"}
    assert shown(committed(order(amount=1), rules=Rules(currency="CHF"))).orders.revenue == {"CHF": "1.00"}


@pytest.mark.parametrize(
    ("fields", "reason", "refusal"),
    [
        ({"status": "failed"}, "unknown", False),
        ({"status": "failed", "reason": "sold_out"}, "sold_out", True),
        ({"status": "failed", "reason": "limit_reached"}, "limit_reached", True),
        ({"status": "failed", "reason": "duplicate"}, "duplicate", True),
        ({"status": "failed", "reason": "payment_declined"}, "payment_declined", True),
        ({"status": "failed", "reason": "db_down"}, "db_down", False),
        ({"status": "timeout"}, "timeout", False),
        ({"status": "error"}, "unknown", False),
        ({"status": "declined", "reason": "sold_out"}, "sold_out", True),
    ],
)
def test_a_failure_is_a_refusal_or_a_fault_by_its_reason(fields: dict[str, str], reason: str, refusal: bool) -> None:
    orders = shown(committed(fields)).orders
    assert orders.failed_by_reason == {reason: 1}
    assert (orders.refusals, orders.faults) == ((1, 0) if refusal else (0, 1))
    assert orders.fault_rate.last_10s == orders.fault_rate.total == (0.0 if refusal else 1.0)
    assert orders.error_rate.last_10s == orders.error_rate.total == 1.0


def test_which_reasons_are_refusals_is_configured() -> None:
    orders = shown(committed(order("failed", reason="sold_out"), rules=Rules(refusals=frozenset({"x"})))).orders
    assert (orders.refusals, orders.faults) == (0, 1)


@pytest.mark.parametrize("status", ["pending", "cancelled"])
def test_what_is_not_finished_has_neither_rate_nor_duration(status: str) -> None:
    snapshot = shown(committed(order(status, latency_ms=5, reason="sold_out")), NOW + 2)
    assert snapshot.latency_ms.total.count == 0
    assert snapshot.orders.failed_by_reason == {}
    assert snapshot.orders.per_second.last_10s == 0
    assert snapshot.orders.error_rate.last_10s is None


@pytest.mark.parametrize(
    ("ts", "counts_at", "late"),
    [
        (None, NOW, 0),
        (NOW + 2, NOW + 2, 0),
        (NOW + 2.1, NOW, 0),  # a clock that is ahead
        (NOW + 3600, NOW, 0),
        (NOW - 5, NOW - 5, 0),
        (NOW - 5.1, NOW - 6, 1),
        (NOW - 3600, NOW - 3600, 1),
        (NOW - 3601, None, 1),  # beyond the history: in the totals only
        ("2026-01-01T00:00:00Z", None, 1),
        ((NOW - 2) * 1000, NOW - 2, 0),
    ],
)
def test_the_second_an_order_counts_in(ts: Any, counts_at: float | None, late: int) -> None:
    aggregate = committed(order(**({} if ts is None else {"ts": ts})))
    seconds = {s: n for minute in aggregate.committed.minutes.values() for s, n in minute.finished.items()}
    assert seconds == ({} if counts_at is None else {int(counts_at): 1})
    snapshot = shown(aggregate)
    assert snapshot.orders.total == 1
    assert snapshot.completeness.late == late


@pytest.mark.parametrize(("age", "windows"), [(0, 3), (9, 3), (20, 2), (59, 2), (90, 1), (299, 1), (400, 0)])
def test_a_late_order_counts_in_every_window_it_still_belongs_to(age: float, windows: int) -> None:
    aggregate = committed(order("failed", ts=NOW - age, latency_ms=10))
    rates, latency = shown(aggregate).orders.error_rate, shown(aggregate).latency_ms
    counts = [latency.last_10s.count, latency.last_1m.count, latency.last_5m.count, latency.total.count]
    assert counts == [0] * (3 - windows) + [1] * (windows + 1)
    found = [rates.last_10s, rates.last_1m, rates.last_5m, rates.total]
    assert found == [None] * (3 - windows) + [1.0] * (windows + 1)


@pytest.mark.parametrize("at", [0.001, NOW + 10**8])
def test_an_entry_whose_id_is_no_time_arrives_now(at: float) -> None:
    aggregate = aggregator()
    aggregate.apply(batch(order(), order(ts=NOW - 1), source=STREAM, at=at), NOW)
    commit(aggregate)
    seconds = {s: n for minute in aggregate.committed.minutes.values() for s, n in minute.finished.items()}
    assert seconds == {int(NOW): 1, int(NOW) - 1: 1}
    assert shown(aggregate).completeness.late == 0


def test_a_batch_of_ten_thousand_old_seconds_takes_little_memory_and_counts() -> None:
    ages = range(5_000, 5_000 + 11 * MAX_BATCH_EVENTS, 11)
    events = batch([order(ts=NOW - age, latency_ms=5, product_id="p") for age in ages])
    aggregate = aggregator()
    tracemalloc.start()
    aggregate.apply(events, NOW)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    commit(aggregate)
    assert shown(aggregate).orders.by_product["p"].success == MAX_BATCH_EVENTS
    assert shown(aggregate).latency_ms.total.count == MAX_BATCH_EVENTS
    assert (aggregate.committed.slices10, aggregate.committed.minutes) == ({}, {})
    assert peak < 30e6  # the events themselves; with a slice for each second it was 300 MB


def test_orders_under_many_names_do_not_gather_until_the_commit() -> None:
    aggregate, gathered = aggregator(), []
    for part in range(3):
        aggregate.apply(batch([order(product_id=f"{part}-{i}") for i in range(SALES_GATHERED // 2)]), NOW)
        cells = aggregate._pending[PUBSUB].seconds.values()
        gathered.append(sum(len(cell.sales) for cell in cells))
    assert gathered == [SALES_GATHERED // 2, SALES_GATHERED, 0]
    commit(aggregate)
    assert shown(aggregate).orders.total == 3 * SALES_GATHERED // 2


def test_readings_of_an_hour_without_a_commit_do_not_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "READINGS_GATHERED", 1000)
    aggregate = aggregator()
    for age in range(300):
        told = [{"type": "connections", "producer": f"p{i}", "active": 1, "ts": NOW - age} for i in range(10)]
        aggregate.apply(batch(told), NOW)
    assert count(aggregate._pending[PUBSUB].connection_seconds) <= 1010
    commit(aggregate)
    assert shown(aggregate).connections.active == 10


def test_the_seconds_of_an_hour_are_gathered_some_at_a_time() -> None:
    aggregate = aggregator()
    aggregate.apply(batch([order(ts=NOW - age) for age in range(3600)]), NOW)
    commit(aggregate)
    seconds = {s: n for minute in aggregate.committed.minutes.values() for s, n in minute.finished.items()}
    assert seconds == {int(NOW) - age: 1 for age in range(3600)}
    assert shown(aggregate).orders.total == 3600


def test_durations_count_by_status_with_exact_sums_and_classic_buckets() -> None:
    rules = Rules(buckets_ns=(1_000_000, 10_000_000))
    events = [order(latency_ms=ms, processing_ms=ms / 2) for ms in (0.5, 1, 1.1, 10, 10.5)]
    snapshot = shown(committed(*events, order("failed", latency_ms=7), rules=rules), rules=rules)
    assert snapshot.series
    latency, processing = snapshot.series.latency, snapshot.series.processing
    assert latency["success"].counts == (2, 2, 1)
    assert latency["success"].count == 5
    assert latency["success"].sum_seconds == pytest.approx(0.0231, abs=1e-12)
    assert latency["success"].bounds == (0.001, 0.01)
    assert latency["failed"].counts == (0, 1, 0)
    assert processing["success"].counts == (3, 2, 0)
    assert processing["failed"].counts == (0, 0, 0)
    assert snapshot.latency_ms.by_status["failed"].max == 7
    assert snapshot.latency_ms.total.count == 6


def test_more_durations_than_are_gathered_between_commits_count_all_the_same() -> None:
    aggregate = aggregator()
    payloads = [order(latency_ms=ms, processing_ms=1) for ms in range(1, 1001)]
    for _ in range(2 * TIMES_GATHERED // 1000 + 1):
        aggregate.apply(batch(*payloads), NOW)
    commit(aggregate)
    latency = shown(aggregate).latency_ms
    for found in (latency.total, latency.last_10s):
        assert (found.count, found.avg, found.min, found.max) == (2 * TIMES_GATHERED + 1000, 500.5, 1, 1000)


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({}, None),
        ({"trace_id": "t", "order_id": "o"}, {"trace_id": "t"}),
        ({"order_id": "o"}, {"order_id": "o"}),
        ({"trace_id": "t" * 111, "order_id": "o"}, {"order_id": "o"}),
        ({"trace_id": "t" * 111}, None),
    ],
)
def test_an_order_becomes_the_exemplar_of_its_bucket(fields: dict[str, str], labels: dict[str, str] | None) -> None:
    aggregate = committed(order(latency_ms=5, ts=NOW - 1, **fields), order("failed", processing_ms=10**6, **fields))
    snapshot = shown(aggregate)
    assert snapshot.series
    latency = snapshot.series.latency["success"].exemplars
    processing = snapshot.series.processing["failed"].exemplars
    if labels is None:
        assert latency == processing == {}
    else:
        assert {at: (e.labels, e.value_seconds, e.ts) for at, e in latency.items()} == {1: (labels, 0.005, NOW - 1)}
        assert {at: e.value_seconds for at, e in processing.items()} == {len(RULES.buckets_ns): 1000.0}
    assert snapshot.series.latency["failed"].exemplars == {}


def test_a_duration_equal_to_a_bound_is_the_exemplar_of_the_bucket_below_it() -> None:
    assert list(committed(order(latency_ms=1, order_id="o")).exemplars) == [("latency", "success", 0)]


def test_the_newest_snapshot_of_each_queue_counts() -> None:
    events = [
        {"type": "queue", "waiting": 5, "ts": NOW - 1},
        {"type": "queue", "waiting": 9, "ts": NOW - 2, "active": 1},
        {"type": "queue", "queue": "b", "waiting": 7, "active": 1, "delayed": 2, "failed": 3, "completed": 4},
    ]
    queues = shown(committed(*events)).queues
    assert {n: (q.waiting, q.active, q.delayed, q.failed, q.completed) for n, q in queues.items()} == {
        "orders": (5, 1, None, None, None),  # each number by its newest reading
        "b": (7, 1, 2, 3, 4),
    }


def test_the_newest_stock_of_each_product_counts_and_may_be_below_0() -> None:
    events = [
        {"type": "inventory", "product_id": "a", "stock": 5, "ts": NOW - 1},
        {"type": "inventory", "product_id": "a", "stock": 9, "ts": NOW - 2},
        {"type": "inventory", "product_id": 7, "stock": -3},
        order(product_id="b"),
    ]
    assert {name: one.stock for name, one in shown(committed(*events)).inventory.items()} == {"a": 5, "7": -3}


def test_connections_add_up_over_producers() -> None:
    events = [
        {"type": "connections", "active": 5, "producer": "a", "ts": NOW - 1},
        {"type": "connections", "active": 9, "producer": "a", "ts": NOW - 2},
        {"type": "connections", "active": 2, "producer": "b"},
        {"type": "connections", "active": 1},
    ]
    assert shown(committed(*events)).connections.active == 8


def test_other_types_are_ignored_by_name_and_heartbeats_are_not_received() -> None:
    snapshot = shown(committed({"type": "refund"}, {"type": "refund"}, {"type": "heartbeat"}))
    assert snapshot.series
    assert snapshot.series.ignored_by_type == {"refund": 2}
    assert (snapshot.completeness.ignored, snapshot.completeness.received) == (2, 2)


SMALL = Rules(
    products=("known",),
    max_products=2,
    max_reasons=1,
    max_currencies=1,
    max_queues=1,
    max_types=1,
    max_producers=1,
)


def test_what_is_beyond_a_limit_goes_to_other_and_sums_stay_right() -> None:
    events = [
        order(product_id=p, quantity=q, amount=1, currency=c)
        for p, q, c in zip("abab", (1, 2, 3, 4), ["ZZA", "ZZB"] * 2, strict=True)
    ]
    events += [order(product_id="known"), order("failed", reason="x"), order("failed", reason="y")]
    aggregate = committed(*events, {"type": "m"}, {"type": "n"}, rules=SMALL)
    snapshot = shown(aggregate, rules=SMALL)
    assert {n: p.units for n, p in snapshot.orders.by_product.items()} == {"a": 4, OTHER: 6, "known": 1}
    assert snapshot.orders.revenue == {"ZZA": "2.00"}
    assert snapshot.orders.failed_by_reason == {"x": 1, OTHER: 1}
    assert snapshot.series
    assert snapshot.series.ignored_by_type == {"m": 1, OTHER: 1}
    assert snapshot.series.overflow_by_label == {"product": 2, "currency": 2, "reason": 1, "type": 1}


def test_every_currency_of_iso_4217_has_a_sum_of_its_own() -> None:
    others = [f"ZZ{letter}" for letter in ascii_uppercase]
    events = [order(amount=n, currency=code) for n, code in enumerate([*others, *sorted(ISO_4217)], 1)]
    revenue = shown(committed(*events)).orders.revenue
    assert revenue == {code: f"{n}.00" for n, code in enumerate([*others, *sorted(ISO_4217)], 1) if n <= 20 or n > 26}
    assert {"XXX", "XTS", "EUR", "SLE"} < ISO_4217
    assert 170 < len(ISO_4217) < 190


def test_the_configured_currency_has_a_reserved_place_even_if_it_is_not_iso_4217() -> None:
    rules = Rules(currency="PTS", max_currencies=0)
    events = [order(amount=1), order(amount=1, currency="PTS"), order(amount=1, currency="BTC")]
    assert shown(committed(*events, rules=rules), rules=rules).orders.revenue == {"PTS": "2.00"}


def test_queues_and_producers_beyond_their_limit_go_to_other() -> None:
    events: list[dict[str, Any]] = [{"type": "queue", "queue": q, "waiting": 1} for q in "ab"]
    events += [{"type": "connections", "producer": p, "active": 1} for p in "ab"]
    events += [order(producer=p, seq=1) for p in "ab"]
    aggregate = committed(*events, rules=SMALL)
    assert set(aggregate.committed.queues) == {"a", OTHER}
    assert set(aggregate.committed.connections) == {"a", OTHER}
    assert set(aggregate.committed.producers) == {f"{PUBSUB}\na", f"{PUBSUB}\n{OTHER}"}
    assert dict(aggregate.committed.total.tallies["overflow"]) == {"queue": 1, "connection": 1, "producer": 1}


def test_the_stock_of_products_beyond_the_limit_is_not_shown_as_one_number() -> None:
    events = [{"type": "inventory", "product_id": p, "stock": 5} for p in "abc"]
    snapshot = shown(committed(*events, rules=SMALL), rules=SMALL)
    assert set(snapshot.inventory) == {"a"}


def test_an_order_of_a_refused_reason_keeps_its_kind_beyond_the_limit() -> None:
    events = [order("failed", reason="x"), order("failed", reason="sold_out")]
    orders = shown(committed(*events, rules=SMALL)).orders
    assert (orders.faults, orders.refusals) == (1, 1)


def test_every_ring_of_slices_holds_the_same_orders() -> None:
    aggregate = committed(*[order(ts=NOW - age / 10, latency_ms=1) for age in range(50)])
    for ring in RINGS.values():
        slices = getattr(aggregate.committed, ring.section)
        assert all(start % ring.width == 0 for start in slices)
        assert sum(part.finished for part in slices.values()) == 50
        assert sum(part.latency.count for part in slices.values()) == 50


def test_fields_of_nobody_are_counted_nowhere() -> None:
    assert tallies(order(unheard="of"))["orders"] == {"success": 1}
