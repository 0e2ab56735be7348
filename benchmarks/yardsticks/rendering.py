"""prometheus-client: render ten thousand series of counters and say what each time cost in CPU.

Takes how many series and how often; prints `ready`, then one line with the milliseconds of each.
"""

import sys
import time

from prometheus_client import CollectorRegistry, Counter, generate_latest

series, times = int(sys.argv[1]), int(sys.argv[2])
registry = CollectorRegistry()
# `_created` is a series of its own.
orders = Counter("orders", "Orders.", ["product_id", "status"], registry=registry)
for number in range(series // 2):
    orders.labels(f"sku-{number // 4:04}", ("success", "failed", "pending", "cancelled")[number % 4]).inc()
print("ready", flush=True)
took = []
for _ in range(times):
    began = time.process_time()
    generate_latest(registry)
    took.append((time.process_time() - began) * 1000)
print(*took, flush=True)
