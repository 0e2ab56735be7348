"""Which connection has to go for a newcomer."""

from typing import Any, cast

from sidecar.exposition.http.connections import PROTECTED_SECONDS, Connection, OpenConnections


class Fake:
    """What OpenConnections sees of a connection."""

    def __init__(self, *, answering: bool = False) -> None:
        self.answering = answering
        self.was_cut = False

    def cut(self) -> None:
        self.was_cut = True


def connection(**options: bool) -> Any:
    return cast(Connection, Fake(**options))


def test_while_there_is_room_nobody_goes() -> None:
    house, guests = OpenConnections(2), [connection(), connection()]
    for now, guest in enumerate(guests):
        house.enter(guest, now)
    assert not any(guest.was_cut for guest in guests)


def test_the_one_that_was_not_heard_for_longest_goes_for_a_newcomer() -> None:
    house, first, second = OpenConnections(2), connection(), connection()
    house.enter(first, 0)
    house.enter(second, 1)
    house.renew(first, 2)
    house.enter(connection(), 3)
    assert (first.was_cut, second.was_cut) == (False, True)


def test_one_that_left_makes_room() -> None:
    house, first, second = OpenConnections(1), connection(), connection()
    house.enter(first, 0)
    house.leave(first)
    house.enter(second, 1)
    assert not first.was_cut


def test_what_is_being_answered_stays_for_a_while() -> None:
    house, answering, idle = OpenConnections(2), connection(answering=True), connection()
    house.enter(answering, 0)
    house.enter(idle, 1)
    house.enter(connection(), PROTECTED_SECONDS)
    assert (answering.was_cut, idle.was_cut) == (False, True)
    house.enter(connection(), PROTECTED_SECONDS + 1)
    assert answering.was_cut


def test_a_newcomer_itself_goes_where_all_others_are_being_answered() -> None:
    house, guest, newcomer = OpenConnections(1), connection(answering=True), connection()
    house.enter(guest, 0)
    house.enter(newcomer, 1)
    assert (guest.was_cut, newcomer.was_cut) == (False, True)


def test_one_that_was_cut_is_not_heard_again() -> None:
    house, gone = OpenConnections(1), connection()
    house.enter(gone, 0)
    house.enter(connection(), 1)
    house.renew(gone, 2)
    assert len(house._active_at) == 1
