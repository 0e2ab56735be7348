"""Sequence windows: however a batch is judged, the result is that of its events one by one."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.parts import Attendance
from sidecar.core.counts.rules import GRACE_SECONDS
from sidecar.core.events.batch import Batch
from sidecar.core.sequence.numbers import Sequences
from sidecar.core.sequence.roll_call import RollCall
from sidecar.core.snapshot.snapshot import Completeness, ProducerCompleteness
from tests.core.counted import NOW, PUBSUB, aggregator, batch, commit, committed, order, shown

PATTERN = "pubsub:shop:*"


def numbered(*numbers: int, producer: str = "api", **fields: Any) -> list[dict[str, Any]]:
    """Return orders of one producer with these numbers."""
    return [order(producer=producer, seq=seq, **{"epoch": 1, **fields}) for seq in numbers]


def heard(*messages: tuple[Any, ...]) -> Batch:
    """Return a batch of a pattern, from the channel and the event of each message."""
    payloads = batch(*(event for _, event in messages), source=PATTERN)
    channels = [channel for channel, _ in messages]
    return Batch(source=PATTERN, payloads=payloads.payloads, arrivals=payloads.arrivals, channels=channels)


def completeness(aggregate: Aggregator, *batches: Batch) -> Completeness:
    """Count the batches and return the snapshot once every hole is missed."""
    for one in batches:
        aggregate.apply(one, NOW)
    commit(aggregate, NOW + GRACE_SECONDS)
    return shown(aggregate, NOW + GRACE_SECONDS).completeness


# Patterns


def test_each_channel_of_a_pattern_has_numbers_of_its_own() -> None:
    events = numbered(1, 2, 3)
    both = [(channel, event) for event in events for channel in (b"shop:eu", b"shop:us")]
    found = completeness(aggregator(), heard(*both[:3]), heard(*both[3:]))
    assert (found.received, found.duplicates, found.missed, found.ratio) == (6, 0, 0, 1.0)
    assert found.by_producer == {"api": ProducerCompleteness(6, 0, 0)}, "the channels of a producer add up"


def test_a_repeat_on_the_same_channel_is_a_duplicate_and_a_hole_is_missed() -> None:
    eu, us = b"shop:eu", b"shop:us"
    messages = [(eu, 1), (us, 1), (eu, 2), (us, 5), (eu, 2)]
    found = completeness(aggregator(), heard(*((channel, numbered(seq)[0]) for channel, seq in messages)))
    assert (found.received, found.duplicates, found.missed) == (4, 1, 3)
    assert found.by_producer == {"api": ProducerCompleteness(4, 3, 1)}


@pytest.mark.parametrize("odd", [b"[]", b'{"status":"teleported","producer":"api","epoch":1,"seq":2}', b"nothing"])
def test_channels_are_distinguished_among_odd_payloads(odd: bytes) -> None:
    eu, us = b"shop:eu", b"shop:us"
    array: Any = b"[%b]" % b",".join(batch(*numbered(1, 3)).payloads)
    plain = order()
    messages = [(eu, array), (us, odd), (us, array), (eu, plain), (eu, *numbered(4)), (us, *numbered(4))]
    found = completeness(aggregator(), heard(*messages))
    assert (found.duplicates, found.missed) == (0, 2 - (b"seq" in odd))
    assert found.received == 7 + (odd != b"[]")


def test_a_rejected_repeat_is_a_duplicate_only_on_its_channel() -> None:
    refused = b'{"status":"teleported","producer":"api","epoch":1,"seq":1}'
    found = completeness(aggregator(), heard((b"shop:eu", *numbered(1)), (b"shop:us", refused), (b"shop:eu", refused)))
    assert (found.received, found.duplicates, found.invalid) == (2, 1, 1)


def test_channels_of_any_bytes_are_distinguished_also_after_a_restart() -> None:
    channels = [b"shop:a", b"shop:a\n", b"shop:a%0A", b"shop:\xff", b"shop:" + b"x" * 300, b"shop:" + b"x" * 301]
    aggregate = aggregator()
    completeness(aggregate, heard(*((channel, *numbered(1)) for channel in channels)))
    other = aggregator()
    other.load(aggregate.fields(), same_generation=True)
    found = completeness(other, heard(*((channel, *numbered(1, producer="api")) for channel in channels)))
    assert (found.received, found.duplicates) == (len(channels), len(channels))


def test_holes_of_a_channel_are_missed_after_a_restart() -> None:
    aggregate = aggregator()
    aggregate.apply(heard((b"shop:eu", *numbered(1)), (b"shop:eu", *numbered(3))), NOW)
    commit(aggregate)
    other = aggregator()
    other.load(aggregate.fields(), same_generation=True)
    found = completeness(other)
    assert (found.missed, found.by_producer) == (1, {"api": ProducerCompleteness(2, 1, 0)})


def test_windows_of_a_pattern_as_version_0_1_stored_them_are_still_those_of_their_producer() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(*numbered(1, 3), source=PATTERN), NOW)  # without channels
    commit(aggregate)
    other = aggregator()
    other.load(aggregate.fields(), same_generation=True)
    found = completeness(other, heard((b"shop:eu", *numbered(4))))
    assert (found.received, found.missed, found.by_producer) == (3, 1, {"api": ProducerCompleteness(3, 1, 0)})


def test_readings_on_two_channels_stay_in_the_order_they_came() -> None:
    stock = [(b"shop:eu", 5), (b"shop:us", 4), (b"shop:eu", 3)]
    aggregate = aggregator()
    events = ((channel, {"type": "inventory", "product_id": "x", "stock": left}) for channel, left in stock)
    completeness(aggregate, heard(*events))
    assert shown(aggregate).inventory["x"].stock == 3


# One name for several processes


@pytest.mark.parametrize(
    ("fields", "missed", "doubt"),
    [
        ([{"epoch": epoch} for epoch in range(4)], 0, "the numbers of api restarted"),
        ([{"epoch": 1}] * 4, 0, "most events of api are duplicates (75%"),
        ([{"epoch": None}] * 4, 0, "most events of api are duplicates (7"),
    ],
    ids=["epochs of their own", "one epoch", "no epoch"],
)
def test_a_name_that_four_processes_share_is_named_and_no_loss_invented(
    fields: list[dict[str, Any]], missed: int, doubt: str
) -> None:
    aggregate = aggregator()
    events = [one for seq in range(1, 50) for process in fields for one in numbered(seq, **process)]
    found = completeness(aggregate, batch(*({k: v for k, v in one.items() if v is not None} for one in events)))
    assert found.missed == missed
    assert aggregate.register.names.doubts()["api"].startswith(doubt)
    assert "do several processes use this name?" in aggregate.register.names.doubts()["api"]


def test_processes_that_share_a_name_without_epochs_but_with_times_are_named() -> None:
    aggregate = aggregator()
    events = [
        order(producer="api", seq=seq, ts=NOW - 2 + seq / 100 + p / 1000) for seq in range(1, 50) for p in range(4)
    ]
    completeness(aggregate, batch(*events))
    assert "restarted" in aggregate.register.names.doubts()["api"]


def test_a_process_that_restarts_in_a_loop_is_named() -> None:
    starts = [numbered(1, 2, 3, epoch=epoch) for epoch in range(5)]
    assert committed(*chain(*starts[:-1])).register.names.doubts() == {}
    doubts = committed(*chain(*starts)).register.names.doubts()
    assert doubts["api"].startswith("api started 4 times")


def test_ordinary_producers_are_not_doubted() -> None:
    aggregate = committed(*numbered(*range(1, 50)), *numbered(*range(30, 49)), *numbered(*range(1, 9), epoch=2))
    assert aggregate.register.names.doubts() == {}


# Heartbeats


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Record the windows whose numbers are judged one by one."""
    seen: list[str] = []
    see = Sequences.see

    def noted(self: Sequences, producer: str, *rest: Any) -> Any:
        seen.append(producer)
        return see(self, producer, *rest)

    monkeypatch.setattr(Sequences, "see", noted)
    return iter([seen])


def test_a_heartbeat_in_a_batch_does_not_slow_down_the_other_numbers(one_by_one: Iterator[list[str]]) -> None:
    aggregate = committed(*numbered(1), *numbered(1, producer="other"))
    seen = next(one_by_one)
    seen.clear()
    beat = {"type": "heartbeat", "producer": "api", "epoch": 1, "seq": 3}
    events = [*numbered(2, 3), beat, *numbered(2, 3, producer="other"), *numbered(4, 5)]
    found = completeness(aggregate, batch(*events))
    assert (found.received, found.missed, seen) == (8, 0, [])


@pytest.mark.parametrize("numbers", [(3, 2, 5, 4), (2, 3, 5, 6), (6, 2)], ids=["threads", "one lost", "few"])
def test_numbers_out_of_order_and_a_lost_one_are_taken_together(
    one_by_one: Iterator[list[str]], numbers: tuple[int, ...]
) -> None:
    aggregate = committed(*numbered(1))
    seen = next(one_by_one)
    seen.clear()
    found = completeness(aggregate, batch(*numbered(*numbers)))
    assert (found.received, found.missed, seen) == (1 + len(numbers), max(numbers) - 1 - len(numbers), [])


def test_late_numbers_of_the_next_batch_are_judged_together_and_a_missed_one_is_recovered(
    one_by_one: Iterator[list[str]],
) -> None:
    aggregate = committed(*numbered(1, 3, 7))
    seen = next(one_by_one)
    seen.clear()
    aggregate.apply(batch(*numbered(8, 2, 9)), NOW)
    commit(aggregate, NOW + GRACE_SECONDS)
    aggregate.apply(batch(*numbered(10, 5)), NOW + GRACE_SECONDS)
    commit(aggregate, NOW + GRACE_SECONDS)
    found = shown(aggregate, NOW + GRACE_SECONDS).completeness
    assert (found.received, found.missed, found.by_producer["api"].missed, seen) == (8, 2, 2, [])


def test_a_heartbeat_without_a_producer_counts_nowhere() -> None:
    found = completeness(aggregator(), batch({"type": "heartbeat", "seq": 3}, order()))
    assert (found.received, found.by_producer) == (1, {})


# Together or one by one


Sent = tuple[str, int | None, int, bool, float | None]
sent = st.lists(
    st.tuples(
        st.sampled_from(["p", "p", "p", "q"]),
        st.sampled_from([None, 1, 1, 1, 2, 3]),
        st.one_of(st.integers(1, 12), st.integers(1, 40), st.integers(1, 3000)),
        st.sampled_from([False, False, False, False, True]),
        st.sampled_from([None, NOW - 3, NOW - 2, NOW - 1]),
    ),
    max_size=60,
)
batches = st.lists(st.tuples(sent, st.sampled_from([0.0, 1.0, 6.0])), max_size=5)
shuffled = st.lists(
    st.tuples(
        st.integers(1, 40).flatmap(lambda step: st.permutations([(*range(n, n + 5), n + 5 + step) for n in (2, 12)])),
        st.sampled_from([None, 1]),
        st.sampled_from([0.0, 6.0]),
    ),
    max_size=4,
)


def event(producer: str, epoch: int | None, seq: int, beats: bool, ts: float | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"producer": producer, "epoch": epoch, "seq": seq, "ts": ts}
    kind = {"type": "heartbeat"} if beats else order()
    return {**kind, **{name: value for name, value in fields.items() if value is not None}}


def told(script: list[tuple[list[dict[str, Any]], float]], *, together: bool) -> tuple[Any, ...]:
    """Return everything that is known of the numbers of a script."""
    aggregate, now = aggregator(), NOW
    with pytest.MonkeyPatch.context() as patch:
        if not together:
            patch.setattr(RollCall, "_goes_on", lambda *_: False)
        for events, wait in script:
            now += wait
            aggregate.apply(batch(*events, at=now), now)
            commit(aggregate, now)
    found = shown(aggregate, now)
    attendances: dict[str, Attendance] = aggregate.committed.producers
    stored = aggregate.register.sequences(PUBSUB).dump()
    return found.completeness, {name: part.dump() for name, part in attendances.items()}, found.orders.total, stored


@given(batches)
def test_a_batch_gives_what_its_events_give_one_by_one(script: list[tuple[list[Sent], float]]) -> None:
    events = [([event(*one) for one in part], wait) for part, wait in script]
    assert told(events, together=True) == told(events, together=False)


@given(shuffled)
def test_batches_of_shuffled_numbers_give_what_they_give_one_by_one(script: list[Any]) -> None:
    events = [(numbered(*sum(map(tuple, numbers), ()), epoch=epoch), wait) for numbers, epoch, wait in script]
    assert told(events, together=True) == told(events, together=False)


@given(st.permutations(range(2, 40)), st.sets(st.integers(2, 39)), st.lists(st.integers(1, 12), max_size=8))
def test_any_order_and_any_split_of_numbers_count_the_same(order_: list[int], lost: set[int], sizes: list[int]) -> None:
    numbers = [seq for seq in order_ if seq not in lost]
    script = [(numbered(1), 0.0)]
    for size in [*sizes, len(numbers)]:
        script.append((numbered(*numbers[:size]), 0.0))
        numbers = numbers[size:]
    beat = [{"type": "heartbeat", "producer": "api", "epoch": 1, "seq": 39}]
    found = told([*script, (beat, 0.0), ([], GRACE_SECONDS)], together=True)[0]
    assert (found.received, found.missed, found.duplicates) == (39 - len(lost), len(lost), 0)
