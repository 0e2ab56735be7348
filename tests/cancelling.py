"""Cancel an operation at every await in turn: its own, and those of the tasks it starts."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from itertools import count
from typing import Any

ENDS_SECONDS = 5.0

Interrupt = Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]
INTERRUPTED = object()


class _Watched(Coroutine[Any, Any, Any]):
    """A coroutine that tells each time it suspends."""

    def __init__(self, inner: Coroutine[Any, Any, Any], suspended: Callable[[], None]) -> None:
        self._inner = inner
        self._suspended = suspended

    def send(self, value: Any) -> Any:
        waits_for = self._inner.send(value)
        self._suspended()
        return waits_for

    def throw(self, *exc: Any) -> Any:
        waits_for = self._inner.throw(*exc)
        self._suspended()
        return waits_for

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()


class _Interruption:
    """Cancels one operation when it, or a task that it started, has suspended so many times."""

    def __init__(self, at: int) -> None:
        self._left = at
        self._root: asyncio.Task[Any] | None = None
        self.reached = False

    async def run(self, operation: Coroutine[Any, Any, Any]) -> Any:
        """Return what the operation does, or INTERRUPTED. Its own error is raised."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(self._task)  # type: ignore[arg-type]  # typeshed wants what 3.13 has
        try:
            self._root = loop.create_task(operation)
            ended, _ = await asyncio.wait([self._root], timeout=ENDS_SECONDS)
        finally:
            loop.set_task_factory(None)
        assert ended, "it does not end"
        if self._root.cancelled():
            return INTERRUPTED
        assert not self.reached or self._root.exception() is not None, "it swallowed its cancellation"
        return self._root.result()

    def _task(
        self, loop: asyncio.AbstractEventLoop, operation: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        return asyncio.Task(_Watched(operation, self._suspended), loop=loop, **options)

    def _suspended(self) -> None:
        self._left -= 1
        if self._left == 0 and self._root is not None:
            self.reached = True
            self._root.cancel()


async def sweep(scenario: Callable[[Interrupt], Awaitable[None]], places: Iterable[int] | None = None) -> int:
    """Run a scenario again and again, its one interrupted operation cancelled one await later each time.

    Ends with the first run that was not reached; returns how many times it was cancelled. After each run no task may
    be left over. Raises AssertionError with the place.
    """
    cancelled = 0
    for place in places or count(1):
        interruption = _Interruption(place)
        before = asyncio.all_tasks()
        try:
            await scenario(interruption.run)
            await asyncio.sleep(0)
            assert asyncio.all_tasks() <= before, f"left over: {asyncio.all_tasks() - before}"
        except BaseException as exc:
            exc.add_note(f"cancelled at await {place}")
            raise
        if not interruption.reached:
            break
        cancelled += 1
    gc.collect()  # what was let go of unclosed says so now, and not in another test
    return cancelled
