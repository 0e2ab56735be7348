"""Daemons that end with their test, and Redis servers where they have no more rights than they need."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import StartRedis
from tests.e2e.daemon import Daemon
from tests.redis_acl import PASSWORD, SELECTORS, SIDECAR, with_users
from tests.redis_server import RedisServer, redis_program, redis_version

MakeDaemon = Callable[..., Daemon]


@pytest.fixture
def start_redis(start_redis: StartRedis, tmp_path: Path) -> Iterator[StartRedis]:
    """Start servers whose `url` is that of the shipped user; at the end none of them has refused it anything.

    Redis 6.2 has no selectors: there it is the default user, who may do everything.
    """
    servers: list[RedisServer] = []

    def start(*options: str, program: str | None = None) -> RedisServer:
        if redis_version(program or redis_program()) < SELECTORS:
            return start_redis(*options, program=program)
        server = start_redis(*with_users(options, tmp_path), program=program)
        server.login = f"{SIDECAR}:{PASSWORD}@"
        servers.append(server)
        return server

    yield start
    for server in servers:
        assert refused(server) == "", "the shipped ACL is too narrow"


def refused(server: RedisServer) -> str:
    """Return what the server's ACL LOG holds; nothing if it does not run, or does not tell without a password."""
    try:
        answer = server.ask("ACL LOG")
    except OSError:
        return ""
    return "" if answer.startswith(("*0\r\n", "-NOAUTH")) else answer


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[MakeDaemon]:
    """Prepare daemons: `make_daemon(redis.url, settings="lease: 2s")`; the caller starts them."""
    daemons: list[Daemon] = []

    def make(redis_url: str, *, settings: str = "") -> Daemon:
        daemons.append(Daemon(tmp_path, redis_url, settings=settings, name=f"daemon-{len(daemons)}"))
        return daemons[-1]

    yield make
    for daemon in daemons:
        daemon.end()
