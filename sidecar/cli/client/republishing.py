"""A recording -> the sources of a live stack, in real time."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack

from sidecar.cli.client.access import with_advice
from sidecar.cli.client.outbox import Outbox, outbox
from sidecar.cli.client.publishing import Destination
from sidecar.config import Config
from sidecar.core.events.batch import Batch
from sidecar.core.journal.rows import BatchRow, JournalRow, RecordingHeader, StateRow, batch_of
from sidecar.core.journal.shifting import Shift, destinations
from sidecar.daemon.build import store
from sidecar.errors import SidecarError

BATCH = 500  # messages in one round trip
Rows = Iterable[tuple[RecordingHeader | JournalRow, list[bytes]]]


async def republish(config: Config, rows: Rows, *, speed: float, say: Callable[[str], None]) -> int:
    """Publish all payloads again, from now on; return how many. Raises SidecarError while a sale runs there."""
    await _require_no_sale(config)
    links: dict[tuple[str, str], Outbox] = {}
    sent, shift = 0, None
    async with AsyncExitStack() as stack:
        for now, batch in _batches(rows):
            shift = shift or Shift(began=now, now=time.time(), speed=speed)
            await asyncio.sleep(max(shift.at(now) - time.time(), 0.0))
            for transport, name, payloads in destinations(batch):
                if (transport, name) not in links:
                    to = Destination("stream" if transport == "stream" else "pubsub", name)
                    links[transport, name] = await stack.enter_async_context(outbox(config.events, to, say=say))
                moved = [shift.payload(payload) for payload in payloads]
                for at in range(0, len(moved), BATCH):
                    await links[transport, name].send(moved[at : at + BATCH])
                sent += len(moved)
    return sent


def _batches(rows: Rows) -> Iterator[tuple[float, Batch]]:
    """Yield each batch once, with the time at which it was counted."""
    begun, skip = False, 0
    for row, payloads in rows:
        if isinstance(row, StateRow):
            skip = row.repeated if begun else 0
        elif isinstance(row, BatchRow):
            begun = True
            if skip:
                skip -= 1
            elif payloads:
                yield row.now, batch_of(row, payloads)


async def _require_no_sale(config: Config) -> None:
    reader = store(config)
    try:
        with with_advice():
            running = await reader.exists() and (await reader.sale())[0].state == "running"
    finally:
        await reader.close()
    if running:
        raise SidecarError(
            f"a sale runs under {config.redis.prefix!r}: a replay would count into it. Name the Redis of a test, or "
            "another --prefix"
        )
