"""Wait for a condition with a deadline, instead of sleeping and hoping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar, overload

T = TypeVar("T")
POLL_SECONDS = 0.01
SLOWEST_POLL_SECONDS = 0.05  # of what does not come soon: to ask costs


@overload
async def eventually(predicate: Callable[[], Awaitable[T]], deadline: float = ..., what: str = ...) -> T: ...
@overload
async def eventually(predicate: Callable[[], T], deadline: float = ..., what: str = ...) -> T: ...
async def eventually(
    predicate: Callable[[], T | Awaitable[T]], deadline: float = 5.0, what: str = "the condition"
) -> T:
    """Poll a plain or async predicate until it is truthy and return its value; fail after `deadline` seconds.

    An `AssertionError` of the predicate means "not yet", and is shown if it stays so.
    """
    end = time.monotonic() + deadline
    pauses = _pauses()
    while True:
        problem: AssertionError | None = None
        try:
            found = predicate()
            value = await found if inspect.isawaitable(found) else found
        except AssertionError as exc:
            problem = exc
        else:
            if value:
                return value
        if time.monotonic() >= end:
            raise AssertionError(f"{what} did not come true within {deadline} s") from problem
        await asyncio.sleep(next(pauses))


def wait_until(predicate: Callable[[], T | None], deadline: float = 5.0, what: str = "the condition") -> T:
    """Do as `eventually`, where no event loop runs."""
    end = time.monotonic() + deadline
    pauses = _pauses()
    while not (value := predicate()):
        if time.monotonic() >= end:
            raise AssertionError(f"{what} did not come true within {deadline} s")
        time.sleep(next(pauses))
    return value


def _pauses() -> Iterator[float]:
    pause = POLL_SECONDS
    while True:
        yield pause
        pause = min(1.2 * pause, SLOWEST_POLL_SECONDS)
