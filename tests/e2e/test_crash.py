"""Crashes: whatever is killed, every event of a stream counts exactly once."""

import random
import signal
import time

import pytest
import redis

from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import PREFIX, Daemon, ForkServer, kill
from tests.e2e.producer import STREAM, Producer
from tests.redis_server import RedisServer
from tests.waiting import wait_until

FAST = "{commit_interval: 10ms, lease: 1s, sources: {pubsub: [], streams: ['flash_sale:events']}}"


def wait_for_position(server: RedisServer) -> None:
    """Wait until the stream's position is stored: from here on, what is trimmed is counted."""
    client = redis.Redis(port=server.port)
    wait_until(lambda: client.hexists(f"{PREFIX}checkpoint", f"p:{STREAM}"), 20, "a stored position")


def check_exact(daemon: Daemon, producer: Producer, seed: int) -> None:
    """The numbers in every place are those that were written."""
    client, written = producer.client, producer.written
    wait_until(lambda: daemon.received() >= written, 20, f"{written} events counted (seed {seed})")
    snapshot = daemon.snapshot()
    assert snapshot["orders"]["total"] == written
    assert snapshot["latency_ms"]["total"]["count"] == written
    assert snapshot["latency_ms"]["total"]["avg"] * written == pytest.approx(producer.latency_ms, rel=1e-12)
    assert sum(product["units"] for product in snapshot["orders"]["by_product"].values()) == written
    assert snapshot["completeness"]["missed"] == 0
    assert int(client.get(f"{PREFIX}order_status:success") or 0) == written
    seconds = [int(client.get(key) or 0) for key in client.scan_iter(f"{PREFIX}throughput:*")]
    assert sum(seconds) == written


@pytest.mark.parametrize(("kills", "maxlen"), [(100, None), (30, 1000)], ids=["whole stream", "MAXLEN ~ 1000"])
def test_kill_9_while_a_stream_is_written_is_exact(
    kills: int, maxlen: int | None, redis_server: RedisServer, make_daemon: MakeDaemon, fork_server: ForkServer
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rnd = random.Random(seed)
    daemon = make_daemon(redis_server.url, settings=FAST)
    pid = fork_server.start(daemon)
    wait_for_position(redis_server)
    producer = Producer(redis_server, maxlen=maxlen)
    starts = 0
    for turn in range(kills):
        if turn % 2:
            time.sleep(rnd.uniform(0, 0.1))  # anywhere before it is ready
        else:
            wait_until(lambda: daemon.ask("/readyz")[0] == 200, 20, f"a ready daemon (seed {seed})")
            starts += 1
            time.sleep(rnd.uniform(0, 0.1))  # anywhere in a commit
        kill(pid)
        pid = fork_server.start(daemon)
    producer.finish()
    try:
        check_exact(daemon, producer, seed)
    finally:
        kill(pid)
    print(f"{kills} kill -9, {starts} of a ready daemon: {producer.written} events, all counted once")


def test_an_empty_redis_is_written_full_again(redis_server: RedisServer, make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(redis_server.url).start()
    client = redis.Redis(port=redis_server.port)
    for _ in range(7):
        client.publish(STREAM, '{"status":"success","product_id":"sku-1"}')
    wait_until(lambda: daemon.received() == 7, 5, "seven events")
    client.flushall()
    wait_until(lambda: client.get(f"{PREFIX}order_status:success") == b"7", 5, "the count to be back")
    client.publish(STREAM, '{"status":"success"}')
    wait_until(lambda: client.get(f"{PREFIX}order_status:success") == b"8", 5, "the count to go on")
    assert daemon.snapshot()["orders"]["by_product"]["sku-1"]["success"] == 7


def test_what_was_cleared_and_what_is_there_add_up(redis_server: RedisServer, make_daemon: MakeDaemon) -> None:
    settings = "{commit_interval: 10ms, lease: 1s, http: {admin_token: secret}}"
    daemon = make_daemon(redis_server.url, settings=settings).start()
    wait_for_position(redis_server)
    producer = Producer(redis_server)
    cleared = 0
    for _ in range(20):
        status, answer = daemon.ask(
            "/monitoring/metrics/clear", method="POST", headers={"Authorization": "Bearer secret"}
        )
        assert status == 200, answer
        cleared += answer["cleared"]["orders"]["by_status"]["success"]
    written = producer.finish()
    client = redis.Redis(port=redis_server.port)
    wait_until(
        lambda: cleared + int(client.get(f"{PREFIX}order_status:success") or 0) == written, 5, f"{written} in all"
    )
    assert cleared > 0
    assert daemon.snapshot()["completeness"]["missed"] == 0


def test_a_second_daemon_stands_by_and_takes_over(
    redis_server: RedisServer, make_daemon: MakeDaemon, fork_server: ForkServer
) -> None:
    first = make_daemon(redis_server.url, settings=FAST).start()
    second = make_daemon(redis_server.url, settings=FAST).start(ready=False)
    second.wait_ready("standby")
    assert second.ask("/monitoring/health")[1]["status"] == "standby"
    assert "flash_sale_orders_total" not in second.text("/metrics")
    wait_for_position(redis_server)
    producer = Producer(redis_server)
    wait_until(lambda: first.received() > 100, 5, "the first to count")
    first.end()
    second.wait_ready("active")
    third = make_daemon(redis_server.url, settings=FAST).start(ready=False)
    third.wait_ready("standby")
    assert second.stop() == 0
    third.wait_ready("active")
    producer.finish()
    check_exact(third, producer, seed=0)


def test_a_paused_daemon_comes_back_as_standby(redis_server: RedisServer, make_daemon: MakeDaemon) -> None:
    first = make_daemon(redis_server.url, settings=FAST).start()
    second = make_daemon(redis_server.url, settings=FAST).start(ready=False)
    second.wait_ready("standby")
    wait_for_position(redis_server)
    producer = Producer(redis_server)
    assert first.process is not None
    first.process.send_signal(signal.SIGSTOP)
    second.wait_ready("active")
    first.process.send_signal(signal.SIGCONT)
    first.wait_ready("standby")
    assert first.ask("/monitoring/metrics")[1]["error"]["code"] == "standby"
    producer.finish()
    check_exact(second, producer, seed=0)
