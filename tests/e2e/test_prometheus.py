"""A real Prometheus scrapes the daemon, in both ways the contract offers."""

import json
import math
import re
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
from tests.programs import PROMETHEUSES_3, needs
from tests.redis_server import RedisServer
from tests.waiting import wait_until

CHANNEL = "flash_sale:events"
CONFIG = """
global: {scrape_interval: 1s, evaluation_interval: 1s%s}
scrape_configs:
  - {job_name: metrics, static_configs: [{targets: ['127.0.0.1:%d']}]}
  - {job_name: monitoring, metrics_path: /monitoring/metrics, static_configs: [{targets: ['127.0.0.1:%d']}]}
"""


class Prometheus:
    """A server that scrapes one daemon every second."""

    def __init__(
        self, folder: Path, daemon: Daemon, *, program: str = "prometheus", features: str = "", settings: str = ""
    ) -> None:
        self.port = free_port()
        self.log = folder / "prometheus.log"
        config = folder / "prometheus.yml"
        config.write_text(CONFIG % (settings, daemon.http, daemon.http))
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    needs(program),
                    f"--enable-feature={features}",
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=log,
            )

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer, nothing while it does not answer."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}", timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            return {}

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        result: list[dict[str, Any]] = self.ask("query", query=expression).get("result", [])
        return result

    def value(self, expression: str) -> float | None:
        """Return the value of an expression that gives one series, `None` if it gives none."""
        result = self.query(expression)
        assert len(result) < 2, result
        return float(result[0]["value"][1]) if result else None


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[..., Prometheus]]:
    """Start a Prometheus for a daemon."""
    started: list[Prometheus] = []

    def start(daemon: Daemon, **settings: str) -> Prometheus:
        started.append(Prometheus(tmp_path, daemon, **settings))
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


NATIVE = {"features": "native-histograms,exemplar-storage"}
NATIVE_3 = {
    "features": "exemplar-storage,created-timestamp-zero-ingestion",
    "settings": ", scrape_native_histograms: true, always_scrape_classic_histograms: true",
}


@pytest.mark.campaign
@pytest.mark.needs("prometheus")
@pytest.mark.parametrize(
    "settings", [NATIVE, *({**NATIVE_3, "program": path} for path in PROMETHEUSES_3)], ids=lambda _: ""
)
def test_native_histograms_tell_the_p99_that_classic_buckets_miss(
    settings: dict[str, str],
    redis_server: RedisServer,
    make_daemon: MakeDaemon,
    prometheus: Callable[..., Prometheus],
) -> None:
    daemon = make_daemon(redis_server.url).start()
    server = prometheus(daemon, **settings)
    wait_until(lambda: server.value('flash_sale_orders_total{job="metrics",status="success"}') == 0, 30, "a scrape")
    skewed = statistics.NormalDist(4.15, 1)
    latencies = [round(math.exp(skewed.inv_cdf((i + 0.5) / 100_000)), 6) for i in range(100_000)]
    order = '{"status":"success","trace_id":"t","latency_ms":'
    with redis.Redis(port=redis_server.port) as client:
        for start in range(0, len(latencies), 10_000):
            client.publish(CHANNEL, f"[{','.join(f'{order}{ms}}}' for ms in latencies[start : start + 10_000])}]")
    name = "flash_sale_order_latency_seconds"
    p99 = latencies[math.ceil(0.99 * len(latencies)) - 1] / 1000
    for job in ("metrics", "monitoring"):
        series = f'{{job="{job}",status="success"}}'
        wait_for(server, f"histogram_count({name}{series})", len(latencies))
        assert server.value(f"histogram_sum({name}{series})") == pytest.approx(sum(latencies) / 1000)
        assert server.value(f"histogram_quantile(0.99, {name}{series})") == pytest.approx(p99, rel=0.005)
        assert server.value(f"flash_sale_orders_total{series}") == len(latencies)
        (exemplar, *_) = server.ask("query_exemplars", query=f"{name}{series}", start="0", end=str(time.time()))
        assert exemplar["exemplars"][0]["labels"] == {"trace_id": "t"}
    classic = server.value(f'histogram_quantile(0.99, {name}_bucket{{job="metrics",status="success"}})')
    if "program" in settings:
        assert classic is not None
        assert abs(classic / p99 - 1) > 0.05
        (rates,) = server.query(f'increase({name}{{job="metrics",status="success"}}[1m])')
        assert float(rates["histogram"][1]["count"]) >= len(latencies), "it began at 0"
    else:
        assert classic is None, "before version 2.45 Prometheus drops the buckets of a native histogram"
    assert not re.findall("(?:level=(?:WARN|ERROR|warn|error)) .*(?:scrape|append).*", server.log.read_text())
    targets = server.ask("targets")["activeTargets"]
    assert [(target["health"], target["lastError"]) for target in targets] == [("up", "")] * 2


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
