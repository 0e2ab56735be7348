"""Who is due when, as tables; the clock is made up."""

import random
from collections import defaultdict

import pytest

from sidecar.exposition.live.schedule import Schedule, following

Wish = tuple[str, float]  # a word and the interval
ONE: Wish = ("one", 1.0)
STEPS = (0.001, 0.005, 0.02)  # of the made-up clock


def joined(*members: tuple[str, Wish, float]) -> Schedule[str, Wish]:
    schedule: Schedule[str, Wish] = Schedule()
    for name, wish, due in members:
        schedule.join(name, wish, wish[1], due)
    return schedule


def taken(schedule: Schedule[str, Wish], now: float) -> list[tuple[Wish, list[str]]]:
    return sorted((group.wish, sorted(members)) for group, members in schedule.take(now))


@pytest.mark.parametrize(
    ("due", "now", "then"),
    [(100, 100, 120), (100, 105, 120), (100, 119, 120), (100, 120, 140), (100, 175, 180)],
)
def test_the_next_time_keeps_its_phase_and_leaves_out_what_was_late(due: int, now: int, then: int) -> None:
    assert following(due, 20, now) == then


def test_nobody_is_due_where_nobody_is() -> None:
    schedule = joined()
    assert (schedule.next_due(), taken(schedule, 1e9)) == (None, [])


def test_who_is_due_in_the_same_grain_goes_together_at_its_end() -> None:
    schedule = joined(("a", ONE, 10.001), ("b", ONE, 10.019), ("c", ONE, 10.021), ("d", ("other", 1.0), 10.01))
    assert schedule.next_due() == pytest.approx(10.02)
    assert taken(schedule, 10.0199) == []
    assert taken(schedule, 10.0201) == [(ONE, ["a", "b"]), (("other", 1.0), ["d"])]
    assert schedule.next_due() == pytest.approx(10.04)
    assert taken(schedule, 10.05) == [(ONE, ["c"])]
    assert schedule.next_due() == pytest.approx(11.02)


def test_who_left_is_not_due_and_leaves_nothing_behind() -> None:
    schedule = joined(("a", ONE, 10.0), ("b", ONE, 10.0), ("c", ("other", 2.0), 10.5))
    schedule.leave("a")
    assert taken(schedule, 10.0) == [(ONE, ["b"])]
    schedule.leave("b")
    schedule.leave("c")
    assert (schedule.next_due(), taken(schedule, 1e9)) == (None, [])


def test_who_leaves_while_the_due_are_taken_is_not_held_any_more_even_if_they_come_back() -> None:
    schedule = joined(("a", ONE, 10.0), ("b", ONE, 10.0))
    ((group, members),) = schedule.take(10.0)
    assert sorted(members) == ["a", "b"]
    schedule.leave("a")
    schedule.leave("b")
    schedule.join("b", ONE, 1.0, 10.01)
    assert [schedule.has(group, name) for name in ("a", "b", "never")] == [False, False, False]


def test_who_comes_when_a_group_has_just_had_its_turn_does_not_wait_for_its_next() -> None:
    schedule = joined(("a", ONE, 10.0))
    assert taken(schedule, 10.0) == [(ONE, ["a"])]
    schedule.join("b", ONE, 1.0, 10.0)
    assert taken(schedule, 10.02) == [(ONE, ["b"])]


def test_members_of_one_phase_are_one_group_however_long_ago_they_came() -> None:
    schedule = joined(("a", ONE, 10.013))
    for second in range(10, 15):
        assert len(taken(schedule, second + 0.02)) == 1
        schedule.join(f"b{second}", ONE, 1.0, second + 1.017)
    assert taken(schedule, 16) == [(ONE, ["a", "b10", "b11", "b12", "b13", "b14"])]


def test_a_late_turn_serves_each_once() -> None:
    schedule = joined(("a", ONE, 10.0), ("b", ("fast", 0.1), 10.0))
    assert taken(schedule, 13.5) == [(("fast", 0.1), ["b"]), (ONE, ["a"])]
    assert schedule.next_due() == pytest.approx(13.6)
    assert taken(schedule, 13.6) == [(("fast", 0.1), ["b"])]
    assert taken(schedule, 14.0) == [(("fast", 0.1), ["b"]), (ONE, ["a"])]


def test_each_is_served_once_an_interval_whoever_comes_and_goes() -> None:
    seed = random.randrange(10**9)
    rng = random.Random(seed)
    wishes = [("a", 0.1), ("b", 0.15), ("c", 1.0), ("d", 1.0), ("e", 0.333)]
    schedule, present, served = joined(), dict[str, tuple[Wish, float]](), defaultdict[str, list[float]](list)
    now = 100.0
    for number in range(4000):
        now += rng.choice(STEPS)
        if rng.random() < 0.1:
            name = f"m{number}"
            present[name] = rng.choice(wishes), now
            schedule.join(name, present[name][0], present[name][0][1], now)
        if present and rng.random() < 0.08:
            name = rng.choice(list(present))
            schedule.leave(name)
            check(present.pop(name), served.pop(name, []), now, seed)
        for group, members in schedule.take(now):
            for name in members:
                assert present[name][0] == group.wish, f"seed {seed}"
                served[name].append(now)
    for name, one in present.items():
        check(one, served.get(name, []), now, seed)


def check(member: tuple[Wish, float], served: list[float], until: float, seed: int) -> None:
    """Each time is at most two grains after its due one: its phase was rounded up, and so was the turn."""
    (_, interval), since = member
    late = [at - since - number * interval for number, at in enumerate(served)]
    assert all(-1e-6 <= one <= 0.04 + STEPS[-1] for one in late), f"seed {seed}"
    assert len(served) >= (until - since - 0.04 - STEPS[-1]) / interval, f"seed {seed}"
