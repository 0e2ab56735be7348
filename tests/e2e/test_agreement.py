"""Mixed events: JSON, Prometheus, Redis keys and WebSocket all equal an independent computation."""

import json
import time
from decimal import Decimal
from typing import Any

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import PREFIX, Daemon
from tests.e2e.oracle import PERCENTILES, Truth, cumulative, mixed_events, order_statistic
from tests.guarantees import in_campaign
from tests.redis_server import RedisServer
from tests.waiting import wait_until

SEED = 20_261_122
NAME = "flash_sale:events"


@pytest.mark.parametrize("number", [3_000, *in_campaign(30_000)])
@pytest.mark.parametrize("transport", ["pubsub", "stream"])
async def test_every_reader_shows_what_was_published(
    transport: str, number: int, redis_server: RedisServer, make_daemon: MakeDaemon
) -> None:
    daemon = make_daemon(redis_server.url, settings="metrics: {new_series_hold: 1s}").start()
    events = mixed_events(SEED, number, time.time())
    client = redis.Redis(port=redis_server.port)
    publish(client, transport, events)
    wait_until(lambda: daemon.received() >= number, 30, f"all events counted (seed {SEED})")
    truth = Truth(events)

    snapshot = daemon.snapshot()
    check_json(snapshot, truth)
    check_prometheus(daemon, truth)
    check_keys(client, truth)
    async with connect(f"ws://127.0.0.1:{daemon.ws}/") as websocket:
        topics = ["orders", "latency", "processing", "queues", "completeness", "products"]
        await websocket.send(json.dumps({"event": "subscribe-metrics", "data": {"topics": topics}}))
        assert json.loads(await websocket.recv())["event"] == "subscribed"
        update = json.loads(await websocket.recv())
    assert update["event"] == "metrics-update"
    check_json(update["data"], truth)
    assert daemon.stop() == 0


def publish(client: redis.Redis, transport: str, events: list[dict[str, Any]]) -> None:
    """Publish single events and small batches, as backends do."""
    pipe = client.pipeline(transaction=False)
    i = 0
    while i < len(events):
        size = 1 + i % 3 * (i % 2)
        part = events[i : i + size]
        payload = json.dumps(part if len(part) > 1 else part[0])
        if transport == "pubsub":
            pipe.publish(NAME, payload)
        else:
            pipe.xadd(NAME, {"other": "ignored", "e": payload})
        i += size
        if i % 500 < size:
            pipe.execute()
    pipe.execute()


def check_json(data: dict[str, Any], truth: Truth) -> None:
    orders = data["orders"]
    assert orders["total"] == truth.total
    assert orders["by_status"] == {s: truth.by_status[s] for s in ("success", "failed", "pending", "cancelled")}
    assert orders["failed_by_reason"] == dict(truth.reasons)
    assert (orders["refusals"], orders["faults"]) == (truth.refusals, truth.by_status["failed"] - truth.refusals)
    assert orders["error_rate"]["total"] == pytest.approx(truth.by_status["failed"] / truth.total)
    assert orders["error_rate"]["1m"] == pytest.approx(truth.by_status["failed"] / truth.total)
    assert {currency: Decimal(value) for currency, value in orders["revenue"].items()} == truth.revenue
    assert orders["per_second"]["peak"] == max(truth.per_second.values())
    assert orders["by_product"].keys() == truth.products.keys() | truth.stock.keys()
    for name, product in truth.products.items():
        assert orders["by_product"][name] == {
            key: product[key] for key in ("success", "failed", "pending", "cancelled", "units")
        }
    check_timings(data["latency_ms"], truth.latency)
    check_timings(data["processing_ms"], truth.processing)
    assert {name: queue["waiting"] for name, queue in data["queues"].items()} == truth.waiting
    if "inventory" in data:
        assert {name: stock["stock"] for name, stock in data["inventory"].items()} == truth.stock
    completeness = data["completeness"]
    assert (completeness["received"], completeness["missed"]) == (truth.received, 0)
    assert (completeness["duplicates"], completeness["invalid"]) == (0, 0)
    assert (completeness["ignored"], completeness["ratio"]) == (truth.ignored, 1.0)


def check_timings(timings: dict[str, Any], truth: dict[str, list[float]]) -> None:
    everything = sorted(truth["success"] + truth["failed"])
    pairs = [(timings["total"], everything), (timings["1m"], everything)]
    pairs += [(timings["by_status"][status], values) for status, values in truth.items()]
    for shown, values in pairs:
        assert shown["count"] == len(values)
        assert shown["avg"] == pytest.approx(sum(values) / len(values), rel=1e-9)
        assert (shown["min"], shown["max"]) == pytest.approx((values[0], values[-1]))
        for name, permille in PERCENTILES.items():
            assert shown[name] == pytest.approx(order_statistic(values, permille), rel=0.011)


def check_prometheus(daemon: Daemon, truth: Truth) -> None:
    wait_until(lambda: _samples(daemon)["flash_sale_orders_total", ("status", "success")], 10, "a scrape")
    samples = _settled(daemon, truth)
    for status in ("success", "failed"):
        assert samples["flash_sale_orders_total", ("status", status)] == truth.by_status[status]
        values = truth.latency[status]
        buckets = [
            value
            for (name, *labels), value in samples.items()
            if name == "flash_sale_order_latency_seconds_bucket" and ("status", status) in labels
        ]
        assert buckets == cumulative(values)
        assert samples["flash_sale_order_latency_seconds_sum", ("status", status)] == pytest.approx(sum(values) / 1000)
    assert samples["flash_sale_orders_pending_total",] == truth.by_status["pending"]
    assert samples["flash_sale_orders_cancelled_total",] == truth.by_status["cancelled"]
    for currency, amount in truth.revenue.items():
        assert samples["flash_sale_revenue_total", ("currency", currency)] == pytest.approx(float(amount))
    for name, product in truth.products.items():
        assert samples["flash_sale_units_sold_total", ("product_id", name)] == product["units"]
    for reason, count in truth.reasons.items():
        kind = "refusal" if reason in ("sold_out", "limit_reached", "duplicate", "payment_declined") else "fault"
        assert samples["flash_sale_order_failures_total", ("kind", kind), ("reason", reason)] == count


def _settled(daemon: Daemon, truth: Truth) -> dict[Any, float]:
    """Return the samples once new series are no longer held at 0."""

    def shown() -> dict[Any, float] | None:
        samples = _samples(daemon)
        units = sum(value for (name, *_), value in samples.items() if name == "flash_sale_units_sold_total")
        failures = sum(value for (name, *_), value in samples.items() if name == "flash_sale_order_failures_total")
        sold = sum(product["units"] for product in truth.products.values())
        return samples if (units, failures) == (sold, truth.by_status["failed"]) else None

    found = wait_until(shown, 15, "the new series to be shown")
    assert found is not None
    return found


def _samples(daemon: Daemon) -> dict[Any, float]:
    text = daemon.text("/metrics", "text/plain;version=0.0.4")
    return {
        (sample.name, *sorted((k, v) for k, v in sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def check_keys(client: redis.Redis, truth: Truth) -> None:
    for status in ("success", "failed", "pending", "cancelled"):
        assert int(client.get(f"{PREFIX}order_status:{status}") or 0) == truth.by_status[status]
    for second, count in truth.per_second.items():
        assert int(client.get(f"{PREFIX}throughput:{second}") or 0) == count
    for product, stock in truth.stock.items():
        assert int(client.get(f"{PREFIX}inventory:{product}") or 0) == stock
    latencies = set(truth.latency["success"] + truth.latency["failed"])
    samples = client.lrange(f"{PREFIX}order_latency", 0, -1)
    assert 100 <= len(samples) <= 10_000
    assert {float(sample) for sample in samples} <= latencies
    for key in ("order_status:success", "order_latency", f"throughput:{max(truth.per_second)}"):
        assert 3500 < client.ttl(PREFIX + key) <= 3600
