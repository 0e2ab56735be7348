"""Sequence windows: every number is judged once, every hole becomes missed once, and state survives a round trip."""

from collections import Counter
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.core.counts.rules import MAX_PRODUCERS
from sidecar.core.sequence import numbers as sequence
from sidecar.core.sequence.numbers import MAX_HOLES, Sequences
from sidecar.core.sequence.windows import MAX_CLOSED, MAX_EPOCHS, SHARE, WINDOW
from sidecar.errors import CheckpointError

T0 = 1_790_000_000.0
TS = T0 - 1
FEW = 20
MOST_STORED = FEW * MAX_EPOCHS * SHARE * 40  # bytes, of all holes of so many producers


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep few producers, and holes in proportion."""
    monkeypatch.setattr(sequence, "MAX_PRODUCERS", FEW)
    monkeypatch.setattr(sequence, "MAX_HOLES", FEW * MAX_EPOCHS * SHARE)


def judged(sequences: Sequences, epoch: str | None, *numbers: int, now: float = T0) -> list[str]:
    """Let producer p send numbers without `ts`."""
    return [sequences.see("p", epoch, seq, None, now) for seq in numbers]


def after(epoch: str | None, *numbers: int) -> Sequences:
    """Return the state after producer p sent numbers at T0."""
    sequences = Sequences()
    judged(sequences, epoch, *numbers)
    return sequences


@pytest.mark.parametrize(
    ("epoch", "numbers", "verdicts", "missed"),
    [
        ("e", (1, 2, 3), "nnn", 0),
        (None, (1, 2, 3), "nnn", 0),
        ("e", (100, 101), "nn", 0),  # the first contact opens the window at its number
        (None, (100, 101), "nn", 0),
        ("e", (1, 4), "nn", 2),
        (None, (1, 4), "nn", 2),
        ("e", (1, 4, 2, 3), "nnnn", 0),
        (None, (1, 5, 3), "nnn", 2),
        ("e", (1, 2, 2, 1), "nndd", 0),
        (None, (1, 2, 2), "nnd", 0),
        ("e", (1, 4, 2, 2), "nnnd", 1),
        ("e", (10, 8, 8, 11), "nndn", 0),  # sent before the first contact, and not a repeat
        (None, (10, 8), "nn", 7),  # below the window without an epoch: a restart, 1 to 7 are lost
        (None, (1, 2, 1, 2), "nnnn", 0),  # 1 again: a restart
        (None, (1, 1), "nn", 0),
        (None, (3, 4, 1), "nnn", 0),
        ("e", (1, 2000, 976, 977, 2), "nndnd", 1997),  # 1,024 numbers up to 2000: 977 is the lowest
        (None, (1, 2000, 977, 976), "nnnn", 1997 + 975),
    ],
)
def test_numbers_are_judged(epoch: str | None, numbers: tuple[int, ...], verdicts: str, missed: int) -> None:
    sequences = Sequences()
    names = {"n": "new", "d": "duplicate"}
    assert judged(sequences, epoch, *numbers) == [names[v] for v in verdicts]
    assert sequences.advance(T0 + 5).get("p", 0) == missed


def test_a_hole_is_missed_once_and_5_s_after_it_was_shown() -> None:
    sequences = after("e", 1, 4)
    assert sequences.advance(T0 + 4.999) == {}
    assert sequences.advance(T0 + 5) == {"p": 2}
    assert sequences.advance(T0 + 100) == {}


def test_every_hole_has_its_own_time() -> None:
    sequences = after("e", 1, 3)
    judged(sequences, "e", 7, now=T0 + 2)
    assert sequences.advance(T0 + 5) == {"p": 1}
    assert sequences.advance(T0 + 7) == {"p": 3}


@pytest.mark.parametrize(
    ("unread", "numbers", "missed"),
    [
        ((0,), (3,), 0),  # the one that is missing was received and could not be read
        ((0, 0), (3,), 0),
        ((0,), (5,), 2),
        ((0, 0, 0), (5,), 0),
        ((0,), (3, 5), 1),  # it explains one hole, not two
        ((1,), (3,), 1),  # it came after the hole was shown
        ((-61,), (3,), 1),
        ((-60,), (3,), 0),
    ],
)
def test_a_payload_with_an_unreadable_number_is_not_missed_as_well(
    unread: tuple[float, ...], numbers: tuple[int, ...], missed: int
) -> None:
    sequences = after("e", 1)
    for at in unread:
        sequences.unread(T0 + at)
    judged(sequences, "e", *numbers)
    assert sum(sequences.advance(T0 + 4.9).values()) == 0
    assert sum(sequences.advance(T0 + 5).values()) == missed
    assert sum(sequences.advance(T0 + 100).values()) == 0
    assert sum(Sequences.load(sequences.dump()).advance(T0 + 100).values()) == 0


def test_a_number_attributed_to_a_rejected_payload_counts_if_it_still_comes() -> None:
    sequences = after("e", 1)
    sequences.unread(T0)
    judged(sequences, "e", 3)
    assert sequences.advance(T0 + 5) == {}
    assert judged(sequences, "e", 2, 2) == ["new", "duplicate"]


def test_payloads_with_unreadable_numbers_are_bounded_and_overfill_no_window() -> None:
    sequences = after("e", *range(1, 2 * WINDOW, 3))
    for _ in range(2000):
        sequences.unread(T0)
    sequences.advance(T0 + 5)
    assert judged(Sequences.load(sequences.dump()), "e", 2 * WINDOW + 2) == ["new"]


def test_a_hole_that_was_filled_in_time_is_not_missed() -> None:
    sequences = after("e", 1, 3, 2)
    assert sequences.advance(T0 + 5) == {}


def test_a_missed_number_that_still_comes_is_recovered_once() -> None:
    sequences = after("e", 1, 5)
    sequences.advance(T0 + 5)
    assert judged(sequences, "e", 3, 3, 2, 4, 6) == ["recovered", "duplicate", "recovered", "recovered", "new"]
    assert sequences.advance(T0 + 100) == {}


def test_a_missed_number_below_the_window_is_not_recovered() -> None:
    sequences = after("e", 1, 3)
    sequences.advance(T0 + 5)
    judged(sequences, "e", *range(4, 2 + WINDOW + 1))
    assert judged(sequences, "e", 2) == ["duplicate"]


def test_a_hole_that_fell_out_of_the_window_is_still_missed_in_its_time() -> None:
    sequences = after("e", 1, 3, *range(4, 3000))
    assert sequences.dump() == Sequences.load(sequences.dump()).dump()
    assert sequences.advance(T0 + 4) == {}
    assert sequences.advance(T0 + 5) == {"p": 1}


def test_a_hole_that_fell_out_and_was_missed_takes_no_room() -> None:
    lossless = after("e", *range(1, 3001))
    sequences = after("e", 1, 3)
    sequences.advance(T0 + 5)
    judged(sequences, "e", *range(4, 3001))
    assert sequences.dump() == lossless.dump()


def test_a_gap_of_a_trillion_is_one_hole() -> None:
    sequences = after("e", 1, 10**12)
    assert judged(sequences, "e", 10**12 - 1, 10**12 - WINDOW) == ["new", "duplicate"]
    assert len(sequences.dump()["p"]) < 100
    assert sequences.advance(T0 + 5) == {"p": 10**12 - 3}


def test_a_new_epoch_opens_at_1() -> None:
    sequences = after("a", 100)
    assert judged(sequences, "b", 4, 1, 4) == ["new", "new", "duplicate"]
    assert sequences.advance(T0 + 5) == {"p": 2}


def test_a_new_epoch_opens_at_1_even_where_its_number_continues_the_old() -> None:
    sequences = after("a", 1, 2)
    assert judged(sequences, "b", 3) == ["new"]
    assert sequences.advance(T0 + 5) == {"p": 2}


def test_the_epoch_before_is_still_known() -> None:
    sequences = after("a", 1, 2, 4)
    judged(sequences, "b", 1)
    assert judged(sequences, "a", 4, 3, 6) == ["duplicate", "new", "new"]
    assert judged(sequences, "b", 2, 2) == ["new", "duplicate"]
    assert sequences.advance(T0 + 5) == {"p": 1}


def test_the_third_epoch_closes_the_first_and_its_holes_are_missed_at_once() -> None:
    sequences = after("a", 1, 4)
    judged(sequences, "b", 1, 3)
    judged(sequences, "c", 1)
    assert sequences.advance(T0) == {"p": 2}
    assert sequences.advance(T0 + 5) == {"p": 1}


def interleaved(sequences: Sequences, epochs: list[str], numbers: range) -> Counter[str]:
    """Let processes that share the name p send their numbers in turn."""
    return Counter(verdict for seq in numbers for epoch in epochs for verdict in judged(sequences, epoch, seq))


@pytest.mark.parametrize("processes", [3, 4, MAX_CLOSED + MAX_EPOCHS])
@pytest.mark.parametrize("stored", [False, True])
def test_an_epoch_that_returns_continues_where_it_was(processes: int, stored: bool) -> None:
    sequences, epochs = Sequences(), [f"{number:02}" for number in range(processes)]
    verdicts = interleaved(sequences, epochs, range(1, 20))
    if stored:
        sequences = Sequences.load(sequences.dump())
    verdicts += interleaved(sequences, epochs, range(20, 40))
    assert verdicts == {"new": 39 * processes}
    assert sequences.advance(T0 + 5) == {}
    assert interleaved(sequences, epochs, range(39, 40)) == {"duplicate": processes}


def test_numbers_missed_when_their_epoch_closed_are_recovered_when_it_returns() -> None:
    sequences = after("a", 1, 4)
    judged(sequences, "b", 1)
    judged(sequences, "c", 1)
    assert sequences.advance(T0) == {"p": 2}
    assert judged(sequences, "a", 3, 3, 5) == ["recovered", "duplicate", "new"]
    assert sequences.advance(T0 + 5) == {}


@pytest.mark.parametrize("returns", ["b", "c"])
def test_a_heartbeat_of_an_epoch_that_returns_shows_what_it_lost(returns: str) -> None:
    sequences = after("a", 1)
    for epoch in "bcd":
        judged(sequences, epoch, 1, 2)
    sequences.heartbeat("p", returns, 4, T0)
    assert sequences.advance(T0 + 5) == {"p": 2}


def test_more_processes_than_are_remembered_invent_no_loss() -> None:
    sequences, epochs = Sequences(), [f"{number:02}" for number in range(50)]
    assert interleaved(sequences, epochs, range(1, 30))["duplicate"] == 0
    assert sequences.advance(T0 + 5).get("p", 0) < 29 * 4, "but of the newest one, which looks like a new start"
    assert sequences.reopened_windows > 50


def test_a_new_start_after_many_opens_at_1() -> None:
    sequences = Sequences()
    for epoch in range(100, 100 + 3 * MAX_CLOSED):
        judged(sequences, str(epoch), 1)
    judged(sequences, "1000", 3)
    assert sequences.advance(T0 + 5) == {"p": 2}


def test_the_windows_of_restarts_without_an_epoch_do_not_return() -> None:
    sequences = after(None, *[1] * 40)
    assert len(sequences.dump()["p"]) < 100
    assert sequences.reopened_windows == 39


def test_a_missed_number_of_a_producer_that_others_pushed_out_is_recovered() -> None:
    sequences = after("e", 1, 3)
    for number in range(MAX_PRODUCERS):
        sequences.see(f"q{number}", "e", 1, None, T0)
    assert sequences.advance(T0) == {"p": 1}
    sequences = Sequences.load(sequences.dump())
    assert "p" not in sequences.producers
    assert judged(sequences, "e", 2, 2, 4, 6) == ["recovered", "duplicate", "new", "new"]
    assert list(sequences.producers)[-1] == "p"
    assert len(list(sequences.producers)) == MAX_PRODUCERS
    assert sequences.advance(T0 + 5) == {"p": 1}


def test_a_heartbeat_brings_a_producer_back_that_others_pushed_out() -> None:
    sequences = after("e", 1, 3)
    for number in range(MAX_PRODUCERS):
        sequences.see(f"q{number}", "e", 1, None, T0)
    sequences.heartbeat("p", "e", 5, T0)
    assert sequences.advance(T0 + 5) == {"p": 3}


@pytest.mark.usefixtures("few")
def test_too_many_holes_drop_all_closed_windows() -> None:
    sequences, names = Sequences(), [f"p{number}" for number in range(FEW)]
    sequences.see("gone", "e", 1, None, T0)
    sequences.see("gone", "e", 3, None, T0)
    sequences.changed()
    for epoch in "efghij":
        for name in names:
            for seq in range(1, 1000, 2):
                sequences.see(name, epoch, seq, None, T0)
    assert sequences.changed()["gone"] is None
    assert sum(map(len, sequences.dump().values())) < 2 * MOST_STORED
    assert sum(sequences.advance(T0 + 5).values()) == 6 * 499 * FEW + 1


@pytest.mark.parametrize(
    ("seen", "again", "verdict"),
    [
        (TS, TS + 0.001, "new"),
        (TS, TS, "duplicate"),
        (TS, TS - 1, "duplicate"),
        (TS, None, "duplicate"),
        (None, None, "duplicate"),
    ],
)
def test_without_an_epoch_a_repeat_with_the_newest_ts_is_a_restart(
    seen: float | None, again: float | None, verdict: str
) -> None:
    sequences = Sequences()
    for seq in (1, 2, 3):
        sequences.see("p", None, seq, seen, T0)
    assert sequences.see("p", None, 2, again, T0) == verdict
    assert sequences.advance(T0 + 5) == ({"p": 1} if verdict == "new" else {})


def test_newer_than_any_includes_the_first_contact_and_repeats() -> None:
    sequences = Sequences()
    assert sequences.see("p", None, 7, TS, T0) == "new"
    assert sequences.see("p", None, 7, TS, T0) == "duplicate"
    assert sequences.see("p", None, 8, TS + 5, T0) == "new"
    assert sequences.see("p", None, 7, TS + 4, T0) == "duplicate"


def test_with_an_epoch_a_newer_ts_restarts_nothing() -> None:
    sequences = Sequences()
    assert [sequences.see("p", "e", 2, ts, T0) for ts in (TS, TS + 1)] == ["new", "duplicate"]


def test_holes_of_the_process_before_a_restart_are_still_missed() -> None:
    sequences = after(None, 1, 4, 1, 2)
    assert sequences.advance(T0 + 5) == {"p": 2}


def test_an_event_without_an_epoch_belongs_to_the_newest() -> None:
    sequences = after("a", 1, 2)
    assert judged(sequences, None, 3, 3) == ["new", "duplicate"]
    assert judged(sequences, "a", 3, 4) == ["duplicate", "new"]


def test_a_heartbeat_shows_holes_up_to_and_including_its_number() -> None:
    sequences = after("e", 1)
    sequences.heartbeat("p", "e", 3, T0 + 1)
    sequences.heartbeat("p", "e", 3, T0 + 3)
    assert judged(sequences, "e", 2, now=T0 + 4) == ["new"]
    assert sequences.advance(T0 + 6) == {"p": 1}
    assert judged(sequences, "e", 3, 4) == ["recovered", "new"]


@pytest.mark.parametrize("epoch", ["e", None])
def test_a_heartbeat_takes_no_number(epoch: str | None) -> None:
    sequences = after(epoch, 1)
    sequences.heartbeat("p", epoch, 1, T0)
    assert judged(sequences, epoch, 2, 3) == ["new", "new"]
    assert sequences.advance(T0 + 5) == {}


@pytest.mark.parametrize("epoch", ["e", None])
def test_a_heartbeat_with_a_lower_number_says_nothing(epoch: str | None) -> None:
    sequences = after(epoch, 1, 2, 3)
    sequences.heartbeat("p", epoch, 1, T0)
    assert judged(sequences, epoch, 3, 4) == ["duplicate", "new"]


@pytest.mark.parametrize("seq", [0, 5])
def test_a_first_contact_by_heartbeat_opens_the_window_after_it(seq: int) -> None:
    sequences = Sequences()
    sequences.heartbeat("p", "e", seq, T0)
    assert list(sequences.producers) == ["p"]
    assert judged(sequences, "e", seq + 1, seq + 3) == ["new", "new"]
    assert sequences.advance(T0 + 5) == {"p": 1}


@pytest.mark.parametrize(("epoch", "missed"), [("e", {}), (None, {"p": 4})])
def test_the_number_of_a_first_heartbeat_lies_before_the_window(epoch: str | None, missed: dict[str, int]) -> None:
    sequences = Sequences()
    sequences.heartbeat("p", epoch, 5, T0)
    assert judged(sequences, epoch, 5) == ["new"]
    assert sequences.advance(T0 + 5) == missed


def test_a_heartbeat_of_a_new_epoch_opens_it_at_1() -> None:
    sequences = after("a", 100)
    sequences.heartbeat("p", "b", 2, T0)
    assert sequences.advance(T0 + 5) == {"p": 2}
    assert judged(sequences, "b", 3) == ["new"]


def test_producers_do_not_meet() -> None:
    sequences = Sequences()
    assert [sequences.see(name, "e", 1, None, T0) for name in ("a", "b")] == ["new", "new"]
    sequences.see("a", "e", 3, None, T0)
    sequences.see("b", "e", 4, None, T0)
    assert sequences.advance(T0 + 5) == {"a": 1, "b": 2}


def full() -> Sequences:
    """Return as many producers as are kept, each with one hole; p0 was seen first, p1 last."""
    sequences = Sequences()
    for i in range(MAX_PRODUCERS):
        for seq in (1, 3):
            sequences.see(f"p{i}", "e", seq, None, T0 + i)
    sequences.see("p0", "e", 4, None, T0 + 2000)
    sequences.heartbeat("p1", "e", 3, T0 + 2001)
    return sequences


@pytest.mark.parametrize("stored", [False, True])
def test_the_least_recently_seen_producer_leaves_and_its_holes_are_missed_at_once(stored: bool) -> None:
    sequences = full()
    if stored:
        dumps = sequences.dump()
        sequences = Sequences.load({name: dumps[name] for name in sorted(dumps, reverse=True)})
    sequences.changed()
    sequences.see("late", "e", 9, None, T0)
    sequences.heartbeat("later", "e", 9, T0)
    changed = sequences.changed()
    assert {name: dump is None for name, dump in changed.items()} == {
        "p2": False,
        "p3": False,
        "late": False,
        "later": False,
    }
    assert len(list(sequences.producers)) == MAX_PRODUCERS
    assert sequences.advance(T0) == {"p2": 1, "p3": 1}
    assert sequences.advance(T0 + 5000).get("p2") is None


def test_a_producer_without_holes_leaves_without_a_word() -> None:
    sequences = Sequences()
    for i in range(MAX_PRODUCERS + 1):
        sequences.see(f"p{i}", "e", 7, None, T0)
    assert sequences.advance(T0 + 5) == {}


def test_changed_tells_each_change_once() -> None:
    sequences = after("e", 1)
    sequences.see("q", "e", 1, None, T0)
    assert sequences.changed() == sequences.dump()
    assert sequences.changed() == {}
    judged(sequences, "e", 3)
    assert sequences.changed() == {"p": sequences.dump()["p"]}
    sequences.advance(T0 + 5)
    assert sequences.changed() == {"p": sequences.dump()["p"]}
    judged(sequences, "e", 2)
    assert sequences.changed() == {"p": sequences.dump()["p"]}
    sequences.heartbeat("p", "e", 3, T0 + 9)
    assert sequences.changed() == {"p": sequences.dump()["p"]}
    assert Sequences.load(sequences.dump()).changed() == {}


def test_ranges_of_holes_are_bounded_and_none_is_lost() -> None:
    sequences = after("e", *range(1, 6001, 2))
    assert len(sequences.dump()["p"]) < WINDOW * 30
    early = sequences.advance(T0)["p"]
    assert early + sequences.advance(T0 + 5)["p"] == 2999
    assert judged(sequences, "e", 5998, 5999) == ["recovered", "duplicate"]


def test_filling_a_wide_hole_keeps_the_bound() -> None:
    fallen = range(1, 2 * WINDOW - 1, 2)
    sequences = after("e", *fallen)
    top = fallen[-1] + WINDOW
    filled = range(fallen[-1] + 2, top, 2)
    judged(sequences, "e", top, *filled)
    Sequences.load(sequences.dump())
    missed = sequences.advance(T0)["p"] + sequences.advance(T0 + 5)["p"]
    assert missed + len(fallen) + 1 + len(filled) == top


@pytest.mark.usefixtures("few")
def test_all_holes_together_are_bounded_and_none_is_lost() -> None:
    sequences, names = Sequences(), [f"p{number}" for number in range(FEW)]
    for name in names:
        for seq in range(1, 1000, 2):
            sequences.see(name, "e", seq, None, T0)
    early = sequences.advance(T0)
    assert sequences.changed().keys() == set(names)
    assert sum(map(len, sequences.dump().values())) < MOST_STORED
    assert sequences.see("p7", "e", 1000 - 2 * SHARE, None, T0) == "new", "the newest are still told apart"
    assert sequences.see("p7", "e", 998 - 2 * SHARE, None, T0) == "duplicate"
    late = sequences.advance(T0 + 5)
    assert early["p8"] + late["p8"] == 499
    assert early["p7"] + late["p7"] + 1 == 499


@pytest.mark.usefixtures("few")
def test_holes_are_bounded_however_late_a_commit_comes() -> None:
    sequences = Sequences()
    for seq in range(1, 1000, 2):
        for number in range(FEW):
            sequences.see(f"p{number}", "e", seq, None, T0)
    assert sum(map(len, sequences.dump().values())) < MOST_STORED
    assert sum(sequences.advance(T0 + 5).values()) == 499 * FEW


def test_a_flood_of_producers_leaves_nothing_behind() -> None:
    sequences = Sequences()
    sequences.see("stored", "e", 1, None, T0)
    sequences.changed()
    for number in range(3 * MAX_PRODUCERS):
        sequences.heartbeat(f"p{number}", "e", 1, T0)
        sequences.heartbeat(f"p{number}", "e", 3, T0)
    changed = sequences.changed()
    assert changed["stored"] is None, "what was stored has to go"
    assert len(changed) == 1 + 2 * MAX_PRODUCERS, "those that are kept, and as many that may return"
    missed = sequences.advance(T0 + 5)
    assert sum(missed.values()) == 2 * 3 * MAX_PRODUCERS
    assert len(missed) <= 2 * MAX_PRODUCERS + 1


def test_who_left_between_two_dumps_is_told_though_it_was_loaded() -> None:
    sequences = Sequences.load(after("e", 1).dump())
    for number in range(MAX_PRODUCERS):
        sequences.see(f"q{number}", "e", 1, None, T0)
    assert sequences.changed()["p"] is None


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("first", "now"), [(2000, T0), (1, T0 + 6)], ids=["before a first contact", "missed"])
def test_holes_that_are_filled_into_many_are_bounded(first: int, now: float) -> None:
    sequences, names = Sequences(), [f"p{number}" for number in range(FEW)]
    for epoch in ("e", "f"):
        for name in names:
            sequences.see(name, epoch, first, None, T0)
            sequences.see(name, epoch, 2000, None, T0)
    sequences.advance(now)
    for epoch in ("e", "f"):
        for name in names:
            for seq in range(1200, 1800, 2):
                sequences.see(name, epoch, seq, None, now)
    assert sum(map(len, sequences.dump().values())) < MOST_STORED


def test_few_producers_keep_all_their_holes() -> None:
    sequences = Sequences()
    for name in range(MAX_HOLES // 500):
        for seq in range(1, 1000, 2):
            sequences.see(f"p{name}", "e", seq, None, T0)
    assert sequences.advance(T0) == {}
    assert sequences.see("p7", "e", 2, None, T0) == "new"


numbers = st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=80)


@given(numbers, st.integers(1, 60))
def test_what_came_and_what_is_missed_is_all_that_was_sent(sent: list[tuple[int, bool]], step: int) -> None:
    """Numbers 1 to 61 in any order, some lost, some twice, with time passing: nothing is counted twice or forgotten."""
    sequences = Sequences()
    now, verdicts, missed = T0, Counter(judged(sequences, "e", 1)), 0
    for seq, wait in sent:
        now += step / 10 * wait
        verdicts.update(judged(sequences, "e", seq, now=now))
        missed += sequences.advance(now).get("p", 0)
    sequences.heartbeat("p", "e", 61, now)
    missed += sequences.advance(now + 5).get("p", 0)
    distinct = {1, *(seq for seq, _ in sent)}
    assert verdicts["new"] + verdicts["recovered"] == len(distinct)
    assert verdicts["duplicate"] == len(sent) + 1 - len(distinct)
    assert missed - verdicts["recovered"] == 61 - len(distinct)


@settings(max_examples=settings().max_examples // 3)
@given(st.integers(1, 3000), st.integers(0, 90), st.randoms(use_true_random=False))
def test_any_order_within_the_window_gives_the_same_counts(count: int, lost_percent: int, rng: Random) -> None:
    sent = [seq for seq in range(2, count + 1) if rng.randrange(100) >= lost_percent]
    delivered = sorted(sent, key=lambda seq: seq + rng.random() * WINDOW / 2)
    sequences = after("e", 1)
    assert judged(sequences, "e", *delivered) == ["new"] * len(delivered)
    sequences.heartbeat("p", "e", count, T0)
    assert len(sent) + 1 + sequences.advance(T0 + 5).get("p", 0) == count


actions = st.lists(
    st.tuples(
        st.sampled_from("pq"),
        st.sampled_from([None, None, "a", "b", "c"]),
        st.one_of(st.integers(1, 12), st.integers(1, 4000)),
        st.one_of(st.none(), st.floats(T0, T0 + 9)),
        st.floats(0, 4),
        st.booleans(),
    ),
    max_size=60,
)


def replay(sequences: Sequences, script: list[tuple[str, str | None, int, float | None, float, bool]]) -> list[object]:
    """Return everything that a script of events and heartbeats shows."""
    shown: list[object] = []
    now = T0
    for producer, epoch, seq, ts, wait, beats in script:
        now += wait
        if beats:
            sequences.heartbeat(producer, epoch, seq, now)
        else:
            shown.append(sequences.see(producer, epoch, seq, ts, now))
        shown.append(sequences.advance(now))
    return [*shown, sequences.dump()]


@given(actions, actions)
def test_a_loaded_state_goes_on_as_if_nothing_had_happened(before: list, then: list) -> None:  # type: ignore[type-arg]
    sequences = Sequences()
    replay(sequences, before)
    loaded = Sequences.load(sequences.dump())
    assert loaded.dump() == sequences.dump()
    assert replay(loaded, then) == replay(sequences, then)


HOLES = [[2, 3, T0], [5, 5, None]]


@pytest.mark.parametrize(
    "state",
    [
        None,
        7,
        [],
        [[], T0, 0.0],
        [[["a", 1, []], ["b", 1, []], ["c", 1, []]], T0, 0.0],
        [[["a", "1", []]], T0, 0.0],
        [[["a", 9, [[2, 3]]]], T0, 0.0],
        [[["a", 4, HOLES]], T0, 0.0],
        [[["a", 9, HOLES[::-1]]], T0, 0.0],
        [[["a", 9, [[3, 2, None]]]], T0, 0.0],
        [[["a", 9, [[0, 2, None]]]], T0, 0.0],
        [[["a", 9, [[2, 4, T0], [4, 5, T0]]]], T0, 0.0],
        [[["a", 9000, [[2 * i, 2 * i, T0] for i in range(1, WINDOW + 2)]]], T0, 0.0],
        [[["a", 9, []]], "soon", 0.0],
    ],
)
def test_a_damaged_dump_is_refused(state: object) -> None:
    with pytest.raises(CheckpointError):
        Sequences.load({"p": msgspec.msgpack.encode(state)})


def test_a_sound_dump_is_accepted() -> None:
    sequences = Sequences.load({"p": msgspec.msgpack.encode([[["a", 9, HOLES]], T0, 0.0])})
    assert sequences.advance(T0) == {"p": 2}
    assert judged(sequences, "a", 5, 2, 10) == ["recovered", "recovered", "new"]


@pytest.mark.parametrize("dump", [b"", b"\xc1", b"{", b"\x93\x91\x93\xa1\xff\x01\x90\x00\x00"])
def test_bytes_that_are_no_dump_are_refused(dump: bytes) -> None:
    with pytest.raises(CheckpointError):
        Sequences.load({"p": dump})


@given(st.binary(max_size=40), st.integers(0, 60))
def test_any_bytes_load_or_are_refused(noise: bytes, at: int) -> None:
    sound = after("e", 1, 5, 9).dump()["p"]
    try:
        Sequences.load({"p": sound[:at] + noise + sound[at + len(noise) :]}).advance(T0)
    except CheckpointError:
        return


@pytest.mark.parametrize("by", [-600.0, -20.0, 20.0, 86400.0])
def test_a_hole_is_missed_5_s_after_it_was_shown_whatever_the_clock_step(by: float) -> None:
    sequences = after("e", 1, 3)
    sequences.step(by)
    assert sequences.advance(T0 + by + 4.9) == {}
    assert sequences.advance(T0 + by + 5.0) == {"p": 1}


def test_a_hole_timed_by_a_clock_ahead_is_missed_5_s_after_it_was_loaded() -> None:
    sequences = Sequences.load(after("e", 1, 3).dump())
    assert sequences.advance(T0 - 600) == {}
    assert sequences.advance(T0 - 595.1) == {}
    assert sequences.advance(T0 - 595) == {"p": 1}
