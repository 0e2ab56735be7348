"""A whole Service in memory, whose Redis, sources and clock are moved by hand; it renders what it shows as ever."""

from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

import structlog

from sidecar import service as service_module
from sidecar.clock import Clock
from sidecar.config import Config
from sidecar.config.structs import MetricsConfig, Seconds, SourcesConfig
from sidecar.core.batch import Batch, StreamRead
from sidecar.core.commit import Answer, Commit, order
from sidecar.core.state import State
from sidecar.errors import UnavailableError
from sidecar.exposition import prometheus
from sidecar.exposition.negotiation import Format
from sidecar.service import Service
from sidecar.sources.memory import MemorySource
from sidecar.store.memory import MemoryStore

T0 = 1_790_000_000.0
INTERVAL, LEASE = 0.5, 5.0
NAME = "shop"


def _nothing(**_: object) -> None: ...


class Hands:
    """Time that stands still until it passes, or is set."""

    def __init__(self) -> None:
        self.wall = T0
        self.steady = T0 / 2

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.steady += seconds


class Redis(MemoryStore):
    """One prefix. The next commit may not reach it, or its answer be lost; it may lose all."""

    def __init__(self, hands: Hands, last_ids: dict[str, str]) -> None:
        super().__init__(lease=LEASE, clock=lambda: hands.steady, last_ids=last_ids)
        self.fate = "ok"
        self.members: dict[str, MemoryStore] = {}

    async def commit(self, commit: Commit, fields: Mapping[str, bytes], committed: State, now: float) -> Answer:
        fate, self.fate = self.fate, "ok"
        if fate == "away":
            raise UnavailableError("away")
        answer = await super().commit(commit, fields, committed, now)
        if fate == "answer lost":
            raise UnavailableError("the answer was lost")
        return answer

    def lose_everything(self) -> None:
        """Come back empty."""
        self.fields, self.public, self.replid = {}, {}, f"{self.replid}+"
        self._holder = ""

    async def now(self, ours: float) -> float:
        """Members share the clock of their Redis."""
        return ours

    async def register(self, fleet: str, instance: str, now: float) -> None:
        """Note a member."""
        self.members[instance] = self

    async def state(self, prefix: str) -> State | None:
        """Return what is stored under a prefix."""
        return State.load(self.members[prefix].fields)


class Stream:
    """A stream that is trimmed and deleted; ids go on, as those by time do."""

    lag_seconds = 0.0

    def __init__(self, last_ids: dict[str, str], redis: Redis) -> None:
        self.name = f"stream:{NAME}"
        self._redis = redis
        self._last_ids = last_ids
        self.entries: list[tuple[int, bytes, float]] = []
        self.newest = 0
        self._added = 0
        self._exists = False

    def add(self, payload: bytes, at: float) -> int:
        """Append an entry; return the number in its id."""
        self.newest += 1
        self._added += 1
        self._exists = True
        self.entries.append((self.newest, payload, at))
        self._last_ids[NAME] = f"{self.newest}-0"
        return self.newest

    def trim(self, keep: int) -> None:
        """Keep the newest entries."""
        self.entries = self.entries[len(self.entries) - keep :] if keep < len(self.entries) else self.entries

    def delete(self) -> None:
        """Delete the stream."""
        self.entries, self._added, self._exists = [], 0, False
        self._last_ids.pop(NAME, None)

    async def read(self, after: str) -> Batch:
        """Return what comes after an id."""
        entries = [entry for entry in self.entries if (entry[0], 0) > order(after)]
        facts = StreamRead(
            after=after,
            last=f"{entries[-1][0]}-0" if entries else after,
            replid=self._redis.replid,
            entries=len(entries),
            added=self._added,
            length=len(self.entries),
            complete=True,
            exists=self._exists,
            oldest=f"{self.entries[0][0]}-0" if self.entries else None,
            newest=f"{self.newest}-0" if self._exists else None,
        )
        return Batch(source=self.name, payloads=[e[1] for e in entries], arrivals=[e[2] for e in entries], stream=facts)

    async def connect(self) -> None: ...

    def ask_again(self) -> None: ...

    async def leftover(self, give: object) -> None: ...

    async def close(self) -> None: ...


class Sidecar:
    """One process: a Service whose parts that wait are called by hand."""

    def __init__(self, hands: Hands, redis: Redis, stream: Stream, config: Config) -> None:
        self._hands = hands
        self._redis = redis
        self._stream = stream
        clock = Clock(lambda: hands.wall, lambda: hands.steady)
        self._channel = MemorySource(f"pubsub:{NAME}", clock=lambda: hands.wall)
        with (
            patch.multiple(
                service_module,
                store=lambda *_: redis,
                sources=lambda *_: (self._channel, stream),
                Clock=lambda: clock,
            ),
            # What these collect takes longer than a commit.
            patch.multiple(prometheus, ProcessCollector=_nothing, PlatformCollector=_nothing, GCCollector=_nothing),
        ):
            self.service = Service(config, log=structlog.get_logger("walk"))
        self.pipeline = self.service._pipeline
        self.ledger = self.service._ledger
        self._exposition = self.service._http._endpoints._exposition

    async def start(self) -> None:
        """Take over the state, waiting as long as it takes, and connect."""
        while not await self.pipeline._take():
            self._hands.pass_(INTERVAL)
        self.pipeline.ingest.begin()
        for source in self.pipeline.ingest.sources:
            self.pipeline.ingest._connected(source.name)
        self.service._publish()

    def hear(self, payload: bytes) -> None:
        """Apply what pub/sub brings."""
        batch = Batch(source=self._channel.name, payloads=[payload], arrivals=[self._hands.wall])
        self.pipeline.ingest._apply(batch)

    async def read(self) -> str:
        """Read the stream to its end; return the position."""
        for _ in range(3):
            self.pipeline.ingest._apply(await self._stream.read(self.ledger.position(NAME)))
        return self.ledger.position(NAME)

    async def tick(self) -> None:
        """Commit, and publish."""
        self.pipeline.ingest.count_blind()
        await self.pipeline._commit()
        self.service._publish()

    async def stop(self) -> None:
        """End in order."""
        await self.pipeline.ingest.stop()
        await self.pipeline._finish()

    async def exposition(self) -> str:
        """Return what `/metrics` shows."""
        return (await self._exposition.render(lambda: self.service._latest.exposed, Format.TEXT)).decode()


def configuration(**settings: Any) -> Config:
    """Return the configuration of a walk."""
    return Config(
        sources=SourcesConfig(pubsub=(NAME,), streams=(NAME,)),
        commit_interval=Seconds(INTERVAL),
        lease=Seconds(LEASE),
        instance="walker",
        metrics=MetricsConfig(new_series_hold=Seconds(0), **settings),
    )
