"""Turns of the event loop: no crowd of connections holds it, and each gets its turn."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from selectors import EVENT_READ

from sidecar.process.loop import MOST_READY, ShortIterations, new_loop

CROWD = 3 * MOST_READY + 7


@contextmanager
def crowded() -> Iterator[ShortIterations]:
    """Yield a selector with a crowd of numbered connections, all of them ready."""
    with ExitStack() as stack, ShortIterations() as turns:
        for number in range(CROWD):
            ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
            turns.register(ours, EVENT_READ, number)
            theirs.send(b"x")
        yield turns


def test_a_crowd_that_stays_ready_is_served_in_turns_and_all_of_it() -> None:
    with crowded() as turns:
        rounds = [[key.data for key, _ in turns.select(0)] for _ in range(4)]
        assert {len(served) for served in rounds} == {MOST_READY}
        assert {number for served in rounds for number in served} == set(range(CROWD))


def test_who_was_served_makes_room_for_the_others() -> None:
    with crowded() as turns:
        served: list[int] = []
        while ready := turns.select(0):
            for key, _ in ready:
                turns.unregister(key.fileobj)
                served.append(key.data)
        assert sorted(served) == list(range(CROWD))


def test_a_timer_does_not_wait_for_a_crowd() -> None:
    async def crowd() -> int:
        """Return how many were served before the timer that was due."""
        loop, served = asyncio.get_running_loop(), 0

        def serve(end: socket.socket) -> None:
            nonlocal served
            served += 1
            if served == 1:
                loop.call_soon(timer.set_result, served)
            end.recv(1)

        timer = loop.create_future()
        with ExitStack() as stack:
            for _ in range(CROWD):
                ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
                loop.add_reader(ours, serve, ours)
                stack.callback(loop.remove_reader, ours)
                theirs.send(b"x")
            await timer
            return served

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(crowd()) <= 2 * MOST_READY
