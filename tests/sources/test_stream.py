"""Streams against a real Redis: what is read, under which circumstances, and that nothing is left behind."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
import redis

from sidecar.core.events.batch import BYTES_BEFORE_YIELD, Batch, StreamRead
from sidecar.errors import CommandError, UnavailableError
from sidecar.redis.servers import Servers
from sidecar.redis.url import parse
from sidecar.sources import stream
from sidecar.sources.stream import BYTES_A_READ, ENTRIES_A_READ, ENTRIES_AT_FIRST, StreamSource
from tests.ledgers import T0, order, owner, settle
from tests.redis_server import RedisServer, redis_program, redis_version

OpenSource = Callable[..., StreamSource]


@pytest.fixture
async def source_of() -> AsyncIterator[OpenSource]:
    """Make sources on a server or URL; they end with the test."""
    sources: list[StreamSource] = []

    def make(where: RedisServer | str, name: str = "s") -> StreamSource:
        sources.append(StreamSource(name, Servers(parse(where if isinstance(where, str) else where.url))))
        return sources[-1]

    yield make
    for source in sources:
        await source.close()


async def batch_of(source: StreamSource, after: str = "0-0") -> tuple[Batch, StreamRead]:
    """Read once."""
    batch = await source.read(after)
    assert batch is not None
    assert batch.stream is not None
    return batch, batch.stream


@pytest.mark.needs_redis(7)
async def test_entries_come_with_their_times_and_the_circumstances(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    client.xadd("s", {"e": b"\x00\xff\r\n"}, id="1790000000123-0")
    client.xadd("s", {"other": "x", "e": "two"}, id="1790000000123-5")
    source = source_of(redis_server)
    await source.connect()
    batch, read = await batch_of(source)
    assert (source.name, batch.source) == ("stream:s", "stream:s")
    assert batch.payloads == [b"\x00\xff\r\n", b"two"]
    assert batch.arrivals == [1790000000.123] * 2
    assert read == StreamRead(
        after="0-0",
        last="1790000000123-5",
        replid=client.info("replication")["master_replid"],
        oldest="1790000000123-0",
        newest="1790000000123-5",
        entries=2,
        added=2,
        length=2,
        complete=True,
        exists=True,
    )


async def test_reading_goes_on_after_the_entry_named(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    for number in range(1, 6):
        client.xadd("s", {"e": number}, id=f"{number}-0")
    source = source_of(redis_server)
    await source.connect()
    assert (await batch_of(source, "3-0"))[0].payloads == [b"4", b"5"]
    assert (await batch_of(source, "0-0"))[0].payloads == [b"1", b"2", b"3", b"4", b"5"]


async def test_a_long_stream_is_read_in_portions_that_say_whether_more_is_there(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    total = ENTRIES_AT_FIRST + 2 * ENTRIES_A_READ + 1
    with client.pipeline(transaction=False) as pipeline:
        for number in range(1, total + 1):
            pipeline.xadd("s", {"e": number}, id=f"{number}-0")
        pipeline.execute()
    source = source_of(redis_server)
    await source.connect()
    after = "0-0"
    portions: list[tuple[int, bool]] = []
    while not portions or not portions[-1][1]:
        batch, read = await batch_of(source, after)
        after = read.last
        portions.append((len(batch.payloads), read.complete))
    assert portions == [(ENTRIES_AT_FIRST, False), (ENTRIES_A_READ, False), (ENTRIES_A_READ, False), (1, True)]


async def test_large_entries_are_read_in_portions_that_fit_in_memory(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    for number in range(1, 70):
        client.xadd("s", {"e": b"x" * (BYTES_A_READ // 4)}, id=f"{number}-0")
    source = source_of(redis_server)
    await source.connect()
    after = "0-0"
    while after != "69-0":
        after = (await batch_of(source, after))[1].last
    assert client.info("commandstats")["cmdstat_xread"]["calls"] == 1 + 15  # 10 entries, then four at once


async def test_what_costs_much_is_handed_over_in_turns(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    heavy = b"[" + b"1," * BYTES_BEFORE_YIELD
    entries = [("e", b"1"), ("x", b"?"), ("e", heavy), ("x", b"?"), ("e", heavy), ("x", b"?")]
    for number, (field, value) in enumerate(entries, 1):
        client.xadd("s", {field: value}, id=f"{number}-0")
    source = source_of(redis_server)
    await source.connect()
    after, turns = "0-0", []
    while after != "6-0":
        batch, read = await batch_of(source, after)
        turns.append((read.after, read.last, len(batch.payloads), len(batch.empty), read.entries, read.complete))
        assert (read.added, read.length) in ((6, 6), (None, 6))
        after = read.last
    assert turns == [("0-0", "2-0", 1, 1, 2, False), ("2-0", "4-0", 1, 1, 2, False), ("4-0", "6-0", 1, 1, 2, True)]


async def test_what_was_not_handed_over_is_forgotten_where_reading_goes_on_elsewhere(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    heavy = b"[" + b"1," * BYTES_BEFORE_YIELD
    for number in range(1, 4):
        client.xadd("s", {"e": heavy}, id=f"{number}-0")
    source = source_of(redis_server)
    await source.connect()
    assert (await batch_of(source))[1].last == "1-0"
    assert (await batch_of(source))[1].last == "1-0"
    source.ask_again()
    client.xdel("s", "2-0")
    assert (await batch_of(source, "1-0"))[1].last == "3-0"
    assert (await batch_of(source))[1].last == "1-0"
    await source.connect()
    assert (await batch_of(source, "1-0"))[1].last == "3-0"


async def test_the_lag_is_the_age_of_what_was_read_while_more_waits(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    came = round((time.time() - 60) * 1000)
    with client.pipeline(transaction=False) as pipeline:
        for number in range(ENTRIES_A_READ + 1):
            pipeline.xadd("s", {"e": number}, id=f"{came}-{number}")
        pipeline.execute()
    source = source_of(redis_server)
    await source.connect()
    _, read = await batch_of(source)
    assert source.lag_seconds == pytest.approx(60, abs=30)
    await batch_of(source, read.last)
    assert source.lag_seconds == 0


async def test_a_stream_that_is_not_there_is_said_to_be_so(redis_server: RedisServer, source_of: OpenSource) -> None:
    source = source_of(redis_server)
    await source.connect()
    batch, read = await batch_of(source)
    assert (batch.payloads, read.exists, read.added, read.length, read.last) == ([], False, None, 0, "0-0")


async def test_entries_without_the_field_are_counted(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    client.xadd("s", {"data": "x"}, id="1-0")
    client.xadd("s", {"e": "y"}, id="2-0")
    client.xadd("s", {"E": "x", "ee": "e"}, id="3-0")
    source = source_of(redis_server)
    await source.connect()
    batch, read = await batch_of(source)
    assert (batch.payloads, batch.arrivals, len(batch.empty), read.entries) == ([b"y"], [0.002], 2, 3)


async def test_who_waits_is_woken_by_an_entry(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server)
    await source.connect()
    await source.read("0-0")
    reading = asyncio.create_task(source.read("0-0"))
    while not client.info("clients")["blocked_clients"]:
        await asyncio.sleep(0)
    began = time.monotonic()
    client.xadd("s", {"e": "x"})
    batch = await reading
    assert batch is not None
    assert batch.payloads == [b"x"]
    assert time.monotonic() - began < 0.5


async def test_who_waits_in_vain_says_so_within_a_second(redis_server: RedisServer, source_of: OpenSource) -> None:
    source = source_of(redis_server)
    await source.connect()
    await source.read("0-0")
    began = time.monotonic()
    assert (await batch_of(source))[0].payloads == []
    assert 0.9 < time.monotonic() - began < 2.9  # 3 s is what a call may take


@pytest.mark.needs_redis(7)
async def test_what_was_trimmed_before_it_was_read_counts_as_missed(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    source = source_of(redis_server)
    await source.connect()
    ledger = owner()
    client.xadd("s", {"e": order()})
    ledger.apply((await batch_of(source))[0], T0)
    for _ in range(10):
        client.xadd("s", {"e": order()}, maxlen=3, approximate=False)
    client.xadd("s", {"e": order()}, id="99999999999999-0")
    client.xdel("s", "99999999999999-0")
    ledger.apply((await batch_of(source, ledger.position("s")))[0], T0)
    settle(ledger)
    tallies = ledger.aggregate.committed.total.tallies
    assert (tallies["orders"]["success"], tallies["missed"]["stream:s"]) == (4, 8)


async def test_nothing_is_left_behind_in_redis(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    client.xadd("s", {"e": "x"})
    client.xgroup_create("s", "the backend's own", id="0")
    before = client.xinfo_stream("s", full=True)
    source = source_of(redis_server)
    await source.connect()
    await source.read("0-0")
    await source.close()
    assert client.xinfo_stream("s", full=True) == before
    assert client.keys() == [b"s"]


async def test_redis_6_does_not_report_how_many_were_added(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    if redis_version(redis_program()) >= 7:
        pytest.skip("this server tells it; `make test SERVER=path` runs this with a Redis 6")
    source = source_of(redis_server)
    await source.connect()
    client.xadd("s", {"e": "x"})
    batch, read = await batch_of(source)
    assert (batch.payloads, read.added, read.length, read.exists) == ([b"x"], None, 1, True)


# Under which replid


def promote(client: "redis.Redis") -> str:
    """Give the server another replid, as a failover does, and return it."""
    client.replicaof("127.0.0.1", 1)
    client.replicaof("NO", "ONE")
    return str(client.info("replication")["master_replid"])


async def test_the_replid_is_asked_when_it_connects_and_when_told_to(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    client.xadd("s", {"e": "x"})
    before = client.info("replication")["master_replid"]
    source = source_of(redis_server)
    await source.connect()
    await source.read("0-0")
    after = promote(client)
    assert (await batch_of(source))[1].replid == before
    source.ask_again()
    assert (await batch_of(source))[1].replid == after


async def test_told_while_it_waits_it_asks_before_it_reads(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    """A batch never comes without the replid it was read under, or a commit could not be checked against it."""
    source = source_of(redis_server)
    await source.connect()
    await source.read("0-0")
    reading = asyncio.create_task(batch_of(source))
    while not client.info("clients")["blocked_clients"]:
        await asyncio.sleep(0)
    source.ask_again()
    client.xadd("s", {"e": "x"})
    _, read = await reading
    assert read.replid == client.info("replication")["master_replid"]


@pytest.mark.parametrize("turns", range(12))
async def test_told_at_any_moment_it_names_a_replid(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource, turns: int
) -> None:
    client.xadd("s", {"e": "x"})
    source = source_of(redis_server)
    await source.connect()
    reading = asyncio.create_task(batch_of(source))
    for _ in range(turns):
        await asyncio.sleep(0)
    source.ask_again()
    assert (await reading)[1].replid == client.info("replication")["master_replid"]


# Losing Redis


async def test_a_replica_is_not_read(redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource) -> None:
    client.replicaof("127.0.0.1", 1)
    with pytest.raises(UnavailableError, match="replica"):
        await source_of(redis_server).connect()


async def test_without_a_connection_there_is_nothing_to_read(redis_server: RedisServer, source_of: OpenSource) -> None:
    source = source_of(redis_server)
    with pytest.raises(UnavailableError):
        await source.read("0-0")
    handed: list[Batch] = []
    await source.leftover(handed.append)
    assert handed == []


async def test_a_killed_redis_is_noticed_and_found_again(redis_server: RedisServer, source_of: OpenSource) -> None:
    source = source_of(redis_server)
    await source.connect()
    redis_server.kill()
    with pytest.raises(UnavailableError):
        await source.read("0-0")
    with pytest.raises(UnavailableError):
        await source.connect()
    redis_server.start()
    await source.connect()
    assert (await batch_of(source))[0].payloads == []


async def test_a_frozen_redis_is_noticed_within_four_seconds(redis_server: RedisServer, source_of: OpenSource) -> None:
    source = source_of(redis_server)
    await source.connect()
    redis_server.freeze()
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        await source.read("0-0")
    assert time.monotonic() - began < 4


async def test_a_key_that_is_no_stream_is_refused(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    client.set("s", "a string")
    source = source_of(redis_server)
    await source.connect()
    with pytest.raises(CommandError, match="WRONGTYPE"):
        await source.read("0-0")


async def test_a_missing_right_is_named(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    commands = ["+client|setname", "+info", "+multi", "+exec", "+xread"]
    client.acl_setuser("u", enabled=True, nopass=True, keys=["*"], commands=commands)
    source = source_of(f"redis://u:any@127.0.0.1:{redis_server.port}/0")
    await source.connect()
    with pytest.raises(CommandError, match="xinfo"):
        await source.read("0-0")


async def test_a_read_that_was_cancelled_can_be_made_again(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource
) -> None:
    """Cancelled at each await in turn, nothing is lost: the stream keeps it."""
    client.xadd("s", {"e": "x"})
    source = source_of(redis_server)
    for turns in range(15):
        await source.connect()
        reading = asyncio.create_task(source.read("0-0"))
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await source.connect()
        assert (await batch_of(source))[0].payloads == [b"x"]


async def test_a_read_after_an_empty_one_is_paced(
    redis_server: RedisServer, client: "redis.Redis", source_of: OpenSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast single entries come, Redis is not asked without a pause."""
    monkeypatch.setattr(stream, "PACE_SECONDS", 0.05)
    source = source_of(redis_server)
    await source.connect()
    after = "0-0"
    began = time.monotonic()
    for _ in range(5):
        client.xadd("s", {"e": "x"})
        after = (await batch_of(source, after))[1].last
    assert time.monotonic() - began >= 4 * 0.05
