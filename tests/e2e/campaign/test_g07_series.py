"""G7: however many names events bring, series are bounded, sums exact, and what went to `__other__` is counted."""

import json
from collections import Counter

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Guarantee
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import Daemon
from tests.e2e.recount import STREAM
from tests.guarantees import sizes
from tests.redis_server import RedisServer
from tests.waiting import wait_until

PRODUCTS_KEPT, REASONS_KEPT = 1000, 100
CONFIGURED = "reserved"
AT_ONCE = 1000
MOST_SERIES = 5 * (PRODUCTS_KEPT + 1) + 500  # a product without stock has four statuses and its units


@pytest.mark.parametrize("names", sizes(100_000, 300_000, 1_000_000))
def test_a_flood_of_names(names: int, redis_server: RedisServer, make_daemon: MakeDaemon, guarantee: Guarantee) -> None:
    daemon = make_daemon(
        redis_server.url, settings=f"{{products: [{CONFIGURED}], metrics: {{new_series_hold: 0s}}}}"
    ).start()
    client = redis.Redis(port=redis_server.port)
    for start in range(0, names, AT_ONCE):
        client.xadd(STREAM, {"e": json.dumps([order(i) for i in range(start, start + AT_ONCE)])})
    client.xadd(STREAM, {"e": json.dumps(order(0) | {"product_id": CONFIGURED})})
    wait_until(lambda: daemon.received() == names + 1, 120, f"{names + 1} events counted")
    orders, units, overflow, series = told(daemon)
    failed = names // 2
    assert orders.total() == names + 1
    assert orders["failed"] == failed
    assert units["__other__"] + sum(units[name] for name in units if name != "__other__") == names + 1 - failed
    assert len(units) <= PRODUCTS_KEPT + 1
    assert units[CONFIGURED] == 1, "a configured product has its place however late it comes"
    assert overflow["product"] == names - (PRODUCTS_KEPT - 1)
    assert overflow["reason"] == failed - REASONS_KEPT
    assert series <= MOST_SERIES
    guarantee("G7", f"{names:,} product ids, {failed:,} reasons: {series:,} series, sums exact, the rest in __other__")


def order(i: int) -> dict[str, object]:
    """Return one of two orders that succeeds, and one that fails with a reason of its own."""
    outcome = {"status": "failed", "reason": f"r{i}"} if i % 2 else {"status": "success"}
    return {"product_id": f"p{i}", **outcome}


def told(daemon: Daemon) -> tuple[Counter[str], Counter[str], Counter[str], int]:
    """Read `/metrics`: orders by status over all products, units by product, overflow by label, number of series."""
    orders, units, overflow, series = Counter[str](), Counter[str](), Counter[str](), 0
    for family in text_string_to_metric_families(daemon.text("/metrics")):
        for sample in family.samples:
            series += 1
            match sample.name:
                case "flash_sale_product_orders_total":
                    orders[sample.labels["status"]] += int(sample.value)
                case "flash_sale_units_sold_total":
                    units[sample.labels["product_id"]] += int(sample.value)
                case "flash_sale_sidecar_label_overflow_total":
                    overflow[sample.labels["label"]] += int(sample.value)
    return orders, units, overflow, series
