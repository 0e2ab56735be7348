"""The keys in Redis against the oracle."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.walk.counts import STATUSES
from tests.walk.ground import Hands
from tests.walk.oracle import Oracle


def of_custom(keys: Mapping[str, Any], shown: Mapping[str, Any]) -> Iterator[str]:
    """Compare the keys of custom metrics: where one is, it holds what is shown."""
    for name, metric in shown.items():
        key = keys.get(f"custom:{name}")
        if key is not None and json.loads(key) != metric:
            yield f"key custom:{name} is {key}, not {metric}"


def of_keys(oracle: Oracle, keys: Mapping[str, Any], hands: Hands) -> Iterator[str]:
    """Compare the keys in Redis."""
    counts = oracle.shown
    for status in STATUSES:
        if keys.get(f"order_status:{status}") != counts.statuses[status]:
            yield f"key order_status:{status} is {keys.get(f'order_status:{status}')}, not {counts.statuses[status]}"
    for product, reading in ({} if "product" in oracle.places.unsure else counts.stock).items():
        if keys.get(f"inventory:{product}") != reading.value:
            yield f"key inventory:{product} is {keys.get(f'inventory:{product}')}, not {reading.value}"
    if not oracle.clock_ever_set:  # else seconds come twice
        for second, count in counts.seconds.items():
            if keys.get(f"throughput:{second}") != count:
                yield f"key throughput:{second} is {keys.get(f'throughput:{second}')}, not {count}"
    waiting = [reading.value for (_, name), reading in counts.queues.items() if name == "waiting"]
    length = keys.get(f"queue_length:{int(hands.wall)}")
    if waiting and "queue" not in oracle.places.unsure and length != sum(waiting):
        yield f"key queue_length:{int(hands.wall)} is {length}, not {sum(waiting)}"
