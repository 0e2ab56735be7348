"""Fixtures for every test: real servers, started on demand and always stopped."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from sidecar.errors import ConfigError
from tests.programs import missing, needs
from tests.redis_server import RedisServer

StartRedis = Callable[..., RedisServer]


@pytest.fixture(autouse=True)
def _needed_programs(request: pytest.FixtureRequest) -> None:
    """Honour `@pytest.mark.needs("prometheus")`."""
    for marker in request.node.iter_markers("needs"):
        for program in marker.args:
            needs(program)


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[StartRedis]:
    """Start private servers: `start_redis("--maxmemory", "5mb")`; they end with the test."""
    servers: list[RedisServer] = []

    def start(*options: str, program: str | None = None) -> RedisServer:
        servers.append(RedisServer(program or _server(), tmp_path / f"redis-{len(servers)}", *options))
        return servers[-1].start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def redis_server(start_redis: StartRedis) -> RedisServer:
    """An empty Redis of this test alone."""
    return start_redis()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of that Redis."""
    with redis.Redis(port=redis_server.port) as connected:
        yield connected


def _server() -> str:
    from sidecar.store.embedded import find_server  # tests that need no Redis need not import the store

    try:
        return find_server()
    except ConfigError as exc:
        missing(str(exc))
