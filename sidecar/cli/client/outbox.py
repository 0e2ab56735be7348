"""Events -> Redis, also through its outages, like a backend with an outbox."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from sidecar.cli.client.access import connected
from sidecar.cli.client.publishing import Destination, Publisher
from sidecar.config import RedisConfig
from sidecar.errors import UnavailableError
from sidecar.redis.link import Link
from sidecar.redis.servers import Servers

# Longer than a failover or a restart takes.
PATIENCE_SECONDS = 60.0
RETRY_SECONDS = 0.5


@asynccontextmanager
async def outbox(config: RedisConfig, to: Destination, *, say: Callable[[str], None]) -> AsyncIterator["Outbox"]:
    """Open an outbox, and close it. Raises `UnavailableError` if Redis does not answer at first."""
    async with connected(config, key=to.name) as link:
        opened = Outbox(config, to, link, say)
        try:
            yield opened
        finally:
            await opened.close()


class Outbox:
    """Publish like a backend with an outbox: keep what Redis does not take, and send it again when Redis is back.

    What arrived the first time comes twice, with the same number, and counts once.
    """

    def __init__(self, config: RedisConfig, to: Destination, link: Link, say: Callable[[str], None]) -> None:
        self._config = config
        self._to = to
        self._link: Link | None = link
        self._say = say
        self._sent_before = False

    async def send(self, payloads: Sequence[str | bytes]) -> int:
        """Publish in order; return how many subscribers received the last. Raises `UnavailableError` after a minute."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        away = False
        while True:
            try:
                heard = await Publisher(await self._connected(), self._to).send(payloads)
            except UnavailableError as exc:
                await self.close()
                if not self._sent_before or time.monotonic() > deadline:
                    raise
                if not away:
                    self._say(f"{exc}; publishing continues when it is back")
                away = True
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._sent_before = True
                return heard

    async def close(self) -> None:
        """Close the connection; the next `send` opens another."""
        if self._link:
            await self._link.close()
        self._link = None

    async def _connected(self) -> Link:
        """Return the connection; after an outage it leads to the present primary."""
        self._link = self._link or await Servers(self._config.target).open(self._to.name)
        return self._link
