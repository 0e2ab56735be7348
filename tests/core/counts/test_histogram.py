"""Histograms: accurate, exact to merge, whole after a round trip, and strict with damaged state."""

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.counts.histogram import BriefHistogram, Classic, Histogram, bucket_index
from sidecar.core.snapshot.compute import summary
from sidecar.core.snapshot.snapshot import Summary
from sidecar.errors import CheckpointError

MS = 1_000_000
SECOND = 1_000_000_000
LONGEST = 36 * 3600 * SECOND
BOUNDS = (1 * MS, 10 * MS, SECOND)

durations = st.one_of(st.integers(0, 2_000), st.integers(0, 100 * MS), st.integers(0, LONGEST))
samples = st.lists(durations, max_size=60)
batches = st.lists(samples, max_size=6)


def histogram(values: list[int]) -> Histogram:
    """Return a histogram of some durations."""
    h = Histogram()
    h.update(values)
    return h


def classic(values: list[int], bounds: tuple[int, ...] = BOUNDS) -> Classic:
    """Return a classic histogram of some durations."""
    c = Classic(bounds)
    c.update(values)
    return c


@pytest.mark.parametrize(
    ("ns", "index"),
    [
        (0, 0),
        (999, 0),
        (1_000, 1),
        (SECOND // 2, 638 - 32),
        (SECOND // 2 + 1, 638 - 31),
        (SECOND, 638),
        (SECOND + 1, 639),
        (2 * SECOND, 638 + 32),
        (LONGEST, 1182),
    ],
)
def test_bounds_are_powers_of_two_in_seconds_and_belong_to_the_bucket_below(ns: int, index: int) -> None:
    assert bucket_index(ns) == index
    assert histogram([ns]).buckets.nonzero()[0].tolist() == [index]


@given(durations, durations)
def test_a_longer_duration_is_never_in_a_lower_bucket(a: int, b: int) -> None:
    assert bucket_index(min(a, b)) <= bucket_index(max(a, b))


@given(st.lists(durations, min_size=1, max_size=200), st.integers(1, 1000))
def test_a_quantile_is_within_one_point_one_percent_of_the_exact_order_statistic(values: list[int], q: int) -> None:
    exact = sorted(values)[-(-q * len(values) // 1000) - 1]
    estimate = histogram(values).quantiles_ns([q])[0]
    assert estimate is not None
    if exact < 1_000:
        assert estimate == 0
    else:
        assert abs(estimate - exact) <= 0.011 * exact
        assert min(values) <= estimate <= max(values)


@pytest.mark.parametrize(
    ("permille", "expected"), [(1, 1.0), (500, 1.0), (501, 100.0), (750, 100.0), (751, 10_000.0), (1000, 10_000.0)]
)
def test_the_rank_is_rounded_up(permille: int, expected: float) -> None:
    estimate = histogram([MS, MS, 100 * MS, 10_000 * MS]).quantiles_ns([permille])[0]
    assert estimate == pytest.approx(expected * MS, rel=0.011)


def test_an_empty_histogram_is_false_and_knows_no_quantile() -> None:
    h = histogram([])
    assert not h
    assert h.quantiles_ns([500]) == [None]
    assert summary(h) == Summary()


def test_a_million_equal_samples_read_as_that_sample() -> None:
    h = histogram([12_345_678])
    for _ in range(20):
        h.merge(h.copy())
    assert (h.count, h.sum_ns) == (2**20, 12_345_678 * 2**20)
    assert h.quantiles_ns([500, 999]) == [12_345_678, 12_345_678]


def test_a_summary_is_in_milliseconds_with_exact_average_and_extremes() -> None:
    s = summary(histogram([n * MS for n in range(1, 1001)]))
    assert (s.count, s.avg, s.min, s.max) == (1000, 500.5, 1.0, 1000.0)
    for estimate, exact in ((s.p50, 500), (s.p90, 900), (s.p95, 950), (s.p99, 990), (s.p999, 999)):
        assert estimate == pytest.approx(exact, rel=0.011)


def test_below_a_microsecond_a_percentile_reads_0() -> None:
    assert summary(histogram([400, 400])) == Summary(2, 0.0004, 0.0004, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0004)


@given(batches, st.randoms())
def test_merging_in_any_order_equals_replaying_all(parts: list[list[int]], rng: Random) -> None:
    merged = Histogram()
    for part in in_any_order(parts, rng):
        merged.merge(histogram(part))
    assert merged == histogram([value for part in parts for value in part])


def in_any_order(parts: list[list[int]], rng: Random) -> list[list[int]]:
    """Return the parts in an order that a failure can repeat."""
    shuffled = list(parts)
    rng.shuffle(shuffled)
    return shuffled


@given(samples)
def test_a_dump_survives_msgpack_and_loads_to_the_same(values: list[int]) -> None:
    h = histogram(values)
    loaded = Histogram.load(msgspec.msgpack.decode(msgspec.msgpack.encode(h.dump())))
    assert loaded == h
    assert bool(loaded) == bool(values)
    loaded.update([5 * MS])
    assert loaded == histogram([*values, 5 * MS])


def test_a_sum_beyond_64_bits_survives_msgpack() -> None:
    h = histogram([LONGEST])
    for _ in range(20):
        h.merge(h.copy())
    assert h.sum_ns == LONGEST * 2**20 > 2**64
    assert Histogram.load(msgspec.msgpack.decode(msgspec.msgpack.encode(h.dump()))) == h


def test_a_sum_beyond_64_bits_is_exact_in_one_update_too() -> None:
    h = histogram([LONGEST] * 100_000)
    assert h.sum_ns == LONGEST * 100_000 > 2**63
    assert Histogram.load(h.dump()) == h


def test_a_copy_is_independent() -> None:
    h = histogram([MS])
    twin = h.copy()
    twin.update([2 * MS])
    assert h == histogram([MS]) != twin


def test_a_brief_histogram_is_half_as_large_and_holds_two_billion_of_a_bucket() -> None:
    most = [0, 2**31 - 1, 1, 1, 0, 2**31 - 1]
    brief, whole = BriefHistogram.load(most), Histogram.load(most)
    assert brief == brief.copy() == whole
    assert brief.copy().buckets.nbytes == whole.buckets.nbytes / 2
    whole.merge(brief)
    assert whole.dump() == [0, 2**32 - 2, 1, 1, 0, 2**32 - 2]
    with pytest.raises(CheckpointError):
        BriefHistogram.load([0, 2**31, 1, 1, 0, 2**31])


def test_a_histogram_is_not_equal_to_something_else() -> None:
    assert histogram([]) != []
    assert classic([]) != []
    assert histogram([MS]) != histogram([MS + 1])


SOUND = histogram([MS, 2 * MS, 3 * MS]).dump()


def damaged(at: int, value: object) -> list[object]:
    """Return a sound dump with one element replaced."""
    return [*SOUND[:at], value, *SOUND[at + 1 :]]


@pytest.mark.parametrize(
    "data",
    [
        None,
        "x",
        {},
        0,
        [0, 0, 0, 0],
        SOUND[:-1],
        SOUND[:-2],
        damaged(1, 0),
        damaged(1, 10 * MS),
        damaged(2, 0),
        damaged(3, 4 * MS),
        damaged(4, 0),
        damaged(5, 0),
        damaged(5, -1),
        damaged(5, True),
        damaged(5, "1"),
        damaged(5, 2**63),
        damaged(6, 0),
        damaged(6, 1184),
        damaged(6, 2**70),
        [0, 2 * MS + 1, MS + 1, MS, bucket_index(MS), 2],
    ],
)
def test_a_damaged_dump_is_refused(data: object) -> None:
    with pytest.raises(CheckpointError):
        Histogram.load(data)  # type: ignore[arg-type]


def test_a_classic_histogram_counts_a_value_equal_to_a_bound_below_it() -> None:
    c = classic([0, MS, MS + 1, 10 * MS, 10 * MS + 1, SECOND, SECOND + 1, LONGEST])
    assert c.counts == [2, 2, 2, 2]


@given(batches, st.randoms())
def test_classic_histograms_merge_in_any_order(parts: list[list[int]], rng: Random) -> None:
    merged = classic([])
    for part in in_any_order(parts, rng):
        merged.merge(classic(part))
    assert merged == classic([value for part in parts for value in part])


@given(samples)
def test_a_classic_dump_survives_msgpack_and_loads_to_the_same(values: list[int]) -> None:
    c = classic(values)
    assert Classic.load(msgspec.msgpack.decode(msgspec.msgpack.encode(c.dump())), histogram(values)) == c
    assert c.sum_ns == sum(values)


@pytest.mark.parametrize(
    ("beside", "counts", "sum_ns"),
    [([], [1, 0, 1, 0], MS + SECOND), ([5], [0, 0, 0, 0], 0)],  # there with other bounds before
)
@pytest.mark.parametrize("stored", [2, 3], ids=["as the first version stored them", "with a sum"])
def test_classic_buckets_restart_if_others_were_counted_before_and_are_not_known(
    stored: int, beside: list[int], counts: list[int], sum_ns: int
) -> None:
    everything = histogram([MS, SECOND, *beside])
    loaded = Classic.load(classic([MS, SECOND]).dump()[:stored], everything)
    assert (loaded.counts, loaded.sum_ns) == (counts, sum_ns)
    assert sum(everything.counts_since(loaded.before).values()) == sum(counts)


def test_a_classic_copy_is_independent() -> None:
    c = classic([MS])
    twin = c.copy()
    twin.update([MS])
    assert (c.counts, twin.counts) == ([1, 0, 0, 0], [2, 0, 0, 0])
    assert (c.sum_ns, twin.sum_ns) == (MS, 2 * MS)


def test_other_configured_bounds_start_the_counts_anew() -> None:
    stored = classic([MS, SECOND])
    everything = histogram([MS, SECOND])
    assert stored.with_bounds(BOUNDS, everything) is stored
    restarted = stored.with_bounds((MS, 2 * MS), everything)
    assert (restarted.counts, restarted.sum_ns, restarted.before) == ([0, 0, 0], 0, everything)
    everything.update([5])
    restarted.update([5])
    assert everything.counts_since(restarted.before) == {0: 1}, "the samples of the new bounds"
    assert Classic.load(restarted.dump(), everything) == restarted


def test_classic_histograms_of_different_bounds_do_not_merge() -> None:
    with pytest.raises(ValueError, match="bounds"):
        classic([]).merge(classic([], (1, 2, 3)))


@pytest.mark.parametrize(
    "data",
    [
        *(None, [], [[1]], [[1], [0, 0], [0]], [[1], 0], [[1], [0, -1]], [[1], [0, 1.5]], [[1, 2], [0, 0]]),
        *([[1], [0, 0], [0, -1]], [[1], [0, 0], [0, 0], [0, 0]], [[1], [0, 0], [0, 0], [], []]),
    ],
)
def test_a_damaged_classic_dump_is_refused(data: object) -> None:
    with pytest.raises(CheckpointError):
        Classic.load(data, Histogram())  # type: ignore[arg-type]
