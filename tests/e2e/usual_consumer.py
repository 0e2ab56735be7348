"""The control of the campaign: a consumer that counts the usual way. It counts, and then acknowledges.

What a crash left unacknowledged is read again, as every guide has it; so nothing is lost, and something counts twice.
"""

import json
import sys
from contextlib import suppress
from typing import Any

import redis

from tests.e2e.recount import STREAM

GROUP = "usual"
ORDERS, TENTHS = "usual:orders", "usual:tenths"


def main() -> None:
    """Count the orders of the stream of the Redis on a port, for ever."""
    client = redis.Redis(port=int(sys.argv[1]))
    with suppress(redis.ResponseError):  # it is there already
        client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    position = "0"  # what is pending comes first
    while True:
        found: Any = client.xreadgroup(GROUP, "one", {STREAM: position}, count=100, block=100)
        entries = found[0][1] if found else []
        for entry, fields in entries:
            client.incr(ORDERS)
            client.incrby(TENTHS, round(json.loads(fields[b"e"])["latency_ms"] * 10))
            client.xack(STREAM, GROUP, entry)
        if position != ">":
            position = entries[-1][0] if entries else ">"
