"""Names that several processes share are distinguished from those with a few losses or duplicates."""

import pytest

from sidecar.core.sequence.shared_names import KEPT_SECONDS, WINDOW_SECONDS, Counts, SharedNames


def noted(*notes: Counts, step: float = 1.0) -> SharedNames:
    names = SharedNames()
    for number, counts in enumerate(notes):
        names.note("api", counts, number * step, limit=2)
    return names


@pytest.mark.parametrize(
    ("notes", "doubt"),
    [
        ([(100, 19, 0, 0)], ""),
        ([(10, 19, 9, 3)], ""),
        ([(100, 99, 0, 0)], ""),
        (
            [(25, 75, 0, 0)],
            "most events of api are duplicates (75% within two minutes): do several processes use this name?",
        ),
        ([(10, 10, 0, 0), (0, 10, 0, 0)], "most events of api are duplicates (67% within"),
        ([(1000, 0, 6, 0), (1000, 0, 4, 0)], "the numbers of api restarted 10 times within two minutes: do several"),
        (
            [(1000, 0, 0, 2), (1000, 0, 0, 2)],
            "api started 4 times within two minutes: is it restarting in a loop, or do",
        ),
    ],
)
def test_the_doubt_about_a_name(notes: list[Counts], doubt: str) -> None:
    found = noted(*notes).doubts().get("api", "")
    assert found.startswith(doubt)
    assert bool(found) is bool(doubt)


def test_a_fault_of_two_minutes_ago_is_no_longer_reported() -> None:
    wrong, right = (0, 30, 0, 0), (10, 0, 0, 0)
    assert noted(wrong, right, step=WINDOW_SECONDS + 1).doubts()
    assert not noted(wrong, right, right, step=WINDOW_SECONDS + 1).doubts()


def test_names_are_bounded_and_the_silent_make_room() -> None:
    names = SharedNames()
    for name, at in (("a", 0.0), ("b", 100.0), ("c", 100.0)):
        names.note(name, (0, 30, 0, 0), at, limit=2)
    assert list(names.doubts()) == ["a", "b"]
    names.forget(KEPT_SECONDS)
    assert list(names.doubts()) == ["b"]
