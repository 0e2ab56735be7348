"""Queues of every system on a real Redis: what is read, what is a problem of one queue alone, and at which cost."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict, replace

from sidecar.config.queues import QUEUES, SETTINGS
from sidecar.config.structs import QueueConfig
from sidecar.core.counts.rules import Rules
from sidecar.redis.link import Link
from sidecar.redis.servers import Servers
from sidecar.redis.url import parse
from sidecar.sources.queues.reader import APART, LIST_SECONDS, QueueAnswer, QueueReader
from sidecar.sources.queues.systems import LISTINGS, SYSTEMS
from tests.redis_acl import PASSWORD, SHIPPED, SIDECAR, with_users
from tests.redis_server import QUIET, RedisServer, client_of, redis_program
from tests.sources.queues.layouts import LAYOUTS, NOW, SEP, Layout, bullmq_waits

OpenReader = Callable[..., QueueReader]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all of these tests, with the users that are shipped."""
    folder = tmp_path_factory.mktemp("queues")
    server = RedisServer(redis_program(), folder, *with_users(QUIET, folder)).start()
    yield server
    server.stop()


@pytest.fixture
def client(server: RedisServer) -> Iterator[Any]:
    client = client_of(server.port)
    client.flushall()
    client.config_resetstat()
    yield client
    client.close()


@pytest.fixture
async def reader_of(server: RedisServer) -> AsyncIterator[OpenReader]:
    """Make readers; they end with the test."""
    readers: list[QueueReader] = []

    def make(*queues: QueueConfig, servers: Servers | None = None) -> QueueReader:
        readers.append(QueueReader(servers or Servers(parse(server.url)), queues))
        return readers[-1]

    yield make
    for reader in readers:
        await reader.close()


def config(system: Any, name: str = "q", **settings: Any) -> QueueConfig:
    queue = QUEUES.get(system, "q")
    return QueueConfig(**{"system": system, "name": name, "queue": queue, **SETTINGS[system], **settings})


def problem(answer: QueueAnswer) -> str:
    assert answer.reading is None
    return str(answer.problem)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
async def test_a_queue_is_read_as_its_system_lays_it_out(layout: Layout, client: Any, reader_of: OpenReader) -> None:
    layout.write(client)
    reader = reader_of(layout.queue)
    await reader.read(NOW)
    answer = (await reader.read(NOW))["q"]  # the first read may learn where to look
    assert answer.problem is None
    assert answer.reading is not None
    assert asdict(answer.reading) == pytest.approx(asdict(layout.expected), abs=0.001)


def test_every_system_has_a_layout_and_settings() -> None:
    systems = {layout.config["system"] for layout in LAYOUTS}
    assert systems == set(SYSTEMS) == set(SETTINGS)


@pytest.mark.parametrize("system", [system for system in SYSTEMS if system not in ("stream_group", "taskiq_stream")])
async def test_an_empty_queue_has_no_jobs_or_is_not_there(system: str, client: Any, reader_of: OpenReader) -> None:
    answer = (await reader_of(config(system)).read(NOW))["q"]
    if system in ("bull", "bullmq", "rq", "sidekiq", "asynq"):
        assert "check `queue`" in problem(answer)
    else:
        assert answer.reading is not None
        assert (answer.reading.waiting, answer.reading.oldest_waiting_s) == (0, None)
        assert ("no _kombu.binding.q" in answer.note) == (system == "celery")


async def test_problems_of_one_queue_are_its_own(client: Any, reader_of: OpenReader) -> None:
    bullmq_waits(client)
    client.set("text", "x")
    client.xadd("stream", {"e": "x"})
    client.xadd("old", {"e": "x"})
    client.xgroup_create("old", "workers", "0")
    client.hset("bull:pro:meta", mapping={"opts.maxLenEvents": 1, "version": "bullmq:7.0.0"})
    bull = replace(config("bull", "bull"), queue="b")
    client.set("bull:b:id", 9)
    found = await reader_of(
        config("bullmq", "good"),
        config("list", "text", queue="text"),
        config("bull", "no bull"),
        config("bullmq", "no bullmq", queue="b"),
        bull,
        config("stream_group", "no stream", queue="none", group="workers"),
        config("stream_group", "no group", queue="stream", group="workers"),
        config("huey", "huey", queue="text"),
        config("bullmq", "next", queue="pro"),
    ).read(NOW)
    assert found["good"].reading == replace(LAYOUTS[0].expected, at=NOW)
    assert found["bull"].reading is not None
    assert problem(found["text"]) == "LLEN text: the key is of another type: is `system` right, and `queue`?"
    assert problem(found["no bull"]) == "bull:q:meta is that of a queue of BullMQ: `system: bullmq`"
    assert "is this a queue of Bull? `system: bull`" in problem(found["no bullmq"])
    assert problem(found["no stream"]) == "there is no none: check `queue`"
    assert problem(found["no group"]) == "the stream stream has no group workers: check `group`"
    assert found["huey"].reading is not None, "huey.redis.text is another key"
    lacking = await reader_of(config("bullmq", job_per_order=True)).read(NOW)
    assert lacking["q"].note == "its workers count no finished jobs: give them the option `metrics`"
    assert found["next"].note == "bullmq:7.0.0 may lie differently in Redis"


async def test_jobs_that_cannot_be_understood_have_no_age(client: Any, reader_of: OpenReader) -> None:
    client.sadd("queues", "q")
    client.lpush("queue:q", "[1]")
    client.lpush("laravel-queues:q", b"\xff{")
    client.sadd("rq:queues", "rq:queue:q")
    client.rpush("rq:queue:q", "gone")
    queues = config("sidekiq", "s"), config("laravel", "l", prefix="laravel-"), config("rq", "r")
    found = await reader_of(*queues).read(NOW)
    readings = [answer.reading for answer in found.values()]
    assert [(reading.waiting, reading.oldest_waiting_s) for reading in readings if reading] == [(1, None)] * 3


async def test_queues_are_listed_where_their_system_lists_them(client: Any, reader_of: OpenReader) -> None:
    client.sadd("rq:queues", "rq:queue:high", "rq:queue:low")
    client.rpush("rq:queue:high", "j")
    client.sadd("asynq:queues", "mail")
    client.sadd("_kombu.binding.celery", f"celery{SEP}{SEP}celery", f"a.#{SEP}^a.*$" + f"{SEP}topics")
    reader = reader_of(*(config(system, "", queue="*") for system in LISTINGS))
    found = await reader.read(NOW)
    assert found.pop("sidekiq:*").note == "queues lists no queue yet"
    assert {name for name, answer in found.items() if answer.reading} == {"high", "low", "mail", "celery", "topics"}
    client.sadd("queues", "default")
    assert "default" not in await reader.read(NOW + LIST_SECONDS - 1)
    assert "default" in await reader.read(NOW + LIST_SECONDS)


async def test_as_many_queues_are_listed_as_there_is_room_for(client: Any, reader_of: OpenReader) -> None:
    client.sadd("queues", *range(Rules().max_queues))
    reader = reader_of(config("sidekiq", "", queue="*"), config("list", "own"))
    for now in (NOW, NOW + 1):
        found = await reader.read(now)
        assert "room for 99: name those that matter" in problem(found.pop("sidekiq:*"))
        assert len(found) == Rules().max_queues


async def test_a_name_that_is_too_long_is_not_read(client: Any, reader_of: OpenReader) -> None:
    client.sadd("queues", "default", "x" * 129)
    client.rpush("queue:default", "{}")
    found = await reader_of(config("sidekiq", "", queue="*")).read(NOW)
    assert "1 names have more than 128 bytes" in problem(found.pop("sidekiq:*"))
    assert found.keys() == {"default"}


async def test_a_redis_that_went_away_is_read_again_when_it_is_back(tmp_path: Path, reader_of: OpenReader) -> None:
    server = RedisServer(redis_program(), tmp_path).start()
    reader = reader_of(config("list"), config("rq", "", queue="*"), servers=Servers(parse(server.url)))
    assert (await reader.read(NOW))["q"].reading is not None
    server.stop()
    found = await reader.read(NOW)
    assert "Redis" in problem(found["q"])
    assert "Redis" in problem(found["rq:*"])
    server.start()
    try:
        assert (await reader.read(NOW))["q"].reading is not None
    finally:
        server.stop()


class Together(Servers):
    """A Cluster as far as keys are concerned; every node is the same server, which takes any key."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(parse(f"redis+cluster://127.0.0.1:{server.port}"))
        self.opened: list[str] = []
        self._server = server

    async def open(self, key: str = "") -> Link:
        self.opened.append(key)
        return await Link.open(parse(self._server.url))


async def test_on_a_cluster_keys_of_several_slots_are_read_one_by_one(
    server: RedisServer, client: Any, reader_of: OpenReader
) -> None:
    bullmq_waits(client)
    client.rpush("{q}", "x")
    servers = Together(server)
    reader = reader_of(config("bullmq", "apart"), config("list", "own", queue="{q}"), servers=servers)
    found = await reader.read(NOW)
    assert found["apart"].reading == replace(LAYOUTS[0].expected, at=NOW)
    assert (found["apart"].note, found["own"].note) == (APART, "")
    assert len(servers.opened) > 3
    opened = len(servers.opened)
    for read in (1, 2):
        await reader.read(NOW)
        assert len(servers.opened) == opened + read, "each slot keeps its connection, but for that of a job"


def rights(system: str) -> list[str]:
    """Return the selectors that the shipped ACL names for the queues of a system, here called q."""
    found = re.findall(rf"^#  [^(\n]*\b{system}\b[^(\n]*(\(.*\))$", SHIPPED.read_text(), flags=re.MULTILINE)
    assert found, f"{SHIPPED} says nothing about {system}"
    return [selector.replace("orders", "q") for selector in found]


@pytest.mark.needs_redis(7)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
async def test_the_rights_that_the_shipped_acl_names_are_enough(
    layout: Layout, server: RedisServer, client: Any, reader_of: OpenReader
) -> None:
    queue = replace(layout.queue, prefix=layout.queue.prefix.replace("app:", ""), separator=SEP)
    layout.write(client)
    client.acl_log_reset()
    as_user = Servers(parse(f"redis://{SIDECAR}:{PASSWORD}@127.0.0.1:{server.port}"))
    shipped = re.search(rf"^user {SIDECAR} off .*(\(.*\))$", SHIPPED.read_text(), flags=re.MULTILINE)
    assert shipped
    refused = await reader_of(queue, config("list", "own", queue="flash_sale:q"), servers=as_user).read(NOW)
    assert "config/redis-acl.conf" in problem(refused["q"])
    assert "config/redis-acl.conf" in problem(refused["own"])
    client.acl_log_reset()
    client.execute_command("ACL", "SETUSER", SIDECAR, *rights(queue.system))
    try:
        reader = reader_of(queue, servers=as_user)
        for _ in range(2):
            assert (await reader.read(NOW))["q"].reading is not None
        assert client.acl_log() == []
    finally:
        client.execute_command("ACL", "SETUSER", SIDECAR, "clearselectors", shipped[1])


async def test_a_read_writes_nothing_and_takes_constant_time(client: Any, reader_of: OpenReader) -> None:
    used: set[str] = set()
    for layout in LAYOUTS:
        client.flushall()
        layout.write(client)
        client.config_resetstat()
        await reader_of(layout.queue).read(NOW)
        used |= {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    used -= {"config|resetstat", "client|setname", "exec", "multi", "info"}
    read_only = {name for name, facts in client.command().items() if "readonly" in facts["flags"]} | {"xinfo|groups"}
    assert not used - read_only
    assert not used & {"scan", "keys", "lrange", "hgetall", "lpos"}
