"""The clock of the sidecar's machine is set while it runs: gauges, windows, intervals and health."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.e2e.daemon import Daemon
from tests.guarantees import in_campaign
from tests.redis_server import RedisServer
from tests.waiting import wait_until

pytestmark = pytest.mark.needs("faketime")

SETTINGS = "{commit_interval: 100ms, lease: 2s, metrics: {new_series_hold: 2s}}"


class Machine:
    """A daemon whose wall clock can be set; the rest of the machine keeps its time."""

    def __init__(self, folder: Path, url: str) -> None:
        self._offset = folder / "offset"
        self._library = subprocess.run(
            ["faketime", "-m", "-f", "+0", "printenv", "LD_PRELOAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        self.daemon = Daemon(folder, url, settings=SETTINGS)
        self.set_by(0)

    def start(self) -> Daemon:
        faked = {"LD_PRELOAD": self._library, "FAKETIME_TIMESTAMP_FILE": str(self._offset)}
        faked |= {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        return self.daemon.start(shell="export " + " ".join(f"'{name}={value}'" for name, value in faked.items()))

    def set_by(self, seconds: float) -> None:
        """Set its clock this far from the real one, in one step."""
        whole = self._offset.with_suffix(".new")
        whole.write_text(f"{seconds:+.1f}\n")
        whole.rename(self._offset)


@pytest.fixture
def machine(tmp_path: Path, redis_server: RedisServer) -> Iterator[Machine]:
    made = Machine(tmp_path, redis_server.url)
    made.start()
    yield made
    made.daemon.end()


def gauges(number: int) -> list[dict[str, Any]]:
    return [
        {"type": "inventory", "product_id": "a", "stock": number},
        {"type": "queue", "waiting": number},
        {"type": "connections", "producer": "p", "active": number},
    ]


def has_stepped(daemon: Daemon, times: str) -> bool:
    return f"clock_steps_total {times}" in daemon.text("/metrics")


def shows(daemon: Daemon, client: redis.Redis, number: int) -> Callable[[], bool]:
    """Return whether all gauges show a number, in the JSON and in the keys of the second it is there."""

    def check() -> bool:
        snapshot = daemon.snapshot()
        names = [f"flash_sale_metrics:{name}:{int(snapshot['ts'])}" for name in ("queue_length", "active_connections")]
        values = client.mget(*names, "flash_sale_metrics:inventory:a")
        stock, queue = snapshot["inventory"].get("a", {}), snapshot["queues"].get("orders", {})
        shown = (stock.get("stock"), queue.get("waiting"), snapshot["connections"]["active"])
        return {*shown, *(int(value or -1) for value in values)} == {number}

    return check


@pytest.mark.parametrize(
    ("transport", "by"),
    [("pubsub", 86400.0), ("stream", -20.0), *in_campaign(("pubsub", -20.0), ("pubsub", -600.0))],
)
def test_a_clock_set_wrong_and_right_again_loses_nothing(
    machine: Machine, client: redis.Redis, transport: str, by: float
) -> None:
    daemon = machine.daemon

    def publish(*events: dict[str, Any]) -> None:
        for event in events:
            if transport == "pubsub":
                client.publish("flash_sale:events", json.dumps(event))
            else:
                client.xadd("flash_sale:events", {"e": json.dumps(event)})

    publish({"status": "success", "product_id": "a"}, *gauges(1))
    wait_until(shows(daemon, client, 1), 10, "the first readings")
    uptime, began = daemon.snapshot()["uptime_s"], time.monotonic()
    for number, (to, metric) in enumerate([(by, "1.0"), (0.0, "2.0")], start=2):
        machine.set_by(to)
        wait_until(partial(has_stepped, daemon, metric), 10, "the step")
        publish({"status": "success", "product_id": "a"}, *gauges(number))
        wait_until(shows(daemon, client, number), 10, f"the readings after a step to {to}")
    snapshot = daemon.snapshot()
    assert snapshot["orders"]["by_status"]["success"] == 3
    assert snapshot["orders"]["per_second"]["peak"] == 1
    assert not snapshot["stale"]
    assert snapshot["completeness"]["blind_s"] == 0
    assert abs(snapshot["uptime_s"] - uptime - (time.monotonic() - began)) < 5
    assert snapshot["orders"]["per_second"]["10s"] <= 3  # of a sale that is younger than the window
    status, health = daemon.ask("/monitoring/health")
    way = "forward" if by < 0 else "back"
    assert status == 200
    assert health["components"]["clock"]["status"] == "degraded"
    assert (
        f"the clock of this machine was set {way} by {abs(by):.1f} s at 20" in health["components"]["clock"]["detail"]
    )
    assert daemon.log.read_text().count("clock set") == 2


def test_a_reading_of_a_clock_that_was_ahead_does_not_outlast_a_restart(machine: Machine, client: redis.Redis) -> None:
    machine.set_by(86400.0)
    wait_until(partial(has_stepped, machine.daemon, "1.0"), 10, "the step")
    for event in ({"status": "success", "product_id": "a"}, *gauges(1)):
        client.publish("flash_sale:events", json.dumps(event))
    wait_until(shows(machine.daemon, client, 1), 10, "the first readings")
    assert machine.daemon.stop() == 0
    machine.set_by(0.0)
    machine.start()
    for event in gauges(2):
        client.publish("flash_sale:events", json.dumps(event))
    wait_until(shows(machine.daemon, client, 2), 10, "the readings after the restart")
    snapshot = machine.daemon.snapshot()
    assert snapshot["orders"]["per_second"]["10s"] == 0
    assert snapshot["completeness"]["blind_s"] < 5, "as long as the start took"
    clock = machine.daemon.ask("/monitoring/health")[1]["components"]["clock"]
    assert clock["status"] == "degraded"
    assert "it was set back, or the clock of the machine that counted before is ahead" in clock["detail"]
