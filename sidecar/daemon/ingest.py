"""Source -> ledger: one task per source, which connects, reads and applies until cancelled.

A pub/sub source that is not connected is blind: what is published meanwhile is lost. The time in which any source is
blind is counted, once for all sources.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Literal

import structlog
from msgspec import Struct

from sidecar.core.commit.ledger import Applied, Ledger
from sidecar.core.events.batch import Batch
from sidecar.core.events.source import key_of
from sidecar.errors import AccessError, CommandError, SidecarError, UnavailableError
from sidecar.process.clock import Clock
from sidecar.process.logs import OutageReasons
from sidecar.process.telemetry import Telemetry
from sidecar.redis.errors import reason
from sidecar.sources import Source

BACKOFF_SECONDS = (0.05, 2.0)
LEFTOVER_SECONDS = 0.5  # of the 2 s of a shutdown; unless there is a flood, draining takes milliseconds
BEHIND_SECONDS = 1.0  # two commits: a reader does not notice less

SourceStatus = Literal["connecting", "connected", "down"]


class SourceState(Struct):
    """The state of a source; times are by the steady clock.

    It is `blind` while it may miss events. It is `behind` from when its lag has exceeded `BEHIND_SECONDS` for that
    long, until there is no lag: the backlog after a start or an outage is usually read faster.
    """

    status: SourceStatus = "connecting"
    detail: str = ""
    blind: bool = False
    lag_seconds: float = 0.0
    late_since: float | None = None
    behind: bool = False


class Ingest:
    """The sources of one pipeline, and their states."""

    def __init__(
        self,
        ledger: Ledger,
        sources: tuple[Source, ...],
        *,
        interval: float,
        telemetry: Telemetry,
        clock: Clock,
        stepped: Callable[[], None],
    ) -> None:
        """`interval` is that of commits, in seconds; `stepped` checks before each batch whether the clock was set."""
        self.sources = sources
        self.states = {source.name: SourceState() for source in sources}
        self.last_event_at: dict[str, float] = {}  # when the newest event of a source arrived, Unix
        self._ledger = ledger
        self._interval = interval
        self._telemetry = telemetry
        self._clock = clock
        self._stepped = stepped
        self._hurry = asyncio.Event()
        self._reasons: dict[str, OutageReasons] = {}  # of sources that are down
        self._blind_from = 0.0  # the time up to which blind time was counted
        self._log = structlog.get_logger("sidecar")

    def hurry(self) -> None:
        """Make sources that wait before a reconnect do it now: Redis is elsewhere."""
        self._hurry.set()
        self._hurry = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether every source is connected."""
        return all(state.status == "connected" for state in self.states.values())

    @property
    def hears(self) -> bool:
        """Whether every source is connected, and none lags."""
        return self.connected and all(state.lag_seconds <= BEHIND_SECONDS for state in self.states.values())

    def begin(self) -> None:
        """Start from a state that was committed some time ago: pub/sub has been blind since then.

        A source that was not configured then is not blind until its first connection or failure.
        """
        away = self._ledger.away
        self._blind_from = self._clock.steady() - max(self._clock.now() - (away or self._clock.now()), 0)
        heard = [source.name for source in self.sources if not source.kind.rereads]
        for name in self.states:
            blind = away is not None and name in heard and self._ledger.listened(name)
            self.states[name] = SourceState(blind=blind)
        self._ledger.listen(heard)

    async def run(self, source: Source) -> None:
        """Connect, read, apply, and reconnect after failures, until cancelled.

        A Redis that accepts the connection but rejects reads is no better than an outage: after that, the source is
        back only once it was read.
        """
        failures, unreadable, reading = 0, False, False
        while True:
            try:
                await source.connect()
                reading = True
                while True:
                    if not unreadable and self.states[source.name].status != "connected":
                        self._connected(source)
                    await self._read(source)
                    failures, unreadable = 0, False
            except (UnavailableError, AccessError) as exc:
                if reading:
                    unreadable = isinstance(exc, (CommandError, AccessError))
                reading = False
                self._disconnected(source, exc)
                await source.close()
                failures += 1
                try:
                    async with asyncio.timeout(backoff(failures)):
                        await self._hurry.wait()
                    failures = 0
                except TimeoutError:
                    pass

    async def stop(self) -> None:
        """Drain what has arrived, and close every connection; no `run` may be in progress."""
        try:
            if self._ledger.active:
                await asyncio.gather(*map(self._drain, self.sources))
        finally:  # also if this is cancelled
            for source in self.sources:
                await source.close()
        for source in self.sources:
            self._unread(source, SourceState())

    async def _drain(self, source: Source) -> None:
        try:
            async with asyncio.timeout(LEFTOVER_SECONDS):
                await source.leftover(self._apply)
        except (TimeoutError, UnavailableError) as exc:
            why = str(exc) or f"it takes longer than {LEFTOVER_SECONDS} s"
            self._log.warning("source not read to its end", source=source.name, detail=f"{why}; the rest is missed")

    def ask_again(self) -> None:
        """Make every source check again what it knows about Redis."""
        for source in self.sources:
            source.ask_again()

    def count_blind(self) -> None:
        """Count the time in which any source was blind since the last call."""
        now = self._clock.steady()
        if self._ledger.active and any(state.blind for state in self.states.values()):
            self._ledger.blind(now - self._blind_from)
        self._blind_from = now

    def reset(self, name: str) -> None:
        """Log that a stream was deleted, and perhaps replaced."""
        self._telemetry.source_resets.labels(name).inc()
        detail = "what was counted stays counted; everything new under its name is read"
        self._log.warning("stream was recreated", source=name, detail=detail)

    def _cut(self, name: str) -> None:
        """Log that a stream lost its end."""
        self._telemetry.source_resets.labels(name).inc()
        detail = "older data came back; what was counted stays counted, and reading continues after it"
        self._log.warning("stream lost its end", source=name, detail=detail)

    async def _read(self, source: Source) -> None:
        name = source.name
        after = self._ledger.position(key_of(name)) if source.kind.rereads else ""
        batch = await source.read(after)
        self._report_lag(name, source.lag_seconds)
        if batch is None:
            return
        outcome = self._apply(batch)
        if outcome == "reset":
            self.reset(name)
        elif outcome == "cut":
            self._cut(name)
        elif outcome == "stale":
            source.ask_again()
            await asyncio.sleep(self._interval / 10)  # the next commit decides about the position
        elif batch.arrivals:
            # Entry ids may be in the future.
            self.last_event_at[name] = min(batch.arrivals[-1], self._clock.now())
            self._telemetry.source_last_event.labels(name).set(self.last_event_at[name])
        await asyncio.sleep(0)  # a read with buffered data does not yield to the loop

    def _apply(self, batch: Batch) -> Applied:
        self._stepped()
        return self._ledger.apply(batch, self._clock.now())

    def _report_lag(self, name: str, seconds: float) -> None:
        self._telemetry.source_lag_seconds.labels(name).set(seconds)
        state, now = self.states[name], self._clock.steady()
        state.lag_seconds = seconds
        if state.behind and not seconds:
            self._log.info("source caught up", source=name)
            state.behind = False
        if seconds <= BEHIND_SECONDS:
            state.late_since = None
        elif state.late_since is None:
            state.late_since = now
        elif not state.behind and now - state.late_since >= BEHIND_SECONDS:
            detail = "catching up; if this stays, more comes than can be counted"
            self._log.warning("source behind", source=name, detail=detail, seconds=round(seconds, 1))
            state.behind = True

    def _connected(self, source: Source) -> None:
        name = source.name
        self.count_blind()
        if self.states[name].status == "down":
            self._log.info("source is back", source=name)
        self.states[name] = SourceState("connected")
        self._telemetry.source_connected.labels(name).set(1)

    def _disconnected(self, source: Source, exc: SidecarError) -> None:
        name = source.name
        self.count_blind()
        state = self.states[name]
        if state.status != "down":
            self._reasons[name] = OutageReasons()
        if self._reasons[name].changed(reason(exc), self._clock.steady()):
            event = "source still lost" if state.status == "down" else "source lost"
            self._log.warning(event, source=name, detail=f"{exc}; trying again")
        self._unread(source, SourceState("down", str(exc), blind=not source.kind.rereads))

    def _unread(self, source: Source, state: SourceState) -> None:
        """Set the state of a source that is not read now."""
        self.states[source.name] = state
        self._telemetry.source_connected.labels(source.name).set(0)
        self._telemetry.source_lag_seconds.labels(source.name).set(0)


def backoff(failures: int) -> float:
    """Return a pause in seconds: exponential with full jitter, so that many sidecars do not reconnect at once."""
    least, most = BACKOFF_SECONDS
    return random.uniform(least, min(least * 2 ** min(failures, 10), most))  # a float overflows at 2 ** 1024
