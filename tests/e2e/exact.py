"""Whether every number of a daemon is the one that was written."""

import redis

from tests.e2e.daemon import PREFIX, START_SECONDS, Daemon
from tests.e2e.producer import Producer
from tests.e2e.recount import STREAM, Recount, shown
from tests.redis_server import RedisServer
from tests.waiting import wait_until

COUNTED_SECONDS = 20.0


def wait_for_position(server: RedisServer) -> None:
    """Wait until the stream's position is stored: from here on, what is trimmed is counted."""
    client = redis.Redis(port=server.port)
    wait_until(lambda: client.hexists(f"{PREFIX}checkpoint", f"p:{STREAM}"), START_SECONDS, "a stored position")


def check_exact(daemon: Daemon, producer: Producer) -> Recount:
    """Compare every place with a recount of what was written, and return that."""
    client, truth = producer.client, producer.truth()
    wait_until(lambda: daemon.received() >= truth.orders, COUNTED_SECONDS, f"{truth.orders} events counted")
    assert shown(daemon) == truth
    snapshot = daemon.snapshot()
    assert snapshot["orders"]["total"] == truth.orders
    assert snapshot["latency_ms"]["total"]["count"] == truth.orders
    assert sum(product["units"] for product in snapshot["orders"]["by_product"].values()) == truth.orders
    assert snapshot["completeness"]["missed"] == 0
    assert int(client.get(f"{PREFIX}order_status:success") or 0) == truth.orders
    seconds = [int(client.get(key) or 0) for key in client.scan_iter(f"{PREFIX}throughput:*")]
    assert sum(seconds) == truth.orders
    return truth
