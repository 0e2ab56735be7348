"""A real Prometheus scrapes the daemon, in both ways the contract offers."""

import json
import math
import statistics
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import Daemon
from tests.ports import free_port
from tests.programs import needs
from tests.redis_server import RedisServer
from tests.waiting import wait_until

CHANNEL = "flash_sale:events"
CONFIG = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
scrape_configs:
  - {job_name: metrics, static_configs: [{targets: ['127.0.0.1:%d']}]}
  - {job_name: monitoring, metrics_path: /monitoring/metrics, static_configs: [{targets: ['127.0.0.1:%d']}]}
"""


class Prometheus:
    """A server that scrapes one daemon every second."""

    def __init__(self, folder: Path, daemon: Daemon) -> None:
        self.port = free_port()
        config = folder / "prometheus.yml"
        config.write_text(CONFIG % (daemon.http, daemon.http))
        with (folder / "prometheus.log").open("w") as log:
            self.process = subprocess.Popen(
                [
                    needs("prometheus"),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=log,
            )

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        query = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{query}", timeout=5) as answer:
                result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return result
        except OSError:
            return []

    def value(self, expression: str) -> float | None:
        """Return the value of an expression that gives one series, `None` if it gives none."""
        result = self.query(expression)
        assert len(result) < 2, result
        return float(result[0]["value"][1]) if result else None


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[Daemon], Prometheus]]:
    """Start a Prometheus for a daemon."""
    started: list[Prometheus] = []

    def start(daemon: Daemon) -> Prometheus:
        started.append(Prometheus(tmp_path, daemon))
        return started[-1]

    yield start
    for one in started:
        one.process.terminate()
        one.process.wait(10)


@pytest.mark.needs("prometheus")
def test_prometheus_shows_the_truth_from_the_first_event_and_over_a_restart(
    redis_server: RedisServer, make_daemon: MakeDaemon, prometheus: Callable[[Daemon], Prometheus]
) -> None:
    settings = "{products: [reserved], metrics: {new_series_hold: 5s}, commit_interval: 100ms}"
    daemon = make_daemon(redis_server.url, settings=settings).start()
    server = prometheus(daemon)
    wait_until(lambda: server.value('flash_sale_orders_total{job="metrics",status="success"}') == 0, 30, "a scrape")
    client = redis.Redis(port=redis_server.port)
    latencies = [float(1 + i % 200) for i in range(500)]
    for i, latency in enumerate(latencies):
        order = {"status": "success", "latency_ms": latency, "order_id": f"o{i}"}
        client.publish(CHANNEL, json.dumps(order | {"product_id": "reserved" if i % 2 else "surprise"}))
    for job in ("metrics", "monitoring"):
        units = f'flash_sale_units_sold_total{{job="{job}",product_id="surprise"}}'
        wait_for(server, f'sum(flash_sale_orders_total{{job="{job}"}})', 500)
        wait_for(server, units, 250)
        wait_for(server, f'up{{job="{job}"}}', 1)
    check_truth(server, latencies)
    assert daemon.stop() == 0
    daemon.start()
    scraped = time.time()
    wait_until(lambda: _scraped_since(server, scraped), 15, "a scrape after the restart")
    check_truth(server, latencies)


def check_truth(server: Prometheus, latencies: list[float]) -> None:
    """What Prometheus computes of its scrapes is what was published."""
    orders = 'flash_sale_orders_total{job="metrics",status="success"}'
    assert increase(server, orders) == len(latencies)
    for product in ("reserved", "surprise"):
        by_product = f'flash_sale_product_orders_total{{job="metrics",status="success",product_id="{product}"}}'
        assert increase(server, by_product) == len(latencies) / 2
    median = server.value(
        'histogram_quantile(0.5, flash_sale_order_latency_seconds_bucket{job="metrics",status="success"})'
    )
    assert median == pytest.approx(statistics.median(latencies) / 1000, rel=0.05)
    exact = server.value('flash_sale_order_latency_percentile_seconds{job="metrics",percentile="99",window="total"}')
    assert exact == pytest.approx(sorted(latencies)[math.ceil(0.99 * len(latencies)) - 1] / 1000, rel=0.011)
    assert server.value(f"resets({orders}[2m])") == 0


def wait_for(server: Prometheus, expression: str, value: float) -> None:
    """Wait until Prometheus has scraped it."""
    wait_until(lambda: server.value(expression) == value, 15, f"{expression} == {value}")


def increase(server: Prometheus, series: str) -> float:
    """Return what `increase()` says before it extrapolates to the ends of its range: last less first sample."""
    values = [float(value) for _, value in server.query(f"{series}[2m]")[0]["values"]]
    return values[-1] - values[0]


def _scraped_since(server: Prometheus, since: float) -> bool:
    result = server.query('timestamp(flash_sale_orders_total{job="metrics",status="success"})')
    return bool(result) and float(result[0]["value"][1]) > since and server.value('up{job="metrics"}') == 1
