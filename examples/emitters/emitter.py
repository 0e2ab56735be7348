"""Publish a backend's events to the sidecar. Copy this file; it needs `pip install redis`.

emitter = Emitter()
emitter.report({"status": "success", "order_id": "1001", "product_id": "sku-1", "latency_ms": 42.5})

`report` only adds to a buffer: it never waits for Redis and never raises, so it cannot delay or fail an order. A
thread publishes what is in the buffer, in order. While Redis is away, the buffer keeps the newest 10,000 events. Those
it drops leave a hole in the numbers, which the sidecar shows as missed.
"""

import atexit
import json
import logging
import os
import socket
import sys
import threading
import time
from collections import deque
from typing import Any

import redis

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
NAME = "flash_sale:events"  # of the stream, or of the channel
BUFFER_EVENTS = 10_000
BATCH_EVENTS = 100  # published at once
HEARTBEAT_SECONDS = 2.0
RETRY_SECONDS = 0.5
CLOSE_SECONDS = 5.0  # how long the end of the process may wait for Redis
FORK_SECONDS = 1.0  # how long a fork may wait for it

log = logging.getLogger(__name__)


class Emitter:
    """Numbers events and publishes them in the background; share one between all threads of a process."""

    def __init__(self, transport: str = "stream") -> None:
        """Prepare; `transport` is `stream` or `pubsub`."""
        self._publish = self._to_channel if transport == "pubsub" else self._to_stream
        self._reset()
        os.register_at_fork(before=self._pause, after_in_parent=self._resume, after_in_child=self._reset)
        atexit.register(self.close)

    def _reset(self) -> None:
        """Become a new producer: at the start, and in a forked process, which has no threads of its parent."""
        self._producer = {"producer": f"{socket.gethostname()}:{os.getpid()}", "epoch": time.time_ns()}
        self._client = redis.Redis.from_url(URL, socket_timeout=2, socket_connect_timeout=2)
        self._seq = self._dropped = 0
        self._buffer: deque[str] = deque()
        self._lock, self._wake, self._closing = threading.Lock(), threading.Event(), False
        self._thread: threading.Thread | None = None
        self._publishing = threading.Lock()

    def _pause(self) -> None:
        """Let no fork come while the thread publishes: what it imports then could never be imported in the child."""
        self._paused = self._publishing.acquire(timeout=FORK_SECONDS)

    def _resume(self) -> None:
        if self._paused:
            self._publishing.release()

    def report(self, event: dict[str, Any]) -> None:
        """Number an event and leave it to the thread."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            self._seq += 1
            try:
                numbered = {"ts": time.time(), **event, **self._producer, "seq": self._seq}
                self._buffer.append(json.dumps(numbered, default=str, allow_nan=False))
            except (TypeError, ValueError) as error:
                log.error("An event is no JSON, and is missed: %s", error)
            if len(self._buffer) > BUFFER_EVENTS:
                self._buffer.popleft()
                self._dropped += 1
        self._wake.set()

    def close(self) -> None:
        """Publish what is left, if Redis is there."""
        if self._thread is not None:
            self._closing = True
            self._wake.set()
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        """Publish what is in the buffer, and a heartbeat every few seconds, until the emitter is closed."""
        last, due = 0, time.monotonic()  # the last number published; when to send a heartbeat
        while True:
            self._wake.clear()
            closing = self._closing
            with self._lock:
                batch = [self._buffer.popleft() for _ in range(min(len(self._buffer), BATCH_EVENTS))]
                taken, left = self._seq - len(self._buffer), len(self._buffer)
            done = closing and not batch
            if time.monotonic() >= due or done:
                batch.insert(0, json.dumps({"type": "heartbeat", **self._producer, "seq": last}))
                due = time.monotonic() + HEARTBEAT_SECONDS
            if batch:
                self._insist(f"[{','.join(batch)}]")
            last = taken
            if done:
                return
            if not left and not closing:
                self._wake.wait(max(due - time.monotonic(), 0))

    def _insist(self, payload: str) -> None:
        """Publish until it succeeds. What arrives twice (an answer was lost) has the same numbers, and counts once."""
        away = False
        while True:
            try:
                with self._publishing:
                    self._publish(payload)
                break
            except redis.RedisError as error:
                if not away:
                    log.warning("Redis is away: %s", error)
                away = True
                time.sleep(RETRY_SECONDS)
        if away:
            log.warning("Redis is back; %d events were dropped so far", self._dropped)

    def _to_stream(self, payload: str) -> None:
        self._client.xadd(NAME, {"e": payload}, maxlen=1_000_000, approximate=True)

    def _to_channel(self, payload: str) -> None:
        self._client.publish(NAME, payload)


if __name__ == "__main__":  # an event a line: echo '{"status":"success"}' | python emitter.py pubsub
    emitter = Emitter(*sys.argv[1:])
    for line in sys.stdin:
        emitter.report(json.loads(line))
