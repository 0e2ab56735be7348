"""Pub/sub against a real Redis: nothing that arrived is lost, and a silent connection is told from a dead one."""

import asyncio
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest
import redis

from sidecar.core.events.batch import BYTES_BEFORE_YIELD, COMMA_BYTES, Batch
from sidecar.errors import AccessError, UnavailableError
from sidecar.redis.servers import Servers
from sidecar.redis.url import parse
from sidecar.sources import pubsub
from sidecar.sources.pubsub import MESSAGES_A_BATCH, PING_SECONDS, PONG_SECONDS, PubSubSource
from tests.cluster import Cluster, ask
from tests.conftest import StartRedis
from tests.fake_redis import SILENCE, FakeRedis, packed
from tests.redis_server import RedisServer
from tests.waiting import eventually

OpenSource = Callable[..., PubSubSource]
HEAVY = b"[1" + b",1" * (BYTES_BEFORE_YIELD // COMMA_BYTES + 1)  # a turn of its own


@pytest.fixture
async def source_of() -> AsyncIterator[OpenSource]:
    """Make sources on a server or URL; they end with the test."""
    sources: list[PubSubSource] = []

    def make(where: RedisServer | str, channel: str = "c") -> PubSubSource:
        sources.append(PubSubSource(channel, Servers(parse(where if isinstance(where, str) else where.url))))
        return sources[-1]

    yield make
    for source in sources:
        await source.close()


async def messages(source: PubSubSource, count: int) -> list[bytes]:
    """Read so many messages."""
    found: list[bytes] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            if (batch := await source.read()) is not None:
                found += batch.payloads
    return found


async def left_over(source: PubSubSource) -> list[bytes]:
    """Read what is left over, to the end."""
    found: list[bytes] = []
    async with asyncio.timeout(5):
        await source.leftover(lambda batch: found.extend(batch.payloads))
    return found


def publish_all(client: "redis.Redis", payloads: list[bytes]) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for payload in payloads:
            pipeline.publish("c", payload)
        pipeline.execute()


async def publish(client: "redis.Redis", source: PubSubSource, payloads: list[bytes]) -> None:
    """Publish all, and wait until they are in the hands of asyncio: one read could take them all."""
    publish_all(client, payloads)
    assert source._link is not None
    buffer = source._link._connection._reader._buffer
    size = sum(len(packed([b"message", b"c", payload])) for payload in payloads)
    await eventually(lambda: len(buffer) == size, what="the arrival of all messages")


async def test_a_channel_is_heard(redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource) -> None:
    source = source_of(redis_server)
    await source.connect()
    client.publish("another", "x")
    client.publish("c", "one")
    began = time.time()
    batch = await source.read()
    assert isinstance(batch, Batch)
    assert (source.name, batch.source, batch.payloads, batch.stream) == ("pubsub:c", "pubsub:c", [b"one"], None)
    assert began - 1 < batch.arrivals[0] <= time.time()


async def test_a_pattern_hears_all_that_match(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server, "shop:*")
    await source.connect()
    client.publish("shop:a", "one")
    client.publish("other", "no")
    client.publish("shop:b", "two")
    assert await messages(source, 2) == [b"one", b"two"]


async def test_of_a_pattern_the_channel_of_every_message_is_known_in_the_order_they_came(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server, "shop:*")
    await source.connect()
    sent = [(b"shop:b", b"1"), (b"shop:a", b"2"), (b"shop:\xff\n", b"3"), (b"shop:b", HEAVY), (b"shop:a", b"4")]
    for channel, payload in sent:
        client.publish(channel, payload)
    found: list[tuple[bytes, bytes]] = []
    while len(found) < len(sent):
        batch = await source.read()
        assert batch is not None and batch.channels is not None
        found += zip(batch.channels, batch.payloads, strict=True)
    assert found == sent


@pytest.mark.parametrize("pattern", ["shop:??", "shop:[e-z]u", "*:eu", "shop:[^a]?", "sho\\p:e*"])
async def test_every_pattern_of_redis_is_one(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource, pattern: str
) -> None:
    source = source_of(redis_server, pattern)
    await source.connect()
    client.publish("shop:au-", "no")
    client.publish("shop:eu", "one")
    assert await messages(source, 1) == [b"one"]


async def test_a_star_can_be_meant(redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource) -> None:
    source = source_of(redis_server, r"shop:\*")
    await source.connect()
    client.publish("shop:eu", "no")
    client.publish("shop:*", "one")
    assert await messages(source, 1) == [b"one"]


async def test_payloads_come_as_they_are(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server)
    await source.connect()
    sent = [bytes(range(256)), b"", b"\r\n*1\r\n", "Größe".encode(), b"x" * 2_000_000]
    for payload in sent:
        client.publish("c", payload)
    assert await messages(source, len(sent)) == sent


async def test_many_messages_come_in_one_batch_of_bounded_size(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server)
    await source.connect()
    payloads = [b"%d" % number for number in range(3 * MESSAGES_A_BATCH)]
    await publish(client, source, payloads)
    sizes: list[int] = []
    found: list[bytes] = []
    while len(found) < len(payloads):
        batch = await source.read()
        assert batch is not None
        sizes.append(len(batch.payloads))
        found += batch.payloads
    assert found == payloads
    assert sizes == [MESSAGES_A_BATCH] * 3


async def test_silence_is_asked_with_a_ping(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubsub, "PING_SECONDS", 0.01)
    source = source_of(redis_server)
    await source.connect()
    for _ in range(10):
        assert await source.read() is None
    assert client.info("commandstats")["cmdstat_ping"]["calls"] >= 5
    client.publish("c", "still here")
    assert await messages(source, 1) == [b"still here"]


async def test_the_lag_is_how_long_a_pong_waits_behind_the_messages(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubsub, "PING_SECONDS", 0.0)
    source = source_of(redis_server)
    await source.connect()
    assert source.lag_seconds == 0
    client.publish("c", "one")
    client.ping()  # PUBLISH may be answered before the message is written to its subscriber
    redis_server.freeze()
    assert await messages(source, 1) == [b"one"]
    await eventually(lambda: source.lag_seconds > 0.1)
    redis_server.thaw()
    monkeypatch.setattr(pubsub, "PING_SECONDS", 60.0)
    assert await source.read() is None
    assert source.lag_seconds == 0


async def test_a_frozen_redis_is_noticed_within_four_seconds(redis_server: RedisServer, source_of: OpenSource) -> None:
    source = source_of(redis_server)
    await source.connect()
    redis_server.freeze()
    assert PING_SECONDS + PONG_SECONDS < 4
    with pytest.raises(UnavailableError, match="PONG"):
        await messages(source, 1)


async def test_a_killed_redis_is_noticed_at_once(redis_server: RedisServer, source_of: OpenSource) -> None:
    source = source_of(redis_server)
    await source.connect()
    reading = asyncio.create_task(source.read())
    await asyncio.sleep(0)
    began = time.monotonic()
    redis_server.kill()
    with pytest.raises(UnavailableError):
        await reading
    assert time.monotonic() - began < 1
    with pytest.raises(UnavailableError):
        await source.read()
    with pytest.raises(UnavailableError):
        await source.connect()


async def test_it_subscribes_again_where_redis_is_back(redis_server: RedisServer, source_of: OpenSource) -> None:
    source = source_of(redis_server)
    await source.connect()
    redis_server.kill()
    with pytest.raises(UnavailableError):
        await messages(source, 1)
    redis_server.start()
    await source.connect()
    with redis.Redis(port=redis_server.port) as client:
        assert client.publish("c", "back") == 1
    assert await messages(source, 1) == [b"back"]


async def test_what_came_before_redis_died_is_read_first(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server)
    await source.connect()
    for number in range(100):
        client.publish("c", number)
    client.ping()  # PUBLISH may be answered before the message is written to its subscriber
    redis_server.kill()
    assert await messages(source, 100) == [b"%d" % number for number in range(100)]
    with pytest.raises(UnavailableError):
        await source.read()


async def test_without_a_connection_there_is_nothing_to_read(redis_server: RedisServer, source_of: OpenSource) -> None:
    source = source_of(redis_server)
    with pytest.raises(UnavailableError):
        await source.read()
    assert await left_over(source) == []
    source.ask_again()


async def test_without_the_right_to_subscribe_there_is_an_error(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    client.acl_setuser("u", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+client|setname"])
    with pytest.raises(AccessError):
        await source_of(f"redis://u:any@127.0.0.1:{redis_server.port}/0").connect()


async def test_a_user_without_the_right_to_ping_receives_messages(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubsub, "PING_SECONDS", 0.01)
    commands = ["+client|setname", "+subscribe"]
    client.acl_setuser("u", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=commands)
    source = source_of(f"redis://u:any@127.0.0.1:{redis_server.port}/0")
    await source.connect()
    for _ in range(10):
        assert await source.read() is None
    client.publish("c", "heard")
    assert await messages(source, 1) == [b"heard"]


@pytest.mark.parametrize(
    "error", ["LOADING Redis is loading", "MASTERDOWN Link with MASTER is down", "NOPERM no permission", "ERR what?"]
)
async def test_any_answer_to_a_ping_proves_that_the_connection_lives(
    source_of: OpenSource, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    monkeypatch.setattr(pubsub, "PING_SECONDS", 0.01)
    info = b"# Replication\r\nrole:master\r\nmaster_replid:abc\r\n"
    async with FakeRedis(INFO=info, SUBSCRIBE=[b"subscribe", b"c", 1], PING=ValueError(error)) as server:
        source = source_of(f"redis://127.0.0.1:{server.port}")
        await source.connect()
        for _ in range(10):
            assert await source.read() is None
        assert server.commands.count([b"PING"]) > 3
        server.push([b"message", b"c", b"{}"])
        assert await messages(source, 1) == [b"{}"]
        server.push([b"message", b"c", b"[]"])
        assert await left_over(source) == [b"[]"]


async def test_a_message_beside_an_error_is_kept(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server)
    await source.connect()
    assert source._link is not None
    with socket.create_connection(("127.0.0.1", redis_server.port)) as publisher:
        publisher.sendall(b"PING\r\n")
        publisher.recv(100)  # Redis has accepted it
        redis_server.freeze()  # so that both are answered in one turn, and the answers arrive together
        await source._link.send("GET", "not while subscribed")
        publisher.sendall(b"PUBLISH c one\r\n")
        redis_server.thaw()
        assert await messages(source, 1) == [b"one"]


# Stopping


async def test_a_cancelled_read_loses_nothing(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server)
    await source.connect()
    found: list[bytes] = []
    for number in range(300):
        client.publish("c", number)
        task = asyncio.create_task(source.read())
        for _ in range(number % 6):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            batch = await task
            found += batch.payloads if batch else []
    found += await left_over(source)
    assert found == [b"%d" % number for number in range(300)]


async def test_what_has_arrived_and_was_not_read_is_left_over(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server)
    await source.connect()
    payloads = [b"%d" % number for number in range(3 * MESSAGES_A_BATCH)]
    await publish(client, source, payloads)
    batch = await source.read()
    assert batch is not None
    assert batch.payloads + await left_over(source) == payloads


async def test_what_the_system_still_holds_is_left_over_however_much(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    """asyncio stops reading at 128 KiB."""
    source = source_of(redis_server)
    await source.connect()
    payloads = [b"%d" % number * 200 for number in range(1000, 6000)]
    publish_all(client, payloads)
    assert await left_over(source) == payloads


async def test_what_is_left_over_ends_though_more_keeps_coming(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server)
    await source.connect()
    published = itertools.count()
    enough = threading.Event()

    def flood() -> None:
        while not enough.is_set():
            client.publish("c", next(published))

    flooding = asyncio.create_task(asyncio.to_thread(flood))
    try:
        await messages(source, 1)
        await left_over(source)
    finally:
        enough.set()
        await flooding


async def test_a_pong_that_is_on_its_way_is_not_the_one_behind_what_is_left_over(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubsub, "PING_SECONDS", 0.0)
    source = source_of(redis_server)
    await source.connect()
    client.publish("c", "one")
    assert await messages(source, 1) == [b"one"]
    assert source._link is not None and source.lag_seconds
    buffer = source._link._connection._reader._buffer
    await eventually(lambda: buffer, what="the PONG")
    client.publish("c", "two")
    assert await left_over(source) == [b"two"]


async def test_a_redis_that_does_not_answer_a_stop_is_waited_for(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server)
    await source.connect()
    await publish(client, source, [b"one"])
    redis_server.freeze()
    handed: list[Batch] = []
    reading = asyncio.create_task(source.leftover(handed.append))
    await eventually(lambda: source.lag_seconds > 0, what="the PING")
    assert [batch.payloads for batch in handed] == [[b"one"]]
    redis_server.thaw()
    await reading
    assert len(handed) == 1


async def test_what_a_stop_did_not_wait_for_is_not_read_after_the_next_start(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    """Somebody else may have counted meanwhile."""
    source = source_of(redis_server)
    await source.connect()
    await publish(client, source, [HEAVY] * 4)
    handed: list[Batch] = []
    reading = asyncio.create_task(source.leftover(handed.append))
    while not handed:
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert len(handed) == 1
    await source.close()
    await source.connect()
    client.publish("c", "new")
    assert await messages(source, 1) == [b"new"]


async def test_what_costs_much_is_handed_over_in_turns_and_outlives_the_connection(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    heavy = [b"%b,%d" % (HEAVY, number) for number in range(4)]
    source = source_of(redis_server)
    await source.connect()
    await publish(client, source, heavy)
    turns = [await messages(source, 1)]
    assert source._link is not None
    source._link.cut()
    turns.append(await messages(source, 1))
    await source.connect()
    turns.append(await messages(source, 1))
    await source.leftover(lambda batch: turns.append(batch.payloads))
    assert turns == [[payload] for payload in heavy]


async def test_what_arrived_in_a_turn_of_the_loop_in_which_the_read_was_cancelled_is_left_over(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server)
    await source.connect()
    reading = asyncio.create_task(source.read())
    await asyncio.sleep(0)
    client.publish("c", "one")
    assert source._link is not None
    buffer = source._link._connection._reader._buffer
    while not buffer:  # in the hands of asyncio, which has not woken the reader yet
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert await left_over(source) == [b"one"]


async def test_what_is_left_over_is_returned_though_redis_died(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server)
    await source.connect()
    payloads = [b"%d" % number * 50 for number in range(1000, 4000)]
    publish_all(client, payloads)
    client.ping()  # PUBLISH may be answered before the message is written to its subscriber
    redis_server.kill()
    found: list[bytes] = []
    with pytest.raises(UnavailableError):
        await source.leftover(lambda batch: found.extend(batch.payloads))
    assert found == payloads


async def test_a_password_is_asked_for(start_redis: StartRedis, source_of: OpenSource) -> None:
    server = start_redis("--requirepass", "secret")
    with pytest.raises(AccessError):
        await source_of(server).connect()
    await source_of(f"redis://:secret@127.0.0.1:{server.port}/0").connect()


# On a Cluster


async def test_on_a_cluster_a_channel_is_heard_however_it_is_published(cluster: Cluster, source_of: OpenSource) -> None:
    """redis-py's own sharded pub/sub takes its shards in turn, up to 17 s late, and its classic one stays on a node
    that is gone; one connection of the source may go when both are fixed."""
    source = source_of(cluster.url(), "c")
    await source.connect()
    for node in cluster.masters():
        ask(node, "PUBLISH", "c", f"published at {node.port}")
    ask(cluster.owner("c"), "SPUBLISH", "c", "to the shard")
    expected = {b"to the shard", *(f"published at {node.port}".encode() for node in cluster.masters())}
    assert set(await messages(source, len(expected))) == expected
    assert await left_over(source) == []


async def test_on_a_cluster_a_pattern_hears_what_is_published_at_any_node(
    cluster: Cluster, source_of: OpenSource
) -> None:
    source = source_of(cluster.url(), "shop:*")
    await source.connect()
    for node in cluster.masters():
        ask(node, "PUBLISH", f"shop:{node.port}", "x")
    assert await messages(source, 3) == [b"x"] * 3


async def test_when_the_slot_of_a_channel_moves_the_source_says_so_and_follows(
    cluster: Cluster, source_of: OpenSource
) -> None:
    source = source_of(cluster.url(), "moving")
    await source.connect()
    owner = cluster.owner("moving")
    target = next(node for node in cluster.masters() if node is not owner)
    ask(owner, "SPUBLISH", "moving", "before")
    await asyncio.to_thread(cluster.move, "moving", target)
    assert await messages(source, 1) == [b"before"]
    with pytest.raises(UnavailableError):
        await messages(source, 1)

    async with asyncio.timeout(5):
        while ask(target, "SPUBLISH", "moving", "after") == 0:
            with contextlib.suppress(UnavailableError):
                await source.connect()
    assert await messages(source, 1) == [b"after"]


@pytest.mark.parametrize(
    "nonsense", [b"*0\r\n", b":5\r\n", b"?garbage\r\n", b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n:5\r\n"]
)
@pytest.mark.parametrize("before", [0, MESSAGES_A_BATCH])
async def test_nonsense_is_an_outage(source_of: OpenSource, nonsense: bytes, before: int) -> None:
    """Also behind as many messages as are read at once: it is met without waiting for the socket."""
    info = b"# Replication\r\nrole:master\r\nmaster_replid:abc\r\n"
    async with FakeRedis(INFO=info, SUBSCRIBE=[b"subscribe", b"c", 1], PING=SILENCE) as server:
        source = source_of(f"redis://127.0.0.1:{server.port}")
        await source.connect()
        server.push_raw(packed([b"message", b"c", b"{}"]) * before + nonsense)
        with pytest.raises(UnavailableError):
            await messages(source, before + 1)
