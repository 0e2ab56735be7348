"""Fixtures for every test: real servers, started on demand and always stopped."""

import gc
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings

from tests import guarantees, seeds
from tests.cluster import Cluster
from tests.programs import PROMTOOLS, missing, needs, promtool_name
from tests.proxy import Proxy
from tests.redis_server import RedisServer, redis_program, redis_version

# How long an example takes says nothing on a busy machine. A failure prints what replays it.
settings.register_profile("sidecar", deadline=None, print_blob=True, max_examples=20)
settings.register_profile("campaign", settings.get_profile("sidecar"), max_examples=100)
settings.load_profile("sidecar")

# What is collected lives to the end: the garbage collector need not walk it again and again.
gc.disable()

# Shells start what is in the background with SIGINT ignored, and commands that the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

StartRedis = Callable[..., RedisServer]
MakeProxy = Callable[[RedisServer], Proxy]
Guarantee = Callable[[str, str], None]


def pytest_collection_finish() -> None:
    """From here on, collect what tests leave."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of a random test; where it fails, pytest shows how to run it again."""
    chosen = seeds.fresh_seed()
    print(f"seed {chosen}; again: {seeds.VARIABLE}={chosen} pytest {request.node.nodeid!r}")
    return chosen


@pytest.fixture
def guarantee(record_property: Callable[[str, object], None]) -> Guarantee:
    """Tell what a test measured of a guarantee: `guarantee("G1", "100 kills, difference 0")`."""
    return lambda name, figure: record_property(guarantees.PROPERTY, (name, figure))


@pytest.fixture(params=PROMTOOLS, ids=promtool_name)
def promtool(request: pytest.FixtureRequest) -> str:
    """The path of each promtool: rules and queries must hold with Prometheus 2 and 3."""
    return needs(request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of the guarantees."""
    found = guarantees.lines(report for reports in terminalreporter.stats.values() for report in reports)
    if found:
        terminalreporter.section("guarantees")
        for line in found:
            terminalreporter.write_line(str(line))
        guarantees.keep(found)


@pytest.fixture(autouse=True)
def _needed_programs(request: pytest.FixtureRequest) -> None:
    """Honour `@pytest.mark.needs("prometheus")` and `@pytest.mark.needs_redis(7)`."""
    for marker in request.node.iter_markers("needs"):
        for program in marker.args:
            needs(program)
    for marker in request.node.iter_markers("needs_redis"):
        if redis_version(redis_program()) < marker.args[0]:
            missing(f"Redis {marker.args[0]} or newer is not installed")


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[StartRedis]:
    """Start private servers: `start_redis("--maxmemory", "5mb")`; they end with the test."""
    servers: list[RedisServer] = []

    def start(*options: str, program: str | None = None) -> RedisServer:
        servers.append(RedisServer(program or redis_program(), tmp_path / f"redis-{len(servers)}", *options))
        return servers[-1].start()

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Cluster, shared: a test may move slots, and leaves every node alive."""
    with Cluster(tmp_path_factory.mktemp("cluster"), timeout_ms=10_000) as shared:
        yield shared


@pytest.fixture
def redis_server(start_redis: StartRedis) -> RedisServer:
    """An empty Redis of this test alone."""
    return start_redis()


@pytest.fixture
def make_proxy() -> Iterator[MakeProxy]:
    """Start proxies before a server, which end with the test."""
    proxies: list[Proxy] = []

    def make(server: RedisServer) -> Proxy:
        proxies.append(Proxy(server.port).start())
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.stop()


@pytest.fixture
def proxy(redis_server: RedisServer, make_proxy: MakeProxy) -> Proxy:
    """A proxy before that Redis."""
    return make_proxy(redis_server)


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of that Redis."""
    with redis.Redis(port=redis_server.port) as connected:
        yield connected
