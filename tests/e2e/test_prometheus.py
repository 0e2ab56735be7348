"""A real Prometheus scrapes the daemon, in both ways the contract offers."""

import json
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
from tests.programs import needs
from tests.redis_server import RedisServer, free_port
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
    settings = "{products: [reserved], metrics: {new_series_hold: 2s}, commit_interval: 100ms}"
    daemon = make_daemon(redis_server.url, settings=settings).start()
    server = prometheus(daemon)
    wait_until(lambda: server.value('flash_sale_orders_total{job="metrics",status="success"}') == 0, 30, "a scrape")
    client = redis.Redis(port=redis_server.port)
    latencies = [float(1 + i % 200) for i in range(500)]
    true_median = statistics.median(latencies) / 1000
    for i, latency in enumerate(latencies):
        product = "reserved" if i % 2 else "surprise"
        client.publish(
            CHANNEL, json.dumps({"status": "success", "product_id": product, "latency_ms": latency, "order_id": f"o{i}"})
        )
    for job in ("metrics", "monitoring"):
        of = f'{{job="{job}"}}'
        wait_until(lambda of=of: server.value(f"sum(flash_sale_orders_total{of})") == 500, 15, f"500 orders in {job}")
        wait_until(
            lambda job=job: server.value(f'flash_sale_units_sold_total{{job="{job}",product_id="surprise"}}') == 250, 15
        )
        assert server.value(f'up{{job="{job}"}}') == 1
    for _ in range(2):  # before and after a restart
        samples = f'flash_sale_orders_total{{job="metrics",status="success"}}[1m]'
        # increase() extrapolates to the ends of its range; the difference of first and last sample does not
        assert increase(server, samples) == 500
        product = 'flash_sale_product_orders_total{job="metrics",status="success",product_id="%s"}[1m]'
        assert increase(server, product % "reserved") == 250
        assert increase(server, product % "surprise") == 250
        bucket = 'flash_sale_order_latency_seconds_bucket{job="metrics",status="success"}'
        median = server.value(f"histogram_quantile(0.5, {bucket})")
        assert median == pytest.approx(true_median, rel=0.05)
        exact = server.value('flash_sale_order_latency_quantile_seconds{job="metrics",quantile="0.99",window="total"}')
        assert exact == pytest.approx(0.198, rel=0.011)
        assert server.value(f"sum(resets({samples}))") == 0
        assert daemon.stop() == 0
        daemon.start()
        scraped = time.time()
        wait_until(lambda since=scraped: _scraped_since(server, since), 15, "a scrape after the restart")
    assert server.value('sum(flash_sale_orders_total{job="metrics"})') == 500


def increase(server: Prometheus, samples: str) -> float:
    """Return the last less the first sample of a range, that is, what `increase()` extrapolates from."""
    values = [float(value) for _, value in server.query(samples)[0]["values"]]
    return values[-1] - values[0]


def _scraped_since(server: Prometheus, since: float) -> bool:
    result = server.query('timestamp(flash_sale_orders_total{job="metrics",status="success"})')
    return bool(result) and float(result[0]["value"][1]) > since and server.value('up{job="metrics"}') == 1
