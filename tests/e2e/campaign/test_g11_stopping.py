"""G11: SIGTERM under load ends it within two seconds, nothing that was read is lost, and clients are told."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import redis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from sidecar.core.checkpoint.state import load_state
from tests.conftest import Guarantee
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import PREFIX, START_SECONDS, Daemon
from tests.e2e.exact import COUNTED_SECONDS, wait_for_position
from tests.e2e.numbered import CHANNEL, NAMES, NumberedProducers
from tests.e2e.producer import Producer
from tests.e2e.recount import shown
from tests.guarantees import sizes
from tests.redis_server import RedisServer
from tests.waiting import wait_until

EXIT_SECONDS = 2.0
CLIENTS = 3
GOING_AWAY = 1001


@pytest.mark.parametrize("stops", sizes(6, 30, 200))
def test_a_stop_under_load(
    stops: int,
    redis_server: RedisServer,
    make_daemon: MakeDaemon,
    seed: int,
    guarantee: Guarantee,
) -> None:
    moments = random.Random(seed)
    daemon = make_daemon(redis_server.url, settings="{commit_interval: 200ms, lease: 2s}")
    with running(daemon):
        wait_for_position(redis_server)
    orders, producers = Producer(redis_server), NumberedProducers(redis_server)
    took, told = [], 0
    for _ in range(stops):
        with running(daemon), ExitStack() as stack:
            wait_until(daemon.is_well, START_SECONDS, "a daemon that is well")
            clients = [stack.enter_context(subscribed(daemon)) for _ in range(CLIENTS)]
            received, published = received_from(orders.client), producers.published
            time.sleep(moments.uniform(0, 0.4))
            must_be_there = received + (producers.published - published) * len(NAMES)
            took.append(seconds_to_stop(daemon))
            told += sum(closed_with(client) == GOING_AWAY for client in clients)
        assert received_from(orders.client) >= must_be_there, "published before the stop, and lost"
    orders.finish()
    producers.finish()
    with running(daemon):
        wait_until(
            lambda: shown(daemon) == orders.truth(), COUNTED_SECONDS, "the stream to be counted, every event once"
        )
    log = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    assert not [line for line in log if line["level"] == "error"]
    guarantee(
        "G11",
        f"{stops} stops under load: gone within {max(took):.2f} s, {told} of {stops * CLIENTS} clients told 1001, "
        f"{orders.written + producers.published * len(NAMES):,} events, none lost that was read",
    )
    assert told == stops * CLIENTS
    assert max(took) <= EXIT_SECONDS


@contextmanager
def running(daemon: Daemon) -> Iterator[None]:
    """Run a daemon while the context is open."""
    daemon.start()
    try:
        yield
    finally:
        daemon.end()


@contextmanager
def subscribed(daemon: Daemon) -> Iterator[ClientConnection]:
    """Read updates while the context is open; one has come."""
    with connect(f"ws://127.0.0.1:{daemon.ws}/", compression=None) as client:
        client.send('{"event":"subscribe-metrics","data":{"interval_ms":100}}')
        for event in ("subscribed", "metrics-update"):
            assert json.loads(client.recv(10))["event"] == event
        yield client


def received_from(client: redis.Redis) -> int:
    """Return how many events of the channel are committed, refused ones too."""
    found: Any = client.hgetall(f"{PREFIX}checkpoint")
    return load_state({name.decode(): value for name, value in found.items()}).total.tallies["received"][
        f"pubsub:{CHANNEL}"
    ]


def seconds_to_stop(daemon: Daemon) -> float:
    """Send SIGTERM and wait until the process is gone."""
    began = time.monotonic()
    daemon.stop()
    return time.monotonic() - began


def closed_with(client: ClientConnection) -> int | None:
    """Read on to the end; return the status the server closed with."""
    try:
        while True:
            client.recv(5)
    except ConnectionClosed as exc:
        return exc.rcvd.code if exc.rcvd is not None else None
