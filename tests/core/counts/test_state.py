"""The State: merged, replaced, expired and stored part by part."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.checkpoint.codec import deflated, seal
from sidecar.core.checkpoint.state import dump_state, load_state
from sidecar.core.counts.histogram import Classic, Histogram
from sidecar.core.counts.parts import Attendance, Minute, Product, Reading, Slice, Timing
from sidecar.core.counts.state import RINGS, State
from sidecar.errors import CheckpointError
from tests.core.counted import content

T0 = 1_790_000_000
BOUNDS = (1_000_000, 10_000_000)

changes = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(1, 100)),  # label, seconds from T0, count
    max_size=12,
)
Changes = list[tuple[str, int, int]]


def counting(events: Changes) -> State:
    state = State()
    for label, after, count in events:
        second = T0 + after
        state.total.tallies["faults"][label] += count
        timing = state.timing("latency", label, BOUNDS)
        timing.histogram.update([count])
        timing.classic.update([count])
        for ring in RINGS.values():
            getattr(state, ring.section).setdefault(second - second % ring.width, Slice()).finished += count
        state.minutes.setdefault(second - second % 60, Minute()).finished.add(second, count)
        state.products.setdefault(label, Product()).success += count
        reading = state.queues.setdefault(label, Reading(0.0, []))
        reading.merge(Reading(second + count / 1000, [count]))
        state.connections.setdefault(label, Reading(0.0, [])).merge(Reading(second + count / 1000, [count]))
        state.producers.setdefault(f"pubsub:x\n{label}", Attendance()).received += count
    return state


@given(changes, changes, changes)
def test_merging_in_any_order_equals_replaying(one: Changes, two: Changes, three: Changes) -> None:
    merged = counting(three)
    merged.merge(counting(one))
    merged.merge(counting(two))
    assert content(merged) == content(counting(one + two + three))


@given(changes, changes, changes)
def test_replacing_what_deltas_change_equals_merging_them(one: Changes, two: Changes, three: Changes) -> None:
    state, deltas = counting(one), (counting(two), counting(three))
    before = content(state)
    newer = state.changed_by(*deltas)
    assert content(state) == before, "it must still be possible that the commit fails"
    touched = {(name, key) for delta in deltas for name, parts in delta.sections() for key in parts}
    assert set(content(newer)) == touched
    state.replace(newer)
    assert content(state) == content(counting(one + two + three))


@given(changes, changes)
def test_deltas_are_independent_of_what_they_change(one: Changes, two: Changes) -> None:
    delta = counting(two)
    newer = counting(one).changed_by(delta)
    newer.merge(counting(one))
    assert content(delta) == content(counting(two))


def test_without_deltas_there_are_still_the_totals() -> None:
    state = counting([("a", 1, 2)])
    assert content(state.changed_by()) == {("totals", ""): state.total.dump()}


@given(changes)
def test_fields_load_to_the_same(events: Changes) -> None:
    state = counting(events)
    assert content(load_state(dump_state(state))) == content(state)


@given(st.text())
def test_any_label_survives(label: str) -> None:
    state = State()
    state.products[label] = Product()
    state.queues[label] = Reading(0.0, [1])
    loaded = load_state(dump_state(state))
    assert (list(loaded.products), list(loaded.queues)) == ([label], [label])


def test_a_part_has_one_field_by_its_name() -> None:
    state = counting([("a:b", 1, 2)])
    assert set(dump_state(state)) >= {"c:totals:", "c:queues:a:b", f"c:slices1:{T0 + 1}", "c:timings:latency:a:b"}


@given(changes, changes)
def test_the_fields_of_a_change_make_those_of_the_whole(one: Changes, two: Changes) -> None:
    state, newer = counting(one), counting(one).changed_by(counting(two))
    stored = dump_state(state) | dump_state(newer, state)
    state.replace(newer)
    assert stored == dump_state(state)


def test_weights_of_sales_load_to_the_last_bit_once_they_are_to_be_committed() -> None:
    delta, product = State(), Product()
    for after in range(7):
        product.depletion.sell(3, T0 + after)
    delta.products["a"] = product
    newer = State().changed_by(delta)
    found, loaded = (state.products["a"].depletion for state in (newer, load_state(dump_state(newer))))
    assert (loaded.units, loaded.calm_units) == (found.units, found.calm_units)
    assert product.depletion.units != found.units == pytest.approx(product.depletion.units, abs=1e-6)


def test_other_fields_of_the_checkpoint_are_passed_over() -> None:
    assert content(load_state({"n": b"7", "w:stream:x\np": b"?", "p:x": b"1-0"})) == content(State())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("c:totals:", b""),
        ("c:totals:", b"\xc1"),
        ("c:totals:", b"\x91" * 10_000),
        ("c:totals:x", msgspec.msgpack.encode([{}, None, None, 0, None])),
        ("c:totals:", msgspec.msgpack.encode([{"unheard_of": {}}, None, None, 0, None])),
        ("c:totals:", msgspec.msgpack.encode([{}, None, float("nan"), 0, None])),
        ("c:totals:", msgspec.msgpack.encode([])),
        ("c:totals:", msgspec.msgpack.encode([{"orders": {"success": "many"}}, None, None, 0, None])),
        ("c:totals:", msgspec.msgpack.encode([{"orders": 1}, None, None, 0, None])),
        ("c:of-tomorrow:", msgspec.msgpack.encode([])),
        ("c:broken", msgspec.msgpack.encode([])),
        ("c:slices1:now", deflated([0, 0, 0, [], []])),
        ("c:phase_counts:1:drop", deflated([0, 0, 0, [], []])),
        ("c:slices1:+60", deflated([0, 0, 0, [], []])),
        ("c:slices1:060", deflated([0, 0, 0, [], []])),
        ("c:slices1:60", deflated(["1", 0, 0, [], []])),
        ("c:queues:x", msgspec.msgpack.encode([0.0, []])),
        ("c:timings:x", deflated(7)),
        ("c:timings:x", deflated([[1], [[1], [1]]])),
        ("c:timings:x", msgspec.msgpack.encode([[], [[], [0]]])),
        ("c:timings:x", deflated([[], [[], [0]]])[:-1]),
        ("c:products:0", deflated([])),
        ("c:minutes:60", msgspec.msgpack.encode([[1, 2], [], []])),
        ("c:producers:pubsub:x\np", msgspec.msgpack.encode([1, 2, 3, 4])),
        ("c:producers:x", msgspec.msgpack.encode([1, 2, 3])),
    ],
)
def test_a_damaged_checkpoint_is_refused(name: str, value: bytes) -> None:
    with pytest.raises(CheckpointError, match=name.strip().split("\n")[0].replace("+", ".")):
        load_state({name: seal(name, value)})


def test_a_loaded_state_goes_on_with_the_buckets_of_now() -> None:
    state = State()
    same, other = Timing(Histogram(), Classic(BOUNDS)), Timing(Histogram(), Classic((5,)))
    for timing in (same, other):
        timing.histogram.update([7])
        timing.classic.update([7])
    state.timings.update(same=same, other=other)
    state.fit(BOUNDS)
    assert same.classic.counts == [1, 0, 0]
    assert other.classic.bounds_ns == BOUNDS
    assert other.classic.counts == [0, 0, 0]
    assert other.histogram.count == 1, "only the classic buckets depend on the bounds"
    assert other.histogram.counts_since(other.classic.before) == {}


@pytest.mark.parametrize("commit_interval", [0.5, 60.0])
@pytest.mark.parametrize("name", RINGS)
def test_a_slice_expires_when_no_window_shows_it_any_more(name: str, commit_interval: float) -> None:
    ring = RINGS[name]
    state = State()
    now = T0 + 0.25
    section = getattr(state, ring.section)
    section.update({start: Slice() for start in range(T0 - 600, T0 + 1, ring.width)})
    gone = {key for section_name, key in state.expired(now, commit_interval) if section_name == ring.section}
    shown_from = int(now - commit_interval) - ring.seconds
    assert all(start < shown_from - ring.width for start in gone), "a commit later it is still shown"
    kept = section.keys() - gone
    assert len(kept) <= ring.slices + commit_interval / ring.width + 5
    assert gone


@pytest.mark.parametrize(
    ("section", "key", "age", "gone"),
    [
        ("minutes", T0, 3659, False),  # its last second is within the hour
        ("minutes", T0, 3661, True),
        ("connections", "a", 60, False),
        ("connections", "a", 60.1, True),
        ("queues", "a", 10**6, False),
        ("products", "a", 10**6, False),
        ("totals", "", 10**6, False),
    ],
)
def test_only_what_belongs_to_a_time_expires(section: str, key: object, age: float, gone: bool) -> None:
    state = State()
    state.minutes[T0] = Minute()
    state.connections["a"] = Reading(T0, [1])
    state.queues["a"] = Reading(T0, [1])
    state.products["a"] = Product()
    assert ((section, key) in state.expired(T0 + age, 0.5)) == gone


def test_removing_forgets_what_is_named_and_passes_over_what_is_not_there() -> None:
    state = counting([("a", 1, 2), ("b", 1, 2)])
    state.remove([("connections", "a"), ("connections", "z"), ("minutes", 7)])
    assert list(state.connections) == ["b"]


@pytest.mark.parametrize(
    ("by", "now", "slices", "seconds"),
    [
        (-20.0, T0 - 18.5, [T0 - 30], [T0 - 20]),  # what was lived already will be lived again
        (-86400.0, T0 - 86400.0, [], []),
        (-0.5, T0 + 0.9, [T0 - 30, T0], [T0 - 20, T0, T0 + 2]),
        (20.0, T0 + 21.5, [T0 - 30, T0], [T0 - 20, T0, T0 + 2]),
        (0.0, T0 + 1.5, [T0 - 30, T0], [T0 - 20, T0, T0 + 2]),  # events may be ahead by 2 s
        (0.0, T0 - 18.5, [T0 - 30], [T0 - 20]),
    ],
)
def test_a_clock_that_was_set_back_leaves_nothing_of_its_future(
    by: float, now: float, slices: list[int], seconds: list[int]
) -> None:
    state = State()
    for start in (T0 - 30, T0):
        state.slices10[start] = Slice()
    for second in (T0 - 20, T0, T0 + 2):
        state.minutes.setdefault(second - second % 60, Minute()).finished.add(second, 1)
    before = {("slices10", start) for start in state.slices10} | {("minutes", start) for start in state.minutes}
    gone = state.step(by, now)
    assert sorted(state.slices10) == slices
    assert sorted(second for minute in state.minutes.values() for second in minute.finished) == seconds
    assert before - set(gone) == {("slices10", start) for start in state.slices10} | {
        ("minutes", start) for start in state.minutes
    }


def test_a_cleared_state_is_as_old_as_the_clear_until_it_is_committed_again() -> None:
    cleared = load_state({"cleared_at": b"1790000000.5"}).total
    assert (cleared.since, cleared.committed_at) == (1_790_000_000.5, 1_790_000_000.5)
    later = State()
    later.total.since, later.total.committed_at = 1_790_000_001.0, 1_790_000_002.0
    counted = load_state({"cleared_at": b"1790000000.5", **dump_state(later)}).total
    assert (counted.since, counted.committed_at) == (1_790_000_001.0, 1_790_000_002.0)
