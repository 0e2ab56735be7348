"""The users of config/redis-acl.conf: each can do all it has to, and nothing it has not."""

from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError, ResponseError

from tests.cli.commands import execute
from tests.conftest import StartRedis
from tests.e2e.conftest import refused
from tests.e2e.daemon import ROOT, Daemon
from tests.redis_acl import BACKEND, PASSWORD, SELECTORS, SIDECAR, with_users
from tests.redis_server import RedisServer
from tests.waiting import wait_until

pytestmark = pytest.mark.needs_redis(SELECTORS)

SALE = '{"status":"success","product_id":"a"}'


@pytest.fixture
def server(start_redis: StartRedis, tmp_path: Path) -> RedisServer:
    """A Redis with the shipped users."""
    server = start_redis(*with_users((), tmp_path))
    server.login = f"{SIDECAR}:{PASSWORD}@"
    return server


def as_user(server: RedisServer, user: str) -> redis.Redis:
    return redis.Redis(port=server.port, username=user, password=PASSWORD, driver_info=None)


def sidecar(*arguments: str) -> str:
    """Run a command and return what it printed."""
    done = execute(*arguments, seconds=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.campaign
def test_daemon_commands_and_backend_are_refused_nothing(server: RedisServer, tmp_path: Path) -> None:
    settings = "{fleet: shops, http: {admin_token: admin-token}, commit_interval: 100ms}"
    daemon = Daemon(tmp_path, server.url, settings=settings).start()
    try:
        with as_user(server, BACKEND) as backend:
            backend.xadd("flash_sale:events", {"e": SALE}, maxlen=1000, approximate=True)
            backend.publish("flash_sale:events", SALE)
            backend.publish("flash_sale:events", "no event")
        wait_until(lambda: daemon.snapshot()["orders"]["total"] == 2, 10, "the events of both transports")
        for path in ("/monitoring/history", "/monitoring/metrics?scope=fleet", "/monitoring/rejected"):
            assert daemon.ask(path)[0] == 200
        headers = {"Authorization": "Bearer admin-token"}
        assert daemon.ask("/monitoring/metrics/clear", method="POST", headers=headers)[0] == 200
        sidecar("report", "--redis-url", server.url)
        sidecar("rejected", "--redis-url", server.url)
        sidecar("clear", "--yes", "--redis-url", server.url)
    finally:
        assert daemon.stop() == 0
    assert refused(server) == ""


def test_check_says_what_this_user_may_not_and_finds_no_problem(server: RedisServer, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, server.url).start()
    try:
        assert "this user may read, not write: no heartbeat sent" in sidecar("check", "--redis-url", server.url)
    finally:
        daemon.stop()


FORBIDDEN_TO_THE_SIDECAR = [
    "XADD flash_sale:events * e x",
    "XTRIM flash_sale:events MAXLEN 0",
    "DEL flash_sale:events",
    "PUBLISH flash_sale:events x",
    "SUBSCRIBE other",
    "GET other",
    "SET other x",
    "SET flash_sale:events x",
    "EVAL return(redis.call('DEL',KEYS[1])) 1 flash_sale:events",
    "EVAL return(redis.call('SET','other','x')) 0",
    "EVAL return(redis.call('GET',KEYS[1])) 1 other",
    "EVAL return(redis.call('FLUSHALL')) 0",
    "KEYS *",
    "SCAN 0",
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET *",
    "CONFIG SET maxmemory 1",
    "ACL LIST",
    "ACL WHOAMI",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "MONITOR",
    "SCRIPT FLUSH",
    "FUNCTION LIST",
    "SHUTDOWN NOSAVE",
    "REPLICAOF NO ONE",
    "BGSAVE",
    "RESTORE flash_sale_metrics:x 0 abc",
    "MIGRATE 127.0.0.1 1 other 0 1",
]
FORBIDDEN_TO_THE_BACKEND = [
    "GET flash_sale_metrics:order_status:success",
    "SET flash_sale_metrics:order_status:success 1",
    "XREAD STREAMS flash_sale:events 0",
    "DEL flash_sale:events",
    "SUBSCRIBE flash_sale:events",
    "PUBLISH other x",
    "EVAL return(1) 0",
    "INFO",
    "KEYS *",
    "CONFIG GET *",
]


@pytest.mark.parametrize(
    ("user", "commands"), [(SIDECAR, FORBIDDEN_TO_THE_SIDECAR), (BACKEND, FORBIDDEN_TO_THE_BACKEND)]
)
def test_everything_else_is_refused(user: str, commands: list[str], server: RedisServer) -> None:
    with as_user(server, user) as client:
        for command in commands:
            with pytest.raises((NoPermissionError, ResponseError), match="permission|can't (access|run)"):
                client.execute_command(*command.split())


def test_as_shipped_nobody_can_log_in(start_redis: StartRedis, tmp_path: Path) -> None:
    server = start_redis("--save", "", "--include", str(ROOT / "config" / "redis-acl.conf"))
    for user in (SIDECAR, BACKEND):
        with pytest.raises(redis.AuthenticationError):
            as_user(server, user).ping()
