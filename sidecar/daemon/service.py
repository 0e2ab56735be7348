"""The daemon, built from a configuration and the parts that it runs on."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from sidecar import __version__
from sidecar.config import Config, diff, flatten, unflatten
from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.history import seconds_of
from sidecar.core.counts.pending import RejectedEvent
from sidecar.core.counts.sale import NO_DETAILS, Announcement, Details, Sale, SaleCommand
from sidecar.core.counts.sale_record import SaleRecord
from sidecar.core.journal.journaled import JournaledLedger
from sidecar.core.snapshot.compute import SnapshotContext, as_committed, compute, is_stale, merged
from sidecar.core.snapshot.monotonic import Monotonic
from sidecar.core.snapshot.snapshot import Role, Snapshot
from sidecar.daemon import candidacy
from sidecar.daemon.build import Parts, decoders, mapped, mappings, rules
from sidecar.daemon.build import parts as configured_parts
from sidecar.daemon.fleet import Fleet, age
from sidecar.daemon.flight_recorder import FlightRecorder
from sidecar.daemon.health import Gauges, health
from sidecar.daemon.pipeline import Pipeline
from sidecar.daemon.queues import Queues
from sidecar.errors import UnavailableError
from sidecar.exposition.access.guard import Guard
from sidecar.exposition.access.listen import parse_listen
from sidecar.exposition.http.server import SETTING, HttpServer
from sidecar.exposition.influx.output import InfluxOutput
from sidecar.exposition.live.clients import LiveClients
from sidecar.exposition.live.socketio import socket_io
from sidecar.exposition.live.upgrade import WebSocketPath
from sidecar.exposition.live.websocket import WebSocketServer
from sidecar.exposition.prometheus.render import Exposition
from sidecar.exposition.published import Health, Latest
from sidecar.process.supervision import loop_exceptions, restarted
from sidecar.process.telemetry import Telemetry
from sidecar.redis.url import join_host_port
from sidecar.store.redis import cleared_report

CLEAR_SECONDS = 5.0  # a clear is answered after the next commit, or after this time at most
WEB_CONFIG = "http.web_config_file"
# Settings that a reload applies; all others are built into connections, listeners or stored buckets.
RELOADABLE = frozenset(
    {"log.level", "products", "refusals", "currency", "metrics.max_products", "metrics.new_series_hold"}
    | {"orders.repeats", "recorder.directory", "recorder.max_bytes"}
    | {f"http.{name}" for name in ("admin_token", "read_token", "admin_token_file", "read_token_file")}
    | {"http.allowed_hosts", "http.cors_origins", WEB_CONFIG}
)
# Settings that may come from files, which are read at each connect and at each write to InfluxDB.
READ_AGAIN = (
    *("redis.password", "redis.sentinel_password"),
    *("sources.redis_password", "sources.redis_sentinel_password"),
    *("influx.password", "influx.token"),
)


class Service:
    """Build everything, run it, stop it; it is also the Monitor of both servers."""

    def __init__(
        self,
        config: Config,
        *,
        log: Any,
        dropped: Callable[[], int] = lambda: 0,
        origin: str = "",
        parts: Parts | None = None,
    ) -> None:
        """Build everything; nothing is opened before `run`.

        `log` is a structlog logger; `dropped` returns how many log lines could not be written; `origin` names the
        source of the configuration; `parts` are by default the configured ones.
        """
        parts = parts or configured_parts(config)
        self.http_url = self.ws_url = ""
        self._config = config
        self._origin = origin
        self._log = log
        self._clock = parts.clock
        self._started = self._clock.steady()
        self._rules = rules(config)
        self._latest = Latest()
        self._monotonic = Monotonic()
        names = [f"pubsub:{name}" for name in config.sources.pubsub]
        names += [f"stream:{name}" for name in config.sources.streams]
        registry = CollectorRegistry()
        telemetry = Telemetry(registry, version=__version__, sources=tuple(names))
        self._mappings = mappings(config)
        if self._mappings:
            telemetry.count_mapped(partial(mapped, self._mappings))
        own_decoders = decoders(config, self._mappings)
        foreign = {source: chain.counts for source, chain in self._mappings.items()}
        self._ledger = JournaledLedger(
            rules=self._rules,
            owner=candidacy.name(),
            streams=config.sources.streams,
            apart=config.apart,
            random_id=candidacy.random_id,
            fresh=lambda: Aggregator(self._rules, random.Random(), own_decoders, foreign),
        )
        self._recorder = FlightRecorder(self._ledger, config, telemetry)
        self._servers, self._store, self._readers = parts.servers, parts.store, parts.readers
        self._telemetry = telemetry
        self.loop_exceptions = loop_exceptions(telemetry)  # a handler, for a loop that runs nothing else
        self._gauges = Gauges(telemetry, self._readers, config, dropped=dropped)
        self._pipeline = Pipeline(
            self._ledger,
            self._store,
            parts.sources,
            config=config,
            telemetry=telemetry,
            publish=self._publish,
            clock=self._clock,
        )
        self._queues = Queues(
            parts.queues,
            interval=config.commit_interval,
            clock=self._clock,
            ticked=self._latest.newer,
            take=self._ledger.read,
        )
        host = parse_listen(config.http.listen, SETTING)[0]
        exposition = Exposition(registry, environment=config.environment, sources=tuple(names))
        self._guard = Guard(config.http, telemetry=telemetry, clock=self._clock.steady)
        self._live = LiveClients(config.ws, guard=self._guard, latest=self._latest, monitor=self, telemetry=telemetry)
        self._ws = WebSocketServer(self._live)
        self._http = HttpServer(
            config.http.listen,
            guard=self._guard,
            latest=self._latest,
            monitor=self,
            exposition=exposition,
            ws_url=f"{self._scheme('ws')}://{config.ws.listen}/",
            live=[WebSocketPath(self._live, host), socket_io(self._live, host)],
        )
        self._influx = _influx(config, self._latest, telemetry)
        self._fleet = Fleet(
            self._readers, name=config.fleet, prefix=config.redis.prefix, instance=config.instance, clock=self._clock
        )
        self._damaged_members: dict[str, str] = {}

    async def run(self, stop: asyncio.Event, *, started: Callable[[], None] | None = None) -> None:
        """Serve and count until `stop`; call `started` once both servers listen.

        Raises SidecarError with a message of one line: a port in use, a user that Redis refuses, events that could
        not be committed at shutdown.
        """
        self._recorder.begin(self._config.recorder)
        background = [asyncio.create_task(restarted(self._telemetry, *work)) for work in self._background().items()]
        try:
            self._live.start()
            await self._http.start()
            await self._ws.start()
            self.http_url = f"{self._scheme('http')}://{join_host_port(*self._http.address)}"
            self.ws_url = f"{self._scheme('ws')}://{join_host_port(*self._ws.address)}/"
            self._log.info(
                "listening",
                http=self.http_url,
                websocket=self.ws_url,
                redis=self._target(),
                configuration=self._origin,
            )
            if started is not None:
                started()
            await self._pipeline.run(stop)
        finally:
            self._publish()  # so that the last point of an output contains the last commit
            for task in background:
                task.cancel()
            self._live.stop()
            ended = asyncio.gather(*background, return_exceptions=True)
            await asyncio.gather(ended, self._ws.stop(), self._http.stop(), self._recorder.stop())
            await self._latest.stop()
            await asyncio.gather(self._store.close(), self._readers.close(), self._queues.close())
            self._log.info("stopped")

    def _background(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return the background work by name; counting continues if any of it fails."""
        works: dict[str, Callable[[], Awaitable[None]]] = {"gauges": self._gauges.run, "redis_facts": self._gauges.ask}
        works["recorder"] = self._recorder.run
        for one in self._servers:
            if one.target.kind in ("sentinel", "cluster"):  # others have no failover to watch
                works[f"watch:{one.target.display}"] = partial(one.watch, self._pipeline.ingest.hurry)
        if self._config.queues:
            works["queues"] = self._queues.run
        if self._config.fleet:
            works["fleet"] = partial(self._fleet.run, lambda: self._committed_at() is not None and self._ledger.active)
        if self._influx is not None:
            works["influx"] = self._influx.run
        return works

    def reload(self, config: Config) -> tuple[list[str], list[str]]:
        """Apply the settings that can change in a running daemon; return those applied, and those that need a restart.

        Raises ConfigError, and changes nothing, for a certificate that cannot be used.
        """
        tls_stays = self._guard.reload(config.http)
        changed = diff(self._config, config)
        read_again = {name for name in READ_AGAIN if f"{name}_file" not in changed and flatten(config)[f"{name}_file"]}
        applied = [name for name in changed if name in RELOADABLE | read_again]
        restart = [name for name in changed if name not in applied]
        if config.http.web_config_file and WEB_CONFIG not in applied:
            applied.append(WEB_CONFIG)  # the content of the file may have changed
        if not tls_stays:
            restart.append(WEB_CONFIG)
        new = flatten(config)
        self._config = unflatten(flatten(self._config) | {name: new[name] for name in applied})
        self._rules = rules(self._config)
        self._ledger.adopt(self._rules)
        self._recorder.reload(self._config.recorder, changed=any(name.startswith("recorder.") for name in applied))
        return applied, restart

    # Monitor

    def health(self) -> Health:
        outputs = [("influx", self._influx.component)] if self._influx is not None else []
        if (recorder := self._recorder.component) is not None:
            outputs.append(("recorder", recorder))
        return health(
            self._pipeline,
            self._gauges,
            stale=self._stale(),
            left_out=self._damaged_members,
            outputs=[*outputs, *self._queues.components().items()],
        )

    def ready(self) -> tuple[bool, Role]:
        if self._ledger.active:
            return self._pipeline.ingest.connected and self._latest.published is not None, "active"
        return bool(self._pipeline.owner_met), "standby" if self._pipeline.owner_met else "active"

    async def history(self, metric: str, start: int, end: int) -> dict[int, int | float]:
        return seconds_of(self._ledger.aggregate.committed, metric, start, end)

    async def rejected(self, limit: int) -> list[RejectedEvent]:
        return await self._readers.rejected(limit)

    async def clear(self) -> dict[str, Any]:
        id, before = candidacy.random_id(), self._ledger.generation
        try:
            totals = await self._readers.clear(id)
        except UnavailableError:
            totals = await self._readers.clear(id)  # the reply was lost: the same clear is answered again
        await self._await_clear(before)
        return cleared_report(totals)

    async def clear_metric(self, name: str) -> bool:
        id, before = candidacy.random_id(), self._ledger.generation
        try:
            found = await self._readers.clear_metric(name, id)
        except UnavailableError:
            found = await self._readers.clear_metric(name, id)  # the reply was lost
        if found:
            await self._await_clear(before)
        return found

    async def _await_clear(self, before: str) -> None:
        """Wait until the owner has noticed a clear after the generation `before`."""
        try:
            async with asyncio.timeout(CLEAR_SECONDS):
                while self._ledger.active and self._ledger.generation == before:  # a later clear ends this, too
                    await self._latest.newer()
        except TimeoutError:
            self._log.warning("cleared, but not committed yet")

    def records(self) -> dict[str, SaleRecord]:
        return {id: part.record for id, part in self._ledger.aggregate.committed.sales.items()}

    async def announce(self, action: SaleCommand, id: str | None, details: Details = NO_DETAILS) -> Sale:
        announcement = Announcement(
            action=action,
            id=id,
            at=self._clock.now(),
            by="http",
            unique_id=candidacy.random_id(),
            details=details,
        )
        try:
            stored = await self._readers.announce(announcement)
        except UnavailableError:
            stored = await self._readers.announce(announcement)  # the reply was lost: an announcement applies once
        if not stored:
            raise UnavailableError("nothing is committed here yet: announce it again in a second")
        try:
            async with asyncio.timeout(CLEAR_SECONDS):
                while self._ledger.aggregate.committed.total.announced != announcement.unique_id:
                    await self._latest.newer()
        except TimeoutError:
            raise UnavailableError(
                f"announced, but nothing was committed for {CLEAR_SECONDS:g} s; it applies with the next commit"
            ) from None
        return self._ledger.aggregate.committed.total.sale

    async def fleet(self) -> Snapshot:
        if not self._config.fleet:
            if self._latest.published is None:
                raise UnavailableError("nothing is counted here yet")
            return replace(self._latest.published.snapshot, scope="fleet", instances=[self._config.instance])
        members = await self._fleet.members(self._ledger.aggregate.committed if self._ledger.active else None)
        self._report_damaged(members.damaged)
        now = self._clock.now()
        found = age(members, now, self._config.commit_interval)
        context = self._context(now, committed_at=found.committed_at, stale=found.stale)
        names = [name for name, _ in members.states]
        context = replace(context, scope="fleet", instances=names, settled=found.settled)
        return compute(merged(members.states, self._rules), self._rules, context)

    def _report_damaged(self, damaged: dict[str, str]) -> None:
        """Log each member that is left out of the fleet, once."""
        for name in damaged.keys() - self._damaged_members.keys():
            self._log.error(
                "fleet member left out", instance=name, detail=f"its stored state is damaged: {damaged[name]}"
            )
        self._damaged_members = damaged

    # The Snapshot

    def _publish(self) -> None:
        if self._ledger.active:
            context = self._context(self._clock.now(), committed_at=self._committed_at(), stale=self._stale())
            state = self._ledger.aggregate.committed
            snapshot = compute(state, self._rules, context)
            exposed = self._monotonic.shown(snapshot, self._ledger.loads, self._ledger.generation)
            self._latest.publish(snapshot, exposed, partial(as_committed, state, self._rules, context))
        else:
            self._latest.withdraw()

    def _context(self, now: float, *, committed_at: float | None, stale: bool) -> SnapshotContext:
        aggregate = self._ledger.aggregate
        return SnapshotContext(
            instance=self._config.instance,
            now=now,
            committed_at=committed_at,
            stale=stale,
            uptime_s=self._clock.steady() - self._started,
            settled=self._config.commit_interval,
            system=self._gauges.system,
            born=aggregate.born,
            exemplars=aggregate.exemplars,
            not_understood=aggregate.understanding.last_minute(now),
            doubts=aggregate.register.names.doubts(),
            heard=aggregate.register.heard,
        )

    def _committed_at(self) -> float | None:
        return self._ledger.aggregate.committed.total.committed_at

    def _stale(self) -> bool:
        return is_stale(self._pipeline.committed_at, self._clock.steady(), self._config.commit_interval)

    def _scheme(self, plain: str) -> str:
        return f"{plain}s" if self._guard.tls else plain

    def _target(self) -> str:
        return self._config.redis.target.display


def _influx(config: Config, latest: Latest, telemetry: Telemetry) -> InfluxOutput | None:
    if not config.influx.url:
        return None
    return InfluxOutput(config.influx, environment=config.environment, latest=latest, telemetry=telemetry)
