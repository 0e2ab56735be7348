"""What redis-py does that the connection is designed around: one test a finding.

Most show both sides. Where the side of redis-py fails, an upgrade has fixed it: the docstring says what may go then.
"""

import asyncio
import contextlib
import inspect
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from redis.backoff import NoBackoff

import sidecar
from sidecar.errors import UnavailableError
from sidecar.redis import link as connection
from sidecar.redis.link import KEEPALIVE, Link
from sidecar.redis.servers import Servers
from sidecar.redis.url import parse
from sidecar.sources import pubsub, stream
from sidecar.sources.pubsub import PubSubSource
from tests.fake_redis import HANG_UP, SILENCE, FakeRedis
from tests.redis_server import RedisServer


def at(server: FakeRedis) -> Any:
    """Return where a fake server is."""
    return parse(f"redis://127.0.0.1:{server.port}/0")


def sent(server: FakeRedis, name: bytes) -> int:
    """Return how often a command arrived."""
    return [command[0] for command in server.commands].count(name)


async def test_a_command_whose_answer_was_lost_is_not_sent_again() -> None:
    """By default redis-py sends it up to ten times more, and each may count (redis-py#3554).

    A client of redis-py's own would do, once `Redis()` repeats nothing by default.
    """
    async with FakeRedis(INCR=HANG_UP) as server:
        link = await Link.open(at(server))
        with pytest.raises(UnavailableError):
            await link.call("INCR", "n")
        assert sent(server, b"INCR") == 1
        client = redis.asyncio.Redis(port=server.port, protocol=2)
        client.connection_pool.connection_kwargs["retry"]._backoff = NoBackoff()  # as often, but at once
        with contextlib.suppress(redis.RedisError):
            await client.execute_command("INCR", "n")  # type: ignore[no-untyped-call]
        await client.aclose()
        assert sent(server, b"INCR") > 2, "redis-py repeats nothing any more"


async def test_the_kernels_timeout_is_a_lost_connection_and_not_silence(redis_server: RedisServer) -> None:
    """redis-py takes ETIMEDOUT, a TimeoutError since Python 3.11, for "no message", and spins.

    The reading loop of Link may go when `get_message` raises here.
    """
    link = await Link.open(parse(redis_server.url))
    link._connection._reader.set_exception(TimeoutError("ETIMEDOUT"))
    with pytest.raises(UnavailableError):
        await link.receive(limit=1, seconds=1)
    client = redis.asyncio.Redis(port=redis_server.port, protocol=2)
    listener: Any = client.pubsub()
    await listener.subscribe("c")
    await listener.get_message(timeout=1)
    listener.connection._reader.set_exception(TimeoutError("ETIMEDOUT"))
    assert await listener.get_message(timeout=1) is None, "redis-py tells a dead link from silence now"
    await listener.aclose()
    await client.aclose()


async def test_a_server_that_answers_no_ping_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """`health_check_interval` sends a PING and never looks for the PONG (redis-py#2417, #3874).

    The PING of PubSubSource may go when redis-py waits for its own.
    """
    monkeypatch.setattr(pubsub, "PING_SECONDS", 0.05)
    monkeypatch.setattr(pubsub, "PONG_SECONDS", 0.1)
    async with FakeRedis(SUBSCRIBE=[b"subscribe", b"c", 1], PING=SILENCE) as server:
        source = PubSubSource("c", Servers(at(server)))
        await source.connect()
        assert await source.read() is None
        with pytest.raises(UnavailableError, match="PONG"):
            await source.read()


async def test_the_connection_speaks_resp_2(redis_server: RedisServer) -> None:
    """redis-py 8.1 hands out closed connections under RESP3 (redis-py#4252); `protocol=2` may go with a release
    that has the fix."""
    link = await Link.open(parse(redis_server.url))
    greeting = await link.call("HELLO")
    assert dict(zip(greeting[::2], greeting[1::2], strict=True))[b"proto"] == 2
    await link.close()


def test_a_blocking_read_ends_well_before_the_deadline_of_its_reply() -> None:
    """A deadline covers the whole reply: a BLOCK as long as that would look like a dead Redis.

    No upgrade makes this superfluous.
    """
    assert stream.BLOCK_MS / 1000 <= connection.REPLY_SECONDS - 1


def test_nothing_waits_with_wait_for() -> None:
    """On Python 3.11 `asyncio.wait_for` can swallow a cancellation (cpython#86296); it may be used from 3.12 on."""
    files = sorted(Path(sidecar.__file__).parent.rglob("*.py"))
    assert len(files) > 50
    assert not [file.name for file in files if "wait_for(" in file.read_text()]
    kept_from_redis_py = inspect.getsource(connection._prepared)
    assert '"socket_timeout": None' in kept_from_redis_py


async def test_closing_a_subscription_is_quick_though_nobody_answers() -> None:
    """`PubSub.aclose` waits for what never comes; ours cuts the socket. No upgrade is waited for."""
    async with FakeRedis(SUBSCRIBE=[b"subscribe", b"c", 1], UNSUBSCRIBE=SILENCE) as server:
        source = PubSubSource("c", Servers(at(server)))
        await source.connect()
        began = time.monotonic()
        await source.close()
        assert time.monotonic() - began < 1


async def test_a_dead_link_is_given_up_within_seconds(redis_server: RedisServer) -> None:
    """Without these options the kernel takes a quarter of an hour; redis-py's defaults set none of them."""
    link = await Link.open(parse(redis_server.url))
    sock = link._connection._writer.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert {option: sock.getsockopt(socket.SOL_TCP, option) for option in KEEPALIVE} == KEEPALIVE
    await link.close()


async def test_a_flood_that_is_already_buffered_lets_the_loop_turn(redis_server: RedisServer) -> None:
    """A reader with data at hand never yields by itself: 20,000 messages would stall everything else.

    The bound on a batch may go when reading from redis-py does yield.
    """
    source = PubSubSource("c", Servers(parse(redis_server.url)))
    await source.connect()
    link = await Link.open(parse(redis_server.url))
    await link.calls([("PUBLISH", "c", "x")] * 20_000)
    found, longest = 0, 0.0
    while found < 20_000:
        began = time.thread_time()
        batch = await source.read()
        longest = max(longest, time.thread_time() - began)
        found += len(batch.payloads) if batch else 0
        await asyncio.sleep(0)
    assert longest < 0.05, "seconds of processor time"
    await source.close()
    await link.close()


async def test_a_stream_whose_ids_went_back_is_read_again(redis_server: RedisServer) -> None:
    """After a failover to a slower clock new ids may lie below our position, and XREAD returns nothing for ever.

    Redis promises nothing else, so `newest` and the check of the commit stay.
    """
    with redis.Redis(port=redis_server.port) as client:
        client.xadd("s", {"e": "one"}, id="1000-0")
        source = stream.StreamSource("s", Servers(parse(redis_server.url)))
        await source.connect()
        batch = await source.read("2000-0")
        assert batch is not None
        assert batch.stream is not None
        assert (batch.payloads, batch.stream.newest) == ([], "1000-0")
    await source.close()
