"""A server is named by its own name and version, and judged by its role, whatever fields it lacks."""

import pytest

from sidecar.errors import UnavailableError
from sidecar.redis.info import ServerInfo, read_info

# INFO -> the common name of the server. The first five come from real servers.
SAID = {
    "redis_version:7.0.15 redis_mode:standalone executable:/usr/bin/redis-server": "Redis 7.0.15",
    "redis_version:8.10.2 redis_mode:standalone": "Redis 8.10.2",
    "redis_version:7.2.4 server_name:valkey valkey_version:9.1.2 server_mode:standalone": "Valkey 9.1.2",
    "redis_version:7.2.4 server_name:valkey valkey_version:8.1.1": "Valkey 8.1.1",
    "redis_version:6.3.4 redis_mode:standalone": "KeyDB 6.3.4",
    "redis_version:255.255.255 executable:/opt/keydb-server": "KeyDB 255.255.255",
    "redis_version:7.4.0 dragonfly_version:df-v1.27.1 redis_mode:standalone": "Dragonfly 1.27.1",
    "redis_version:4.0.0 kvrocks_version:2.10.1": "Kvrocks 2.10.1",
    "redis_version:7.4.3 garnet_version:1.0.84": "Garnet 1.0.84",
    "redis_version:7.1.0 os:Amazon ElastiCache": "Redis 7.1.0",
    "role:master": "Redis",
    "": "Redis",
}


def info(text: str) -> ServerInfo:
    """Read a line of fields."""
    return read_info(dict(field.split(":", 1) for field in text.split(" ") if ":" in field))


@pytest.mark.parametrize("said", SAID)
def test_a_server_is_named_by_its_own_name_and_version(said: str) -> None:
    assert info(said).display == SAID[said]


@pytest.mark.parametrize(
    ("said", "too_old"),
    [
        ("redis_version:6.0.9", True),
        ("redis_version:6.2.0", False),
        ("redis_version:7.0.15", False),
        ("redis_version:10.0", False),
        ("redis_version:unknown", False),
        ("role:master", False),
        ("redis_version:4.0.0 kvrocks_version:2.10.1", False),
        ("redis_version:7.2.4 valkey_version:8.1.1", False),
        ("redis_version:6.3.4", False),
    ],
)
def test_only_a_redis_before_6_2_is_too_old(said: str, too_old: bool) -> None:
    assert info(said).too_old is too_old


@pytest.mark.parametrize("role", ["slave", "replica"])
def test_a_replica_is_refused_under_either_name(role: str) -> None:
    with pytest.raises(UnavailableError, match="is a replica"):
        info(f"role:{role}").require_primary()


@pytest.mark.parametrize("said", ["role:master", "role:active-replica", "", "redis_version:7.0.15"])
def test_a_server_that_takes_writes_or_reports_no_role_is_accepted(said: str) -> None:
    info(said).require_primary()


@pytest.mark.parametrize("said", ["redis_mode:sentinel", "server_mode:sentinel"])
def test_a_sentinel_in_the_place_of_a_redis_is_refused_with_the_url_it_needs(said: str) -> None:
    with pytest.raises(UnavailableError, match=r"is a Sentinel; .*redis\+sentinel://"):
        info(said).require_primary()
