"""What the machine or Redis denies, one thing at a time: named in health, counted, logged, and over when it is over.

docs/operations.md has the table of faults for people.
"""

import json
import os
import re
import resource
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.cli.commands import invoke
from tests.conftest import StartRedis
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import PREFIX, Daemon
from tests.e2e.recount import STREAM
from tests.redis_server import QUIET, RedisServer
from tests.waiting import wait_until

CHANNEL = "flash_sale:events"
FAST = "{commit_interval: 100ms, lease: 2s}"
ORDER = '{"status":"success","latency_ms":5}'


def metric(daemon: Daemon, name: str) -> float:
    """Return one sample of the exposition, 0 if it is not there."""
    found = re.findall(rf"^flash_sale_sidecar_{re.escape(name)} (\S+)$", daemon.text("/metrics"), re.MULTILINE)
    return float(found[0]) if found else 0.0


def component(daemon: Daemon, name: str) -> dict[str, str]:
    """Return what health says of a part, empty if nothing."""
    found: dict[str, str] = daemon.ask("/monitoring/health")[1]["components"].get(name, {})
    return found


def lines(daemon: Daemon, event: str) -> list[dict[str, Any]]:
    """Return the log lines of one event."""
    logged = [json.loads(line) for line in daemon.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in logged if line["event"] == event]


def count_orders(daemon: Daemon, client: redis.Redis, number: int) -> None:
    """Add an order to the stream and wait until so many are counted."""
    client.xadd(STREAM, {"e": ORDER})
    wait_until(lambda: daemon.received() == number, 10, f"{number} orders")


# The stored state


def test_a_damaged_checkpoint_is_kept_aside_and_reported_and_the_stream_counted_again(
    redis_server: RedisServer, client: redis.Redis, make_daemon: MakeDaemon
) -> None:
    daemon = make_daemon(redis_server.url, settings=FAST).start()
    client.publish(CHANNEL, ORDER)
    count_orders(daemon, client, 2)
    assert daemon.stop() == 0
    stored: Any = client.hget(PREFIX + "checkpoint", "c:totals:")
    client.hset(PREFIX + "checkpoint", "c:totals:", stored[:9] + bytes([stored[9] ^ 1]) + stored[10:])
    told = invoke("report", "--redis-url", redis_server.url)
    assert (told.exit_code, "damaged" in told.stderr, "sidecar run" in told.stderr) == (1, True, True)

    daemon.start()
    wait_until(lambda: daemon.received() == 1, 5, "the stream counted again; what pub/sub told is lost")
    assert metric(daemon, "checkpoints_damaged_total") == 1
    health = component(daemon, "checkpoint")
    assert health["status"] == "degraded"
    assert all(words in health["detail"] for words in ("c:totals:", f"{PREFIX}checkpoint:damaged", "restarts"))
    assert [line["level"] for line in lines(daemon, "checkpoint damaged")] == ["error"]
    assert client.hexists(PREFIX + "checkpoint:damaged", "c:totals:")


def test_a_checkpoint_damaged_under_a_running_daemon_is_written_again_from_memory(
    redis_server: RedisServer, client: redis.Redis, make_daemon: MakeDaemon
) -> None:
    daemon = make_daemon(redis_server.url, settings=FAST).start()
    count_orders(daemon, client, 1)
    client.set(PREFIX + "checkpoint", "made by hand")
    wait_until(lambda: metric(daemon, "checkpoints_damaged_total") == 1, 5, "the damage to be found")
    count_orders(daemon, client, 2)
    assert "from memory" in component(daemon, "checkpoint")["detail"]


def test_clears_at_once_are_all_answered_at_once(
    redis_server: RedisServer, client: redis.Redis, make_daemon: MakeDaemon
) -> None:
    settings = FAST.removesuffix("}") + ", http: {admin_token: secret}}"
    daemon = make_daemon(redis_server.url, settings=settings).start()
    count_orders(daemon, client, 1)

    def clear(number: int) -> int:
        return daemon.ask("/monitoring/metrics/clear", method="POST", headers={"Authorization": "Bearer secret"})[0]

    began = time.monotonic()
    with ThreadPoolExecutor(20) as threads:
        assert set(threads.map(clear, range(20))) == {200}
    assert time.monotonic() - began < 3
    assert not lines(daemon, "cleared, but not committed yet")


# What Redis refuses


def refused_and_back(daemon: Daemon, client: redis.Redis, words: str, why: str, end: Any) -> None:
    """Check that a Redis which refuses to write is named, and that nothing is lost when it takes writes again."""
    client.publish(CHANNEL, ORDER)
    wait_until(lambda: words in component(daemon, "commit").get("detail", ""), 10, "health to have Redis's words")
    wait_until(lambda: daemon.ask("/monitoring/health")[1]["status"] == "down", 10, "stale numbers to be named")
    assert component(daemon, "redis")["status"] == "ok"
    assert metric(daemon, 'commits_total{outcome="failed"}') > 0
    assert metric(daemon, "redis_up") == 1
    assert metric(daemon, f'redis_refuses_writes{{reason="{why}"}}') == 1
    assert [words in line["detail"] for line in lines(daemon, "commit failed")] == [True], "one line an outage"
    wait_until(lambda: daemon.snapshot()["stale"], 5, "the snapshot to say so")
    end()
    wait_until(lambda: daemon.received() == 2, 10, "what was kept to be committed")
    wait_until(lambda: daemon.ask("/monitoring/health")[1]["status"] == "ok", 5, "health to be well again")
    assert metric(daemon, f'redis_refuses_writes{{reason="{why}"}}') == 0


def test_a_redis_without_memory(redis_server: RedisServer, client: redis.Redis, make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(redis_server.url, settings=FAST).start()
    count_orders(daemon, client, 1)
    client.config_set("maxmemory", "1")
    refused_and_back(daemon, client, "maxmemory", "memory", lambda: client.config_set("maxmemory", "0"))


def test_a_redis_whose_disk_is_full(redis_server: RedisServer, client: redis.Redis, make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(redis_server.url, settings=FAST).start()
    count_orders(daemon, client, 1)
    shutil.rmtree(redis_server.folder)  # Redis can save nothing here, as if there were no room
    client.config_set("save", "3600 1")
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", 5, "the save to fail")
    refused_and_back(daemon, client, "MISCONF", "disk", lambda: client.config_set("save", ""))


# What the machine denies


def limited(daemon: Daemon, what: int, most: int) -> Daemon:
    """Start a daemon, and give it no more than this of something."""
    daemon.start()
    assert daemon.process is not None
    resource.prlimit(daemon.process.pid, what, (most, most))
    return daemon


def test_a_log_that_cannot_be_written_stops_nothing(
    redis_server: RedisServer, client: redis.Redis, make_daemon: MakeDaemon
) -> None:
    daemon = make_daemon(redis_server.url, settings=FAST)
    daemon.log = Path("/dev/full")
    daemon.start()
    count_orders(daemon, client, 1)
    wait_until(lambda: metric(daemon, "log_lines_dropped_total") > 0, 5, "the lines to be counted")
    assert component(daemon, "log")["status"] == "degraded"
    assert daemon.stop() == 0


def test_without_file_descriptors_counting_goes_on_and_clients_come_in_when_there_are_some(
    redis_server: RedisServer, client: redis.Redis, make_daemon: MakeDaemon
) -> None:
    daemon = limited(make_daemon(redis_server.url, settings=FAST), resource.RLIMIT_NOFILE, 40)
    count_orders(daemon, client, 1)
    crowd: list[socket.socket] = []
    try:
        for _ in range(60):
            crowd.append(socket.create_connection(("127.0.0.1", daemon.http)))
        wait_until(lambda: lines(daemon, "no new clients"), 5, "the line that says so")
        before = _cpu_seconds(daemon)
        began = time.monotonic()
        client.xadd(STREAM, {"e": ORDER})
        wait_until(lambda: client.get(f"{PREFIX}order_status:success") == b"2", 5, "an order more, in Redis")
        wait_until(lambda: time.monotonic() - began > 1.5, 3)
        assert _cpu_seconds(daemon) - before < 0.75, "it spins"
        assert len(lines(daemon, "no new clients")) <= 2
    finally:
        for one in crowd:
            one.close()
    wait_until(lambda: daemon.received() == 2, 10, "a client that is let in")
    assert metric(daemon, "accept_failures_total") > 0
    assert "LimitNOFILE" in component(daemon, "listeners")["detail"]
    assert daemon.stop() == 0


def test_without_file_descriptors_redis_is_found_again(
    redis_server: RedisServer, client: redis.Redis, make_daemon: MakeDaemon
) -> None:
    daemon = limited(make_daemon(redis_server.url, settings=FAST), resource.RLIMIT_NOFILE, 40)
    count_orders(daemon, client, 1)
    crowd = [socket.create_connection(("127.0.0.1", daemon.http)) for _ in range(60)]
    try:
        wait_until(lambda: lines(daemon, "no new clients"), 5, "the line that says so")
        client.client_kill_filter(_type="normal", skipme=True)
        client.xadd(STREAM, {"e": ORDER})
        wait_until(lambda: lines(daemon, "Redis is away") or _counted(client) == 2, 5, "the connections to be missed")
    finally:
        for one in crowd:
            one.close()
    wait_until(lambda: _counted(client) == 2, 10, "an order more")
    assert daemon.stop() == 0


def _counted(client: redis.Redis) -> int:
    return int(client.get(f"{PREFIX}order_status:success") or 0)


def _cpu_seconds(daemon: Daemon) -> float:
    assert daemon.process is not None
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_memory_it_lives_on_or_ends_with_a_line_and_counts_exactly_after_a_restart(
    start_redis: StartRedis, make_daemon: MakeDaemon
) -> None:
    server = start_redis(*QUIET)
    client = redis.Redis(port=server.port)
    daemon = limited(make_daemon(server.url, settings=FAST), resource.RLIMIT_AS, 400_000 << 10)
    count_orders(daemon, client, 1)
    huge = f"[{ORDER}]".ljust(1 << 20)  # a payload that is allowed, hundreds of times
    for _ in range(200):
        client.xadd(STREAM, {"e": huge})
    process = daemon.process
    assert process is not None
    expected = 1 + 200
    wait_until(lambda: process.poll() is not None or _counted(client) == expected, 60, "the end, or all of it")
    if (status := process.poll()) is not None:
        assert status == 1
        assert "no memory is left" in daemon.log.read_text().splitlines()[-1]
        assert "Traceback" not in daemon.log.read_text()
        limited(daemon, resource.RLIMIT_AS, 400_000 << 10)
    wait_until(lambda: _counted(client) == expected, 60, "all of it")


# Signals


@pytest.mark.parametrize("numbers", [(signal.SIGHUP, signal.SIGHUP), (signal.SIGTERM, signal.SIGTERM, signal.SIGINT)])
def test_signals_that_come_together_are_taken_one_by_one(
    numbers: tuple[int, ...], redis_server: RedisServer, client: redis.Redis, make_daemon: MakeDaemon
) -> None:
    daemon = make_daemon(redis_server.url, settings=FAST).start()
    count_orders(daemon, client, 1)
    assert daemon.process is not None
    for number in numbers:
        daemon.process.send_signal(number)
    if signal.SIGTERM in numbers:
        daemon.process.wait(5)
        assert "Traceback" not in daemon.log.read_text()
    else:
        count_orders(daemon, client, 2)
    assert _counted(client) >= 1
