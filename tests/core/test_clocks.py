"""Offset offsets: the least delay tells the clock, and nothing is kept of producers that are gone."""

from sidecar.core.clocks import Clocks, Offset


def measured(*offsets: tuple[str, float, float]) -> Clocks:
    clocks = Clocks()
    for producer, offset, arrival in offsets:
        clocks.measure(producer, offset, arrival, limit=2)
    return clocks


def test_the_offset_nearest_to_0_counts() -> None:
    assert measured(("a", 9.0, 0.0), ("a", 7.0, 1.0), ("a", 8.0, 2.0))["a"] == Offset(7.0, 0.0)
    assert measured(("a", -9.0, 0.0), ("a", -7.0, 1.0), ("a", -8.0, 2.0))["a"] == Offset(-7.0, 0.0)


def test_every_minute_measures_anew() -> None:
    assert measured(("a", 1.0, 0.0), ("a", 7.0, 60.0))["a"] == Offset(1.0, 0.0)
    assert measured(("a", 1.0, 0.0), ("a", 7.0, 60.1))["a"] == Offset(7.0, 60.1)


def test_producers_are_bounded_and_the_silent_make_room() -> None:
    clocks = measured(("a", 1.0, 0.0), ("b", 1.0, 100.0), ("c", 1.0, 100.0))
    assert set(clocks) == {"a", "b"}
    clocks.forget(119.9)
    assert set(clocks) == {"a", "b"}
    clocks.forget(120.0)
    clocks.measure("c", 1.0, 120.0, limit=2)
    assert set(clocks) == {"b", "c"}
