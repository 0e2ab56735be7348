"""G1: from a stream every event counts exactly once, whatever is killed or paused, and a control that does not."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.conftest import Guarantee, MakeProxy, StartRedis
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import START_SECONDS
from tests.e2e.exact import COUNTED_SECONDS, check_exact, wait_for_position
from tests.e2e.producer import Producer
from tests.e2e.recount import STREAM
from tests.e2e.usual_consumer import GROUP, ORDERS, TENTHS
from tests.forks import USUAL_CONSUMER, Forked, fork
from tests.guarantees import sizes
from tests.redis_server import DURABLE, RedisServer
from tests.waiting import wait_until

# The shortest interval there is: a kill meets a commit as often as can be.
FAST = "{commit_interval: 10ms, lease: 500ms, sources: {pubsub: [], streams: ['flash_sale:events']}}"
MOMENT_SECONDS = 0.1


def kill_again_and_again(
    start: Callable[[], object], kill: Callable[[], None], is_ready: Callable[[], bool], kills: int, seed: int
) -> None:
    """Start a process, kill it and start it again, half of the time before it is ready; the last one runs on."""
    moments = random.Random(seed)
    start()
    for turn in range(kills):
        if turn % 2 == 0:
            wait_until(is_ready, START_SECONDS, "readiness")
        time.sleep(moments.uniform(0, MOMENT_SECONDS))
        kill()
        start()


@pytest.mark.parametrize("maxlen", [None, 1000], ids=["whole stream", "MAXLEN ~ 1000"])
@pytest.mark.parametrize("kills", sizes(12, 100, 1000))
def test_kill_9_of_the_sidecar(
    kills: int,
    maxlen: int | None,
    redis_server: RedisServer,
    make_daemon: MakeDaemon,
    seed: int,
    guarantee: Guarantee,
) -> None:
    daemon = make_daemon(redis_server.url, settings=FAST).start()
    wait_for_position(redis_server)
    daemon.end()
    producer = Producer(redis_server, maxlen=maxlen)
    kill_again_and_again(lambda: daemon.start(ready=False), daemon.end, daemon.is_ready, kills, seed)
    producer.finish()
    truth = check_exact(daemon, producer)
    trimmed = f", MAXLEN ~ {maxlen}" if maxlen else ""
    guarantee("G1", f"{kills} kill -9 of the sidecar{trimmed}: {truth.orders:,} events, difference 0")


@pytest.mark.parametrize("kills", sizes(12, 50, 200))
def test_a_control_that_counts_the_usual_way_is_not_exact(
    kills: int, redis_server: RedisServer, tmp_path: Path, seed: int, guarantee: Guarantee
) -> None:
    client = redis.Redis(port=redis_server.port)
    producer = Producer(redis_server)
    counted_before = 0
    consumer: Forked

    def counted() -> tuple[int, int]:
        return int(client.get(ORDERS) or 0), int(client.get(TENTHS) or 0)

    def start() -> None:
        nonlocal counted_before, consumer
        counted_before = counted()[0]
        with (tmp_path / "usual.log").open("a") as log:
            consumer = fork(str(redis_server.port), stdout=log, stderr=log, program=USUAL_CONSUMER)

    def kill() -> None:
        consumer.kill()
        consumer.wait()

    kill_again_and_again(start, kill, lambda: counted()[0] > counted_before, kills, seed)
    producer.finish()
    truth = producer.truth()
    try:
        wait_until(lambda: counted()[0] >= truth.orders, COUNTED_SECONDS, f"{truth.orders} events counted")
        wait_until(lambda: client.xpending(STREAM, GROUP)["pending"] == 0, COUNTED_SECONDS, "all events acknowledged")
    finally:
        kill()
    orders, tenths = counted()
    guarantee("G1", f"control, INCR then XACK, {kills} kill -9: {orders:,} counted for {truth.orders:,} events")
    assert (orders, tenths) != (truth.orders, truth.tenths)


@pytest.mark.parametrize("kills", sizes(3, 12, 120))
def test_kill_9_of_redis(
    kills: int, start_redis: StartRedis, make_daemon: MakeDaemon, seed: int, guarantee: Guarantee
) -> None:
    moments = random.Random(seed)
    server = start_redis(*DURABLE)
    daemon = make_daemon(server.url, settings=FAST).start()
    producer = Producer(server)
    for turn in range(kills):
        time.sleep(moments.uniform(0.2, 0.6))
        server.kill()
        if turn % 3 == 2:
            daemon.end()
            daemon.start(ready=False)
        time.sleep(moments.uniform(0, MOMENT_SECONDS))
        server.start()
        wait_until(daemon.is_ready, START_SECONDS, "readiness")
    producer.finish()
    truth = check_exact(daemon, producer)
    guarantee("G1", f"{kills} kill -9 of Redis (AOF): {truth.orders:,} events, difference 0")


@pytest.mark.parametrize("zombies", sizes(2, 10, 100))
def test_a_paused_or_cut_off_sidecar_comes_back_as_standby(
    zombies: int,
    redis_server: RedisServer,
    make_daemon: MakeDaemon,
    make_proxy: MakeProxy,
    seed: int,
    guarantee: Guarantee,
) -> None:
    moments = random.Random(seed)
    proxies = [make_proxy(redis_server) for _ in range(2)]
    first, second = (make_daemon(proxy.instead_of(redis_server.url), settings=FAST) for proxy in proxies)
    active, standby = (first.start(), proxies[0]), (second.start(ready=False), proxies[1])
    second.wait_ready("standby")
    wait_for_position(redis_server)
    producer = Producer(redis_server)
    for turn in range(zombies):
        time.sleep(moments.uniform(0, MOMENT_SECONDS))
        (zombie, proxy), (heir, _) = active, standby
        assert zombie.process is not None
        if turn % 2:  # what it has sent arrives when another counts
            proxy.misbehave("black hole")
        else:
            zombie.process.send_signal(signal.SIGSTOP)
        heir.wait_ready("active")
        time.sleep(moments.uniform(0, MOMENT_SECONDS))
        proxy.heal()
        zombie.process.send_signal(signal.SIGCONT)
        zombie.wait_ready("standby")
        active, standby = standby, active
    producer.finish()
    truth = check_exact(active[0], producer)
    guarantee("G1", f"{zombies} zombies, paused or cut off beyond the lease: {truth.orders:,} events, difference 0")
