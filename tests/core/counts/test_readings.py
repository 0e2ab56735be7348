"""Gauges by second: each second shows what was known at its end."""

from collections.abc import Mapping
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.counts.parts import Reading
from sidecar.core.counts.readings import BySecond, added_up, by_second, count, forget, joined, keep, step, thin


def readings(**values: tuple[float, int]) -> dict[str, Reading]:
    return {name: Reading(ts, [value]) for name, (ts, value) in values.items()}


def nothing(second: int) -> None:
    """Return no stored sum for any second."""


def reported(*values: tuple[str, float, int]) -> BySecond:
    seconds: BySecond = {}
    for name, ts, value in values:
        keep(seconds.setdefault(int(ts), {}), name, Reading(ts, [value]))
    return seconds


@pytest.mark.parametrize(
    ("known", "came", "now", "expected"),
    [
        ({}, [], 100.5, {}),
        ({"a": (90.0, 5)}, [], 100.5, {100: 5}),  # what is known is carried on
        ({}, [("a", 98.1, 1), ("a", 98.9, 2), ("a", 99.1, 3)], 99.5, {98: 2, 99: 3}),
        ({}, [("a", 98.9, 2), ("a", 98.1, 1)], 98.95, {98: 2}),  # the newest, not the last
        ({}, [("a", 98.0, 1), ("b", 99.0, 2)], 101.0, {98: 1, 99: 3, 100: 3, 101: 3}),  # queues add up
        ({"a": (90.0, 5)}, [("b", 99.0, 2)], 99.5, {99: 7}),
        ({"a": (98.9, 5)}, [("a", 98.1, 2)], 100.0, {98: 5, 99: 5, 100: 5}),  # an older one in the same second
        (
            {"a": (99.9, 5)},
            [("a", 98.1, 2)],
            100.0,
            {98: 2, 99: 5, 100: 5},
        ),  # an older one counts in its own second only
        ({"a": (99.9, 5), "b": (99.9, 7)}, [("a", 98.1, 2)], 100.0, {98: 9, 99: 12, 100: 12}),
        ({}, [("a", 101.5, 9)], 100.0, {101: 9}),  # a clock that is ahead
        ({"a": (90.0, 5)}, [("a", 101.5, 9)], 100.0, {100: 5, 101: 9}),
    ],
)
def test_sums_by_second(
    known: dict[str, tuple[float, int]], came: list[tuple[str, float, int]], now: float, expected: dict[int, int]
) -> None:
    assert by_second(readings(**known), reported(*came), nothing, now) == expected


def test_the_silent_do_not_count_and_where_nobody_speaks_there_is_no_value() -> None:
    known = readings(a=(40.0, 5), b=(50.0, 7))
    assert by_second(known, {}, nothing, 100.0, 60.0) == {100: 12}
    assert by_second(known, {}, nothing, 100.1, 60.0) == {100: 7}
    assert by_second(known, {}, nothing, 110.1, 60.0) == {}
    assert by_second({}, reported(("a", 30.0, 5), ("b", 100.0, 7)), nothing, 100.1, 60.0) == {30: 5, 100: 7}


def by_second_plainly(
    known: Mapping[str, Reading], came: BySecond, now: float, silent_seconds: float
) -> dict[int, int]:
    """Add everything up anew for every second."""
    sums: dict[int, int] = {}
    latest: dict[str, Reading] = {}
    recent = [second for second in came if int(now) - 60 <= second]
    for second in sorted({*came, *range(min(recent, default=int(now)), int(now)), int(now)}):
        latest.update(came.get(second, {}))
        at = dict(known)
        for name, reading in latest.items():
            before = known.get(name)
            if before is None or before.ts >= second + 1 or reading.ts >= before.ts:
                at[name] = reading
        found = added_up(at.values(), min(second + 1, now) - silent_seconds)
        if found is not None:
            sums[second] = found
    return sums


names = st.sampled_from("abcd")
moments = st.integers(0, 80).map(lambda quarter: 100 + quarter / 4)  # many of them equal, and on whole seconds


@given(
    known=st.dictionaries(names, st.tuples(moments, st.integers(0, 9))),
    came=st.lists(st.tuples(names, moments, st.integers(0, 9)), max_size=20),
    now=moments,
    oldest=moments,
    silent_seconds=st.sampled_from([0.0, 1.0, 2.5, 7.0, inf]),
)
def test_a_running_sum_is_what_adding_up_anew_gives(
    known: dict[str, tuple[float, int]],
    came: list[tuple[str, float, int]],
    now: float,
    oldest: float,
    silent_seconds: float,
) -> None:
    seconds = reported(*came)
    forget(seconds, oldest)
    expected = by_second_plainly(readings(**known), seconds, now, silent_seconds)
    assert by_second(readings(**known), seconds, nothing, now, silent_seconds) == expected


def test_late_readings_of_many_cost_no_more_than_there_are_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a producer that reports for every second of the hour halts each commit for half a second."""
    looked_at = 0

    def value(reading: Reading) -> int:
        nonlocal looked_at
        looked_at += 1
        return reading.values[0] or 0

    monkeypatch.setattr(Reading, "value", property(value))
    known = {f"p{n}": Reading(5000.0, [1]) for n in range(100)}
    by_second(known, reported(*((f"p{s % 100}", s, 1) for s in range(1000, 2000))), nothing, 5000.5, 60.0)
    assert looked_at <= 5 * (len(known) + 1000)


@pytest.mark.parametrize(("since", "total"), [(0.0, 12), (40.0, 12), (40.1, 7), (50.1, None)])
def test_what_is_older_is_not_added_up(since: float, total: int | None) -> None:
    assert added_up(readings(a=(40.0, 5), b=(50.0, 7)).values(), since) == total


def test_nothing_adds_up_to_nothing_known() -> None:
    assert added_up([]) is None
    assert added_up(readings(a=(1.0, 0)).values()) == 0


def test_joining_keeps_the_newer_and_leaves_the_parts_alone() -> None:
    one, other = reported(("a", 98.1, 1), ("b", 98.2, 2)), reported(("a", 98.5, 3), ("c", 99.0, 4))
    both = joined(one, other)
    assert {second: {name: r.value for name, r in found.items()} for second, found in both.items()} == {
        98: {"a": 3, "b": 2},
        99: {"c": 4},
    }
    assert one[98]["a"].value == 1


def test_of_old_seconds_only_the_newest_readings_are_kept() -> None:
    seconds = reported(("a", 97.1, 1), ("a", 98.1, 2), ("b", 97.5, 3), ("a", 99.1, 4))
    for _ in range(2):
        forget(seconds, 99.0)
        assert {second: {name: r.value for name, r in found.items()} for second, found in seconds.items()} == {
            0: {"a": 2, "b": 3},
            99: {"a": 4},
        }


def test_of_too_many_readings_the_oldest_seconds_go_but_not_the_newest_reading_of_a_name() -> None:
    seconds = reported(*((f"n{second % 3}", float(second), second) for second in range(100, 200)), ("old", 100.5, 7))
    thin(seconds, 10)
    assert sorted(seconds) == [0, *range(190, 200)]
    assert seconds[0]["old"].value == 7
    assert count(seconds) == 10 + len(seconds[0])
    thin(seconds, 100)
    assert len(seconds) == 11


@pytest.mark.parametrize(
    ("known", "came", "stored", "expected"),
    [
        # 100 came 3 s late: the seconds since it show it, and what b said in each of them stays as it was.
        (
            {"a": (90.0, 5), "b": (99.0, 2)},
            [("a", 97.2, 100)],
            {97: 6, 98: 8, 99: 7},
            {97: 101, 98: 103, 99: 102, 100: 102},
        ),
        ({"b": (99.0, 1)}, [("a", 97.2, 100)], {97: 1, 98: 1, 99: 1}, {97: 101, 98: 101, 99: 101, 100: 101}),
        ({"a": (90.0, 5)}, [("a", 97.2, 9), ("a", 99.5, 5)], {97: 5, 98: 5, 99: 5}, {97: 9, 98: 9, 99: 5, 100: 5}),
        ({"a": (90.0, 5)}, [("a", 97.2, 5)], {97: 5, 98: 5, 99: 5}, {97: 5, 100: 5}),  # nothing changes
        ({"a": (90.0, 5)}, [("a", 97.2, 7)], {98: 5}, {97: 7, 98: 7, 99: 7, 100: 7}),  # not every second is stored
        # An older one than is known, of which nobody knows what it followed: its own second.
        ({"a": (99.0, 5)}, [("a", 97.2, 9)], {97: 1, 98: 1, 99: 5}, {97: 9, 100: 5}),
        # Later than a minute: its own second.
        ({"a": (10.0, 5)}, [("a", 39.9, 9)], {39: 5, 40: 5, 99: 5}, {39: 9, 100: 9}),
        ({"a": (10.0, 5)}, [("a", 40.0, 9)], {40: 5, 41: 5}, dict.fromkeys(range(40, 101), 9)),
    ],
)
def test_a_late_reading_changes_the_seconds_since_it_until_the_next_one(
    known: dict[str, tuple[float, int]],
    came: list[tuple[str, float, int]],
    stored: dict[int, int],
    expected: dict[int, int],
) -> None:
    assert by_second(readings(**known), reported(*came), stored.get, 100.5) == expected


def test_a_queue_whose_waiting_nobody_read_adds_nothing() -> None:
    known = {"a": Reading(99.0, [None, 4]), "b": Reading(99.0, [7, 1])}
    assert by_second(known, {}, nothing, 100.0) == {100: 7}
    assert by_second({"a": known["a"]}, {}, nothing, 100.0) == {}
    assert added_up(known.values()) == 7


def test_a_producer_heard_of_recently_counts_whatever_the_age_of_its_reading() -> None:
    known = {"a": Reading(10.0, [50], 99.0)}
    assert by_second(known, {}, nothing, 100.0, 60.0) == {100: 50}
    assert added_up(known.values(), 40.0) == 50


def test_a_reading_from_the_future_of_a_clock_set_back_was_read_now() -> None:
    seconds = reported(("a", 97.1, 1), ("a", 99.5, 2), ("b", 99.9, 3))
    step(seconds, -2.0, 98.2)
    assert {second: {name: (r.value, r.ts) for name, r in found.items()} for second, found in seconds.items()} == {
        97: {"a": (1, 97.1)},
        98: {"a": (2, 98.2), "b": (3, 98.2)},
    }
