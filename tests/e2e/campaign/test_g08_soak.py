"""G8: memory is bounded: after its first minute the daemon hardly grows, whatever comes and goes."""

import json
import threading
import time

import pytest
import redis
from websockets.sync.client import connect

from benchmarks.processes import memory_mb
from tests.conftest import Guarantee
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import Daemon
from tests.e2e.oracle import mixed_events
from tests.e2e.recount import STREAM
from tests.guarantees import sizes
from tests.redis_server import RedisServer

FIRST_SECONDS = 60.0
MORE_MB = 2.0
AT_ONCE, PAUSE_SECONDS = 400, 0.2
KEPT_ENTRIES = 10_000


class Publisher(threading.Thread):
    """Publish mixed events over both transports; producers restart, ids never come again, some events are broken."""

    def __init__(self, server: RedisServer, seed: int) -> None:
        super().__init__(daemon=True)
        self._client = redis.Redis(port=server.port)
        self._seed = seed
        self._done = threading.Event()
        self.published = 0

    def run(self) -> None:
        """Publish until told to end."""
        epoch = 0
        while not self._done.wait(PAUSE_SECONDS):
            epoch += 1
            events = [event | {"epoch": epoch} for event in mixed_events(self._seed + epoch, AT_ONCE, time.time())]
            half = AT_ONCE // 2
            self._client.publish(STREAM, json.dumps(events[:half]))
            self._client.publish(STREAM, f"broken {epoch}")
            self._client.xadd(STREAM, {"e": json.dumps(events[half:])}, maxlen=KEPT_ENTRIES)
            self.published += AT_ONCE

    def end(self) -> None:
        """Publish no more."""
        self._done.set()
        self.join()


def read_everything(daemon: Daemon) -> None:
    """Do once what readers do."""
    daemon.text("/metrics")
    daemon.text("/metrics", accept="application/openmetrics-text; version=1.0.0")
    daemon.text("/monitoring/report?format=markdown")
    daemon.text("/monitoring/history")
    with connect(f"ws://127.0.0.1:{daemon.ws}/", compression=None) as client:
        client.send('{"event":"subscribe-metrics","data":{"topics":["orders","products"],"interval_ms":1000}}')
        client.recv(10)
        client.recv(10)


@pytest.mark.parametrize("minutes", sizes(0, 5, 60)[1:])
def test_a_soak(
    minutes: int, redis_server: RedisServer, make_daemon: MakeDaemon, seed: int, guarantee: Guarantee
) -> None:
    daemon = make_daemon(redis_server.url).start()
    assert daemon.process is not None
    publisher = Publisher(redis_server, seed)
    publisher.start()
    began = time.monotonic()
    first = last = 0.0
    while (passed := time.monotonic() - began) < 60 * minutes:
        read_everything(daemon)
        last = memory_mb(daemon.process.pid)
        first = last if passed <= FIRST_SECONDS else first
        time.sleep(0.5)
    publisher.end()
    guarantee(
        "G8",
        f"{minutes} min, {publisher.published:,} events, everything read twice a second: {first:.1f} MB after "
        f"the first minute, {last - first:+.1f} MB at the end",
    )
    assert last - first <= MORE_MB
