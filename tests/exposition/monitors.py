"""A Monitor in memory, and the HTTP server around it."""

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser

from sidecar.config import HttpConfig
from sidecar.core.counts.pending import RejectedEvent
from sidecar.core.counts.sale import NO_DETAILS, Details, Sale, SaleCommand
from sidecar.core.counts.sale_record import SaleRecord
from sidecar.core.snapshot.snapshot import Role, Snapshot
from sidecar.exposition.access.guard import Guard
from sidecar.exposition.http.server import HttpServer
from sidecar.exposition.prometheus.render import Exposition
from sidecar.exposition.published import Component, Health, HealthStatus, Latest
from sidecar.process.telemetry import Telemetry
from tests.exposition import snapshots

# The library gives it no types.
parse_openmetrics: Callable[[str], Iterable[Metric]] = openmetrics_parser.text_string_to_metric_families

NINE_ORDERS = snapshots.snapshot()
SOURCES = ("pubsub:flash_sale:events", "stream:flash_sale:events")


class MemoryMonitor:
    """Answers what it was told; `failure` is raised by whatever talks to Redis."""

    def __init__(self) -> None:
        self.status: HealthStatus = "ok"
        self.is_ready = True
        self.role: Role = "active"
        self.values: dict[str, dict[int, float]] = {}
        self.asked: list[tuple[str, int, int]] = []
        self.clears = 0
        self.said: list[tuple[str, str | None]] = []
        self.kept: dict[str, SaleRecord] = {}
        self.failure: Exception | None = None

    def health(self) -> Health:
        return Health(status=self.status, role=self.role, components={"redis": Component(status=self.status)})

    def ready(self) -> tuple[bool, Role]:
        return self.is_ready, self.role

    async def history(self, metric: str, start: int, end: int) -> dict[int, float]:
        self._fail()
        self.asked.append((metric, start, end))
        return {ts: value for ts, value in self.values.get(metric, {}).items() if start <= ts <= end}

    async def rejected(self, limit: int) -> list[RejectedEvent]:
        self._fail()
        return [RejectedEvent(1_790_000_000.0, SOURCES[0], "not_json", "no JSON", "{")][:limit]

    async def clear(self) -> dict[str, Any]:
        self._fail()
        self.clears += 1
        by_status = {"success": 7, "failed": 2, "pending": 9, "cancelled": 0}
        return {"orders": {**by_status, "total": 9, "by_status": by_status}}

    async def clear_metric(self, name: str) -> bool:
        return name == "shop_total"

    def records(self) -> dict[str, SaleRecord]:
        return self.kept

    async def announce(self, action: SaleCommand, id: str | None, details: Details = NO_DETAILS) -> Sale:
        self._fail()
        self.said.append((action, id))
        if details.manifest is not None:
            self.kept[details.manifest.sale] = SaleRecord(manifest=details.manifest)
        return Sale(id, "running" if action == "start" else "ended", 5.0, None, "http")

    async def fleet(self) -> Snapshot:
        self._fail()
        return replace(snapshots.snapshot(), scope="fleet", instances=["host-1", "host-2"])

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class Served:
    """A running server, what it serves from, and a client of it."""

    def __init__(self, server: HttpServer, latest: Latest, monitor: MemoryMonitor, client: ClientSession) -> None:
        self.server = server
        self.latest = latest
        self.monitor = monitor
        self.client = client


def exposition() -> Exposition:
    """An Exposition with the Telemetry of a fresh process."""
    registry = CollectorRegistry()
    Telemetry(registry, version="1.2.3", sources=SOURCES)
    return Exposition(registry, environment="test", sources=SOURCES)


def guard(config: HttpConfig, registry: CollectorRegistry | None = None) -> Guard:
    """The rules of this configuration."""
    telemetry = Telemetry(registry or CollectorRegistry(), version="1.2.3", sources=SOURCES)
    return Guard(config, telemetry=telemetry, clock=time.monotonic)


@asynccontextmanager
async def serving(config: HttpConfig | None = None, snapshot: Snapshot | None = NINE_ORDERS) -> AsyncIterator[Served]:
    """Serve a Snapshot (`None`: the state is not loaded) on a free port."""
    latest, monitor = Latest(), MemoryMonitor()
    if snapshot is not None:
        latest.publish(snapshot)
    config = replace(config or HttpConfig(), listen="127.0.0.1:0")
    ws_url = "ws://127.0.0.1:9851/"
    server = HttpServer(
        config.listen, guard=guard(config), latest=latest, monitor=monitor, exposition=exposition(), ws_url=ws_url
    )
    await server.start()
    host, port = server.address
    try:
        async with ClientSession(f"http://{host}:{port}") as client:
            yield Served(server, latest, monitor, client)
    finally:
        await server.stop()
