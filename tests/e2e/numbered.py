"""Producers that number what they publish on a channel, and know what was published."""

import json
import threading
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.redis_server import RedisServer

CHANNEL = "flash_sale:events"
NAMES = ("web-0", "web-1", "web-2")
PAUSE_SECONDS = 0.005
REFUSED_EVERY = 50  # one event in so many has a status that nobody knows; it is received all the same


class NumberedProducers(threading.Thread):
    """Publish one event of each producer every few milliseconds until `finish`.

    What may not have been published is published again with the same number, as a careful backend does.
    """

    def __init__(self, server: RedisServer) -> None:
        super().__init__(daemon=True)
        self.client = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0), socket_timeout=60)
        self.published = 0  # by each producer
        self._done = threading.Event()
        self.start()

    def run(self) -> None:
        """Publish."""
        while not self._done.wait(PAUSE_SECONDS):
            status = "failed" if self.published % REFUSED_EVERY else "unheard of"
            if self._send({"status": status, "seq": self.published + 1}):
                self.published += 1

    def finish(self) -> int:
        """Stop, and return how many events each producer has published."""
        self._done.set()
        self.join()
        return self.published

    def beat(self) -> None:
        """Tell the last number, so that a hole at the end shows."""
        self._send({"type": "heartbeat", "seq": self.published})

    def _send(self, event: dict[str, Any]) -> bool:
        pipe = self.client.pipeline(transaction=False)
        for name in NAMES:
            pipe.publish(CHANNEL, json.dumps(event | {"producer": name, "epoch": 1}))
        try:
            pipe.execute()
        except redis.RedisError:
            return False
        return True
