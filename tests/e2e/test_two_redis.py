"""Events through one Redis, metrics in another: crashes are exact, and so is a rollback of the metrics; a rollback of
the stream is reported."""

import redis

from tests.conftest import StartRedis
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import PREFIX, Daemon
from tests.e2e.failover import Backend, Scraper, check_recount
from tests.waiting import wait_until

STREAM = "flash_sale:events"
KILLS = 1


def orders(daemon: Daemon) -> int:
    """Return how many are counted; 0 while nobody answers."""
    status, answer = daemon.ask("/monitoring/metrics")
    return int(answer["orders"]["total"]) if status == 200 else 0


def test_stream_and_metrics_on_two_redis(start_redis: StartRedis, make_daemon: MakeDaemon) -> None:
    events, metrics = start_redis(), start_redis()
    stream, state = redis.Redis(port=events.port), redis.Redis(port=metrics.port)
    settings = (
        "{commit_interval: 20ms, lease: 1s, metrics: {new_series_hold: 0}, "
        f"sources: {{pubsub: [], redis_url: '{events.url}'}}}}"
    )
    daemon = make_daemon(metrics.url, settings=settings).start()
    backend = Backend(lambda: redis.Redis(port=events.port), STREAM)
    assert not stream.keys("flash_sale_metrics:*")
    for _ in range(KILLS):
        before = orders(daemon)
        wait_until(lambda before=before: orders(daemon) > before + 50, 10, "orders")  # type: ignore[misc]
        daemon.end()
        daemon.start()
    backend.finish()
    assert not state.exists(STREAM)
    written = check_recount(lambda: stream, daemon, stream=STREAM, prefix=PREFIX, state=state)
    assert written == backend.written

    # The Redis of the metrics comes back with older data: read again from there.
    scraper = Scraper(daemon)
    older = state.dump(f"{PREFIX}checkpoint")
    backend = Backend(lambda: redis.Redis(port=events.port), STREAM)
    wait_until(lambda: orders(daemon) > written + 50, 10, "orders")
    state.restore(f"{PREFIX}checkpoint", 0, older, replace=True)  # type: ignore[arg-type]
    wait_until(lambda: "rollback" in daemon.ask("/monitoring/health")[1]["components"], 5, "the rollback")
    backend.finish()
    written = check_recount(lambda: stream, daemon, stream=STREAM, prefix=PREFIX, state=state)

    # The Redis of the stream comes back with older data: what was counted stays, and what follows is counted.
    image, image_orders = stream.dump(STREAM), written
    newest = stream.xinfo_stream(STREAM)["last-generated-id"].decode()
    for _ in range(10):
        stream.xadd(STREAM, {"e": '{"status":"success"}'})
    wait_until(lambda: orders(daemon) == image_orders + 10, 5, "ten more")
    stream.restore(STREAM, 0, image, replace=True)  # type: ignore[arg-type]
    resets = f'flash_sale_sidecar_source_resets_total{{source="stream:{STREAM}"}} 1.0'
    wait_until(lambda: resets in daemon.text("/metrics"), 5, "the loss to be reported")
    milliseconds, number = newest.split("-")
    for n in range(5):  # by a slower clock: behind the old end, before the position
        stream.xadd(STREAM, {"e": '{"status":"success"}'}, id=f"{milliseconds}-{int(number) + 1 + n}")
    wait_until(lambda: orders(daemon) == image_orders + 15, 5, "five more, once")
    assert "stream lost its end" in daemon.log.read_text()
    scraper.finish()
