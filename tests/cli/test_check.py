"""`sidecar check` finds the traps of the first five minutes on a real Redis."""

import asyncio
import re
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import invoke
from tests.cli.conftest import Listen
from tests.conftest import StartRedis
from tests.fake_redis import FakeRedis
from tests.redis_server import RedisServer, redis_program

HEARTBEAT = "heartbeat"
GOOD = """'{"status":"success"}'"""


def lines(server: RedisServer, level: str, *flags: str, **environment: str) -> list[str]:
    """Return what a check says at one level."""
    result = invoke("check", *flags, **{"SIDECAR_REDIS_URL": server.url, **environment})
    assert result.exit_code == (1 if "\nproblem" in result.stdout else 0)
    return [line.removeprefix(level).strip() for line in result.stdout.splitlines() if line.startswith(level)]


def commands_seen(server: RedisServer, action: Callable[[], object]) -> str:
    """Return what Redis received in the meantime, in the form of MONITOR."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as monitor:
        monitor.sendall(b"MONITOR\r\n")
        assert monitor.recv(100) == b"+OK\r\n"
        action()
        server.ask("ECHO enough")
        seen = b""
        while b"enough" not in seen:
            seen += monitor.recv(65536)
    return seen.decode()


def test_an_empty_redis_is_fine_but_nobody_counts_yet(redis_server: RedisServer) -> None:
    assert lines(redis_server, "problem") == []
    warnings = lines(redis_server, "warning")
    assert any("no sidecar runs" in line for line in warnings)
    assert any("nobody listens" in line for line in warnings)


def test_a_heartbeat_goes_through_each_source_and_is_timed(redis_server: RedisServer) -> None:
    redis_server.ask(f"XADD flash_sale:events * e {GOOD}")
    found = [line for line in lines(redis_server, "ok") if HEARTBEAT in line]
    assert [line.split(":")[0] for line in found] == ["channel flash_sale", "stream flash_sale"]
    assert all(line.endswith(("µs", "ms")) for line in found)
    assert '"producer": "sidecar-check"' in redis_server.ask("XRANGE flash_sale:events - +")


def test_events_are_looked_for_in_the_redis_that_they_come_through(start_redis: StartRedis) -> None:
    metrics, events = start_redis(), start_redis()
    events.ask(f"XADD flash_sale:events * e {GOOD}")
    found = lines(metrics, "ok", SIDECAR_SOURCES_REDIS_URL=events.url)
    assert any(line == f"events come through {events.url}" for line in found)
    assert len([line for line in found if HEARTBEAT in line]) == 2
    assert HEARTBEAT in events.ask("XRANGE flash_sale:events - +")
    assert "flash_sale:events" not in metrics.ask("KEYS *")


def test_a_check_creates_no_stream(redis_server: RedisServer) -> None:
    assert any("does not exist yet" in line for line in lines(redis_server, "ok"))
    assert redis_server.ask("EXISTS flash_sale:events") == ":0\r\n"


def test_a_check_trims_nothing_and_lists_no_keys(redis_server: RedisServer) -> None:
    redis_server.ask("CONFIG SET stream-node-max-entries 10", *[f"XADD flash_sale:events * e {GOOD}"] * 100)
    seen = commands_seen(redis_server, lambda: lines(redis_server, "ok"))
    assert redis_server.ask("XLEN flash_sale:events") == ":101\r\n"
    assert '"XADD"' in seen
    assert not re.search(r'"(MAXLEN|MINID|XTRIM|XDEL|KEYS|SCAN)"', seen, re.IGNORECASE)


def test_a_stream_with_consumer_groups_gets_a_heartbeat_only_on_request(redis_server: RedisServer) -> None:
    redis_server.ask(f"XADD flash_sale:events * e {GOOD}", "XGROUP CREATE flash_sale:events shop $")
    assert any("1 consumer group reads it: no heartbeat sent" in line for line in lines(redis_server, "ok"))
    assert redis_server.ask("XLEN flash_sale:events") == ":1\r\n"
    assert any("heartbeat read back" in line for line in lines(redis_server, "ok", "--heartbeat"))
    assert redis_server.ask("XLEN flash_sale:events") == ":2\r\n"


def test_a_user_that_cannot_see_the_consumer_groups_sends_no_heartbeat(redis_server: RedisServer) -> None:
    """The sidecar could not read the stream either: it needs to know what was trimmed."""
    redis_server.ask(f"XADD flash_sale:events * e {GOOD}")
    redis_server.ask("ACL SETUSER writer on >pw ~* &* +@all -xinfo")
    url = redis_server.url.replace("://", "://writer:pw@")
    assert any("'xinfo" in line for line in lines(redis_server, "problem", SIDECAR_REDIS_URL=url))
    assert redis_server.ask("XLEN flash_sale:events") == ":1\r\n"


@pytest.mark.parametrize("name", ["flash_sale:events", "flash-sale:events", "orders"])
def test_a_stream_in_another_database_is_a_warning_once_the_configured_one_has_events(
    name: str, redis_server: RedisServer
) -> None:
    redis_server.ask(f"XADD flash_sale:events * e {GOOD}", "SELECT 1", f"XADD {name} * e {GOOD}")
    assert lines(redis_server, "problem") == []
    text = f"there is also a stream {name} in database 1, but flash_sale:events is configured in database 0"
    assert text in lines(redis_server, "warning")


@pytest.mark.parametrize("name", ["flash-sale:events", "flash_sale:event", "flashsale:events", "events", "orders"])
def test_a_near_miss_is_a_warning_once_the_configured_stream_has_events(name: str, redis_server: RedisServer) -> None:
    redis_server.ask(f"XADD flash_sale:events * e {GOOD}", f"XADD {name} * e {GOOD}")
    text = f"there is also a stream {name}, but flash_sale:events is configured"
    assert text in lines(redis_server, "warning")
    both = lines(redis_server, "warning", SIDECAR_SOURCES_STREAMS=f"flash_sale:events,{name}")
    assert not any("there is also" in line for line in both)


@pytest.mark.parametrize("name", ["flash-sale:events", "orders"])
def test_messages_on_a_similar_channel_are_a_warning(name: str, redis_server: RedisServer, listen: Listen) -> None:
    listen(1.0)
    over = threading.Event()

    def publish() -> None:
        while not over.wait(0.05):
            redis_server.ask(f"PUBLISH {name} {GOOD}")

    backend = threading.Thread(target=publish)
    backend.start()
    try:
        both = lines(redis_server, "warning", SIDECAR_SOURCES_PUBSUB=f"flash_sale:events,{name}")
        warnings = lines(redis_server, "warning")
    finally:
        over.set()
        backend.join()
    text = rf"\d+ messages? on channel {name} within 1 s, but flash_sale:events is configured"
    assert any(re.fullmatch(text, line) for line in warnings)
    assert not any("on channel" in line for line in both)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("""'{"type":"page_view"}'""", "events are ignored, most as type page_view"),
        ("""status=success""", "events are rejected"),
    ],
)
def test_a_channel_whose_messages_are_not_understood_is_reported(
    event: str, said: str, redis_server: RedisServer, listen: Listen
) -> None:
    listen(1.0)
    over = threading.Event()

    def publish() -> None:
        while not over.wait(0.05):
            redis_server.ask(f"PUBLISH flash_sale:events {event}")

    backend = threading.Thread(target=publish)
    backend.start()
    try:
        result = invoke("check", SIDECAR_REDIS_URL=redis_server.url)
    finally:
        over.set()
        backend.join()
    assert re.search(rf"(problem|warning) +channel flash_sale:events: .*{said}", result.stdout)


def test_a_default_user_without_a_password_is_a_warning(redis_server: RedisServer) -> None:
    assert not any("lets in" in line for line in lines(redis_server, "warning"))
    redis_server.ask("ACL SETUSER sidecar on >pw ~* &* +@all")
    url = redis_server.url.replace("://", "://sidecar:pw@")
    said = lines(redis_server, "warning", SIDECAR_REDIS_URL=url)
    assert any("is open without a password" in line for line in said)
    redis_server.ask("ACL SETUSER default >secret")
    said = lines(redis_server, "warning", SIDECAR_REDIS_URL=url)
    assert not any("lets in" in line for line in said)


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False), (0o600, False)])
def test_secrets_that_every_user_can_read_are_a_warning(mode: int, warned: bool, tmp_path: Path) -> None:
    token, file = tmp_path / "token", tmp_path / "sidecar.yml"
    token.write_text("s3cret")
    file.write_text(f"http: {{read_token_file: {token}, admin_token: other}}\n")
    for one in (token, file):
        one.chmod(mode)
    result = invoke("check", "--offline", "--config", str(file))
    assert result.exit_code == 0
    assert (f"http.read_token_file: every user of this machine can read {token}" in result.stdout) is warned
    assert (f"every user of this machine can read {file}, which holds http.admin_token" in result.stdout) is warned
    assert "s3cret" not in result.stdout


def test_a_pattern_is_tried_on_a_channel_that_it_covers(redis_server: RedisServer) -> None:
    found = lines(redis_server, "ok", SIDECAR_SOURCES_PUBSUB="shop:*")
    assert any("channel shop:sidecar-check: heartbeat seen" in line for line in found)


def test_a_second_check_finds_the_same_as_the_first(redis_server: RedisServer) -> None:
    redis_server.ask("XADD flash-sale:events * e {}")
    first = lines(redis_server, "problem")
    assert first == lines(redis_server, "problem") != []


@pytest.mark.parametrize(
    "name",
    ["flash-sale:events", "flash_sale.events", "flash_sale_events", r"\xac\xed\x00\x05t\x00\x11flash_sale:events"],
)
def test_a_stream_of_a_similar_name_is_found(name: str, redis_server: RedisServer) -> None:
    redis_server.ask(f'XADD "{name}" * e {{}}')
    assert f"there is a stream {name}, but flash_sale:events is configured" in lines(redis_server, "problem")


def test_a_stream_in_another_database_is_found(redis_server: RedisServer) -> None:
    redis_server.ask("SELECT 5", "XADD flash_sale:events * e {}")
    assert any("in database 5, but" in line for line in lines(redis_server, "problem"))


def test_queues_are_read_once(redis_server: RedisServer, tmp_path: Path) -> None:
    (tmp_path / "sidecar.yml").write_text(
        "sources: {pubsub: []}\n"
        "queues: [{system: list, queue: jobs}, {system: rq, queue: mail}, {system: sorted_set, name: odd, queue: jobs}]"
    )
    redis_server.ask("RPUSH jobs a b")
    flags = ("--config", str(tmp_path / "sidecar.yml"))
    assert "queue jobs: 2 waiting" in lines(redis_server, "ok", *flags)
    assert "queue mail: rq:queues has no rq:queue:mail: check `queue`" in lines(redis_server, "warning", *flags)
    assert any(line.startswith("queue odd: ZCARD jobs") for line in lines(redis_server, "problem", *flags))


def test_a_key_that_is_no_stream_is_found(redis_server: RedisServer) -> None:
    redis_server.ask("RPUSH flash_sale:events x")
    assert any("holds a list, not a stream" in line for line in lines(redis_server, "problem"))


def test_a_missing_field_e_is_found(redis_server: RedisServer) -> None:
    redis_server.ask("XADD flash_sale:events * data {}")
    assert any("no field e in" in line for line in lines(redis_server, "warning"))


def test_refused_events_and_unknown_fields_are_found(redis_server: RedisServer) -> None:
    redis_server.ask(
        """XADD flash_sale:events * e '{"status":"ok","prodct_id":"x"}'""",
        """XADD flash_sale:events * e '{"status":"maybe"}'""",
        """XADD flash_sale:events * e '{"status":"ok"}'""",
    )
    warnings = lines(redis_server, "warning")
    assert any("1 of the newest 3 events are rejected (1 unknown_status)" in line for line in warnings)
    assert any("prodct_id" in line for line in warnings)


def test_a_listener_on_a_similar_channel_is_found(redis_server: RedisServer) -> None:
    with socket.create_connection(("127.0.0.1", redis_server.port), timeout=5) as other:
        other.sendall(b"SUBSCRIBE flash-sale:events\r\n")
        assert b":1\r\n" in other.recv(1000)
        assert any("somebody listens on flash-sale:events" in line for line in lines(redis_server, "warning"))


def test_a_listener_on_the_channel_is_fine(redis_server: RedisServer) -> None:
    with socket.create_connection(("127.0.0.1", redis_server.port), timeout=5) as sidecar:
        sidecar.sendall(b"SUBSCRIBE flash_sale:events\r\n")
        assert b":1\r\n" in sidecar.recv(1000)
        assert any("1 listening" in line for line in lines(redis_server, "ok"))


def test_an_eviction_policy_that_may_evict_the_state_is_warned_about(start_redis: StartRedis) -> None:
    server = start_redis("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru", "--save", "")
    assert any("allkeys-lru" in line for line in lines(server, "warning"))


def test_a_replica_is_a_problem(redis_server: RedisServer, start_redis: StartRedis) -> None:
    replica = start_redis("--replicaof", "127.0.0.1", str(redis_server.port), "--save", "")
    assert any("replica" in line for line in lines(replica, "problem"))


def test_a_wrong_password_is_a_problem_and_is_not_shown(start_redis: StartRedis) -> None:
    server = start_redis("--save", "")
    server.ask("CONFIG SET requirepass right")
    for url in (server.url, server.url.replace("://", "://:wrong@")):
        result = invoke("check", "--redis-url", url)
        assert result.exit_code == 1
        assert "problem" in result.stdout
        assert "wrong@" not in result.output
    assert invoke("check", "--redis-url", server.url.replace("://", "://:right@")).exit_code == 0


def test_nothing_at_the_address_is_a_problem() -> None:
    result = invoke("check", "--redis-url", "redis://127.0.0.1:1/0")
    assert result.exit_code == 1
    assert "does not answer" in result.stdout


def test_what_the_user_may_not_do_is_said_and_the_rest_is_still_looked_at(redis_server: RedisServer) -> None:
    redis_server.ask("ACL SETUSER reader on >pw ~* &* +@all -publish -xadd")
    result = invoke("check", "--redis-url", redis_server.url.replace("://", "://reader:pw@"))
    assert "may listen, not publish: no heartbeat sent" in result.stdout
    assert "may read, not write: no heartbeat sent" in result.stdout
    assert result.exit_code == 0


def test_a_user_without_rights_gets_a_problem_for_each_part(redis_server: RedisServer) -> None:
    redis_server.ask("ACL SETUSER nobody on >pw +@connection")
    result = invoke("check", "--redis-url", redis_server.url.replace("://", "://nobody:pw@"))
    assert result.exit_code == 1
    assert [line.split()[1] for line in result.stdout.splitlines() if line.startswith("problem")] == [
        "INFO:",
        "prefix",
        "channel",
        "stream",
    ]


def test_offline_needs_no_redis() -> None:
    result = invoke("check", "--offline", "--redis-url", "redis://127.0.0.1:1/0")
    assert result.exit_code == 0
    assert result.stdout.startswith("ok ")
    assert result.stdout.count("\n") == 1


def test_an_influxdb_that_does_not_answer_is_a_problem(redis_server: RedisServer) -> None:
    nowhere = "http://127.0.0.1:1"
    problems = lines(redis_server, "problem", SIDECAR_INFLUX_URL=nowhere, SIDECAR_INFLUX_DATABASE="sale")
    assert len(problems) == 1
    assert f"InfluxDB at {nowhere}: Cannot connect" in problems[0]


async def test_a_server_without_a_role_or_client_names_is_accepted() -> None:
    """Managed servers and proxies are like this; their limits show when commands are tried."""
    info = b"redis_version:7.4.0\r\ndragonfly_version:df-v1.27.1\r\nmaster_replid:a\r\n"
    unknown = ValueError("ERR unknown command 'CLIENT'")
    async with FakeRedis(CLIENT=unknown, PING="PONG", INFO=info, EXISTS=0, EVAL=[], EVALSHA=[]) as server:
        found = await asyncio.to_thread(invoke, "check", "--redis-url", f"redis://127.0.0.1:{server.port}/0")
    assert "Dragonfly 1.27.1\n" in found.stdout
    assert "`sidecar run` would fail with MGET: unknown command" in found.stdout


def test_the_server_is_named_by_its_own_name(redis_server: RedisServer) -> None:
    said = " ".join(lines(redis_server, "ok"))
    program = subprocess.run([redis_program(), "--version"], capture_output=True, text=True, check=True).stdout
    name, version = re.match(r"(\w+) server v=([\d.]+)", program).groups()  # type: ignore[union-attr]
    assert f"{name} {version}, master" in said
