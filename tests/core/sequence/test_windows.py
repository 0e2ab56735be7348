"""The window of one epoch and those of one producer, as plain values."""

import pytest

from sidecar.core.sequence.windows import (
    BEFORE_CONTACT,
    MAX_CLOSED,
    MAX_EPOCHS,
    SHARE,
    WINDOW,
    Hole,
    Producer,
    Window,
)

DUE = 100.0


def window(*numbers: int) -> Window:
    """Return a window in which these ascending numbers came."""
    made = Window("e")
    for number in numbers:
        made.raise_to(number, number - 1, DUE)
    return made


def missing(one: Window) -> list[tuple[int, int]]:
    """Return the ranges that have not come."""
    return [(hole.first, hole.last) for hole in one.holes]


def test_numbers_in_order_leave_no_hole() -> None:
    assert missing(window(1, 2, 3)) == []


def test_skipped_numbers_are_one_hole() -> None:
    assert missing(window(1, 5, 7)) == [(2, 4), (6, 6)]


@pytest.mark.parametrize(
    ("number", "left"), [(2, [(3, 4)]), (3, [(2, 2), (4, 4)]), (4, [(2, 3)])], ids=["first", "middle", "last"]
)
def test_a_number_taken_out_of_a_hole_leaves_the_rest(number: int, left: list[tuple[int, int]]) -> None:
    one = window(1, 5)
    at = one.hole_index(number)
    assert at == 0
    one.fill(at, number)
    assert missing(one) == left


@pytest.mark.parametrize("number", [1, 5, 6, 100])
def test_a_number_that_came_or_is_ahead_is_in_no_hole(number: int) -> None:
    assert window(1, 5).hole_index(number) is None


def test_a_hole_below_the_window_is_out_of_reach() -> None:
    one = window(1, 3, WINDOW + 2)
    assert one.floor == 2
    assert one.hole_index(2) is None


def test_late_and_new_numbers_are_taken_together() -> None:
    one = window(1, 5)
    assert one.late_ones([2, 4, 7], named=True) == [2, 4]
    assert one.take([2, 4], [7], DUE) == 0
    assert (one.high, missing(one)) == (7, [(3, 3), (6, 6)])


def test_a_missed_number_that_comes_is_recovered() -> None:
    one = window(1, 4)
    one.holes[0].due = None
    assert one.take([3], [], DUE) == 1


@pytest.mark.parametrize(
    "numbers",
    [[3, 3], [4, 2], [1], [WINDOW + 6], [6, WINDOW + 7]],
    ids=["a repeat", "not ascending", "one that came", "too far ahead", "more than a window apart"],
)
def test_numbers_that_need_a_verdict_each_are_not_taken_together(numbers: list[int]) -> None:
    assert window(1, 5).late_ones(numbers, named=True) is None


def test_without_an_epoch_a_number_before_the_first_contact_may_show_a_restart() -> None:
    one = Window(None, 5, [Hole(1, 4, BEFORE_CONTACT)])
    assert one.late_ones([2], named=False) is None
    assert one.late_ones([2], named=True) == [2]


def test_the_lowest_holes_are_shed() -> None:
    one = window(1, 3, 5, 7)
    assert [(hole.first, hole.last) for hole in one.shed(1)] == [(2, 2), (4, 4)]
    assert missing(one) == [(6, 6)]


def test_of_holes_below_the_window_only_the_missed_ones_are_forgotten() -> None:
    one = window(1, 3, 5, WINDOW + 10)
    one.holes[0].due = None
    one.forget()
    assert missing(one) == [(4, 4), (6, WINDOW + 9)]


def test_a_closed_window_misses_its_holes_and_keeps_the_newest_of_them() -> None:
    one = window(*range(1, 2 * SHARE + 8, 2))
    one.close()
    assert {hole.due for hole in one.holes} == {None}
    assert len(one.holes) == SHARE
    assert one.holes[-1].last == one.high - 1


@pytest.mark.parametrize(
    "one",
    [
        Window("e", 5, [Hole(4, 2, DUE)]),
        Window("e", 5, [Hole(3, 3, DUE), Hole(2, 2, DUE)]),
        Window("e", 5, [Hole(6, 7, 1)]),
    ],
    ids=["empty", "not ascending", "above the highest"],
)
def test_a_window_that_cannot_be_is_not_sound(one: Window) -> None:
    assert window(1, 5).is_sound()
    assert not one.is_sound()


def test_a_producer_finds_its_window_by_epoch_and_without_one_the_newest() -> None:
    older, newer = Window("1"), Window("2")
    producer = Producer([older, newer], seen=0.0)
    assert producer.window("1") is older
    assert producer.window(None) is newer
    assert producer.window("3") is None


def test_a_closed_window_is_reopened_once() -> None:
    producer = Producer([Window("2")], seen=0.0)
    producer.close(Window("1"))
    assert producer.reopened("1") == Window("1")
    assert producer.reopened("1") is None


def test_a_closed_window_without_an_epoch_does_not_return() -> None:
    producer = Producer([Window("2")], seen=0.0)
    producer.close(Window(None))
    assert producer.closed == []


def test_only_an_epoch_that_is_not_newer_than_the_forgotten_ones_may_be_one_of_them() -> None:
    producer = Producer([Window("99")], seen=0.0)
    for epoch in range(10, 10 + MAX_CLOSED):
        assert not producer.may_have_had("10")
        producer.close(Window(str(epoch)))
    assert producer.may_have_had("10")
    assert not producer.may_have_had("98")
    assert not producer.may_have_had(None)


def test_a_producer_has_one_or_two_windows() -> None:
    windows = [Window(str(epoch)) for epoch in range(MAX_EPOCHS + 1)]
    assert Producer(windows[:1], seen=0.0).is_sound()
    assert Producer(windows[:MAX_EPOCHS], seen=0.0).is_sound()
    assert not Producer(windows, seen=0.0).is_sound()
    assert not Producer([], seen=0.0).is_sound()


def test_a_producer_names_what_is_missed_and_what_will_be() -> None:
    open_one, closed_one = window(1, 3), window(1, 5)
    producer = Producer([open_one], seen=0.0)
    producer.close(closed_one)
    assert producer.missed() == [("e", closed_one.holes[0])]
    assert list(producer.waiting()) == open_one.holes
