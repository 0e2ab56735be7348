"""Source -> apply; tick -> commit -> publish.

One Pipeline runs one prefix. It stands by until the state is its own; then every source has a task that reads and
applies, and one loop commits every interval. Everything between two awaits is atomic, so there are no locks.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Literal

import structlog
from msgspec import Struct

from sidecar.config import Config
from sidecar.core.aggregate import Flight, kind_of
from sidecar.core.ledger import Ledger, Verdict
from sidecar.errors import AccessError, RefusedError, SidecarError, UnavailableError
from sidecar.holder import Candidacy
from sidecar.logs import RateLimit
from sidecar.sources import Source
from sidecar.store import Store
from sidecar.telemetry import Telemetry

COMMIT_TRIES = 5  # outcomes that ask for another commit at once; more would starve the loop
BACKOFF_SECONDS = (0.05, 2.0)
STOP_SECONDS = 1.5  # for the last commit: a stop takes 2 s at most
# How each verdict is counted in commits_total.
_OUTCOMES: dict[Verdict, str] = {
    "ok": "ok",
    "standby": "conflict",
    "reload": "rolled_back",
    "rolled_back": "rolled_back",
    "empty": "reread",
    "cleared": "cleared",
    "reread": "reread",
    "anew": "reread",
}

SourceStatus = Literal["connecting", "connected", "down"]


class SourceState(Struct):
    """What is known of a source; times are Unix seconds. `blind_since` is when its connection was lost."""

    status: SourceStatus = "connecting"
    detail: str = ""
    blind_since: float | None = None


class Pipeline:
    """Read, count, commit, publish."""

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        sources: tuple[Source, ...],
        *,
        config: Config,
        telemetry: Telemetry,
        publish: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """`publish` is called after every tick; `clock` gives Unix seconds."""
        self.ledger = ledger
        self.redis_error = ""
        self.commit_error = ""
        self.holder_met = ""
        self.ready = asyncio.Event()
        self.sources = {source.name: SourceState() for source in sources}
        self._store = store
        self._sources = sources
        self._interval = config.commit_interval
        self._lease = config.lease
        self._candidacy = Candidacy(patience=2 * config.commit_interval, lease=config.lease)
        self._met_redis = False
        self._refusals = RateLimit()
        self._telemetry = telemetry
        self._publish = publish
        self._clock = clock
        self._log = structlog.get_logger("sidecar")

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`; then commit what was read and let go of the state.

        Raises SidecarError if events could not be committed, AccessError if Redis refuses this user at the start.
        """
        while not stop.is_set():
            await until(stop, [self._stand_by()])
            if self.ledger.active:
                await self._own(stop)

    # Standing by

    async def _stand_by(self) -> None:
        """Wait until the state is ours."""
        while True:
            try:
                if await self._take():
                    return
                pause = 0.0 if self._candidacy.dead else min(3 * self._interval, self._lease / 4)
            except AccessError as exc:
                if not self._met_redis:
                    raise
                pause = self._lost(exc)
            except UnavailableError as exc:
                pause = self._lost(exc)
            self._publish()
            await asyncio.sleep(pause)

    async def _take(self) -> bool:
        now = self._clock()
        taken = await self._store.take(
            self.ledger.holder,
            self.ledger.next_token(),
            dead=self._candidacy.dead,
            create=self._candidacy.may_create(now),
        )
        self._answered()
        if taken.fields is not None:
            self.ledger.take_over(taken.fields, now)
            self._candidacy.owned()
            self.holder_met = ""
            self._log.info("active", detail="this sidecar counts now", events=self._received())
            return True
        self._candidacy.refused(taken.holder, now)
        if taken.holder and taken.holder != self.holder_met:
            self._log.info(
                "standby", detail="another sidecar counts this prefix; waiting for its lease", of=taken.holder
            )
        self.holder_met = taken.holder
        return False

    # Owning the state

    async def _own(self, stop: asyncio.Event) -> None:
        """Read and commit until `stop`, or until the state turns out to be somebody else's."""
        last_commit = self.ledger.aggregate.committed.total.committed_at
        for name in self.sources:
            self.sources[name] = SourceState(blind_since=last_commit if kind_of(name) == "pubsub" else None)
        try:
            await until(stop, [self._keep_ticking(), *(self._ingest(source) for source in self._sources)])
        finally:
            await self._stop_reading()
            self.ready.clear()
        if self.ledger.active:
            await self._finish()

    async def _keep_ticking(self) -> None:
        """Tick every interval, as long as the state is ours."""
        time = asyncio.get_running_loop().time
        while self.ledger.active:
            began = time()
            await self.tick()
            if self.ledger.active:
                await asyncio.sleep(max(self._interval - (time() - began), 0))

    async def _stop_reading(self) -> None:
        for source in self._sources:
            if (batch := await source.leftover()) is not None:
                self.ledger.apply(batch, self._clock())
            await source.close()
            self._telemetry.source_connected.labels(source.name).set(0)

    async def _finish(self) -> None:
        """Commit what was read, and end the lease; try again as long as there is time."""
        failure = ""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._commit()
                while self.ledger.uncommitted() and self.ledger.active:
                    if self.commit_error:
                        await asyncio.sleep(BACKOFF_SECONDS[0])
                    await self._commit()
                if not self.commit_error:
                    await self._store.release(self.ledger.holder)
        except TimeoutError:
            pass
        except SidecarError as exc:
            failure = str(exc)
        if (lost := self.ledger.uncommitted()) > 0:
            raise SidecarError(
                f"stopped without Redis: {lost} events were read and could not be committed "
                f"({failure or self.commit_error or 'no answer in time'}); those from a stream will be read again"
            )

    async def tick(self) -> None:
        """Commit what is pending, and publish what is committed."""
        now = self._clock()
        for name, state in self.sources.items():
            if state.blind_since is not None and self.ledger.active:
                self.ledger.aggregate.blind(name, max(now - state.blind_since, 0))
                state.blind_since = now
        await self._commit()
        self._publish()

    async def _commit(self) -> None:
        began = asyncio.get_running_loop().time()
        try:
            for _ in range(COMMIT_TRIES):
                if await self._commit_once() in ("ok", "standby"):
                    break
            self._telemetry.commit_duration.observe(asyncio.get_running_loop().time() - began)
            self.commit_error = ""
        except RefusedError as exc:
            self._answered()
            self._commit_failed(exc)
        except (UnavailableError, AccessError) as exc:
            self._lost(exc)
            self._commit_failed(exc)

    async def _commit_once(self) -> Verdict:
        now = self._clock()
        commit = self.ledger.freeze(now)
        committed = self.ledger.aggregate.committed
        answer = await self._store.commit(commit, self.ledger.fields(commit), committed, now)
        self._answered()
        verdict = self.ledger.resolve(commit, answer, now)
        if verdict == "reload" and not self.ledger.reload(await self._store.load()):
            return "reload"
        self._telemetry.commits.labels(_OUTCOMES[verdict]).inc()
        if verdict == "ok":
            self._telemetry.last_commit.set(now)
            self._tell_refused(commit.flight)
        else:
            self._log.warning("commit", outcome=verdict, detail=_EXPLAINED[verdict])
        if verdict == "anew":
            self._reset(f"stream:{answer.stream}")
        if verdict in ("reread", "reload", "rolled_back"):
            for source in self._sources:
                source.ask_again()
        return verdict

    def _tell_refused(self, flight: Flight) -> None:
        """Log refused events, at most one of a reason in a while; `sidecar rejected` has the newest hundred."""
        for part in (flight.stream, flight.pubsub):
            for one in part.refused:
                if (suppressed := self._refusals.allow(one.reason, one.time)) is not None:
                    self._log.warning(
                        "event refused", reason=one.reason, detail=one.detail, source=one.source, suppressed=suppressed
                    )

    def _commit_failed(self, exc: SidecarError) -> None:
        self._telemetry.commits.labels("failed").inc()
        if not self.commit_error:
            self._log.error("commit failed", detail=f"{exc}; what is pending is kept and sent again")
        self.commit_error = str(exc)

    # Reading

    async def _ingest(self, source: Source) -> None:
        """Connect, read, apply; after a failure the same again, for ever."""
        failures = 0
        while True:
            try:
                await source.connect()
                self._connected(source.name)
                failures = 0
                while True:
                    await self._read(source)
            except (UnavailableError, AccessError) as exc:
                self._disconnected(source.name, exc)
                await source.close()
                failures += 1
                await asyncio.sleep(backoff(failures))

    async def _read(self, source: Source) -> None:
        name = source.name
        after = self.ledger.position(name.removeprefix("stream:")) if kind_of(name) == "stream" else ""
        batch = await source.read(after)
        if batch is None:
            return
        now = self._clock()
        outcome = self.ledger.apply(batch, now)
        if outcome == "anew":
            self._reset(name)
        elif outcome == "refused":
            source.ask_again()
            await asyncio.sleep(self._interval / 10)  # the next commit settles what the position is
        elif batch.arrivals:
            self._telemetry.source_last_event.labels(name).set(batch.arrivals[-1])
            behind = batch.stream is not None and not batch.stream.complete
            self._telemetry.source_lag_seconds.labels(name).set(max(now - batch.arrivals[-1], 0) if behind else 0)
        elif batch.stream is not None and batch.stream.complete:
            self._telemetry.source_lag_seconds.labels(name).set(0)
        await asyncio.sleep(0)  # a reader with data already buffered would never let the loop turn

    def _connected(self, name: str) -> None:
        state = self.sources[name]
        now = self._clock()
        if state.blind_since is not None:
            self.ledger.aggregate.blind(name, max(now - state.blind_since, 0))
        if state.status == "down":
            self._log.info("source is back", source=name)
        self.sources[name] = SourceState("connected")
        self._telemetry.source_connected.labels(name).set(1)
        if all(other.status == "connected" for other in self.sources.values()):
            self.ready.set()

    def _disconnected(self, name: str, exc: SidecarError) -> None:
        state = self.sources[name]
        blind = state.blind_since
        if state.status == "connected" and kind_of(name) == "pubsub":
            blind = self._clock()
        if state.status != "down":
            self._log.warning("source lost", source=name, detail=f"{exc}; trying again")
        self.sources[name] = SourceState("down", str(exc), blind)
        self._telemetry.source_connected.labels(name).set(0)

    def _reset(self, name: str) -> None:
        self._telemetry.source_resets.labels(name).inc()
        self._log.warning("stream was made anew", source=name, detail="reading it from its first entry")

    # Redis comes and goes

    def _answered(self) -> None:
        if self.redis_error:
            self._log.info("Redis is back")
        self.redis_error = ""
        self._met_redis = True
        self._telemetry.redis_up.set(1)

    def _lost(self, exc: SidecarError) -> float:
        """Note that Redis does not answer; return the pause before the next try, in seconds."""
        if not self.redis_error:
            self._log.warning("Redis is away", detail=f"{exc}; waiting for it")
        self.redis_error = str(exc)
        self._telemetry.redis_up.set(0)
        return min(self._interval, BACKOFF_SECONDS[1])

    def _received(self) -> int:
        return self.ledger.aggregate.committed.total.tallies["received"].total()


_EXPLAINED: dict[Verdict, str] = {
    "ok": "",
    "standby": "another sidecar owns the state now; standing by",
    "reload": "Redis came back with an older state of ours; reading the streams on from there",
    "rolled_back": "Redis came back with an older state of ours; writing what is in memory again",
    "empty": "Redis came back empty; writing everything again",
    "cleared": "the metrics were cleared",
    "reread": "Redis restarted or was replaced; reading again what was not committed",
    "anew": "a stream was deleted and made anew",
}


def backoff(failures: int) -> float:
    """Return a pause in seconds: exponential with full jitter, so that many sidecars do not come back at once."""
    least, most = BACKOFF_SECONDS
    return random.uniform(least, min(least * 2 ** min(failures, 10), most))  # a float ends at 2 ** 1024


async def until(stop: asyncio.Event, works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all of them until one ends, dies of a defect, or `stop` comes; then cancel the others."""
    tasks = [asyncio.create_task(work) for work in works]
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (stopping, *tasks):
            task.cancel()
        await asyncio.gather(stopping, *tasks, return_exceptions=True)
    for task in done - {stopping}:
        task.result()
