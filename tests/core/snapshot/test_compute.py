"""Every number of the Snapshot, against the contract's definition of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from sidecar.core.checkpoint.state import dump_state, load_state
from sidecar.core.counts.parts import Reading
from sidecar.core.counts.rules import OTHER, Rules
from sidecar.core.counts.state import State
from sidecar.core.snapshot.compute import _decimal, as_committed, compute, is_stale, merged
from sidecar.core.snapshot.snapshot import Connections, ProducerCompleteness, Snapshot, Summary, System
from tests.core.counted import NOW, PUBSUB, RULES, STREAM, aggregator, batch, commit, committed, context, order, shown


def test_where_nothing_is_known_it_says_null_and_not_0() -> None:
    snapshot = compute(State(), RULES, context(committed_at=None))
    orders, rates, speed = snapshot.orders, snapshot.orders.error_rate, snapshot.orders.per_second
    assert (snapshot.since, snapshot.committed_at, snapshot.connections) == (None, None, Connections(None))
    assert (orders.total, orders.in_flight, orders.by_product, orders.revenue) == (0, None, {}, {})
    assert [rates.last_10s, rates.last_1m, rates.last_5m, rates.total] == [None] * 4
    assert orders.fault_rate == rates
    assert (speed.now, speed.last_10s, speed.total, speed.peak, speed.peak_at) == (0, 0.0, None, 0, None)
    assert snapshot.latency_ms.total == snapshot.processing_ms.last_10s == Summary()
    assert (snapshot.queues, snapshot.inventory, snapshot.instances) == ({}, {}, UNSET)
    assert (snapshot.completeness.ratio, snapshot.completeness.received) == (None, 0)
    assert snapshot.series
    assert sorted(snapshot.series.latency) == sorted(snapshot.series.processing) == ["failed", "success"]
    assert snapshot.series.latency["success"].counts == (0,) * (len(RULES.buckets_ns) + 1)
    assert snapshot.series.held == frozenset()


def test_the_frame_is_shown_as_it_is() -> None:
    system = System(1.0, 2, 3)
    surroundings = context(
        NOW + 0.1,
        instance="x",
        committed_at=NOW,
        stale=True,
        uptime_s=12.34567,
        role="standby",
        scope="fleet",
        instances=["x", "y"],
        system=system,
    )
    found = compute(State(), RULES, surroundings)
    assert (found.instance, found.ts, found.committed_at, found.stale) == ("x", NOW + 0.1, NOW, True)
    assert (found.uptime_s, found.role, found.scope, found.instances) == (12.346, "standby", "fleet", ["x", "y"])
    assert found.system == system


@pytest.mark.parametrize(
    ("committed_at", "commit_interval", "stale"),
    [
        (None, 1.0, True),  # nothing was ever committed
        (NOW, 1.0, False),
        (NOW - 3, 1.0, False),
        (NOW - 3.1, 1.0, True),
        (NOW - 2, 0.01, False),  # short intervals: 2 s all the same
        (NOW - 2.1, 0.01, True),
    ],
)
def test_numbers_are_stale_after_three_intervals_without_a_commit(
    committed_at: float | None, commit_interval: float, stale: bool
) -> None:
    assert is_stale(committed_at, NOW, commit_interval) is stale


@pytest.mark.parametrize(
    ("counts", "total", "in_flight", "error_rate"),
    [
        ({"pending": 9, "success": 7, "failed": 2}, 9, 0, 2 / 9),
        ({"pending": 9, "success": 1, "failed": 1, "cancelled": 2}, 2, 5, 1 / 2),
        ({"pending": 1, "success": 3}, 3, 0, 0.0),  # not below 0
        ({"success": 3}, 3, None, 0.0),  # no pending was ever seen
        ({"cancelled": 3}, 0, None, None),
        ({"pending": 3}, 0, 3, None),
    ],
)
def test_total_in_flight_and_rate(
    counts: dict[str, int], total: int, in_flight: int | None, error_rate: float | None
) -> None:
    orders = shown(committed(*[order(status) for status, n in counts.items() for _ in range(n)])).orders
    assert (orders.total, orders.in_flight) == (total, in_flight)
    assert orders.error_rate.total == orders.error_rate.last_1m == error_rate


@pytest.mark.parametrize(
    ("now", "last"),
    [
        (NOW + 0.49, NOW - 2),  # second NOW - 1 ended 0.49 s ago: it may not be committed as a whole
        (NOW + 0.5, NOW - 1),
        (NOW + 0.99, NOW - 1),
        (NOW + 1.49, NOW - 1),
        (NOW + 1.5, NOW),
    ],
)
def test_now_is_the_last_second_that_ended_a_commit_interval_ago(now: float, last: float) -> None:
    at = {NOW - 2: 2, NOW - 1: 3, NOW: 5}
    aggregate = committed(*[order(ts=ts) for ts, count in at.items() for _ in range(count)], at=NOW + 0.4)
    assert shown(aggregate, now).orders.per_second.now == at[last]


@pytest.mark.parametrize("seconds", [10, 60, 300])
def test_a_window_of_throughput_is_its_whole_seconds_divided_by_them(seconds: int) -> None:
    counts = {age: 1 + age % 7 for age in range(400)}  # by age of the second at NOW
    aggregate = committed(*[order(ts=NOW - age + 0.5) for age, n in counts.items() for _ in range(n)], at=NOW + 0.9)
    now = NOW + 0.9  # the last whole second is NOW - 1
    speed = shown(aggregate, now).orders.per_second
    expected = sum(counts[age] for age in range(1, seconds + 1)) / seconds
    assert {10: speed.last_10s, 60: speed.last_1m, 300: speed.last_5m}[seconds] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("since", "events", "rates"),
    [
        (-300.0, [-1, -28], (0.1, 2 / 60, 2 / 300)),  # counted all the while: whole windows
        (-28.0, [-1, -2, -28], (0.2, 3 / 28, 3 / 28)),
        (-10.0, [-1, -10], (0.2, 0.2, 0.2)),
        (-4.25, [-1, -5], (2 / 4.25,) * 3),  # the first second was not counted whole
        (-0.5, [-1], (1.0, 1.0, 1.0)),  # never divided by less than a second
        (-0.5, [], (0.0, 0.0, 0.0)),
        (-5.0, [-1, -20], (1 / 5, 2 / 20, 2 / 20)),  # a stream held some of before
        (-5.0, [-1, -5, -400], (2 / 5, 2 / 5, 2 / 5)),
    ],
)
def test_a_rate_is_over_the_counted_part_of_its_window(
    since: float, events: list[int], rates: tuple[float, ...]
) -> None:
    aggregate = aggregator()
    aggregate.begin(NOW + since)
    aggregate.apply(batch(*(order(ts=NOW + age) for age in events)), NOW)
    commit(aggregate)
    speed = shown(aggregate, NOW + 0.75).orders.per_second
    assert (speed.last_10s, speed.last_1m, speed.last_5m) == pytest.approx(rates)


def test_windows_begin_at_a_clear_and_a_restart_changes_nothing() -> None:
    aggregate = aggregator()
    aggregate.begin(NOW - 1000)
    aggregate.apply(batch(*(order(ts=NOW - age) for age in range(1, 61))), NOW)
    commit(aggregate)
    restarted = aggregator()
    restarted.load(aggregate.fields(), same_generation=False)
    assert shown(restarted, NOW + 0.75).orders.per_second.last_1m == 1.0
    restarted.clear(NOW)
    restarted.apply(batch(*(order(ts=NOW + age) for age in (0, 1, 2, 3)), at=NOW + 3.5), NOW + 3.5)
    commit(restarted, NOW + 3.5)
    assert shown(restarted, NOW + 4.75).orders.per_second.last_1m == 1.0


def test_a_fleet_has_counted_as_long_as_its_oldest_member() -> None:
    old, young = aggregator(), aggregator()
    for aggregate, age in ((old, 30), (young, 5)):
        aggregate.begin(NOW - age)
        aggregate.apply(batch(*(order(ts=NOW - second) for second in range(1, age + 1))), NOW)
        commit(aggregate)
    state = merged([("old", old.committed), ("young", young.committed)], RULES)
    speed = compute(state, RULES, context(NOW + 0.75)).orders.per_second
    assert (speed.last_10s, speed.last_1m) == (1.5, 35 / 30)


def test_the_total_rate_is_over_the_time_since_counting_began() -> None:
    aggregate = aggregator()
    aggregate.begin(NOW - 20)
    aggregate.apply(batch(*[order()] * 42), NOW)
    commit(aggregate)
    assert shown(aggregate, NOW + 1.5).orders.per_second.total == 42 / 21.5
    assert shown(aggregate, NOW + 1.5).since == NOW - 20
    assert shown(aggregate, NOW - 19.5).orders.per_second.total is None, "after less than a second nothing is known"


def test_the_total_rate_of_a_backlog_is_over_the_time_in_which_its_orders_finished() -> None:
    aggregate = aggregator()
    aggregate.begin(NOW)
    aggregate.apply(batch(*(order(ts=NOW - second) for second in range(600)), at=NOW), NOW)
    commit(aggregate)
    assert shown(aggregate, NOW + 1.0).orders.per_second.total == 1.0


def test_peak_is_the_best_second_ever_counted() -> None:
    aggregate = aggregator()
    for after, count in ((0, 3), (1, 5), (2, 4), (3, 5)):
        aggregate.apply(batch(*[order()] * count, at=NOW + after), NOW + after)
        commit(aggregate, NOW + after)
    commit(aggregate, NOW + 4000)
    speed = shown(aggregate, NOW + 4000).orders.per_second
    assert (speed.peak, speed.peak_at, speed.now) == (5, NOW + 1, 0)


def test_peak_adds_up_what_several_commits_bring_to_one_second() -> None:
    aggregate = aggregator()
    for source in (PUBSUB, STREAM, PUBSUB):
        aggregate.apply(batch(order(), order(), source=source), NOW)
        commit(aggregate, NOW + 0.5)
    assert shown(aggregate).orders.per_second.peak == 6


def test_an_order_beyond_the_history_makes_no_peak() -> None:
    aggregate = committed(*[order(ts=NOW - 4000)] * 3, order())
    assert (shown(aggregate).orders.per_second.peak, shown(aggregate).orders.total) == (1, 4)


def test_configured_products_are_there_from_0() -> None:
    rules = Rules(products=("b",))
    found = shown(committed(order(product_id="a"), rules=rules), rules=rules).orders.by_product
    assert {name: one.success for name, one in found.items()} == {"a": 1, "b": 0}


def test_an_inventory_has_rate_and_time_to_sell_out() -> None:
    events = [
        {"type": "inventory", "product_id": "p", "stock": 93},
        {"type": "inventory", "product_id": "q", "stock": 1},
    ]
    aggregate = committed(*[order(product_id="p", quantity=2, ts=NOW - 20 + i / 10) for i in range(200)], *events)
    sold, unsold = shown(aggregate).inventory["p"], shown(aggregate).inventory["q"]
    assert sold.stock == 93
    assert sold.depletion_per_second == pytest.approx(20, rel=0.1)
    assert sold.sell_out_in_s == pytest.approx(93 / 20, rel=0.1)
    assert (unsold.stock, unsold.depletion_per_second, unsold.sell_out_in_s) == (1, None, None)


@pytest.mark.parametrize(("age", "active"), [(0, 7), (59.9, 7), (60, 7), (60.1, 2), (70, 2), (70.1, None)])
def test_a_producer_silent_for_60_s_does_not_count_even_while_nothing_is_committed(age: float, active: int) -> None:
    aggregate = aggregator()
    aggregate.apply(batch({"type": "connections", "active": 5, "producer": "a"}), NOW)
    aggregate.apply(batch({"type": "connections", "active": 2, "producer": "b"}, at=NOW + 10), NOW + 10)
    commit(aggregate, NOW + 10)
    assert shown(aggregate, NOW + age).connections.active == active


def test_no_connections_is_0_and_not_null() -> None:
    assert shown(committed({"type": "connections", "active": 0})).connections.active == 0


def sequence(*numbers: int, producer: str = "p") -> list[dict[str, Any]]:
    return [order(producer=producer, epoch="e", seq=number) for number in numbers]


def after_grace(*events: Any, source: str = PUBSUB) -> Snapshot:
    """Return what is shown when every hole is missed."""
    aggregate = committed(*events, source=source)
    commit(aggregate, NOW + 6)
    return shown(aggregate, NOW + 6)


@pytest.mark.parametrize(
    ("source", "events", "ratio"),
    [
        (PUBSUB, [order()], None),  # nothing can tell
        (PUBSUB, [], None),
        (STREAM, [order()], 1.0),
        (PUBSUB, sequence(1, 2), 1.0),
        (PUBSUB, sequence(1, 2, 5, 6), 4 / 6),
        (STREAM, sequence(1, 2, 5, 6), 4 / 6),
        (PUBSUB, [*sequence(1, 2, 4), order()], 4 / 5),
        (PUBSUB, [{"type": "heartbeat", "producer": "p", "seq": n} for n in (1, 4)], 0.0),
        (PUBSUB, [*sequence(1), b"{", *sequence(3)], 3 / 4),  # rejected ones were received
    ],
)
def test_ratio_is_received_of_received_and_missed(source: str, events: list[Any], ratio: float | None) -> None:
    assert after_grace(*events, source=source).completeness.ratio == ratio


def test_the_entries_of_a_stream_that_were_all_gone_are_known_to_be_missed() -> None:
    aggregate = aggregator()
    aggregate.miss(STREAM, 7)
    commit(aggregate)
    assert (shown(aggregate).completeness.ratio, shown(aggregate).completeness.missed) == (0.0, 7)


def test_a_recovered_number_is_not_missed_any_more() -> None:
    aggregate = committed(*sequence(1, 4))
    commit(aggregate, NOW + 6)
    assert shown(aggregate).completeness.missed == 2
    aggregate.apply(batch(*sequence(2, 2), at=NOW + 7), NOW + 7)
    commit(aggregate, NOW + 7)
    found, series = shown(aggregate).completeness, shown(aggregate).series
    assert (found.received, found.missed, found.duplicates, found.ratio) == (3, 1, 1, 3 / 4)
    assert found.by_producer == {"p": ProducerCompleteness(3, 1, 1)}
    assert series
    assert (series.missed_by_source, series.recovered_by_source) == ({PUBSUB: 2}, {PUBSUB: 1})


def test_what_was_missed_before_a_clear_does_not_count_below_0_after_it() -> None:
    aggregate = committed(*sequence(1, 4))
    commit(aggregate, NOW + 6)
    aggregate.clear(NOW + 6)
    aggregate.apply(batch(*sequence(2), at=NOW + 7), NOW + 7)
    commit(aggregate, NOW + 7)
    found = shown(aggregate).completeness
    assert (found.missed, found.ratio, found.by_producer) == (0, 1.0, {"p": ProducerCompleteness(1, 0, 0)})


def test_a_producer_is_shown_once_over_all_its_sources() -> None:
    aggregate = committed(*sequence(1, 2, producer="a\nb"))
    aggregate.apply(batch(*sequence(1, producer="a\nb"), source=STREAM), NOW)
    commit(aggregate)
    assert shown(aggregate).completeness.by_producer == {"a\nb": ProducerCompleteness(3, 0, 0)}


def test_blind_time_and_refused_events_are_told() -> None:
    aggregate = committed(b"{", {"status": "odd"}, {})
    aggregate.blind(1.25)
    aggregate.blind(0.5)
    commit(aggregate)
    snapshot = shown(aggregate)
    assert snapshot.completeness.blind_s == 1.75
    assert (snapshot.completeness.invalid, snapshot.completeness.received) == (3, 3)
    assert snapshot.series
    assert snapshot.series.invalid_by_reason == {"not_json": 1, "unknown_status": 1, "missing_field": 1}
    assert snapshot.series.received_by_source == {PUBSUB: 3}


def test_the_same_commit_gives_the_same_report_however_late() -> None:
    aggregate = committed(order(product_id="p", quantity=2), {"type": "inventory", "product_id": "p", "stock": 5})
    at, interval = aggregate.committed.total.committed_at or 0.0, RULES.commit_interval
    prompt = compute(aggregate.committed, RULES, context(at, committed_at=at, settled=interval))
    late = context(at + 30, settled=9.0, born={("product", "p"): at}, heard={"p": at}, doubts={"p": "two of them"})
    assert as_committed(aggregate.committed, RULES, late) == prompt
    never = as_committed(State(), RULES, late)
    assert (never.ts, never.committed_at) == (at + 30, None)


@pytest.mark.parametrize(("age", "held"), [(0, True), (11.9, True), (12, False), (100, False)])
def test_a_label_set_is_held_at_0_for_12_s_after_it_was_first_committed(age: float, held: bool) -> None:
    events = [order(product_id="p", amount=1, currency="EUR"), order("failed", reason="r"), {"type": "t"}, b"{"]
    snapshot = shown(committed(*events), NOW + age)
    expected = {("product", "p"), ("currency", "EUR"), ("reason", "r"), ("ignored", "t")}
    assert snapshot.series
    assert snapshot.series.held == (expected if held else set()), "reasons of rejected events are there from 0"


@given(st.integers(0, 10**30))
def test_money_has_two_to_six_decimals(micros: int) -> None:
    text = _decimal(micros)
    whole, _, decimals = text.partition(".")
    assert int(whole) * 10**6 + int(decimals.ljust(6, "0")) == micros
    assert len(decimals) == 2 or (len(decimals) <= 6 and not decimals.endswith("0"))


def producer_gauge(producer: str, active: int) -> dict[str, object]:
    return {"type": "connections", "active": active, "producer": producer}


def queue_gauge(waiting: int, queue: str = "orders") -> dict[str, object]:
    return {"type": "queue", "waiting": waiting, "queue": queue}


def test_a_fleet_adds_up_and_shows_the_newest_stock() -> None:
    one = committed(
        order(product_id="p", amount=1, latency_ms=5),
        {"type": "inventory", "product_id": "p", "stock": 5, "ts": NOW - 1},
        {"type": "connections", "active": 3},
        *sequence(1, 3),
    )
    two = committed(
        order("failed", product_id="p", reason="sold_out", latency_ms=7),
        {"type": "inventory", "product_id": "p", "stock": 9, "ts": NOW - 2},
        {"type": "connections", "active": 4},
        {"type": "connections", "active": 1, "producer": "a"},
        rules=Rules(buckets_ns=(1,)),
    )
    states = [("one", one.committed), ("two", two.committed), ("three", State())]
    snapshot = compute(merged(states, RULES), RULES, context())
    assert snapshot.orders.by_status == {"success": 3, "failed": 1, "pending": 0, "cancelled": 0}
    assert snapshot.orders.error_rate.last_10s == 1 / 4
    assert snapshot.orders.by_product["p"].success == snapshot.orders.by_product["p"].failed == 1
    assert snapshot.inventory["p"].stock == 5
    assert (snapshot.latency_ms.total.count, snapshot.latency_ms.total.max) == (2, 7)
    assert snapshot.series
    assert sum(snapshot.series.latency["success"].counts) == 1
    assert snapshot.series.latency["failed"].counts == (0,) * (len(RULES.buckets_ns) + 1), "counted with other bounds"
    assert snapshot.connections.active == 8, "two backends without a name are two"
    assert snapshot.orders.per_second.peak == 4
    assert snapshot.completeness.received == 9


def test_producers_and_queues_with_the_same_name_in_two_shops_are_two() -> None:
    names = ("one", "two")
    shops = [committed(producer_gauge("api", 50), queue_gauge(30 * number)) for number in (1, 2)]
    shops.append(committed(queue_gauge(5, queue="mails")))
    states = list(zip((*names, "three"), (shop.committed for shop in shops), strict=True))
    snapshot = compute(merged(states, RULES), RULES, context())
    assert snapshot.connections.active == 100
    assert {name: queue.waiting for name, queue in snapshot.queues.items()} == {
        "mails": 5,
        "one:orders": 30,
        "two:orders": 60,
    }
    assert list(states[0][1].queues) == ["orders"], "the members' own states stay as they are"


def test_a_member_of_the_first_version_does_not_lower_what_is_in_flight_elsewhere() -> None:
    old, young = committed(*[order()] * 3, order("pending")), committed(*[order("pending")] * 5)
    old.committed.total.tallies["beside"].clear()
    states = [("old", load_state(dump_state(old.committed))), ("young", young.committed)]
    assert compute(merged(states, RULES), RULES, context()).orders.in_flight == 5


def test_a_fleet_does_not_merge_the_memory_of_single_orders() -> None:
    member = committed(order("pending", order_id=1), order("failed", order_id=1), order("paid", order_id=2)).committed
    assert member.said and member.ended
    fleet = merged([("one", member)], RULES)
    assert (fleet.said, fleet.ended) == ({}, {})


def test_a_fleet_of_nobody_is_empty() -> None:
    assert compute(merged([], RULES), RULES, context()).orders.total == 0


def test_queues_and_products_are_in_order_of_their_names() -> None:
    state = State()
    state.queues.update({name: Reading(NOW, [1, None, None, None, None]) for name in ("z", OTHER, "a")})
    assert list(compute(state, RULES, context()).queues) == [OTHER, "a", "z"]


def test_the_json_leaves_out_what_only_the_exposition_needs() -> None:
    assert shown(committed(order())).public().series is UNSET
