"""Clock offsets: the least delay tells the clock, if it stays; and nothing is kept of producers that are gone."""

import pytest

from sidecar.core.sequence.clock_offsets import STEADY_SECONDS, WINDOW_SECONDS, Clocks


def measured(*offsets: tuple[str, float, float]) -> Clocks:
    clocks = Clocks()
    for producer, offset, arrival in offsets:
        clocks.measure(producer, offset, arrival, limit=2)
    return clocks


def shown(*offsets: tuple[float, float]) -> list[float]:
    """Return the offset that is shown after each measure (offset, arrival) of one producer."""
    clocks, found = Clocks(), []
    for offset, arrival in offsets:
        clocks.measure("a", offset, arrival, limit=2)
        found.append(clocks["a"].offset_seconds)
    return found


def test_the_offset_nearest_to_0_counts() -> None:
    assert measured(("a", -9.0, 0.0), ("a", -7.0, 1.0), ("a", -8.0, 2.0))["a"].offset_seconds == -7.0
    assert measured(("a", 9.0, 0.0), ("a", 7.0, 1.0), ("a", 8.0, 6.0))["a"].offset_seconds == 7.0


def test_every_minute_measures_anew() -> None:
    assert measured(("a", 1.0, 0.0), ("a", -7.0, 60.0))["a"].offset_seconds == 1.0
    assert measured(("a", 1.0, 0.0), ("a", -7.0, 60.1))["a"].offset_seconds == -7.0


def test_a_clock_that_is_behind_is_known_once_its_delay_has_stayed() -> None:
    assert shown((58.4, 0.0), (58.3, 1.0), (58.2, 4.9), (58.3, STEADY_SECONDS)) == [0.0, 0.0, 0.0, 58.2]


def test_a_clock_that_is_ahead_is_known_at_once() -> None:
    assert shown((-58.2, 0.0)) == [-58.2]


@pytest.mark.parametrize("speed", [1.05, 2, 6, 58], ids=str)
def test_what_was_kept_in_an_outage_shows_no_clock(speed: float) -> None:
    seconds = 58.2 / (speed - 1)  # until the publisher has caught up
    steps = [step * seconds / 500 for step in range(501)]
    offsets = [(58.2 - (speed - 1) * at, at) for at in steps if at < WINDOW_SECONDS]
    assert max(map(abs, shown(*offsets))) <= 2.0


def test_what_was_kept_and_comes_at_once_shows_no_clock_in_a_minute_that_begins_with_it() -> None:
    before = [(0.01, at) for at in range(60)]
    assert set(shown(*before, (58.2, 60.1), (30.0, 60.2), (0.01, 60.3))) == {0.01}


def test_a_wrong_clock_stays_known_while_a_new_minute_is_measured_and_a_right_one_is_believed_at_once() -> None:
    wrong = [(30.0, float(at)) for at in range(0, 130, 2)]
    assert set(shown(*wrong)[3:]) == {30.0}
    assert shown(*wrong, (0.1, 130.0))[-1] == 0.1


def test_producers_are_bounded_and_the_silent_make_room() -> None:
    clocks = measured(("a", 1.0, 0.0), ("b", 1.0, 100.0), ("c", 1.0, 100.0))
    assert set(clocks) == {"a", "b"}
    clocks.forget(119.9)
    assert set(clocks) == {"a", "b"}
    clocks.forget(120.0)
    clocks.measure("c", 1.0, 120.0, limit=2)
    assert set(clocks) == {"b", "c"}
