"""A recount of the orders of a stream, and what a daemon shows of them: count, sum and every classic bucket."""

import json
from collections import Counter
from typing import Any

import redis
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.daemon import Daemon
from tests.e2e.oracle import BUCKETS_MS

ENTRIES_A_READ = 5000
STREAM = "flash_sale:events"


class Recount(Struct, frozen=True):
    """Successful orders: how many, their latencies' sum in tenths of a millisecond, and at or below each bucket."""

    orders: int
    tenths: int
    buckets: tuple[int, ...]

    @classmethod
    def of(cls, latencies_ms: Counter[float]) -> "Recount":
        """Count orders by their latency."""
        return cls(
            latencies_ms.total(),
            round(sum(latency * 10 * count for latency, count in latencies_ms.items())),
            tuple(
                sum(count for latency, count in latencies_ms.items() if latency <= bound)
                for bound in (*BUCKETS_MS, float("inf"))
            ),
        )


def of_stream(client: redis.Redis) -> Recount:
    """Count what a stream that was never trimmed holds."""
    latencies: Counter[float] = Counter()
    position = "-"
    while entries := _entries(client, position):
        latencies.update(json.loads(fields[b"e"])["latency_ms"] for _, fields in entries)
        position = "(" + entries[-1][0].decode()
    return Recount.of(latencies)


def _entries(client: redis.Redis, position: str) -> list[Any]:
    entries: Any = client.xrange(STREAM, min=position, count=ENTRIES_A_READ)
    return list(entries)


def shown(daemon: Daemon) -> Recount:
    """Read `/metrics`."""
    values: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(daemon.text("/metrics")):
        for sample in family.samples:
            if sample.labels.get("status") == "success":
                values.setdefault(sample.name, []).append(sample.value)
    name = "flash_sale_order_latency_seconds"
    return Recount(
        int(values["flash_sale_orders_total"][0]),
        round(values[f"{name}_sum"][0] * 10_000),
        tuple(map(int, values[f"{name}_bucket"])),
    )
