"""A private Redis and daemons beside it, for one part of the benchmark."""

import contextlib
import itertools
import json
import re
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from benchmarks import processes
from benchmarks.events import CHANNEL
from sidecar.store.embedded import find_server
from tests.e2e.daemon import Daemon
from tests.redis_server import RedisServer
from tests.waiting import wait_until

# A subscriber that is slower than the publisher must not be cut off while its cost is measured.
PATIENT = ("--save", "", "--appendonly", "no", "--client-output-buffer-limit", "pubsub", "0", "0", "0")
BY_DEFAULT = ("--save", "", "--appendonly", "no")
DRAIN_SECONDS = 240.0
POLL_SECONDS = 0.05  # no more often: the cores are needed for what is measured
_names = itertools.count(1)


class Sidecar:
    """A daemon, what it has counted, and what it costs."""

    def __init__(self, daemon: Daemon, client: "redis.Redis", prefix: str) -> None:
        self.daemon = daemon
        self._client = client
        self._keys = [f"{prefix}order_status:{status}" for status in ("success", "failed", "pending", "cancelled")]

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.daemon.process is not None
        return self.daemon.process.pid

    def cpu(self) -> float:
        """Return its CPU seconds so far."""
        return processes.cpu_seconds(self.pid)

    def orders(self) -> int:
        """Return the orders it has committed, from the keys it keeps in Redis: that costs the daemon nothing."""
        return sum(int(value or 0) for value in self._client.mget(self._keys))

    def wait_for(self, orders: int) -> None:
        """Wait until so many orders are committed."""
        end = time.monotonic() + DRAIN_SECONDS
        while self.orders() < orders:
            if time.monotonic() > end or self.daemon.process is None or self.daemon.process.poll() is not None:
                raise RuntimeError(f"{orders} orders did not come; its log: {self.daemon.log.read_text()[-1000:]}")
            time.sleep(POLL_SECONDS)

    def own_metric(self, name: str, labels: str = "") -> float:
        """Return one value of `/metrics`, 0 where it is not there; only that family is rendered for it."""
        url = f"http://127.0.0.1:{self.daemon.http}/metrics?name[]={name}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            found = re.search(rf"^{name}{re.escape(labels)} (\S+)$", answer.read().decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0


class Lab:
    """One Redis; daemons and publishers on it."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.server = server
        self.client: redis.Redis = redis.Redis(port=server.port)
        self._folder = folder

    @property
    def port(self) -> int:
        """The port of Redis."""
        return self.server.port

    def redis_cpu(self) -> float:
        """Return the CPU seconds Redis has used, by its own account."""
        info: Any = self.client.info("cpu")
        return float(info["used_cpu_user"] + info["used_cpu_sys"])

    def aof_bytes(self) -> int:
        """Return the size of the append-only file."""
        info: Any = self.client.info("persistence")
        return int(info["aof_current_size"])

    def publish(self, count: int, **options: object) -> dict[str, Any]:
        """Publish under producer names of its own, and return what the publisher tells."""
        return processes.published(self.start_publishing(count, **options))

    def start_publishing(self, count: int, **options: object) -> processes.Program:
        """Start a publisher without waiting for its end."""
        return processes.publishing(self.port, count, f"shop{next(_names)}", **options)

    def heartbeats(self, last: dict[str, int], channel: str = CHANNEL) -> None:
        """Tell over pub/sub the last number of each producer."""
        for name, seq in last.items():
            beat = {"type": "heartbeat", "producer": name, "epoch": 1_790_000_000, "seq": seq}
            self.client.publish(channel, json.dumps(beat))

    @contextlib.contextmanager
    def sidecar(self, **settings: object) -> Iterator[Sidecar]:
        """Run a daemon while the context is open; `settings` are those of its configuration file."""
        given = {"log": {"level": "warning"}, **settings}
        name = f"daemon-{next(_names)}"
        daemon = Daemon(self._folder, self.server.url, settings=json.dumps(given), name=name)
        prefix: Any = settings.get("redis", {})
        try:
            yield Sidecar(daemon.start(shell=":"), self.client, prefix.get("prefix", "flash_sale_metrics:"))
        finally:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.process.terminate()
                daemon.process.wait(15)


@contextlib.contextmanager
def lab(*options: str) -> Iterator[Lab]:
    """Start a Redis with these options, `PATIENT` by default, and end it with the context."""
    with tempfile.TemporaryDirectory(prefix="sidecar-bench-") as folder:
        server = RedisServer(find_server(), Path(folder) / "redis", *(options or PATIENT)).start()
        try:
            wait_until(server.is_ready, 10, "Redis")
            place = Lab(Path(folder), server)
            with place.client:
                yield place
        finally:
            server.kill()
