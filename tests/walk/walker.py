"""Walk: every step is taken by the sidecar and told to the oracle, and what is shown is compared after each commit."""

import json
from collections.abc import Iterable

import structlog

from sidecar.exposition import document
from tests.walk import compare, keys, series
from tests.walk.counts import PUBSUB, STREAM, Heard
from tests.walk.harness import INTERVAL, LEASE, Hands, Redis, Sidecar, Stream, configuration
from tests.walk.numbers import GRACE_SECONDS
from tests.walk.oracle import Oracle
from tests.walk.steps import (
    Clear,
    Event,
    Fail,
    Flush,
    Publish,
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


class Walker:
    """One sidecar, its oracle, and everything around them."""

    def __init__(self) -> None:
        self.hands = Hands()
        last_ids: dict[str, str] = {}
        self.redis = Redis(self.hands, last_ids)
        self.stream = Stream(last_ids, self.redis)
        self.oracle = Oracle()
        self.published: dict[int, Heard] = {}  # entries of the stream, as if they were read at once
        self.sidecar = self._new()
        self.shown: dict[str, float] = {}
        self.comparisons = 0

    def _new(self) -> Sidecar:
        return Sidecar(self.hands, self.redis, self.stream, configuration())

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
                    self._publish(transport, payload, array=array)
            case Wait(seconds):
                await self._wait(seconds)
            case Fail(how):
                await self._read()
                self.redis.fate = how
                await self.sidecar.tick()
                self.oracle.commit(self.hands.steady, how)
            case Restart(how, after):
                await self._restart(how, after)
            case Clear():
                await self.redis.clear(f"g{self.hands.steady}.{self.comparisons}")
                self.oracle.clear(self.hands.wall)
                self.shown = {}
            case Trim(keep):
                self.stream.trim(keep)
            case Flush():
                await self._read()
                self.redis.lose_everything()
                self.stream.delete()
                await self.settle()
            case SetClock(by):
                await self._read()
                self.hands.wall += by
                self.oracle.clock_set = self.oracle.clock_ever_set = True
                await self.settle()
            case Rest():
                pass

    def _publish(self, transport: Transport, events: list[Event], *, array: bool) -> None:
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
            self.sidecar.hear(payload)
            self.oracle.hear(heard)
        else:
            self.published[self.stream.add(payload, self.hands.wall)] = heard

    async def _read(self) -> None:
        """Read the stream to its end."""
        self.oracle.read(self.published, {number for number, _, _ in self.stream.entries}, self.hands.steady)
        await self.sidecar.read()

    async def _wait(self, seconds: float) -> None:
        longest = LONGEST_TICK if seconds < 3 * PATIENT_TICK else PATIENT_TICK
        while seconds > 0:
            self.hands.pass_(min(seconds, longest))
            seconds -= longest
            await self._commit()
        await self._compare()

    async def _restart(self, how: str, after: float) -> None:
        before = self.sidecar
        if self.oracle.clock_set:  # what still waits is stored with the time of before: it may be missed later
            await self._wait(GRACE_SECONDS + INTERVAL)
        if self.oracle.clock_ever_set:  # entries that are read after a restart may be older than stored readings
            await self.settle()
        if how == "stopped":
            await before.stop()
            self._settled()
        self.oracle.crash()
        self.hands.pass_(max(after, LEASE + INTERVAL) if how == "taken over" else after)
        self.sidecar = self._new()
        await self.start()
        if how == "taken over":
            await before.tick()
            series.of_standby(await before.exposition())
            assert before.service._latest.snapshot is None, "a standby shows a snapshot"
        await self.settle()

    def _settled(self) -> None:
        while self.oracle.sent is not None:
            self.oracle.commit(self.hands.steady)
        self.oracle.commit(self.hands.steady)

    async def settle(self) -> None:
        """Commit everything, and compare."""
        await self._commit()
        await self._compare()

    async def _commit(self) -> None:
        await self._read()
        for _ in range(2 if self.oracle.sent is not None else 1):
            await self.sidecar.tick()
            self.oracle.commit(self.hands.steady)

    async def _compare(self) -> None:
        self.comparisons += 1
        shown = series.series(await self.sidecar.exposition())
        snapshot, counts = self.sidecar.service._latest.snapshot, self.oracle.stored
        assert snapshot is not None, "nothing is shown"
        assert counts is not None
        settled = None if self.oracle.clock_ever_set else INTERVAL
        view = compare.View(counts, [counts], {"stale": False, "role": "active", "scope": "instance"}, settled)
        differences = [
            *compare.of_snapshot(snapshot, view),
            *series.of_series(counts, shown),
            *series.of_gauges(json.loads(document.full(snapshot)), shown),
            *keys.of_keys(self.oracle, self.redis.public, self.hands),
            *series.gone_back(self.shown, shown),
        ]
        self.shown = shown
        assert not differences, "\n".join(differences)


def _payload(events: list[Event], wall: float, *, array: bool) -> bytes:
    written = [
        {**event, "ts": int(wall) + event["ts"]} if isinstance(event, dict) and "ts" in event else event
        for event in events
    ]
    if array:
        return json.dumps(written).encode()
    return (written[0] if isinstance(written[0], str) else json.dumps(written[0])).encode()


async def walk(steps: Iterable[Step]) -> int:
    """Walk; return how often was compared. Raises AssertionError that says at which step what differs."""
    taken: list[Step] = []
    with structlog.testing.capture_logs():
        walker = Walker()
        await walker.begin()
        try:
            for step in steps:
                taken.append(step)
                await walker.take(step)
            await walker.take(Wait(6.1))
        except AssertionError as exc:
            path = "\n".join(f"    {step}," for step in taken)
            raise AssertionError(f"{exc}\nafter\n{path}") from exc
    return walker.comparisons
