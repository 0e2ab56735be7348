"""Redis -> batches of payloads, each as much as is counted before the loop turns. A source reads; it counts nothing."""

from collections.abc import Callable
from typing import Protocol

from sidecar.core.events.batch import Batch
from sidecar.core.events.source import SourceKind


class Source(Protocol):
    """One channel, pattern or stream. One task uses it: connect, then read again and again, then close.

    After UnavailableError from any method, `connect` starts over. `read` may be cancelled at any await without
    losing what has arrived; `leftover` returns it.
    """

    name: str
    kind: SourceKind

    @property
    def lag_seconds(self) -> float:
        """How long what was read last had waited in Redis, as far as that can be known."""
        ...

    async def connect(self) -> None:
        """Connect and subscribe. Raises UnavailableError or AccessError."""
        ...

    async def read(self, after: str) -> Batch | None:
        """Return what came next, `None` if nothing did for a while. `after` is the last entry read of a stream."""
        ...

    def ask_again(self) -> None:
        """Ask again what is known of Redis before reading on; it changed since."""
        ...

    async def leftover(self, give: Callable[[Batch], object]) -> None:
        """Hand over what came before this call and was not read; for the last commit before a stop.

        A Redis that does not answer is waited for: the caller has a deadline, and may cancel. Raises UnavailableError
        if the connection is lost before all is there.
        """
        ...

    async def close(self) -> None:
        """Let go of the connection, and of what was not read."""
        ...
