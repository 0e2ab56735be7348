"""The same events over two sources are found whatever the batches are, and different ones are none."""

from itertools import product
from typing import Any

import pytest

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.events.batch import Batch
from sidecar.core.events.event import Event, Item
from sidecar.core.sequence.double_sources import (
    CLOSE_SECONDS,
    MARKS_KEPT,
    PAIRS_KEPT,
    QUIET_SECONDS,
    SPACING,
    DoubleSources,
    described,
)
from sidecar.core.sequence.windows import Window
from tests.core.counted import NOW, PUBSUB, STREAM, aggregator, batch, commit, order, shown

PATTERN = "pubsub:shop:*"


def numbered(first: int, last: int, **fields: Any) -> list[dict[str, Any]]:
    """Return the orders of one producer with these numbers."""
    numbers = range(first, last + 1)
    return [order(**{"product_id": "a", "producer": "p", "epoch": 1, "seq": seq, **fields}) for seq in numbers]


def publish(
    aggregate: Aggregator, events: list[dict[str, Any]], source: str, *, at_once: int = 1, now: float = NOW
) -> None:
    for start in range(0, len(events), at_once):
        aggregate.apply(batch(*events[start : start + at_once], source=source, at=now), now)


def counted_twice(aggregate: Aggregator, now: float = NOW) -> int:
    commit(aggregate, now)
    return shown(aggregate, now).completeness.counted_twice


@pytest.mark.parametrize(
    ("number", "first", "mine", "others"),
    [
        *product([1200], [1, 1000], [1, 7, 64, 500], [1, 4, 500]),
        *(
            pytest.param(*all_of_them, marks=pytest.mark.campaign)
            for all_of_them in product([2000], [1, 5, 1000], [1, 3, 7, 64, 500], [1, 4, 100, 500])
        ),
    ],
)
def test_the_same_events_are_found_however_they_are_batched(number: int, first: int, mine: int, others: int) -> None:
    aggregate = aggregator()
    events = [{**event, "order_id": str(event["seq"])} for event in numbered(first, first + number - 1)]
    publish(aggregate, events, STREAM, at_once=mine)
    publish(aggregate, events, PUBSUB, at_once=others)
    found = counted_twice(aggregate)
    assert number - SPACING - max(mine, others) <= found <= number
    if first == 1:
        assert found == number


def test_ten_events_that_were_added_and_published_one_by_one_are_counted_twice() -> None:
    aggregate = aggregator()
    for event in numbered(1, 10, epoch=1):
        publish(aggregate, [event], STREAM)
        publish(aggregate, [event], PUBSUB)
    assert counted_twice(aggregate) == 10
    assert shown(aggregate).orders.by_status["success"] == 20
    pairs = list(aggregate.register.double_sources.proven(NOW))
    assert described(pairs, 10) == (
        "p sends the same numbers over pubsub:events and stream:events; 10 events are counted twice; turn one off"
    )


def test_it_goes_on_being_counted_until_one_is_turned_off() -> None:
    aggregate = aggregator()
    for second in range(10):
        events = numbered(second * 40 + 1, second * 40 + 40)
        publish(aggregate, events, STREAM, at_once=20, now=NOW + second)
        if second < 5:
            publish(aggregate, events, PUBSUB, at_once=8, now=NOW + second)
        assert counted_twice(aggregate, NOW + second) == min(second + 1, 5) * 40
    assert list(aggregate.register.double_sources.proven(NOW + 9))
    assert not list(aggregate.register.double_sources.proven(NOW + 4 + QUIET_SECONDS))
    commit(aggregate, NOW + 5 + QUIET_SECONDS)
    assert shown(aggregate).completeness.counted_twice == 200


def test_what_one_of_the_sources_lost_is_counted_once() -> None:
    aggregate = aggregator()
    events = numbered(1, 100)
    publish(aggregate, events[:20] + events[30:], STREAM, at_once=10)
    publish(aggregate, events[:25] + events[28:90], PUBSUB, at_once=10)
    assert counted_twice(aggregate) == 80


@pytest.mark.parametrize(
    ("stream", "pubsub"),
    [
        ({"order_id": "o1"}, {"order_id": "o2"}),
        ({"ts": NOW}, {"ts": NOW - 5}),
        ({"status": "pending"}, {"status": "success"}),
        ({"product_id": "a"}, {"product_id": "b"}),
        ({"latency_ms": 5}, {"latency_ms": 6}),
        ({"order_id": "o1"}, {}),
        ({"epoch": 1}, {"epoch": 2}),
        ({"producer": "p"}, {"producer": "q"}),
        ({}, {"type": "queue", "waiting": 3}),
        ({"ts": NOW}, {}),
    ],
    ids=["orders", "times", "statuses", "products", "latencies", "one has an id", "epochs", "producers", "types", "ts"],
)
def test_different_events_with_the_same_numbers_are_none(stream: dict[str, Any], pubsub: dict[str, Any]) -> None:
    aggregate = aggregator()
    for seq in range(1, 101):
        publish(aggregate, numbered(seq, seq, **stream), STREAM)
        publish(aggregate, numbered(seq, seq, **pubsub), PUBSUB)
    assert counted_twice(aggregate) == 0


@pytest.mark.parametrize(
    ("stream", "pubsub"),
    [({"ts": NOW}, {"ts": NOW - 0.2}), ({"order_id": "o", "ts": NOW}, {"order_id": "o", "ts": NOW - 5})],
    ids=["times taken twice", "one order"],
)
def test_an_event_that_was_made_once_for_each_source_is_the_same(
    stream: dict[str, Any], pubsub: dict[str, Any]
) -> None:
    aggregate = aggregator()
    publish(aggregate, numbered(1, 20, **stream), STREAM)
    publish(aggregate, numbered(1, 20, **pubsub), PUBSUB)
    assert counted_twice(aggregate) == 20


def test_a_few_that_happen_to_be_equal_are_no_evidence() -> None:
    aggregate = aggregator()
    for seq in range(1, 201):
        publish(aggregate, numbered(seq, seq), STREAM)
        publish(aggregate, numbered(seq, seq, product_id="a" if seq % 8 else "b"), PUBSUB)
    assert counted_twice(aggregate) == 0


def test_the_same_numbers_minutes_apart_are_of_different_events() -> None:
    aggregate = aggregator()
    publish(aggregate, numbered(1, 20), STREAM)
    publish(aggregate, numbered(1, 20), PUBSUB, now=NOW + CLOSE_SECONDS + 1)
    assert counted_twice(aggregate, NOW + CLOSE_SECONDS + 1) == 0


def test_heartbeats_and_repeats_on_one_source_are_none() -> None:
    aggregate = aggregator()
    beats = [{"type": "heartbeat", "producer": "p", "epoch": 1, "seq": seq} for seq in range(1, 20)]
    for source in (STREAM, PUBSUB):
        publish(aggregate, beats, source)
    publish(aggregate, numbered(1, 20), STREAM)
    publish(aggregate, numbered(1, 20), STREAM)
    assert counted_twice(aggregate) == 0


def test_orders_without_a_number_are_not_compared() -> None:
    aggregate = aggregator()
    for source in (STREAM, PUBSUB):
        publish(aggregate, [order(producer="p"), order(producer="p", seq=0), order()], source, at_once=3)
    assert counted_twice(aggregate) == 0


def test_numbers_in_disorder_are_found_by_those_that_are_not() -> None:
    aggregate = aggregator()
    events = [{**event, "order_id": str(event["seq"])} for event in numbered(101, 300)]
    publish(aggregate, events[::-1], STREAM, at_once=100)
    publish(aggregate, events, STREAM, at_once=1)
    publish(aggregate, events, PUBSUB, at_once=10)
    assert counted_twice(aggregate) > 150


def test_two_channels_of_a_pattern_are_two_sources() -> None:
    aggregate = aggregator()
    events = [event for event in batch(*numbered(1, 10)).payloads for _ in range(2)]
    channels = [b"shop:eu", b"shop:us"] * 10
    aggregate.apply(Batch(source=PATTERN, payloads=events, arrivals=[NOW] * 20, channels=channels), NOW)
    assert counted_twice(aggregate) == 10
    pairs = list(aggregate.register.double_sources.proven(NOW))
    assert "over pubsub:shop:eu and pubsub:shop:us" in described(pairs, 10)


def test_a_new_epoch_is_counted_by_itself() -> None:
    aggregate = aggregator()
    for epoch in (1, 2):
        for source in (STREAM, PUBSUB):
            publish(aggregate, numbered(1, 10, epoch=epoch), source)
    assert counted_twice(aggregate) == 20


@pytest.mark.parametrize("what", ["step", "drop"])
def test_after_a_step_of_the_clock_or_a_rollback_it_begins_again(what: str) -> None:
    aggregate = aggregator()
    publish(aggregate, numbered(1, 10), STREAM)
    publish(aggregate, numbered(1, 10), PUBSUB)
    if what == "step":
        aggregate.step(-3.0, NOW - 3)
    else:
        aggregate.drop_streams()
    assert counted_twice(aggregate) == 0
    for source in (STREAM, PUBSUB):
        publish(aggregate, numbered(11, 128), source)
    assert counted_twice(aggregate) == 128 - 31


def test_many_producers_are_named_by_the_first_three() -> None:
    twice, windows = DoubleSources(), {"1": Window("1", high=5)}
    for number in range(5):
        for source in (STREAM, PUBSUB):
            for seq in range(1, 6):
                event = Event(producer=f"p{number}", epoch=1, seq=seq, items=[Item("a")])
                twice.see((source, f"p{number}"), [event], NOW)
    assert twice.count(lambda place, epoch: windows[epoch or ""], NOW) == 25
    text = described(list(twice.proven(NOW)), 1)
    assert text.startswith("p0, p1, p2 and 2 more send the same numbers over ")
    assert text.endswith("; 1 event is counted twice; turn one off")


def test_what_is_kept_is_bounded() -> None:
    twice = DoubleSources()
    for number in range(2 * MARKS_KEPT):
        twice.see((STREAM, f"p{number}"), [Event(producer=f"p{number}", seq=64)], NOW)
    assert len(twice._marks) == MARKS_KEPT
    for number in range(2 * PAIRS_KEPT):
        for source in (STREAM, PUBSUB):
            twice.see((source, f"q{number}"), [Event(producer=f"q{number}", seq=64)], NOW)
    assert len(twice._pairs) == PAIRS_KEPT
    assert twice.count(lambda place, epoch: None, NOW) == 0
    twice.forget(NOW + QUIET_SECONDS)
    assert not twice._marks and not twice._pairs
