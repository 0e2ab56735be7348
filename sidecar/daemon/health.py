"""The health of the daemon: the state of every part for `/monitoring/health`, and measurements of the process."""

import asyncio
import os
import resource
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime

import structlog
from msgspec import structs

from sidecar.config import Config
from sidecar.core.commit.ledger import Ledger
from sidecar.core.counts.liveness import Sign
from sidecar.core.counts.understanding import HALF, NotUnderstood
from sidecar.core.events.currencies import ALL_WHOLE, ENOUGH
from sidecar.core.naming import first_few
from sidecar.core.sequence.double_sources import described
from sidecar.core.snapshot.snapshot import Role, System
from sidecar.daemon.ingest import SourceState
from sidecar.daemon.pipeline import Pipeline
from sidecar.errors import SidecarError
from sidecar.exposition.published import Component, Health
from sidecar.process.telemetry import Telemetry
from sidecar.redis.info import ServerInfo
from sidecar.store import Readers

LAG_PROBE_SECONDS = 0.05
PROBES_A_ROUND = 20  # within a second
LAG_SECONDS = 60  # the longest lag of a minute is shown, too, so that no scrape misses it
FACTS_SECONDS = 5.0
LOSS_SECONDS = 60.0  # a loss is shown for this long, so that a monitor that polls twice a minute sees it
NAMED = 3  # silent producers; more are counted
CLOCK_OFFSET_SECONDS = 2.0  # beyond this, events count at their arrival instead


class Gauges:
    """Measures loop lag, CPU, memory, and the memory of Redis."""

    def __init__(
        self, telemetry: Telemetry, store: Readers, config: Config, *, dropped: Callable[[], int] = lambda: 0
    ) -> None:
        """`dropped` returns how many log lines could not be written so far."""
        self.system = System()
        self.eviction_policy = ""
        self.server = ServerInfo()
        self.place = config.redis.target.place
        self._telemetry = telemetry
        self._store = store
        self._config = config
        self._redis_memory: int | None = None
        self._dropped = dropped
        self._dropped_before = 0

    @property
    def troubles(self) -> dict[str, str]:
        """What is wrong with this process, by part."""
        return self._telemetry.troubles()

    async def run(self) -> None:
        """Measure until cancelled."""
        cpu, at = time.process_time(), time.monotonic()
        lags: deque[float] = deque(maxlen=LAG_SECONDS)
        while True:
            lags.append(await _longest_lag())
            self._telemetry.loop_lag_seconds.set(lags[-1])
            self._telemetry.loop_lag_max_seconds.set(max(lags))
            now, used = time.monotonic(), time.process_time()
            self.system = System(round(100 * (used - cpu) / (now - at), 1), _resident_bytes(), self._redis_memory)
            cpu, at = used, now
            self._report_dropped()

    async def ask(self) -> None:
        """Poll Redis until cancelled."""
        while True:
            await self._ask_redis()
            await asyncio.sleep(FACTS_SECONDS)

    async def _ask_redis(self) -> None:
        try:
            facts = await self._store.facts()
        except SidecarError:
            self._redis_memory = None  # the pipeline reports the outage
            return
        if self._store.server != self.server:
            self.server = self._store.server
            structlog.get_logger("sidecar").info("server", name=self.server.name, version=self.server.version)
        self._redis_memory = int(facts["used_memory"]) if "used_memory" in facts else None
        self.eviction_policy = facts.get("maxmemory_policy", "")

    def _report_dropped(self) -> None:
        dropped, self._dropped_before = self._dropped() - self._dropped_before, self._dropped()
        if dropped:
            self._telemetry.log_lines_dropped.inc(dropped)
            self._telemetry.trouble("log", "lines cannot be written: its reader is stuck or gone, or the disk is full")


async def _longest_lag() -> float:
    """Return the longest delay of the loop within a second, in seconds."""
    longest = 0.0
    for _ in range(PROBES_A_ROUND):
        before = time.monotonic()
        await asyncio.sleep(LAG_PROBE_SECONDS)
        longest = max(longest, time.monotonic() - before - LAG_PROBE_SECONDS)
    return longest


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def health(
    pipeline: Pipeline,
    gauges: Gauges,
    *,
    stale: bool,
    left_out: Collection[str] = (),
    outputs: Iterable[tuple[str, Component]] = (),
) -> Health:
    """Return the state of every part. `down`: Redis gone, no source connected, or stale numbers.

    `left_out` are members of the fleet whose stored state cannot be read; `outputs` are systems that get the numbers,
    and queues that are read, which never make the sidecar `down`.
    """
    ledger = pipeline.ledger
    if not ledger.active:
        return _standby(pipeline)
    components = {"redis": _redis(pipeline, gauges), "commit": _commit(pipeline, stale)}
    components |= _stored(pipeline, left_out) | _sources(pipeline) | dict(outputs)
    components |= _producers(ledger) | _watched(pipeline) | _lately(pipeline) | _events(ledger)
    components |= {name: Component("degraded", detail) for name, detail in gauges.troubles.items()}
    sale = ledger.aggregate.committed.total.sale
    connected = any(state.status == "connected" for state in pipeline.ingest.states.values())
    if components["redis"].status == "down" or stale or not connected:
        return Health("down", "active", components, sale)
    good = all(component.status == "ok" for component in components.values())
    return Health("ok" if good else "degraded", "active", components, sale)


def _stored(pipeline: Pipeline, left_out: Collection[str]) -> dict[str, Component]:
    """Return what is wrong with stored states, this sidecar's and those of the fleet."""
    components = {}
    if pipeline.damage:
        components["checkpoint"] = Component("degraded", pipeline.damage)
    if left_out:
        detail = f"left out, since their stored state is damaged: {', '.join(sorted(left_out))}; restart them"
        components["fleet"] = Component("degraded", detail)
    return components


def _sources(pipeline: Pipeline) -> dict[str, Component]:
    aggregate, ingest = pipeline.ledger.aggregate, pipeline.ingest
    not_understood = aggregate.understanding.last_minute(pipeline.clock.now())
    received = aggregate.committed.total.tallies["received"]
    return {
        name: structs.replace(
            _source(state, not_understood.get(name)),
            received=received[name],
            last_event_at=ingest.last_event_at.get(name),
        )
        for name, state in ingest.states.items()
    }


def _producers(ledger: Ledger) -> dict[str, Component]:
    """Return what is wrong with producers: their clocks, and names that several of them seem to share."""
    register, components = ledger.aggregate.register, {}
    for producer, clock in register.clocks.items():
        if abs(clock.offset_seconds) > CLOCK_OFFSET_SECONDS:
            detail = f"its clock is {-clock.offset_seconds:+.1f} s off the sidecar's; set the time of its machine"
            components[f"clock:{producer}"] = Component("degraded", detail)
    for producer, doubt in register.names.doubts().items():
        components[f"producer:{producer}"] = Component("degraded", doubt)
    return components


def _watched(pipeline: Pipeline) -> dict[str, Component]:
    """Return which producers are silent, and which send the same events over two sources."""
    aggregate, components, now = pipeline.ledger.aggregate, {}, pipeline.clock.now()
    states = Counter(sign.state for sign in aggregate.committed.signs.values())
    if states["silent"]:
        components["producers"] = Component("degraded", _silent(aggregate.committed.signs, now))
    elif states["alive"]:
        components["producers"] = Component("ok", f"{states['alive']} send heartbeats")
    pairs = list(aggregate.register.double_sources.proven(now))
    if pairs:
        twice = aggregate.committed.total.tallies["twice"].total()
        components["counted_twice"] = Component("degraded", described(pairs, twice))
    return components


def _silent(signs: Mapping[str, Sign], now: float) -> str:
    """Name the silent producers, the last seen first."""
    silent = sorted(((sign.seen, name) for name, sign in signs.items() if sign.state == "silent"), reverse=True)
    watched = sum(sign.state is not None for sign in signs.values())
    named = [f"{name} since {_clock_time(seen)} ({now - seen:.0f} s)" for seen, name in silent]
    return f"{len(silent)} of {watched} silent: {first_few(named, NAMED)}; look whether these processes live"


def _clock_time(ts: float) -> str:
    return datetime.fromtimestamp(ts, UTC).strftime("%H:%M:%S UTC")


def _lately(pipeline: Pipeline) -> dict[str, Component]:
    """Return what happened in the last minute: a step of the clock, lost commits, missed events."""
    components, now = {}, pipeline.clock.steady()
    if pipeline.clock_step is not None:
        lately = now - pipeline.clock_step.at < LOSS_SECONDS
        detail = f"{pipeline.clock_step}; windows may lack seconds until the clock has been right for their length"
        components["clock"] = Component("degraded" if lately else "ok", detail)
    if now - pipeline.rollback.at < LOSS_SECONDS:
        detail = f"Redis lost {pipeline.rollback.commits} commits, as in a failover; counted again from what is there"
        components["rollback"] = Component("degraded", detail)
    if now - pipeline.missed_at < LOSS_SECONDS:
        missed = pipeline.ledger.aggregate.committed.total.missed
        detail = f"events were missed within the last minute, {missed} in all; `completeness` shows from which source"
        components["completeness"] = Component("degraded", detail)
    return components


def _events(ledger: Ledger) -> dict[str, Component]:
    """Return what seems odd about events, but may be intended."""
    aggregate, components = ledger.aggregate, {}
    if aggregate.unknown_fields:
        names = ", ".join(sorted(aggregate.unknown_fields))
        components["events"] = Component("ok", f"unknown fields: {names}; are they misspelled?")
    if aggregate.amounts[True] >= ENOUGH and not aggregate.amounts[False]:
        components["amounts"] = Component("ok", ALL_WHOLE)
    return components


def _standby(pipeline: Pipeline) -> Health:
    if pipeline.redis_error:
        role: Role = "standby" if pipeline.owner_met else "active"
        return Health("down", role, {"redis": Component("down", pipeline.redis_error)})
    if not pipeline.owner_met:
        return Health("down", "active", {"redis": Component("ok"), "commit": Component("down", "starting")})
    detail = f"{pipeline.owner_met} counts; waiting for its lease to end"
    return Health("standby", "standby", {"redis": Component("ok"), "commit": Component("standby", detail)})


def _redis(pipeline: Pipeline, gauges: Gauges) -> Component:
    if pipeline.redis_error:
        return Component("down", pipeline.redis_error)
    if gauges.eviction_policy.startswith("allkeys"):
        return Component(
            "degraded",
            f"maxmemory-policy is {gauges.eviction_policy}: Redis may evict the checkpoint; use a volatile-* policy",
        )
    server = f", {gauges.server.display}" if gauges.server.version else ""
    return Component("ok", f"{gauges.place}{server}")


def _source(state: SourceState, not_understood: NotUnderstood | None) -> Component:
    if state.status != "connected":
        return Component("degraded", state.detail or "connecting")
    if state.behind:
        return Component(
            "degraded",
            f"{state.lag_seconds:.1f} s behind and catching up; if this stays, more comes than can be counted: see "
            "docs/performance.md",
        )
    if not_understood is not None and not_understood.share >= HALF:
        return Component("degraded", not_understood.described())
    return Component("ok")


def _commit(pipeline: Pipeline, stale: bool) -> Component:
    if stale:
        why = "Redis has not answered the last commit" if pipeline.unanswered else "nothing was committed lately"
        return Component("down", pipeline.commit_error or f"{why}; the numbers are old")
    if pipeline.commit_error:
        return Component("degraded", pipeline.commit_error)
    return Component("ok")
