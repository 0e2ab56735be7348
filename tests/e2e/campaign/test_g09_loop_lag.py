"""G9: the loop never stalls, whatever is going on; by the metric that the daemon exports."""

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from benchmarks.processes import program, publishing
from tests.conftest import Guarantee
from tests.e2e.campaign.stalled import connected, send
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import Daemon
from tests.guarantees import sizes
from tests.redis_server import RedisServer

LAG_SECONDS = 0.05
METRIC = "flash_sale_sidecar_loop_lag_seconds"  # the longest of a second
LOOK_SECONDS = 0.45
LOOKS_BACK = 10  # as far back as that second may have begun, which is longer where the daemon has to wait
EVENTS_A_SECOND = 60_000
CLIENTS = 1000
LONG_SECONDS = 60


class Watch(threading.Thread):
    """Look at the daemon's lag, and at how long it was ready to run and the machine had no processor for it."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon=True)
        assert daemon.process is not None
        self._daemon = daemon
        self._waits = Path(f"/proc/{daemon.process.pid}/schedstat")
        self._waited = [self._waiting_seconds()]
        self._done = threading.Event()
        self._lags = [0.0]
        self._own_lags = [0.0]

    def run(self) -> None:
        """Look until told to end."""
        while not self._done.wait(LOOK_SECONDS):
            lag = float(re.findall(rf"^{METRIC} (\S+)$", self._daemon.text(f"/metrics?name[]={METRIC}"), re.M)[0])
            self._waited = [*self._waited[-LOOKS_BACK:], self._waiting_seconds()]
            self._lags.append(lag)
            self._own_lags.append(lag - (self._waited[-1] - self._waited[0]))

    def _waiting_seconds(self) -> float:
        return int(self._waits.read_text().split()[1]) / 1e9

    def end(self) -> tuple[float, float]:
        """Return the longest lag, and the longest that was the daemon's own doing for certain, in milliseconds."""
        self._done.set()
        self.join()
        return max(self._lags) * 1000, max(self._own_lags) * 1000


@contextmanager
def flood(server: RedisServer, daemon: Daemon, seconds: int) -> Iterator[None]:
    """Publish as much as it can take over both transports."""
    publishers = [
        publishing(server.port, EVENTS_A_SECOND * seconds, transport, transport=transport, rate=EVENTS_A_SECOND)
        for transport in ("pubsub", "stream")
    ]
    yield
    for publisher in publishers:
        publisher.stop()


@contextmanager
def frozen_redis(server: RedisServer, daemon: Daemon, seconds: int) -> Iterator[None]:
    """Leave every request without an answer."""
    server.freeze()
    yield
    server.thaw()


@contextmanager
def crowd(server: RedisServer, daemon: Daemon, seconds: int) -> Iterator[None]:
    """Let a thousand WebSocket clients come at once, and stay."""
    with program(sys.executable, "-m", "benchmarks.clients", str(daemon.ws), str(CLIENTS)) as clients:
        clients.line()
        yield


@contextmanager
def reports(server: RedisServer, daemon: Daemon, seconds: int) -> Iterator[None]:
    """Let a thousand clients ask for a report in the same moment."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(daemon.ws)) for _ in range(CLIENTS)]
        for client in clients:
            send(client, "get-benchmark-report", {})
        yield


Load = Callable[[RedisServer, Daemon, int], AbstractContextManager[None]]
LOADS: dict[str, Load] = {
    "a flood": flood,
    "a frozen Redis": frozen_redis,
    f"{CLIENTS} clients": crowd,
    f"{CLIENTS} reports at once": reports,
}


@pytest.mark.parametrize("seconds", sizes(0, 8, LONG_SECONDS)[1:])
@pytest.mark.parametrize(("name", "load"), LOADS.items(), ids=LOADS)
def test_the_loop_does_not_stall(
    name: str, load: Load, seconds: int, redis_server: RedisServer, make_daemon: MakeDaemon, guarantee: Guarantee
) -> None:
    daemon = make_daemon(redis_server.url).start()
    time.sleep(2)  # starting up is not what is measured
    watch = Watch(daemon)
    watch.start()
    with load(redis_server, daemon, seconds):
        time.sleep(seconds)
    lag, own_lag = watch.end()
    guarantee("G9", f"{name}, {seconds} s: lag {lag:.1f} ms at most, {own_lag:.1f} without waiting for a processor")
    assert seconds < LONG_SECONDS or own_lag <= LAG_SECONDS * 1000
