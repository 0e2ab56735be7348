"""Bad input of every kind, over both transports: counted by reason, its neighbours unharmed, kept for inspection."""

import json
import time

import pytest
import redis

from tests.cli.commands import execute
from tests.e2e.conftest import MakeDaemon
from tests.redis_server import RedisServer
from tests.waiting import wait_until

NAME = "flash_sale:events"
GOOD = b'{"status":"success","product_id":"good","latency_ms":5}'
BAD: list[tuple[bytes, str]] = [
    (b"", "not_json"),
    (b"no json", "not_json"),
    (b'{"status":"success"', "not_json"),
    (b"\xff\xfe\x00", "not_json"),
    (b'{"status":"success","order_id":"\\ud800"}', "not_json"),
    (b"[" * 100_000, "not_json"),
    (b"5", "not_object"),
    (b'"text"', "not_object"),
    (b"null", "not_object"),
    (b"{}", "missing_field"),
    (b'{"type":"inventory","product_id":"a"}', "missing_field"),
    (b'{"type":"inventory","stock":4}', "missing_field"),
    (b'{"type":"connections"}', "missing_field"),
    (b'{"status":5}', "wrong_type"),
    (b'{"status":true}', "wrong_type"),
    (b'{"status":"success","ts":"yesterday"}', "wrong_type"),
    (b'{"type":7,"status":"success"}', "wrong_type"),
    (b'{"status":"success","ts":5}', "out_of_range"),
    (b'{"status":"success","seq":0,"producer":"p"}', "out_of_range"),
    (b'{"type":"inventory","product_id":"a","stock":1000000000001}', "out_of_range"),
    (b'{"type":"queue","waiting":-1}', "out_of_range"),
    (json.dumps({"status": "success", "ts": time.time() + 90_000}).encode(), "out_of_range"),
    (b'{"status":"shipped"}', "unknown_status"),
    (b'{"status":"success","reason":"' + b"x" * (1 << 20) + b'"}', "too_large"),
    (b"[" + b",".join([b'{"status":"success"}'] * 10_001) + b"]", "too_large"),
]
# Orders that count, though not all of what they say does.
ADJUSTED: list[tuple[bytes, str]] = [
    (b'{"status":"success","quantity":"many"}', "quantity_left_out"),
    (b'{"status":"success","quantity":0}', "quantity_left_out"),
    (b'{"status":"success","latency_ms":[]}', "latency_ms_left_out"),
    (b'{"status":"success","latency_ms":-0.4}', "latency_ms_left_out"),
    (b'{"status":"success","amount":"1000000001"}', "amount_left_out"),
    (b'{"status":"success","items":"a"}', "items_left_out"),
    (b'{"status":"success","items":[{"quantity":1},{"product_id":"other"}]}', "item_left_out"),
    (json.dumps({"status": "success", "order_id": "x" * 129}).encode(), "order_id_cut"),
    (json.dumps({"status": "success", "trace_id": "x" * 129}).encode(), "trace_id_cut"),
]


@pytest.mark.parametrize("transport", ["pubsub", "stream"])
def test_bad_input_is_counted_by_reason_and_costs_only_itself(
    transport: str, redis_server: RedisServer, make_daemon: MakeDaemon
) -> None:
    daemon = make_daemon(redis_server.url, settings="{commit_interval: 100ms}").start()
    client = redis.Redis(port=redis_server.port)

    def send(payload: bytes) -> None:
        if transport == "pubsub":
            client.publish(NAME, payload)
        else:
            client.xadd(NAME, {"e": payload})

    expected: dict[str, int] = {}
    good = 0
    for payload, reason in BAD:
        send(payload)
        send(GOOD)
        good += 1
        expected[reason] = expected.get(reason, 0) + 1
        if payload.startswith(b"{") and payload.endswith(b"}") and len(payload) < 10_000 and b"\\ud8" not in payload:
            send(b"[" + GOOD + b"," + payload + b"," + GOOD + b"]")
            good += 2
            expected[reason] += 1
    if transport == "stream":
        client.xadd(NAME, {"payload": GOOD})
        expected["missing_field"] += 1
    adjusted: dict[str, int] = {}
    for payload, what in ADJUSTED:
        send(payload)
        adjusted[what] = adjusted.get(what, 0) + 1
    events = good + len(ADJUSTED) + sum(expected.values())
    wait_until(lambda: daemon.received() >= events, 20, f"{events} events")

    snapshot = daemon.snapshot()
    assert snapshot["orders"]["by_status"]["success"] == good + len(ADJUSTED)
    assert snapshot["orders"]["by_product"]["good"]["units"] == good
    assert snapshot["completeness"]["received"] == events
    assert snapshot["completeness"]["invalid"] == sum(expected.values())
    assert snapshot["completeness"]["adjusted"] == len(ADJUSTED)
    text = daemon.text("/metrics")
    for what, count in adjusted.items():
        assert f'flash_sale_sidecar_events_adjusted_total{{reason="{what}"}} {count}.0' in text
    for reason, count in expected.items():
        assert f'flash_sale_sidecar_events_invalid_total{{reason="{reason}"}} {count}.0' in text
    assert daemon.ask("/monitoring/health")[1]["status"] == "ok"

    shown = execute("rejected", "--limit", "100", "--redis-url", redis_server.url).stdout
    assert all(reason in shown for reason in expected)
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log.read_text()
