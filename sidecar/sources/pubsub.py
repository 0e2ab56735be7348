"""A pub/sub channel or pattern as a source."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from sidecar.core.events.batch import Batch, before_yield
from sidecar.core.events.channels import is_pattern
from sidecar.core.events.source import PUBSUB
from sidecar.errors import UnavailableError
from sidecar.redis.link import Link, only_bytes, reading_reply
from sidecar.redis.servers import Servers

MESSAGES_A_BATCH = 500  # some 2 ms of work, which stays in the processor's cache
# After fewer than this, wait until more have come: many together cost much less than one by one.
FEW = 100
PACE_SECONDS = 0.01
MESSAGES = (b"message", b"pmessage", b"smessage")
PING_SECONDS = 1.5
PONG_SECONDS = 2.0  # a frozen or partitioned Redis is noticed after at most the sum of both
# On shutdown, everything that has arrived is drained after this much silence, or after this long in a flood.
QUIET_SECONDS = 0.01
ARRIVED_SECONDS = 0.1


class PubSubSource:
    """Messages of one channel, or of all channels that match a pattern."""

    kind = PUBSUB

    def __init__(self, channel: str, servers: Servers) -> None:
        self.name = f"pubsub:{channel}"
        self._channel = channel
        self._is_pattern = is_pattern(channel)
        self._servers = servers
        self._link: Link | None = None
        self._few = False
        self._unread: list[bytes] = []
        self._channels: list[bytes] | None = None  # the channels of unread messages, for a pattern
        self._asked = 0.0  # when the PING was sent whose PONG has not come
        self._answered = 0.0  # when the last PONG came

    async def connect(self) -> None:
        await self._disconnect()
        link = await self._servers.open(self._channel)
        try:
            for command in self._commands():
                await link.call(command, self._channel)
        except BaseException:
            await link.close()
            raise
        self._link, self._asked, self._answered = link, 0.0, time.monotonic()

    @property
    def lag_seconds(self) -> float:
        """How long a PONG has been due: Redis sends it after all earlier messages."""
        return time.monotonic() - self._asked if self._asked else 0.0

    async def read(self, after: str = "") -> Batch | None:
        if self._unread:
            return self._next()
        link = self._link
        if link is None:
            raise UnavailableError("not subscribed")
        if not (replies := link.drain(MESSAGES_A_BATCH)):
            if self._few:
                await asyncio.sleep(PACE_SECONDS)
            replies = await link.receive(limit=MESSAGES_A_BATCH, seconds=PONG_SECONDS if self._asked else PING_SECONDS)
            self._few = 0 < len(replies) < FEW
        if replies:
            with reading_reply(self.name):
                self._take(replies)
                self._handle(link, [] if len(self._unread) == len(replies) else _others(replies))
            return self._next()
        if self._asked:
            await self._disconnect()
            raise UnavailableError(f"no PONG within {PONG_SECONDS:.0f} s")
        self._ask(link)
        return None

    def _handle(self, link: Link, others: list[Any]) -> None:
        """Handle replies that are not messages; send the next PING in time, also while messages keep coming.

        An error in reply to a PING (NOPERM, a replica without its master, a server that is loading) is a reply, too:
        the connection is alive and delivers messages.
        """
        now = time.monotonic()
        for reply in others:
            if isinstance(reply, Exception) or reply[0] == b"pong":
                self._asked, self._answered = 0.0, now
            elif reply[0] == b"sunsubscribe":
                link.cut()  # the slot moved to another node; the next read raises
        if not self._asked and now - self._answered >= PING_SECONDS:
            self._ask(link)

    def _ask(self, link: Link) -> None:
        self._asked = time.monotonic()
        link.send_nowait("PING")

    def _commands(self) -> tuple[str, ...]:
        """Return the commands to subscribe. On a Cluster a channel needs both: PUBLISH reaches every node, SPUBLISH
        only the owner of the channel's slot, to which this connection leads.
        """
        if self._is_pattern:
            return ("PSUBSCRIBE",)
        return ("SSUBSCRIBE", "SUBSCRIBE") if self._servers.target.kind == "cluster" else ("SUBSCRIBE",)

    def ask_again(self) -> None:
        pass  # pub/sub does not depend on it

    async def leftover(self, give: Callable[[Batch], object]) -> None:
        """Drain what has arrived, then send PING: when its PONG comes, every earlier message has, too.

        The PING is not sent first: a Redis that has just ended would answer it with a reset, which loses what arrived.
        """
        link, asked, pongs = self._link, False, 2 if self._asked else 1
        ask_at = time.monotonic() + ARRIVED_SECONDS
        while True:
            while (batch := self._next()) is not None:
                give(batch)
                await asyncio.sleep(0)
            if link is None or pongs <= 0:
                return
            replies = await link.receive(limit=MESSAGES_A_BATCH, seconds=PONG_SECONDS if asked else QUIET_SECONDS)
            with reading_reply(self.name):
                self._take(replies)
                pongs -= sum(isinstance(one, Exception) or one[0] == b"pong" for one in _others(replies))
            if not asked and (not replies or time.monotonic() > ask_at):
                asked = True
                self._ask(link)

    async def close(self) -> None:
        await self._disconnect()
        self._unread, self._channels = [], None

    async def _disconnect(self) -> None:
        if self._link is not None:
            await self._link.close()
            self._link = None

    def _take(self, replies: list[Any]) -> None:
        """Keep the messages among the replies until they are read."""
        messages = [reply for reply in replies if isinstance(reply, list) and reply[0] in MESSAGES]
        self._unread = only_bytes([message[-1] for message in messages])
        self._channels = only_bytes([message[-2] for message in messages]) if self._is_pattern else None

    def _next(self) -> Batch | None:
        """Return what to count before yielding to the loop, and keep the rest for the next read."""
        count = before_yield(self._unread)
        payloads, self._unread = self._unread[:count], self._unread[count:]
        channels = None
        if self._channels is not None:
            channels, self._channels = self._channels[:count], self._channels[count:]
        if not payloads:
            return None
        arrivals = [time.time()] * len(payloads)
        return Batch(source=self.name, payloads=payloads, arrivals=arrivals, channels=channels)


def _others(replies: list[Any]) -> list[Any]:
    """Return the replies that are not messages: PONGs, errors, and notices of a Cluster that a slot moved."""
    return [reply for reply in replies if not isinstance(reply, list) or reply[0] not in MESSAGES]
