"""Sources in memory: an embedding program, or a test, adds the payloads."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from sidecar.core.commit.commit import START
from sidecar.core.events.batch import Batch, StreamRead
from sidecar.core.events.source import PUBSUB, STREAM, key_of

BATCH = 500
QUIET_SECONDS = 0.1  # how long `read` waits for an entry: the position may change meanwhile


class MemorySource:
    """Payloads that can be read once, as from pub/sub; name it `pubsub:<name>`."""

    kind = PUBSUB
    lag_seconds = 0.0

    def __init__(self, name: str, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns Unix seconds, for the arrival of payloads."""
        self.name = name
        self._clock = clock
        self._waiting: list[tuple[bytes, float]] = []
        self._arrived = asyncio.Event()

    def put(self, *payloads: bytes) -> None:
        """Add payloads that arrive now."""
        self._waiting += [(payload, self._clock()) for payload in payloads]
        self._arrived.set()

    async def connect(self) -> None:
        pass

    async def read(self, after: str = "") -> Batch | None:
        await self._arrived.wait()
        return self._next(BATCH)

    def ask_again(self) -> None:
        pass

    async def leftover(self, give: Callable[[Batch], object]) -> None:
        while (batch := self._next(BATCH)) is not None:
            give(batch)

    async def close(self) -> None:
        pass

    def _next(self, count: int) -> Batch | None:
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        if not self._waiting:
            self._arrived.clear()
        if not taken:
            return None
        return Batch(source=self.name, payloads=[p for p, _ in taken], arrivals=[at for _, at in taken])


class MemoryStream:
    """Payloads that stay and can be read again from any position, as from a stream; name it `stream:<name>`."""

    kind = STREAM
    lag_seconds = 0.0

    def __init__(
        self, name: str, last_ids: dict[str, str], *, clock: Callable[[], float] = time.time, replid: str = "memory"
    ) -> None:
        """`last_ids` is shared with the store, and `replid` is that of the store."""
        self.name = name
        self._last_ids = last_ids
        self._clock = clock
        self._replid = replid
        self._entries: list[tuple[bytes, float]] = []
        self._added = asyncio.Event()

    def add(self, *payloads: bytes) -> None:
        """Append entries; the id of the n-th is `n-0`."""
        self._entries += [(payload, self._clock()) for payload in payloads]
        self._last_ids[key_of(self.name)] = f"{len(self._entries)}-0"
        self._added.set()

    async def connect(self) -> None:
        pass

    async def read(self, after: str = START) -> Batch:
        start = int(after.partition("-")[0])
        if start >= len(self._entries):
            self._added.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._added.wait()
        entries = self._entries[start : start + BATCH]
        read = StreamRead(
            after=after,
            last=f"{start + len(entries)}-0" if entries else after,
            replid=self._replid,
            entries=len(entries),
            added=len(self._entries),
            length=len(self._entries),
            complete=start + len(entries) >= len(self._entries),
            exists=True,
            oldest="1-0" if self._entries else None,
            newest=f"{len(self._entries)}-0",
        )
        return Batch(
            source=self.name, payloads=[p for p, _ in entries], arrivals=[at for _, at in entries], stream=read
        )

    def ask_again(self) -> None:
        pass

    async def leftover(self, give: Callable[[Batch], object]) -> None:
        pass

    async def close(self) -> None:
        pass
