"""G6: a client that does not read costs a bounded piece of memory, and the others nothing."""

import json
import re
import statistics
import sys
from typing import Any

import pytest
import redis
from websockets.sync.client import connect

from benchmarks.processes import memory_mb, program
from tests.conftest import Guarantee
from tests.e2e.campaign.stalled import stalled
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import Daemon
from tests.e2e.exact import COUNTED_SECONDS
from tests.e2e.recount import STREAM
from tests.guarantees import sizes
from tests.redis_server import RedisServer
from tests.waiting import wait_until

KIB_A_CLIENT = 320  # of those that stop at the same moment, and share the message; 130 with those of today
KIB_BESIDE_A_MESSAGE = 192  # of one that has a message to itself; 145 today
ALONE, APART_SECONDS = 20, 1.1  # at most one update with all products goes out in a second
PRODUCTS = 1000
READERS, STALLED = 900, 100
RATIO = 1.1
# They are to be there for as long as the test lasts.
SETTINGS = "{commit_interval: 100ms, lease: 2s, ws: {slow_client_timeout: 10m}}"
WANTED: dict[str, dict[str, Any]] = {
    "products": {"topics": ["products"]},
    "all else": {"interval_ms": 100},
    "a report": {"interval_ms": 100, "report": True},
}
ID_LENGTH = 124  # of 128 bytes that there may be: the longer, the larger is what waits
BOUNDED = 50
LONG_ROUNDS = 9


def busy_daemon(server: RedisServer, make_daemon: MakeDaemon) -> Daemon:
    """Start a daemon that has as many products as it keeps apart."""
    daemon = make_daemon(server.url, settings=SETTINGS).start()
    names = [f"sku-{i}".ljust(ID_LENGTH, "x") for i in range(PRODUCTS)]
    sold = [{"status": "success", "product_id": name, "amount": 10} for name in names]
    stock = [{"type": "inventory", "product_id": name, "stock": 500} for name in names]
    received = daemon.received()
    for events in (sold, stock):
        redis.Redis(port=server.port).xadd(STREAM, {"e": json.dumps(events)})
    wait_until(lambda: daemon.received() == received + 2 * PRODUCTS, COUNTED_SECONDS, "the products")
    return daemon


@pytest.mark.parametrize("count", sizes(BOUNDED, 100, 500))
def test_a_client_that_never_reads_costs_little(
    count: int, redis_server: RedisServer, make_daemon: MakeDaemon, guarantee: Guarantee
) -> None:
    for name, wanted in WANTED.items():
        if name == "products" or count > BOUNDED:  # which is the largest update there is
            daemon = busy_daemon(redis_server, make_daemon)
            kib, update_kib = kib_each(daemon, count, wanted)
            assert daemon.stop() == 0
            guarantee("G6", f"{count} clients that never read, {name} ({update_kib:.0f} KiB): {kib:.0f} KiB each")
            assert kib <= KIB_A_CLIENT


@pytest.mark.campaign
def test_clients_that_stop_at_different_moments_hold_a_message_each(
    redis_server: RedisServer, make_daemon: MakeDaemon, guarantee: Guarantee
) -> None:
    daemon = busy_daemon(redis_server, make_daemon)
    kib, update_kib = kib_each(daemon, ALONE, WANTED["products"], apart=APART_SECONDS)
    guarantee("G6", f"{ALONE} that stopped one by one, products ({update_kib:.0f} KiB): {kib:.0f} KiB each")
    assert kib <= update_kib + KIB_BESIDE_A_MESSAGE


def kib_each(daemon: Daemon, count: int, wanted: dict[str, Any], *, apart: float = 0.0) -> tuple[float, float]:
    """Return the memory that each client costs that never reads, and the size of one update."""
    assert daemon.process is not None
    with connect(f"ws://127.0.0.1:{daemon.ws}/", compression=None) as client:  # what is rendered once is there now
        data = {name: value for name, value in wanted.items() if name != "report"}
        client.send(json.dumps({"event": "subscribe-metrics", "data": data}))
        client.send('{"event":"get-benchmark-report"}')
        answers = [str(client.recv(10)) for _ in range(4)]
        size = max(len(answer) for answer in answers if "report" in wanted or '"metrics-update"' in answer)
    before = memory_mb(daemon.process.pid)
    with stalled(daemon.ws, count, apart=apart, **wanted):
        wait_until(lambda: skipped(daemon) >= 2 * count, 60, "every one of them to be left out")
        return (memory_mb(daemon.process.pid) - before) * 1024 / count, size / 1024


def skipped(daemon: Daemon) -> float:
    """Return how many updates were left out."""
    name = "flash_sale_sidecar_websocket_updates_total"
    found = re.search(rf'^{name}{{outcome="skipped"}} (\S+)$', daemon.text(f"/metrics?name[]={name}"), re.M)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("rounds", sizes(0, 3, LONG_ROUNDS)[1:])
def test_the_others_do_not_notice(
    rounds: int, redis_server: RedisServer, make_daemon: MakeDaemon, guarantee: Guarantee
) -> None:
    daemon = busy_daemon(redis_server, make_daemon)
    alone, beside = [], []
    for _ in range(rounds):
        alone.append(lateness_p99_ms(daemon))
        with stalled(daemon.ws, STALLED, interval_ms=1000):
            beside.append(lateness_p99_ms(daemon))
    ratio = statistics.median(b / a for a, b in zip(alone, beside, strict=True))
    guarantee(
        "G6",
        f"p99 lateness of {READERS} clients, {rounds} rounds: {statistics.median(alone):.1f} ms, beside {STALLED} that "
        f"never read {statistics.median(beside):.1f} ms; {ratio:.2f} x",
    )
    assert rounds < LONG_ROUNDS or ratio <= RATIO


def lateness_p99_ms(daemon: Daemon) -> float:
    """Let clients read for some seconds and return how late their updates came."""
    command = (sys.executable, "-m", "benchmarks.clients", str(daemon.ws), str(READERS), "--seconds", "6")
    with program(*command) as clients:
        assert clients.line() == "ready"
        return float(json.loads(clients.line())["p99"])
