"""Queues -> ledger: each Redis with queues has a task that reads them, shortly before each tick.

So a tick commits what the queues say now, and waits for none of them: a Redis that answers late is read a tick later.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set

import structlog

from sidecar.core.counts.queue_read import QueueReading
from sidecar.exposition.published import Component
from sidecar.process.clock import Clock
from sidecar.sources.queues.reader import QueueAnswer, QueueReader

LEAD_SECONDS = 0.05  # how long before a tick the queues are read
NO_ROOM = "there are too many queues: this one is not shown"
TAKEN = "a queue in another Redis has this name: set another `name`"


class Queues:
    """Reads the configured queues, and knows what is wrong with each."""

    def __init__(
        self,
        readers: Iterable[QueueReader],
        *,
        interval: float,
        clock: Clock,
        ticked: Callable[[], Awaitable[object]],
        take: Callable[[Mapping[str, QueueReading]], Set[str]],
    ) -> None:
        """`ticked` waits for the next tick, and the ticks are `interval` seconds apart.

        `take` takes readings and returns the names of those that it has no room for.
        """
        self._readers = tuple(readers)
        self._pause = interval - min(LEAD_SECONDS, interval / 2)
        self._clock = clock
        self._ticked = ticked
        self._take = take
        self._owners = {name: reader for reader in self._readers for name in reader.names}
        self._found: dict[QueueReader, dict[str, Component]] = {reader: {} for reader in self._readers}
        self._log = structlog.get_logger("sidecar")

    def components(self) -> dict[str, Component]:
        """Return the health of every queue."""
        return {name: component for found in self._found.values() for name, component in found.items()}

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for reader in self._readers:
                tasks.create_task(self._keep_reading(reader))

    async def close(self) -> None:
        """Close all connections."""
        for reader in self._readers:
            await reader.close()

    async def _keep_reading(self, reader: QueueReader) -> None:
        while True:
            await self._ticked()
            await asyncio.sleep(self._pause)
            answers = await reader.read(self._clock.now())
            own = {name: one for name, one in answers.items() if self._owners.setdefault(name, reader) is reader}
            left_out = self._take({name: one.reading for name, one in own.items() if one.reading is not None})
            found = {name: _component(one, fits=name not in left_out) for name, one in own.items()}
            found |= {f"{name} (2)": Component("degraded", TAKEN) for name in answers.keys() - own.keys()}
            self._report({f"queue:{name}": component for name, component in found.items()}, self._found[reader])

    def _report(self, new: Mapping[str, Component], known: dict[str, Component]) -> None:
        """Keep what is known of queues; log each problem once, and its end."""
        for name, component in new.items():
            before = known.get(name, Component("ok"))
            if component.status != before.status:
                queue = name.partition(":")[2]
                if component.status == "ok":
                    self._log.info("queue is read again", queue=queue)
                else:
                    self._log.warning("queue cannot be read", queue=queue, detail=component.detail)
        known.clear()
        known.update(new)


def _component(answer: QueueAnswer, *, fits: bool) -> Component:
    if answer.problem is not None:
        return Component("degraded", str(answer.problem))
    if not fits:
        return Component("degraded", NO_ROOM)
    return Component("ok", answer.note) if answer.note else Component("ok")
