"""What is said of a sale, in events and in Redis, on its way into the state."""

import json
from typing import Any

import pytest

from sidecar.core.commit.aggregator import MISSED_UNDER, Aggregator
from sidecar.core.counts.sale import Sale
from tests.core.counted import NOW, aggregator, batch, commit, committed, order

START = {"type": "sale", "action": "start", "sale": "drop"}
STOP = {"type": "sale", "action": "stop"}
STARTED = Sale("drop", "running", NOW, None, "event")


def announcement(action: str, unique_id: str = "w1", at: float = NOW, **more: Any) -> str:
    """Return what waits in Redis."""
    return json.dumps({"action": action, "at": at, "by": "command", "unique_id": unique_id, **more})


def sale(aggregate: Aggregator) -> Sale:
    return aggregate.committed.total.sale


def test_an_event_starts_and_stops_a_sale_and_is_not_ignored() -> None:
    aggregate = committed(START)
    assert sale(aggregate) == STARTED
    aggregate.apply(batch(STOP, at=NOW + 5), NOW + 5)
    commit(aggregate, NOW + 5)
    assert sale(aggregate) == Sale("drop", "ended", NOW, NOW + 5, "event", "event")
    assert not aggregate.committed.total.tallies["ignored"]
    assert aggregate.committed.total.tallies["received"].total() == 2


def test_a_sale_without_an_action_is_another_type() -> None:
    aggregate = committed({"type": "sale", "status": "success"})
    assert (sale(aggregate), aggregate.committed.total.tallies["ignored"]) == (Sale(), {"sale": 1})


def test_what_is_read_together_counts_in_the_order_of_its_time() -> None:
    aggregate = committed({**STOP, "ts": NOW - 10}, {**START, "ts": NOW - 60}, order(ts=NOW - 30))
    assert sale(aggregate) == Sale("drop", "ended", NOW - 60, NOW - 10, "event", "event")


def test_what_is_said_survives_a_commit_that_does_not_land() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(START), NOW)
    aggregate.thaw(aggregate.freeze(NOW))
    commit(aggregate)
    assert sale(aggregate) == STARTED


def test_a_word_in_redis_applies_once() -> None:
    aggregate = aggregator()
    aggregate.following.hear(announcement("start", at=NOW + 99))
    aggregate.thaw(aggregate.freeze(NOW))
    commit(aggregate)
    assert sale(aggregate) == Sale(None, "running", NOW, None, "command"), "not in the future"
    aggregate.apply(batch({**STOP, "ts": NOW + 1}, at=NOW + 1), NOW + 1)
    for after in (1, 2):
        aggregate.following.hear(announcement("start", at=NOW + 99))
        commit(aggregate, NOW + after)
        assert sale(aggregate).state == "ended"


@pytest.mark.parametrize("text", ["", "{", '{"action":"pause"}', "[]"])
def test_what_is_no_word_is_passed_over(text: str) -> None:
    aggregate = aggregator()
    aggregate.following.hear(text)
    commit(aggregate)
    assert sale(aggregate) == Sale()


def test_a_restart_hears_what_was_said_meanwhile() -> None:
    fields = {**committed(order()).fields(), "said": announcement("stop").encode()}
    aggregate = aggregator()
    aggregate.load(fields, same_generation=False)
    commit(aggregate, NOW + 1)
    assert (sale(aggregate).state, sale(aggregate).ended_by) == ("ended", "command")
    again = aggregator()
    again.load({**aggregate.fields(), "said": announcement("stop").encode()}, same_generation=False)
    again.apply(batch({**START, "ts": NOW + 2}, at=NOW + 2), NOW + 2)
    commit(again, NOW + 2)
    assert sale(again).state == "running", "the stop was announced before"


def test_a_clear_forgets_what_orders_showed_and_keeps_what_was_said() -> None:
    aggregate = committed(order())
    aggregate.clear(NOW + 1)
    assert sale(aggregate) == Sale()
    aggregate = committed(START)
    aggregate.clear(NOW + 1)
    assert sale(aggregate) == STARTED


@pytest.mark.parametrize(("event", "left"), [(order(), Sale()), (START, STARTED)])
def test_so_does_a_clear_while_nobody_counts(event: Any, left: Sale) -> None:
    aggregate = aggregator()
    aggregate.following.hear(announcement("stop", "w0"))
    commit(aggregate)
    aggregate.apply(batch(event), NOW)
    commit(aggregate)
    fields = aggregate.fields()
    cleared = {"cleared": fields.pop("c:totals:"), "gen": b"new", MISSED_UNDER: b"old"}
    after = aggregator()
    after.load({**{n: v for n, v in fields.items() if not n.startswith("c:")}, **cleared}, same_generation=False)
    assert (sale(after), after.committed.total.announced) == (left, "w0")


@pytest.mark.parametrize("totals", [b"", b"damaged"])
def test_a_clear_of_nothing_or_of_damage_leaves_nothing(totals: bytes) -> None:
    after = aggregator()
    after.load({"cleared": totals, "gen": b"new", MISSED_UNDER: b"old"}, same_generation=False)
    assert sale(after) == Sale()


def test_a_silent_producer_holds_up_the_end() -> None:
    aggregate = aggregator()
    beat = {"type": "heartbeat", "producer": "a", "epoch": 1, "seq": 9}
    other = {"type": "heartbeat", "producer": "b", "epoch": 1, "seq": 9}
    for second in range(100):
        now = NOW + second
        aggregate.apply(batch(*[order()] * (second < 20), other, *[beat] * (second < 20), at=now), now)
        commit(aggregate, now)
        aggregate.watch(now, hears=True)
    assert sale(aggregate).state == "running"
