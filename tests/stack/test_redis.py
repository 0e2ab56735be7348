"""monitoring/redis/start.sh: every user gets its password and its rights, and nobody else gets in."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.sentinel
from redis.asyncio import Redis as AsyncRedis
from redis.backoff import NoBackoff
from redis.retry import Retry

from benchmarks import node
from examples.flash_sale_backend.channel import Channel
from examples.flash_sale_backend.settings import Settings
from examples.flash_sale_backend.stockroom import Stockroom
from monitoring.native.layout import PASSWORDS, lay_out
from tests.redis_server import client_of
from tests.stack.alerting import MONITORING
from tests.stack.native import free_ports
from tests.waiting import wait_until

pytestmark = [pytest.mark.needs("redis-cli"), pytest.mark.needs_redis(7)]
# User -> the variable of its password.
USERS = {
    "flash-sale-sidecar": "REDIS_SIDECAR_PASSWORD",
    "flash-sale-backend": "REDIS_PUBLISHER_PASSWORD",
    "example-backend": "REDIS_BACKEND_PASSWORD",
    "admin": "REDIS_ADMIN_PASSWORD",
    "viewer": "REDIS_VIEWER_PASSWORD",
    "exporter": "REDIS_EXPORTER_PASSWORD",
    "replica": "REDIS_REPLICA_PASSWORD",
    "sentinel": "REDIS_SENTINEL_PASSWORD",
}


class Server:
    """A primary, started as compose and the native stack start it."""

    def __init__(self, folder: Path, **changes: str) -> None:
        self.program, _, self.sentinel, *_ = lay_out(folder, free_ports(), MONITORING)
        self.environment = {**os.environ, **self.program.environment, **changes}

    def start(self) -> "Server":
        """Start it and wait until its health check says that it is well."""
        self.process = subprocess.Popen(self.program.command, env=self.environment, stdout=subprocess.DEVNULL)
        wait_until(self.is_well, 20, "the health check")
        return self

    def is_well(self) -> bool:
        """Run the health check."""
        assert self.process.poll() is None
        return subprocess.run(self.program.ready_command, env=self.environment, check=False).returncode == 0

    def client(self, user: str) -> Any:
        """Return a client of a user."""
        return self.at(int(self.environment["NODE_PORT"]), user)

    def at(self, port: int, user: str) -> Any:
        """Return a client of a user at a port: this one, or a Sentinel."""
        password = self.environment[USERS[user]]
        return redis.Redis(port=port, username=user, password=password, retry=Retry(NoBackoff(), 0))

    def is_watched(self, port: int) -> bool:
        """Tell whether a Sentinel sees it well."""
        assert self.process.poll() is None
        with suppress(redis.ConnectionError):
            state = self.at(port, "admin").sentinel_master("sale")
            return bool(state["is_master"] and not state["is_sdown"])
        return False

    def end(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path).start()
    yield server
    server.end()


@pytest.fixture
def sentinel(server: Server) -> Iterator[int]:
    """The port of a Sentinel that watches the primary."""
    environment = {**os.environ, **server.sentinel.environment}
    process = subprocess.Popen(server.sentinel.command, env=environment, stdout=subprocess.DEVNULL)
    port = int(environment["NODE_PORT"])
    wait_until(lambda: server.is_watched(port), 20, "the Sentinel to see the primary")
    yield port
    process.kill()
    process.wait()


def test_every_user_has_a_password_and_no_name_means_no_entry(server: Server) -> None:
    assert sorted(USERS.values()) == sorted(PASSWORDS)
    for user in USERS:
        assert server.client(user).ping()
    with pytest.raises(redis.AuthenticationError):
        client_of(int(server.environment["NODE_PORT"])).ping()
    assert set(server.client("admin").acl_users()) == {*USERS, "default"}


def test_users_may_do_their_work_and_no_more(server: Server) -> None:
    server.client("example-backend").hset("sale:stock", "sku-1", 5)
    server.client("flash-sale-backend").xadd("flash_sale:events", {"e": "{}"})
    assert server.client("viewer").hgetall("sale:stock") == {b"sku-1": b"5"}
    assert server.client("exporter").info("memory")["maxmemory"] == 256 * 2**20
    for user, command in {
        "example-backend": ("SET", "flash_sale_metrics:order_status:success", "1"),
        "flash-sale-backend": ("HGET", "sale:stock", "sku-1"),
        "viewer": ("DEL", "sale:stock"),
        "exporter": ("GET", "sale:stock"),
        "replica": ("GET", "sale:stock"),
        "sentinel": ("GET", "sale:stock"),
        "flash-sale-sidecar": ("DEL", "flash_sale:events"),
    }.items():
        with pytest.raises(redis.exceptions.NoPermissionError):
            server.client(user).execute_command(*command)


async def test_the_example_backend_has_the_rights_it_needs(server: Server) -> None:
    """All that its stockroom and its channel do, as in docker-compose.yml."""
    user, password = "example-backend", server.environment[USERS["example-backend"]]
    url = f"redis://{user}:{password}@127.0.0.1:{server.environment['NODE_PORT']}/0"
    async with AsyncRedis.from_url(url, decode_responses=True) as client:
        stockroom = Stockroom(client)
        await stockroom.open({"sku-1": 5})
        assert await stockroom.reserve("order-1", "sku-1", 2)
        assert await stockroom.take() == "order-1"
        await stockroom.finish("order-1", sold=False)
        assert await stockroom.jobs() == (0, 0)
        assert await stockroom.stock() == {"sku-1": 5}
        for transport in ("stream", "pubsub"):
            await Channel(client, Settings(transport=transport)).send(['{"status":"success"}'])
    refused = [one["object"] for one in server.client("admin").acl_log()]
    assert set(refused) <= {"client|setinfo"}  # redis-py tries to say its name, and does without


def test_a_backend_finds_the_primary_by_the_sentinels(server: Server, sentinel: int) -> None:
    """As redis-py does it: without a user, or with its own one, or with one that it has at the servers only."""
    user, password = "flash-sale-backend", server.environment[USERS["flash-sale-backend"]]
    primary = ("127.0.0.1", int(server.environment["NODE_PORT"]))
    for at_the_sentinel in ({}, {"username": user, "password": password}):
        sentinels: Any = redis.sentinel.Sentinel  # it has no types
        found = sentinels([("127.0.0.1", sentinel)], sentinel_kwargs=at_the_sentinel, username=user, password=password)
        assert found.discover_master("sale") == primary
        assert found.discover_slaves("sale") == []
        assert found.master_for("sale").xadd("flash_sale:events", {"e": "{}"})
    anybody = client_of(sentinel)
    for command in ("SENTINEL FAILOVER sale", "SENTINEL RESET sale", "SENTINEL SET sale quorum 1"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            anybody.execute_command(*command.split())
    for command in ("SHUTDOWN", "ACL LIST", "PUBLISH +switch-master x", "CLIENT KILL TYPE normal", "CLIENT PAUSE 1"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            anybody.execute_command(*command.split())


def test_ioredis_finds_the_primary_by_the_sentinels(server: Server, sentinel: int) -> None:
    if reason := node.prepare():
        pytest.skip(reason)
    options = {
        "sentinels": [{"host": "127.0.0.1", "port": sentinel}],
        "name": "sale",
        "username": "flash-sale-backend",
        "password": server.environment[USERS["flash-sale-backend"]],
        "failoverDetector": True,
    }
    script = f"""
        const client = new (require("ioredis"))({json.dumps(options)});
        client.xadd("flash_sale:events", "*", "e", "{{}}").then((id) => {{ console.log(id); client.disconnect(); }});
    """
    done = subprocess.run(
        ["node", "-e", script],
        env=os.environ | node.environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert "-" in done.stdout
    assert server.client("admin").xlen("flash_sale:events") == 1
    refused = [one["object"] for one in server.at(sentinel, "admin").acl_log()]
    assert set(refused) <= {"client|setinfo"}


def test_what_scripts_wrote_is_there_after_a_restart(server: Server) -> None:
    """Redis loads its file with the rights of `default`: were it off, transactions would be left out."""
    server.client("admin").eval("redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 2)", 2, "a", "b")
    server.end()  # the file is written before the answer, and synced later: it lives without the process
    server.start()
    assert server.client("admin").mget("a", "b") == [b"1", b"2"]


def test_a_user_without_a_password_stays_off(tmp_path: Path) -> None:
    server = Server(tmp_path, REDIS_VIEWER_PASSWORD="").start()
    try:
        assert server.client("admin").acl_getuser("viewer")["enabled"] is False
    finally:
        server.end()


@pytest.mark.parametrize("password", ["of two words", 'with"quote', "back\\slash"])
def test_a_password_that_a_configuration_cannot_hold_is_refused(tmp_path: Path, password: str) -> None:
    server = Server(tmp_path, REDIS_ADMIN_PASSWORD=password)
    done = subprocess.run(server.program.command, env=server.environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "the password of admin has white space, a quote or a backslash" in done.stderr
    assert password not in done.stderr


def test_what_holds_passwords_is_readable_for_their_owner_alone(server: Server) -> None:
    for path in (Path(server.environment["RUNTIME"]) / "users.acl", Path(server.environment["DATA"]) / "redis.conf"):
        assert path.stat().st_mode & 0o077 == 0
        assert server.environment["REDIS_ADMIN_PASSWORD"] not in path.read_text()  # of users, a hash
