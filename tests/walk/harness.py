"""A whole Service in memory, whose Redis, sources and clock are moved by hand; it renders what it shows as ever."""

from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

import structlog
from msgspec.structs import replace

from sidecar import assembly
from sidecar import service as service_module
from sidecar.assembly import rules
from sidecar.clock import Clock
from sidecar.config import Config
from sidecar.config.structs import MetricsConfig, OrdersConfig, RedisConfig, Seconds, SourcesConfig
from sidecar.core.batch import Batch, StreamRead
from sidecar.core.commit import Answer, Commit, order
from sidecar.core.snapshot import Snapshot
from sidecar.core.state import Rules, State
from sidecar.errors import UnavailableError
from sidecar.exposition import prometheus
from sidecar.exposition.negotiation import Format
from sidecar.fleet import REGISTER_SECONDS
from sidecar.service import Service
from sidecar.sources.memory import MemorySource
from sidecar.store import Store
from sidecar.store.memory import MemoryStore
from sidecar.store.redis import FLEET_SECONDS
from tests.walk.places import CONFIGURED, HOLD_SECONDS, LIMITS
from tests.walk.steps import Settings

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


class Registry:
    """What the members of a fleet share: their list, and the checkpoints by prefix."""

    def __init__(self) -> None:
        self.listed: dict[str, tuple[float, str]] = {}  # when, and the prefix, by prefix and instance
        self.stores: dict[str, Redis] = {}

    def prefix(self, hands: Hands, prefix: str) -> tuple["Redis", "Stream"]:
        """Return the part of Redis that one sidecar uses."""
        last_ids: dict[str, str] = {}
        redis = self.stores[prefix] = Redis(hands, last_ids, self, prefix)
        return redis, Stream(last_ids, lambda: redis.replid)


class Redis(MemoryStore):
    """One prefix. The next commit may not reach it, or its answer be lost; it may lose all."""

    def __init__(self, hands: Hands, last_ids: dict[str, str], registry: Registry, prefix: str) -> None:
        super().__init__(lease=LEASE, clock=lambda: hands.steady, last_ids=last_ids)
        self.fate = "ok"
        self._hands = hands
        self._registry = registry
        self._prefix = prefix

    def store(self) -> Store:
        """Return what a sidecar commits to."""
        return self

    def source(self) -> MemorySource:
        """Return what a sidecar hears."""
        return MemorySource(f"pubsub:{NAME}", clock=lambda: self._hands.wall)

    async def publish(self, source: MemorySource, payload: bytes) -> Batch:
        """Publish to those who listen; return what arrives at one."""
        return Batch(source=source.name, payloads=[payload], arrivals=[self._hands.wall])

    async def keys(self) -> Mapping[str, Any]:
        """Return the public keys."""
        return self.public

    async def close(self) -> None: ...

    async def commit(self, commit: Commit, fields: Mapping[str, bytes], committed: State, now: float) -> Answer:
        fate, self.fate = self.fate, "ok"
        if fate == "away":
            raise UnavailableError("away")
        answer = await super().commit(commit, fields, committed, now)
        if fate == "answer lost" and answer.outcome != "OK":
            self.fate = fate  # that of the next one is
        elif fate == "answer lost":
            raise UnavailableError("the answer was lost")
        return answer

    def lose_everything(self) -> None:
        """Come back empty."""
        self.fields, self.public, self.replid = {}, {}, f"{self.replid}+"
        self._holder = ""
        self._registry.listed.clear()

    def save(self) -> Any:
        """Return what a replica has."""
        return dict(self.fields), dict(self.public)

    def fail_over(self, saved: Any) -> None:
        """A replica takes its place."""
        self.fields, self.public, self.replid = dict(saved[0]), dict(saved[1]), f"{self.replid}+"

    async def clear(self, generation: str) -> bytes:
        totals = await super().clear(generation)
        self.fields["cleared_at"] = b"%.6f" % self._hands.wall
        return totals

    async def now(self, ours: float) -> float:
        """Members share the clock of their Redis."""
        return ours

    async def register(self, fleet: str, instance: str, now: float) -> None:
        """List a member."""
        self._registry.listed[f"{self._prefix} {instance}"] = now, self._prefix

    async def members(self, fleet: str, now: float) -> dict[str, str]:
        """Return the instance by prefix, the newest for each."""
        listed = sorted(self._registry.listed.items(), key=lambda item: item[1][0])
        return {prefix: name.partition(" ")[2] for name, (at, prefix) in listed if at >= now - FLEET_SECONDS}

    async def state(self, prefix: str) -> State | None:
        """Return what is stored under a prefix."""
        fields = self._registry.stores[prefix].fields
        return State.load(fields) if fields else None


class Stream:
    """A stream that is trimmed and deleted; ids go on, as those by time do."""

    lag_seconds = 0.0

    def __init__(self, last_ids: dict[str, str], replid: Callable[[], str] = str) -> None:
        self.name = f"stream:{NAME}"
        self._replid = replid
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

    def source(self) -> Any:
        """Return what a sidecar reads."""
        return self

    def trim(self, keep: int) -> None:
        """Keep the newest entries."""
        self.entries = self.entries[len(self.entries) - keep :] if keep < len(self.entries) else self.entries

    def save(self) -> tuple[list[Any], int, bool, str]:
        """Return what a replica has."""
        return list(self.entries), self._added, self._exists, self._last_ids.get(NAME, "")

    def fail_over(self, saved: Any) -> None:
        """A replica takes its place; later ids are still later ones."""
        entries, self._added, self._exists, last_id = saved
        self.entries = list(entries)
        self._last_ids.pop(NAME, None)
        if last_id:
            self._last_ids[NAME] = last_id

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
            replid=self._replid(),
            entries=len(entries),
            added=self._added,
            length=len(self.entries),
            complete=True,
            exists=self._exists,
            oldest=f"{self.entries[0][0]}-0" if self.entries else None,
            newest=self._last_ids[NAME] if self._exists else None,
        )
        return Batch(source=self.name, payloads=[e[1] for e in entries], arrivals=[e[2] for e in entries], stream=facts)

    async def connect(self) -> None: ...

    def ask_again(self) -> None: ...

    async def leftover(self, give: object) -> None: ...

    async def close(self) -> None: ...


class Sidecar:
    """One process: a Service whose parts that wait are called by hand."""

    def __init__(self, hands: Hands, redis: Any, stream: Any, config: Config) -> None:
        self._hands = hands
        self._config = config
        self._redis = redis
        self._stream = stream.source()
        clock = Clock(lambda: hands.wall, lambda: hands.steady)
        self._channel = redis.source()
        with (
            patch.multiple(
                service_module,
                store=lambda *_: redis.store(),
                sources=lambda *_: (self._channel, self._stream),
                Clock=lambda: clock,
                rules=few,
            ),
            # What these collect takes longer than a commit.
            patch.multiple(prometheus, ProcessCollector=_nothing, PlatformCollector=_nothing, GCCollector=_nothing),
        ):
            self.service = Service(config, log=structlog.get_logger("walk"))
        self.pipeline = self.service._pipeline
        self.ledger = self.service._ledger
        self._exposition = self.service._http._endpoints._exposition
        self._attends_at = hands.steady

    async def start(self) -> None:
        """Take over the state, waiting as long as it takes, and connect."""
        while not await self.pipeline._take():
            self._hands.pass_(INTERVAL)
        self.pipeline.ingest.begin()
        for source in self.pipeline.ingest.sources:
            await source.connect()
            self.pipeline.ingest._connected(source.name)
        self.service._publish()

    def reload(self, config: Config) -> None:
        """Load the configuration again."""
        with patch.object(service_module, "rules", few):
            _, left = self.service.reload(config)
        assert not left, f"{left} wait for a restart"

    async def hear(self, payload: bytes) -> None:
        """Apply what pub/sub brings."""
        self.pipeline.ingest._apply(await self._redis.publish(self._channel, payload))

    async def report(self) -> Snapshot:
        """Return what `sidecar report` shows without a daemon."""
        with patch.object(assembly, "store", lambda *_: self._redis.store()):
            return await assembly.read(self._config, self._hands.wall)

    async def reconnect(self) -> None:
        """Connect again to a Redis that was away."""
        for source in self.pipeline.ingest.sources:
            await source.connect()

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
        await self.attend()

    async def attend(self) -> None:
        """Register with the fleet, and list it, when it is time to."""
        if self._hands.steady >= self._attends_at:
            counts = self.service._committed_at() is not None and self.ledger.active
            await self.service._fleet.attend(counts=counts)
            self._attends_at = self._hands.steady + REGISTER_SECONDS

    async def fleet(self) -> Snapshot:
        """Return what is shown of the fleet at the next tick."""
        self.service._publish()
        return await self.service.fleet()

    async def stop(self) -> None:
        """End in order."""
        await self.pipeline.ingest.stop()
        await self.pipeline._finish()

    async def exposition(self) -> str:
        """Return what `/metrics` shows."""
        return (await self._exposition.render(lambda: self.service._latest.exposed, Format.TEXT)).decode()


def configuration(prefix: str, instance: str, interval: float, settings: Settings) -> Config:
    """Return the configuration of a walk."""
    return Config(
        redis=RedisConfig(prefix=prefix),
        sources=SourcesConfig(pubsub=(NAME,), streams=(NAME,)),
        commit_interval=Seconds(interval),
        lease=Seconds(LEASE),
        instance=instance,
        fleet="shops",
        products=CONFIGURED,
        refusals=settings.refusals,
        currency=settings.currency,
        orders=OrdersConfig(repeats="count" if settings.count_repeats else "ignore"),
        metrics=MetricsConfig(
            buckets=tuple(bound / 1000 for bound in settings.buckets_ms),
            max_products=LIMITS["product"],
            new_series_hold=Seconds(HOLD_SECONDS),
        ),
    )


def few(config: Config) -> Rules:
    """Return the rules of a configuration, with fewer places than can be configured."""
    places = {f"max_{kind}s": limit for kind, limit in LIMITS.items() if kind in ("reason", "queue", "type")}
    return replace(rules(config), max_currencies=LIMITS["currency"], **places)
