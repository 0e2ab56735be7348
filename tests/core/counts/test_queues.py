"""What a queue says itself comes before what events say about it; what it does not know, events fill in."""

import pytest
from msgspec.structs import replace

from sidecar.core.checkpoint.state import dump_state, load_state
from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.history import seconds_of
from sidecar.core.counts.queue_read import FRESH_SECONDS, QueueReading
from sidecar.core.counts.rules import HISTORY_SECONDS, OTHER, Rules
from sidecar.core.snapshot.compute import compute, merged
from sidecar.core.snapshot.snapshot import Queue
from tests.core.counted import NOW, RULES, aggregator, batch, commit, committed, content, context, shown

READING = QueueReading(at=NOW, waiting=7, active=2, oldest_waiting_s=1.5, paused=True)
OWN = Queue(waiting=7, active=2, state_from="redis", oldest_waiting_s=1.5, paused=True)


def read(aggregate: Aggregator, now: float = NOW, **readings: QueueReading) -> None:
    assert aggregate.read(readings) == set()
    commit(aggregate, now)


def length(aggregate: Aggregator, now: float = NOW) -> float | None:
    return seconds_of(aggregate.committed, "queue_length", int(now), int(now)).get(int(now))


def test_a_reading_is_shown_and_kept_by_the_second() -> None:
    aggregate = aggregator()
    read(aggregate, orders=READING)
    assert shown(aggregate).queues == {"orders": OWN}
    assert length(aggregate) == 7


def test_the_queue_itself_is_believed_and_events_fill_in_what_it_does_not_know() -> None:
    queue = {"type": "queue", "waiting": 99, "active": 98, "delayed": 5, "ts": NOW + 1}
    aggregate = committed(queue, {**queue, "queue": "other", "waiting": 3})
    aggregate.apply(batch(queue), NOW)
    read(aggregate, orders=READING)
    queues = shown(aggregate).queues
    assert queues["orders"] == Queue(7, 2, 5, None, None, "redis", 1.5, True)
    assert queues["other"].state_from == "events"
    assert length(aggregate) == 7 + 3


def test_without_new_readings_the_queue_is_unknown_or_what_events_say() -> None:
    aggregate = aggregator()
    read(aggregate, orders=READING, mail=replace(READING, waiting=1))
    aggregate.apply(batch({"type": "queue", "waiting": 99}), NOW)
    commit(aggregate, NOW + FRESH_SECONDS)
    assert shown(aggregate, NOW + FRESH_SECONDS).queues["orders"] == OWN
    assert length(aggregate, NOW + FRESH_SECONDS) == 8
    later = NOW + FRESH_SECONDS + 1
    commit(aggregate, later)
    assert shown(aggregate, later).queues == {"orders": Queue(waiting=99)}
    assert length(aggregate, later) == 99


def test_a_queue_that_does_not_know_what_waits_adds_nothing_to_the_length() -> None:
    aggregate = aggregator()
    read(aggregate, orders=replace(READING, waiting=None))
    assert length(aggregate) is None
    assert shown(aggregate).queues["orders"].waiting is None


def test_the_newer_reading_counts_whatever_comes_later() -> None:
    aggregate = aggregator()
    read(aggregate, orders=READING)
    read(aggregate, orders=replace(READING, at=NOW - 1, waiting=1))
    assert shown(aggregate).queues["orders"].waiting == 7


def test_readings_are_stored_and_expire_after_an_hour() -> None:
    aggregate = aggregator()
    read(aggregate, orders=READING, empty=QueueReading(at=NOW))
    again = load_state(dump_state(aggregate.committed))
    assert content(again) == content(aggregate.committed)
    assert compute(again, RULES, context()).queues["orders"] == OWN
    flight = commit(aggregate, NOW + HISTORY_SECONDS + 1)
    assert ("reads", "orders") in flight.removed
    assert not aggregate.committed.reads


@pytest.mark.parametrize(("by", "at"), [(-10.0, NOW - 10), (10.0, NOW + 10)])
def test_a_reading_moves_with_the_clock(by: float, at: float) -> None:
    aggregate = aggregator()
    read(aggregate, orders=READING)
    aggregate.step(by, NOW + by)
    assert aggregate.committed.reads["orders"].reading.at == at
    assert shown(aggregate, NOW + by).queues["orders"].waiting == 7


def test_configured_queues_have_reserved_places_and_others_are_left_out() -> None:
    rules = Rules(queues=("orders",), max_queues=2)
    aggregate = aggregator(rules)
    aggregate.apply(batch(*({"type": "queue", "queue": name, "waiting": 1} for name in "ab")), NOW)
    assert aggregate.read({"orders": READING, "listed": READING}) == {"listed"}
    commit(aggregate)
    assert set(shown(aggregate, rules=rules).queues) == {"orders", "a", OTHER}


def test_jobs_that_wait_keep_the_sale_undecided() -> None:
    aggregate = committed({"status": "success"})
    read(aggregate, orders=READING)
    for second in range(1, 45):
        aggregate.apply(batch({"type": "heartbeat", "producer": "p"}, at=NOW + second), NOW + second)
        read(aggregate, NOW + second, orders=replace(READING, at=NOW + second))
    assert aggregate.committed.total.sale.state == "running"


def test_the_same_queue_of_two_members_is_two() -> None:
    one, two = aggregator(), aggregator()
    read(one, orders=READING)
    two.apply(batch({"type": "queue", "waiting": 1}), NOW)
    commit(two)
    fleet = compute(merged([("a", one.committed), ("b", two.committed)], RULES), RULES, context())
    assert fleet.queues == {"a:orders": OWN, "b:orders": Queue(waiting=1)}
