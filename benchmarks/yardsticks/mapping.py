"""What a payload costs on its way to an event, without Redis: decoded only, our own, mapped, or read with jmespath.

And what an event costs in a custom metric. Takes the name of one of these and how many payloads or events; prints the
CPU microseconds of each.
"""

import json
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOGETHER = 100  # payloads of one read
ARRIVAL = 1_796_040_000.0
ORDER = Path(__file__).parents[2] / "tests" / "corpus" / "shopify-orders-create.json"
OWN = {
    **{"order_id": "1001", "status": "success", "product_id": "sku-1", "quantity": 2, "amount": "39.80"},
    **{"currency": "EUR", "ts": 1795953600.5, "latency_ms": 42.5},
}
RENAMED = {"order_id": "id", "status": "state", "product_id": "sku", "latency_ms": "took"}
Work = Callable[[list[bytes]], object]


def decoded() -> tuple[Work, bytes]:
    """Only decode a Shopify order."""
    import msgspec

    return _each(msgspec.json.decode), ORDER.read_bytes()


def own() -> tuple[Work, bytes]:
    """Decode an event of our own."""
    from sidecar.core.events.decode import decode

    return lambda payloads: decode(payloads, [ARRIVAL] * len(payloads)), _json(OWN)


def mapped_order() -> tuple[Work, bytes]:
    """Make an event of a Shopify order."""
    from sidecar.config.mappings import ready_made_definition

    return _mapped(ready_made_definition("shopify")), ORDER.read_bytes()


def mapped_event() -> tuple[Work, bytes]:
    """Make an event of one with other names."""
    from sidecar.core.mapping.definition import Definition, Rule, Value

    names = {name: RENAMED.get(name, name) for name in OWN}
    rule = Rule(name="all", event={name: Value(path=(path,)) for name, path in names.items()})
    return _mapped(Definition(name="flat", rules=(rule,))), _json({names[name]: value for name, value in OWN.items()})


def with_jmespath() -> tuple[Work, bytes]:
    """Decode a Shopify order, and read the same fields with jmespath; nothing is checked or converted."""
    import jmespath

    query = jmespath.compile(
        "{status: financial_status, id: id, ts: created_at, currency: currency, cancelled: cancelled_at,"
        " items: line_items[].{product_id: product_id || sku, quantity: quantity, price: price}}"
    )
    return _each(lambda payload: query.search(json.loads(payload))), ORDER.read_bytes()


def custom_counter() -> tuple[Work, bytes]:
    """Count decoded events of our own in a counter with a condition and a label."""
    from sidecar.core.counts.custom_definition import CustomMetric
    from sidecar.core.mapping.definition import Condition

    paid = {"status": Condition(equals="success")}
    return _counted(CustomMetric(name="n_total", type="counter", when=paid, labels={"product": "product_id"}))


def custom_histogram() -> tuple[Work, bytes]:
    """Put the amounts of decoded events of our own into the buckets of a histogram."""
    from sidecar.core.counts.custom_definition import CustomMetric

    return _counted(CustomMetric(name="n", type="histogram", value="amount", buckets=(10.0, 25.0, 50.0, 100.0)))


def _counted(metric: Any) -> tuple[Work, bytes]:
    """Decode as many events as are read together, of twenty products, once; count them."""
    from sidecar.core.counts.custom_metrics import CustomCounting
    from sidecar.core.events.decode import decode

    prices = {f"sku-{n}": f"{4.9 * n + 5:.2f}" for n in range(20)}
    pairs = [(product, prices[product]) for product in (*prices,) * (TOGETHER // len(prices))]
    made = [_json(OWN | {"product_id": product, "amount": amount}) for product, amount in pairs]
    events = decode(made, [ARRIVAL] * TOGETHER).events
    counting = CustomCounting([metric])
    counted: dict[str, Any] = {}
    return lambda payloads: counting.count(events, {}, counted, only_orders=True), b""


def _each(read: Callable[[bytes], object]) -> Work:
    """Read payloads one by one, and keep nothing: what is kept costs memory, and that costs time."""
    return lambda payloads: deque(map(read, payloads), maxlen=0)


def _mapped(definition: Any) -> Work:
    from sidecar.core.mapping.mapping import Chain, Mapping

    chain = Chain([Mapping(definition, currency="EUR")])
    return lambda payloads: chain.decode(payloads, [ARRIVAL] * len(payloads))


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


SUBJECTS = {
    one.__name__: one
    for one in (decoded, own, mapped_order, mapped_event, with_jmespath, custom_counter, custom_histogram)
}


def main(name: str, count: int) -> None:
    """Print what one subject costs."""
    work, payload = SUBJECTS[name]()
    work([payload] * TOGETHER)
    began = time.process_time()
    for _ in range(count // TOGETHER):
        work([payload] * TOGETHER)
    print((time.process_time() - began) / count * 1e6)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
