"""Starting with something wrong, and living without Redis: one clear line, the right exit status, no traceback."""

import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.cli.commands import execute, running
from tests.conftest import StartRedis
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import Daemon
from tests.ports import free_port
from tests.redis_server import QUIET, RedisServer
from tests.waiting import wait_until

CHANNEL = "flash_sale:events"


def run(*arguments: str) -> tuple[int, str]:
    """Run `sidecar run` to its end; return the exit status and the last line on stderr."""
    ports = ("--http", "127.0.0.1:0", "--ws", "127.0.0.1:0")
    done = execute("run", *ports, *arguments, seconds=30)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip().splitlines()[-1]


def test_a_wrong_password_ends_it_with_a_line_that_names_the_setting(start_redis: StartRedis) -> None:
    server = start_redis(*QUIET, "--requirepass", "right")
    status, line = run("--redis-url", f"redis://:wrong@127.0.0.1:{server.port}/0")
    assert status == 1
    assert "redis.password" in line
    assert "wrong@" not in line


def test_a_port_in_use_ends_it_with_a_line_that_names_the_setting(redis_server: RedisServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, line = run("--redis-url", redis_server.url, "--http", f"127.0.0.1:{port}")
        assert (status, "http.listen" in line, str(port) in line) == (1, True, True)
        status, line = run("--redis-url", redis_server.url, "--ws", f"127.0.0.1:{port}")
        assert (status, "ws.listen" in line, str(port) in line) == (1, True, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("commit_intervall: 1s", ("commit_intervall", "commit_interval", ":1")),
        ("ws: {max_clients: -5}", ("ws.max_clients", "-5")),
        ("lease: soon", ("lease", "5s", ":1")),
        ("redis: {url: 'http://x'}", ("redis.url", "redis://")),
    ],
)
def test_a_wrong_configuration_ends_it_with_status_2(text: str, words: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yml"
    file.write_text(text)
    status, line = run("--config", str(file))
    assert status == 2
    assert all(word in line for word in words), line


def test_redis_away_is_waited_for_at_the_start_and_later(start_redis: StartRedis, make_daemon: MakeDaemon) -> None:
    server = start_redis()
    server.stop()
    daemon = make_daemon(server.url, settings="{commit_interval: 100ms}").start(ready=False)
    wait_until(lambda: daemon.ask("/monitoring/health")[0] == 503, 20, "health to say down")
    assert daemon.ask("/monitoring/health")[1]["components"]["redis"]["status"] == "down"
    assert daemon.ask("/healthz")[0] == 200
    assert daemon.ask("/readyz")[0] == 503
    server.start()
    daemon.wait_ready()
    client = redis.Redis(port=server.port)
    client.publish(CHANNEL, '{"status":"success"}')
    wait_until(lambda: daemon.received() == 1, 5, "an event")

    server.kill()
    wait_until(lambda: daemon.ask("/monitoring/health")[1]["status"] == "down", 5, "health to say down")
    assert daemon.ask("/monitoring/metrics")[0] == 200
    server.start()
    began = time.monotonic()
    daemon.wait_ready()
    wait_until(lambda: daemon.ask("/monitoring/health")[1]["status"] == "ok", 5, "health to say ok")
    assert time.monotonic() - began < 5
    client.publish(CHANNEL, '{"status":"success"}')
    wait_until(lambda: daemon.received() == 2, 5, "an event more: what was in memory is written again")
    lines = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    assert [line["event"] for line in lines].count("Redis is away") == 2
    assert [line["event"] for line in lines].count("Redis is back") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_commits_what_was_read_within_two_seconds(
    number: int, redis_server: RedisServer, make_daemon: MakeDaemon
) -> None:
    daemon = make_daemon(redis_server.url, settings="{commit_interval: 60s, lease: 180s}")
    client = redis.Redis(port=redis_server.port)
    _seed(client, daemon)
    client.publish(CHANNEL, '{"status":"success"}')
    wait_until(lambda: _has_read(daemon), 5, "the event to be read")
    began = time.monotonic()
    assert daemon.stop(number) == 0
    assert time.monotonic() - began < 2
    assert client.get("flash_sale_metrics:order_status:success") == b"1"
    assert client.get("flash_sale_metrics:lease") is None


def _seed(client: redis.Redis, daemon: Daemon) -> None:
    """Start a daemon that commits once a minute without its first long wait for an owner that never was."""
    client.hset("flash_sale_metrics:checkpoint", mapping={"n": 1, "own": "nobody x y", "gen": ""})
    daemon.start()


def _has_read(daemon: Daemon) -> bool:
    """Tell whether anything came from a source, committed or not."""
    return "last_event_timestamp_seconds{" in daemon.text("/metrics")


def _has_lost(daemon: Daemon, source: str) -> bool:
    """Return whether the daemon has noticed that this source is lost; others may be earlier or later."""
    return any("source lost" in line and source in line for line in daemon.log.read_text().splitlines())


def test_a_stop_without_redis_says_how_many_events_are_lost(start_redis: StartRedis, make_daemon: MakeDaemon) -> None:
    server = start_redis()
    daemon = make_daemon(server.url, settings="{commit_interval: 60s, lease: 180s}")
    client = redis.Redis(port=server.port)
    _seed(client, daemon)
    client.publish(CHANNEL, '[{"status":"success"},{"status":"success"},{"status":"success"}]')
    wait_until(lambda: _has_read(daemon), 5, "the events to be read")
    server.kill()
    wait_until(lambda: _has_lost(daemon, f"pubsub:{CHANNEL}"), 5, "the loss of the channel to be seen")
    began = time.monotonic()
    assert daemon.stop() == 1
    assert time.monotonic() - began < 2
    assert "3 events" in daemon.log.read_text()
    assert "source not read to its end" not in daemon.log.read_text(), "it was lost before, and that was told"


def test_a_stop_is_held_up_by_none_of_three_who_do_not_answer(
    redis_server: RedisServer, make_daemon: MakeDaemon
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        influx = f"influx: {{url: 'http://127.0.0.1:{silent.getsockname()[1]}', database: sale, interval: 1s}}"
        daemon = make_daemon(redis_server.url, settings=influx).start()
        with socket.create_connection(("127.0.0.1", daemon.ws)) as deaf:
            deaf.sendall(
                b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            assert deaf.recv(100).startswith(b"HTTP/1.1 101")
            redis_server.freeze()
            began = time.monotonic()
            daemon.stop()
            assert time.monotonic() - began < 2.2  # 1.75 s by its parts


def test_embedded_redis_runs_and_ends_with_the_daemon(tmp_path: Path) -> None:
    http, ws = free_port(), free_port()
    addresses = ("--http", f"127.0.0.1:{http}", "--ws", f"127.0.0.1:{ws}")
    with running("run", "--embedded-redis", *addresses) as process:
        line = process.wait_for_log("listening")
        port = int(line["redis"].rsplit(":", 1)[1].split("/")[0])
        client = redis.Redis(port=port)
        wait_until(lambda: client.pubsub_numsub(CHANNEL)[0][1] == 1, 20, "a subscriber")
        assert process.end(seconds=10) == 0
    with pytest.raises(redis.ConnectionError):
        client.ping()


def test_a_frozen_redis_shows_as_stale_within_seconds(redis_server: RedisServer, make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(redis_server.url).start()
    wait_until(lambda: not daemon.snapshot()["stale"], 5, "the first commit")
    redis_server.freeze()
    began = time.monotonic()
    wait_until(lambda: daemon.snapshot()["stale"], 5, "the numbers to be called stale")
    assert time.monotonic() - began < 3.5
    before = daemon.snapshot()["ts"]
    wait_until(lambda: daemon.snapshot()["ts"] > before, 2.5, "a new snapshot, though no commit is answered")
    wait_until(lambda: daemon.ask("/readyz")[0] == 503, 10, "readiness to end")
    redis_server.thaw()
    daemon.wait_ready()
    wait_until(lambda: not daemon.snapshot()["stale"], 5, "fresh numbers")


def test_the_history_is_answered_while_redis_is_frozen_and_equals_what_redis_holds(
    redis_server: RedisServer, make_daemon: MakeDaemon
) -> None:
    daemon = make_daemon(redis_server.url).start()
    client: Any = redis.Redis(port=redis_server.port)
    client.publish("flash_sale:events", '[{"status":"success"},{"status":"failed"},{"type":"queue","waiting":7}]')
    wait_until(lambda: daemon.snapshot()["orders"]["by_status"]["success"] == 1, 5, "the order")
    stored = {int(key.rpartition(b":")[2]): client.get(key) for key in client.keys("flash_sale_metrics:throughput:*")}
    redis_server.freeze()
    try:
        found = daemon.ask("/monitoring/history")[1]
    finally:
        redis_server.thaw()
    shown = {second: value for second, value in found["throughput"]["points"] if value is not None}
    assert shown == {second: int(value) for second, value in stored.items()} and sum(shown.values()) == 2
    assert 7 in [value for _, value in found["queue_length"]["points"]]


def test_a_fleet_of_one_is_the_instance(redis_server: RedisServer, make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(redis_server.url, settings="{instance: alone}").start()
    status, fleet = daemon.ask("/monitoring/metrics?scope=fleet")
    assert (status, fleet["scope"], fleet["instances"]) == (200, "fleet", ["alone"])


def test_a_rotated_password_is_read_from_its_file_and_a_wrong_one_is_logged(
    start_redis: StartRedis, make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    server, file = start_redis("--user", "default", "on", ">first", "~*", "&*", "+@all"), tmp_path / "password"
    file.write_text("first\n")
    daemon = make_daemon(f"redis://127.0.0.1:{server.port}/0", settings=f"redis: {{password_file: {file}}}").start()
    client: Any = redis.Redis(port=server.port, password="first")
    client.execute_command("ACL", "SETUSER", "default", "resetpass", ">second")
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    wait_until(lambda: "invalid username-password pair" in daemon.log.read_text(), 5, "the cause in the log")
    file.write_text("second\n")
    wait_until(lambda: "Redis is back" in daemon.log.read_text(), 5, "the new password to be taken")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "configuration reloaded" in daemon.log.read_text(), 5, "the reload")
    assert "redis.password" not in daemon.log.read_text().partition("needs_restart")[2]


def test_a_fleet_is_complete_or_unavailable_whatever_happens_to_redis(
    redis_server: RedisServer, make_daemon: MakeDaemon
) -> None:
    """Each of two shops sells one order; the fleet shows two, also right after Redis lost everything."""
    shops = ("one", "two")
    settings = (
        "{{instance: {0}, fleet: shops, redis: {{prefix: 'flash_sale_metrics:{0}:'}}, "
        "sources: {{streams: ['flash_sale:{0}'], pubsub: []}}}}"
    )
    daemons = [make_daemon(redis_server.url, settings=settings.format(shop)).start() for shop in shops]
    with redis.Redis(port=redis_server.port) as client:
        for shop in shops:
            client.xadd(f"flash_sale:{shop}", {"e": '{"status":"success"}'})

        def orders(daemon: Daemon) -> int:
            status, answer = daemon.ask("/monitoring/metrics?scope=fleet")
            assert status in (200, 503)
            return int(answer["orders"]["total"]) if status == 200 else -1

        wait_until(lambda: [orders(daemon) for daemon in daemons] == [2, 2], 10, "both shops in the fleet")
        client.flushall()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert {orders(daemon) for daemon in daemons} <= {2, -1}
    assert [orders(daemon) for daemon in daemons] == [2, 2]
