"""A loss counts once, whether the counter of a stream shows it, or holes in numbers, or both."""

import pytest

from sidecar.core.checkpoint.codec import seal
from sidecar.core.counts.parts import MOST
from sidecar.core.sequence.losses import LOSS, Loss
from sidecar.errors import CheckpointError

END = ("end", 0)  # read to its end


@pytest.mark.parametrize(
    ("told", "missed"),
    [
        ([("entries", 6)], 6),
        ([("numbers", 6)], 6),
        ([("entries", 6), ("numbers", 6)], 6),
        ([("numbers", 6), ("entries", 6)], 6),
        ([("entries", 3), ("entries", 3), ("numbers", 2), ("numbers", 4)], 6),
        ([("entries", 2), ("numbers", 4), ("entries", 4), ("numbers", 2)], 6),
        ([("entries", 3), ("numbers", 30)], 30),  # arrays
        ([("numbers", 30), ("entries", 3)], 30),
        ([("entries", 6), ("numbers", 2)], 6),  # others carry no number
        ([("entries", 2), ("numbers", 6), END, ("entries", 5), ("numbers", 5)], 11),  # some were never added
        ([("numbers", 4), END, ("entries", 3)], 7),
        ([("entries", 3), END, ("numbers", 3)], 3),
        ([("entries", 3), ("numbers", 30), END, ("entries", 3), ("numbers", 30)], 60),
    ],
)
def test_the_larger_of_both_losses_counts(told: list[tuple[str, int]], missed: int) -> None:
    loss, counted = Loss(), 0
    for kind, size in told:
        if kind == "end":
            loss.numbers = 0
        else:
            counted += loss.lose(size) if kind == "entries" else loss.miss(size)
    assert counted == missed


def test_a_missed_number_that_still_comes_explains_no_lost_entry() -> None:
    loss = Loss()
    assert loss.miss(2) == 2
    loss.recover(1)
    assert loss.lose(2) == 1
    loss.recover(1)
    assert loss == Loss(1, 0)


def test_any_claimed_number_of_missed_events_can_be_stored() -> None:
    loss = Loss()
    loss.miss(10 * MOST)
    assert Loss.load("stream:s", loss.dump("stream:s")) == loss == Loss(0, MOST)
    loss.lose(10 * MOST)
    assert Loss.load("stream:s", loss.dump("stream:s")) == loss


@pytest.mark.parametrize("stored", [b"", Loss(1, 2).dump("stream:t"), seal(LOSS + "stream:s", b"\x91\xa1x")])
def test_a_damaged_loss_is_named(stored: bytes) -> None:
    with pytest.raises(CheckpointError, match="stream:s"):
        Loss.load("stream:s", stored)


def test_entries_that_were_lost_before_a_clear_explain_holes_that_show_after_it() -> None:
    loss = Loss()
    loss.lose(3)
    loss.lose(2)
    loss.forget(3)  # two of them are not committed
    assert [loss.forgive(2), loss.forgive(4)] == [0, 3]
    assert loss.miss(3) == 1
