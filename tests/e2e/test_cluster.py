"""A real Cluster under the daemon: slots move, masters die, and every node it started from is gone."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import MASTERS, Cluster
from tests.conftest import Guarantee
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import Daemon
from tests.e2e.failover import UNREACHABLE, Backend, Scraper, check_recount
from tests.redis_server import RedisServer
from tests.waiting import wait_until

PREFIX, STREAM, CHANNEL = "{sale}:metrics:", "{sale}:events", "news"
FAST = (
    "{commit_interval: 50ms, lease: 1s, metrics: {new_series_hold: 0}, "
    f"redis: {{prefix: '{PREFIX}'}}, sources: {{streams: ['{STREAM}'], pubsub: ['{CHANNEL}']}}}}"
)
# From the moment most nodes know another owner; what came before is the Cluster's.
RECOVERY_SECONDS = 2.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three masters and three replicas."""
    with Cluster(tmp_path, timeout_ms=1000) as cluster:
        yield cluster


class Publisher(threading.Thread):
    """Publish numbered events, in turn with PUBLISH to some node and with SPUBLISH to the owner of the slot."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self._cluster = cluster
        self._done = threading.Event()
        self.published = 0
        self.start()

    def run(self) -> None:
        """Publish."""
        client = None
        while not self._done.wait(0.01):
            number = self.published + 1
            event = f'{{"status":"failed","producer":"p","epoch":1,"seq":{number}}}'
            try:
                client = client or self._cluster.client()
                client.execute_command("SPUBLISH" if number % 2 else "PUBLISH", CHANNEL, event)
            except UNREACHABLE:
                client = None  # it may have been published all the same
            self.published = number

    def finish(self) -> int:
        """Stop; return the number of the last one."""
        self._done.set()
        self.join()
        return self.published


class Campaign:
    """One daemon that knows one node at first, a backend, and what happens to the Cluster."""

    def __init__(self, cluster: Cluster, make_daemon: MakeDaemon) -> None:
        self.cluster = cluster
        self.daemon: Daemon = make_daemon(cluster.url(cluster.owner(STREAM)), settings=FAST).start()
        self.scraper = Scraper(self.daemon)
        self.publisher = Publisher(cluster)
        self.backend = Backend(cluster.client, STREAM)
        self.recoveries: list[float] = []
        self.outages: list[float] = []
        self._gone: list[RedisServer] = []

    def move(self) -> None:
        """Move the slot of everything to another master."""
        self._wait_for_orders(100)
        owner = self.cluster.owner(STREAM)
        others = [node for node in self.cluster.masters() if node is not owner]
        began = time.monotonic()
        self.cluster.move(STREAM, random.choice(others))
        self._recovered(began, time.monotonic())

    def kill(self, *, freeze: bool = False) -> None:
        """Kill or freeze the master of everything."""
        for node in self._gone:
            node.thaw() if node.is_running else node.start()
        wait_until(lambda: not self._gone or self.cluster.is_whole(), 30, "the nodes that were gone")
        self._wait_for_orders(100)
        owner = self.cluster.owner(STREAM)
        began = time.monotonic()
        if freeze:
            owner.freeze()
        else:
            owner.kill()
        self._gone = [owner]
        wait_until(lambda: self.cluster.owner(STREAM) is not owner, 30, "another owner")
        self._recovered(began, time.monotonic())

    def _recovered(self, began: float, switched: float) -> None:
        """Wait until everything works again, and note how long that took."""
        after = time.time()
        wait_until(lambda: self._works_since(after), 30, "a commit on the new owner")
        self.recoveries.append(time.monotonic() - switched)
        self.outages.append(time.monotonic() - began)
        self._wait_for_orders(100)

    def _works_since(self, moment: float) -> bool:
        return self.daemon.is_well() and (self.daemon.snapshot()["committed_at"] or 0) > moment

    def _orders(self) -> int:
        return int(self.daemon.snapshot()["orders"]["by_status"]["success"])

    def _wait_for_orders(self, more: int) -> None:
        before = self._orders()
        wait_until(lambda: self._orders() >= before + more, 30, f"{more} more orders")

    def finish(self) -> int:
        """Recount the stream; and every message was received or is missed."""
        published = self.publisher.finish()
        self.backend.finish()
        client = self.cluster.client()
        beat = f'{{"type":"heartbeat","producer":"p","epoch":1,"seq":{published}}}'
        client.execute_command("SPUBLISH", CHANNEL, beat)
        orders = check_recount(self.cluster.client, self.daemon, stream=STREAM, prefix=PREFIX)
        wait_until(lambda: self._heard() == published, 15, f"{published} messages, heard or missed,")
        self.scraper.finish()
        return orders

    def _heard(self) -> int:
        snapshot = self.daemon.snapshot()
        assert snapshot["completeness"]["duplicates"] == 0
        failed: int = snapshot["orders"]["by_status"]["failed"]
        missed: int = snapshot["completeness"]["missed"]
        return failed + missed


@pytest.mark.campaign
def test_a_moved_slot_a_dead_master_and_no_node_left_of_those_it_started_from(
    cluster: Cluster, make_daemon: MakeDaemon, guarantee: Guarantee
) -> None:
    campaign = Campaign(cluster, make_daemon)
    started_from = cluster.owner(STREAM)
    campaign.move()
    moved = campaign.recoveries[-1]
    started_from.kill()
    wait_until(lambda: len(cluster.masters()) == MASTERS, 20, "its replica to serve")
    campaign.kill()
    orders, failed_over = campaign.finish(), campaign.recoveries[-1]
    guarantee(
        "G2",
        f"a slot of a Cluster moved, a failover: {orders:,} orders, difference 0; "
        f"back {moved:.2f} s after the move, {failed_over:.2f} s after the failover",
    )
    assert max(campaign.recoveries) < RECOVERY_SECONDS


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_moves_and_failovers_are_exact(cluster: Cluster, make_daemon: MakeDaemon, guarantee: Guarantee) -> None:
    campaign = Campaign(cluster, make_daemon)
    for turn in range(20):
        campaign.move()
        campaign.kill(freeze=turn % 2 == 1)
    orders = campaign.finish()
    guarantee(
        "G2",
        f"20 moves and 20 failovers of {MASTERS} masters of a Cluster: {orders:,} orders, difference 0, 0 resets; back "
        f"{max(campaign.recoveries):.2f} s after the switch at worst, {max(campaign.outages):.2f} s after it began "
        f"(node timeout {cluster.timeout_seconds} s)",
    )
    assert max(campaign.recoveries) < RECOVERY_SECONDS
