"""The course of orders: repeated states, and the orders in flight, whatever happens in between."""

from typing import Any

import pytest

from sidecar.core.checkpoint.codec import pack, seal
from sidecar.core.checkpoint.state import dump_state, load_state
from sidecar.core.commit.aggregator import Aggregator, Flight
from sidecar.core.counts import pending as pending_module
from sidecar.core.counts import state as state_module
from sidecar.core.counts.order_memory import ENDED_A_SECOND, REMEMBERED_SECONDS
from sidecar.core.counts.rules import Rules
from sidecar.errors import CheckpointError
from tests.core.counted import NOW, PUBSUB, STREAM, aggregator, batch, commit, committed, order, shown

STATES = ("created", "reserved", "queued", "paid", "confirmed", "completed")


def of(order_id: object, *statuses: str) -> list[dict[str, Any]]:
    return [order(status, order_id=order_id, product_id="p", amount=5, latency_ms=1) for status in statuses]


def pending(*order_ids: object) -> list[dict[str, Any]]:
    return [event for order_id in order_ids for event in of(order_id, "pending")]


def anonymous(status: str, times: int) -> list[dict[str, Any]]:
    return [order(status)] * times


def in_flight(aggregate: Aggregator) -> int | None:
    return shown(aggregate).orders.in_flight


def counted(aggregate: Aggregator) -> tuple[dict[str, int], int, int]:
    """Return the orders by status without zeros, then repeats and received events."""
    snapshot = shown(aggregate)
    by_status = {status: n for status, n in snapshot.orders.by_status.items() if n}
    return by_status, snapshot.completeness.repeats, snapshot.completeness.received


# States that are said again


def test_the_states_of_an_order_are_one_pending_and_one_success() -> None:
    aggregate = committed(*of(1, *STATES))
    assert counted(aggregate) == ({"success": 1, "pending": 1}, 4, 6)
    snapshot = shown(aggregate)
    assert snapshot.orders.revenue == {"XXX": "5.00"}
    assert (snapshot.orders.by_product["p"].units, snapshot.latency_ms.total.count, snapshot.orders.in_flight) == (
        1,
        1,
        0,
    )


def test_states_repeat_only_for_the_same_order_id() -> None:
    assert counted(committed(*of(1, *STATES), *of("2", *STATES), *of("1", "paid"))) == (
        {"success": 2, "pending": 2},
        9,
        13,
    )
    assert counted(committed(*[order(status) for status in STATES])) == ({"success": 3, "pending": 3}, 0, 6)


@pytest.mark.parametrize("status", ["success", "failed", "pending", "cancelled", "Success"])
def test_a_canonical_word_counts_every_event(status: str) -> None:
    assert counted(committed(*of(1, status, status))) == ({status.lower(): 2}, 0, 2)
    assert counted(committed(*of(1, "paid", status)))[1] == 0


def test_repeats_are_counted_if_configured() -> None:
    rules = Rules(count_repeats=True)
    assert counted(committed(*of(1, *STATES), rules=rules)) == ({"success": 3, "pending": 3}, 0, 6)


@pytest.mark.parametrize(("after", "repeats"), [(1, 1), (REMEMBERED_SECONDS, 1), (REMEMBERED_SECONDS + 1, 0)])
def test_a_state_is_remembered_for_ten_minutes(after: float, repeats: int) -> None:
    aggregate = committed(*of(1, "paid"))
    aggregate.apply(batch(*of(1, "paid"), at=NOW + after), NOW + after)
    commit(aggregate, NOW + after)
    assert shown(aggregate, NOW + after).completeness.repeats == repeats


def test_remembered_orders_expire() -> None:
    aggregate = committed(*of(1, "paid"), *of(2, "pending", "failed"))
    assert (list(aggregate.committed.said), list(aggregate.committed.ended)) == ([int(NOW)], [int(NOW)])
    commit(aggregate, NOW + REMEMBERED_SECONDS + 1)
    assert (aggregate.committed.said, aggregate.committed.ended) == ({}, {})


def test_the_newest_states_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.core.counts.order_memory.MOST_SAID", 3)
    monkeypatch.setattr("sidecar.core.counts.state.MOST_SAID", 3)
    aggregate = aggregator()
    for after, order_ids in enumerate(((1,), (2, 3), (4,))):
        aggregate.apply(batch(*[of(one, "paid")[0] for one in order_ids]), NOW + after)
        commit(aggregate, NOW + after)
    restarted = aggregator()
    restarted.load(aggregate.fields(), same_generation=False)
    for one in (aggregate, restarted):
        one.apply(batch(*[of(order_id, "paid")[0] for order_id in (2, 3, 4, 1)]), NOW + 3)
        commit(one, NOW + 3)
        assert counted(one) == ({"success": 5}, 3, 8)


def restarted_from(aggregate: Aggregator) -> Aggregator:
    commit(aggregate)
    found = aggregator()
    found.load(aggregate.fields(), same_generation=False)
    return found


def in_turn(aggregate: Aggregator) -> Aggregator:
    commit(aggregate)
    return aggregate


def thawed(aggregate: Aggregator) -> Aggregator:
    aggregate.thaw(aggregate.freeze(NOW))
    return aggregate


def reconfigured_in_flight(aggregate: Aggregator) -> Aggregator:
    flight = aggregate.freeze(NOW)
    aggregate.adopt(Rules(max_products=5))
    aggregate.land(flight, NOW)
    return aggregate


@pytest.mark.parametrize("between", [in_turn, restarted_from, thawed, reconfigured_in_flight])
@pytest.mark.parametrize("sources", [(STREAM, STREAM), (PUBSUB, PUBSUB), (STREAM, PUBSUB)])
def test_whatever_happens_between_two_events(between: Any, sources: tuple[str, str]) -> None:
    first = [*of(1, "created", "paid"), *pending(2, 3, 4), *of(2, "failed")]
    second = [*of(1, "queued", "completed"), *of(2, "failed", "success"), *of(4, "success")]
    aggregate = aggregator()
    aggregate.apply(batch(*first, source=sources[0]), NOW)
    aggregate = between(aggregate)
    aggregate.apply(batch(*second, source=sources[1]), NOW)
    commit(aggregate)
    assert counted(aggregate) == ({"success": 3, "failed": 2, "pending": 4}, 2, 11)
    assert in_flight(aggregate) == 1


def test_a_stream_that_is_read_again_finds_the_earlier_memory() -> None:
    first, second = [*of(1, "created", "paid"), *pending(2, 3)], [*of(1, "queued"), *of(2, "failed"), *of(5, "paid")]
    aggregate = aggregator()
    aggregate.apply(batch(*first, source=STREAM), NOW)
    commit(aggregate)
    for _ in range(3):
        aggregate.apply(batch(*second, source=STREAM), NOW)
        aggregate.apply(batch(*of(6, "created"), source=PUBSUB), NOW)
        aggregate.drop_streams()
    aggregate.apply(batch(*second, source=STREAM), NOW)
    commit(aggregate)
    assert counted(aggregate) == ({"success": 2, "failed": 1, "pending": 4}, 3, 10)
    assert in_flight(aggregate) == 1  # 3 and 6, and 5 that was never seen as pending ended one of them


def test_a_clear_forgets_reported_states() -> None:
    aggregate = committed(*of(1, "paid"))
    aggregate.clear(NOW)
    aggregate.apply(batch(*of(1, "completed")), NOW)
    commit(aggregate)
    assert counted(aggregate) == ({"success": 1}, 0, 1)


# Orders in flight


@pytest.mark.parametrize(
    ("events", "level"),
    [
        ([*of(1, "pending", "success")], 0),
        ([*of(1, "pending", "paid"), *pending(2, 3, 4, 5, 6), *of(1, "refunded")], 5),
        ([*pending(1, 2), order("paid"), order("refunded")], 1),
        ([*pending(1, 2), *of(1, "cancelled")], 1),
        ([*pending(1, 2), *of(1, "expired")], 1),
        ([*pending(1, 2, 3, 4, 5), *of(1, "failed", "failed", "success")], 4),
        ([*pending(1, 2, 3, 4, 5), *of(1, "declined", "paid")], 4),
        ([*pending(1, 2, 3, 4, 5), *of(1, "failed", "cancelled")], 4),
        ([*pending(1, 2, 3, 4, 5), *of(1, "failed", "pending", "failed", "pending", "success")], 4),
        ([*pending(1, 2, 3, 4, 5), *of(1, "failed", "pending")], 5),
        ([*anonymous("pending", 5), *anonymous("failed", 2), *anonymous("success", 1)], 2),
        ([*anonymous("success", 20), *anonymous("pending", 10)], 10),
        ([*anonymous("pending", 2), *anonymous("success", 20), *anonymous("pending", 10), *anonymous("failed", 1)], 9),
        ([*anonymous("success", 3)], 0),
        ([*of(1, "success", "pending")], 0),  # it was overtaken
        ([*of(1, "failed", "pending"), *pending(2, 3)], 2),
        ([*of(1, "success", "success", "pending"), *pending(2)], 1),
        ([*of(1, "failed", "failed", "success"), *pending(2, 3, 4)], 3),
        ([*of(1, "pending", "cancelled"), order("success"), *of(1, "pending")], 1),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_orders_in_flight_do_not_depend_on_batches(events: list[Any], level: int, size: int) -> None:
    aggregate = committed(*pending("first"), *of("first", "success"))
    for at in range(0, len(events), size):
        aggregate.apply(batch(*events[at : at + size]), NOW)
        if size == 3:
            commit(aggregate)
    commit(aggregate)
    assert in_flight(aggregate) == level


def test_in_flight_is_unknown_if_no_order_was_ever_pending() -> None:
    aggregate = committed(*anonymous("success", 3))
    assert in_flight(aggregate) is None
    aggregate.apply(batch(*anonymous("pending", 2), *anonymous("success", 1)), NOW)
    commit(aggregate)
    assert in_flight(aggregate) == 1


def test_the_memory_of_each_second_is_bounded_in_a_full_sale() -> None:
    many = range(3 * ENDED_A_SECOND)
    aggregate = committed(*pending(*many), *[of(one, "failed")[0] for one in many])
    assert [len(part) for part in aggregate.committed.ended.values()] == [ENDED_A_SECOND]
    aggregate.apply(batch(*anonymous("success", 1), *pending("a"), *of("a", "failed"), *pending("b")), NOW)
    commit(aggregate)
    assert in_flight(aggregate) == 1


def test_a_clear_writes_off_what_was_pending_before_it() -> None:
    aggregate = committed(*pending(1, 2, 3, 4, 5))
    aggregate.apply(batch(*of(1, "success"), *of(2, "success")), NOW)
    aggregate.clear(NOW)
    aggregate.apply(batch(*of(3, "success")), NOW)
    commit(aggregate)
    assert in_flight(aggregate) is None
    aggregate.apply(batch(*pending(6, 7), *of(4, "success")), NOW)
    aggregate.apply(batch(*of(6, "success")), NOW)
    commit(aggregate)
    assert in_flight(aggregate) == 0
    aggregate.apply(batch(*pending(8)), NOW)
    commit(aggregate)
    assert in_flight(aggregate) == 1


def test_a_stored_number_in_flight_below_0_is_written_off_when_loaded() -> None:
    stored = committed(*anonymous("pending", 1), *anonymous("success", 9))
    stored.committed.total.tallies["beside"].clear()
    aggregate = aggregator()
    aggregate.load(stored.fields(), same_generation=False)
    aggregate.apply(batch(*anonymous("pending", 2)), NOW)
    commit(aggregate)
    assert in_flight(aggregate) == 2


def test_truncated_states_are_damaged() -> None:
    name = f"c:said:{int(NOW)}"
    with pytest.raises(CheckpointError, match="cut"):
        load_state({name: seal(name, pack(b"1234567"))})


@pytest.mark.parametrize("source", [PUBSUB, STREAM])
def test_reported_states_stay_bounded_however_late_a_commit_comes(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_module, "MOST_SAID", 100)
    monkeypatch.setattr(state_module, "MOST_SAID", 100)
    aggregate = aggregator()
    for second in range(10):
        paid = [event for number in range(50) for event in of(f"{second} {number}", "paid")]
        aggregate.apply(batch(*paid, source=source), NOW + second)
    said = sum(len(part) for pending in aggregate._pending.values() for part in pending.state.said.values())
    assert 100 <= said <= 200
    commit(aggregate, NOW + 10)
    assert counted(aggregate) == ({"success": 500}, 0, 500)


# The clock is set


STEPS = (-NOW, -86400.0, -300.0, -20.0, -1.0, 1.0, 20.0, 601.0, 86400.0)
TWICE = (*of(1, "paid"), *of(2, "failed"), *pending(3))


class Kept:
    """What a store would hold of an Aggregator."""

    def __init__(self) -> None:
        self.fields: dict[str, bytes] = {}

    def commit(self, aggregate: Aggregator, now: float = NOW) -> None:
        flight = aggregate.freeze(now)
        self.take(aggregate, flight)
        aggregate.land(flight, now)

    def take(self, aggregate: Aggregator, flight: Flight) -> None:
        self.fields.update(dump_state(flight.merged, aggregate.committed))
        for section, key in flight.removed:
            self.fields.pop(f"c:{section}:{key}", None)


def said_twice(aggregate: Aggregator) -> tuple[dict[str, int], int | None]:
    snapshot = shown(aggregate)
    return {status: n for status, n in snapshot.orders.by_status.items() if n}, snapshot.orders.in_flight


@pytest.mark.parametrize("by", STEPS)
@pytest.mark.parametrize("when", ["committed", "pending", "in flight", "in flight, lost", "before a restart"])
def test_reported_states_are_remembered_across_a_clock_step(by: float, when: str) -> None:
    aggregate, kept, flight = aggregator(), Kept(), None
    for second in range(-3, 0):
        aggregate.apply(batch(*of(f"{when} {second}", "paid", "failed"), at=NOW + second), NOW + second)
        kept.commit(aggregate, NOW + second)
    aggregate.apply(batch(*TWICE), NOW)
    if when.startswith("in flight"):
        flight = aggregate.freeze(NOW)
        kept.take(aggregate, flight)
    elif when != "pending":
        kept.commit(aggregate)
    now = NOW + by + 0.5
    aggregate.step(by, now, flight)
    if flight and when == "in flight":
        aggregate.land(flight, now)
    elif flight:
        aggregate.thaw(flight)
    kept.commit(aggregate, now)
    if when == "before a restart":
        aggregate = aggregator()
        aggregate.load(kept.fields, same_generation=False)
        aggregate.step(0.0, now)
    before = said_twice(aggregate)
    aggregate.apply(batch(*of(1, "confirmed"), *of(2, "failed"), at=now), now)
    kept.commit(aggregate, now)
    orders, in_flight = said_twice(aggregate)
    assert (orders["success"], in_flight) == (before[0]["success"], before[1])
    for section in ("said", "ended"):
        names = {f"c:{section}:{second}" for second in getattr(aggregate.committed, section)}
        assert {name for name in kept.fields if name.startswith(f"c:{section}:")} == names


def test_remembered_orders_keep_their_age_across_a_clock_step() -> None:
    aggregate = committed(*of(1, "paid"))
    aggregate.step(3600.0, NOW + 3600)
    for at, times in ((NOW + 3600 + REMEMBERED_SECONDS - 1, 1), (NOW + 3600 + REMEMBERED_SECONDS + 1, 2)):
        aggregate.apply(batch(*of(1, "paid"), at=at), at)
        commit(aggregate, at)
        assert shown(aggregate, at).orders.by_status["success"] == times


def test_memories_from_the_future_of_an_earlier_clock_count_as_new_after_a_start() -> None:
    stored = committed(*pending(2), *of(1, "paid"), *of(2, "failed"))
    stored.apply(batch(*of(2, "pending"), at=NOW + 1), NOW + 1)
    commit(stored, NOW + 1)
    aggregate = aggregator()
    aggregate.load(stored.fields(), same_generation=False)
    aggregate.step(0.0, NOW - 60)
    assert (list(aggregate.committed.said), list(aggregate.committed.ended)) == ([int(NOW) - 60], [int(NOW) - 60])
    aggregate.apply(batch(*of(2, "failed"), at=NOW - 59), NOW - 59)
    commit(aggregate, NOW - 59)
    assert in_flight(aggregate) == 0


def test_of_what_two_sources_said_of_an_order_the_newer_is_remembered() -> None:
    aggregate = committed(*pending(1, 2))
    aggregate.apply(batch(*of(1, "failed")), NOW)
    aggregate.apply(batch(*of(1, "pending"), source=STREAM), NOW + 1)
    aggregate.adopt(Rules())
    aggregate.apply(batch(*of(1, "success"), source=STREAM), NOW + 2)
    commit(aggregate, NOW + 2)
    assert in_flight(aggregate) == 1
