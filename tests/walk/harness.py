"""A whole Service whose Redis, sources and clock are moved by hand; it renders what it shows as ever."""

from typing import Any
from unittest.mock import patch

import structlog
from msgspec.structs import replace

from sidecar.config import Config
from sidecar.config.structs import MetricsConfig, OrdersConfig, RedisConfig, Seconds, SourcesConfig
from sidecar.core.counts.rules import Rules
from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.daemon import build
from sidecar.daemon import service as service_module
from sidecar.daemon.build import rules
from sidecar.daemon.fleet import REGISTER_SECONDS
from sidecar.daemon.service import Service
from sidecar.exposition.prometheus import render
from sidecar.exposition.prometheus.negotiation import Format
from sidecar.process.clock import Clock
from tests.walk.custom import DEFINED
from tests.walk.ground import LEASE, NAME, Hands
from tests.walk.places import CONFIGURED, HOLD_SECONDS, LIMITS
from tests.walk.steps import Settings

INTERVAL = 0.5


def _nothing(**_: object) -> None: ...


class Sidecar:
    """One process: a Service whose parts that wait are called by hand."""

    def __init__(self, hands: Hands, redis: Any, stream: Any, config: Config) -> None:
        self._hands = hands
        self._config = config
        self._redis = redis
        self._stream = stream.source()
        clock = Clock(lambda: hands.wall, lambda: hands.steady)
        self._channel = redis.source()
        parts = build.Parts(redis.store(), redis.store(), (self._channel, self._stream), clock=clock)
        with (
            patch.object(service_module, "rules", few),
            # What these collect takes longer than a commit.
            patch.multiple(render, ProcessCollector=_nothing, PlatformCollector=_nothing, GCCollector=_nothing),
        ):
            self.service = Service(config, log=structlog.get_logger("walk"), parts=parts)
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
            self.pipeline.ingest._connected(source)
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
        with patch.object(build, "store", lambda *_: self._redis.store()):
            return await build.read(self._config, self._hands.wall)

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
        return (await self._exposition.render(lambda: self.service._latest.published, Format.TEXT)).decode()


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
        custom_metrics=DEFINED,
    )


def few(config: Config) -> Rules:
    """Return the rules of a configuration, with fewer places than can be configured."""
    places = {f"max_{kind}s": limit for kind, limit in LIMITS.items() if kind in ("reason", "queue", "type")}
    return replace(rules(config), max_currencies=LIMITS["currency"], **places)
