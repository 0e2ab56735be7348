"""The parts of a State: merging is replaying, and what is dumped loads to the same."""

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.counts.histogram import Classic, Histogram
from sidecar.core.counts.parts import MOST, Attendance, Minute, Part, Product, Reading, Slice, Timing
from sidecar.core.counts.tallies import Totals

T0 = 1_790_000_000
MINUTE = T0 - T0 % 60

Add = Callable[[Any, int], None]


def timing() -> Timing:
    return Timing(Histogram(), Classic((1_000, 10_000)))


def add_to_totals(part: Totals, n: int) -> None:
    part.tallies["orders"]["success"] += n
    part.tallies["revenue_micros"]["EUR"] += n * 10**20
    part.reach(n, T0 + n % 7)
    part.since = min(part.since or T0 + n, T0 + n)
    part.committed_at = max(part.committed_at or 0, T0 + n)


def add_to_timing(part: Timing, n: int) -> None:
    part.histogram.update([n])
    part.classic.update([n])


def add_to_slice(part: Slice, n: int) -> None:
    part.finished += n
    part.failed += n % 3
    part.faults += n % 2
    part.latency.update([n])
    part.processing.update([n * 2])


def add_to_minute(part: Minute, n: int) -> None:
    part.finished.add(MINUTE + n % 60, n)
    part.waiting[MINUTE + n % 60] = n % 60  # a gauge: who merges writes the same or later
    part.connections[MINUTE + n % 50] = n % 50
    part.failed.add(MINUTE + n % 60, n % 7)
    part.faults.add(MINUTE + n % 60, n % 3)
    part.p50[MINUTE + n % 60] = part.p99[MINUTE + n % 60] = part.counted[MINUTE + n % 60] = 1


def add_to_product(part: Product, n: int) -> None:
    part.success += n
    part.failed += n % 3
    part.pending += n % 5
    part.cancelled += n % 7
    part.units += n * 2
    part.depletion.sell(n, T0)
    part.restock(n, T0 + n)


def add_to_reading(part: Reading, n: int) -> None:
    part.merge(Reading(T0 + n, [n, None]))


def add_to_attendance(part: Attendance, n: int) -> None:
    part.received += n
    part.missed -= n % 4
    part.duplicates += n % 5


PARTS = [
    pytest.param(Totals, add_to_totals, id="totals"),
    pytest.param(timing, add_to_timing, id="timing"),
    pytest.param(Slice, add_to_slice, id="slice"),
    pytest.param(Minute, add_to_minute, id="minute"),
    pytest.param(Product, add_to_product, id="product"),
    pytest.param(lambda: Reading(0.0, []), add_to_reading, id="reading"),
    pytest.param(Attendance, add_to_attendance, id="attendance"),
]
numbers = st.lists(st.integers(1, 10**6), max_size=12)


def filled(new: Callable[[], Any], add: Add, values: list[int]) -> Any:
    part = new()
    for value in values:
        add(part, value)
    return part


@pytest.mark.parametrize(("new", "add"), PARTS)
@given(values=numbers, rng=st.randoms(use_true_random=False), parts=st.integers(1, 4))
def test_merging_in_any_order_equals_replaying(
    new: Callable[[], Part], add: Add, values: list[int], rng: Random, parts: int
) -> None:
    shuffled = list(values)
    rng.shuffle(shuffled)
    merged = new()
    for part in range(parts):
        merged.merge(filled(new, add, shuffled[part::parts]))
    assert merged.dump() == filled(new, add, values).dump()


@pytest.mark.parametrize(("new", "add"), PARTS)
@given(values=numbers)
def test_a_dump_survives_msgpack_and_loads_to_the_same(new: Callable[[], Part], add: Add, values: list[int]) -> None:
    part = filled(new, add, values)
    dumped = part.dump()
    assert type(part).load(msgspec.msgpack.decode(msgspec.msgpack.encode(dumped))).dump() == dumped


@pytest.mark.parametrize(("new", "add"), PARTS)
def test_a_copy_is_equal_and_independent(new: Callable[[], Part], add: Add) -> None:
    part = filled(new, add, [5])
    twin = part.copy()
    assert twin.dump() == part.dump()
    before = msgspec.json.encode(part.dump())
    add(twin, 6)
    assert msgspec.json.encode(part.dump()) == before != msgspec.json.encode(twin.dump())


@pytest.mark.parametrize(("ts", "stock"), [(T0 - 1, 10), (T0, 7), (T0 + 1, 7)])
def test_a_stock_reading_counts_unless_a_newer_one_is_known(ts: float, stock: int) -> None:
    product = Product()
    product.restock(10, T0)
    product.restock(7, ts)
    assert product.stock == stock


@pytest.mark.parametrize(("ts", "value"), [(T0 - 1, 10), (T0, 7), (T0 + 1, 7)])
def test_the_newest_reading_counts(ts: float, value: int) -> None:
    reading = Reading(T0, [10])
    reading.merge(Reading(ts, [7]))
    assert reading.value == value


def test_a_number_that_nobody_read_is_unknown() -> None:
    assert Reading(T0, [None, 3]).value is None


def test_a_minute_of_the_first_version_has_no_outcomes() -> None:
    minute = Minute.load([[MINUTE, 0, 100], [MINUTE, 0, 3], []])
    assert (dict(minute.finished), dict(minute.waiting), dict(minute.failed)) == ({MINUTE: 100}, {MINUTE: 3}, {})


def test_a_minute_is_stored_in_a_few_bytes_a_second() -> None:
    minute = Minute()
    for second in range(MINUTE, MINUTE + 60):
        minute.finished[second] = 100
    assert minute.dump()[0][:5] == [MINUTE, 0, 100, 1, 100]
    assert len(msgspec.msgpack.encode(minute.dump())) < 60 * 3


@pytest.mark.parametrize(("claimed", "stored"), [(10**30, MOST), (-(10**30), -MOST - 1)])
def test_what_one_producer_claims_can_be_stored(claimed: int, stored: int) -> None:
    """Else no commit could be made any more: each event can claim that 10^12 before it were missed."""
    claims = Attendance(claimed, claimed, claimed)
    merged = Attendance(stored, stored, stored)
    merged.merge(claims)
    for part in (claims.copy(), merged):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(part.dump())) == [stored] * 3


def test_each_number_of_a_queue_is_its_newest() -> None:
    queue = Reading(T0, [30, None, None])
    queue.merge(Reading(T0 + 1, [None, 4, 1]))
    queue.merge(Reading(T0 - 1, [99, 99, None]))
    queue.merge(Reading(T0 + 2, [None, None, 0]))
    assert (queue.values, queue.times, queue.seen) == ([30, 4, 0], [T0, T0 + 1, T0 + 2], T0 + 2)


def test_of_readings_with_equal_times_the_last_to_arrive_counts() -> None:
    early, late = Reading(T0, [1], T0 + 1), Reading(T0, [2], T0 + 2)
    for one, other in ((early.copy(), late), (late.copy(), early)):
        one.merge(other)
        assert one.value == 2
    product, second = Product(), Product()
    product.restock(1, T0, T0 + 2)
    second.restock(2, T0, T0 + 1)
    product.merge(second)
    assert product.stock == 1


def test_a_reading_of_version_0_1_0_has_one_time() -> None:
    assert Reading.load([T0, [3, None], None]).dump() == [T0, [3, None], [T0, T0]]


def test_a_reading_whose_numbers_lack_a_time_is_damaged() -> None:
    with pytest.raises(ValueError, match="needs its time"):
        Reading.load([T0, [3, None], [T0]])


@pytest.mark.parametrize(
    ("by", "times", "seen"),
    [
        (-20.0, [T0 - 40, T0 - 20], T0 - 30),  # what was read in the future was read now
        (20.0, [T0 - 40, T0 - 1], T0 + 10),  # who was heard of 10 s ago was so by any clock
        (0.0, [T0 - 40, T0 - 1], T0 - 10),
    ],
)
def test_a_reading_follows_a_clock_step(by: float, times: list[float], seen: float) -> None:
    reading = Reading(T0 - 1, [1, 2], T0 - 10)
    reading.times[0] = T0 - 40
    reading.step(by, T0 + by)
    assert (reading.times, reading.seen) == (times, seen)


@pytest.mark.parametrize(("by", "stock_ts"), [(-20.0, T0 - 20), (20.0, T0), (0.0, T0)])
def test_a_stock_reading_follows_a_clock_step(by: float, stock_ts: float) -> None:
    product = Product()
    product.restock(5, T0, T0)
    product.step(by, T0 + by)
    assert product.stock_ts == stock_ts
    product.restock(4, T0 + by, T0 + by)
    assert product.stock == 4


@pytest.mark.parametrize(
    ("by", "since", "committed_at", "peak_at"),
    [
        (-20.0, T0 - 50, T0 - 20, T0 - 20),
        (20.0, T0 - 10, T0 - 1, T0),
        (0.0, T0 - 30, T0 - 1, T0),
    ],
)
def test_totals_follow_a_clock_step(by: float, since: float, committed_at: float, peak_at: float) -> None:
    totals = Totals()
    totals.since, totals.committed_at = T0 - 30, T0 - 1
    totals.reach(3, int(T0))
    totals.step(by, T0 + by)
    assert (totals.since, totals.committed_at, totals.peak_at) == (since, committed_at, peak_at)


def test_counting_that_began_in_the_future_of_the_clock_before_began_then() -> None:
    """A machine without a clock battery starts in 1970, and its clock is set some seconds later."""
    totals = Totals()
    totals.since = T0
    totals.step(T0, T0 + 10)
    assert totals.since == T0


def test_seconds_of_a_minute_after_an_end_are_removed() -> None:
    minute = filled(Minute, add_to_minute, [3, 7, 20])
    minute.cut(MINUTE + 7)
    assert [dict(table) for table in (minute.finished, minute.waiting, minute.connections)] == [
        {MINUTE + 3: 3},
        {MINUTE + 3: 3},
        {MINUTE + 3: 3},
    ]
