"""G10: whatever is cancelled, at whichever await, leaves no task, no connection and no reply for somebody else."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any

import pytest
import redis
from prometheus_client import CollectorRegistry

from sidecar.config import Config, Seconds
from sidecar.core.checkpoint.state import load_state
from sidecar.daemon.pipeline import Pipeline
from sidecar.process.clock import Clock
from sidecar.process.telemetry import Telemetry
from sidecar.redis.link import Link
from sidecar.redis.servers import Servers
from sidecar.redis.url import parse
from sidecar.sources import pubsub, stream
from sidecar.sources.pubsub import PubSubSource
from sidecar.sources.stream import StreamSource
from sidecar.store.redis import RedisStore
from tests.cancelling import INTERRUPTED, Interrupt, sweep
from tests.conftest import Guarantee
from tests.guarantees import sizes
from tests.ledgers import T0, heard, new_ledger, order, send, shown, take
from tests.redis_server import RedisServer
from tests.sources.test_pubsub import messages
from tests.waiting import eventually

Check = Callable[[], Any]
PAYLOADS = [b"one", b"two", b"three"]


def where(server: RedisServer) -> Servers:
    """Return what connections are made to."""
    return Servers(parse(server.url))


@pytest.fixture
def nobody_connected(client: redis.Redis) -> Check:
    """Check that no connection but this client's own is open."""

    def others() -> int:
        return len(client.client_list()) - 1

    async def check() -> None:
        await eventually(lambda: others() == 0, 2, "every connection to be closed")

    return check


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pause shorter, so that hundreds of runs take seconds."""
    monkeypatch.setattr(pubsub, "PING_SECONDS", 0.02)
    monkeypatch.setattr(pubsub, "PACE_SECONDS", 0.002)
    monkeypatch.setattr(stream, "PACE_SECONDS", 0.002)
    monkeypatch.setattr(stream, "BLOCK_MS", 20)


# The sweep itself


async def leave_a_task() -> None:
    task = asyncio.create_task(asyncio.sleep(0.2))
    await asyncio.sleep(0.01)
    await task


async def swallow() -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(("operation", "complaint"), [(leave_a_task, "left over"), (swallow, "swallowed")])
async def test_the_sweep_notices_what_is_not_safe(
    operation: Callable[[], Coroutine[Any, Any, Any]], complaint: str
) -> None:
    before = asyncio.all_tasks()
    with pytest.raises(AssertionError, match=complaint):
        await sweep(lambda interrupt: interrupt(operation()))
    for task in asyncio.all_tasks() - before:
        task.cancel()


# One connection


async def test_connecting(redis_server: RedisServer, nobody_connected: Check) -> None:
    async def scenario(interrupt: Interrupt) -> None:
        link = await interrupt(Link.open(parse(redis_server.url)))
        if link is not INTERRUPTED:
            await link.close()
        await nobody_connected()

    assert await sweep(scenario) >= 3


async def test_a_call_leaves_no_reply_for_the_next_one(redis_server: RedisServer, nobody_connected: Check) -> None:
    async def scenario(interrupt: Interrupt) -> None:
        link = await Link.open(parse(redis_server.url))
        before = asyncio.create_task(link.call("ECHO", "before"))
        await interrupt(link.call("ECHO", "mine"))
        assert await before == b"before"
        if not link.closed:
            assert await link.call("ECHO", "after") == b"after"
        await link.close()
        await nobody_connected()

    assert await sweep(scenario) >= 2


# Sources


@pytest.mark.parametrize("name", ["c", "c*"])
async def test_subscribing(redis_server: RedisServer, nobody_connected: Check, name: str) -> None:
    async def scenario(interrupt: Interrupt) -> None:
        source = PubSubSource(name, where(redis_server))
        await interrupt(source.connect())
        await source.close()
        await nobody_connected()

    assert await sweep(scenario) >= 3


async def test_reading_a_channel_loses_nothing(
    redis_server: RedisServer, client: redis.Redis, nobody_connected: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubsub, "PING_SECONDS", 60.0)  # a PONG would wake it as well

    async def scenario(interrupt: Interrupt) -> None:
        source = PubSubSource("c", where(redis_server))
        await source.connect()
        client.publish("c", "first")
        found = await messages(source, 1)
        for payload in PAYLOADS:
            asyncio.get_running_loop().call_later(0.005, client.publish, "c", payload)
        batch = await interrupt(source.read())
        found += [] if batch in (INTERRUPTED, None) else batch.payloads
        assert found + await messages(source, 4 - len(found)) == [b"first", *PAYLOADS]
        await source.close()
        await nobody_connected()

    assert await sweep(scenario) >= 2


async def test_asking_a_silent_channel(redis_server: RedisServer, client: redis.Redis, nobody_connected: Check) -> None:
    async def scenario(interrupt: Interrupt) -> None:
        source = PubSubSource("c", where(redis_server))
        await source.connect()
        await interrupt(source.read())
        client.publish("c", "first")
        assert await messages(source, 1) == [b"first"]
        await source.close()
        await nobody_connected()

    assert await sweep(scenario) >= 1


async def test_reading_a_stream_loses_nothing(
    redis_server: RedisServer, client: redis.Redis, nobody_connected: Check
) -> None:
    for payload in PAYLOADS:
        client.xadd("s", {"e": payload})

    async def scenario(interrupt: Interrupt) -> None:
        source = StreamSource("s", where(redis_server))
        if await interrupt(_connect_and_read_twice(source)) is INTERRUPTED:
            await source.connect()
        batch = await source.read("0-0")
        assert batch is not None and batch.payloads == PAYLOADS
        await source.close()
        await nobody_connected()

    assert await sweep(scenario) >= 6


async def _connect_and_read_twice(source: StreamSource) -> None:
    await source.connect()
    batch = await source.read("0-0")
    assert batch is not None and batch.stream is not None
    source.ask_again()
    await source.read(batch.stream.last)


# The store

OPERATIONS: tuple[Callable[[RedisStore], Any], ...] = (
    lambda store: store.take("other:1:x", "other:1:x 1 1", dead="", create=True),
    lambda store: store.load(),
    lambda store: store.release("other:1:x"),
    lambda store: store.clear("g"),
    lambda store: store.history("throughput", 1, 3),
    lambda store: store.rejected(3),
    lambda store: store.register("f", "i", T0),
    lambda store: store.members("f", T0),
    lambda store: store.facts(),
)


@pytest.fixture
async def open_store(redis_server: RedisServer) -> AsyncIterator[Callable[[str], RedisStore]]:
    """Make stores that are closed with the test; connections are made when they are first used."""
    stores = []

    def make(prefix: str) -> RedisStore:
        stores.append(RedisStore(where(redis_server), prefix, lease=60.0, keep_rejected=True))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()


async def test_the_store_answers_the_next_one_right(
    open_store: Callable[[str], RedisStore],
    nobody_connected: Check,
    redis_server: RedisServer,
    guarantee: Guarantee,
) -> None:
    async def scenario(operation: Callable[[RedisStore], Any], interrupt: Interrupt) -> None:
        redis_server.ask("SCRIPT FLUSH")
        store = open_store("p:")
        neighbour = asyncio.create_task(store.rejected(1))  # both want the connection
        await interrupt(operation(store))
        await asyncio.gather(neighbour, return_exceptions=True)
        assert "used_memory" in await store.facts()
        assert await store.history("throughput", 1, 3) == {}
        await store.close()
        await nobody_connected()

    cancelled = [await sweep(partial(scenario, operation)) for operation in OPERATIONS]
    guarantee("G10", f"{len(OPERATIONS)} operations of the store, cancelled at {sum(cancelled)} awaits in turn")
    assert min(cancelled) >= 2


async def test_a_commit_that_was_cancelled_is_sent_again_and_counts_once(
    open_store: Callable[[str], RedisStore], nobody_connected: Check, redis_server: RedisServer
) -> None:
    prefixes = itertools.count()

    async def scenario(interrupt: Interrupt) -> None:
        redis_server.ask("SCRIPT FLUSH")
        prefix = f"p{next(prefixes)}:"
        first, store = open_store(prefix), open_store(prefix)
        ledger = new_ledger(streams=())
        assert await take(ledger, first)
        ledger.apply(heard(order(), order()), T0)
        flight = ledger.freeze(T0)
        await interrupt(send(ledger, store, flight))
        assert ledger.resolve(flight, await send(ledger, store, flight), T0) == "ok"
        assert shown(ledger) == 2
        assert load_state(await store.load()).total.tallies["orders"]["success"] == 2
        await asyncio.gather(first.close(), store.close())
        await nobody_connected()

    assert await sweep(scenario) >= 4


# All of it together


class Counting:
    """A pipeline with a stream, a channel and a prefix of its own; it ends so many ticks after all is counted."""

    def __init__(self, server: RedisServer, name: str, *, ticks: int) -> None:
        self._ticks = ticks
        target = where(server)
        sources = (PubSubSource(f"{name}:c", target), StreamSource(f"{name}:s", target))
        self.stop = asyncio.Event()
        self.store = RedisStore(target, f"{name}:", lease=0.2, keep_rejected=True)
        self.ledger = new_ledger(f"here:1:{name}", (f"{name}:s",))
        self.pipeline = Pipeline(
            self.ledger,
            self.store,
            sources,
            config=Config(commit_interval=Seconds(0.01), lease=Seconds(0.2)),
            telemetry=Telemetry(CollectorRegistry(), version="1", sources=tuple(s.name for s in sources)),
            publish=self._published,
            clock=Clock(),
        )

    def _published(self) -> None:
        if self.ledger.active and shown(self.ledger) >= len(PAYLOADS):
            self._ticks -= 1
            if self._ticks == 0:
                self.stop.set()


@pytest.mark.parametrize("ticks", sizes(1, 10, 200))
async def test_a_pipeline_counts_on_where_a_cancelled_one_ended(
    ticks: int,
    redis_server: RedisServer,
    client: redis.Redis,
    nobody_connected: Check,
    guarantee: Guarantee,
) -> None:
    names = itertools.count()

    async def scenario(interrupt: Interrupt) -> None:
        name = f"n{next(names)}"
        for _ in PAYLOADS:
            client.xadd(f"{name}:s", {"e": order()})
        for more, run in ((ticks, interrupt), (1, finished)):
            counting = Counting(redis_server, name, ticks=more)
            await run(counting.pipeline.run(counting.stop))
            await counting.store.close()
            await nobody_connected()
            client.delete(f"{name}:lease")
        assert shown(counting.ledger) == len(PAYLOADS)

    cancelled = await sweep(scenario)
    guarantee("G10", f"a pipeline, cancelled at {cancelled} awaits: no task or connection left, difference 0")
    assert cancelled >= 10


async def finished(operation: Coroutine[Any, Any, Any]) -> None:
    """Let it end by itself, in time."""
    async with asyncio.timeout(20):
        await operation
