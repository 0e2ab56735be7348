"""A producer that writes to a stream without a pause, and knows what it has written."""

import json
import threading
from collections import Counter
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.e2e.daemon import PREFIX
from tests.e2e.recount import STREAM, Recount, of_stream
from tests.redis_server import RedisServer

# On, below and above the bounds of the classic buckets.
LATENCIES_MS = (0, 1, 1.1, 2.5, 7, 10, 24.9, 50, 50.1, 100, 250, 333.3, 500, 999.9, 1000, 2500, 4000, 10_000, 20_000)
PRODUCTS = 7
AT_ONCE = 10
PAUSE_SECONDS = 0.004


class Producer(threading.Thread):
    """Write ten orders every few milliseconds until `finish`. A Redis that is away is waited for."""

    def __init__(self, server: RedisServer, *, maxlen: int | None = None) -> None:
        super().__init__(daemon=True)
        # What is sent again after a lost answer would be written twice; a busy machine may take its time.
        self.client = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0), socket_timeout=60)
        self._maxlen = maxlen
        self._done = threading.Event()
        self._latencies: Counter[float] = Counter()
        self.written = 0
        self.errors = 0
        self.start()

    def run(self) -> None:
        """Write."""
        number = 0
        while not self._done.wait(PAUSE_SECONDS):
            if self._maxlen is not None and self.written - self._committed() > self._maxlen / 2:
                continue  # what is trimmed must have been committed: on a slow machine a restart takes a while
            latencies = [LATENCIES_MS[i % len(LATENCIES_MS)] for i in range(number, number + AT_ONCE)]
            pipe = self.client.pipeline(transaction=False)
            for i, latency in enumerate(latencies, number):
                event = json.dumps({"status": "success", "product_id": f"sku-{i % PRODUCTS}", "latency_ms": latency})
                pipe.xadd(STREAM, {"e": event}, maxlen=self._maxlen, approximate=True)
            number += AT_ONCE
            try:
                pipe.execute()
            except redis.RedisError:
                self.errors += 1
                continue
            self._latencies.update(latencies)
            self.written += AT_ONCE

    def _committed(self) -> int:
        """Return how many entries of the stream the sidecar has committed."""
        position: Any = self.client.hget(f"{PREFIX}checkpoint", f"p:{STREAM}")
        return int(json.loads(position)[1])

    def finish(self) -> int:
        """Stop, and return how many events were certainly written."""
        self._done.set()
        self.join()
        return self.written

    def truth(self) -> Recount:
        """Return what was written; where an answer was lost, the stream itself knows."""
        return of_stream(self.client) if self.errors else Recount.of(self._latencies)
