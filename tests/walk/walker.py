"""Walk: every step is taken by the sidecar and told to the oracle, and what is shown is compared after each commit."""

import json
from typing import Any, Protocol

from sidecar.config import Config
from sidecar.exposition import documents
from tests.walk import compare, keys, series
from tests.walk.counts import PUBSUB, STREAM, Heard
from tests.walk.ground import LEASE, Hands, Registry
from tests.walk.harness import INTERVAL, Sidecar, configuration
from tests.walk.numbers import GRACE_SECONDS
from tests.walk.oracle import Oracle
from tests.walk.steps import (
    Buckets,
    Clear,
    ClearMetric,
    Event,
    Fail,
    Failover,
    Flush,
    Lag,
    Publish,
    Reload,
    Rest,
    Restart,
    SetClock,
    Step,
    Transport,
    Trim,
    Wait,
)

LONGEST_TICK = 1.0
PATIENT_TICK = 5.0  # for long waits
MOMENT = 0.001  # no two payloads arrive at once


class Ground(Protocol):
    """Where Redis is: in memory, or a real one."""

    def prefix(self, hands: Hands, prefix: str) -> tuple[Any, Any]:
        """Return the part of it that one sidecar uses, and its stream."""
        ...


class Walker:
    """One sidecar, its oracle, and everything around them."""

    def __init__(
        self,
        hands: Hands | None = None,
        ground: Ground | None = None,
        *,
        name: str = "a",
        interval: float = INTERVAL,
    ) -> None:
        self.hands = hands or Hands()
        self.name = name
        self.interval = interval
        where: Ground = ground or Registry()
        self.redis, self.stream = where.prefix(self.hands, f"{name}:")
        self.oracle = Oracle()
        self.published: dict[int, Heard] = {}  # entries of the stream, as if they were read at once
        self.sidecar = self._new()
        self.standby: Sidecar | None = None
        self.shown: dict[str, float] = {}
        self.floor: dict[str, float] = {}  # what was shown before Redis was rolled back
        self.replica: tuple[Any, Any, Oracle] | None = None
        self.comparisons = 0

    def _new(self) -> Sidecar:
        return Sidecar(self.hands, self.redis, self.stream, self._configuration())

    def _configuration(self) -> Config:
        return configuration(f"{self.name[0]}:", self.name, self.interval, self.oracle.settings)

    async def start(self) -> None:
        """Start the sidecar, or the next one."""
        await self.sidecar.start()
        self.oracle.start(self.hands.steady, self.hands.wall)
        await self._read()

    async def begin(self) -> None:
        """Start the first sidecar, which commits at once how far it has read."""
        await self.start()
        await self.settle()

    async def take(self, step: Step) -> None:
        """Take one step."""
        match step:
            case Publish(transport, events, array):
                for payload in [events] if array else [[event] for event in events]:
                    await self._publish(transport, payload, array=array)
            case Wait(seconds):
                await self._wait(seconds)
            case Fail(how):
                await self._read()
                self.redis.fate = how
                await self.sidecar.tick()
                if self.redis.fate == how:  # Redis said what became of what was sent before: the next answer is lost
                    if self.oracle.sent is not None:
                        self.oracle.commit(self.hands.steady)
                    await self.sidecar.tick()
                self.oracle.commit(self.hands.steady, how)
            case Restart(how, after):
                await self.end(how)
                self.hands.pass_(absence(how, after))
                await self.begin_again(how)
            case Clear(settled):
                await self._clear(settled=settled)
            case ClearMetric(name, settled):
                await self._clear_metric(name, settled=settled)
            case Trim(keep):
                self.stream.trim(keep)
            case Flush():
                await self.lose_everything()
                await self.settle()
            case SetClock(by):
                await self._read()
                self.hands.wall += by
                self.oracle.clock_set = self.oracle.clock_ever_set = True
                await self.settle()
            case Reload(settings):
                self.oracle.settings = settings._replace(buckets_ms=self.oracle.settings.buckets_ms)
                self.sidecar.reload(self._configuration())
            case Buckets(buckets):
                await self.end("stopped")
                self.oracle.bucket(buckets)
                self.shown = {}
                await self.begin_again("stopped")
            case Lag():
                await self.settle()
                self.replica = self.replica or (self.redis.save(), self.stream.save(), self.oracle.save())
            case Failover():
                await self._fail_over()
            case Rest():
                pass

    async def _clear(self, *, settled: bool) -> None:
        if settled:
            await self.settle()
        await self.redis.clear(f"g{self.hands.steady}.{self.comparisons}")
        self.oracle.clear(self.hands.steady, self.hands.wall)
        self.shown, self.floor, self.replica = {}, {}, None
        if settled:
            await self.settle()

    async def _clear_metric(self, name: str, *, settled: bool) -> None:
        if settled:
            await self.settle()
        await self.redis.clear_metric(name, f"{self.comparisons}")
        self.oracle.clear_metric(name)
        self.replica = None
        self.shown, self.floor = (
            {sample: value for sample, value in known.items() if not sample.startswith(name)}
            for known in (self.shown, self.floor)
        )
        if settled:
            await self.settle()

    async def _fail_over(self) -> None:
        """Have Redis replaced by its replica, which may lack commits and entries."""
        await self.settle()
        redis, stream, oracle = self.replica or (self.redis.save(), self.stream.save(), self.oracle)
        self.replica = None
        self.redis.fail_over(redis)
        self.stream.fail_over(stream)
        if oracle is not self.oracle and self.oracle.fail_over(oracle, self.hands.steady):
            self.published = {
                number: heard for number, heard in self.published.items() if number <= oracle.stored_entry
            }
            self.floor = self.shown
        await self.settle()

    async def _publish(self, transport: Transport, events: list[Event], *, array: bool) -> None:
        self.hands.pass_(MOMENT)
        payload = _payload(events, self.hands.wall, array=array)
        heard = Heard(
            source=PUBSUB if transport == "pubsub" else STREAM,
            events=tuple(events),
            published=self.hands.steady,
            published_wall=self.hands.wall,
            read=self.hands.steady,
        )
        if transport == "pubsub":
            await self.sidecar.hear(payload)
            self.oracle.hear(heard)
        else:
            self.published[self.stream.add(payload, self.hands.wall)] = heard

    async def _read(self) -> None:
        """Read the stream to its end."""
        self.oracle.read(self.published, {number for number, _, _ in self.stream.entries}, self.hands.steady)
        await self.sidecar.read()

    async def lose_everything(self) -> None:
        """Have Redis lose everything."""
        if self.oracle.just_cleared:  # a clear that nobody has heard of is lost, too
            await self.commit()
        await self._read()
        self.redis.lose_everything()
        self.stream.delete()
        await self.redis.close()
        await self.sidecar.reconnect()

    async def _wait(self, seconds: float) -> None:
        longest = LONGEST_TICK if seconds < 3 * PATIENT_TICK else PATIENT_TICK
        while seconds > 0:
            self.hands.pass_(min(seconds, longest))
            seconds -= longest
            await self.commit()
        await self._compare()

    async def end(self, how: str) -> None:
        """Have the sidecar end, in whichever way."""
        if self.oracle.clock_set:  # what still waits is stored with the time of before: it may be missed later
            await self._wait(GRACE_SECONDS + INTERVAL)
        if self.oracle.clock_ever_set:  # entries that are read after a restart may be older than stored readings
            await self.settle()
        if how == "stopped":
            await self.sidecar.stop()
            self._settled()
        self.oracle.crash()
        self.replica = None

    async def begin_again(self, how: str) -> None:
        """Have the next sidecar take over; one from which it was taken stands by."""
        before, self.standby = self.sidecar, None
        if self.floor:  # a new process does not know what was shown before a rollback
            self.shown, self.floor = {}, {}
        if how == "taken over":
            self.name, self.standby = f"{self.name}'", before
        self.sidecar = self._new()
        await self.start()
        if how == "taken over":
            await before.tick()
            series.of_standby(await before.exposition())
            assert before.service._latest.published is None, "a standby shows a snapshot"
        await self.settle()

    def _settled(self) -> None:
        while self.oracle.sent is not None:
            self.oracle.commit(self.hands.steady)
        self.oracle.commit(self.hands.steady)

    async def settle(self) -> None:
        """Commit everything, and compare."""
        await self.commit()
        await self._compare()

    async def commit(self) -> None:
        """Commit everything."""
        await self._read()
        for _ in range(2 if self.oracle.sent is not None else 1):
            await self.sidecar.tick()
            self.oracle.commit(self.hands.steady)
        if self.standby:
            await self.standby.attend()

    async def _compare(self) -> None:
        self.comparisons += 1
        shown = series.series(await self.sidecar.exposition())
        published, counts = self.sidecar.service._latest.published, self.oracle.shown
        assert published is not None, "nothing is shown"
        snapshot = published.snapshot
        settled = None if self.oracle.clock_ever_set else self.interval
        view = compare.View(
            counts,
            [counts],
            {"stale": False, "role": "active", "scope": "instance"},
            settled,
            self.oracle.places.unsure,
            gauge=not self.oracle.clock_ever_set,
        )
        stored = await self.redis.keys()
        differences = [
            *compare.of_snapshot(snapshot, view),
            *([] if settled is None else compare.of_report(await self.sidecar.report(), snapshot)),
            *series.of_series(self.oracle, shown, self.hands.steady, self.floor),
            *series.of_gauges(json.loads(documents.full(snapshot)), shown),
            *keys.of_keys(self.oracle, stored, self.hands),
            *keys.of_custom(stored, json.loads(documents.full(snapshot))["custom"]),
            *series.gone_back(self.shown, shown),
        ]
        self.shown = shown
        assert not differences, "\n".join(differences)


def absence(how: str, after: float) -> float:
    """Return how long nobody counts before the next sidecar begins."""
    return max(after, LEASE + INTERVAL) if how == "taken over" else after


def _payload(events: list[Event], wall: float, *, array: bool) -> bytes:
    written = [
        {**event, "ts": int(wall) + event["ts"]} if isinstance(event, dict) and "ts" in event else event
        for event in events
    ]
    if array:
        return json.dumps(written).encode()
    return (written[0] if isinstance(written[0], str) else json.dumps(written[0])).encode()
