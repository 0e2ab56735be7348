"""One connection: every way to Redis, every way to lose it, and no reply that goes astray."""

import asyncio
import contextlib
import errno
import gc
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import redis
from msgspec.structs import replace

from sidecar.errors import AccessError, CommandError, UnavailableError
from sidecar.redis.link import SLICE_BYTES, Link, parse_info
from sidecar.redis.url import parse
from tests.conftest import StartRedis
from tests.ports import free_port
from tests.redis_server import RedisServer, tls_program
from tests.security.pki import make_pki

OpenLink = Callable[..., Awaitable[Link]]


@pytest.fixture
async def connect() -> AsyncIterator[OpenLink]:
    """Open links to a server or URL; they end with the test."""
    links: list[Link] = []

    async def make(where: RedisServer | str, *, ca_file: str = "") -> Link:
        target = parse(where if isinstance(where, str) else where.url)
        links.append(await Link.open(replace(target, ca_file=ca_file)))
        return links[-1]

    yield make
    for link in links:
        await link.close()


# Ways to Redis


async def test_a_call_returns_bytes_numbers_lists_and_nothing(redis_server: RedisServer, connect: OpenLink) -> None:
    link = await connect(redis_server)
    assert await link.call("SET", "k", b"\x00\xff") == b"OK"
    assert await link.call("GET", "k") == b"\x00\xff"
    assert await link.call("GET", "none") is None
    assert await link.call("INCR", "n") == 1
    assert await link.call("MGET", "k", "none") == [b"\x00\xff", None]


async def test_to_connect_no_file_is_read(
    redis_server: RedisServer, connect: OpenLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-py reads its own version from a file, which ends the daemon where no descriptor is left for it."""

    def exhausted() -> str:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("redis.utils.get_lib_version", exhausted)
    assert await (await connect(redis_server)).call("PING") == b"PONG"


async def test_a_unix_socket_is_reached(start_redis: StartRedis, connect: OpenLink, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    start_redis("--unixsocket", str(path), "--requirepass", "secret")
    link = await connect(f"unix://:secret@{path}?db=2")
    await link.call("SET", "k", "v")
    assert b"db=2" in await link.call("CLIENT", "INFO")


async def test_a_password_lets_in(start_redis: StartRedis, connect: OpenLink) -> None:
    server = start_redis("--requirepass", "p@ss/word")
    link = await connect(f"redis://:p%40ss%2Fword@127.0.0.1:{server.port}/0")
    assert await link.call("PING") == b"PONG"


@pytest.mark.parametrize("credentials", ["", ":wrong@"])
async def test_a_wrong_password_is_an_access_error_that_does_not_tell_it(
    start_redis: StartRedis, connect: OpenLink, credentials: str
) -> None:
    server = start_redis("--requirepass", "secret")
    with pytest.raises(AccessError) as refused:
        await connect(f"redis://{credentials}127.0.0.1:{server.port}/0")
    assert "wrong" not in str(refused.value).replace("WRONGPASS", "")


@pytest.fixture
def tls_server(start_redis: StartRedis, tmp_path: Path) -> tuple[RedisServer, int, Path]:
    """Return a server, its TLS port, and the CA made for this test that vouches for 127.0.0.1."""
    pki, port = make_pki(tmp_path), free_port()
    certificate, key = pki.pair("server")
    files = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", pki.ca)
    options = (*files, "--tls-auth-clients", "no", "--tls-port", port)
    return start_redis(*map(str, options), program=tls_program()), port, pki.ca


@pytest.mark.needs("openssl")
async def test_tls_with_a_ca_of_ones_own(tls_server: tuple[RedisServer, int, Path], connect: OpenLink) -> None:
    _, port, ca_file = tls_server
    link = await connect(f"rediss://127.0.0.1:{port}/0", ca_file=str(ca_file))
    assert await link.call("PING") == b"PONG"


@pytest.mark.needs("openssl")
async def test_a_certificate_nobody_vouches_for_is_refused(
    tls_server: tuple[RedisServer, int, Path], connect: OpenLink
) -> None:
    _, port, _ = tls_server
    with pytest.raises(UnavailableError, match="(?i)certificate"):
        await connect(f"rediss://127.0.0.1:{port}/0")


# Losing Redis


@pytest.mark.needs("openssl")
async def test_closing_does_not_wait_for_a_tls_goodbye(
    tls_server: tuple[RedisServer, int, Path], connect: OpenLink
) -> None:
    """asyncio's polite close waits 30 s for the peer's; so a socket was left open when the loop ended sooner.

    What `_abandon` does may go when redis-py's `disconnect(nowait=True)` aborts the transport.
    """
    server, port, ca_file = tls_server
    link = await connect(f"rediss://127.0.0.1:{port}/0", ca_file=str(ca_file))
    server.freeze()
    await check_that_close_closes(link)


async def test_closing_does_not_wait_for_what_is_still_to_be_sent(redis_server: RedisServer, connect: OpenLink) -> None:
    link = await connect(redis_server)
    redis_server.freeze()
    link._connection._writer.write(b"x" * (1 << 25))  # more than the buffers of the system take
    await check_that_close_closes(link)


async def check_that_close_closes(link: Link) -> None:
    """Close a link whose server is frozen: the socket is gone a turn or two of the loop later."""
    sock = link._connection._writer.get_extra_info("socket")
    await link.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sock.fileno() == -1


async def test_nobody_there_is_unavailable(connect: OpenLink) -> None:
    with pytest.raises(UnavailableError, match="127.0.0.1"):
        await connect(f"redis://127.0.0.1:{free_port()}/0")


async def test_a_server_that_says_nothing_is_given_up(redis_server: RedisServer, connect: OpenLink) -> None:
    redis_server.freeze()
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        await connect(redis_server)
    assert time.monotonic() - began < 4


async def test_a_call_into_a_frozen_server_is_given_up(redis_server: RedisServer, connect: OpenLink) -> None:
    link = await connect(redis_server)
    redis_server.freeze()
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        await link.call("PING")
    assert time.monotonic() - began < 4
    assert link.closed


async def test_a_link_that_was_lost_stays_lost(redis_server: RedisServer, connect: OpenLink) -> None:
    """Redis coming back does not revive it: what was learnt through it may be wrong by now."""
    link = await connect(redis_server)
    redis_server.kill()
    with pytest.raises(UnavailableError):
        await link.call("PING")
    redis_server.start()
    for _ in range(2):
        with pytest.raises(UnavailableError, match="closed"):
            await link.call("PING")
        with pytest.raises(UnavailableError, match="closed"):
            await link.send("PING")
        with pytest.raises(UnavailableError):
            await link.receive(limit=10, seconds=1)
    assert link.closed


async def test_an_error_of_redis_is_no_reason_to_close(redis_server: RedisServer, connect: OpenLink) -> None:
    link = await connect(redis_server)
    await link.call("SET", "k", "v")
    with pytest.raises(CommandError, match="WRONGTYPE"):
        await link.call("LPUSH", "k", 1)
    replies = await link.calls([("GET", "k"), ("LPUSH", "k", 1), ("GET", "k")])
    assert (replies[0], replies[2]) == (b"v", b"v")
    assert isinstance(replies[1], Exception)


async def test_a_missing_right_is_an_access_error(redis_server: RedisServer, connect: OpenLink) -> None:
    with redis.Redis(port=redis_server.port) as client:
        client.acl_setuser("u", enabled=True, nopass=True, keys=["*"], commands=["+client|setname", "+get"])
    link = await connect(f"redis://u:any@127.0.0.1:{redis_server.port}/0")
    assert await link.call("GET", "k") is None
    with pytest.raises(AccessError):
        await link.call("SET", "k", "v")


@pytest.mark.parametrize("turns", range(8))
async def test_a_cancelled_call_leaves_no_reply_for_the_next(
    redis_server: RedisServer, connect: OpenLink, turns: int
) -> None:
    """Cancelled at each await in turn, it closes the link or has its answer."""
    link = await connect(redis_server)
    task = asyncio.create_task(link.call("ECHO", "mine"))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        assert await task == b"mine"
    if not link.closed:
        assert await link.call("ECHO", "yours") == b"yours"
    elif turns:
        with pytest.raises(UnavailableError):
            await link.call("ECHO", "yours")


def test_a_link_cancelled_at_any_moment_leaves_no_socket(redis_server: RedisServer) -> None:
    """Whether it was connecting, asking or closing; the loop may end right after."""

    async def use() -> None:
        link = await Link.open(parse(redis_server.url))
        try:
            await link.call("ECHO", "mine")
        finally:
            await link.close()

    async def cancelled_after(turns: int) -> None:
        task = asyncio.create_task(use())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len(asyncio.all_tasks()) == 1

    gc.collect()  # what earlier tests left
    with warnings.catch_warnings(record=True) as left_open:
        warnings.simplefilter("always", ResourceWarning)
        for number in range(300):
            with asyncio.Runner() as runner:
                runner.run(cancelled_after(number % 50))
        gc.collect()
    assert not [str(warning.message) for warning in left_open]


async def test_calls_of_several_tasks_do_not_mix(redis_server: RedisServer, connect: OpenLink) -> None:
    link = await connect(redis_server)
    words = [f"{number}".encode() for number in range(200)]
    assert await asyncio.gather(*(link.call("ECHO", word) for word in words)) == words


# What arrives unasked


async def test_what_has_arrived_comes_in_portions(redis_server: RedisServer, connect: OpenLink) -> None:
    link = await connect(redis_server)
    await link.call("SUBSCRIBE", "c")
    with redis.Redis(port=redis_server.port) as client:
        for number in range(25):
            client.publish("c", number)
    found: list[bytes] = []
    while len(found) < 25:
        portion = await link.receive(limit=10, seconds=2)
        assert 1 <= len(portion) <= 10
        found += [reply[-1] for reply in portion]
    assert found == [b"%d" % number for number in range(25)]
    assert await link.receive(limit=10, seconds=0) == []


async def test_replies_of_any_size_are_whole_however_they_are_fed(redis_server: RedisServer, connect: OpenLink) -> None:
    """The parser is fed in slices: small replies end within one, large ones reach over many."""
    link = await connect(redis_server)
    sizes = [1, SLICE_BYTES - 100, 7, SLICE_BYTES, 2, 5 * SLICE_BYTES + 3, 40 * SLICE_BYTES, *range(2000)]
    for size in sizes:
        link.send_nowait("ECHO", b"%d" % (size % 10) * size)
    found: list[bytes] = []
    while len(found) < len(sizes):
        found += await link.receive(limit=3, seconds=5)
    assert found == [b"%d" % (size % 10) * size for size in sizes]
    assert await link.call("PING") == b"PONG"


async def test_what_was_read_and_not_fed_outlives_the_socket(redis_server: RedisServer, connect: OpenLink) -> None:
    link = await connect(redis_server)
    for number in range(3000):
        link.send_nowait("ECHO", b"%d" % number * 30)
    found = await link.receive(limit=1, seconds=5)
    buffer = link._connection._reader._buffer
    async with asyncio.timeout(5):
        while len(buffer) < 100_000:  # asyncio reads ahead as far as that
            await asyncio.sleep(0)
    redis_server.kill()
    with contextlib.suppress(UnavailableError):
        while True:
            found += await link.receive(limit=500, seconds=5)
    assert found == [b"%d" % number * 30 for number in range(len(found))]
    assert len(found) > 1000


async def test_silence_is_no_loss(redis_server: RedisServer, connect: OpenLink) -> None:
    link = await connect(redis_server)
    assert await link.receive(limit=10, seconds=0.01) == []
    assert await link.call("PING") == b"PONG"


async def test_a_dead_link_is_no_silence(redis_server: RedisServer, connect: OpenLink) -> None:
    """The kernel's ETIMEDOUT is a TimeoutError as well, and is told apart from a deadline of ours."""
    link = await connect(redis_server)
    link._connection._reader.set_exception(TimeoutError("ETIMEDOUT"))
    with pytest.raises(UnavailableError, match="ETIMEDOUT"):
        await link.receive(limit=10, seconds=5)
    assert link.closed


async def test_a_cancelled_wait_loses_nothing(redis_server: RedisServer, connect: OpenLink) -> None:
    link = await connect(redis_server)
    await link.call("SUBSCRIBE", "c")
    found: list[bytes] = []
    with redis.Redis(port=redis_server.port) as client:
        for number in range(200):
            client.publish("c", number)
            task = asyncio.create_task(link.receive(limit=3, seconds=1))
            for _ in range(number % 5):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                found += [reply[-1] for reply in await task]
    while len(found) < 200:
        found += [reply[-1] for reply in await link.receive(limit=100, seconds=2)]
    assert found == [b"%d" % number for number in range(200)]


async def test_a_killed_server_is_noticed_by_who_waits(redis_server: RedisServer, connect: OpenLink) -> None:
    link = await connect(redis_server)
    waiting = asyncio.create_task(link.receive(limit=1, seconds=30))
    await asyncio.sleep(0)
    redis_server.kill()
    with pytest.raises(UnavailableError):
        await waiting


# Which Redis


async def test_the_replid_is_that_of_the_master(redis_server: RedisServer, connect: OpenLink) -> None:
    link = await connect(redis_server)
    with redis.Redis(port=redis_server.port) as client:
        assert await link.replid() == client.info("replication")["master_replid"]
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(UnavailableError, match="replica"):
            await link.replid()


def test_info_is_read_line_by_line() -> None:
    assert parse_info(b"# Server\r\nredis_version:7.0.15\r\nfile:/a:b\r\n\r\n") == {
        "redis_version": "7.0.15",
        "file": "/a:b",
    }
