"""What is remembered of single orders: for how long, how many, and across a clock that is set."""

import pytest

from sidecar.core.counts import order_memory
from sidecar.core.counts.order_memory import ENDED_A_SECOND, REMEMBERED_SECONDS, Ended, Memory, Said, forgotten, step

NOW = 1_790_000_000.0
SECOND = int(NOW)


def said(memory: Memory, *order_ids: str, now: float = NOW) -> dict[int, Said]:
    """Let orders be paid; return what is to be stored."""
    parts: dict[int, Said] = {}
    for order_id in order_ids:
        memory.repeats(parts, "paid", order_id, now)
    return parts


def test_the_same_status_of_the_same_order_repeats() -> None:
    memory = Memory()
    parts = said(memory, "a")
    assert memory.repeats(parts, "paid", "a", NOW + 1)
    assert not memory.repeats(parts, "confirmed", "a", NOW + 1)
    assert not memory.repeats(parts, "paid", "b", NOW + 1)
    assert {second: len(part) for second, part in parts.items()} == {SECOND: 1, SECOND + 1: 2}


@pytest.mark.parametrize(("after", "known"), [(REMEMBERED_SECONDS, True), (REMEMBERED_SECONDS + 1, False)])
def test_a_status_is_remembered_for_ten_minutes(after: float, known: bool) -> None:
    memory = Memory()
    said(memory, "a")
    assert memory.repeats({}, "paid", "a", NOW + after) == known


def test_what_was_stored_is_learned_again() -> None:
    parts = said(Memory(), "a")
    memory = Memory()
    memory.learn([(second, Said.load(part.dump())) for second, part in parts.items()], [])
    assert memory.repeats({}, "paid", "a", NOW)


def test_the_oldest_statuses_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_memory, "MOST_SAID", 2)
    memory = Memory()
    said(memory, "a", "b", "c")
    assert [memory.repeats({}, "paid", order_id, NOW) for order_id in ("c", "b")] == [True, True]
    assert not memory.repeats({}, "paid", "a", NOW)


def test_statuses_that_are_cut_are_damage() -> None:
    with pytest.raises(ValueError, match="cut"):
        Said.load(b"123456789")


def test_an_order_that_ended_is_known_with_what_was_pending_since() -> None:
    memory, parts = Memory(), dict[int, Ended]()
    assert not Memory().knows_ends
    memory.end(parts, "a", -1, NOW)
    assert memory.knows_ends
    assert memory.known(["a", "b", None]) == {"a"}
    assert memory.known(["b"]) == set()
    assert memory.pending_since("a", NOW + REMEMBERED_SECONDS) == -1
    assert memory.pending_since("a", NOW + REMEMBERED_SECONDS + 1) is None
    assert memory.pending_since("b", NOW) is None
    assert parts[SECOND].orders == {"a": -1}


def test_an_order_without_an_id_is_not_remembered() -> None:
    parts: dict[int, Ended] = {}
    Memory().end(parts, None, 0, NOW)
    assert parts == {}


def test_the_ends_of_a_second_are_bounded_but_for_known_orders() -> None:
    memory, parts = Memory(), dict[int, Ended]()
    for number in range(ENDED_A_SECOND + 1):
        memory.end(parts, str(number), 0, NOW)
    assert len(parts[SECOND]) == ENDED_A_SECOND
    assert not memory.has_room(parts, NOW)
    assert memory.has_room(parts, NOW + 1)
    memory.end(parts, "0", 1, NOW)
    assert parts[SECOND].orders["0"] == 1


def test_the_newest_second_of_an_order_is_the_valid_one() -> None:
    older, newer = Ended.load({"a": 0}), Ended.load({"a": 2})
    memory = Memory()
    memory.learn([], [(SECOND + 1, newer), (SECOND, older)])
    assert memory.pending_since("a", NOW) == 2


def test_a_copy_is_independent() -> None:
    for part in (Said.load(b"12345678"), Ended.load({"a": 1})):
        twin = part.copy()
        twin.merge(Said.load(b"abcdefgh") if isinstance(part, Said) else Ended.load({"b": 1}))  # type: ignore[arg-type]
        assert (len(part), len(twin)) == (1, 2)


def test_seconds_are_forgotten_when_they_expire_or_newer_ones_fill_the_room() -> None:
    parts = {SECOND - REMEMBERED_SECONDS - 1: "x", SECOND - 2: "xx", SECOND - 1: "xx", SECOND: "x"}
    assert forgotten(parts, NOW, 100) == [SECOND - REMEMBERED_SECONDS - 1]
    assert forgotten(parts, NOW, 3) == [SECOND - 2, SECOND - REMEMBERED_SECONDS - 1]


def test_seconds_stay_as_old_as_they_were_when_the_clock_is_set() -> None:
    parts = {SECOND - 5: Ended.load({"a": 0}), SECOND: Ended.load({"b": 0})}
    assert step(parts, -100, NOW - 100) == [SECOND - 5, SECOND]
    assert {second: part.orders for second, part in parts.items()} == {
        SECOND - 105: {"a": 0},
        SECOND - 100: {"b": 0},
    }


def test_seconds_that_would_be_in_the_future_become_now() -> None:
    parts = {SECOND: Ended.load({"a": 0}), SECOND + 10: Ended.load({"b": 0})}
    assert step(parts, 0, NOW) == [SECOND + 10]
    assert parts[SECOND].orders == {"a": 0, "b": 0}
