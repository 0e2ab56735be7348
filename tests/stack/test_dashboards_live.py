"""Every query of every dashboard gives numbers, from a real Prometheus that has scraped a sale and the exporters.

Grafana itself takes no part: it is in no Debian package. What it would fill in for its variables is filled in here.
"""

import json
import math
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from websockets.sync.client import connect

from monitoring.dashboards.queries import FIRING
from tests.conftest import StartRedis
from tests.e2e.daemon import ROOT, Daemon
from tests.ports import free_port
from tests.programs import needs
from tests.redis_server import RedisServer
from tests.stack.dashboards import NAMES, Target, read, targets
from tests.waiting import wait_until

# A second where the stack has five, so that the test is quick.
SCRAPE = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%(rules)s]
scrape_configs:
  - job_name: sidecar
    static_configs: [{targets: ['127.0.0.1:%(daemon)d'], labels: {environment: rehearsal}}]
  - job_name: node
    static_configs: [{targets: ['127.0.0.1:%(node)d'], labels: {environment: rehearsal}}]
  - job_name: redis
    metrics_path: /scrape
    static_configs: [{targets: ['%(primary)s', '%(replica)s'], labels: {environment: rehearsal}}]
    relabel_configs:
      - {source_labels: [__address__], target_label: __param_target}
      - {source_labels: [__param_target], target_label: instance}
      - {target_label: __address__, replacement: '127.0.0.1:%(redis)d'}
"""
RULES = """
groups:
  - name: test
    rules:
      - {alert: Watchdog, expr: vector(1)}
      - {alert: SomethingIsWrong, expr: vector(1), labels: {severity: critical}}
      - {alert: SomethingIsStrange, expr: vector(1), labels: {severity: warning}}
      - {alert: SomethingIsNew, expr: vector(1), labels: {severity: info}}
"""
SETTINGS = "{commit_interval: 100ms, metrics: {new_series_hold: 1s, max_products: 20}}"
VARIABLES = {
    "environment": "rehearsal",
    "instance": ".*",
    "product": ".*",
    "redis": ".*",
    "node": ".*",
    "__rate_interval": "10s",
    "__range": "900s",
}
# What a healthy sale does not produce. Sequence numbers of a producer of its own: a hole, a repeat.
ODDITIES = (
    "no JSON at all",
    '{"type":"something-else"}',
    '{"type":"heartbeat","producer":"odd","epoch":1,"seq":1}',
    '{"status":"success","producer":"odd","epoch":1,"seq":2}',
    '{"status":"success","producer":"odd","epoch":1,"seq":2}',
    '{"status":"success","producer":"odd","epoch":1,"seq":9}',
    '{"status":"failed","reason":"internal_error","ts":%(past)f}',
)
METRIC = re.compile(r"\b(?:flash_sale|process|redis|node)_\w+")
DEADLINE_SECONDS = 60.0  # a loaded machine; a quiet one needs fifteen


class Stack:
    """A sale, Redis with a replica, exporters and a Prometheus that scrapes them all."""

    def __init__(self, folder: Path, primary: RedisServer, replica: RedisServer) -> None:
        self._folder, self._primary = folder, primary
        self._processes: list[subprocess.Popen[bytes]] = []
        self.daemon = Daemon(folder, primary.url, settings=SETTINGS)
        self.port = free_port()
        self._ports = {"daemon": self.daemon.http, "node": free_port(), "redis": free_port()}
        self._replicas = {"primary": f"127.0.0.1:{primary.port}", "replica": f"127.0.0.1:{replica.port}"}

    def start(self) -> None:
        """Start everything; the sale goes on for a minute."""
        rules, config = self._folder / "rules.yml", self._folder / "prometheus.yml"
        rules.write_text(RULES)
        config.write_text(SCRAPE % (self._ports | self._replicas | {"rules": rules}))
        self._run(needs("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{self._ports['node']}")
        self._run(needs("prometheus-redis-exporter"), f"--web.listen-address=127.0.0.1:{self._ports['redis']}")
        self._run(
            needs("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        )
        self.daemon.start()
        sale = ("simulate", "--redis-url", self._primary.url, "--rate", "50", "--duration", "60", "--seed", "1")
        self._run(sys.executable, "-m", "sidecar", *sale)
        wait_until(self._is_ready, DEADLINE_SECONDS, f"Prometheus; its log: {self._folder}/prometheus.log")

    def stop(self) -> None:
        """End everything."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(20)
        self.daemon.end()

    def disturb(self) -> None:
        """Publish what a healthy sale does not, and look something up."""
        client = redis.Redis(port=self._primary.port)
        for text in ODDITIES:
            client.publish("flash_sale:events", text.replace("%(past)f", str(time.time() - 30)))
        client.get("flash_sale_metrics:order_status:success")
        client.close()

    def query(self, target: Target) -> list[dict[str, Any]]:
        """Return the series of a panel's query, as Grafana asks for it; without values that are no numbers."""
        expression, now = substituted(target.expression), time.time()
        if target.instant:
            found = self._ask("query", query=expression)
            series = [one | {"values": [one["value"]]} for one in found]
        else:
            series = self._ask("query_range", query=expression, start=now - 60, end=now, step=1)
        return [one for one in series if any(not math.isnan(float(value)) for _, value in one["values"])]

    def values_of(self, series: str, label: str) -> list[str]:
        """Return what `label_values(series, label)` offers to choose from."""
        arguments = {"match[]": substituted(series)} if series else {}
        found: list[str] = self._get(f"label/{label}/values", arguments)
        return found

    def _ask(self, path: str, **arguments: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get(path, arguments)["result"]
        return found

    def _get(self, path: str, arguments: dict[str, Any]) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as exc:
            with exc:
                raise AssertionError(f"{arguments}: {exc.read().decode()}") from exc

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=2):
                return True
        except OSError:
            return False

    def _run(self, *command: str) -> None:
        with (self._folder / f"{Path(command[0]).name}.log").open("w") as log:
            self._processes.append(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log))


@pytest.fixture
def stack(tmp_path: Path, start_redis: StartRedis) -> Iterator[Stack]:
    """A running stack."""
    primary = start_redis("--save", "", "--maxmemory", "100mb")
    replica = start_redis("--save", "", "--replicaof", "127.0.0.1", str(primary.port))
    running = Stack(tmp_path, primary, replica)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def substituted(expression: str) -> str:
    """Return an expression with the dashboard's variables filled in."""
    return re.sub(r"\$(\w+)", lambda name: VARIABLES[name.group(1)], expression)


@pytest.mark.needs("prometheus", "prometheus-redis-exporter", "prometheus-node-exporter")
def test_every_query_gives_numbers(stack: Stack) -> None:
    """Each gave data at some moment of the sale, and its legend names labels that all of its series have."""
    wait_until(lambda: stack.daemon.received() > 0, 20, "the first event")
    empty = {target for name in NAMES for target in targets(name)} | {
        Target("the annotation", FIRING, True, "{{alertname}}")
    }
    unlabelled: dict[str, list[str]] = {}
    deadline = time.monotonic() + DEADLINE_SECONDS
    with connect(f"ws://127.0.0.1:{stack.daemon.ws}/") as client:
        client.send('{"event":"subscribe-metrics"}')
        while empty and time.monotonic() < deadline:
            stack.disturb()
            for target in sorted(empty, key=lambda one: one.where):
                if series := stack.query(target):
                    empty.discard(target)
                    missing = [label for label in target.labels if any(not one["metric"].get(label) for one in series)]
                    if missing:
                        unlabelled[target.where] = missing
    assert sorted(f"{target.where}: {substituted(target.expression)}" for target in empty) == []
    assert unlabelled == {}
    for variable in (one for name in NAMES for one in read(name)["templating"]["list"] if one["type"] == "query"):
        found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
        assert found, variable["query"]
        assert stack.values_of(*found.groups()), variable["query"]
    # A query with `or vector(0)` gives numbers whatever its metric is called.
    names = {word for name in NAMES for target in targets(name) for word in METRIC.findall(target.expression)}
    assert len(names) > 50
    assert names - set(stack.values_of("", "__name__")) == set()
    firing = stack.query(Target("", FIRING, True, ""))
    assert {one["metric"]["alertname"] for one in firing} == {
        f"SomethingIs{how}" for how in ("Wrong", "Strange", "New")
    }
