"""The store in a real Redis: keys to the letter, refusals, and what is never done to other people's keys."""

import asyncio
import hashlib
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
import redis

from sidecar.core.checkpoint.products import SIZE
from sidecar.core.checkpoint.state import load_state
from sidecar.core.commit.ledger import Ledger
from sidecar.core.events.source import as_java_writes
from sidecar.errors import AccessError, CheckpointError, CommandError, UnavailableError
from sidecar.redis.servers import Servers
from sidecar.redis.url import parse
from sidecar.sources.stream import StreamSource
from sidecar.store import Aside
from sidecar.store.keys import EXPIRY_SECONDS, RENEWAL_SECONDS
from sidecar.store.redis import FLEET_SECONDS, RedisStore, _scripts, cleared_report
from tests.conftest import StartRedis
from tests.fake_redis import FakeRedis
from tests.ledgers import T0, commit, heard, new_ledger, order, read, send, shown, take
from tests.redis_server import RedisServer

PREFIX = "shop:"
EVENTS = (
    order(5, product_id="a", processing_ms=2.5, producer="p", seq=1),
    b'{"status":"failed","reason":"sold_out","product_id":"a"}',
    b'{"status":"pending"}',
    b'{"status":"cancelled"}',
    b'{"type":"queue","waiting":4}',
    b'{"type":"connections","active":3,"producer":"p"}',
    b'{"type":"inventory","product_id":"a","stock":93}',
    b"broken",
)
OpenStore = Callable[..., RedisStore]


@pytest.fixture
async def open_store() -> AsyncIterator[OpenStore]:
    """Open stores on a server or URL; they end with the test."""
    stores: list[RedisStore] = []

    def make(where: RedisServer | str, *, prefix: str = PREFIX, lease: float = 60.0, **options: Any) -> RedisStore:
        url = where if isinstance(where, str) else where.url
        stores.append(RedisStore(Servers(parse(url)), prefix, lease=lease, **{"keep_rejected": True, **options}))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()


def names(client: "redis.Redis") -> set[str]:
    """Return the names of all keys."""
    return {name.decode() for name in client.scan_iter(count=10_000)}


async def test_a_stream_whose_key_java_wrote_is_read_and_its_position_kept(
    redis_server: RedisServer, open_store: OpenStore
) -> None:
    name, key, store = as_java_writes("orders"), b"\xac\xed\x00\x05t\x00\x06orders", open_store(redis_server)
    source, client = StreamSource(name, Servers(parse(redis_server.url))), redis.Redis(port=redis_server.port)
    ledger = new_ledger(streams=(name,))
    assert await take(ledger, store)
    await source.connect()
    for _ in range(2):
        client.xadd(key, {"e": order()})
        batch = await source.read(ledger.position(name))
        assert batch is not None
        assert ledger.apply(batch, T0) == "ok"
        assert await commit(ledger, store) == "ok"
    again = new_ledger("there:1:b", streams=(name,))
    again.take_over(await store.load(), T0)
    assert again.position(name) == ledger.position(name) != "0-0"
    client.delete(key)
    assert await commit(ledger, store) == "reset"
    assert await commit(ledger, store) == "ok"
    assert shown(ledger) == 2
    await source.close()


async def counted(store: RedisStore, *payloads: bytes, now: float = T0) -> Ledger:
    """Return the owner of a new checkpoint, with these payloads committed."""
    ledger = new_ledger()
    assert await take(ledger, store, now=now)
    ledger.apply(heard(*payloads, at=now), now)
    assert await commit(ledger, store, now) == "ok"
    return ledger


# The public keys


async def test_the_public_keys_are_as_documented(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    now = time.time()
    await counted(open_store(redis_server), *EVENTS, now=now)
    second = int(now)
    hour = (3590, 3600)
    expected: dict[str, tuple[str, bytes | list[bytes] | None, tuple[int, int]]] = {
        "order_status:success": ("string", b"1", hour),
        "order_status:failed": ("string", b"1", hour),
        "order_status:pending": ("string", b"1", hour),
        "order_status:cancelled": ("string", b"1", hour),
        f"throughput:{second}": ("string", b"2", hour),
        "order_latency": ("list", [b"5"], hour),
        "processing_time": ("list", [b"2.5"], hour),
        f"queue_length:{second}": ("string", b"4", hour),
        f"active_connections:{second}": ("string", b"3", hour),
        "inventory:a": ("string", b"93", hour),
        "rejected": ("list", None, hour),
        "sale:current": ("string", None, hour),
        "custom:counted_total": ("string", None, hour),
        "checkpoint": ("hash", None, (-1, -1)),
        "lease": ("string", b"here:1:a", (55, 60)),
    }
    found = {name.removeprefix(PREFIX) for name in names(client)}
    assert found == expected.keys()
    for name, (kind, value, (least, most)) in expected.items():
        key = PREFIX + name
        assert client.type(key) == kind.encode(), name
        assert least <= client.ttl(key) <= most, name
        if value is not None:
            assert (client.lrange(key, 0, -1) if kind == "list" else client.get(key)) == value, name


async def test_lists_hold_the_newest_first_and_are_trimmed(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    client.rpush(PREFIX + "order_latency", *range(10_000, 20_000))
    client.rpush(PREFIX + "rejected", *["old"] * 100)
    await counted(open_store(redis_server), order(1), order(2), order(3), b"x", b"y")
    assert client.llen(PREFIX + "order_latency") == 10_000
    assert client.lrange(PREFIX + "order_latency", 0, 3) == [b"3", b"2", b"1", b"10000"]
    assert client.llen(PREFIX + "rejected") == 100
    assert [b'"payload":"y"' in entry for entry in client.lrange(PREFIX + "rejected", 0, 2)] == [True, False, False]
    assert client.ttl(PREFIX + "order_latency") > 3590


@pytest.mark.parametrize(
    ("left", "renewed"),
    [
        (EXPIRY_SECONDS, False),
        (EXPIRY_SECONDS - RENEWAL_SECONDS + 60, False),
        (EXPIRY_SECONDS - RENEWAL_SECONDS - 60, True),
        (1, True),
        (0, True),  # deleted
        (-1, True),  # made by hand, without an expiry
    ],
)
async def test_an_expiry_is_renewed_when_it_is_due(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore, left: int, renewed: bool
) -> None:
    store = open_store(redis_server)
    ledger = await counted(store, *EVENTS)
    keys = [PREFIX + name for name in ("order_status:success", "inventory:a", f"throughput:{T0:.0f}")]
    for key in keys:
        if left < 0:
            client.persist(key)
        else:
            client.expire(key, left)
    ledger.apply(heard(*EVENTS, b'{"type":"inventory","product_id":"a","stock":92}'), T0)
    assert await commit(ledger, store) == "ok"
    for key in keys:
        assert client.ttl(key) == pytest.approx(EXPIRY_SECONDS if renewed else left, abs=10), key
    assert [client.get(key) for key in keys] == [b"2", b"92", b"4"]


async def test_a_second_that_lives_no_longer_than_a_renewal_gets_its_expiry_all_the_same(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    await counted(open_store(redis_server), order(ts=T0 - 3500))
    assert client.ttl(f"{PREFIX}throughput:{T0 - 3500:.0f}") == pytest.approx(100, abs=10)


async def test_a_list_key_of_another_type_is_replaced(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    client.set(PREFIX + "order_latency", "made by hand")
    await counted(open_store(redis_server), order(3))
    assert client.lrange(PREFIX + "order_latency", 0, -1) == [b"3"]


async def test_a_key_that_was_deleted_is_right_again_when_it_is_next_written(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    store = open_store(redis_server)
    ledger = await counted(store, *[order()] * 1000)
    client.delete(PREFIX + "order_status:success", f"{PREFIX}throughput:{T0:.0f}")
    ledger.apply(heard(order()), T0)
    await commit(ledger, store)
    assert client.get(PREFIX + "order_status:success") == b"1001"
    assert client.get(f"{PREFIX}throughput:{T0:.0f}") == b"1001"


async def test_refused_payloads_are_read_back_newest_first(redis_server: RedisServer, open_store: OpenStore) -> None:
    store = open_store(redis_server)
    await counted(store, b"one", b"two", b"three")
    assert [one.payload for one in await store.rejected(2)] == ["three", "two"]


async def test_refused_payloads_are_not_kept_where_that_is_switched_off(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    await counted(open_store(redis_server, keep_rejected=False), b"one")
    assert not client.exists(PREFIX + "rejected")


async def test_history_is_read_by_the_second(redis_server: RedisServer, open_store: OpenStore) -> None:
    store = open_store(redis_server)
    second = int(time.time())
    await counted(store, *(order(ts=second - age) for age in (0, 2, 2)), now=float(second))
    assert await store.history("throughput", second - 5, second) == {second: 1, second - 2: 2}


# Clearing, and the keys of others

FOREIGN = (
    "order_status:refunded",
    "throughput:0",
    "throughput:",
    "queue_length:now",
    "inventory:unknown",
    "order_latency:raw",
    "rejected2",
    "checkpoint:2",
    "sessions",
)


async def test_a_clear_deletes_its_own_keys_by_name_and_nothing_else(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    store = open_store(redis_server)
    for name in FOREIGN:
        client.set(PREFIX + name, "theirs")
    client.set("order_status:success", "of another prefix")
    ledger = await counted(store, *EVENTS)
    ledger.apply(heard(b'{"type":"queue","waiting":4}', order(ts=T0 - 3000)), T0 + 30)
    await commit(ledger, store, T0 + 30)
    await store.clear("g")
    left = names(client)
    assert left == {PREFIX + name for name in (*FOREIGN, "checkpoint", "lease")} | {"order_status:success"}
    assert {client.get(PREFIX + name) for name in FOREIGN} == {b"theirs"}


async def test_a_clear_deletes_the_stock_of_any_product_of_any_block(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    products = ["a\nb", "a:b", "ü", '"', *(f"p{number}" for number in range(SIZE))]
    stock = [msgspec.json.encode({"type": "inventory", "product_id": product, "stock": 1}) for product in products]
    store = open_store(redis_server)
    await counted(store, *stock)
    assert len(client.keys(PREFIX + "inventory:*")) == len(products)
    await store.clear("g")
    assert names(client) == {PREFIX + "checkpoint", PREFIX + "lease"}


@pytest.mark.parametrize("damaged", [b"", b"\xc1", b"\x07", b"\x93\xa1a"])
async def test_a_clear_gets_over_a_damaged_checkpoint(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore, damaged: bytes
) -> None:
    store = open_store(redis_server)
    await counted(store, *EVENTS)
    client.hset(PREFIX + "checkpoint", "c:names:0", damaged)
    await store.clear("g")
    assert names(client) == {PREFIX + "checkpoint", PREFIX + "lease", PREFIX + "inventory:a"}
    assert load_state(await store.load()).products == {}


async def test_a_clear_returns_the_orders_as_they_were(redis_server: RedisServer, open_store: OpenStore) -> None:
    store = open_store(redis_server)
    await counted(store, *EVENTS)
    statuses = {"success": 1, "failed": 1, "pending": 1, "cancelled": 1}
    expected = {**statuses, "total": 2, "by_status": statuses}
    assert cleared_report(await store.clear("g")) == {"orders": expected}
    assert cleared_report(await store.clear("h"))["orders"]["total"] == 0


@pytest.mark.parametrize("damaged", [b"\xc1", b"\x01", b"\x91\x01"])
def test_a_damaged_report_is_named(damaged: bytes) -> None:
    with pytest.raises(CheckpointError):
        cleared_report(damaged)


async def test_a_key_of_another_type_in_place_of_the_checkpoint_is_set_aside(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    store = open_store(redis_server)
    ledger = await counted(store, order())
    client.set(PREFIX + "checkpoint", "made by hand")
    with pytest.raises(CheckpointError):
        await commit(ledger, store)
    with pytest.raises(CheckpointError):
        await store.load()
    with pytest.raises(CheckpointError):
        await take(ledger, store)
    ledger = new_ledger()
    assert await store.set_aside(ledger.owner) == Aside(PREFIX + "checkpoint:damaged")
    assert client.get(PREFIX + "checkpoint:damaged") == b"made by hand"
    assert 6 * 86_400 < client.ttl(PREFIX + "checkpoint:damaged") <= 7 * 86_400
    assert await take(ledger, store)


@pytest.mark.parametrize("damage", [{"n": b"\xff"}, {"own": b"\xff"}, {"gen": b"\xff"}, {"n": b"9" * 30}])
async def test_a_running_owner_finds_its_own_fields_damaged(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore, damage: dict[str, bytes]
) -> None:
    store = open_store(redis_server)
    ledger = await counted(store, order())
    client.hset(PREFIX + "checkpoint", mapping=damage)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError):
        await commit(ledger, store)


async def test_the_name_of_a_field_can_be_damaged(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    store = open_store(redis_server)
    ledger = await counted(store, order())
    client.hset(PREFIX + "checkpoint", b"c:products:\xff", b"?")
    with pytest.raises(CheckpointError):
        await take(ledger, store)


async def test_a_lease_of_another_type_is_nobodys(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    client.rpush(PREFIX + "lease", "made by hand")
    assert await take(new_ledger(), open_store(redis_server))
    assert client.get(PREFIX + "lease") == b"here:1:a"


async def test_what_is_made_by_hand_is_no_refused_event(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    store = open_store(redis_server)
    await counted(store, b"one")
    client.lpush(PREFIX + "rejected", "{garbage", "7", b"\xff")
    assert [one.payload for one in await store.rejected(10)] == ["one"]


async def test_values_made_by_hand_are_no_history(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    client.mset({PREFIX + "throughput:1": "x", PREFIX + "throughput:2": "7", PREFIX + "throughput:3": "9" * 5000})
    assert await open_store(redis_server).history("throughput", 1, 3) == {2: 7}


async def test_thousands_of_fields_and_keys_are_written_and_cleared(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    store = open_store(redis_server)
    ledger = new_ledger()
    await take(ledger, store)
    for part in range(10):
        stock = (b'{"type":"inventory","product_id":"p%d","stock":1}' % (100 * part + i) for i in range(100))
        ledger.apply(heard(*stock), T0)
    for age in range(0, 3600):
        ledger.aggregate.apply(heard(order(ts=T0 - age, producer=f"{age % 1000}", seq=age // 1000 + 1)), T0)
    assert await commit(ledger, store) == "ok"
    assert len(await store.load()) > 1100
    assert client.dbsize() > 4500
    await store.clear("g")
    assert names(client) == {PREFIX + "checkpoint", PREFIX + "lease"}


COMMANDS = "+@connection +@transaction +eval +evalsha +info +hmget +hget +hset +hdel +hgetall +hkeys +hexists +hincrby"
COMMANDS += " +hsetnx +get +set +mget +del +unlink +lpush +ltrim +lrange +expire +ttl +xinfo +zadd +zremrangebyscore"
COMMANDS += " +zrangebyscore +exists +rename"


async def test_no_path_lists_keys(redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore) -> None:
    """A user without KEYS, SCAN and all that is dangerous gets through everything, and ACL LOG stays empty."""
    client.acl_setuser("sidecar", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=COMMANDS.split())
    store = open_store(f"redis://sidecar:any@127.0.0.1:{redis_server.port}/0")
    ledger = await counted(store, *EVENTS)
    client.xadd("s", {"e": order()}, id="1-0")
    ledger.apply(read(order(), replid=client.info("replication")["master_replid"]), T0)
    assert await commit(ledger, store) == "ok"
    await store.clear("g")
    assert await commit(ledger, store) == "cleared"
    client.delete(PREFIX + "checkpoint")
    assert await commit(ledger, store) == "empty"
    assert await commit(ledger, store) == "ok"
    await store.history("throughput", 1, 5)
    await store.rejected(5)
    await store.register("f", "here", T0)
    await store.members("f", T0)
    await store.state("one:")
    await store.facts()
    await store.release(ledger.owner)
    assert client.acl_log() == []
    used = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    assert not {"keys", "scan", "flushall", "flushdb"} & used


# Scripts


async def test_scripts_are_sent_again_where_redis_forgot_them(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    store = open_store(redis_server)
    ledger = await counted(store, order())
    client.script_flush()
    client.config_resetstat()
    ledger.apply(heard(order()), T0)
    assert await commit(ledger, store) == "ok"
    assert await commit(ledger, store) == "ok"
    assert client.get(PREFIX + "order_status:success") == b"2"
    calls = {name: stats["calls"] for name, stats in client.info("commandstats").items()}
    assert (calls["cmdstat_eval"], calls["cmdstat_evalsha"]) == (1, 2)


async def test_the_scripts_that_redis_6_gets_serve_as_well(
    redis_server: RedisServer, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real Redis 6 is tested by `make test SERVER=path`; this needs none."""
    plain = _scripts(lua_line=False)
    monkeypatch.setattr("sidecar.store.redis._scripts", lambda lua_line: plain)
    with redis.Redis(port=redis_server.port) as client:
        store = open_store(redis_server)
        ledger = await counted(store, *EVENTS)
        client.xadd("s", {"e": order()}, id="1-0")
        ledger.apply(read(order(), added=None, replid=client.info("replication")["master_replid"]), T0)
        assert await commit(ledger, store) == "ok"
        assert client.get(PREFIX + "order_status:success") == b"2"
        client.delete("s")
        ledger.apply(heard(order()), T0)
        assert await commit(ledger, store) == "reset"
        await store.clear("g")
        assert await commit(ledger, store) == "cleared"
        assert await commit(ledger, store) == "ok"
        await store.release(ledger.owner)
        assert not client.exists(PREFIX + "lease")


# Refusals: nothing is applied, and the same commit is applied later.


async def refused_then_applied(
    store: RedisStore, client: "redis.Redis", obstruct: Callable[[], object], clear_the_way: Callable[[], object]
) -> str:
    """Commit one order while Redis refuses, then again; return the reason given."""
    ledger = await counted(store, order())
    before = await store.load()
    ledger.apply(heard(order()), T0)
    flight = ledger.freeze(T0)
    obstruct()
    with pytest.raises(CommandError) as refused:
        await send(ledger, store, flight)
    clear_the_way()
    assert await store.load() == before
    assert client.get(PREFIX + "order_status:success") == b"1"
    assert ledger.freeze(T0) is flight
    assert await commit(ledger, store) == "ok"
    assert client.get(PREFIX + "order_status:success") == b"2"
    assert shown(ledger) == 2
    return str(refused.value)


async def test_a_full_redis_refuses(redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore) -> None:
    reason = await refused_then_applied(
        open_store(redis_server),
        client,
        lambda: client.config_set("maxmemory", 1),
        lambda: client.config_set("maxmemory", 0),
    )
    assert "OOM" in reason or "memory" in reason


@pytest.mark.needs_redis(7)  # a script of Redis 6 may go on writing, once it has deleted
@pytest.mark.parametrize("request_name", ["full commit", "clear"])
async def test_a_full_redis_refuses_before_anything_is_deleted(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore, request_name: str
) -> None:
    """Deleting needs no memory: without care it would happen, and the writes after it would not."""
    store = open_store(redis_server)
    ledger = await counted(store, *EVENTS)
    flight = msgspec.structs.replace(ledger.freeze(T0), full=True)
    before = await store.load(), names(client)
    client.config_set("maxmemory", 1)
    with pytest.raises(CommandError):
        await (store.clear("g") if request_name == "clear" else send(ledger, store, flight))
    client.config_set("maxmemory", 0)
    assert (await store.load(), names(client)) == before


@pytest.mark.parametrize(
    ("newest", "position", "outcome"),
    [
        ("5-2", "5-2", "OK"),
        ("5-1", "5-2", "RESET"),
        ("5-10", "5-9", "OK"),
        ("5-9", "5-10", "RESET"),
        ("9-5", "10-0", "RESET"),
        ("10-0", "9-5", "OK"),
        ("1790000000000-18446744073709551614", "1790000000000-18446744073709551615", "RESET"),
        ("9007199254740992-0", "9007199254740993-0", "RESET"),  # beyond what a Lua number tells apart
    ],
)
async def test_a_position_beyond_the_newest_id_means_another_stream(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore, newest: str, position: str, outcome: str
) -> None:
    store = open_store(redis_server)
    ledger = new_ledger()
    await take(ledger, store)
    client.xadd("s", {"e": order()}, id=newest)
    replid = client.info("replication")["master_replid"]
    ledger.apply(read(order(), last=position, replid=replid), T0)
    assert (await send(ledger, store, ledger.freeze(T0))).outcome == outcome


async def test_the_lost_end_of_a_stream_that_nobody_asked_about_is_no_answer_of_redis(open_store: OpenStore) -> None:
    info = b"redis_version:7.0.15\r\nrole:master\r\nmaster_replid:r\r\n"
    lie = [b"RESET", b"1", b"here:1:a e r", b"", b"r", b"other", b""]
    async with FakeRedis(INFO=info, EVAL=1, EVALSHA=lie) as server:
        ledger = new_ledger()
        with pytest.raises(UnavailableError, match="does not give.*other"):
            await send(ledger, open_store(f"redis://127.0.0.1:{server.port}/0"), ledger.freeze(T0))


async def test_a_server_without_a_master_replid_is_committed_to(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    store = open_store(redis_server)
    ledger = new_ledger()
    await take(ledger, store)
    for name, (text, _) in store._scripts.items():
        other = text.replace("master_replid:", "no_such_line:")
        store._scripts[name] = (other, hashlib.sha1(other.encode(), usedforsecurity=False).hexdigest())
    client.xadd("s", {"e": order()}, id="1-0")
    ledger.apply(read(order(), replid=""), T0)
    assert await commit(ledger, store) == "ok"
    assert client.get(PREFIX + "order_status:success") == b"1"


async def test_a_redis_without_enough_replicas_refuses(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    reason = await refused_then_applied(
        open_store(redis_server),
        client,
        lambda: client.config_set("min-replicas-to-write", 1),
        lambda: client.config_set("min-replicas-to-write", 0),
    )
    assert "NOREPLICAS" in reason


async def test_a_demoted_redis_refuses_and_is_left(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    store = open_store(redis_server)
    ledger = await counted(store, order())
    ledger.apply(heard(order()), T0)
    flight = ledger.freeze(T0)
    client.replicaof("127.0.0.1", 1)
    for expected in (CommandError, UnavailableError):  # the second try looks for a master again and finds none
        with pytest.raises(expected):
            await send(ledger, store, flight)
    client.replicaof("NO", "ONE")
    assert await commit(ledger, store) == "ok"
    assert client.get(PREFIX + "order_status:success") == b"2"


# Who is let in, and connections that break


@pytest.mark.parametrize("credentials", ["", ":wrong@", "nobody:secret@"])
async def test_a_wrong_password_is_an_access_error(
    start_redis: StartRedis, open_store: OpenStore, credentials: str
) -> None:
    server = start_redis("--requirepass", "secret")
    with pytest.raises(AccessError, match=r"redis\.password"):
        await open_store(f"redis://{credentials}127.0.0.1:{server.port}/0").connect()
    await open_store(f"redis://:secret@127.0.0.1:{server.port}/0").connect()


async def test_a_user_without_the_right_is_an_access_error(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    client.acl_setuser(
        "reader", enabled=True, nopass=True, keys=["*"], commands=["+client|setname", "+info", "+hgetall"]
    )
    store = open_store(f"redis://reader:any@127.0.0.1:{redis_server.port}/0")
    assert await store.load() == {}
    with pytest.raises(AccessError):
        await take(new_ledger(), store)


async def test_nobody_at_home_is_unavailable_until_somebody_is(
    redis_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(redis_server)
    ledger = await counted(store, order())
    redis_server.kill()
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await commit(ledger, store)
    redis_server.start()
    assert await commit(ledger, store) == "empty"


async def test_a_frozen_redis_is_given_up_in_time(redis_server: RedisServer, open_store: OpenStore) -> None:
    store = open_store(redis_server)
    ledger = await counted(store, order())
    redis_server.freeze()
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        await commit(ledger, store)
    assert time.monotonic() - began < 4
    redis_server.thaw()
    assert await commit(ledger, store) == "ok"


async def test_a_replica_is_not_written_to(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    client.replicaof("127.0.0.1", 1)
    with pytest.raises(UnavailableError, match="replica"):
        await open_store(redis_server).connect()


async def test_many_users_of_one_store_get_their_own_answers(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    store = open_store(redis_server)
    client.mset({f"{PREFIX}throughput:{second}": second for second in range(1000, 1100)})

    async def ask(second: int) -> dict[int, int]:
        return await store.history("throughput", second, second)

    answers = await asyncio.gather(*(ask(second) for second in range(1000, 1100)))
    assert answers == [{second: second} for second in range(1000, 1100)]
    assert len(client.client_list()) == 2  # the store's and this test's


async def test_a_cancelled_user_takes_no_foreign_answer(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    store = open_store(redis_server)
    client.mset({f"{PREFIX}throughput:{second}": second for second in range(1000, 1100)})
    await store.connect()
    for second in range(1000, 1100, 2):
        cancelled = asyncio.create_task(store.history("throughput", second, second))
        waiting = asyncio.create_task(store.history("throughput", second + 1, second + 1))
        for _ in range(second % 7):
            await asyncio.sleep(0)
        cancelled.cancel()
        found = await asyncio.gather(cancelled, waiting, return_exceptions=True)
        # Who waited behind a cancelled user may find the connection closed; it must not get the other one's answer.
        assert found[1] == {second + 1: second + 1} or isinstance(found[1], UnavailableError)
        assert await store.history("throughput", second, second) == {second: second}


async def test_a_restart_while_idle_costs_one_failure_at_most(start_redis: StartRedis, open_store: OpenStore) -> None:
    server = start_redis("--appendonly", "yes", "--appendfsync", "always", "--save", "")
    store = open_store(server)
    ledger = await counted(store, order())
    server.stop(signal.SIGKILL)
    server.start()

    try:
        verdict = await commit(ledger, store)
    except UnavailableError:
        verdict = await commit(ledger, store)
    assert verdict == "ok"


# The fleet


async def test_a_fleet_knows_its_live_members(redis_server: RedisServer, open_store: OpenStore) -> None:
    one, two = open_store(redis_server, prefix="one:"), open_store(redis_server, prefix="two:")
    await one.register("f", "left", T0 - 5)
    await one.register("f", "here", T0)
    await two.register("f", "there", T0)
    await two.register("another", "there", T0)
    assert await one.members("f", T0 + 1) == {"one:": "here", "two:": "there"}
    await two.register("f", "there", T0 + FLEET_SECONDS + 1)
    assert await one.members("f", T0 + FLEET_SECONDS + 1) == {"two:": "there"}


async def test_the_state_of_any_prefix_can_be_read(
    redis_server: RedisServer, client: "redis.Redis", open_store: OpenStore
) -> None:
    store = open_store(redis_server, prefix="one:")
    await counted(store, order())
    state = await store.state("one:")
    assert state is not None
    assert state.total.tallies["orders"]["success"] == 1
    assert await store.state("two:") is None
    client.set("two:checkpoint", "made by hand")
    with pytest.raises(CheckpointError):
        await store.state("two:")


async def test_members_of_a_fleet_use_the_clock_of_their_redis(
    redis_server: RedisServer, open_store: OpenStore
) -> None:
    """Otherwise machines whose clocks are a minute apart would drop each other."""
    store = open_store(redis_server)
    assert abs(await store.now(T0) - time.time()) < 60
    info = b"role:master\r\nmaster_replid:r\r\nredis_version:6.0.0\r\n"
    async with FakeRedis(INFO=info) as silent:
        assert await open_store(f"redis://127.0.0.1:{silent.port}").now(T0) == T0


async def test_facts_tell_of_the_memory(redis_server: RedisServer, open_store: OpenStore) -> None:
    facts = await open_store(redis_server).facts()
    assert int(facts["used_memory"]) > 0
    assert facts["maxmemory_policy"] == "noeviction"


@pytest.mark.parametrize("elsewhere", ["MOVED 1 h:1", "ASK 1 h:1", "READONLY a replica", "CLUSTERDOWN x"])
async def test_what_is_elsewhere_is_looked_for_at_the_next_call(elsewhere: str, open_store: OpenStore) -> None:
    info = b"redis_version:7.0.15\r\nrole:master\r\nmaster_replid:r\r\n"
    async with FakeRedis(INFO=info, EVAL=1, HGETALL=ValueError(elsewhere), EVALSHA=ValueError(elsewhere)) as server:

        def connects() -> int:
            return sum(command[1] == b"SETNAME" for command in server.commands if command[0] == b"CLIENT")

        store = open_store(f"redis://127.0.0.1:{server.port}/0")
        for number in (1, 2):
            with pytest.raises(CommandError):
                await store.load()
            assert connects() == number
        with pytest.raises(CommandError):
            await store.release("me")
        server.answers["HGETALL"] = []
        for _ in range(2):
            assert await store.load() == {}
            assert connects() == 4
        await store.close()
