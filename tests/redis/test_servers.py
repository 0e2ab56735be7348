"""Which server is connected to: Sentinels and Clusters that agree, disagree, are silent or gone."""

import asyncio
import contextlib
import itertools
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from sidecar.errors import AccessError, UnavailableError
from sidecar.redis.link import Link
from sidecar.redis.servers import Servers
from sidecar.redis.url import parse
from tests.cluster import Cluster
from tests.cluster import ask as cluster_ask
from tests.conftest import StartRedis
from tests.fake_redis import SILENCE, FakeRedis
from tests.ports import free_port, listens
from tests.redis_server import RedisServer, redis_program
from tests.sentinel import Sentinels
from tests.waiting import eventually, wait_until

MASTER = b"# Replication\r\nrole:master\r\nmaster_replid:abc\r\n"
REPLICA = b"# Replication\r\nrole:slave\r\n"


@pytest.fixture
async def fakes() -> AsyncIterator[AsyncExitStack]:
    """Enter fake servers; they end with the test."""
    async with AsyncExitStack() as stack:
        yield stack


def naming(server: FakeRedis | RedisServer, epoch: int) -> Any:
    """Answer as a Sentinel that names a server as master, since an epoch."""
    return [b"name", b"sale", b"ip", b"127.0.0.1", b"port", b"%d" % server.port, b"config-epoch", b"%d" % epoch]


def behind(*sentinels: FakeRedis) -> Servers:
    """Return what these Sentinels guard."""
    return Servers(parse(f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in sentinels)}/sale"))


async def start(fakes: AsyncExitStack, **answers: Any) -> FakeRedis:
    return await fakes.enter_async_context(FakeRedis(**answers))


def subscribed(server: FakeRedis) -> int:
    """Return how often somebody subscribed."""
    return [command[0] for command in server.commands].count(b"SUBSCRIBE")


async def port_of(servers: Servers, key: str = "") -> int:
    """Connect, and say where that led."""
    link = await servers.open(key)
    await link.close()
    return link.address[1]


# One server


async def test_one_server_is_that_server(redis_server: RedisServer) -> None:
    link = await Servers(parse(redis_server.url)).open("k")
    assert await link.call("PING") == b"PONG"
    await link.close()
    await Servers(parse(redis_server.url)).watch(lambda: None)  # there is nothing to watch


# Sentinel


async def test_the_newest_of_what_most_sentinels_say_counts(fakes: AsyncExitStack) -> None:
    old, new = await start(fakes, INFO=MASTER), await start(fakes, INFO=MASTER)
    outdated = await start(fakes, SENTINEL=naming(old, 1))
    others = [await start(fakes, SENTINEL=naming(new, 2)) for _ in range(2)]
    for _ in range(10):
        assert await port_of(behind(outdated, *others)) == new.port


@pytest.mark.parametrize("answer", [SILENCE, ValueError("IDONTKNOW")])
async def test_sentinels_that_are_gone_silent_or_confused_are_done_without(fakes: AsyncExitStack, answer: Any) -> None:
    master = await start(fakes, INFO=MASTER)
    knows, silent = await start(fakes, SENTINEL=naming(master, 1)), await start(fakes, SENTINEL=answer)
    gone = FakeRedis()
    gone.port = free_port()
    began = time.monotonic()
    assert await port_of(behind(gone, silent, knows)) == master.port
    assert time.monotonic() - began < 2.8  # 3 s is what a call may take


async def test_a_master_that_is_a_replica_by_now_is_not_taken(fakes: AsyncExitStack) -> None:
    demoted = await start(fakes, INFO=REPLICA)
    with pytest.raises(UnavailableError, match="replica"):
        await port_of(behind(await start(fakes, SENTINEL=naming(demoted, 1))))


async def test_cancelled_at_any_moment_it_leaves_no_connection_and_no_task(fakes: AsyncExitStack) -> None:
    master = await start(fakes, INFO=MASTER)
    sentinels = [await start(fakes, SENTINEL=naming(master, 1)) for _ in range(3)]
    servers = behind(*sentinels)
    opened = 0
    before = asyncio.all_tasks()
    for number in range(150):
        opening = asyncio.create_task(servers.open())
        for _ in range(number % 50):
            await asyncio.sleep(0)
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await opening).close()
            opened += 1
        assert not [task for task in asyncio.all_tasks() if "_ask_one" in str(task.get_coro())]
    assert opened < 150
    await eventually(lambda: not any(one.connections for one in (master, *sentinels)))
    await eventually(lambda: asyncio.all_tasks() == before)


async def test_a_service_that_no_sentinel_knows_is_named(fakes: AsyncExitStack) -> None:
    sentinel = await start(fakes, SENTINEL=ValueError("ERR No such master with that name"))
    with pytest.raises(UnavailableError, match="'sale'"):
        await port_of(behind(sentinel))


async def test_who_may_not_ask_whether_it_is_the_master_believes_the_sentinel(fakes: AsyncExitStack) -> None:
    master = await start(fakes, INFO=ValueError("NOPERM this user has no permissions to run the 'info' command"))
    assert await port_of(behind(await start(fakes, SENTINEL=naming(master, 1)))) == master.port


async def test_sentinels_that_want_a_password_say_so(fakes: AsyncExitStack) -> None:
    sentinel = await start(fakes, SENTINEL=ValueError("NOAUTH Authentication required."))
    with pytest.raises(AccessError):
        await port_of(behind(sentinel))


async def listened_to(sentinel: FakeRedis) -> None:
    await eventually(lambda: [b"SUBSCRIBE", b"+switch-master"] in sentinel.commands)


async def test_a_switch_cuts_what_leads_elsewhere_and_ends_what_is_in_the_making(fakes: AsyncExitStack) -> None:
    """redis-py's subscriber of a frozen master hears nothing for ever (redis-py#3867).

    `watch` may go when redis-py's own connections follow `+switch-master`.
    """
    confirmed: Any = [b"subscribe", b"+switch-master", 1]
    old, new = await start(fakes, INFO=MASTER, BLPOP=SILENCE), await start(fakes, INFO=MASTER)
    sentinel = await start(fakes, SENTINEL=naming(old, 1), SUBSCRIBE=confirmed)
    servers, moved = behind(sentinel), asyncio.Event()
    link, idle = await servers.open(), await servers.open()
    watch = asyncio.create_task(servers.watch(moved.set))
    await listened_to(sentinel)
    waiting = asyncio.create_task(link.call("BLPOP", "k", 0))
    old.answers["INFO"] = SILENCE  # frozen
    opening = asyncio.create_task(servers.open())
    await eventually(lambda: len([one for one in old.commands if one[0] == b"INFO"]) == 3)

    sentinel.push([b"message", b"+switch-master", f"another 127.0.0.1 1 127.0.0.1 {new.port}".encode()])
    sentinel.push([b"message", b"+switch-master", f"sale 127.0.0.1 {old.port} 127.0.0.1 {new.port}".encode()])
    async with asyncio.timeout(1):
        await eventually(moved.is_set)
        with pytest.raises(UnavailableError):
            await waiting
        with pytest.raises(UnavailableError, match="replaced"):
            await opening
    assert idle.closed
    sentinel.answers["SENTINEL"] = naming(new, 2)
    again = await servers.open()
    sentinel.push([b"message", b"+switch-master", f"sale 127.0.0.1 {old.port} 127.0.0.1 {new.port}".encode()])
    moved.clear()
    await eventually(moved.is_set)
    assert not again.closed  # another Sentinel says the same later
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    for one in (link, idle, again):
        await one.close()


async def test_a_silent_sentinel_is_listened_to_anew(fakes: AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.redis.servers.PING_SECONDS", 0.02)
    monkeypatch.setattr("sidecar.redis.servers.PAUSE_SECONDS", 0.02)
    sentinel = await start(fakes, SUBSCRIBE=[b"subscribe", b"+switch-master", 1], PING=[b"pong", b""])
    watch = asyncio.create_task(behind(sentinel).watch(lambda: None))
    # On a busy machine a PONG may be late.
    await eventually(
        lambda: (b"PING", b"PING") in itertools.pairwise(one[0] for one in sentinel.commands), what="a PONG to keep it"
    )
    sentinel.answers["PING"] = SILENCE
    before = subscribed(sentinel)
    await eventually(lambda: subscribed(sentinel) > before + 1)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def test_a_real_sentinel_is_asked_and_followed(tmp_path: Path) -> None:
    with Sentinels(tmp_path, replicas=1) as sentinels:
        servers, moved = Servers(parse(sentinels.url)), asyncio.Event()
        link = await servers.open()
        assert link.address[1] == sentinels.master().port
        watch = asyncio.create_task(servers.watch(moved.set))
        await asyncio.to_thread(sentinels.failover)
        async with asyncio.timeout(3):
            await moved.wait()
        assert link.closed
        await link.close()
        link = await servers.open()
        assert link.address[1] == sentinels.master().port
        await link.close()
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


@pytest.mark.parametrize("nonsense", [[], 1, [b"ip"], [b"ip", b"127.0.0.1", b"port", b"abc"], [b"ip", b"\xff"], "OK"])
async def test_a_sentinel_that_answers_nonsense_is_not_believed(fakes: AsyncExitStack, nonsense: Any) -> None:
    master = await start(fakes, INFO=MASTER)
    mad = [await start(fakes, SENTINEL=nonsense) for _ in range(2)]
    with pytest.raises(UnavailableError, match="an answer that Redis does not give"):
        await behind(*mad).open()
    assert await port_of(behind(*mad, await start(fakes, SENTINEL=naming(master, 1)))) == master.port


async def test_a_sentinel_that_tells_nonsense_is_listened_to_again(fakes: AsyncExitStack) -> None:
    master = await start(fakes, INFO=MASTER)
    sentinel = await start(fakes, SENTINEL=naming(master, 1), SUBSCRIBE=[b"subscribe", b"+switch-master", 1])
    watch = asyncio.create_task(behind(sentinel).watch(lambda: None))
    await eventually(lambda: subscribed(sentinel) == 1)
    sentinel.push([b"message", b"+switch-master", b"sale nonsense"])
    await eventually(lambda: subscribed(sentinel) == 2)
    assert not watch.done()
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


@pytest.mark.parametrize(
    "cluster",
    [
        lambda command: b"cluster_state:ok" if command[1] == b"INFO" else [],
        lambda command: b"cluster_current_epoch:1" if command[1] == b"INFO" else [[0, 16383]],
        lambda command: 1,
    ],
)
async def test_a_node_that_answers_nonsense_is_not_believed(fakes: AsyncExitStack, cluster: Any) -> None:
    with pytest.raises(UnavailableError, match="an answer that Redis does not give"):
        await around(await start(fakes, CLUSTER=cluster, INFO=MASTER)).open("k")


@pytest.mark.parametrize("user", ["", "sidecar"])
async def test_a_sentinel_that_wants_to_know_is_told_who_asks(
    start_redis: StartRedis, tmp_path: Path, user: str
) -> None:
    login = ("--requirepass", "secret") if not user else ("--user", user, "on", ">secret", "~*", "&*", "+@all")
    server, port = start_redis(*login), free_port()
    rights = "on >secret resetchannels &+switch-master +ping +sentinel|master +subscribe"  # as in redis-acl.conf
    wanted = "requirepass secret" if not user else f"user {user} {rights}\nuser default off"
    with lone_sentinel(tmp_path, port, f"sentinel monitor sale 127.0.0.1 {server.port} 1\n{wanted}\n"):
        url = f"redis+sentinel://127.0.0.1:{port}/sale"
        assert await port_of(Servers(parse(url, username=user, password="secret"))) == server.port
        with pytest.raises(AccessError, match=r"invalid username-password pair.*redis\.password"):
            await Servers(parse(url, username=user, password="wrong")).open()
        with pytest.raises(AccessError, match="Authentication required"):
            await Servers(parse(url)).open()


@pytest.mark.parametrize("user", ["", "watcher"])
async def test_sentinels_with_their_own_password_get_it(start_redis: StartRedis, tmp_path: Path, user: str) -> None:
    server, port = start_redis("--requirepass", "of-redis"), free_port()
    rights = "on >of-sentinel resetchannels &+switch-master +ping +sentinel|master +subscribe"
    wanted = "requirepass of-sentinel" if not user else f"user {user} {rights}\nuser default off"
    settings = f"sentinel monitor sale 127.0.0.1 {server.port} 1\nsentinel auth-pass sale of-redis\n{wanted}\n"
    with lone_sentinel(tmp_path, port, settings):
        target = parse(f"redis+sentinel://127.0.0.1:{port}/sale", password="of-redis")
        theirs = replace(target, sentinel_username=user, sentinel_password="of-sentinel")
        assert await port_of(Servers(theirs)) == server.port
        for wrong, names in ((replace(theirs, sentinel_password="wrong"), "sentinel_"), (target, "")):
            with pytest.raises(
                AccessError, match=rf"the Sentinel at 127\.0\.0\.1:{port} refuses .* redis\.{names}password"
            ):
                await Servers(wrong).open()


async def test_the_password_of_a_sentinel_is_not_that_of_the_redis_behind_it(
    start_redis: StartRedis, tmp_path: Path
) -> None:
    server, port, file = start_redis("--requirepass", "of-redis"), free_port(), tmp_path / "password"
    file.write_text("of-sentinel\n")
    settings = f"sentinel monitor sale 127.0.0.1 {server.port} 1\nrequirepass of-sentinel\n"
    with lone_sentinel(tmp_path, port, settings):
        target = replace(
            parse(f"redis+sentinel://127.0.0.1:{port}/sale"),
            sentinel_password="of-sentinel",
            sentinel_password_file=str(file),
        )
        with pytest.raises(AccessError, match=rf"^Redis at 127\.0\.0\.1:{server.port} refuses .*redis\.password"):
            await Servers(target).open()


@contextlib.contextmanager
def lone_sentinel(folder: Path, port: int, settings: str) -> Iterator[None]:
    """Start a Sentinel of its own."""
    file = folder / "sentinel.conf"
    file.write_text(f"port {port}\nbind 127.0.0.1\ndir {folder}\nlogfile sentinel.log\n{settings}")
    process = subprocess.Popen([redis_program(), str(file), "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port), 10, "the Sentinel")
        yield
    finally:
        process.kill()
        process.wait()


# Cluster


def owning(server: FakeRedis, epoch: int) -> dict[str, Any]:
    """Return the answers of a node to which one server owns everything, since an epoch."""

    def cluster(command: list[bytes]) -> Any:
        if command[1] == b"INFO":
            return f"cluster_current_epoch:{epoch}\r\n".encode()
        return [[0, 16383, [b"127.0.0.1", server.port, b"id"]]]

    return {"CLUSTER": cluster, "INFO": MASTER}


def around(*nodes: FakeRedis) -> Servers:
    """Return the Cluster that these nodes belong to."""
    return Servers(parse(f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in nodes)}"))


async def test_a_map_older_than_the_one_at_hand_is_not_taken_unless_that_led_nowhere(fakes: AsyncExitStack) -> None:
    old, new = await start(fakes, INFO=MASTER), await start(fakes, INFO=MASTER)
    node = await start(fakes)
    node.answers |= owning(new, 2)
    servers = around(node)
    assert await port_of(servers) == new.port
    for outdated in (node, new):
        outdated.answers |= owning(old, 1)
    assert await port_of(servers) == new.port
    new.answers["INFO"] = REPLICA
    with pytest.raises(UnavailableError):
        await port_of(servers)
    assert await port_of(servers) == old.port


async def test_what_moved_is_cut(fakes: AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.redis.servers.POLL_SECONDS", 0.02)
    old, new = await start(fakes, INFO=MASTER), await start(fakes, INFO=MASTER)
    for node in (old, new):
        node.answers |= owning(old, 1)
    servers, moved = around(old), asyncio.Event()
    link = await servers.open("k")
    watch = asyncio.create_task(servers.watch(moved.set))
    await eventually(lambda: len(old.commands) > 20)
    assert not link.closed
    for node in (old, new):
        node.answers |= owning(new, 2)
    await eventually(lambda: moved.is_set() and link.closed, 2)
    await link.close()
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def test_a_slot_that_nobody_serves_is_waited_for(start_redis: StartRedis) -> None:
    server = start_redis("--cluster-enabled", "yes", "--save", "")
    servers = Servers(parse(f"redis+cluster://127.0.0.1:{server.port}"))
    with pytest.raises(UnavailableError, match="slot"):
        await servers.open("k")
    with redis.Redis(port=server.port) as client:
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        await eventually(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"), 10, "the Cluster")
    link = await servers.open("k")
    assert await link.call("SET", "k", "v") == b"OK"
    await link.close()


async def test_every_key_leads_to_its_owner_and_the_nodes_are_remembered(cluster: Cluster) -> None:
    servers = Servers(parse(cluster.url(cluster.nodes[0])))
    links: list[Link] = []
    for number in range(20):
        links.append(await servers.open(f"k{number}"))
        assert await links[-1].call("SET", f"k{number}", number) == b"OK"
        assert links[-1].address[1] == cluster.owner(f"k{number}").port
    for link in links:
        await link.close()
    assert len(servers._some_nodes()) > 1


async def test_a_cluster_without_databases_says_so_itself(cluster: Cluster) -> None:
    with pytest.raises(UnavailableError, match=r"(SELECT|DB index).*; let redis\.url name a database that"):
        await Servers(parse(f"{cluster.url()}/3")).open("k")


async def test_a_cluster_with_databases_is_read_in_the_one_that_is_named(tmp_path: Path, cluster: Cluster) -> None:
    """Valkey 9 has them; by default it has one."""
    if not cluster_ask(cluster.nodes[0], "CONFIG", "GET", "cluster-databases"):
        pytest.skip("this server has no databases on a Cluster; `make test SERVER=path` runs this with a Valkey 9")
    with Cluster(tmp_path, more=("--cluster-databases", "16")) as several:
        servers = Servers(parse(f"{several.url()}/3"))
        link = await servers.open("k")
        assert link.address[1] == several.owner("k").port
        assert b"db=3" in await link.call("CLIENT", "LIST")
        await link.close()
