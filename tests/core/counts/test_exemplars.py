"""Which orders become exemplars, and what that costs an ordinary event."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.exemplars import Shown
from tests.core.counted import NOW, RULES, aggregator, batch, commit, order, shown

BOUNDS_MS = [bound / 1e6 for bound in RULES.buckets_ns]  # 1, 10, 100, 1,000 and 10,000 ms


def fast(count: int, ts: float = NOW - 1) -> list[dict[str, object]]:
    return [order(latency_ms=5 + n / 100, order_id=f"fast-{n}", ts=ts) for n in range(count)]


def ids(aggregate: Aggregator) -> dict[int, str]:
    """Return the exemplars of the latency of successful orders."""
    snapshot = shown(aggregate)
    assert snapshot.series
    return {at: next(iter(e.labels.values())) for at, e in snapshot.series.latency["success"].exemplars.items()}


@pytest.mark.parametrize("at", [0, 17, 60])
def test_one_slow_order_among_sixty_fast_ones_is_an_exemplar(at: int) -> None:
    events = fast(60)
    events.insert(at, order(latency_ms=7000, order_id="slow", ts=NOW - 1))
    aggregate = aggregator()
    aggregate.apply(batch(*events), NOW)
    commit(aggregate)
    assert ids(aggregate) == {1: "fast-59", 4: "slow"}


def test_a_slow_order_is_an_exemplar_after_many_fast_batches_too_and_so_is_one_between_them() -> None:
    aggregate = aggregator()
    for _ in range(3):
        aggregate.apply(batch(*fast(60)), NOW)
    aggregate.apply(batch(*fast(60), order(latency_ms=7000, order_id="slow")), NOW)
    aggregate.apply(batch(*fast(60), order(latency_ms=70, order_id="between"), *fast(60)), NOW)
    aggregate.apply(batch(*fast(60), order(latency_ms=0, order_id="none")), NOW)
    commit(aggregate)
    assert ids(aggregate) == {0: "none", 1: "fast-59", 2: "between", 4: "slow"}


@given(st.lists(st.lists(st.floats(0, 20_000), min_size=1, max_size=40), min_size=1, max_size=6))
def test_every_bucket_that_got_an_order_has_an_exemplar_from_it(batches: list[list[float]]) -> None:
    aggregate = aggregator()
    for values in batches:
        aggregate.apply(batch(*(order(latency_ms=ms, order_id=repr(ms)) for ms in values)), NOW)
    commit(aggregate)
    found = {at: e.value_seconds for (_, _, at), e in aggregate.exemplars.items()}
    series = shown(aggregate).series
    assert series
    assert found.keys() == {at for at, count in enumerate(series.latency["success"].counts) if count}
    for at, seconds in found.items():
        assert bisect_left(RULES.buckets_ns, round(seconds * 1e9)) == at


def test_an_exemplar_is_renewed_after_each_commit_and_never_by_an_older_order() -> None:
    aggregate = aggregator()
    for number, (ts, expected) in enumerate(
        [(NOW - 5, "0"), (NOW - 4, "1"), (NOW - 60, "1"), (NOW - 4, "1"), (NOW - 3.9995, "1"), (NOW - 3.99, "5")]
    ):
        aggregate.apply(batch(order(latency_ms=5, order_id=str(number), ts=ts)), NOW)
        commit(aggregate)
        assert ids(aggregate) == {1: expected}


def test_a_commit_that_failed_does_not_stop_that() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(order(latency_ms=5, order_id="first", ts=NOW - 2)), NOW)
    aggregate.thaw(aggregate.freeze(NOW))
    aggregate.apply(batch(order(latency_ms=5, order_id="second", ts=NOW - 1)), NOW)
    commit(aggregate)
    assert ids(aggregate) == {1: "second"}


@pytest.mark.parametrize("unfit", [{}, {"order_id": 'a"b'}, {"order_id": "\\"}, {"trace_id": "t" * 111}])
def test_an_order_whose_id_cannot_be_shown_leaves_its_bucket_to_another(unfit: dict[str, str]) -> None:
    aggregate = aggregator()
    aggregate.apply(batch(order(latency_ms=5, order_id="fit"), order(latency_ms=5, **unfit)), NOW)
    commit(aggregate)
    assert ids(aggregate) == {1: "fit"}


def test_an_order_without_a_duration_is_not_an_exemplar() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(order(latency_ms=5, order_id="timed"), order(order_id="not")), NOW)
    commit(aggregate)
    assert ids(aggregate) == {1: "timed"}


@pytest.mark.parametrize(
    ("looked_at", "values_ms", "lacking"),
    [
        ([], [5], {1}),
        ([], [0, 1, 1.5, 20_000], {0, 1, 5}),
        ([{1}], [5], set()),
        ([{1}], [1], {0}),
        ([{1}], [10], set()),
        ([{1}], [10.5, 5], {2}),
        ([{0}], [0], set()),
        ([{5}], [10_001, 36e5], set()),
        ([{1}, {4}], [5, 7000], set()),
        ([{1}, {4}], [5, 70, 7000], {2}),
        ([{1, 2}, {4}], [5, 70], set()),
        ([{0}, {2, 3, 4}, {5}], [5], {1}),
    ],
)
def test_which_buckets_were_not_checked(looked_at: list[set[int]], values_ms: list[float], lacking: set[int]) -> None:
    looked = Shown()
    for buckets in looked_at:
        looked.add(buckets, RULES.buckets_ns)
    assert looked.lacking(values_ms, RULES.buckets_ns) == lacking
