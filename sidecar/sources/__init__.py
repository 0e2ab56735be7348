"""Redis -> batches of payloads, each small enough to count without blocking the loop. A source counts nothing."""

from collections.abc import Callable
from typing import Protocol

from sidecar.core.events.batch import Batch
from sidecar.core.events.source import SourceKind


class Source(Protocol):
    """One channel, pattern or stream. One task uses it: connect, then read repeatedly, then close.

    After UnavailableError from any method, `connect` again. `read` may be cancelled at any await without losing what
    has arrived; `leftover` returns it.
    """

    name: str
    kind: SourceKind

    @property
    def lag_seconds(self) -> float:
        """How long what was read last had waited in Redis, as far as that is known."""
        ...

    async def connect(self) -> None:
        """Connect and subscribe. Raises UnavailableError or AccessError."""
        ...

    async def read(self, after: str) -> Batch | None:
        """Return what comes next, `None` after a while without anything. `after` is the last entry read of a stream."""
        ...

    def ask_again(self) -> None:
        """Check again what is known about Redis before the next read, since it changed."""
        ...

    async def leftover(self, give: Callable[[Batch], object]) -> None:
        """Drain what came before this call, for the last commit of a shutdown.

        It waits for a Redis that does not answer: the caller has a deadline, and may cancel. Raises UnavailableError if
        the connection is lost before everything has arrived.
        """
        ...

    async def close(self) -> None:
        """Close the connection, and drop what was not read."""
        ...
