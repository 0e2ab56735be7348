"""The rules of the commit: what each outcome does to what is committed, in flight and pending."""

import pytest
from msgspec import UNSET

from sidecar.core.checkpoint.state import dump_state, load_state
from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.commit.commit import Position, era_of, owner_of
from sidecar.core.commit.ledger import CommitVerdict, Ledger
from sidecar.core.counts.parts import Reading
from sidecar.core.counts.rules import MAX_PRODUCERS
from sidecar.core.snapshot.compute import compute
from sidecar.errors import CheckpointError
from tests.core.counted import context
from tests.ledgers import RULES, T0, answer, heard, landed, new_ledger, order, owner, read, settle, shown


def missed(ledger: Ledger) -> int:
    """Commit, and return how many entries of the stream are counted as missed."""
    settle(ledger)
    return ledger.aggregate.committed.total.tallies["missed"]["stream:s"]


# Who counts


def test_a_ledger_that_stands_by_counts_nothing() -> None:
    ledger = new_ledger()
    assert not ledger.active
    assert ledger.apply(heard(order()), T0) == "stale"
    assert ledger.apply(read(order()), T0) == "stale"
    assert ledger.uncommitted() == 0


def test_taking_over_an_empty_checkpoint_begins_to_count() -> None:
    ledger = owner()
    assert ledger.active
    assert ledger.position("s") == "0-0"
    commit = settle(ledger)
    assert (commit.number, commit.generation, commit.full) == (1, "", False)
    assert ledger.aggregate.committed.total.since == T0


def test_taking_over_goes_on_where_the_state_was_left() -> None:
    before = owner()
    before.apply(read(order(), order()), T0)
    commit = before.freeze(T0)
    positions = {"p:s": commit.positions["s"].dump("s"), "p:gone": Position("5-0", 5, 0, 5).dump("gone")}
    fields = {**before.fields(commit), **positions, "n": b"7", "own": b"b e r", "gen": b"g"}
    ledger = new_ledger()
    ledger.take_over(fields, T0 + 60)
    assert (ledger.position("s"), ledger.generation, shown(ledger)) == ("2-0", "g", 2)
    assert ledger.aggregate.committed.total.since == T0
    commit = settle(ledger)
    assert (commit.number, commit.expected, commit.generation) == (7, "b e r", "g")


def test_tokens_name_their_holder_and_begin_an_era_of_their_own() -> None:
    first, second = (new_ledger().next_token() for _ in range(2))
    ledger = new_ledger()
    tokens = {ledger.next_token() for _ in range(3)}
    assert first == second
    assert len(tokens) == 3
    assert {owner_of(token) for token in tokens} == {"here:1:a"}
    assert len({era_of(token) for token in tokens}) == 3


@pytest.mark.parametrize(
    "damage",
    [
        {"n": b"many"},
        {"own": b"\xff"},
        {"p:s": b"[1]"},
        {"p:s": b"{"},
        {"p:s": b'["\xff"]'},
        {"p:s": Position("5-0", 5, 0, 5).dump("another")},
        {"p:not-configured": Position("5-0", 5, 0, 5).dump("s")},
        {"p:s": Position("5-0", 5, 0, 5).dump("s").replace(b"5-0", b"6-0")},
        {"c:totals:": b"\xc1"},
        {"w:pubsub:c\np": b"\x90"},
        {"l:stream:s": b"\x90"},
        {"n": b"9" * 16},
    ],
)
def test_a_damaged_checkpoint_is_named_and_nothing_of_it_is_taken(damage: dict[str, bytes]) -> None:
    sound = owner()
    sound.apply(read(order()), T0)
    fields = {**sound.fields(settle(sound)), "n": b"5", "own": b"b e r", "gen": b"g", **damage}
    ledger = new_ledger()
    with pytest.raises(CheckpointError):
        ledger.take_over(fields, T0)
    assert (ledger.active, ledger.generation, ledger.position("s"), shown(ledger)) == (False, "", "0-0", 0)


@pytest.mark.parametrize("lacking", ["n", "own", "gen"])
def test_a_checkpoint_without_its_own_fields_is_damaged(lacking: str) -> None:
    fields = {"n": b"1", "own": b"a b c", "gen": b""}
    del fields[lacking]
    with pytest.raises(CheckpointError, match=lacking):
        new_ledger().take_over(fields, T0)


# Flights


def test_a_commit_without_an_answer_is_sent_again_as_it_was() -> None:
    ledger = owner()
    ledger.apply(heard(order()), T0)
    commit = ledger.freeze(T0)
    assert ledger.unanswered
    ledger.apply(heard(order()), T0)
    assert ledger.freeze(T0 + 1) is commit
    assert ledger.uncommitted() == 2
    assert shown(ledger) == 0
    assert ledger.resolve(commit, landed(commit), T0) == "ok"
    assert (shown(ledger), ledger.uncommitted()) == (1, 1)


def test_each_commit_expects_the_one_before() -> None:
    ledger = owner()
    first = settle(ledger)
    second = settle(ledger)
    assert (second.number, second.expected) == (first.number + 1, first.token)
    assert second.token != first.token


def test_an_era_begins_where_a_stream_contributed() -> None:
    ledger = owner()
    eras = []
    for batch in (heard(order()), heard(order()), read(order()), heard(order())):
        ledger.apply(batch, T0)
        eras.append(era_of(settle(ledger).token))
    assert eras[0] == eras[1] != eras[2] == eras[3]


def test_the_replid_of_uncommitted_entries_goes_with_the_commit_until_all_are_committed() -> None:
    ledger = owner()
    assert ledger.freeze(T0).replid == ""
    ledger.resolve(ledger.freeze(T0), landed(ledger.freeze(T0)), T0)
    ledger.apply(read(order()), T0)
    commit = ledger.freeze(T0)
    assert commit.replid == "r1"
    ledger.apply(read(order(), after="1-0"), T0)
    ledger.resolve(commit, landed(commit), T0)
    assert settle(ledger).replid == "r1"
    assert settle(ledger).replid == ""


def test_a_commit_writes_what_changed() -> None:
    ledger = owner()
    ledger.apply(heard(order(product_id="a", producer="p", seq=1)), T0)
    settle(ledger)
    ledger.apply(heard(order(product_id="b")), T0)
    fields = ledger.fields(ledger.freeze(T0))
    assert load_state(fields).products.keys() == {"a", "b"}, "they share a block"
    assert "w:pubsub:c\np" not in fields


def test_a_full_commit_writes_everything_and_the_positions_of_streams_not_configured_now() -> None:
    ledger = owner({"p:elsewhere": Position("5-0", 5, 0, 5).dump("elsewhere")})
    ledger.apply(heard(order(product_id="a", producer="p", seq=1)), T0)
    settle(ledger)
    ledger.resolve(ledger.freeze(T0), answer("EMPTY"), T0)
    ledger.apply(heard(order(product_id="b")), T0)
    commit = ledger.freeze(T0)
    assert commit.full
    assert commit.number == 0
    fields = ledger.fields(commit)
    assert load_state(fields).products.keys() == {"a", "b"}
    assert {"w:pubsub:c\np", "p:elsewhere"} <= fields.keys()
    ledger.resolve(commit, landed(commit), T0)
    assert not ledger.freeze(T0).full


def test_the_window_of_a_producer_that_left_is_not_written() -> None:
    ledger = owner()
    ledger.apply(heard(*(order(producer=f"p{i}", seq=1) for i in range(MAX_PRODUCERS))), T0)
    settle(ledger)
    ledger.apply(heard(order(producer="new", seq=1)), T0)
    commit = ledger.freeze(T0)
    assert commit.flight.windows["w:pubsub:c\np0"] is None
    assert [name for name in ledger.fields(commit) if name.startswith("w:")] == ["w:pubsub:c\nnew"]


# Outcomes: one order each is committed, in flight and pending, from a stream and from pub/sub.


def busy() -> Ledger:
    """Return a ledger with 2 orders committed, 2 in flight, 2 pending: one of each from the stream."""
    ledger = owner()
    for number in range(3):
        ledger.apply(read(order(), after=f"{number}-0"), T0)
        ledger.apply(heard(order()), T0)
        if number == 0:
            settle(ledger)
        elif number == 1:
            ledger.freeze(T0)
    return ledger


def outcome(ledger: Ledger, name: str) -> CommitVerdict:
    """Give an answer to the flight, by name."""
    flight = ledger.freeze(T0)
    era = era_of(flight.expected)
    answers = {
        "OK": landed(flight),
        "own token": answer("CONFLICT", flight.number + 1, flight.token),
        "own token, cleared": answer("CONFLICT", flight.number + 1, flight.token, generation="g"),
        "another owner": answer("CONFLICT", 9, "there:2:b e r"),
        "same era": answer("CONFLICT", 1, f"here:1:a {era} old"),
        "same era, cleared": answer("CONFLICT", 1, f"here:1:a {era} old", generation="g"),
        "other era": answer("CONFLICT", 1, "here:1:a older old"),
        "EMPTY": answer("EMPTY"),
        "EMPTY, cleared": answer("EMPTY", generation="g"),
        "CLEARED": answer("CLEARED", generation="g"),
        "REREAD": answer("REREAD", replid="r2"),
        "RESET": answer("RESET", replid="r2", stream="s"),
    }
    return ledger.resolve(flight, answers[name], T0)


@pytest.mark.parametrize(
    ("name", "verdict", "committed", "uncommitted", "position", "full", "generation"),
    [
        ("OK", "ok", 4, 2, "3-0", False, ""),
        ("own token", "ok", 4, 2, "3-0", False, ""),
        ("own token, cleared", "cleared", 0, 2, "3-0", False, "g"),
        ("same era", "rolled_back", 2, 2, "1-0", True, ""),
        ("same era, cleared", "rolled_back", 0, 2, "1-0", True, "g"),
        ("EMPTY", "empty", 2, 4, "3-0", True, ""),
        ("EMPTY, cleared", "empty", 0, 4, "3-0", True, "g"),
        ("CLEARED", "cleared", 0, 4, "3-0", False, "g"),
        ("REREAD", "reread", 2, 2, "1-0", False, ""),
        ("RESET", "reset", 2, 4, "3-0", False, ""),
    ],
)
def test_what_an_outcome_leaves(
    name: str, verdict: CommitVerdict, committed: int, uncommitted: int, position: str, full: bool, generation: str
) -> None:
    ledger = busy()
    assert outcome(ledger, name) == verdict
    assert (shown(ledger), ledger.uncommitted(), ledger.position("s")) == (committed, uncommitted, position)
    commit = settle(ledger)
    assert (commit.full, commit.generation, ledger.generation) == (full, generation, generation)
    assert (shown(ledger), ledger.uncommitted()) == (committed + uncommitted, 0)


@pytest.mark.parametrize(
    ("name", "number", "token", "replid"),
    [
        ("OK", 3, "the flight's", "r1"),
        ("own token", 3, "the flight's", "r1"),
        ("same era", 1, "the one found", ""),
        ("EMPTY", 0, "none", ""),
        ("CLEARED", 2, "as before", "r1"),
        ("REREAD", 2, "as before", ""),
        ("RESET", 2, "as before", "r1"),
    ],
)
def test_what_the_next_commit_expects(name: str, number: int, token: str, replid: str) -> None:
    ledger = busy()
    flight = ledger.freeze(T0)
    tokens = {
        "the flight's": flight.token,
        "the one found": f"here:1:a {era_of(flight.expected)} old",
        "none": "",
        "as before": flight.expected,
    }
    outcome(ledger, name)
    commit = ledger.freeze(T0)
    assert (commit.number, commit.expected, commit.replid) == (number, tokens[token], replid)
    assert commit.token != flight.token


def test_another_holder_means_to_drop_everything_and_stand_by() -> None:
    ledger = busy()
    assert outcome(ledger, "another owner") == "standby"
    assert not ledger.active
    assert (shown(ledger), ledger.uncommitted(), ledger.position("s")) == (0, 0, "0-0")


def test_who_takes_over_again_starts_from_what_is_found() -> None:
    ledger = busy()
    outcome(ledger, "EMPTY")
    ledger.take_over({"n": b"9", "own": b"here:1:a e r", "gen": b""}, T0)
    assert (shown(ledger), ledger.uncommitted(), ledger.position("s")) == (0, 0, "0-0")
    commit = ledger.freeze(T0)
    assert (commit.number, commit.full, commit.replid) == (9, False, "")


def test_a_cleared_state_keeps_positions_and_sequence_windows() -> None:
    ledger = owner()
    ledger.apply(read(order(producer="p", epoch="e", seq=1)), T0)
    settle(ledger)
    assert outcome(ledger, "CLEARED") == "cleared"
    ledger.apply(read(order(producer="p", epoch="e", seq=1), after="1-0"), T0)
    settle(ledger)
    assert (shown(ledger), ledger.position("s")) == (0, "2-0")
    assert ledger.aggregate.committed.total.tallies["duplicates"][""] == 1


@pytest.mark.parametrize("name", ["EMPTY, cleared", "same era, cleared"])
def test_a_clear_that_is_known_empties_nothing_again(name: str) -> None:
    ledger = owner()
    outcome(ledger, "CLEARED")
    ledger.apply(heard(order()), T0)
    settle(ledger)
    outcome(ledger, name)
    assert shown(ledger) == 1
    assert ledger.freeze(T0).generation == "g"


def test_a_rollback_to_before_a_clear_that_is_known_takes_its_generation_along() -> None:
    ledger = owner()
    outcome(ledger, "CLEARED")
    ledger.apply(heard(order()), T0)
    settle(ledger)
    assert outcome(ledger, "same era") == "rolled_back"
    assert (settle(ledger).generation, shown(ledger)) == ("", 1)


def test_the_era_that_was_taken_over_is_ours() -> None:
    assert outcome(owner(), "same era") == "rolled_back"


# Rolled back to another era


def rolled_back() -> tuple[Ledger, dict[str, bytes]]:
    """Return a ledger that must reload, with what it finds: the state before its last commit of a stream."""
    ledger = owner()
    ledger.apply(read(order()), T0)
    ledger.apply(heard(order()), T0)
    commit = ledger.freeze(T0)
    found = ledger.fields(commit)
    position = commit.positions["s"].dump("s")
    found |= {"n": b"2", "own": commit.token.encode(), "gen": b"", "p:s": position}
    ledger.resolve(commit, landed(commit), T0)
    ledger.apply(read(order(), after="1-0"), T0)
    settle(ledger)
    ledger.apply(heard(order(), order()), T0)
    ledger.apply(read(order(), after="2-0"), T0)
    flight = ledger.freeze(T0)
    assert shown(ledger) == 3
    assert ledger.resolve(flight, answer("CONFLICT", 2, commit.token), T0) == "reload"
    return ledger, found


def test_a_reload_goes_back_to_what_is_found_and_keeps_what_pubsub_has_pending() -> None:
    ledger, found = rolled_back()
    assert ledger.reload(found)
    assert (shown(ledger), ledger.uncommitted(), ledger.position("s")) == (2, 2, "1-0")
    commit = settle(ledger)
    assert (commit.number, commit.expected, commit.full, commit.replid) == (2, found["own"].decode(), False, "")
    assert shown(ledger) == 4


@pytest.mark.parametrize("found", [{}, {"gen": b"g"}, {"n": b"9", "own": b"there:2:b e r", "gen": b""}])
def test_a_state_that_is_not_ours_is_not_loaded(found: dict[str, bytes]) -> None:
    ledger, _ = rolled_back()
    flight = ledger.freeze(T0)
    assert not ledger.reload(found)
    assert ledger.freeze(T0) is flight
    assert shown(ledger) == 3


def test_pubsub_that_was_committed_and_rolled_back_counts_as_missed() -> None:
    ledger = owner()
    ledger.apply(heard(order(), order()), T0)
    ledger.apply(read(order()), T0)
    settle(ledger)
    assert outcome(ledger, "other era") == "reload"
    assert ledger.reload({"n": b"1", "own": b"here:1:a older old", "gen": b""})
    settle(ledger)
    assert ledger.aggregate.committed.total.tallies["missed"] == {"pubsub:c": 2}


def test_a_clear_within_what_is_reloaded_is_no_loss() -> None:
    ledger = owner()
    ledger.apply(heard(order(), order()), T0)
    settle(ledger)
    outcome(ledger, "other era")
    assert ledger.reload({"n": b"1", "own": b"here:1:a older old", "gen": b"g"})
    settle(ledger)
    assert not ledger.aggregate.committed.total.tallies["missed"]


def test_the_state_of_this_sidecar_is_reloaded_even_with_nothing_in_flight() -> None:
    ledger = owner()
    settle(ledger)
    assert ledger.reload({"n": b"7", "own": b"here:1:a older old", "gen": b""})
    assert ledger.freeze(T0).number == 7


# A clear of one custom metric


def custom(ledger: Ledger) -> dict[str, int]:
    """Return how often `counted_total` counted, by status."""
    return {key.split("\n")[2]: series.count for key, series in ledger.aggregate.committed.custom.items()}


@pytest.mark.parametrize(
    ("generation", "counted", "orders"),
    [
        ("", {"success": 1}, 1),
        (" counted_total=1", {}, 1),
        (" other=1", {"success": 1}, 1),
        ("g counted_total=1", {}, 0),
    ],
)
def test_a_metric_that_was_cleared_alone_restarts_and_nothing_else(
    generation: str, counted: dict[str, int], orders: int
) -> None:
    ledger = owner()
    ledger.apply(heard(order()), T0)
    settle(ledger)
    ledger.apply(heard(order()), T0)
    flight = ledger.freeze(T0)
    assert ledger.resolve(flight, answer("CLEARED", generation=generation), T0) == "cleared"
    assert (custom(ledger), shown(ledger)) == (counted, orders)
    settle(ledger)
    assert custom(ledger) == {"success": len(counted) + 1}


def test_a_clear_of_a_metric_that_is_known_empties_it_once() -> None:
    ledger = owner()
    ledger.resolve(ledger.freeze(T0), answer("CLEARED", generation=" counted_total=1"), T0)
    ledger.apply(heard(order()), T0)
    settle(ledger)
    ledger.resolve(ledger.freeze(T0), answer("CLEARED", generation=" counted_total=1 other=1"), T0)
    assert custom(ledger) == {"success": 1}
    ledger.resolve(ledger.freeze(T0), answer("CLEARED", generation=" other=1 counted_total=2"), T0)
    assert custom(ledger) == {}


def test_numbers_missed_before_a_clear_of_a_metric_are_still_missed_in_the_next_process() -> None:
    ledger = owner()
    ledger.apply(heard(order(producer="p", seq=1), order(producer="p", seq=3)), T0)
    settle(ledger, T0 + 20)
    ledger.resolve(ledger.freeze(T0 + 21), answer("CLEARED", generation=" counted_total=1"), T0 + 21)
    flight = settle(ledger, T0 + 21)
    ledger = owner({**ledger.fields(flight), **ledger.aggregate.fields(), "gen": flight.generation.encode()})
    assert ledger.aggregate.committed.total.tallies["missed"] == {"pubsub:c": 1}
    ledger.apply(heard(order(producer="p", seq=2), at=T0 + 22), T0 + 22)
    settle(ledger, T0 + 23)
    assert ledger.aggregate.committed.total.tallies["recovered"] == {"pubsub:c": 1}


# Batches of streams


def test_a_batch_read_after_another_entry_is_refused() -> None:
    ledger = owner()
    ledger.apply(read(order()), T0)
    assert ledger.apply(read(order()), T0) == "stale"
    assert ledger.uncommitted() == 1


def test_a_batch_read_under_another_replid_is_refused_until_a_commit_finds_out() -> None:
    ledger = owner()
    ledger.apply(heard(order()), T0)
    ledger.apply(read(order()), T0)
    assert ledger.apply(read(order(), after="1-0", replid="r2"), T0) == "stale"
    assert (ledger.uncommitted(), ledger.position("s")) == (2, "1-0")
    assert outcome(ledger, "REREAD") == "reread"
    assert (ledger.uncommitted(), ledger.position("s")) == (1, "0-0")
    assert ledger.apply(read(order(), replid="r2"), T0) == "ok"


@pytest.mark.parametrize("elsewhere", [False, True])
def test_entries_read_before_redis_came_back_empty_are_kept(elsewhere: bool) -> None:
    ledger = owner(apart=elsewhere)
    ledger.apply(read(order(), order()), T0)
    settle(ledger)
    ledger.apply(read(order(), order(), after="2-0"), T0)
    empty = read(after="4-0", exists=False, added=None, length=0, replid="r2")
    assert ledger.apply(empty, T0) == ("reset" if elsewhere else "stale")
    assert outcome(ledger, "EMPTY") == "empty"
    assert ledger.apply(empty, T0) == ("ok" if elsewhere else "reset")
    commit = settle(ledger)
    assert (commit.replid, set(commit.unchecked), shown(ledger), missed(ledger)) == ("", {"s"}, 4, 0)
    new = read(order(), after="4-0", last="9-0", added=3, length=1, oldest="9-0", replid="r2")
    assert ledger.apply(new, T0) == "ok"
    assert (missed(ledger), shown(ledger), set(ledger.freeze(T0).unchecked)) == (2, 5, set())


def test_with_a_commit_in_flight_the_answer_decides() -> None:
    ledger = owner()
    ledger.apply(read(order()), T0)
    flight = ledger.freeze(T0)
    assert ledger.apply(read(order(), after="1-0", replid="r2"), T0) == "stale"
    assert (ledger.uncommitted(), ledger.position("s")) == (1, "1-0")
    assert ledger.freeze(T0) is flight
    ledger.resolve(flight, landed(flight), T0)
    assert ledger.apply(read(order(), after="1-0", replid="r2"), T0) == "ok"


def test_what_was_read_beyond_a_flight_keeps_its_replid_even_if_it_ends_where_the_flight_does() -> None:
    """The flight's answer was lost, then the end of the stream."""
    ledger = owner()
    ledger.apply(read(order()), T0)
    flight = ledger.freeze(T0)
    assert ledger.apply(read(order(), after="1-0"), T0) == "ok"
    assert ledger.apply(read(after="2-0", added=1, length=1, oldest="1-0", newest="1-0"), T0) == "cut"
    assert ledger.position("s") == flight.positions["s"].id
    ledger.resolve(flight, landed(flight), T0)
    commit = ledger.freeze(T0)
    assert commit.replid == "r1"
    assert ledger.resolve(commit, answer("REREAD", replid="r2"), T0) == "reread"
    settle(ledger)
    assert shown(ledger) == 1


def test_streams_are_followed_one_by_one() -> None:
    ledger = owner(streams=("s", "t"))
    ledger.apply(read(order()), T0)
    ledger.apply(read(order(), order(), stream="t"), T0)
    assert (ledger.position("s"), ledger.position("t")) == ("1-0", "2-0")
    assert {name: one.seen for name, one in settle(ledger).positions.items()} == {"s": 1, "t": 2}


def test_a_stream_that_does_not_exist_yet_will_be_ours_from_its_first_entry() -> None:
    ledger = owner()
    absent = read(exists=False, added=None, length=0)
    assert ledger.apply(absent, T0) == "ok"
    assert settle(ledger).positions["s"] == Position(base=0)
    assert ledger.apply(absent, T0) == "ok"
    assert ledger.freeze(T0).replid == ""
    ledger.apply(read(order(), last="12-0", added=3, length=1), T0)
    settle(ledger)
    assert missed(ledger) == 2


GONE = {"exists": False, "added": None, "length": 0}


@pytest.mark.parametrize("finds_out", ["a read", "a commit"])
def test_a_stream_that_vanished_and_returned_continues_where_it_was_read(finds_out: str) -> None:
    """Somebody renamed it and back, or restored a copy of it."""
    ledger = owner()
    ledger.apply(read(order(), order(), order(), order(), last="4-0", added=6, length=6, complete=False), T0)
    if finds_out == "a commit":
        assert outcome(ledger, "RESET") == "reset"
    else:
        assert ledger.apply(read(after="4-0", **GONE), T0) == "reset"  # type: ignore[arg-type]
    assert ledger.apply(read(after="4-0", **GONE), T0) == "ok", "it is reported once"  # type: ignore[arg-type]
    assert settle(ledger).unchecked == {"s"}
    assert ledger.apply(read(order(), order(), after="4-0", added=6, length=6, oldest="1-0"), T0) == "ok"
    assert settle(ledger).unchecked == set()
    assert (shown(ledger), missed(ledger)) == (6, 0)


@pytest.mark.parametrize(
    ("seen_away", "added", "there"),
    # one that outgrew the old one unseen cannot be told from it
    [(True, 9, 9), (True, 9, 4), (True, 2, 2), (False, 2, 2), (False, 6, 1)],
)
def test_unread_entries_of_a_deleted_stream_are_missed(seen_away: bool, added: int, there: int) -> None:
    ledger = owner()
    ledger.apply(read(order(), order(), last="2-0", added=7, length=7, complete=False, oldest="1-0"), T0)
    if seen_away:
        ledger.apply(read(after="2-0", **GONE), T0)  # type: ignore[arg-type]
    new = read(*[order()] * there, after="2-0", added=added, length=there, oldest="11-0", newest="99-0")
    assert ledger.apply(new, T0) == ("ok" if seen_away else "reset")
    assert missed(ledger) == 5 + added - there
    assert shown(ledger) == 2 + there


def test_unread_entries_of_a_stream_that_was_deleted_and_trimmed_to_nothing_are_missed() -> None:
    ledger = owner()
    ledger.apply(read(*[order()] * 4, added=4, length=4), T0)
    new = read(after="4-0", added=3, length=0, newest="13-0")
    assert ledger.apply(new, T0) == "reset"
    ledger.apply(new, T0)
    assert (missed(ledger), shown(ledger)) == (3, 4)


def test_a_missing_stream_is_known_to_the_next_owner() -> None:
    ledger = owner()
    ledger.apply(read(*[order()] * 4, added=4, length=4), T0)
    ledger.apply(read(after="4-0", **GONE), T0)  # type: ignore[arg-type]
    commit = settle(ledger)
    following = owner({"p:s": commit.positions["s"].dump("s")})
    outgrown = read(*[order()] * 2, after="4-0", added=9, length=2, oldest="18-0", newest="19-0")
    assert following.apply(outgrown, T0) == "ok", "it was reported"
    assert missed(following) == 7


@pytest.mark.parametrize(
    ("entries", "added", "newest", "position", "lost"),
    [
        (0, 3, "3-0", "3-0", 0),  # an older copy: everything in it was counted
        (0, 0, None, "0-0", 0),  # emptied, its counter too: with XSETID
        (2, 5, "9-0", "6-0", 0),  # and two were added to the copy before it was seen
    ],
)
def test_an_older_copy_of_a_stream_counts_nothing_twice(
    entries: int, added: int, newest: str | None, position: str, lost: int
) -> None:
    ledger = owner()
    ledger.apply(read(*[order()] * 6), T0)
    settle(ledger)
    read_of_it = read(
        *[order()] * entries,
        after="6-0",
        last="6-0" if not entries else "9-0",
        added=added,
        length=added,
        oldest="1-0" if added else None,
        newest=newest or "0-0",
    )
    assert ledger.apply(read_of_it, T0) == "cut"
    assert ledger.position("s") == ("9-0" if entries else position)
    last = ledger.position("s")
    ledger.apply(read(order(), after=last, last="12-0", added=added + 1, length=added + 1, oldest="1-0"), T0)
    assert (missed(ledger), shown(ledger)) == (lost, 6 + entries + 1)


def test_a_stream_that_was_put_back_in_place_of_a_newer_one_has_lost_nothing() -> None:
    """Renamed, begun again under its name, and renamed back: its entries were counted before it went."""
    ledger = owner()
    ledger.apply(read(*[order()] * 6), T0)
    new = read(order(), after="6-0", last="9-0", added=1, length=1, oldest="9-0", newest="9-0")
    assert ledger.apply(new, T0) == "reset"
    settle(ledger)
    back = read(after="9-0", last="9-0", added=6, length=6, oldest="1-0", newest="6-0")
    assert ledger.apply(back, T0) == "cut"
    assert ledger.position("s") == "6-0"
    ledger.apply(read(order(), after="6-0", last="12-0", added=7, length=7, oldest="1-0", newest="12-0"), T0)
    assert (missed(ledger), shown(ledger)) == (0, 8)


def test_unread_entries_that_an_older_copy_lacks_are_missed() -> None:
    ledger = owner()
    ledger.apply(read(order(), order(), last="2-0", added=10, length=10, complete=False), T0)
    copy = read(order(), after="2-0", last="3-0", added=3, length=3, oldest="1-0", newest="3-0")
    assert ledger.apply(copy, T0) == "cut"
    assert (missed(ledger), shown(ledger)) == (7, 3)


@pytest.mark.parametrize(
    ("reads", "position", "lost"),
    [
        # a first contact: what was trimmed before it is not ours
        ([(2, 10, 2, True)], Position("2-0", 2, 8, 10), 0),
        # entries are missed where more were added than came
        ([(2, 10, 2, True), (1, 15, 3, True)], Position("3-0", 3, 12, 15), 4),
        # unless some are still there
        ([(2, 10, 9, False)], Position("2-0", 2, 1, 10), 0),
        ([(2, 10, 9, False), (7, 10, 9, True)], Position("9-0", 9, 1, 10), 0),
        ([(2, 10, 9, False), (6, 10, 8, True)], Position("8-0", 8, 2, 10), 1),
        # in the middle of a backlog whose beginning is still there nobody knows
        ([(2, 10, 9, False), (3, 10, 8, False)], Position("5-0", 5, 1, 10), 0),
        # nothing new, nothing lost
        ([(2, 2, 2, True), (0, 2, 2, True)], Position("2-0", 2, 0, 2), 0),
        # deleted before they came, though nothing came
        ([(2, 2, 2, True), (0, 5, 2, True)], Position("2-0", 2, 3, 5), 3),
        # more came than were added: somebody set the counter
        ([(2, 2, 2, True), (3, 4, 5, True)], Position("5-0", 4, 0, 4), 0),
        # Redis 6 does not tell
        ([(2, None, 9, True), (3, None, 9, True)], Position("5-0", 5, -1, 0), 0),
        # and what it did not tell is not held against Redis 7 later
        ([(5, None, 5, True), (1, 3, 3, True)], Position("6-0", 3, 0, 3), 0),
        ([(5, 5, 5, True), (1, None, 6, True), (0, 6, 6, True)], Position("6-0", 6, 0, 6), 0),
    ],
)
def test_positions_tell_what_was_gone_before_it_was_read(
    reads: list[tuple[int, int | None, int, bool]], position: Position, lost: int
) -> None:
    ledger = owner()
    for entries, added, length, complete in reads:
        orders = [order()] * entries
        batch = read(*orders, after=ledger.position("s"), added=added, length=length, complete=complete)
        assert ledger.apply(batch, T0) == "ok"
    assert ledger.freeze(T0).positions["s"] == position
    assert missed(ledger) == lost


def test_a_stream_whose_counter_fell_was_recreated() -> None:
    ledger = owner()
    ledger.apply(read(order(), order(), order()), T0)
    assert ledger.apply(read(order(), after="3-0", added=1, length=1, replid="r1"), T0) == "reset"
    assert (ledger.position("s"), ledger.uncommitted()) == ("4-0", 4)
    commit = settle(ledger)
    assert (commit.replid, commit.positions["s"]) == ("r1", Position("4-0", 1, 0, 1))
    assert (shown(ledger), missed(ledger)) == (4, 0)


# Losses that the counter of a stream and the numbers of its producers both tell


def numbered(*numbers: int, producer: str = "p") -> list[bytes]:
    """Return orders that carry these numbers."""
    return [order(producer=producer, epoch=1, seq=number) for number in numbers]


def restarted(ledger: Ledger) -> Ledger:
    """Commit, and return a ledger that takes over the written state."""
    commit = settle(ledger)
    positions = {"p:" + stream: position.dump(stream) for stream, position in commit.positions.items()}
    return owner({**ledger.aggregate.fields(), **positions})


def lost(ledger: Ledger) -> int:
    """Commit once every hole is missed, and return the number missed."""
    settle(ledger, T0 + 10)
    return ledger.aggregate.committed.total.missed


@pytest.mark.parametrize("restarts", [False, True])
def test_numbered_entries_that_were_trimmed_unread_are_missed_once(restarts: bool) -> None:
    ledger = owner()
    ledger.apply(read(*numbered(1, 2)), T0)
    trimmed = read(*numbered(9, 10), after="2-0", last="10-0", added=10, length=2, oldest="9-0")
    ledger.apply(trimmed, T0)
    assert missed(ledger) == 6, "known before any hole is missed"
    ledger = restarted(ledger) if restarts else ledger
    assert lost(ledger) == 6
    assert ledger.aggregate.committed.producers["stream:s\np"].missed == 6


def test_a_stream_trimmed_in_portions_while_it_is_read_counts_each_portion_at_once_and_once() -> None:
    ledger = owner()
    ledger.apply(read(*numbered(1), added=1, length=1), T0)
    behind = {"length": 5, "complete": False}
    ledger.apply(read(*numbered(6), after="1-0", last="6-0", added=10, oldest="6-0", **behind), T0)  # type: ignore[arg-type]
    assert missed(ledger) == 4
    ledger.apply(read(*numbered(16), after="6-0", last="16-0", added=20, oldest="16-0", **behind), T0)  # type: ignore[arg-type]
    assert missed(ledger) == 13
    ledger.apply(read(*numbered(17, 18, 19, 20), after="16-0", last="20-0", added=20, length=5, oldest="16-0"), T0)
    assert (missed(ledger), lost(ledger)) == (13, 13)


def test_entries_deleted_in_the_middle_of_a_backlog_show_as_holes_first_and_are_missed_once() -> None:
    ledger = owner()
    ledger.apply(read(*numbered(1, 2, 5), last="5-0", added=8, length=6, complete=False, oldest="1-0"), T0)
    assert lost(ledger) == 2
    ledger.apply(read(*numbered(8), after="5-0", last="8-0", added=8, length=4, oldest="1-0"), T0)
    assert lost(ledger) == 4


def test_arrays_that_were_trimmed_count_by_their_numbers_and_the_others_by_their_entries() -> None:
    ledger = owner()
    ledger.apply(read(*numbered(1)), T0)
    ledger.apply(read(*numbered(101), after="1-0", last="12-0", added=12, length=1, oldest="12-0"), T0)
    assert missed(ledger) == 10
    assert lost(ledger) == 99
    ledger.apply(read(after="12-0", added=12, length=1, oldest="12-0"), T0 + 10)
    ledger.apply(read(order(), after="12-0", last="15-0", added=15, length=1, oldest="15-0"), T0 + 20)
    assert lost(ledger) == 101


def test_numbers_that_were_never_added_are_missed_in_addition_to_trimmed_entries() -> None:
    ledger = owner()
    ledger.apply(read(*numbered(1, 4), added=2, length=2), T0)
    assert lost(ledger) == 2
    ledger.apply(read(*numbered(5), after="2-0", added=3, length=3), T0 + 10)
    ledger.apply(read(*numbered(8), after="3-0", last="6-0", added=6, length=1, oldest="6-0"), T0 + 10)
    assert lost(ledger) == 4
    settle(ledger, T0 + 20)
    assert ledger.aggregate.committed.total.missed == 4


def test_a_number_that_still_comes_is_recovered_and_leaves_nothing_for_the_counter() -> None:
    ledger = owner()
    ledger.apply(read(*numbered(1, 3), added=2, length=2), T0)
    assert lost(ledger) == 1
    ledger.apply(read(*numbered(2), after="2-0", added=3, length=3), T0 + 10)
    assert lost(ledger) == 0
    ledger.apply(read(*numbered(6), after="3-0", last="6-0", added=6, length=1, oldest="6-0"), T0 + 10)
    settle(ledger, T0 + 20)
    assert ledger.aggregate.committed.total.missed == 2


def test_batches_dropped_to_be_read_again_drop_their_losses_too() -> None:
    ledger = owner()
    ledger.apply(read(*numbered(1)), T0)
    settle(ledger)
    ledger.apply(read(*numbered(5), after="1-0", last="5-0", added=5, length=1, oldest="5-0"), T0)
    assert outcome(ledger, "REREAD") == "reread"
    again = read(*numbered(5), after="1-0", last="5-0", added=5, length=1, oldest="5-0", replid="r2")
    assert ledger.apply(again, T0) == "ok"
    assert lost(ledger) == 3


# A clear, and what was missed before it


def cleared(ledger: Ledger, generation: str = "g", *, offline: bool = False) -> Ledger:
    """Clear so that the daemon learns of it from a commit, or while it is away; return the ledger that continues."""
    if not offline:
        flight = ledger.freeze(T0 + 1)
        assert ledger.resolve(flight, answer("CLEARED", generation=generation), T0 + 1) == "cleared"
        return ledger
    commit = settle(ledger)
    positions = {"p:" + stream: position.dump(stream) for stream, position in commit.positions.items()}
    fields = {**ledger.fields(commit), **ledger.aggregate.fields(), **positions, "gen": generation.encode()}
    return owner({name: value for name, value in fields.items() if not name.startswith("c:")})


def completeness(ledger: Ledger) -> tuple[int, int, dict[str, int]]:
    """Commit once every hole is missed; return what is received, missed, and missed by producer."""
    settle(ledger, T0 + 100)
    document = compute(ledger.aggregate.committed, RULES, context(T0 + 100))
    of = document.completeness
    recovered = document.series.recovered_by_source if document.series is not UNSET else {}
    assert all(n <= ledger.aggregate.committed.total.tallies["missed"][name] for name, n in recovered.items())
    return of.received, of.missed, {name: one.missed for name, one in of.by_producer.items()}


@pytest.mark.parametrize("offline", [False, True])
def test_a_number_missed_before_a_clear_is_new_when_it_comes(offline: bool) -> None:
    ledger = owner()
    ledger.apply(heard(*numbered(1, 5, producer="A")), T0)
    assert lost(ledger) == 3
    ledger = cleared(ledger, offline=offline)
    ledger.apply(heard(*numbered(2, 3, 4, producer="A"), *numbered(1, 4, producer="B")), T0 + 20)
    assert completeness(ledger) == (5, 2, {"A": 0, "B": 2})
    if offline:
        return
    ledger.apply(heard(*numbered(2, producer="B")), T0 + 70)
    assert completeness(ledger) == (6, 1, {"A": 0, "B": 1})


@pytest.mark.parametrize("offline", [False, True])
def test_numbers_forgotten_by_a_clear_stay_forgotten_after_restarts_and_rereads(offline: bool) -> None:
    ledger = owner()
    ledger.apply(read(*numbered(1, 5)), T0)
    assert lost(ledger) == 3
    ledger = cleared(ledger, offline=offline)
    assert outcome(ledger, "REREAD") == "reread"
    ledger = restarted(restarted(ledger))
    ledger.apply(read(*numbered(2, 3), after="2-0"), T0 + 20)
    assert completeness(ledger) == (2, 0, {"p": 0})


@pytest.mark.parametrize("offline", [False, True])
def test_holes_open_at_a_clear_are_missed_after_it(offline: bool) -> None:
    ledger = owner()
    ledger.apply(heard(*numbered(1, 5)), T0)
    ledger = cleared(ledger, offline=offline)
    assert completeness(ledger)[1:] == (3, {"p": 3})


@pytest.mark.parametrize("offline", [False, True])
def test_entries_lost_before_a_clear_are_not_missed_after_it_though_their_holes_show_then(offline: bool) -> None:
    ledger = owner()
    ledger.apply(read(*numbered(1)), T0)
    ledger.apply(read(*numbered(5), after="1-0", last="5-0", added=5, length=1, oldest="5-0"), T0)
    settle(ledger)
    ledger = cleared(ledger, offline=offline)
    assert completeness(ledger)[1] == 0
    ledger.apply(read(*numbered(8), after="5-0", last="8-0", added=8, length=1, oldest="8-0"), T0 + 20)
    assert completeness(ledger)[1:] == (2, {"p": 2})


def test_entries_lost_before_a_clear_are_forgotten_though_a_restart_comes_before_the_stream_is_read() -> None:
    ledger = owner()
    ledger.apply(read(*numbered(1)), T0)
    ledger.apply(read(*numbered(5), after="1-0", last="5-0", added=5, length=1, oldest="5-0"), T0)
    settle(ledger)
    ledger = restarted(cleared(ledger, offline=True))
    _, missed, by_producer = completeness(ledger)
    assert (missed, by_producer.get("p", 0)) == (0, 0)


def test_a_clear_keeps_what_was_found_missing_and_not_committed_before_it() -> None:
    ledger = owner()
    ledger.apply(heard(*numbered(1, 5)), T0)
    settle(ledger)
    flight = ledger.freeze(T0 + 10)
    assert ledger.resolve(flight, answer("CLEARED", generation="g"), T0 + 10) == "cleared"
    ledger.apply(heard(*numbered(2)), T0 + 10)
    assert completeness(ledger) == (1, 2, {"p": 2})


def test_a_number_that_came_while_its_miss_was_cleared_is_new() -> None:
    ledger = owner()
    ledger.apply(heard(*numbered(1, 5)), T0)
    assert lost(ledger) == 3
    ledger.apply(heard(*numbered(2)), T0 + 10)
    assert completeness(cleared(ledger)) == (1, 0, {"p": 0})


def test_a_clear_found_in_a_reloaded_state_forgets_missed_numbers() -> None:
    ledger = owner()
    ledger.apply(heard(*numbered(1, 5)), T0)
    assert lost(ledger) == 3
    assert outcome(ledger, "other era") == "reload"
    assert ledger.reload({"n": b"1", "own": b"here:1:a older old", "gen": b"g", "wgen": b""})
    ledger.apply(heard(*numbered(2)), T0 + 10)
    assert completeness(ledger) == (1, 0, {"p": 0})


# Streams on another Redis than the state


def apart() -> Ledger:
    """Return a ledger that committed three entries of a stream that is elsewhere."""
    ledger = owner(apart=True)
    ledger.apply(read(order(), order(), order(), oldest="1-0", newest="3-0"), T0)
    settle(ledger)
    return ledger


@pytest.mark.parametrize(
    ("end", "added", "position"),
    [
        ("1-0", 1, "1-0"),  # a replica that had not got so far; or its clock is slower, and newer entries sort before
        ("1-0", None, "1-0"),  # Redis 6 does not count
        ("9-0", 2, "3-0"),  # it went on since; what sorts behind our position is new
    ],
)
def test_a_stream_elsewhere_that_lost_its_end_is_read_on_from_there_and_nothing_counts_twice(
    end: str, added: int | None, position: str
) -> None:
    ledger = apart()
    lost = read(after="3-0", last="3-0", added=added, length=1, replid="r2", oldest="1-0", newest=end)
    assert ledger.apply(lost, T0) == "cut"
    assert ledger.position("s") == position
    more = read(
        order(), after=position, last="10-0", added=added and added + 1, replid="r2", oldest="1-0", newest="10-0"
    )
    assert ledger.apply(more, T0) == "ok"
    settle(ledger)
    assert (shown(ledger), missed(ledger)) == (4, 0)
    gone = read(order(), after="10-0", last="12-0", added=added and added + 3, replid="r2", newest="12-0")
    assert ledger.apply(gone, T0) == "ok"
    settle(ledger)
    assert (shown(ledger), missed(ledger)) == (5, 0 if added is None else 1)


def test_a_stream_elsewhere_of_which_nothing_is_left_that_was_counted_is_another_one() -> None:
    ledger = apart()
    batch = read(order(), after="3-0", added=1, length=1, oldest="7-0", newest="7-0")
    assert ledger.apply(batch, T0) == "reset"
    settle(ledger)
    assert (ledger.position("s"), shown(ledger), missed(ledger)) == ("4-0", 4, 0)


def test_a_stream_elsewhere_that_was_emptied_is_read_on_from_its_end() -> None:
    ledger = apart()
    assert ledger.apply(read(after="3-0", last="3-0", added=2, length=0, newest="2-0"), T0) == "cut"
    assert ledger.position("s") == "2-0"


def test_each_load_of_the_state_is_counted() -> None:
    ledger = busy()
    assert ledger.loads == 1
    outcome(ledger, "other era")
    assert ledger.loads == 1
    assert ledger.reload({"n": b"1", "own": b"here:1:a x y", "gen": b""})
    assert ledger.loads == 2


def test_entries_without_an_event_count_as_refused_and_move_the_position() -> None:
    ledger = owner()
    ledger.apply(read(order(), empty=2), T0)
    assert ledger.position("s") == "3-0"
    settle(ledger)
    assert ledger.aggregate.committed.total.tallies["invalid"] == {"missing_field": 2}


def test_the_aggregator_is_replaced_where_the_state_is_somebody_elses() -> None:
    ledger = busy()
    before: Aggregator = ledger.aggregate
    outcome(ledger, "another owner")
    assert ledger.aggregate is not before


def test_a_clock_step_reaches_the_commit_in_flight() -> None:
    ledger = owner()
    ledger.apply(heard(b'{"type":"inventory","product_id":"a","stock":1}'), T0)
    flying = ledger.freeze(T0)
    ledger.step(-20.0, T0 - 20)
    assert flying.flight.merged.products["a"].stock_ts == T0 - 20
    assert flying.flight.merged.total.committed_at == T0 - 20


def test_a_state_stored_by_another_clock_is_not_in_the_future_of_this_one() -> None:
    fields = dump_state(owner().aggregate.committed)
    state = load_state(fields)
    state.queues["a"] = Reading(T0 + 600, [1])
    ledger = owner(dump_state(state))
    assert ledger.aggregate.committed.queues["a"].ts == T0


# What pub/sub was listened to


def stored(**fields: bytes) -> dict[str, bytes]:
    """Return a checkpoint with these fields."""
    return {"n": b"7", "own": b"there:1:a x y", "gen": b"g", **fields}


def test_the_next_owner_learns_the_subscribed_sources() -> None:
    ledger = owner()
    assert ledger.listened("pubsub:any"), "who stored it did not say"
    ledger.listen(["pubsub:a", "pubsub:b"])
    fields = {**stored(), **ledger.fields(ledger.freeze(T0))}
    then = owner(fields)
    assert [then.listened(f"pubsub:{name}") for name in "abc"] == [True, True, False]
    assert then.away == T0


def test_after_a_clear_without_a_sidecar_the_state_is_as_old_as_that() -> None:
    assert owner(stored()).away is None
    found = owner(stored(cleared_at=b"1790000000.123"))
    assert (found.away, found.aggregate.committed.total.since) == (1_790_000_000.123, 1_790_000_000.123)


@pytest.mark.parametrize("text", [b"yesterday", b"nan", b"-1", b"1e999", b"", b"\xff"])
def test_a_damaged_time_of_a_clear_is_reported(text: bytes) -> None:
    ledger = new_ledger()
    with pytest.raises(CheckpointError, match="cleared_at"):
        ledger.take_over(stored(cleared_at=text), T0)
    assert (ledger.active, shown(ledger)) == (False, 0)  # or it would be called written again from memory
