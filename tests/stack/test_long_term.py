"""What is kept for long: by a real VictoriaMetrics and a real InfluxDB, with the files and settings of the docs."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from tests.cli.commands import invoke
from tests.e2e.daemon import ROOT, Daemon
from tests.redis_server import RedisServer
from tests.stack.alerting import Stack
from tests.stack.storage import InfluxDB, VictoriaMetrics
from tests.waiting import wait_until

STREAM = "flash_sale:events"
PRODUCT = "red, size=42 / XL"
SECRET = "influx-s3cret"
BACK_SECONDS = 45.0  # the longest pause between two tries is 30 s


def queries(language: str) -> list[str]:
    """Return the lines of the page's blocks in a language."""
    page = (ROOT / "docs" / "long-term.md").read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [line for block in found for line in block.splitlines()]


def publish(server: RedisServer, orders: int) -> None:
    """Add orders to the stream, and what is left."""
    order = {"status": "success", "product_id": PRODUCT, "latency_ms": 40, "amount": "2.50", "currency": "EUR"}
    with redis.Redis(port=server.port) as client:
        client.xadd(
            STREAM, {"e": json.dumps([order] * orders + [{"type": "inventory", "product_id": PRODUCT, "stock": 60}])}
        )


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[InfluxDB]:
    """An InfluxDB, set up as the page says: a database, and a user who may only write there."""
    database = InfluxDB(tmp_path / "influx")
    try:
        database.start()
        database.set_up([line.replace("choose one", SECRET) for line in queries("influxql") if "SELECT" not in line])
        yield database
    finally:
        database.stop()


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[VictoriaMetrics]:
    """A VictoriaMetrics."""
    database = VictoriaMetrics(tmp_path / "victoria")
    try:
        database.start()
        yield database
    finally:
        database.stop()


@pytest.fixture
def daemon(tmp_path: Path, redis_server: RedisServer) -> Iterator[Daemon]:
    """A daemon whose file can be written until it is started."""
    daemon = Daemon(tmp_path, redis_server.url)
    yield daemon
    daemon.end()


def configure(folder: Path, **settings: str) -> None:
    """Let the daemon write to an InfluxDB every second."""
    config = {"influx": {"interval": "1s", **settings}, "environment": "test", "instance": "here"}
    config |= {"metrics": {"new_series_hold": "0"}, "commit_interval": "1s"}
    (folder / "daemon.yml").write_text(yaml.safe_dump(config))


def component(daemon: Daemon) -> dict[str, Any]:
    """Return what health says of the output."""
    found: dict[str, Any] = daemon.ask("/monitoring/health")[1]["components"]["influx"]
    return found


def sample(daemon: Daemon, series: str) -> float:
    """Return the value of one series of the exposition; asked for by name, it is the one of now."""
    text = daemon.text(f"/metrics?name[]={series.partition('{')[0]}")
    found = [line.rpartition(" ") for line in text.splitlines() if line.startswith(f"{series} ")]
    return float(found[0][2])


def written(daemon: Daemon, outcome: str) -> float:
    """Return how many points ended like this."""
    return sample(daemon, f'flash_sale_sidecar_influx_points_total{{outcome="{outcome}"}}')


def last_event(daemon: Daemon) -> float:
    """Return when the newest event was read, committed or not."""
    return sample(daemon, f'flash_sale_sidecar_source_last_event_timestamp_seconds{{source="stream:{STREAM}"}}')


@pytest.mark.needs("influxd")
@pytest.mark.parametrize(
    ("database", "password", "level", "text"),
    [
        ("sale", SECRET, "ok", "takes writes"),
        ("sale", "wrong", "problem", "HTTP 401: authorization failed: check influx.token, or influx.username"),
        ("other", SECRET, "problem", "HTTP 404: database not found"),
    ],
)
def test_a_check_asks_influxdb_and_leaves_nothing_there(
    database: str, password: str, level: str, text: str, influx: InfluxDB, redis_server: RedisServer
) -> None:
    settings = {"url": influx.url, "database": database, "username": "sidecar", "password": password}
    environment = {f"SIDECAR_INFLUX_{name.upper()}": value for name, value in settings.items()}
    result = invoke("check", SIDECAR_REDIS_URL=redis_server.url, **environment)
    found = [line for line in result.stdout.splitlines() if "InfluxDB at" in line]
    assert [line.split()[0] for line in found] == [level]
    assert text in found[0]
    assert result.exit_code == (level == "problem")
    assert not influx.rows("sale", "SHOW MEASUREMENTS")


@pytest.mark.campaign
@pytest.mark.needs("influxd")
def test_influxdb_holds_what_the_json_says_and_an_outage_leaves_no_hole(
    influx: InfluxDB, daemon: Daemon, redis_server: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(SECRET)
    login = {"username": "sidecar", "password_file": str(tmp_path / "password")}
    configure(tmp_path, url=influx.url, database="sale", **login)
    daemon.start()
    publish(redis_server, 40)
    wait_until(lambda: influx.last("sale", "success", "flash_sale_orders") == 40, 20, "the orders in InfluxDB")
    check_numbers(influx, daemon.snapshot())
    check_queries(influx)
    assert component(daemon) == {"status": "ok"}

    influx.kill()
    killed = time.time()
    publish(redis_server, 2)
    wait_until(lambda: "points wait" in component(daemon).get("detail", ""), 20, "the loss of InfluxDB")
    wait_until(lambda: daemon.snapshot()["orders"]["total"] == 42, 10, "counting to go on")
    assert daemon.ask("/monitoring/health")[1]["status"] == "degraded"
    restarted = time.time()
    influx.start()
    wait_until(lambda: component(daemon) == {"status": "ok"}, BACK_SECONDS, "InfluxDB back")
    wait_until(lambda: influx.last("sale", "success", "flash_sale_orders") == 42, 20, "the orders since")
    at = [row[0] / 10**9 for row in influx.rows("sale", "SELECT success FROM flash_sale_orders")]
    assert [one for one in at if killed < one < restarted], "points of the outage"
    assert written(daemon, "dropped") == written(daemon, "refused") == 0

    before = last_event(daemon)
    publish(redis_server, 8)
    wait_until(lambda: last_event(daemon) > before, 10, "the last orders read; they are committed by the stop")
    assert daemon.stop() == 0
    assert influx.last("sale", "success", "flash_sale_orders") == 50, "the last numbers are written at the end"
    log = daemon.log.read_text()
    assert "InfluxDB is away" in log
    assert "InfluxDB is back" in log
    assert SECRET not in log


def check_numbers(influx: InfluxDB, snapshot: dict[str, Any]) -> None:
    """What can be asked of InfluxDB is what the JSON says."""
    ours = "environment = 'test' AND instance = 'here'"
    product = f"flash_sale_product WHERE product_id = '{PRODUCT}' AND {ours}"
    assert influx.last("sale", "units", product) == 40
    assert influx.last("sale", "amount", f"flash_sale_revenue WHERE currency = 'EUR' AND {ours}") == 100
    times = f"flash_sale_latency WHERE window = 'total' AND status = 'success' AND {ours}"
    assert influx.last("sale", "p99_ms", times) == snapshot["latency_ms"]["by_status"]["success"]["p99"]
    assert influx.last("sale", "stale", "flash_sale_sidecar") is False
    (at, _), *_ = influx.rows("sale", "SELECT last(success) FROM flash_sale_orders")
    assert abs(at / 10**9 - time.time()) < 30


def check_queries(influx: InfluxDB) -> None:
    """Every question of the page is one, and those about now have an answer; a rate needs more than ten seconds."""
    for line in queries("influxql"):
        if line.startswith("SELECT"):
            assert influx.ask("sale", line) or "2025-11-28" in line or "derivative" in line, line


@pytest.mark.needs("influxd")
def test_a_database_that_is_not_there_is_said_with_the_words_of_influxdb(
    influx: InfluxDB, daemon: Daemon, tmp_path: Path
) -> None:
    configure(tmp_path, url=influx.url, database="other", username="root", password="root-secret")
    daemon.start()
    wait_until(lambda: written(daemon, "refused") > 0, 20, "the refusal")
    assert 'HTTP 404: database not found: "other": create the database' in component(daemon)["detail"]
    assert "InfluxDB refused points" in daemon.log.read_text()


@pytest.mark.campaign
@pytest.mark.needs("victoria-metrics")
def test_victoria_metrics_takes_the_lines_as_well(
    victoria: VictoriaMetrics, daemon: Daemon, redis_server: RedisServer, tmp_path: Path
) -> None:
    configure(tmp_path, url=victoria.url, database="sale")
    daemon.start()
    publish(redis_server, 40)
    units = f'flash_sale_product_units{{product_id="{PRODUCT}",environment="test",instance="here"}}'
    wait_until(lambda: victoria.value(units) == 40, 20, "the units in VictoriaMetrics")
    assert victoria.value('flash_sale_latency_p99_ms{status="success",window="total"}') == pytest.approx(40)


@pytest.mark.campaign
@pytest.mark.needs("prometheus", "victoria-metrics")
def test_prometheus_writes_everything_on_to_victoria_metrics(
    victoria: VictoriaMetrics, daemon: Daemon, redis_server: RedisServer, tmp_path: Path
) -> None:
    configure(tmp_path)
    daemon.start()
    (tmp_path / "stack").mkdir()
    stack = Stack(tmp_path / "stack", sidecar=daemon.http)
    stack.write("prometheus-longterm.yml", storage=f"127.0.0.1:{victoria.port}")
    try:
        stack.start_prometheus("prometheus-longterm.yml")
        publish(redis_server, 40)
        orders = 'flash_sale_orders_total{status="success",environment="test",job="sidecar"}'
        wait_until(lambda: victoria.value(orders) == 40, 60, "the orders in VictoriaMetrics")
        p99 = "histogram_quantile(0.99, sum by (le) (flash_sale_order_latency_seconds_bucket))"
        wait_until(lambda: 0.025 < (victoria.value(p99) or 0) <= 0.05, 30, "the histogram")
        wait_until(lambda: victoria.value('up{job="sidecar"}') == 1, 30, "what Prometheus adds")
        for query in queries("promql"):
            assert victoria.get("/api/v1/query", {"query": query}), query
            assert stack.value(query) in (None, 0), "no sale two hours ago, and nothing to alert on"
    finally:
        stack.stop()
