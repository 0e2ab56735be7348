"""Queues are read shortly before each tick, each Redis by itself; health and log say what is wrong."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import structlog
from aiohttp import ClientSession
from msgspec.structs import replace

from sidecar.config.structs import QueueConfig
from sidecar.core.counts.queue_read import QueueReading
from sidecar.daemon.build import Parts, queue_readers
from sidecar.daemon.queues import NO_ROOM, TAKEN, Queues
from sidecar.daemon.service import Service
from sidecar.errors import CommandError
from sidecar.exposition.published import Component
from sidecar.process.clock import Clock
from sidecar.redis.servers import Servers
from sidecar.redis.url import parse
from sidecar.sources.memory import MemorySource
from sidecar.sources.queues.reader import QueueAnswer, QueueReader
from tests.daemon.test_service import CONFIG, Store, get
from tests.redis_server import RedisServer
from tests.waiting import eventually

READING = QueueReading(at=1.0, waiting=3)


class Reader:
    """A reader that answers what the test says, or only after it lets it."""

    def __init__(self, **answers: QueueAnswer) -> None:
        self.answers = answers
        self.free = asyncio.Event()
        self.free.set()
        self.reads = self.closed = 0
        self.names: frozenset[str] = frozenset()

    async def read(self, now: float) -> dict[str, QueueAnswer]:
        self.reads += 1
        await self.free.wait()
        return self.answers

    async def close(self) -> None:
        self.closed += 1


class Ground:
    """Queues with these readers; a tick is a call."""

    def __init__(self, *readers: Reader, left_out: frozenset[str] = frozenset()) -> None:
        self.taken: dict[str, QueueReading] = {}
        self._tick = asyncio.Event()
        self._left_out = left_out
        found = cast("tuple[QueueReader, ...]", readers)
        self.queues = Queues(found, interval=0.02, clock=Clock(), ticked=self._ticked, take=self._take)

    async def _ticked(self) -> None:
        await self._tick.wait()

    def tick(self) -> None:
        """Wake those who wait for the next tick."""
        self._tick.set()
        self._tick = asyncio.Event()

    def _take(self, readings: Mapping[str, QueueReading]) -> set[str]:
        self.taken.update(readings)
        return readings.keys() & self._left_out

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.queues.run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_redis_that_answers_late_delays_no_other() -> None:
    slow, quick = Reader(a=QueueAnswer(READING)), Reader(b=QueueAnswer(READING))
    slow.free.clear()
    ground = Ground(slow, quick)
    async with ground.running():
        ground.tick()
        await eventually(lambda: "b" in ground.taken)
        ground.tick()
        await eventually(lambda: quick.reads == 2)
        assert (slow.reads, set(ground.taken)) == (1, {"b"})
        slow.free.set()
        await eventually(lambda: "a" in ground.taken)
    await ground.queues.close()
    assert (slow.closed, quick.closed) == (1, 1)


async def test_what_is_wrong_is_in_health_and_logged_once() -> None:
    problem = CommandError("LLEN q: the key is of another type")
    reader = Reader(
        good=QueueAnswer(READING, note="known"), bad=QueueAnswer(problem=problem), much=QueueAnswer(READING)
    )
    ground = Ground(reader, left_out=frozenset({"much"}))
    with structlog.testing.capture_logs() as log:
        async with ground.running():
            ground.tick()
            await eventually(lambda: "good" in ground.taken)
            ground.tick()
            await eventually(lambda: reader.reads == 2)
            await asyncio.sleep(0)
            found = ground.queues.components()
            assert found["queue:good"] == Component("ok", "known")
            assert found["queue:bad"] == Component("degraded", str(problem))
            assert found["queue:much"] == Component("degraded", NO_ROOM)
            reader.answers = {"bad": QueueAnswer(READING)}
            ground.tick()
            await eventually(lambda: ground.queues.components() == {"queue:bad": Component("ok")})
    assert [(line["event"], line["queue"]) for line in log] == [
        ("queue cannot be read", "bad"),
        ("queue cannot be read", "much"),
        ("queue is read again", "bad"),
    ]


async def test_of_two_queues_with_one_name_the_configured_one_is_shown() -> None:
    listing, named = Reader(q=QueueAnswer(READING)), Reader(q=QueueAnswer(replace(READING, waiting=7)))
    named.names = frozenset({"q"})
    ground = Ground(listing, named)
    async with ground.running():
        ground.tick()
        await eventually(lambda: {"queue:q", "queue:q (2)"} <= ground.queues.components().keys())
    assert ground.taken == {"q": replace(READING, waiting=7)}
    assert ground.queues.components()["queue:q (2)"] == Component("degraded", TAKEN)


async def test_the_daemon_shows_what_a_queue_says_wherever_it_shows_numbers(redis_server: RedisServer) -> None:
    queue = QueueConfig(system="list", name="jobs", queue="jobs")
    missing = QueueConfig(system="rq", name="mail", queue="mail")
    config = replace(CONFIG, queues=(queue, missing), redis=replace(CONFIG.redis, url=redis_server.url))
    store, target = Store(), config.redis.target
    readers = queue_readers(config, {target: Servers(target)})
    parts = Parts(store, store, (MemorySource("pubsub:flash_sale:events"),), queues=readers)
    service = Service(config, log=structlog.get_logger("test"), parts=parts)
    redis_server.ask("RPUSH jobs a b c")
    stop, started = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(service.run(stop, started=started.set))
    try:
        await started.wait()

        def shown() -> Any:
            published = service._latest.published
            return published and published.snapshot.queues.get("jobs")

        await eventually(lambda: shown() is not None)
        async with ClientSession(service.http_url) as client:
            assert (await get(client, "/monitoring/metrics"))["queues"] == {
                "jobs": {
                    **{"waiting": 3, "active": None, "delayed": None, "failed": None, "completed": None},
                    **{"state_from": "redis", "oldest_waiting_s": None, "paused": None, "drift_jobs": None},
                }
            }
            async with client.get("/metrics") as response:
                text = await response.text()
            assert 'flash_sale_queue_jobs{queue="jobs",state="waiting"} 3.0' in text
            assert 'flash_sale_queue_length{queue="jobs"} 3.0' in text
            assert "flash_sale_queue_paused" not in text, "what is unknown is left out"
            health = (await get(client, "/monitoring/health"))["components"]
            assert health["queue:jobs"] == {"status": "ok"}
            assert health["queue:mail"]["status"] == "degraded"
            history = await get(client, "/monitoring/history?metric=queue_length")
            assert history["points"][-1][1] in (3, None)
            redis_server.ask("RPUSH jobs d")
            await eventually(lambda: shown().waiting == 4)
    finally:
        stop.set()
        await task


async def test_queues_of_one_redis_share_a_reader() -> None:
    other = "redis://there"
    queues = [QueueConfig(system="list", name=name, queue=name) for name in "ab"]
    queues += [replace(queues[0], name=name, redis_url=other) for name in "cd"]
    ours = Servers(parse("redis://here"))
    known = {CONFIG.redis.target: ours}
    readers = queue_readers(replace(CONFIG, queues=tuple(queues)), known)
    assert len(readers) == 2
    assert [servers.target.addresses for servers in known.values()] == [(("here", 6379),), (("there", 6379),)]
