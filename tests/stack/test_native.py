"""The stack from Debian's packages runs with the files that compose mounts, and outlives the loss of its primary."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pytest
import redis
import yaml

from monitoring.native.__main__ import taken_ports
from monitoring.native.layout import PACKAGES, ROOT
from monitoring.native.ports import Ports, kept_free, taken
from tests.stack.alerting import MONITORING
from tests.stack.native import NativeStack
from tests.waiting import wait_until

STREAM = "flash_sale:events"
RULES = [
    rule["record"]
    for path in (MONITORING / "rules").glob("*.yml")
    for group in yaml.load(path.read_text(), yaml.CSafeLoader)["groups"]
    for rule in group["rules"]
    if "record" in rule
]
JOBS = {"sidecar", "redis", "node", "alertmanager", "prometheus"}
# Of every kind one, so that every rule has something to say.
EVENTS = [
    {"status": "success", "product_id": "sku-1", "latency_ms": 20, "processing_ms": 10},
    {"status": "failed", "product_id": "sku-1", "reason": "timeout"},
    {"status": "failed", "product_id": "sku-1", "reason": "sold_out"},
    {"type": "queue", "queue": "orders", "waiting": 3, "active": 1},
    {"type": "inventory", "product_id": "sku-1", "stock": 5000},
    {"type": "heartbeat", "producer": "shop"},
]


class Sale(threading.Thread):
    """Publish to whoever is the primary, as the user that can do no more; what fails is not published again."""

    def __init__(self, stack: NativeStack) -> None:
        super().__init__(daemon=True)
        self._stack = stack
        self._done = threading.Event()

    def run(self) -> None:
        """Publish."""
        client = None
        while not self._done.wait(0.05):
            try:
                client = client or self._stack.primary("flash-sale-backend")
                client.xadd(STREAM, {"e": json.dumps(EVENTS)})
            except (redis.RedisError, OSError):
                client = None

    def finish(self) -> None:
        """Stop, and wait for the end."""
        self._done.set()
        self.join()


@pytest.fixture
def sale(stack: NativeStack) -> Iterator[Sale]:
    sale = Sale(stack)
    sale.start()
    yield sale
    sale.finish()


@pytest.mark.campaign
@pytest.mark.timeout(600)  # a busy machine; a quiet one needs one minute
@pytest.mark.needs(*PACKAGES)
def test_every_target_is_up_every_rule_records_and_a_lost_primary_is_replaced(stack: NativeStack, sale: Sale) -> None:
    """Then a second start finds the roles as the Sentinels left them, and the numbers too."""
    wait_until(lambda: up(stack) == JOBS, 30, "every target to be up")
    wait_until(lambda: all(stack.query(name) for name in RULES), 30, f"every one of {RULES}")
    assert stack.query("ALERTS{alertname='Watchdog'}")
    assert stack.query("up")[0]["metric"].keys() >= {"job", "instance"}
    lose_the_primary(stack)
    check_nothing_was_refused(stack)
    sale.finish()
    received = wait_until(lambda: settled(stack), 20, "the numbers to stand still")
    began = time.monotonic()
    assert stack.stop() == 0
    assert time.monotonic() - began < 5
    check_the_next_start_goes_on(stack, received)


def lose_the_primary(stack: NativeStack) -> None:
    """The sidecar goes on at the other server, and the exporter sees the first one come back."""
    before = stack.received()
    os.kill(stack.server("redis-primary").info("server")["process_id"], signal.SIGKILL)
    wait_until(lambda: stack.query("redis_up == 0") and stack.query("redis_up == 1"), 20, "the exporter to miss it")
    wait_until(lambda: role(stack, "redis-replica") == "master", 20, "the failover")
    wait_until(lambda: stack.received() > before + 200, 20, "the sidecar to count there")
    assert "redis-primary ended (-9)" in stack.said()
    wait_until(lambda: len(stack.query("redis_up == 1")) == 2, 40, "the exporter to see it again")
    wait_until(lambda: role(stack, "redis-primary") == "slave", 20, "the first one to follow the other")
    wait_until(lambda: up(stack) == JOBS, 20, "every target to be up again")


def check_nothing_was_refused(stack: NativeStack) -> None:
    """Every user had the rights it needed."""
    for name in ("redis-primary", "redis-replica"):
        log = stack.server(name).acl_log()
        assert log == [], [(one["context"], one["object"], one["username"], one["client-info"]) for one in log]


def check_the_next_start_goes_on(stack: NativeStack, received: int) -> None:
    """Began the former primary as one, what came after the failover would be lost."""
    with NativeStack(stack.folder.parent) as again:
        assert role(again, "redis-replica") == "master"
        assert again.received() == received


def up(stack: NativeStack) -> set[str]:
    return {one["metric"]["job"] for one in stack.query("up == 1")}


def role(stack: NativeStack, name: str) -> str:
    """Return what a server says that it is; nothing while it does not answer, or ends connections as it changes."""
    try:
        return str(stack.server(name).info("replication")["role"])
    except redis.RedisError:
        return ""


def settled(stack: NativeStack) -> int:
    """Return the count once it has not changed for a second."""
    before = stack.received()
    time.sleep(1)
    return before if stack.received() == before else 0


def test_free_ports_are_the_same_for_a_folder(tmp_path: Path) -> None:
    ports = kept_free(tmp_path)
    assert len(set(astuple(ports))) == len(astuple(ports))
    assert kept_free(tmp_path) == ports


def test_what_is_missing_is_said_with_the_line_that_installs_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "monitoring.native", "--free-ports", "--folder", str(tmp_path)]
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    packages = " ".join(sorted(PACKAGES.values()))
    assert done.stderr == f"Not installed yet: apt-get install --no-install-recommends {packages}\n"
    page = (ROOT / "docs" / "how-to" / "stack.md").read_text()
    line = next(line for line in page.splitlines() if line.startswith("apt-get install"))
    assert sorted(line.split()[3:]) == sorted(PACKAGES.values())


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ports = Ports(prometheus=port, **dict.fromkeys(("primary", "replica", "http", "ws"), 1))
        assert port in set(taken(ports))
        assert f"{port}" in taken_ports(ports)
