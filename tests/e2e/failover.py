"""What a failover test needs: a backend that goes on writing, a Prometheus that watches, and a recount."""

import json
import threading
import time
import urllib.request
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from typing import Any

import redis
from prometheus_client.parser import text_string_to_metric_families
from redis.exceptions import RedisClusterException

from sidecar.config import Config
from sidecar.core.checkpoint.state import load_state
from sidecar.daemon.build import rules
from tests.e2e.daemon import Daemon
from tests.waiting import wait_until

Connect = Callable[[], Any]
NS_PER_MS = 10**6
# Whatever a client, or the search for a master, says while there is none.
UNREACHABLE = (redis.RedisError, RedisClusterException, OSError, AssertionError, StopIteration)
BUCKETS_NS = rules(Config()).buckets_ns


class Backend(threading.Thread):
    """Write an order every few milliseconds, whatever happens to Redis; a write that fails is not repeated."""

    def __init__(self, connect: Connect, stream: str) -> None:
        """`connect` returns a client of whoever is master now, and may raise."""
        super().__init__(daemon=True)
        self._connect = connect
        self._stream = stream
        self._done = threading.Event()
        self.written = 0
        self.start()

    def run(self) -> None:
        """Write."""
        client = None
        while not self._done.wait(0.003):
            try:
                client = client or self._connect()
                i = self.written
                event = {"status": "success", "product_id": f"sku-{i % 7}", "latency_ms": i % 2000, "amount": "1.10"}
                client.xadd(self._stream, {"e": json.dumps(event)})
                self.written += 1
            except UNREACHABLE:
                client = None

    def finish(self) -> None:
        """Stop writing."""
        self._done.set()
        self.join()


class Scraper(threading.Thread):
    """Scrape without a pause, and note every counter that goes back: Prometheus would count it as a restart."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{daemon.http}/metrics"
        self._done = threading.Event()
        self._highest: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self.fallen: list[str] = []
        self.scrapes = 0
        self.start()

    def run(self) -> None:
        """Scrape."""
        while not self._done.wait(0.05):
            try:
                with urllib.request.urlopen(self._url, timeout=5) as answer:
                    text = answer.read().decode()
            except OSError:
                continue
            self.scrapes += 1
            for family in text_string_to_metric_families(text):
                if family.type in ("counter", "histogram") and family.name.startswith("flash_sale_"):
                    for sample in family.samples:
                        self._compare(sample.name, tuple(sorted(sample.labels.items())), sample.value)

    def _compare(self, name: str, labels: tuple[tuple[str, str], ...], value: float) -> None:
        if value < self._highest.get((name, labels), 0):
            self.fallen.append(f"{name}{dict(labels)}: {value} after {self._highest[name, labels]}")
        self._highest[name, labels] = value

    def finish(self) -> None:
        """Stop, and fail if anything went back."""
        self._done.set()
        self.join()
        assert self.scrapes > 0
        assert not self.fallen, self.fallen[:5]


def check_recount(connect: Connect, daemon: Daemon, *, stream: str, prefix: str, state: Any = None) -> int:
    """The counters equal a recount of the stream as it is: number, sum, every bucket, every product, in Redis and out.

    Nobody writes meanwhile. `state` is a client of the Redis of the metrics, where that is another one. Return how
    many there are.
    """
    client = connect()
    keeper = state or client
    orders, sum_ns = 0, 0
    buckets, products = Counter[int](), Counter[str]()
    for _, fields in client.xrange(stream):
        event = json.loads(fields[b"e"])
        orders += 1
        sum_ns += event["latency_ms"] * NS_PER_MS
        buckets[bisect_left(BUCKETS_NS, event["latency_ms"] * NS_PER_MS)] += 1
        products[event["product_id"]] += 1
    wait_until(lambda: _counted(daemon) == orders, 10, f"{orders} orders, of which {_counted(daemon)} are counted,")
    time.sleep(0.1)  # and no more of them
    counts = load_state({name.decode(): value for name, value in keeper.hgetall(f"{prefix}checkpoint").items()})
    timing = counts.timings["latency:success"]
    assert counts.total.tallies["orders"]["success"] == orders
    assert timing.histogram.sum_ns == sum_ns
    counted = {i: n for i, n in enumerate(timing.classic.counts) if n}
    assert counted == buckets, f"{counted} counted, {dict(buckets)} there"
    assert {name: product.success for name, product in counts.products.items()} == products
    assert int(keeper.get(f"{prefix}order_status:success")) == orders
    assert _counted(daemon) == orders
    return orders


def _counted(daemon: Daemon) -> int:
    return int(daemon.snapshot()["orders"]["by_status"]["success"])
