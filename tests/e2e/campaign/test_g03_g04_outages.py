"""G3 and G4: whatever becomes of Redis or of the way to it, the daemon notices, is back by itself, and knows its loss.

Numbered producers publish on a channel all the while, and another one writes to a stream.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import Guarantee, MakeProxy, StartRedis
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import ROOT, Daemon
from tests.e2e.numbered import NAMES, NumberedProducers
from tests.e2e.producer import Producer
from tests.e2e.recount import shown
from tests.guarantees import sizes
from tests.proxy import Fault, Proxy
from tests.redis_server import DURABLE, RedisServer
from tests.waiting import wait_until

NOTICED_SECONDS, BACK_SECONDS = 4.0, 2.5
SHORT_SECONDS = (0.1, 0.6)
PATIENCE_SECONDS = 20.0  # a hole is missed after five

FAULTS: tuple[Fault, ...] = ("cut", "half-close", "black hole", "deaf", "delay", "slow")
OUTAGES = (*FAULTS, "restart", "freeze", "crash")
LOSSLESS = ("delay", "slow")
SILENT = ("black hole", "deaf", "freeze")  # only a deadline can tell


class Outages:
    """One daemon, the Redis it reads through a proxy, and what outages have cost."""

    def __init__(self, server: RedisServer, proxy: Proxy, daemon: Daemon, seed: int) -> None:
        self._server = server
        self._proxy = proxy
        self._daemon = daemon
        self._random = random.Random(seed)
        self.noticed_seconds: list[float] = []
        self.back_seconds: list[float] = []

    def happen(self, kind: str) -> None:
        """Begin an outage, end it once it was noticed, or soon, and wait until all is well again."""
        began = time.monotonic()
        self._begin(kind)
        if kind in SILENT:
            wait_until(self._daemon.has_lost_redis, NOTICED_SECONDS, f"the daemon to notice: {kind}")
            self.noticed_seconds.append(time.monotonic() - began)
        else:
            time.sleep(self._random.uniform(*SHORT_SECONDS))
        ended = self._end(kind)
        wait_until(self._daemon.is_well, BACK_SECONDS, f"the daemon to be back: {kind}")
        if kind not in (*LOSSLESS, "crash"):
            self.back_seconds.append(time.monotonic() - ended)

    def _begin(self, kind: str) -> None:
        match kind:
            case "restart":
                self._server.kill()
            case "freeze":
                self._server.freeze()
            case "crash":
                self._daemon.end()
            case _:
                self._proxy.misbehave(kind)  # type: ignore[arg-type]

    def _end(self, kind: str) -> float:
        """End an outage and return when Redis could be reached again."""
        match kind:
            case "restart":
                self._server.start()
            case "freeze":
                self._server.thaw()
            case "crash":
                self._daemon.start()
            case _:
                self._proxy.heal()
        return time.monotonic()


@pytest.mark.parametrize("number", sizes(0, 20, 500)[1:])
def test_outages_are_noticed_survived_and_accounted_for(
    number: int,
    start_redis: StartRedis,
    make_daemon: MakeDaemon,
    make_proxy: MakeProxy,
    seed: int,
    guarantee: Guarantee,
) -> None:
    server = start_redis(*DURABLE)
    proxy = make_proxy(server)
    daemon = make_daemon(proxy.instead_of(server.url), settings="{commit_interval: 50ms, lease: 2s}").start()
    outages = Outages(server, proxy, daemon, seed)
    orders, producers = Producer(server), NumberedProducers(server)
    kinds = [OUTAGES[i % len(OUTAGES)] for i in range(number)]
    random.Random(seed).shuffle(kinds)
    most_lost = 0
    for kind in kinds:
        before = producers.published
        time.sleep(0.1)  # a crash costs what was not committed yet
        outages.happen(kind)
        most_lost += (producers.published - before) * (kind not in LOSSLESS)
    published = producers.finish()
    orders.finish()

    def accounted_for() -> bool:
        producers.beat()
        found = daemon.snapshot()["completeness"]["by_producer"]
        return all(found[name]["received"] + found[name]["missed"] == published for name in NAMES)

    wait_until(accounted_for, PATIENCE_SECONDS, f"{published} events of each producer received or missed")
    completeness = daemon.snapshot()["completeness"]
    missed = [completeness["by_producer"][name]["missed"] for name in NAMES]
    assert max(missed) <= most_lost, "missed, though published while all was well"
    guarantee(
        "G3",
        f"{number} outages, {len(NAMES)} producers: {published * len(NAMES):,} published, {sum(missed):,} missed "
        f"(at most {most_lost * len(NAMES):,} could be lost), difference 0",
    )
    truth = orders.truth()
    wait_until(lambda: shown(daemon) == truth, PATIENCE_SECONDS, "the stream's orders to be counted once")
    check_times(outages.noticed_seconds, outages.back_seconds)
    guarantee("G4", f"{number} outages: {in_words(outages.noticed_seconds, outages.back_seconds)}")


@pytest.mark.needs("ip", "unshare")
@pytest.mark.parametrize("number", sizes(0, 5, 50)[1:])
def test_a_black_hole_of_the_network_is_noticed(number: int, tmp_path: Path, seed: int, guarantee: Guarantee) -> None:
    unshare = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--net")
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not allow network namespaces")
    command = [*unshare, sys.executable, "-m", "tests.e2e.campaign.black_hole", str(tmp_path), str(number), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    noticed, back = zip(*json.loads(done.stdout), strict=True)
    check_times(noticed, back)
    guarantee("G4", f"no way to Redis (network namespace), {number} x: {in_words(noticed, back)}")


def check_times(noticed: Sequence[float], back: Sequence[float]) -> None:
    """The promised times."""
    assert max(noticed) <= NOTICED_SECONDS
    assert max(back) <= BACK_SECONDS


def in_words(noticed: Sequence[float], back: Sequence[float]) -> str:
    return f"silent ones noticed within {max(noticed):.2f} s, back within {max(back):.2f} s"
