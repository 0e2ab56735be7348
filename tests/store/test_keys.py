"""Which keys and fields a commit writes, and for how long they live."""

from random import Random
from typing import Any

import msgspec
import pytest

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.custom_definition import CustomMetric
from sidecar.core.counts.pending import SAMPLES_PER_COMMIT
from sidecar.core.counts.rules import Rules
from sidecar.store import keys
from sidecar.store.keys import EXPIRY_SECONDS, RENEWAL_SECONDS, KeyValue
from tests.ledgers import T0, heard, order, read

NOW = int(T0)
QUEUE = b'{"type":"queue","waiting":4}'
STOCK = b'{"type":"inventory","product_id":"a","stock":9}'
CONNECTIONS = b'{"type":"connections","active":3,"producer":"p"}'


def counting(*payloads: bytes) -> Aggregator:
    """Return an Aggregator that has committed these payloads at T0."""
    aggregate = Aggregator(Rules(), Random(0))
    if payloads:
        aggregate.apply(heard(*payloads), T0)
        aggregate.land(aggregate.freeze(T0), T0)
    return aggregate


def written(aggregate: Aggregator, *payloads: bytes, now: float = T0, everything: bool = False) -> dict[str, list[Any]]:
    """Return value and expiry of each string key that is written when these payloads are committed."""
    aggregate.apply(heard(*payloads, at=now), now)
    flight = aggregate.freeze(now)
    values = keys.values(flight, aggregate.committed, everything=everything, now=now)
    assert len({value.key for value in values}) == len(values)
    return {value.key: [value.value, value.expiry_seconds] for value in values}


def test_every_commit_writes_the_four_order_counts() -> None:
    aggregate = counting(order(), b'{"status":"failed"}', b'{"status":"pending"}', b'{"status":"cancelled"}', order())
    expected = {"success": 2, "failed": 1, "pending": 1, "cancelled": 1}
    assert written(aggregate, now=T0 + 1) == {
        f"order_status:{status}": [count, EXPIRY_SECONDS] for status, count in expected.items()
    }


@pytest.mark.parametrize(
    ("age", "expiry"), [(0, [1, 3600]), (1, [1, 3599]), (59, [1, 3541]), (3599, [1, 1]), (3600, None), (5000, None)]
)
def test_a_second_lives_for_an_hour_beyond_it(age: int, expiry: list[int] | None) -> None:
    found = written(counting(), order(ts=NOW - age))
    assert found.get(f"throughput:{NOW - age}") == expiry
    assert sum(name.startswith("throughput:") for name in found) == (expiry is not None)


def test_a_second_is_written_when_it_changes_and_while_it_is_the_current_one() -> None:
    aggregate = counting(order(ts=NOW - 3), order(ts=NOW - 2), order(ts=NOW))
    found = written(aggregate, order(ts=NOW - 2))
    seconds = {name: value[0] for name, value in found.items() if name.startswith("throughput:")}
    assert seconds == {f"throughput:{NOW - 2}": 2, f"throughput:{NOW}": 1}


def test_finished_orders_make_the_throughput() -> None:
    found = written(counting(), order(), b'{"status":"failed"}', b'{"status":"pending"}', b'{"status":"cancelled"}')
    assert found[f"throughput:{NOW}"] == [2, 3600]


def test_gauges_are_written_for_the_seconds_since_they_came_and_for_the_current_one() -> None:
    aggregate = counting(QUEUE, CONNECTIONS)
    found = written(aggregate, b'{"type":"queue","queue":"mail","waiting":2,"ts":%d}' % (NOW + 1), now=T0 + 3)
    assert found[f"queue_length:{NOW + 1}"] == [6, 3598]
    assert found[f"queue_length:{NOW + 2}"] == [6, 3599]
    assert found[f"queue_length:{NOW + 3}"] == [6, 3600]
    assert found[f"active_connections:{NOW + 3}"] == [3, 3600]
    assert len(found) == 4 + 4


def test_the_stock_is_written_when_it_is_reported_and_not_with_every_order() -> None:
    aggregate = counting(STOCK, order(product_id="b"))
    assert "inventory:a" not in written(aggregate, now=T0 + 1)
    assert "inventory:a" not in written(aggregate, order(product_id="a"), now=T0 + 1)
    found = written(aggregate, STOCK, order(product_id="b"), now=T0 + 1)
    assert found["inventory:a"] == [9, EXPIRY_SECONDS]
    assert "inventory:b" not in found


def test_the_stock_is_renewed_long_before_it_expires() -> None:
    aggregate = counting(STOCK)
    renewed = []
    for second in range(0, 2 * EXPIRY_SECONDS, 100):
        found = written(aggregate, now=T0 + second)
        aggregate.land(aggregate.freeze(T0 + second), T0 + second)
        if "inventory:a" in found:
            renewed.append(second)
    gaps = [later - earlier for earlier, later in zip([0, *renewed], renewed, strict=False)]
    assert len(renewed) == 2 * EXPIRY_SECONDS / RENEWAL_SECONDS
    assert max(gaps) <= EXPIRY_SECONDS / 2


def test_a_commit_of_everything_writes_what_did_not_change() -> None:
    aggregate = counting(STOCK, QUEUE, CONNECTIONS, order(ts=NOW - 100), order())
    found = written(aggregate, now=T0 + 200, everything=True)
    assert found["inventory:a"] == [9, EXPIRY_SECONDS]
    assert found[f"throughput:{NOW - 100}"] == [1, 3300]
    assert found[f"throughput:{NOW}"] == [1, 3400]
    assert found[f"queue_length:{NOW}"] == [4, 3400]
    assert found[f"active_connections:{NOW}"] == [3, 3400]


def test_a_value_is_a_name_a_number_and_a_time_to_live() -> None:
    assert msgspec.to_builtins(KeyValue("a", 1, 2)) == ["a", 1, 2]


# Lists


def listed(*batches: list[bytes], keep_rejected: bool = True) -> dict[str, list[bytes]]:
    """Return the entries of each list, newest last: the first batch comes from a stream, the second from pub/sub."""
    aggregate = counting()
    for batch in (read(*batches[0]), heard(*batches[1])):
        aggregate.apply(batch, T0)
    found = keys.listings(aggregate.freeze(T0), keep_rejected=keep_rejected)
    assert {one.key: one.kept for one in found}.items() <= {
        ("order_latency", 10_000),
        ("processing_time", 10_000),
        ("rejected", 100),
    }
    return {one.key: one.entries for one in found}


def test_a_commit_without_samples_writes_no_list() -> None:
    assert listed([b'{"status":"pending","latency_ms":3}', b'{"status":"success"}'], []) == {}


def test_samples_are_milliseconds_in_the_order_they_came() -> None:
    found = listed([order(3, processing_ms=0.25), order(1.5)], [order(2, processing_ms=4)])
    assert found == {"order_latency": [b"3", b"1.5", b"2"], "processing_time": [b"0.25", b"4"]}


@pytest.mark.parametrize(("from_stream", "from_pubsub"), [(101, 0), (0, 500), (300, 300), (5, 5000)])
def test_at_most_100_samples_are_drawn_from_a_commit(from_stream: int, from_pubsub: int) -> None:
    sent = [order(number) for number in range(from_stream + from_pubsub)]
    found = listed(sent[:from_stream], sent[from_stream:])["order_latency"]
    numbers = [int(entry) for entry in found]
    assert len(set(numbers)) == SAMPLES_PER_COMMIT
    assert numbers == sorted(numbers)


def test_a_commit_that_was_thawed_keeps_the_order_of_its_samples() -> None:
    aggregate = counting()
    aggregate.apply(heard(order(1), order(2), order(3)), T0)
    aggregate.thaw(aggregate.freeze(T0))
    aggregate.apply(heard(order(4)), T0)
    assert keys.listings(aggregate.freeze(T0), keep_rejected=True)[0].entries == [b"1", b"2", b"3", b"4"]


def test_laying_out_a_commit_twice_changes_nothing_of_it() -> None:
    aggregate = counting()
    aggregate.apply(heard(*(order(number) for number in range(500))), T0)
    aggregate.apply(read(*(order(number) for number in range(500))), T0)
    flight = aggregate.freeze(T0)
    before = {source: list(part.latency.values) for source, part in flight.pending.items()}
    keys.listings(flight, keep_rejected=True)
    assert {source: part.latency.values for source, part in flight.pending.items()} == before


def test_refused_payloads_are_listed_with_time_source_and_reason() -> None:
    entries = listed([b"?"], [b"[}", b'"%s"' % (b"x" * 5000)])["rejected"]
    shown = [msgspec.json.decode(entry) for entry in entries]
    assert [entry["source"] for entry in shown] == ["stream:s", "pubsub:c", "pubsub:c"]
    assert [entry["reason"] for entry in shown] == ["not_json", "not_json", "not_object"]
    assert [len(entry["payload"]) for entry in shown] == [1, 2, 1024]
    assert shown[0]["time"] == T0


def test_the_newest_100_refused_payloads_are_enough() -> None:
    entries = listed([b"x"] * 80, [b"?%d" % number for number in range(90)])["rejected"]
    assert len(entries) == 100
    assert msgspec.json.decode(entries[-1])["payload"] == "?89"


def test_refused_payloads_are_not_kept_where_that_is_switched_off() -> None:
    assert listed([b"?"], [], keep_rejected=False) == {}


# Custom metrics


def test_a_custom_metric_is_written_when_it_changes_and_when_it_is_defined_anew() -> None:
    metric = CustomMetric(name="n_total", type="counter", labels={"status": "status"})
    aggregate = Aggregator(Rules(custom_metrics=(metric,)), Random(0))
    value = written(aggregate, order())["custom:n_total"][0]
    assert msgspec.json.decode(value)["series"] == [{"labels": {"status": "success"}, "value": 1.0}]
    aggregate.land(aggregate.freeze(T0), T0)
    assert "custom:n_total" not in written(aggregate, now=T0 + 1)
    changed = Aggregator(Rules(custom_metrics=(CustomMetric(name="n_total", type="counter"),)), Random(0))
    counted = Aggregator(Rules(custom_metrics=(metric,)), Random(0))
    counted.apply(heard(order()), T0)
    counted.land(counted.freeze(T0), T0)
    changed.load(counted.fields(), same_generation=False)
    assert msgspec.json.decode(written(changed)["custom:n_total"][0])["series"] == [{"labels": {}, "value": 0.0}]


# Fields


def test_parts_and_windows_that_nobody_needs_are_removed() -> None:
    aggregate = counting(CONNECTIONS)
    flight = aggregate.freeze(T0 + 100)
    flight.windows["w:pubsub:c\ngone"] = None
    flight.windows["w:pubsub:c\nhere"] = b""
    assert {"c:connections:p", "w:pubsub:c\ngone"} <= set(keys.removed(flight))
    assert "w:pubsub:c\nhere" not in keys.removed(flight)
