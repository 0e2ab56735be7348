"""Source -> apply; tick -> commit -> publish.

One Pipeline runs one prefix. It stands by until it owns the state; then every source has a task that reads and applies,
and one loop commits every interval. Everything between two awaits is atomic, so there are no locks.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from math import inf

import structlog
from msgspec import Struct

from sidecar.config import Config
from sidecar.core.commit.aggregator import Flight
from sidecar.core.commit.ledger import CommitVerdict, Ledger
from sidecar.core.counts.rules import AHEAD_SECONDS
from sidecar.core.naming import first_few
from sidecar.daemon.candidacy import Candidacy
from sidecar.daemon.ingest import BACKOFF_SECONDS, Ingest
from sidecar.errors import AccessError, CheckpointError, CommandError, SidecarError, UnavailableError
from sidecar.process.clock import Clock
from sidecar.process.logs import OutageReasons, RateLimit
from sidecar.process.supervision import until, watched
from sidecar.process.telemetry import Telemetry
from sidecar.redis.errors import command_error_reason, reason
from sidecar.sources import Source
from sidecar.store import Store

COMMIT_TRIES = 5  # commits in a row, if each asks for another; more would starve the loop
LATE_TICKS, LATE_SECONDS = 3, 2.0  # after a pause this long, read the backlog before judging producers silent
NAMED = 10  # producers in one log line
STOP_SECONDS = 0.75  # for the last commit: draining sources takes half a second before it, clients and outputs after it
# The outcome in commits_total of each verdict.
_OUTCOMES: dict[CommitVerdict, str] = {
    "ok": "ok",
    "standby": "conflict",
    "reload": "rolled_back",
    "rolled_back": "rolled_back",
    "empty": "emptied",
    "cleared": "cleared",
    "reread": "reread",
    "reset": "reread",
}


class Rollback(Struct, frozen=True):
    """When Redis last lost commits, by the steady clock, and how many."""

    at: float = -inf
    commits: int = 0


class ClockStep(Struct, frozen=True):
    """A step of this machine's clock: by `seconds`, to the Unix time `to`, at the steady time `at`.

    `before`: it was before this process owned the state, which is now from the future.
    """

    seconds: float
    to: float
    at: float
    before: bool = False

    def __str__(self) -> str:
        moment = datetime.fromtimestamp(self.to, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        if self.before:
            return (
                f"the state was last committed {abs(self.seconds):.1f} s after {moment}, which is now by the clock of "
                "this machine: it was set back, or the clock of the machine that counted before is ahead"
            )
        way = "back" if self.seconds < 0 else "forward"
        return f"the clock of this machine was set {way} by {abs(self.seconds):.1f} s at {moment}"


class Pipeline:
    """Reads, counts, commits and publishes."""

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        sources: tuple[Source, ...],
        *,
        config: Config,
        telemetry: Telemetry,
        publish: Callable[[], None],
        clock: Clock,
    ) -> None:
        """`publish` is called with every tick, also while a commit hangs."""
        self.ledger = ledger
        self.redis_error = ""
        self.commit_error = ""
        self.unanswered = False  # whether a commit has waited for Redis for longer than an interval
        self.owner_met = ""
        self.rollback = Rollback()
        self.missed_at = -inf
        self.committed_at = -inf
        self._watched_at = -inf
        self.clock_step: ClockStep | None = None
        self.damage = ""
        self.ingest = Ingest(
            ledger,
            sources,
            interval=config.commit_interval,
            telemetry=telemetry,
            clock=clock,
            stepped=self.look_at_clock,
        )
        self._store = store
        self._interval = config.commit_interval
        self._lease = config.lease
        self._candidacy = Candidacy(patience=2 * config.commit_interval, lease=config.lease)
        self._met_redis = False
        self._from_scratch = False
        self._rejected_limit = RateLimit()
        self._outage, self._failures = OutageReasons(), OutageReasons()
        self._telemetry = telemetry
        self._publish = publish
        self.clock = clock
        self._log = structlog.get_logger("sidecar")

    def look_at_clock(self) -> None:
        """Detect whether this machine's clock was set, and shift every time taken from it."""
        if not (step := self.clock.step()):
            return
        now = self.clock.now()
        self.ledger.step(step, now)
        self._report_step(ClockStep(step, now, self.clock.steady()))

    def _report_step(self, step: ClockStep) -> None:
        self.clock_step = step
        self._telemetry.clock_steps.inc()
        self._log.warning("clock set", detail=f"{self.clock_step}; intervals are measured by another clock")

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`; then commit what was read, and release the state.

        Raises SidecarError if events could not be committed, AccessError if Redis denies this user at the start.
        """
        while not stop.is_set():
            await until(stop, [watched(self._telemetry, "stand_by", self._stand_by)])
            if self.ledger.active:
                await self._own(stop)

    # Standing by

    async def _stand_by(self) -> None:
        """Wait until this sidecar owns the state."""
        while True:
            try:
                if await self._take():
                    return
                pause = 0.0 if self._candidacy.dead or self._from_scratch else min(3 * self._interval, self._lease / 4)
            except AccessError as exc:
                if not self._met_redis:
                    raise
                pause = self._lost(exc)
            except UnavailableError as exc:
                pause = self._lost(exc)
            self._publish()
            await asyncio.sleep(pause)

    async def _take(self) -> bool:
        self.look_at_clock()
        try:
            taken = await self._store.take(
                self.ledger.owner,
                self.ledger.next_token(),
                dead=self._candidacy.dead,
                create=self._from_scratch or self._candidacy.may_create(self.clock.steady()),
            )
            self._answered()
            if taken.fields is not None:
                self._take_over(taken.fields)
        except CheckpointError as exc:
            await self._set_aside(exc)
            return False
        if taken.fields is not None:
            self._candidacy.owned()
            self._from_scratch = False
            self.owner_met = ""
            self._log.info("active", detail="this sidecar counts now", events=self._received())
            return True
        self._candidacy.saw(taken.owner, self.clock.steady())
        if taken.owner and taken.owner != self.owner_met:
            self._log.info(
                "standby", detail="another sidecar counts this prefix; waiting for its lease", of=taken.owner
            )
        self.owner_met = taken.owner
        return False

    def _take_over(self, fields: Mapping[str, bytes]) -> None:
        now = self.clock.now()
        self.ledger.take_over(fields, now)
        committed_at = self.ledger.aggregate.committed.total.committed_at
        self.committed_at = -inf if committed_at is None else self.clock.steady() - (now - committed_at)
        if redefined := self.ledger.aggregate.redefined:
            detail = "their definitions changed: they restart from 0, as after `sidecar clear --metric NAME`"
            self._log.warning("custom metrics restart", metrics=", ".join(sorted(redefined)), detail=detail)
        ahead = (self.ledger.away or now) - now
        if ahead > AHEAD_SECONDS:
            self._report_step(ClockStep(-ahead, now, self.clock.steady(), before=True))

    # Owning the state

    async def _own(self, stop: asyncio.Event) -> None:
        """Read and commit until `stop`, or until another sidecar owns the state."""
        self.ingest.begin()
        try:
            works: dict[str, Callable[[], Awaitable[None]]] = {"commit": self._keep_ticking}
            works |= {source.name: partial(self.ingest.run, source) for source in self.ingest.sources}
            await until(stop, [watched(self._telemetry, name, begin) for name, begin in works.items()])
        finally:
            await self.ingest.stop()
        if self.ledger.active:
            await self._finish()

    async def _keep_ticking(self) -> None:
        """Tick every interval, as long as this sidecar owns the state."""
        time = asyncio.get_running_loop().time
        while self.ledger.active:
            began = time()
            await self.tick()
            if self.ledger.active:
                await asyncio.sleep(max(self._interval - (time() - began), 0))

    async def _finish(self) -> None:
        """Commit what was read, and end the lease; retry as long as there is time."""
        failure = ""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                while True:
                    alone = self.ledger.unanswered  # it is sent again unchanged; later events need another commit
                    await self._commit()
                    left = self.ledger.uncommitted() or (alone and not self.commit_error)
                    if not (left and self.ledger.active):
                        break
                    if self.commit_error:
                        await asyncio.sleep(BACKOFF_SECONDS[0])
                if not self.commit_error:
                    await self._store.release(self.ledger.owner)
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
        self.ingest.count_blind()
        self._watch()
        committing = asyncio.create_task(self._commit())
        try:
            while not (await asyncio.wait([committing], timeout=self._interval))[0]:
                self.unanswered = True
                self.look_at_clock()
                self._publish()  # show the age of the numbers while Redis hangs
            committing.result()
        finally:
            self.unanswered = False
            committing.cancel()
            await asyncio.gather(committing, return_exceptions=True)
        self._publish()

    def _watch(self) -> None:
        """Judge which producers are alive, and log those that fell silent or returned."""
        now, before = self.clock.steady(), self._watched_at
        self._watched_at = now
        on_time = now - before <= max(LATE_TICKS * self._interval, LATE_SECONDS)
        well = not (self.redis_error or self.commit_error) and self.ingest.hears
        changes = self.ledger.watch(self.clock.now(), hears=on_time and well)
        if changes.silent:
            detail = "no event and no heartbeat; look whether these processes live"
            self._log.warning("producers silent", producers=first_few(sorted(changes.silent), NAMED), detail=detail)
        if changes.returned:
            self._log.info("producers are back", producers=first_few(sorted(changes.returned), NAMED))

    async def _commit(self) -> None:
        began = asyncio.get_running_loop().time()
        try:
            for _ in range(COMMIT_TRIES):
                if await self._commit_once() in ("ok", "standby"):
                    break
            self._telemetry.commit_duration.observe(asyncio.get_running_loop().time() - began)
            self.commit_error = ""
            self._telemetry.commit_error("")
        except CommandError as exc:
            self._answered()
            self._commit_failed(exc)
        except (UnavailableError, AccessError) as exc:
            self._lost(exc)
            self._commit_failed(exc)

    async def _commit_once(self) -> CommitVerdict:
        try:
            return await self._send_commit()
        except CheckpointError as exc:
            await self._set_aside(exc)
            return "empty" if self.ledger.active else "standby"

    async def _send_commit(self) -> CommitVerdict:
        self.look_at_clock()
        now = self.clock.now()
        commit = self.ledger.freeze(now)
        committed = self.ledger.aggregate.committed
        answer = await self._store.commit(commit, self.ledger.fields(commit), committed, now)
        self._answered()
        self.look_at_clock()
        verdict = self.ledger.resolve(commit, answer, self.clock.now())
        if verdict == "reload" and not await self._reload():
            return "reload"
        self._telemetry.commits.labels(_OUTCOMES[verdict]).inc()
        self._telemetry.producers_doubted.set(len(self.ledger.aggregate.register.names.doubts()))
        if verdict == "ok":
            self.committed_at = self.clock.steady()
            self._telemetry.last_commit.set(now)
            self._log_rejected(commit.flight)
            if _missed(commit.flight):
                self.missed_at = self.clock.steady()
        else:
            self._log.warning("commit", outcome=verdict, detail=_EXPLAINED[verdict], number=answer.number)
        if verdict in ("reload", "rolled_back"):
            self.rollback = Rollback(self.clock.steady(), max(commit.number - answer.number, 1))
        if verdict == "reset":
            self.ingest.reset(f"stream:{answer.stream}")
        if verdict in ("reread", "reload", "rolled_back"):
            self.ingest.ask_again()
        return verdict

    async def _reload(self) -> bool:
        try:
            ours = self.ledger.reload(await self._store.load())
            self.ledger.step(0.0, self.clock.now())
            return ours
        except CheckpointError:
            self.ledger.forget()  # Redis was rolled back, and its streams too, so memory is wrong as well
            raise

    async def _set_aside(self, damage: CheckpointError) -> None:
        """Keep a damaged state for inspection. Memory replaces it, or counting restarts from scratch."""
        aside = await self._store.set_aside(self.ledger.owner)
        if aside is None:
            self.ledger.forget()  # the lease was lost: leave the state to its owner
            return
        self._from_scratch = not self.ledger.active
        self._telemetry.checkpoints_damaged.inc()
        kept = f"it is kept in {aside.key}"
        if aside.dropped:
            kept = f"the first damaged one is still kept in {aside.key}, this one is lost"
        self.damage = (
            f"the stored state was damaged ({damage}); {kept}; {_FROM_SCRATCH if self._from_scratch else _FROM_MEMORY}"
        )
        self._log.error("checkpoint damaged", detail=self.damage)

    def _log_rejected(self, flight: Flight) -> None:
        """Log rejected events, each reason at a bounded rate; `sidecar rejected` has the newest hundred."""
        for part in flight.pending.values():
            for one in part.rejected:
                if (suppressed := self._rejected_limit.allow(one.reason, self.clock.steady())) is not None:
                    self._log.warning(
                        "event rejected", reason=one.reason, detail=one.detail, source=one.source, suppressed=suppressed
                    )

    def _commit_failed(self, exc: SidecarError) -> None:
        self._telemetry.commits.labels("failed").inc()
        self._telemetry.commit_error(command_error_reason(exc))
        if not self.commit_error:
            self._failures = OutageReasons()
        if self._failures.changed(reason(exc), self.clock.steady()):
            event = "commit still fails" if self.commit_error else "commit failed"
            self._log.error(event, detail=f"{exc}; what is pending is kept and sent again")
        self.commit_error = str(exc)

    # Outages

    def _answered(self) -> None:
        if self.redis_error:
            self._log.info("Redis is back")
        self.redis_error = ""
        self._met_redis = True
        self._telemetry.redis_up.set(1)

    def _lost(self, exc: SidecarError) -> float:
        """Note that Redis does not answer; return the pause before the next try, in seconds."""
        if not self.redis_error:
            self._outage = OutageReasons()
        if self._outage.changed(reason(exc), self.clock.steady()):
            event = "Redis is still away" if self.redis_error else "Redis is away"
            self._log.warning(event, detail=f"{exc}; waiting for it")
        self.redis_error = str(exc)
        self._telemetry.redis_up.set(0)
        return min(self._interval, BACKOFF_SECONDS[1])

    def _received(self) -> int:
        return self.ledger.aggregate.committed.total.tallies["received"].total()


def _missed(flight: Flight) -> bool:
    return any(part.state.total.tallies["missed"].total() > 0 for part in flight.pending.values())


_FROM_SCRATCH = "counting restarts with what streams still hold; earlier pub/sub events are lost"
_FROM_MEMORY = "it is written again from memory, nothing is lost"
_EXPLAINED: dict[CommitVerdict, str] = {
    "ok": "",
    "standby": "another sidecar owns the state now; standing by",
    "reload": "Redis came back with an older state; reading the streams from there",
    "rolled_back": "Redis came back with an older state; writing what is in memory again",
    "empty": "Redis came back empty; writing everything again",
    "cleared": "the metrics were cleared",
    "reread": "Redis restarted or was replaced; reading again what was not committed",
    "reset": "a stream was deleted and recreated",
}
