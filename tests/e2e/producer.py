"""A producer that writes to a stream without a pause, and knows what it has written."""

import json
import threading
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.e2e.daemon import PREFIX
from tests.redis_server import RedisServer

STREAM = "flash_sale:events"


class Producer(threading.Thread):
    """Write ten orders every few milliseconds, each with its own latency, until `finish`."""

    def __init__(self, server: RedisServer, *, maxlen: int | None = None) -> None:
        super().__init__(daemon=True)
        # What is sent again after a lost answer would be written twice; a busy machine may take its time.
        self.client = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0), socket_timeout=60)
        self._maxlen = maxlen
        self._done = threading.Event()
        self.written = 0
        self.latency_ms = 0
        self.start()

    def run(self) -> None:
        """Write."""
        while not self._done.wait(0.004):
            if self._maxlen is not None and self.written - self._committed() > self._maxlen / 2:
                continue  # what is trimmed must have been committed: on a slow machine a restart takes a while
            pipe = self.client.pipeline(transaction=False)
            for i in range(self.written, self.written + 10):
                event = json.dumps({"status": "success", "product_id": f"sku-{i % 7}", "latency_ms": i % 100})
                pipe.xadd(STREAM, {"e": event}, maxlen=self._maxlen, approximate=True)
            pipe.execute()
            self.latency_ms += sum(i % 100 for i in range(self.written, self.written + 10))
            self.written += 10

    def _committed(self) -> int:
        """Return how many entries of the stream the sidecar has committed."""
        position: Any = self.client.hget(f"{PREFIX}checkpoint", f"p:{STREAM}")
        return int(json.loads(position)[1])

    def finish(self) -> int:
        """Stop, and return how many events were written."""
        self._done.set()
        self.join()
        return self.written
