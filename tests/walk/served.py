"""A real Redis instead of the one in memory: commits, streams, channels and keys go through a server.

Only what goes by time is done by hand: a lease ends when the clock of the walk says so.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from signal import SIGKILL
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import redis

from sidecar.core.commit.commit import Commit, CommitAnswer
from sidecar.core.counts.state import State
from sidecar.core.events.batch import Batch
from sidecar.errors import UnavailableError
from sidecar.redis.servers import Servers
from sidecar.redis.url import parse
from sidecar.sources import pubsub, stream
from sidecar.sources.pubsub import PubSubSource
from sidecar.sources.stream import StreamSource
from sidecar.store import Taken
from sidecar.store import redis as store
from sidecar.store.redis import RedisStore
from tests.redis_server import RedisServer
from tests.walk.ground import LEASE, NAME, Hands, Stream


class Served:
    """A server, which is killed and starts without data when it loses everything."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.opened: list[Any] = []  # stores and sources

    def prefix(self, hands: Hands, prefix: str) -> tuple["ServedRedis", "ServedStream"]:
        """Return the part of Redis that one sidecar uses, empty."""
        served = ServedRedis(self, hands, prefix)
        served.client.flushall()
        return served, ServedStream(served)

    def servers(self) -> Servers:
        """Return where the server is."""
        return Servers(parse(self.server.url))

    async def close(self) -> None:
        """Close every connection."""
        for one in self.opened:
            await one.close()


class ServedRedis:
    """One prefix. The next commit may not reach it, or its answer be lost; it may lose all."""

    def __init__(self, served: Served, hands: Hands, name: str) -> None:
        self.fate = "ok"
        self.hands = hands
        self.lease_end = 0.0
        self.served = served
        self.client: Any = redis.Redis(port=served.server.port, decode_responses=True)
        self.name = name
        self._own = self.store()

    def store(self) -> "ServedStore":
        """Return what a sidecar commits to."""
        opened = ServedStore(self)
        self.served.opened.append(opened)
        return opened

    def source(self) -> PubSubSource:
        """Return what a sidecar hears."""
        opened = PubSubSource(NAME, self.served.servers())
        self.served.opened.append(opened)
        return opened

    async def publish(self, source: PubSubSource, payload: bytes) -> Batch:
        """Publish to those who listen; return what arrives at one."""
        self.client.publish(NAME, payload)
        while (batch := await source.read()) is None:
            pass
        return batch

    async def clear(self, generation: str) -> bytes:
        """Clear the prefix."""
        return await self._own.clear(generation)

    async def clear_metric(self, name: str, id: str) -> bool:
        """Clear one custom metric."""
        return await self._own.clear_metric(name, id)

    async def keys(self) -> Mapping[str, int]:
        """Return the public keys that are numbers."""
        names = self.client.keys(f"{self.name}*:*")
        values = zip(names, self.client.mget(names), strict=True) if names else ()
        numbers = ((name, value) for name, value in values if value is not None and value.lstrip("-").isdigit())
        return {name.removeprefix(self.name): int(value) for name, value in numbers}

    async def close(self) -> None:
        """Close every connection; stores connect again."""
        await self.served.close()

    def lose_everything(self) -> None:
        """Come back empty."""
        self.served.server.stop(SIGKILL)
        self.served.server.start()


class ServedStore(RedisStore):
    """A store whose commits may fail, and whose lease goes by the clock of the walk."""

    def __init__(self, served: ServedRedis) -> None:
        super().__init__(served.served.servers(), served.name, lease=LEASE, keep_rejected=True)
        self._served = served

    async def take(self, owner: str, token: str, *, dead: str, create: bool) -> Taken:
        if self._served.hands.steady >= self._served.lease_end:
            self._served.client.delete(f"{self._served.name}lease")
        taken = await super().take(owner, token, dead=dead, create=create)
        if taken.fields is not None:
            self._renew()
        return taken

    async def commit(self, commit: Commit, fields: Mapping[str, bytes], committed: State, now: float) -> CommitAnswer:
        fate, self._served.fate = self._served.fate, "ok"
        if fate == "away":
            raise UnavailableError("away")
        answer = await super().commit(commit, fields, committed, now)
        self._renew()
        if fate == "answer lost" and answer.outcome != "OK":
            self._served.fate = fate  # that of the next one is
        elif fate == "answer lost":
            raise UnavailableError("the answer was lost")
        return answer

    def _renew(self) -> None:
        self._served.lease_end = self._served.hands.steady + LEASE


class ServedStream(Stream):
    """The same stream on the server, with ids of the walk's time."""

    def __init__(self, served: ServedRedis) -> None:
        super().__init__({})
        self._served = served

    def add(self, payload: bytes, at: float) -> int:
        number = super().add(payload, at)
        self._served.client.xadd(NAME, {"e": payload}, id=f"{round(at * 1000)}-{number}")
        return number

    def trim(self, keep: int) -> None:
        super().trim(keep)
        self._served.client.xtrim(NAME, maxlen=keep, approximate=False)

    def source(self) -> StreamSource:
        opened = StreamSource(NAME, self._served.served.servers())
        self._served.served.opened.append(opened)
        return opened


@contextmanager
def clock_of(hands: Hands) -> Iterator[None]:
    """Have store and sources go by the clock of the walk, and wait for nothing."""
    wall = SimpleNamespace(time=lambda: hands.wall, monotonic=lambda: hands.steady)
    with (
        patch.object(store, "time", wall),
        patch.multiple(pubsub, time=wall, PACE_SECONDS=0),
        patch.multiple(stream, time=wall, PACE_SECONDS=0, BLOCK_MS=1),
    ):
        yield
