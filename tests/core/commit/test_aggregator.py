"""The Aggregator: however counting is sliced, frozen, thawed and loaded, the numbers are the same."""

import json
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.core.checkpoint.state import dump_state, load_state
from sidecar.core.commit.aggregator import UNKNOWN_FIELDS_KEPT, Aggregator
from sidecar.core.counts.history import seconds_of
from sidecar.core.counts.rules import HISTORY_SECONDS, OTHER, Rules
from sidecar.core.events.batch import Batch, Empty
from sidecar.core.events.decode import decode
from sidecar.core.events.event import Decoded
from tests.core.counted import (
    NOW,
    PUBSUB,
    RULES,
    STREAM,
    aggregator,
    batch,
    commit,
    committed,
    content,
    order,
    shown,
)

HISTORY = ("throughput", "ok", "refused", "fault", "p50", "p99")


def numbered(*numbers: int, producer: str = "p", **fields: Any) -> list[dict[str, Any]]:
    return [order(producer=producer, epoch="e", seq=number, **fields) for number in numbers]


def heartbeat(seq: int, **fields: Any) -> dict[str, Any]:
    return {"type": "heartbeat", "producer": "p", "epoch": "e", "seq": seq, **fields}


def test_the_history_knows_outcomes_and_latency_of_each_second_and_which_were_counted() -> None:
    aggregate = aggregator()
    aggregate.begin(NOW)
    commit(aggregate, NOW + 0.5)
    events = [order(latency_ms=ms, ts=NOW + 1) for ms in range(1, 98)]
    refused, fault = order("failed", reason="sold_out", ts=NOW + 1), order("failed", ts=NOW + 1, latency_ms=9000)
    aggregate.apply(batch(*events, refused, refused, fault), NOW + 1.2)
    for after in (1.5, 3.0, 4.5, 20.0, 21.2, 22.3):  # nothing is committed for a quarter of a minute
        if after == 21.2:
            aggregate.blind(0.1)
        commit(aggregate, NOW + after)
        if after == 3.0:
            aggregate.apply(batch(order(ts=NOW + 1, latency_ms=9000)), NOW + after)
    for state in (aggregate.committed, load_state(dump_state(aggregate.committed))):
        found = {name: seconds_of(state, name, int(NOW), int(NOW) + 30) for name in HISTORY}
        after_start = {name: {s - int(NOW): value for s, value in values.items()} for name, values in found.items()}
        assert after_start["throughput"] == {0: 0, 1: 101, 2: 0, 3: 0, 21: 0}
        assert after_start["ok"] == {0: 0, 1: 98, 2: 0, 3: 0, 21: 0}
        assert after_start["refused"] == {0: 0, 1: 2, 2: 0, 3: 0, 21: 0}
        assert after_start["fault"] == {0: 0, 1: 1, 2: 0, 3: 0, 21: 0}
        assert after_start["p50"] == {1: pytest.approx(50, rel=0.011)}, "of 99 orders that say how long they took"
        assert after_start["p99"] == {1: pytest.approx(9000, rel=0.011)}


# However it is sliced

times = st.floats(-400, 2).map(lambda after: NOW + round(after, 3))
events = st.lists(
    st.one_of(
        st.builds(
            lambda ts, status, product, ms: order(status, product_id=product, latency_ms=ms, amount=ms, ts=ts),
            times,
            st.sampled_from(["success", "failed", "pending", "cancelled"]),
            st.sampled_from("abc"),
            st.integers(0, 10**6),
        ),
        # Of two readings of one moment the last one counts, which is not the same in any order.
        st.builds(lambda ts: {"type": "inventory", "product_id": "a", "stock": int(ts * 1000), "ts": ts}, times),
        st.builds(lambda ts: {"type": "queue", "waiting": int(ts * 1000), "ts": ts}, times),
        st.builds(lambda ts: {"type": "connections", "active": int(ts * 1000), "ts": ts}, times),
        st.just(b"{"),
        st.just({"type": "x"}),
    ),
    max_size=30,
)
Step = tuple[list[Any], str, str]  # events, their source, what comes after them
steps = st.lists(
    st.tuples(
        events, st.sampled_from([PUBSUB, STREAM, "pubsub:b"]), st.sampled_from(["", "commit", "thaw", "restart"])
    ),
    max_size=6,
)


def run(aggregate: Aggregator, plan: list[Step]) -> Aggregator:
    for found, source, then in plan:
        aggregate.apply(batch(*found, source=source), NOW)
        if then == "commit":
            commit(aggregate)
        elif then == "thaw":
            aggregate.thaw(aggregate.freeze(NOW))
        elif then == "restart":
            commit(aggregate)
            fields = aggregate.fields()
            aggregate = aggregator()
            aggregate.load(fields, same_generation=False)
    commit(aggregate)
    return aggregate


def without_gauge_history(aggregate: Aggregator) -> dict[Any, Any]:
    """Return what is committed; in the history a second shows what was known when it was written.

    A phase is judged by what was known, too.
    """
    return {
        key: part[:1] if key[0] == "minutes" else part
        for key, part in content(aggregate.committed).items()
        if (key[0] != "minutes" or part[0]) and key[0] != "phases"
    }


@settings(max_examples=settings().max_examples // 2)
@given(steps)
def test_commits_thaws_and_restarts_change_no_number(plan: list[Step]) -> None:
    plain: list[Step] = [(found, source, "") for found, source, _ in plan]
    assert without_gauge_history(run(aggregator(), plan)) == without_gauge_history(run(aggregator(), plain))


@settings(max_examples=settings().max_examples // 2)
@given(steps, st.randoms(use_true_random=False))
def test_batches_in_any_order_give_the_same_counts(plan: list[Step], rng: Random) -> None:
    shuffled = list(plan)
    rng.shuffle(shuffled)
    found, expected = (without_gauge_history(run(aggregator(), steps)) for steps in (shuffled, plan))
    for parts in (found, expected):  # what is in flight depends on the order
        parts["totals", ""][0].pop("beside", None)
    assert found == expected


@settings(max_examples=settings().max_examples // 3)
@given(steps)
def test_everything_committed_loads_from_its_fields(plan: list[Step]) -> None:
    aggregate = run(aggregator(), plan)
    loaded = aggregator()
    loaded.load(aggregate.fields(), same_generation=False)
    assert content(loaded.committed) == content(aggregate.committed)
    assert loaded.fields() == aggregate.fields()


def test_a_flight_writes_every_part_it_touches_and_no_other() -> None:
    aggregate = committed(order(product_id="a"), order(product_id="b"))
    aggregate.apply(batch(order(product_id="b")), NOW)
    flight = aggregate.freeze(NOW)
    assert set(flight.merged.products) == {"b"}
    assert flight.merged.products["b"].success == 2, "absolute, not a difference"


def test_what_is_not_landed_is_not_shown() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(order(), order()), NOW)
    assert aggregate.pending_events() == 2
    flight = aggregate.freeze(NOW)
    assert aggregate.pending_events() == 0
    aggregate.apply(batch(order()), NOW)
    assert shown(aggregate).orders.total == 0
    aggregate.land(flight, NOW)
    assert (shown(aggregate).orders.total, aggregate.pending_events()) == (2, 1)
    assert shown(aggregate).committed_at == aggregate.committed.total.committed_at == NOW


def test_a_thawed_flight_comes_before_what_came_after_it() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(order(latency_ms=1), b"1", source=STREAM), NOW)
    flight = aggregate.freeze(NOW)
    aggregate.apply(batch(order(latency_ms=2), b"2", source=STREAM), NOW)
    aggregate.thaw(flight)
    again = aggregate.freeze(NOW)
    assert again.pending[STREAM].latency.values == [1, 2]
    assert [one.payload for one in again.pending[STREAM].rejected] == ["1", "2"]


def test_parts_that_expired_are_removed_but_not_one_that_is_written_again() -> None:
    aggregate = committed({"type": "connections", "producer": "a", "active": 1}, order())
    later = NOW + 61
    flight = aggregate.freeze(later)
    assert ("connections", "a") in flight.removed
    assert ("slices1", int(NOW)) in flight.removed
    aggregate.thaw(flight)
    aggregate.apply(batch({"type": "connections", "producer": "a", "active": 2}, at=later), later)
    flight = commit(aggregate, later)
    assert ("connections", "a") not in flight.removed
    assert ("slices1", int(NOW)) in flight.removed
    assert shown(aggregate, later).connections.active == 2
    assert list(load_state(aggregate.fields()).slices1) == []


def test_a_commit_that_waits_for_days_keeps_no_more_than_can_be_shown() -> None:
    aggregate = aggregator()
    aggregate.freeze(NOW)
    for minute in range(0, 3 * 24 * 60, 30):
        now = NOW + minute * 60
        events = [order(), {"type": "queue", "waiting": 1}, {"type": "connections", "active": 1}]
        aggregate.apply(batch(*events, at=now), now)
    flight = aggregate.freeze(NOW + 3 * 24 * 3600)
    assert len(flight.pending[PUBSUB].state.minutes) <= 3
    assert len(flight.pending[PUBSUB].queue_seconds) <= 4
    assert len(flight.pending[PUBSUB].state.slices10) <= 1
    assert len(flight.pending[PUBSUB].state.connections) <= 1
    assert flight.merged.total.tallies["orders"]["success"] == 144


# The history of gauges


def history(aggregate: Aggregator, name: str) -> dict[int, int]:
    return {s: value for m in aggregate.committed.minutes.values() for s, value in getattr(m, name).items()}


def queue(waiting: int, ts: float, name: str = "orders") -> dict[str, Any]:
    return {"type": "queue", "queue": name, "waiting": waiting, "ts": ts}


def test_every_second_shows_what_was_reported_in_it_and_this_one_what_is_known() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(queue(5, NOW - 3), queue(7, NOW - 2), queue(1, NOW - 2, "b"), source=STREAM), NOW)
    aggregate.apply(batch(queue(6, NOW - 2.5)), NOW)
    commit(aggregate)
    second = int(NOW)
    assert history(aggregate, "waiting") == {second - 3: 6, second - 2: 8, second - 1: 8, second: 8}
    commit(aggregate, NOW + 1.2)
    assert history(aggregate, "waiting")[second + 1] == 8


def test_connections_of_a_second_leave_out_the_silent() -> None:
    aggregate = committed({"type": "connections", "producer": "a", "active": 5})
    aggregate.apply(batch({"type": "connections", "producer": "b", "active": 2}, at=NOW + 30), NOW + 30)
    for after in (30.0, 60.0, 60.5, 90.0, 91.5):
        commit(aggregate, NOW + after)
    second = int(NOW)
    assert history(aggregate, "connections") == {second: 5, second + 30: 7, second + 60: 2, second + 90: 2}


def test_a_gauge_beyond_the_history_is_in_no_second() -> None:
    aggregate = committed(queue(5, NOW - HISTORY_SECONDS - 1))
    assert history(aggregate, "waiting") == {int(NOW): 5}


def test_without_gauges_there_is_no_history_of_them() -> None:
    aggregate = committed(order())
    assert history(aggregate, "waiting") == history(aggregate, "connections") == {}


# Sequence numbers


def test_a_duplicate_counts_nowhere_else() -> None:
    aggregate = committed(*numbered(1, 2), *numbered(2, amount=5, latency_ms=5), {**numbered(1)[0], "ts": NOW - 50})
    found = shown(aggregate)
    assert (found.completeness.duplicates, found.completeness.received, found.completeness.late) == (2, 2, 0)
    assert (found.orders.total, found.orders.revenue, found.latency_ms.total.count) == (2, {}, 0)


def test_a_refused_event_uses_up_its_number_and_its_repeat_is_a_duplicate() -> None:
    bad = {"status": "odd", "producer": "p", "epoch": "e", "seq": 2}
    aggregate = committed(*numbered(1), bad, bad, *numbered(3))
    commit(aggregate, NOW + 6)
    found = shown(aggregate).completeness
    assert (found.received, found.invalid, found.duplicates, found.missed) == (3, 1, 1, 0)


def test_refused_events_are_judged_in_their_place() -> None:
    """Without an epoch a 1 after a 2 would be a restart, and the numbers before it missed."""
    for events in ([{"seq": 1}, order(seq=2), order(seq=3)], [[{"seq": 1}, order(seq=2), order(seq=3)]]):
        aggregate = aggregator()
        text = json.dumps(events).replace('{"s', '{"producer": "p", "s')
        payloads = [json.dumps(one).encode() for one in json.loads(text)]
        aggregate.apply(batch(*payloads), NOW)
        aggregate.apply(batch(order(producer="p", seq=4)), NOW)
        commit(aggregate, NOW + 6)
        found = shown(aggregate).completeness
        assert (found.received, found.invalid, found.missed) == (4, 1, 0)


def test_a_hole_is_missed_5_s_after_a_higher_number_or_a_heartbeat_showed_it() -> None:
    for shows in (numbered(1, 3), [*numbered(1), heartbeat(2)]):
        aggregate = committed(*shows)
        commit(aggregate, NOW + 4.9)
        assert shown(aggregate).completeness.missed == 0
        commit(aggregate, NOW + 5)
        commit(aggregate, NOW + 50)
        assert shown(aggregate).completeness.missed == 1


def test_sources_and_producers_are_counted_apart() -> None:
    aggregate = aggregator()
    for source in (PUBSUB, STREAM):
        aggregate.apply(batch(*numbered(1, 2), *numbered(1, producer="q"), source=source), NOW)
    commit(aggregate)
    received = {key: part.received for key, part in aggregate.committed.producers.items()}
    assert received == {f"{s}\n{p}": n for s in (PUBSUB, STREAM) for p, n in (("p", 2), ("q", 1))}
    assert shown(aggregate).completeness.duplicates == 0


@pytest.mark.parametrize(("events", "verdict"), [([order(seq=1)] * 2, 0), ([order(producer="p")] * 2, 0)])
def test_without_producer_or_number_there_are_no_duplicates(events: list[Any], verdict: int) -> None:
    found = shown(committed(*events))
    assert (found.completeness.duplicates, found.orders.total) == (verdict, 2)


def test_a_heartbeat_without_a_number_says_nothing() -> None:
    aggregate = committed({"type": "heartbeat", "producer": "p"})
    assert aggregate.register.windows == {}


@pytest.mark.parametrize("bad", [{"producer": "p", "status": "odd"}, {"seq": 3, "status": "odd"}])
def test_a_refused_event_without_producer_or_number_counts_each_time(bad: dict[str, Any]) -> None:
    assert shown(committed(bad, bad)).completeness.invalid == 2


def test_a_numeric_epoch_is_the_same_as_its_text() -> None:
    first = {"status": "odd", "producer": "p", "epoch": 7, "seq": 1}
    aggregate = committed(first, order(producer="p", epoch="7", seq=1), order(producer="p", epoch=7, seq=1))
    assert shown(aggregate).completeness.duplicates == 2


def test_numbers_that_go_on_under_another_epoch_are_those_of_another_process() -> None:
    aggregate = committed(*numbered(1, 2), order(producer="p", epoch="later", seq=3))
    commit(aggregate, NOW + 6)
    assert shown(aggregate).completeness.missed == 2


def test_windows_survive_a_restart() -> None:
    aggregate = committed(*numbered(1, 2, 4), source=STREAM)
    again = aggregator()
    again.load(aggregate.fields(), same_generation=False)
    again.apply(batch(*numbered(2, 3, 5), source=STREAM), NOW + 1)
    commit(again, NOW + 6)
    found = shown(again).completeness
    assert (found.received, found.duplicates, found.missed) == (5, 1, 0)


@pytest.mark.parametrize("source", [PUBSUB, STREAM])
def test_a_hole_is_missed_after_a_restart_though_its_source_stays_silent(source: str) -> None:
    aggregate = committed(*numbered(1, 4), source=source)
    again = aggregator()
    again.load(aggregate.fields(), same_generation=False)
    assert commit(again, NOW + 4.9).windows == {}, "what is stored is not written again"
    assert shown(again).completeness.missed == 0
    commit(again, NOW + 5)
    commit(again, NOW + 50)
    assert shown(again).completeness.missed == 2
    assert again.committed.producers[f"{source}\np"].missed == 2
    third = aggregator()
    third.load(again.fields(), same_generation=False)
    commit(third, NOW + 60)
    assert shown(third).completeness.missed == 2, "once, whoever looks"


def test_a_hole_in_a_stream_that_is_to_be_read_again_is_missed_though_it_stays_silent() -> None:
    aggregate = committed(*numbered(1, 4), source=STREAM)
    aggregate.drop_streams()
    commit(aggregate, NOW + 5)
    assert shown(aggregate).completeness.missed == 2


@pytest.mark.parametrize("source", [PUBSUB, STREAM])
def test_a_hole_that_became_missed_in_a_commit_that_met_a_rollback_is_missed_once(source: str) -> None:
    older = committed(*numbered(1, 4), source=source).fields()
    aggregate = aggregator()
    aggregate.load(older, same_generation=False)
    aggregate.thaw(aggregate.freeze(NOW + 5))
    aggregate.load(older, same_generation=True)
    commit(aggregate, NOW + 6)
    assert shown(aggregate).completeness.missed == 2


def test_a_window_that_moved_on_during_a_commit_is_written_by_the_next() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(*numbered(1)), NOW)
    flight = aggregate.freeze(NOW)
    aggregate.apply(batch(*numbered(2)), NOW)
    second = aggregate.freeze(NOW)
    aggregate.land(flight, NOW)
    assert list(second.windows) == list(aggregate.freeze(NOW).windows) == [f"w:{PUBSUB}\np"]
    assert aggregate.register.windows == flight.windows != second.windows
    aggregate.land(second, NOW)
    assert aggregate.register.windows == second.windows
    assert aggregate.freeze(NOW).windows == {}


def test_the_window_of_a_producer_that_left_is_removed() -> None:
    aggregate = committed(*numbered(1, producer="first"))
    aggregate.apply(batch(*[numbered(1, producer=f"p{n}")[0] for n in range(1000)], at=NOW + 1), NOW + 1)
    flight = commit(aggregate, NOW + 1)
    assert flight.windows[f"w:{PUBSUB}\nfirst"] is None
    assert len(aggregate.register.windows) == 1000
    aggregate = aggregator()
    aggregate.apply(batch(*[numbered(1, producer=f"p{n}")[0] for n in range(1001)]), NOW)
    commit(aggregate)
    assert len(aggregate.register.windows) == 1000


# What was read again, rolled back, cleared


def test_dropping_streams_keeps_pubsub_and_lets_streams_be_read_again() -> None:
    aggregate = committed(*numbered(1), source=STREAM)
    for source in (STREAM, PUBSUB):
        aggregate.apply(batch(*numbered(2), order(product_id=source), source=source), NOW)
    aggregate.drop_streams()
    assert aggregate.pending_events() == 2
    aggregate.apply(batch(*numbered(2), source=STREAM), NOW)
    commit(aggregate)
    found = shown(aggregate)
    assert (found.orders.total, found.completeness.duplicates) == (4, 0)
    assert set(found.orders.by_product) == {PUBSUB}
    assert set(aggregate.register.windows) == {f"w:{STREAM}\np", f"w:{PUBSUB}\np"}


def test_what_is_dropped_gives_its_places_back() -> None:
    aggregate = aggregator(Rules(max_products=1))
    aggregate.apply(batch(order(product_id="a"), source=STREAM), NOW)
    aggregate.drop_streams()
    aggregate.apply(batch(order(product_id="b")), NOW)
    assert set(aggregate.freeze(NOW).merged.products) == {"b"}


def test_with_other_buckets_the_whole_classic_histogram_restarts_and_the_json_continues() -> None:
    rules = Rules(buckets_ns=(2_000_000,))
    aggregate = aggregator(rules)
    aggregate.load(committed(order(latency_ms=1)).fields(), same_generation=False)
    aggregate.apply(batch(order(latency_ms=1), order(latency_ms=5)), NOW)
    commit(aggregate)
    again = aggregator(rules)
    again.load(aggregate.fields(), same_generation=False)
    for found in (aggregate, again):
        snapshot = shown(found, rules=rules)
        assert snapshot.series
        classic = snapshot.series.latency["success"]
        assert (classic.counts, classic.count, classic.sum_seconds) == ((1, 1), 2, 0.006)
        assert (snapshot.latency_ms.total.count, snapshot.latency_ms.total.max) == (3, 5)


def test_buckets_that_restarted_do_not_come_back_with_the_bounds_of_before() -> None:
    between = aggregator(Rules(buckets_ns=(2_000_000,)))
    stored = committed(order(latency_ms=1)).fields()
    between.load(stored, same_generation=False)
    stored |= dump_state(between.freeze(NOW).merged)
    again = aggregator()
    again.load(stored, same_generation=False)
    snapshot = shown(again)
    assert snapshot.series
    assert (snapshot.series.latency["success"].count, snapshot.latency_ms.total.count) == (0, 1)


def test_rules_that_change_while_a_commit_is_unanswered_know_what_is_in_flight() -> None:
    aggregate, rules = aggregator(), Rules(max_products=5)
    aggregate.apply(batch(*(order(product_id=f"a{i}") for i in range(5))), NOW)
    flight = aggregate.freeze(NOW)
    aggregate.adopt(rules)
    aggregate.apply(batch(*(order(product_id=f"b{i}") for i in range(5))), NOW)
    aggregate.land(flight, NOW)
    commit(aggregate)
    assert set(shown(aggregate).orders.by_product) == {*(f"a{i}" for i in range(5)), OTHER}


@pytest.mark.parametrize(("same_generation", "missed"), [(True, 2), (False, 0)])
def test_what_pubsub_had_committed_beyond_a_rollback_is_missed(same_generation: bool, missed: int) -> None:
    aggregate = committed(*numbered(1), source=PUBSUB)
    older = aggregate.fields()
    aggregate.apply(batch(*numbered(2, 3)), NOW)
    aggregate.apply(batch(*numbered(1), source=STREAM), NOW)
    commit(aggregate)
    aggregate.apply(batch(*numbered(4)), NOW)
    aggregate.load(older, same_generation=same_generation)
    assert aggregate.pending_events() == 1, "what is pending from pub/sub stays"
    flight = commit(aggregate, NOW + 6)
    found = shown(aggregate)
    assert (found.orders.total, found.completeness.missed) == (2, missed)
    assert list(flight.windows) == [f"w:{PUBSUB}\np"], "the windows in memory are the newer ones"
    aggregate.apply(batch(*numbered(4)), NOW + 6)
    commit(aggregate, NOW + 6)
    assert shown(aggregate).completeness.duplicates == 1


def test_a_clear_empties_counts_and_keeps_windows() -> None:
    aggregate = aggregator()
    aggregate.begin(NOW - 9)
    aggregate.apply(batch(*numbered(1, product_id="a", trace_id="t", latency_ms=1)), NOW)
    flight = aggregate.freeze(NOW)
    aggregate.thaw(flight)
    aggregate.clear(NOW + 1)
    assert shown(aggregate).since == NOW + 1
    commit(aggregate, NOW + 2)
    found = shown(aggregate)
    assert (found.since, found.orders.total) == (NOW + 1, 1), "what was pending is committed again"
    aggregate.clear(NOW + 3)
    aggregate.apply(batch(*numbered(1, 2)), NOW + 3)
    commit(aggregate, NOW + 4)
    found = shown(aggregate, NOW + 4)
    assert (found.since, found.committed_at, found.orders.total) == (NOW + 3, NOW + 4, 1)
    assert (found.completeness.duplicates, found.orders.by_product) == (1, {})
    assert aggregate.exemplars == {}


def test_after_a_clear_the_old_commit_time_stands_until_the_next() -> None:
    aggregate = committed(order())
    aggregate.clear(NOW + 1)
    assert aggregate.committed.total.committed_at == NOW
    assert content(aggregate.committed) == {("totals", ""): aggregate.committed.total.dump()}


def test_counting_begins_once() -> None:
    aggregate = aggregator()
    aggregate.begin(NOW - 5)
    commit(aggregate, NOW)
    commit(aggregate, NOW + 1)
    assert shown(aggregate).since == NOW - 5


# Labels


def test_series_are_held_when_first_met_not_after_a_restart_and_again_after_a_clear() -> None:
    aggregate = committed(order(product_id="a"))
    assert aggregate.born == {("product", "a"): NOW}
    aggregate.apply(batch(order(product_id="a"), order(product_id="b")), NOW + 4)
    commit(aggregate, NOW + 4)
    assert aggregate.born == {("product", "a"): NOW, ("product", "b"): NOW + 4}
    commit(aggregate, NOW + 12)
    assert aggregate.born == {("product", "b"): NOW + 4}
    aggregate.load(aggregate.fields(), same_generation=True)
    assert aggregate.born == {}
    commit(aggregate, NOW + 13)
    assert aggregate.born == {}
    aggregate.clear(NOW + 14)
    aggregate.apply(batch(order(product_id="a")), NOW + 14)
    commit(aggregate, NOW + 14)
    assert aggregate.born == {("product", "a"): NOW + 14}


def test_configured_products_are_not_held() -> None:
    assert committed(order(product_id="a"), rules=Rules(products=("a",))).born == {}


def test_a_changed_configuration_gives_new_products_a_place_and_keeps_the_old() -> None:
    aggregate = committed(order(product_id="a"), rules=Rules(max_products=1))
    aggregate.adopt(Rules(max_products=1, products=("b",), refusals=frozenset({"r"})))
    aggregate.apply(batch(*[order("failed", product_id=p, reason="r") for p in "abc"]), NOW)
    commit(aggregate)
    assert set(aggregate.committed.products) == {"a", "b", OTHER}
    assert shown(aggregate).orders.refusals == 3


def test_producers_that_stopped_reporting_connections_make_room() -> None:
    rules = Rules(max_producers=2)
    aggregate = aggregator(rules)
    for generation in range(4):
        now = NOW + 70 * generation
        events = [{"type": "connections", "producer": f"{generation}-{n}", "active": 5} for n in range(2)]
        aggregate.apply(batch(*events, at=now), now)
        commit(aggregate, now)
        commit(aggregate, now + 61)
        assert shown(aggregate, now).connections.active in (10, None)
    assert aggregate.committed.total.tallies["overflow"] == {}


def test_names_of_unknown_fields_are_kept_to_a_bound() -> None:
    aggregate = aggregator()
    for n in range(UNKNOWN_FIELDS_KEPT + 5):
        aggregate.apply(batch({"status": "success", f"f{n:03}": 1}), NOW + n)
    assert len(aggregate.unknown_fields) == UNKNOWN_FIELDS_KEPT
    assert "f000" in aggregate.unknown_fields


def test_amounts_that_may_be_cents_are_recognised() -> None:
    aggregate = aggregator()
    amounts = [
        (1990, "EUR"),
        (100, None),
        (99, "EUR"),
        ("1990.00", "USD"),
        ("19.90", "EUR"),
        (1990, "JPY"),
        (None, "EUR"),
    ]
    for n, (amount, currency) in enumerate(amounts):
        aggregate.apply(batch(order(amount=amount, currency=currency)), NOW + n)
    assert aggregate.amounts == {True: 3, False: 2}


def test_only_a_sample_of_payloads_is_looked_at_for_unknown_fields() -> None:
    aggregate = aggregator()
    for name, after in (("first", 0.0), ("soon", 0.01), ("later", 0.1)):
        aggregate.apply(batch({"status": "success", name: 1}, {"status": "success", "neighbour": 1}), NOW + after)
    assert aggregate.unknown_fields == {"first", "later"}


def test_everything_keyed_by_foreign_names_is_bounded() -> None:
    rules = Rules(max_products=5, max_reasons=5, max_currencies=5, max_queues=5, max_types=5, max_producers=5)
    aggregate = aggregator(rules)
    for n in range(60):
        fields: dict[str, Any] = {"product_id": f"p{n}", "producer": f"r{n}", "epoch": "e", "seq": 1, "ts": NOW - 1}
        currency = f"AA{chr(65 + n % 26)}"
        found = [
            order(**fields, amount=1, currency=currency, order_id=str(n), latency_ms=n),
            order("failed", **{**fields, "seq": 2}, reason=f"x{n}"),
            {"type": f"t{n}", "producer": f"r{n}"},
            {"type": "queue", "queue": f"q{n}", "waiting": 1},
            {"type": "connections", "producer": f"r{n}", "active": 1},
            {"type": "inventory", "product_id": f"p{n}", "stock": 1},
        ]
        aggregate.apply(batch(*found), NOW)
        commit(aggregate)
    committed_state = aggregate.committed
    assert len(committed_state.products) == len(committed_state.queues) == len(committed_state.connections) == 6
    assert len(committed_state.producers) == 6
    assert all(len(t) <= 6 for name, t in committed_state.total.tallies.items() if name != "overflow")
    assert len(aggregate.register.clocks) == 5
    assert len(aggregate.born) <= 6 * 4
    assert len(aggregate.exemplars) <= 4 * (len(RULES.buckets_ns) + 1)


def test_clocks_are_measured_and_those_of_the_silent_forgotten() -> None:
    aggregate = committed(order(producer="p", ts=NOW - 3), order(producer="q"), heartbeat(1, ts=NOW + 4, producer="h"))
    aggregate.apply(batch(order(producer="p", ts=NOW + 2), at=NOW + 5), NOW + 5)
    assert {name: clock.offset_seconds for name, clock in aggregate.register.clocks.items()} == {"p": 3, "h": -4}
    aggregate.freeze(NOW + 120)
    assert aggregate.register.clocks == {}


def test_a_backlog_read_in_one_batch_does_not_make_good_clocks_wrong() -> None:
    """Each event came when it happened; the last of the batch came ten minutes after the first."""
    early, late = (json.dumps(order(producer=name, ts=ts)).encode() for name, ts in (("a", NOW - 600), ("b", NOW)))
    aggregate = aggregator()
    aggregate.apply(Batch(source=STREAM, payloads=[early, late], arrivals=[NOW - 600, NOW]), NOW)
    assert all(abs(clock.offset_seconds) < 1 for clock in aggregate.register.clocks.values())


def test_entries_without_the_field_are_refused_and_received() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(order(), source=STREAM, empty=2), NOW)
    flight = commit(aggregate)
    found = shown(aggregate)
    assert (found.completeness.received, found.completeness.invalid) == (3, 2)
    assert {(one.reason, one.source, one.time) for one in flight.pending[STREAM].rejected} == {
        ("missing_field", STREAM, NOW)
    }


A = {"status": "success", "producer": "A", "epoch": 1}


def text_of(seq: int) -> str:
    return json.dumps({**A, "seq": seq})


@pytest.mark.parametrize(
    ("payload", "received"),
    [
        (text_of(2).replace("}", ',"latency_ms":NaN}'), 3),
        (text_of(2).replace("}", ',"reason":"\\ud83d"}'), 3),
        (f"[{text_of(2)}", 3),
        (f"{text_of(2)}\n{text_of(3)}", 4),
        (f"[{text_of(2)},{text_of(3)},{text_of(4)[:-1]}", 4),
        (json.dumps(text_of(2)), 3),
        (text_of(2)[:-1], 3),  # the number may be cut
        (json.dumps({**A, "seq": 2, "x": "x" * (1 << 20)}), 3),
        (f"[{','.join([text_of(2)] + ['{}'] * 10_000)}]", 3),
        ('{"seq":2,"producer":"A","epoch":1,"status":"shipped"}', 3),
    ],
)
def test_received_and_missed_add_up_to_what_was_published_for_rejected_payloads_too(
    payload: str, received: int
) -> None:
    """Numbers 1 to 5 were published, or fewer where the payload holds the last; what is not received is missed."""
    aggregate = aggregator()
    aggregate.apply(batch(text_of(1).encode()), NOW)
    aggregate.apply(batch(payload.encode()), NOW)
    last = 3 if received == 3 else 5
    aggregate.apply(batch(text_of(last).encode()), NOW)
    commit(aggregate, NOW + 6)
    found = shown(aggregate).completeness
    assert (found.received, found.received + found.missed, found.invalid) == (received, last, 1)


def test_what_is_cut_or_left_out_is_counted_once_by_kind() -> None:
    aggregate = aggregator()
    event = {**A, "seq": 1, "latency_ms": -0.4, "items": [{}, {}, {"product_id": "a"}]}
    aggregate.apply(batch(event, event, order(latency_ms="?"), {"status": "shipped"}, order()), NOW)
    commit(aggregate)
    found = shown(aggregate)
    assert (found.completeness.adjusted, found.completeness.duplicates, found.orders.total) == (4, 1, 3)
    assert found.series
    assert found.series.adjusted_by_reason == {"latency_ms_left_out": 2, "item_left_out": 2}


def test_an_entry_without_the_field_is_counted_once_when_it_comes_twice() -> None:
    aggregate = aggregator()
    entry = Empty("1-0", [b"data", text_of(1).encode()])
    aggregate.apply(Batch(source=STREAM, payloads=[], arrivals=[], empty=[entry, entry]), NOW)
    commit(aggregate)
    found = shown(aggregate).completeness
    assert (found.received, found.invalid, found.duplicates) == (1, 1, 1)


def test_an_entry_without_the_field_uses_up_the_number_in_its_other_fields() -> None:
    aggregate = aggregator()
    entries = [
        Empty("1-0", [b"status", b"success", b"producer", b"A", b"epoch", b"1", b"seq", b"2"]),
        Empty("2-0", [b"data", text_of(3).encode()]),
        Empty("3-0", [b"data", text_of(4).encode()[:-1]]),
        Empty("4-0", []),
    ]
    first, last = (text_of(seq).encode() for seq in (1, 5))
    aggregate.apply(Batch(source=STREAM, payloads=[first, last], arrivals=[NOW] * 2, empty=entries), NOW)
    rejected = aggregate.freeze(NOW + 6).pending[STREAM]
    assert [one.payload for one in rejected.rejected] == [
        "1-0 has the fields status, producer, epoch, seq",
        "2-0 has the fields data",
        "3-0 has the fields data",
        "4-0 has no fields",
    ]
    assert rejected.state.total.tallies["missed"].total() == 0
    assert rejected.state.total.tallies["received"].total() == 6


def test_refused_payloads_are_passed_on_readably() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(b'{"status":"\xff"}'), NOW)
    (rejected,) = commit(aggregate).pending[PUBSUB].rejected
    assert rejected.payload == '{"status":"\\xff"}'
    assert rejected.reason == "not_json"


# The clock of this machine is set


def gauges(number: int, **times: float) -> list[dict[str, Any]]:
    return [
        {"type": "inventory", "product_id": "a", "stock": number, **times},
        {"type": "queue", "waiting": number, **times},
        {"type": "connections", "producer": "p", "active": number, **times},
    ]


def readings_shown(aggregate: Aggregator, now: float) -> list[int | None]:
    snapshot = shown(aggregate, now)
    return [snapshot.inventory["a"].stock, snapshot.queues["orders"].waiting, snapshot.connections.active]


STEPS = (-86400.0, -600.0, -20.0, -1.0, 20.0, 86400.0)


@pytest.mark.parametrize("by", STEPS)
@pytest.mark.parametrize("when", ["committed", "pending", "in flight", "in flight and thawed"])
def test_the_last_reading_of_a_gauge_timed_by_the_sidecar_counts_across_a_clock_step(by: float, when: str) -> None:
    aggregate = aggregator()
    aggregate.apply(batch(*gauges(1)), NOW)
    flight = None
    if when == "committed":
        commit(aggregate)
    elif when != "pending":
        flight = aggregate.freeze(NOW)
    now = NOW + 0.1 + by
    aggregate.step(by, now, flight)
    aggregate.apply(batch(*gauges(2), at=now), now)
    if flight and when == "in flight":
        aggregate.land(flight, now)
    elif flight:
        aggregate.thaw(flight)
    commit(aggregate, now)
    assert readings_shown(aggregate, now) == [2, 2, 2]
    assert history(aggregate, "waiting")[int(now)] == history(aggregate, "connections")[int(now)] == 2
    commit(aggregate, now + 1)
    aggregate.apply(batch(*gauges(3, ts=now - 1), at=now + 1), now + 1)
    commit(aggregate, now + 1)
    assert readings_shown(aggregate, now + 1) == [2, 2, 2], "an older one comes late"


@pytest.mark.parametrize("by", [-86400.0, -600.0, -20.0, -1.0])
def test_a_stored_reading_from_the_future_does_not_outlast_a_restart(by: float) -> None:
    fields, now = committed(*gauges(1)).fields(), NOW + by
    again = aggregator()
    again.load(fields, same_generation=False)
    again.step(0.0, now)
    again.apply(batch(*gauges(2), at=now), now)
    commit(again, now)
    assert readings_shown(again, now) == [2, 2, 2]


@pytest.mark.parametrize("by", STEPS)
def test_a_step_changes_no_count_and_no_peak(by: float) -> None:
    aggregate = aggregator()
    for second in range(5):
        aggregate.apply(batch(*[order(product_id="a")] * 10, at=NOW + second), NOW + second)
        commit(aggregate, NOW + second)
    now = NOW + 5
    aggregate.apply(batch(*[order(product_id="a")] * 10, at=now), now)  # pending when the clock is set
    aggregate.step(by, now + by)
    for second in range(1, 31):
        at = now + by + second
        aggregate.apply(batch(*[order(product_id="a")] * 10, at=at), at)
        commit(aggregate, at)
    orders = shown(aggregate, now + by + 31).orders
    assert orders.by_status["success"] == orders.by_product["a"].units == 360
    assert (orders.per_second.peak, orders.per_second.last_10s) == (10, 10.0)
    assert orders.per_second.peak_at is not None
    assert orders.per_second.peak_at <= now + by + 31


def test_seconds_that_a_step_removes_leave_the_store_too_unless_they_come_again() -> None:
    aggregate = committed(order(), at=NOW)
    aggregate.step(-600.0, NOW - 600)
    removed = set(commit(aggregate, NOW - 600).removed)
    assert {section for section, _ in removed} == {"slices1", "slices5", "slices10", "minutes", "lately"}
    assert commit(aggregate, NOW - 599).removed == []
    aggregate = committed(order(), at=NOW)
    aggregate.step(-20.0, NOW - 20)
    aggregate.apply(batch(order(), at=NOW - 20), NOW - 20)
    removed = set(commit(aggregate, NOW - 20).removed)
    assert ("minutes", int(NOW) - int(NOW) % 60) not in removed
    assert removed


def test_a_clock_step_does_not_change_how_long_a_new_series_is_held() -> None:
    for by in STEPS:
        aggregate = committed(order(product_id="a"))
        aggregate.step(by, NOW + 1 + by)
        for after, held in ((RULES.new_series_hold - 0.1, True), (RULES.new_series_hold, False)):
            series = shown(aggregate, NOW + by + after).series
            assert series
            assert (("product", "a") in series.held) == held


def test_unknown_fields_are_found_after_a_clock_step() -> None:
    aggregate = committed(order())
    aggregate.step(-600.0, NOW - 600)
    aggregate.apply(batch(order(produkt="a"), at=NOW - 599), NOW - 599)
    assert aggregate.unknown_fields == {"produkt"}


def test_older_exemplars_are_dropped_when_the_clock_is_set_back() -> None:
    aggregate = committed(order(latency_ms=1, order_id="o"))
    aggregate.step(20.0, NOW + 20)
    assert aggregate.exemplars
    aggregate.step(-20.0, NOW)
    assert not aggregate.exemplars


# Who has connections and is silent


@pytest.mark.parametrize(
    "sign",
    [
        order(producer="p"),
        order(producer="p", epoch=1, seq=1),
        {"type": "heartbeat", "producer": "p"},
        {"type": "page_view", "producer": "p"},
        {"status": "nonsense", "producer": "p", "epoch": 1, "seq": 1},
    ],
)
def test_a_producer_keeps_its_connections_while_any_of_its_events_arrive(sign: Any) -> None:
    aggregate = committed({"type": "connections", "producer": "p", "active": 50})
    for second in range(1, 63):
        aggregate.apply(batch(sign, at=NOW + second), NOW + second)
        commit(aggregate, NOW + second)
    assert shown(aggregate, NOW + 62).connections.active == 50
    assert history(aggregate, "connections")[int(NOW) + 62] == 50
    again = aggregator()
    again.load(aggregate.fields(), same_generation=False)
    for second in range(63, 130):
        commit(aggregate, NOW + second)
    assert shown(aggregate, NOW + 122).connections.active is None
    assert shown(again, NOW + 62).connections.active == 50


@pytest.mark.parametrize(("after", "active"), [(121.9, 50), (122.1, None)])
def test_it_counts_until_60_s_after_it_was_last_heard_of(after: float, active: int | None) -> None:
    aggregate = committed({"type": "connections", "producer": "p", "active": 50})
    for second in (*range(1, 63), *range(63, 122)):
        if second <= 62:
            aggregate.apply(batch(order(producer="p"), at=NOW + second), NOW + second)
        commit(aggregate, NOW + second)
    assert shown(aggregate, NOW + after).connections.active == active


def test_signs_of_life_do_not_cost_one_field_for_each_commit() -> None:
    aggregate = committed({"type": "connections", "producer": "p", "active": 50})
    written = 0
    for second in range(1, 41):
        aggregate.apply(batch(order(producer="p"), at=NOW + second), NOW + second)
        written += "p" in commit(aggregate, NOW + second).merged.connections
    assert written <= 4


def test_after_an_outage_of_minutes_a_producer_counts_once_it_is_heard_of() -> None:
    aggregate = committed({"type": "connections", "producer": "p", "active": 50})
    aggregate.apply(batch(order(producer="p"), at=NOW + 100), NOW + 100)
    commit(aggregate, NOW + 100)
    assert shown(aggregate, NOW + 100).connections.active == 50
    assert history(aggregate, "connections")[int(NOW) + 100] == 50


def test_a_sign_of_life_that_is_read_too_late_keeps_no_connections() -> None:
    aggregate = committed({"type": "connections", "producer": "p", "active": 50})
    aggregate.apply(batch(order(producer="p"), source=STREAM, at=NOW + 1), NOW + 70)
    commit(aggregate, NOW + 70)
    aggregate.apply(batch(order(producer="p"), at=NOW + 70.1), NOW + 70.1)
    commit(aggregate, NOW + 70.5)
    assert shown(aggregate, NOW + 70.5).connections.active is None


@pytest.mark.parametrize("source", [PUBSUB, STREAM])
def test_of_stock_readings_with_equal_times_the_last_to_arrive_counts_on_either_transport(source: str) -> None:
    other = STREAM if source == PUBSUB else PUBSUB
    stock = [{"type": "inventory", "product_id": "a", "stock": n, "ts": NOW} for n in (9, 6)]
    for between in (False, True):
        aggregate = aggregator()
        aggregate.apply(batch(stock[0], source=source, at=NOW + 0.1), NOW + 0.1)
        if between:
            commit(aggregate, NOW + 0.1)
        aggregate.apply(batch(stock[1], source=other, at=NOW + 0.2), NOW + 0.2)
        commit(aggregate, NOW + 0.3)
        assert shown(aggregate).inventory["a"].stock == 6


def test_a_queue_with_two_reporters_shows_the_numbers_of_both() -> None:
    aggregate = committed({"type": "queue", "waiting": 30}, {"type": "queue", "active": 4})
    commit(aggregate, NOW + 1)
    queue = shown(aggregate, NOW + 1).queues["orders"]
    assert (queue.waiting, queue.active, queue.delayed) == (30, 4, None)
    assert history(aggregate, "waiting") == {int(NOW): 30, int(NOW) + 1: 30}
    again = aggregator()
    again.load(aggregate.fields(), same_generation=False)
    assert shown(again).queues == shown(aggregate).queues


def test_an_unreported_waiting_number_is_not_0_in_the_history() -> None:
    aggregate = committed({"type": "queue", "active": 4})
    assert history(aggregate, "waiting") == {}
    assert shown(aggregate).queues["orders"].waiting is None


@pytest.mark.parametrize("by", STEPS)
def test_a_clock_step_does_not_change_what_the_last_minute_shows(by: float) -> None:
    aggregate = committed({"type": "page_view"}, order(producer="p", epoch=1, seq=1))
    before = aggregate.register.names["p"].since
    aggregate.step(by, NOW + 30 + by)
    assert aggregate.understanding.last_minute(NOW + 30 + by)[PUBSUB].ignored == 1
    assert aggregate.understanding.last_minute(NOW + 61 + by) == {}
    assert aggregate.register.names["p"].since == before + by


@pytest.mark.parametrize("source", [PUBSUB, STREAM])
def test_a_machine_that_starts_in_1970_rejects_nothing_and_is_right_once_its_clock_is_set(source: str) -> None:
    aggregate, early = aggregator(), 100.0
    aggregate.begin(early)
    tolerant = b'{"status":"paid","ts":"2026-09-21T14:13:20Z","produktId":1}'
    found = batch(order(), order(ts=NOW), tolerant, *gauges(1), at=early if source == PUBSUB else NOW, source=source)
    aggregate.apply(found, early)
    commit(aggregate, early)
    assert (shown(aggregate, early).orders.total, shown(aggregate, early).completeness.invalid) == (3, 0)
    aggregate.step(NOW - early, NOW)
    aggregate.apply(batch(order(), *gauges(2), source=source), NOW)
    commit(aggregate, NOW)
    snapshot = shown(aggregate, NOW + 1.5)
    assert (snapshot.since, snapshot.orders.total, snapshot.orders.per_second.now) == (NOW, 4, 1)
    assert readings_shown(aggregate, NOW) == [2, 2, 2]
    load_state(aggregate.fields())


def test_a_source_with_a_decoder_of_its_own_is_read_by_it_and_the_others_as_ever() -> None:
    def reads_words(payloads: Sequence[bytes], arrivals: Sequence[float]) -> Decoded:
        return decode([b'{"status":"%s"}' % payload for payload in payloads], arrivals)

    aggregate = Aggregator(RULES, Random(1), {"pubsub:words": reads_words}, {"pubsub:words": Counter()})
    aggregate.apply(batch(b"failed", source="pubsub:words"), NOW)
    aggregate.apply(batch(b"failed", order()), NOW)
    commit(aggregate)
    found = shown(aggregate)
    assert (found.orders.by_status["failed"], found.orders.by_status["success"]) == (1, 1)
    assert found.completeness.invalid == 1


def test_what_is_pending_of_a_stream_is_dropped_and_that_of_other_sources_stays() -> None:
    aggregate = aggregator()
    for source in (STREAM, "stream:more", PUBSUB):
        aggregate.apply(batch(order(), source=source), NOW)
    aggregate.drop_streams()
    assert aggregate.pending_events() == 1
    commit(aggregate)
    assert shown(aggregate).orders.total == 1
