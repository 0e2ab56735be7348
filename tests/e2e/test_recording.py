"""What a real daemon recorded, killed or not, is replayed to the state that Redis has."""

import json
import signal
from pathlib import Path
from random import Random

import pytest
import redis

from tests.cli.commands import invoke
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import PREFIX
from tests.guarantees import in_campaign
from tests.redis_server import RedisServer
from tests.waiting import wait_until

CHANNEL = STREAM = "flash_sale:events"


class Backend:
    """Publishes numbered orders over both transports, rarely something that is none."""

    def __init__(self, server: RedisServer, seed: int) -> None:
        self.client = redis.Redis(port=server.port)
        self.random = Random(seed)
        self.numbers = {"pubsub": 0, "stream": 0}

    def publish(self, count: int) -> None:
        pipe = self.client.pipeline(transaction=False)
        for _ in range(count):
            transport = self.random.choice(("pubsub", "stream"))
            self.numbers[transport] += self.random.choice((1, 1, 1, 1, 2))
            order = {"status": "success", "order_id": f"{transport}-{self.numbers[transport]}", "latency_ms": 5}
            order |= {"producer": f"api-{transport}", "epoch": 1, "seq": self.numbers[transport]}
            order |= {"product_id": f"sku-{self.random.randrange(90)}"}
            payload = json.dumps(order) if self.random.random() < 0.97 else "\udcff{"
            body = payload.encode("utf-8", "surrogateescape")
            if transport == "pubsub":
                pipe.publish(CHANNEL, body)
            else:
                pipe.xadd(STREAM, {"e": body})
        pipe.execute()


@pytest.mark.parametrize("kills", [1, *in_campaign(7)])
def test_a_daemon_that_was_killed_is_replayed_to_what_is_in_redis(
    redis_server: RedisServer, make_daemon: MakeDaemon, tmp_path: Path, seed: int, kills: int
) -> None:
    place = tmp_path / "recordings"
    settings = f"{{commit_interval: 20ms, lease: 1s, instance: shop, recorder: {{directory: {place}}}}}"
    daemon = make_daemon(redis_server.url, settings=settings)
    backend = Backend(redis_server, seed)
    for _ in range(kills):
        daemon.start()
        for _ in range(5):
            backend.publish(60)
        wait_until(lambda: daemon.received() > 0, 5, "something to be counted")
        backend.publish(60)
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
    daemon.start()
    backend.publish(60)
    last = backend.numbers["stream"]
    wait_until(lambda: daemon.snapshot()["completeness"]["by_producer"].get("api-stream", {}).get("received"), 5, "it")
    if kills > 1:
        backend.client.flushall()
        wait_until(lambda: backend.client.exists(f"{PREFIX}checkpoint"), 5, "everything to be written again")
    daemon.stop()
    stored = backend.client.hgetall(f"{PREFIX}checkpoint")
    assert isinstance(stored, dict) and last
    result = invoke("report", "--json", "--redis-url", redis_server.url)
    saved = tmp_path / "report.json"
    saved.write_text(result.stdout)
    found = invoke("replay", str(place), "--verify", "--against", str(saved), "--json")
    assert found.exit_code == 0, found.stderr
    mine, theirs = json.loads(found.stdout), json.loads(result.stdout)
    assert {name for name in mine if mine[name] != theirs[name]} <= {"instance", "uptime_s", "system", "stale"}


@pytest.mark.campaign
def test_a_disk_that_fills_up_stops_the_recorder_and_nothing_else(
    redis_server: RedisServer, make_daemon: MakeDaemon, tmp_path: Path, seed: int
) -> None:
    """No file may grow beyond 64 KiB, of which the log takes a part."""
    place = tmp_path / "recordings"
    settings = f"{{commit_interval: 20ms, lease: 1s, instance: shop, recorder: {{directory: {place}}}}}"
    daemon = make_daemon(redis_server.url, settings=settings).start(shell="ulimit -f 128")
    backend = Backend(redis_server, seed)
    while daemon.ask("/monitoring/health")[1]["components"]["recorder"]["status"] == "ok":
        backend.publish(200)
    before = daemon.received()
    backend.publish(200)
    wait_until(lambda: daemon.received() >= before + 200, 5, "counting to go on")
    health = daemon.ask("/monitoring/health")[1]
    assert "stopped: File too large" in health["components"]["recorder"]["detail"]
    assert 'recorder_events_total{outcome="dropped"}' in daemon.text("/metrics")
    assert daemon.stop() == 0
    found = invoke("replay", str(place), "--verify", "--json")
    assert (found.exit_code, "Warning" in found.stderr) == (0, False), found.stderr
    assert 0 < json.loads(found.stdout)["completeness"]["received"] < before + 200
