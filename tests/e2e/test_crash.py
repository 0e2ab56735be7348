"""What is lost, cleared or handed over leaves the numbers right; kills by the hundred are in `campaign`."""

import redis

from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import PREFIX
from tests.e2e.exact import check_exact, wait_for_position
from tests.e2e.producer import Producer
from tests.e2e.recount import STREAM
from tests.redis_server import RedisServer
from tests.waiting import wait_until

FAST = "{commit_interval: 10ms, lease: 1s, sources: {pubsub: [], streams: ['flash_sale:events']}}"


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


def test_a_second_daemon_stands_by_and_takes_over(redis_server: RedisServer, make_daemon: MakeDaemon) -> None:
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
    check_exact(third, producer)
