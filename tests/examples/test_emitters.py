"""Each emitter publishes every event once, and what it drops while Redis is away shows as missed."""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.e2e.daemon import Daemon
from tests.examples.emitters import FOLDER, LANGUAGES, Program
from tests.ports import free_port
from tests.programs import missing
from tests.proxy import Proxy
from tests.redis_server import RedisServer
from tests.waiting import wait_until

FEW, TOO_MANY = 50, 13_000  # the buffers hold 10,000, and a pipe may hold another 1,200
PATIENCE_SECONDS = 60.0  # what takes some seconds, on a machine with twenty times its work
SLOWEST_SECONDS = 600  # the first time, a client is fetched and compiled
AWAY_SECONDS = 3.0  # longer than the clients wait for an answer
# Their clients come from a registry, and some are compiled, which takes minutes; those of the others are packages.
FETCHED = ("node", "go", "java")
ALL = [
    pytest.param(
        name,
        marks=[]
        if name == "python"
        else [pytest.mark.long if name in FETCHED else pytest.mark.campaign, pytest.mark.timeout(SLOWEST_SECONDS)],
    )
    for name in LANGUAGES
]

Start = Callable[[str, str], Program]


@pytest.fixture
def daemon(redis_server: RedisServer, tmp_path: Path) -> Iterator[Daemon]:
    """A sidecar that always reaches Redis."""
    started = Daemon(tmp_path, redis_server.url)
    try:
        yield started.start()
    finally:
        started.end()


@pytest.fixture
def start(redis_server: RedisServer, proxy: Proxy, tmp_path: Path) -> Iterator[Start]:
    """Start an emitter behind the proxy."""
    programs: list[Program] = []

    def begin(language: str, transport: str) -> Program:
        command = LANGUAGES[language](tmp_path)
        programs.append(Program(command, transport, proxy.instead_of(redis_server.url), tmp_path))
        return programs[-1]

    yield begin
    for program in programs:
        program.end()


def orders(number: int) -> list[str]:
    """Return so many events."""
    return [json.dumps({"status": "success", "order_id": f"o{n}", "product_id": "sku-1"}) for n in range(number)]


def settled(daemon: Daemon, total: int) -> Any:
    """Return the completeness once every number is received or missed."""

    def complete() -> Any:
        found = daemon.snapshot()["completeness"]
        return found if found["received"] + found["missed"] >= total else None

    return wait_until(complete, PATIENCE_SECONDS, "every number")


@pytest.mark.parametrize("language", ALL)
def test_what_is_dropped_while_redis_is_away_is_missed(
    language: str, start: Start, daemon: Daemon, proxy: Proxy, client: redis.Redis
) -> None:
    proxy.misbehave("cut")
    program = start(language, "stream")
    program.report(*orders(TOO_MANY))
    wait_until(lambda: "Redis is away" in program.said, PATIENCE_SECONDS, "that it says so")
    proxy.heal()
    program.report(*orders(FEW))
    program.finish()

    entries: Any = client.xrange("flash_sale:events")
    events = [event for _, fields in entries for event in json.loads(fields[b"e"])]
    published = {event["seq"] for event in events if "status" in event}
    total = TOO_MANY + FEW
    assert max(published) == total
    assert 1000 < total - len(published) < TOO_MANY - 9_000
    found = settled(daemon, total)
    assert (found["received"], found["missed"]) == (len(published), total - len(published))
    assert (found["duplicates"], found["invalid"]) == (0, 0)


@pytest.mark.parametrize("language", ALL)
def test_what_waits_while_redis_is_away_arrives(language: str, start: Start, daemon: Daemon, proxy: Proxy) -> None:
    program = start(language, "pubsub")
    program.report(*orders(FEW))
    assert settled(daemon, FEW)["ratio"] == 1.0
    wait_until(lambda: is_watched(daemon), PATIENCE_SECONDS, "three heartbeats")

    proxy.misbehave("black hole")
    program.report(*orders(FEW))
    time.sleep(AWAY_SECONDS)
    proxy.heal()
    program.report(*orders(FEW))
    program.finish()
    found = settled(daemon, 3 * FEW)
    assert (found["received"], found["missed"], found["ratio"], found["invalid"]) == (3 * FEW, 0, 1.0, 0)


def is_watched(daemon: Daemon) -> bool:
    """Return whether the sidecar knows the one producer by its heartbeats."""
    producers = daemon.snapshot()["completeness"]["by_producer"].values()
    return [producer["state"] for producer in producers] == ["alive"]


PYTHON_FORKS = """
import os, sys
from emitter import Emitter
emitter = Emitter()
def report():
    for _ in range(2):
        emitter.report({"status": "success"})
report()
if os.fork() == 0:
    report()
    emitter.close()
    os._exit(0)
os.wait()
report()
"""
# The first connection imports modules; a fork in between must not leave their locks to the child, which has no thread
# that would release them.
PYTHON_FORKS_WITHIN_AN_IMPORT = """
import sys, threading, time
importing = threading.Event()
class Slow:
    def find_spec(self, name, path, target=None):
        if threading.current_thread() is not threading.main_thread() and not importing.is_set():
            importing.set()
            time.sleep(0.3)
sys.meta_path.insert(0, Slow())
""" + PYTHON_FORKS.replace("if os.fork()", "importing.wait(5)\nif os.fork()")
PHP_FORKS = """
require 'emitter.php';
$emitter = new Emitter();
$report = function () use ($emitter) {
    $emitter->report(['status' => 'success']);
    $emitter->report(['status' => 'success']);
};
$report();
if (pcntl_fork() === 0) {
    $report();
    exit;
}
pcntl_wait($status);
$report();
"""
RUBY_FORKS = """
require "./emitter"
emitter = Emitter.new
2.times { emitter.report(status: "success") }
fork { 2.times { emitter.report(status: "success") } }
Process.wait
2.times { emitter.report(status: "success") }
"""


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("language", "options", "script"),
    [
        ("python", ["-W", "ignore::DeprecationWarning", "-c"], PYTHON_FORKS),
        ("python", ["-W", "ignore::DeprecationWarning", "-c"], PYTHON_FORKS_WITHIN_AN_IMPORT),
        ("php", ["-r"], PHP_FORKS),
        ("ruby", ["-e"], RUBY_FORKS),
    ],
)
def test_a_forked_process_is_a_producer_of_its_own(
    language: str, options: list[str], script: str, redis_server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    program, _ = LANGUAGES[language](tmp_path)
    environment = {**os.environ, "REDIS_URL": redis_server.url}
    subprocess.run([program, *options, script], cwd=FOLDER, env=environment, timeout=30, check=True)
    assert sorted(numbers(client).values()) == [[1, 2], [1, 2, 3, 4]]


@pytest.mark.campaign
def test_requests_of_php_that_share_memory_are_one_producer(
    redis_server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    LANGUAGES["php"](tmp_path)
    modules = subprocess.run(["php", "-m"], capture_output=True, text=True, timeout=20, check=True).stdout.split()
    if "apcu" not in modules:
        missing("php has no module apcu")
    report = "(new Emitter())->report(['status' => 'success']);"
    (tmp_path / "order.php").write_text(f"<?php require '{FOLDER}/emitter.php'; {report}")
    environment = {**os.environ, "REDIS_URL": redis_server.url, "PHP_CLI_SERVER_WORKERS": "2"}
    address = f"127.0.0.1:{free_port()}"
    with (tmp_path / "php.log").open("w") as log:
        server = subprocess.Popen(["php", "-S", address], cwd=tmp_path, env=environment, stderr=log)
    try:
        wait_until(lambda: ordered(address), 20, "PHP's server")
        for _ in range(4):
            assert ordered(address)
        wait_until(lambda: list(map(sorted, numbers(client).values())) == [[1, 2, 3, 4, 5]], 5, "five events")
    finally:
        server.terminate()
        server.wait(10)


def ordered(address: str) -> bool:
    """Return whether the shop took an order."""
    try:
        with urllib.request.urlopen(f"http://{address}/order.php", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def numbers(client: redis.Redis) -> dict[tuple[str, int], list[int]]:
    """Return the numbers of each producer, as published."""
    found: dict[tuple[str, int], list[int]] = {}
    entries: Any = client.xrange("flash_sale:events")
    for _, fields in entries:
        for event in json.loads(fields[b"e"]):
            if "status" in event:
                found.setdefault((event["producer"], event["epoch"]), []).append(event["seq"])
    return found
