"""A delivery that is repeated counts once, and so does an order whose state a mapping hears again."""

from random import Random
from typing import Any

import pytest

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts import order_memory
from sidecar.core.counts.order_memory import REMEMBERED_SECONDS
from sidecar.core.counts.rules import Rules
from sidecar.core.events.batch import Batch
from tests.core.counted import NOW, PUBSUB, STREAM, batch, commit
from tests.core.mapping.made import chain

TEXT = """repeats: id, rules: [{event: {order_id: nr, status:
    {path: s, words: {new: pending, processing: success, completed: success, refunded: refunded}}}}]"""


def counting(rules: Rules | None = None) -> Aggregator:
    """Return an Aggregator whose sources are all mapped."""
    return Aggregator(
        rules or Rules(), Random(1), {source: chain(TEXT).decode for source in (PUBSUB, STREAM, "pubsub:*")}
    )


def delivery(name: int | str | None, status: str = "processing", nr: int | None = None) -> dict[str, Any]:
    return {"id": name, "s": status, "nr": nr}


def tallies(aggregate: Aggregator) -> dict[str, Any]:
    total = aggregate.committed.total
    return {
        "orders": {status: number for status, number in total.tallies["orders"].items() if number},
        "duplicates": total.tallies["duplicates"][""],
        "repeats": total.tallies["repeats"].total(),
        "received": total.tallies["received"].total(),
        "in_flight": total.in_flight,
    }


def counted(*events: Any, aggregate: Aggregator | None = None, at: float = NOW, source: str = PUBSUB) -> dict[str, Any]:
    aggregate = aggregate or counting()
    aggregate.apply(batch(*events, at=at, source=source), at)
    commit(aggregate, at)
    return tallies(aggregate)


def test_a_delivery_that_is_repeated_is_a_duplicate() -> None:
    found = counted(delivery(1), delivery(2), delivery(1), delivery(1, "failed"))
    assert found == {"orders": {"success": 2}, "duplicates": 2, "repeats": 0, "received": 2, "in_flight": 0}


def test_deliveries_without_a_name_all_count() -> None:
    assert counted(delivery(None), delivery(None))["orders"] == {"success": 2}


def test_the_same_name_from_another_mapping_is_another_delivery() -> None:
    aggregate = Aggregator(
        Rules(), Random(1), {PUBSUB: chain(TEXT).decode, STREAM: chain("rules: [{event: {status: s}}]", TEXT).decode}
    )
    counted(delivery(1), aggregate=aggregate)
    assert counted(delivery(1), aggregate=aggregate, source=STREAM)["duplicates"] == 0


def test_a_repeat_is_recognised_in_a_later_batch_and_beside_rejections() -> None:
    aggregate = counting()
    counted(delivery(1), b"{", delivery(1), aggregate=aggregate)
    found = counted(b"{", delivery(1), b"{", delivery(2), aggregate=aggregate)
    assert (found["orders"], found["duplicates"]) == ({"success": 2}, 2)


def test_a_repeat_is_recognised_after_a_restart() -> None:
    before, after = counting(), counting()
    counted(delivery(1), delivery(None, nr=7), aggregate=before)
    after.load(before.fields(), same_generation=False)
    found = counted(delivery(1), delivery(None, "completed", nr=7), delivery(2), aggregate=after)
    assert (found["orders"], found["duplicates"], found["repeats"]) == ({"success": 3}, 1, 1)


def test_a_stream_that_is_read_again_counts_what_was_not_committed() -> None:
    aggregate = counting()
    aggregate.apply(batch(delivery(1), source=STREAM), NOW)
    aggregate.drop_streams()
    assert counted(delivery(1), aggregate=aggregate, source=STREAM)["orders"] == {"success": 1}


def test_a_commit_that_never_lands_keeps_its_deliveries() -> None:
    aggregate = counting()
    aggregate.apply(batch(delivery(1)), NOW)
    aggregate.thaw(aggregate.freeze(NOW))
    assert counted(delivery(1), aggregate=aggregate) | {"duplicates": 1} == counted(delivery(1)) | {"duplicates": 1}
    assert tallies(aggregate)["duplicates"] == 1


def test_a_delivery_is_forgotten_after_ten_minutes() -> None:
    aggregate = counting()
    counted(delivery(1), aggregate=aggregate)
    assert counted(delivery(1), aggregate=aggregate, at=NOW + REMEMBERED_SECONDS)["duplicates"] == 1
    assert counted(delivery(1), aggregate=aggregate, at=NOW + REMEMBERED_SECONDS + 2)["orders"] == {"success": 2}


def test_only_so_many_deliveries_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_memory, "MOST_SAID", 10)
    aggregate = counting()
    counted(*map(delivery, range(20)), aggregate=aggregate)
    found = counted(delivery(19), delivery(0), aggregate=aggregate, at=NOW + 1)
    assert (found["orders"], found["duplicates"]) == ({"success": 21}, 1)


def test_an_order_whose_state_is_heard_again_counts_once() -> None:
    states = ["new", "processing", "completed", "processing"]
    found = counted(*(delivery(None, status, nr=7) for status in states))
    assert found == {
        "orders": {"pending": 1, "success": 1},
        "duplicates": 0,
        "repeats": 2,
        "received": 4,
        "in_flight": 0,
    }


def test_orders_in_flight_are_those_of_which_only_the_beginning_was_heard() -> None:
    events = [delivery(None, status, nr=nr) for nr in range(5) for status in ("new", "new")]
    events += [delivery(None, status, nr=nr) for nr in range(3) for status in ("processing", "completed")]
    assert counted(*events)["in_flight"] == 2


def test_a_refund_after_a_success_ends_nothing_twice() -> None:
    found = counted(*(delivery(None, status, nr=7) for status in ("new", "completed", "refunded", "refunded")))
    assert (found["orders"], found["in_flight"]) == ({"pending": 1, "success": 1, "cancelled": 1}, 0)


def test_repeats_count_where_the_configuration_wants_it_and_duplicates_never() -> None:
    aggregate = counting(Rules(count_repeats=True))
    found = counted(
        delivery(1, "processing", nr=7),
        delivery(2, "completed", nr=7),
        delivery(2, "completed", nr=7),
        aggregate=aggregate,
    )
    assert (found["orders"], found["duplicates"]) == ({"success": 2}, 1)


def test_an_entry_without_the_field_of_its_mapping_is_rejected_with_where_to_look() -> None:
    mapped = chain(TEXT)
    aggregate = Aggregator(Rules(), Random(1), {STREAM: mapped.decode}, {STREAM: mapped.counts})
    aggregate.apply(batch(source=STREAM, empty=1), NOW)
    [rejected] = commit(aggregate).pending[STREAM].rejected
    assert rejected.detail == "entry: the stream entry has no field that `entry` of its mapping names"


def test_a_pattern_counts_once_what_a_rule_took_and_knows_its_channel() -> None:
    mapped = chain(TEXT)
    aggregate = Aggregator(Rules(), Random(1), {"pubsub:*": mapped.decode}, {"pubsub:*": mapped.counts})
    payloads = [b'{"s":"processing","id":1}', b"{", b'[{"s":"new"},{"s":"new"}]', b'{"s":"processing","id":1}']
    channels = [b"a", b"b", b"a", b"a"]
    aggregate.apply(Batch(source="pubsub:*", payloads=payloads, arrivals=[NOW] * 4, channels=channels), NOW)
    commit(aggregate)
    assert mapped.counts == {("shop0", "1", "mapped"): 4, ("shop0", "", "rejected"): 1}
    assert tallies(aggregate)["duplicates"] == 1
