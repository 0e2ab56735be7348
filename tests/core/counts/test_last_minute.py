"""The last minute: what was missed in it belongs to what was received with it."""

from typing import Any

import pytest

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.last_minute import KEPT_SECONDS
from sidecar.core.snapshot.compute import compute, merged
from sidecar.core.snapshot.snapshot import LastMinute
from tests.core.counted import NOW, RULES, STREAM, aggregator, batch, commit, context, order, shown


def publish(aggregate: Aggregator, second: int, *numbers: int, **fields: Any) -> None:
    at = NOW + second
    events = [order(producer="p", epoch=1, seq=seq, **fields) for seq in numbers]
    aggregate.apply(batch(*events, at=at), at)


def minute(aggregate: Aggregator, second: int) -> LastMinute:
    commit(aggregate, NOW + second)
    return shown(aggregate, NOW + second).completeness.last_minute


def ten(second: int, *, without: int = 0) -> range:
    """Return the numbers of a second, without the first few."""
    return range(second * 10 + 1 + without, second * 10 + 11)


def run(aggregate: Aggregator, start: int, end: int, *, without: int = 0) -> LastMinute:
    for second in range(start, end):
        publish(aggregate, second, *ten(second, without=without))
        found = minute(aggregate, second)
    return found


def test_a_minute_in_which_a_tenth_is_missed_says_so_whatever_was_before() -> None:
    aggregate = aggregator()
    assert run(aggregate, 0, 300) == LastMinute(1.0, 600, 0)
    assert run(aggregate, 300, 380, without=1) == LastMinute(0.9, 540, 60)
    assert shown(aggregate, NOW + 379).completeness.ratio == pytest.approx(1 - 73 / 3800, abs=2e-3)
    assert run(aggregate, 380, 460) == LastMinute(1.0, 600, 0)


def test_a_minute_without_events_has_no_ratio() -> None:
    aggregate = aggregator()
    run(aggregate, 0, 10)
    assert minute(aggregate, 200) == LastMinute(None, 0, 0)
    assert aggregate.committed.lately == {}


def test_without_numbers_on_pubsub_nothing_is_known() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(order()), NOW)
    commit(aggregate, NOW)
    assert minute(aggregate, 10) == LastMinute(None, 1, 0)


def test_what_comes_after_all_is_missed_no_more() -> None:
    aggregate = aggregator()
    publish(aggregate, 0, 1, 3)
    minute(aggregate, 0)
    assert minute(aggregate, 8) == LastMinute(1.0, 2, 0), "the hole was shown in a second that is not shown yet"
    assert minute(aggregate, 12) == LastMinute(2 / 3, 2, 1)
    publish(aggregate, 13, 2)
    minute(aggregate, 13)
    assert minute(aggregate, 20) == LastMinute(1.0, 3, 0)
    assert minute(aggregate, 67) == LastMinute(1.0, 1, 0), "it is not less than nothing"


def test_a_commit_that_is_sent_again_counts_once() -> None:
    aggregate = aggregator()
    publish(aggregate, 0, 1, 2)
    flight = aggregate.freeze(NOW)
    publish(aggregate, 1, 3)
    aggregate.thaw(flight)
    assert minute(aggregate, 2) != LastMinute(1.0, 6, 0)
    assert minute(aggregate, 12) == LastMinute(1.0, 3, 0)


def test_a_fleet_adds_up_and_a_clear_begins_again() -> None:
    one, other = aggregator(), aggregator()
    for aggregate in (one, other):
        publish(aggregate, 0, 1, 3)
        minute(aggregate, 0)
        minute(aggregate, 7)
    both = merged([("a", one.committed), ("b", other.committed)], RULES)
    found = compute(both, RULES, context(NOW + 12)).completeness
    assert found.last_minute == LastMinute(4 / 6, 4, 2)
    one.clear(NOW + 12)
    assert minute(one, 13) == LastMinute(None, 0, 0)


def test_it_goes_on_after_a_restart() -> None:
    aggregate = aggregator()
    publish(aggregate, 0, 1, 3)
    minute(aggregate, 0)
    minute(aggregate, 7)
    again = aggregator()
    again.load(aggregate.fields(), same_generation=True)
    assert minute(again, 12) == LastMinute(2 / 3, 2, 1)


def test_lost_entries_of_a_stream_are_missed_in_it() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(order(), source=STREAM), NOW)
    aggregate.miss(STREAM, 3)
    minute(aggregate, 0)
    assert minute(aggregate, 10) == LastMinute(1 / 4, 1, 3)
    minute(aggregate, KEPT_SECONDS + 1)
    assert aggregate.committed.lately == {}
