"""`sidecar check` tries everything that `sidecar run` does, and leaves nothing behind."""

import re
from importlib import resources

import pytest
import redis

from tests.cli.commands import invoke
from tests.redis_server import RedisServer

# Everything that config/redis-acl.conf grants, minus the right that is removed.
# One line a kind: keys and channels, connections, what readers ask, scripts, sources, `check` itself, what is written.
RIGHTS = " ".join(
    (
        "~* &* +ping +info +select +client|setname",
        "+get +mget +ttl +hget +hmget +hgetall +hkeys +hexists +exists +lrange +zrangebyscore",
        "+eval +evalsha",
        "+subscribe +psubscribe +xread +xinfo|stream +multi +exec",
        "+type +xlen +xrange +xrevrange",
        "+set +del +unlink +expire +hset +hsetnx +hincrby +hdel +lpush +ltrim +rename +zadd +zremrangebyscore",
    )
).split()
# What only `check` looks at, or what a connection does not need.
SPARED = ("~*", "&*", "+ping", "+select", "+client|setname", "+type", "+xlen", "+xrange", "+xrevrange", "+psubscribe")


def check(server: RedisServer, *rights: str, **environment: str) -> tuple[int, str]:
    """Check as a user with these rights; return the exit status and what was said."""
    with redis.Redis(port=server.port) as client:
        client.execute_command("ACL", "SETUSER", "user", "reset", "on", ">pw", *rights)
    url = server.url.replace("://", "://user:pw@")
    result = invoke("check", SIDECAR_REDIS_URL=url, SIDECAR_FLEET="shops", **environment)
    return result.exit_code, result.stdout


def test_the_shipped_rights_suffice_and_the_check_leaves_nothing_behind(
    redis_server: RedisServer, client: "redis.Redis"
) -> None:
    code, said = check(redis_server, *RIGHTS)
    assert "every command that `sidecar run` needs exists and is allowed" in said
    assert code == 0
    assert client.keys() == []


@pytest.mark.parametrize("right", ["+ping", "+client|setname", "+select", "+psubscribe"])
def test_a_missing_optional_right_is_not_a_problem(redis_server: RedisServer, right: str) -> None:
    code, said = check(redis_server, *(other for other in RIGHTS if other != right))
    assert (code, "problem" in said) == (0, False)


@pytest.mark.parametrize("right", [right for right in RIGHTS if right not in SPARED])
def test_each_missing_right_is_a_problem_that_names_it(redis_server: RedisServer, right: str) -> None:
    code, said = check(redis_server, *(other for other in RIGHTS if other != right))
    problems = [line for line in said.splitlines() if line.startswith("problem")]
    assert code == 1
    assert any(right.strip("+").partition("|")[0] in line.lower() for line in problems)


def test_keys_that_a_user_may_not_touch_are_a_problem(redis_server: RedisServer) -> None:
    code, said = check(redis_server, *RIGHTS[1:], "~flash_sale:*")
    assert (code, "problem  prefix flash_sale_metrics:" in said) == (1, True)


def test_every_command_of_a_script_is_tried() -> None:
    scripts = [file for file in resources.files("sidecar.store").iterdir() if file.name.endswith(".lua")]
    used = {command for file in scripts for command in re.findall(r"redis\.p?call\('(\w+)'", file.read_text())}
    probe = next(file.read_text() for file in scripts if file.name == "probe.lua")
    assert len(used) > 15
    assert used - set(re.findall(r"try\('(\w+)'", probe)) == set()
