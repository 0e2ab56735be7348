"""The WebSocket, on both ports, with real clients on real sockets."""

import asyncio
import gc
import itertools
import json
import socket
import struct
import time
import weakref
from base64 import urlsafe_b64encode
from typing import Any, get_args

import msgspec
import pytest
from aiohttp import ClientSession
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from sidecar.config import Seconds
from sidecar.core.snapshot.report import Report, report
from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.errors import ConfigError, SidecarError, UnavailableError
from sidecar.exposition import documents
from sidecar.exposition.http import server
from sidecar.exposition.live import clients
from sidecar.exposition.live.subscriber import PIECE_BYTES
from sidecar.exposition.live.websocket import WebSocketServer
from sidecar.process import supervision
from tests.exposition.live.served import (
    LARGE,
    LIMIT,
    On,
    Served,
    ask,
    closed,
    deaf_client,
    narrow_socket,
    receive,
    refused,
    serving,
)
from tests.exposition.snapshots import snapshot
from tests.waiting import eventually

ON = pytest.mark.parametrize("on", get_args(On))


@ON
async def test_updates_begin_at_once_and_come_every_interval(on: On) -> None:
    async with serving(snapshot(), on=on) as served, served.connect() as client:
        start = time.monotonic()
        answer = await ask(client, "subscribe-metrics", {"interval_ms": 300, "topics": ["orders"]}, id=7)
        assert answer == {
            "event": "subscribed", "id": 7, "data": {"interval_ms": 300, "topics": ["orders"], "scope": "instance"}
        }  # fmt: skip
        updates = [await receive(client)]
        assert time.monotonic() - start < 0.28
        updates += [await receive(client) for _ in range(3)]
        assert 0.89 < time.monotonic() - start < 1.5
        assert [update["event"] for update in updates] == ["metrics-update"] * 4
        assert [(update["seq"], update["skipped"]) for update in updates] == [(1, 0), (2, 0), (3, 0), (4, 0)]
        assert updates[0]["data"]["orders"]["total"] == 9
        assert "latency_ms" not in updates[0]["data"]
        await eventually(lambda: served.updates("sent") >= 4)


async def test_an_update_shows_the_newest_snapshot_and_without_a_tick_the_same_again() -> None:
    async with serving(snapshot()) as served, served.connect() as client:
        await ask(client, "subscribe-metrics", {"interval_ms": 100, "topics": ["system"]})
        assert (await receive(client))["data"] == (await receive(client))["data"]
        served.latest.publish(snapshot(uptime_s=98.0))
        served.latest.publish(snapshot(uptime_s=99.0))
        shown = []
        while 99.0 not in shown:  # one may have been on its way
            shown.append((await receive(client))["data"]["uptime_s"])
        assert 98.0 not in shown


async def test_a_second_subscription_replaces_the_first() -> None:
    async with serving(snapshot()) as served, served.connect() as client:
        await ask(client, "subscribe-metrics", {"interval_ms": 100, "topics": ["system"]})
        await receive(client)
        await client.send('{"event":"subscribe-metrics","data":{"interval_ms":60000,"topics":["queues"]}}')
        while (await receive(client))["event"] != "subscribed":
            pass
        update = await receive(client)
        assert update["seq"] == 1
        assert "queues" in update["data"]
        assert "system" not in update["data"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.recv(), 0.25)


@pytest.mark.parametrize(("topic", "most"), [("products", 2), ("system", 8)])
async def test_to_subscribe_again_and_again_brings_no_more_updates(topic: str, most: int) -> None:
    """In 0.75 s and a bit: after the first, one in 100 ms, or with all products in 1 s."""
    async with serving(snapshot()) as served, served.connect() as client:
        updates = 0
        end = time.monotonic() + 0.75
        subscription = {"event": "subscribe-metrics", "data": {"interval_ms": 1000, "topics": [topic]}}
        await client.send(json.dumps(subscription))
        while time.monotonic() < end:
            if (await receive(client))["event"] == "metrics-update":
                updates += 1
                await client.send(json.dumps(subscription))
        assert 2 <= updates <= most


async def test_all_products_come_at_once_after_updates_without_them() -> None:
    async with serving(snapshot()) as served, served.connect() as client:
        for topics in (["system"], ["products"], ["system"]):
            start = time.monotonic()
            await ask(client, "subscribe-metrics", {"topics": topics})
            await receive(client)
            assert time.monotonic() - start < 0.8  # an interval is 1 s


async def test_a_refused_subscription_leaves_the_first_in_force() -> None:
    async with serving(snapshot()) as served, served.connect() as client:
        await ask(client, "subscribe-metrics", {"interval_ms": 100})
        await client.send('{"event":"subscribe-metrics","data":{"interval_ms":10}}')
        events = [(await receive(client))["event"] for _ in range(4)]
        assert sorted(events) == ["error", "metrics-update", "metrics-update", "metrics-update"]


async def test_nothing_comes_after_unsubscribed() -> None:
    async with serving(snapshot()) as served, served.connect() as client:
        await ask(client, "subscribe-metrics", {"interval_ms": 100})
        await client.send('{"event":"unsubscribe-metrics","id":"u"}')
        while (answer := await receive(client))["event"] != "unsubscribed":
            pass
        assert answer == {"event": "unsubscribed", "id": "u", "data": {}}
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.recv(), 0.25)


async def test_before_the_first_snapshot_updates_wait_and_a_report_is_not_ready() -> None:
    async with serving() as served, served.connect() as client:
        assert (await ask(client, "get-benchmark-report", id=1))["data"]["code"] == "not_ready"
        assert (await ask(client, "subscribe-metrics", {"interval_ms": 60_000}))["event"] == "subscribed"
        assert (await ask(client, "ping"))["event"] == "pong"
        served.latest.publish(snapshot())
        assert (await receive(client))["seq"] == 1


@ON
async def test_requests_are_answered_and_nonsense_does_not_end_the_connection(on: On) -> None:
    async with serving(snapshot(), on=on) as served, served.connect() as client:
        for text, code in (("{", "not_json"), ("[1]", "bad_request"), ('{"event":"x"}', "unknown_event")):
            await client.send(text)
            answer = await receive(client)
            assert (answer["event"], answer["data"]["code"]) == ("error", code)
        await client.send(b"\x00")
        assert (await receive(client))["data"]["code"] == "bad_request"
        assert await ask(client, "ping", id="p") == {"event": "pong", "id": "p", "data": {}}
        report = await ask(client, "get-benchmark-report", id=2)
        assert (report["event"], report["id"], report["data"]["orders"]["total"]) == ("benchmark-report", 2, 9)
        assert report["data"]["duration_s"] == pytest.approx(1000.1)
        assert await ask(client, "authenticate", {"token": "any"}) == {"event": "authenticated", "data": {}}


@ON
async def test_a_message_over_4_kib_closes_with_1009(on: On) -> None:
    async with serving(snapshot(), on=on) as served, served.connect() as client:
        assert (await ask(client, "ping", "x" * 4000))["event"] == "pong"
        await client.send("x" * 4097)
        assert await closed(client) == 1009


@ON
async def test_a_client_that_read_too_slowly_gets_the_newest_and_is_told_what_it_missed(on: On) -> None:
    async with serving(snapshot(queues=LARGE), on=on) as served, served.connect(max_queue=1, narrow=True) as client:
        await client.send('{"event":"subscribe-metrics","data":{"interval_ms":100,"topics":["queues"]}}')
        await eventually(lambda: served.updates("skipped") >= 3)
        served.latest.publish(snapshot(uptime_s=99.0))
        assert (await receive(client))["event"] == "subscribed"
        written = [await receive(client)]
        while written[-1]["data"]["uptime_s"] != 99.0:
            written.append(await receive(client))
        assert [update["seq"] for update in written] == list(range(1, len(written) + 1))
        assert len(written) <= 4, "what was written before the client was seen to be slow is little"
        told = [update["skipped"] for update in written]
        assert told[0] == 0 and sum(told) >= 3
        while sum(told) != served.updates("skipped"):  # on a busy machine it falls behind again, and is told again
            assert sum(told) < served.updates("skipped")
            told.append((await receive(client))["skipped"])


@ON
async def test_a_client_that_never_reads_is_skipped_then_cut_and_delays_nobody(on: On) -> None:
    slow = serving(snapshot(queues=LARGE), on=on, slow_client_timeout=Seconds(0.6))
    async with slow as served, served.connect() as client:
        subscription = {"event": "subscribe-metrics", "data": {"interval_ms": 100, "topics": ["queues"]}}
        with deaf_client(served, subscription):
            await ask(client, "subscribe-metrics", {"interval_ms": 100, "topics": ["system"]})
            start = time.monotonic()
            for _ in range(6):
                await receive(client)
            assert time.monotonic() - start < 1.05  # 0.5 s, and 0.6 more if it waited for the other
            await eventually(lambda: served.updates("skipped") >= 2 and served.clients() == 1)
        assert (await receive(client))["event"] == "metrics-update"


@ON
async def test_a_stuck_client_that_reads_again_finds_1013(on: On) -> None:
    slow = serving(snapshot(queues=LARGE), on=on, slow_client_timeout=Seconds(0.2))
    async with slow as served, served.connect(max_queue=1, narrow=True) as client:
        await client.send('{"event":"subscribe-metrics","data":{"interval_ms":100,"topics":["queues"]}}')
        await eventually(lambda: served.updates("failed") >= 1, what="the close")
        assert await closed(client) == 1013


@ON
async def test_answers_to_a_client_that_never_reads_are_bounded_and_end_with_the_connection(on: On) -> None:
    async with serving(snapshot(), on=on, slow_client_timeout=Seconds(0.2)) as served:
        with deaf_client(served, *[{"event": "get-benchmark-report"}] * 200):
            await eventually(lambda: served.clients() == 1)
            await eventually(lambda: served.clients() == 0)


async def test_reports_of_one_snapshot_are_rendered_once_and_answer_each_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rendered: list[Snapshot] = []

    def rendering(snapshot: Snapshot) -> Report:
        rendered.append(snapshot)
        return report(snapshot)

    monkeypatch.setattr(documents, "report", rendering)
    async with serving(snapshot()) as served, served.connect() as one, served.connect() as two:
        answers = [await ask(one, "get-benchmark-report"), await ask(two, "get-benchmark-report", id={"a": 1})]
        assert answers[1] == {"event": "benchmark-report", "id": {"a": 1}, "data": answers[0]["data"]}
        assert answers[0].keys() == {"event", "data"}
        assert len(rendered) == 1


@ON
async def test_a_large_report_comes_piece_by_piece_and_whole(on: On) -> None:
    large = snapshot(queues=LARGE)
    async with serving(large, on=on) as served, served.connect(sock=narrow_socket(served, PIECE_BYTES)) as client:
        client.transport.pause_reading()
        await client.send('{"event":"subscribe-metrics","data":{"interval_ms":100,"topics":["system"]}}')
        await client.send('{"event":"get-benchmark-report"}')
        await eventually(lambda: served.updates("skipped") >= 2, what="the report to stand in the way")
        client.transport.resume_reading()
        pieces = [b""]
        while b"benchmark-report" not in pieces[0]:
            pieces = [piece async for piece in client.recv_streaming(decode=False)]
        assert json.loads(b"".join(pieces))["data"] == json.loads(documents.report_json(large))
        assert max(map(len, pieces)) < PIECE_BYTES + 100
        assert (await receive(client))["event"] == "metrics-update"


async def test_who_has_not_read_an_update_is_not_heard_until_it_has() -> None:
    async with (
        serving(snapshot(queues=LARGE)) as served,
        served.connect(narrow=True) as client,
        served.connect() as other,
    ):
        client.transport.pause_reading()
        await client.send('{"event":"subscribe-metrics","data":{"interval_ms":60000,"topics":["queues"]}}')
        await eventually(lambda: served.updates("sent") == 1)
        await client.send('{"event":"get-benchmark-report"}')
        await ask(other, "get-benchmark-report")  # asked later: by now the one before it would have been answered
        served.latest.publish(snapshot(uptime_s=99.0))
        client.transport.resume_reading()
        assert [(await receive(client))["event"] for _ in range(2)] == ["subscribed", "metrics-update"]
        assert (await receive(client))["data"]["uptime_s"] == 99.0


@ON
@pytest.mark.parametrize("leave", ["reset", "half"])
async def test_a_client_that_leaves_while_a_large_report_is_on_its_way_is_no_fault(
    on: On, leave: str, caplog: pytest.LogCaptureFixture
) -> None:
    large = snapshot(queues=LARGE)
    async with serving(large, on=on) as served:
        subscription = {"event": "subscribe-metrics", "data": {"interval_ms": 100, "topics": ["system"]}}
        report = {"event": "get-benchmark-report"}
        with deaf_client(served, subscription, report, {"event": "ping"}, buffer_bytes=PIECE_BYTES) as deaf:
            await eventually(lambda: served.updates("skipped") >= 1, what="the report to stand in the way")
            if leave == "reset":
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                deaf.shutdown(socket.SHUT_WR)
                deaf.settimeout(LIMIT)
                while await asyncio.to_thread(deaf.recv, PIECE_BYTES):
                    pass
        await eventually(lambda: served.clients() == 0)
    assert not caplog.records


@ON
async def test_a_client_that_ends_its_half_and_reads_nothing_does_not_stay(on: On) -> None:
    async with serving(snapshot(queues=LARGE), on=on, slow_client_timeout=Seconds(0.2)) as served:
        with deaf_client(served, {"event": "get-benchmark-report"}) as deaf:
            await eventually(lambda: served.clients() == 1)
            deaf.shutdown(socket.SHUT_WR)
            await eventually(lambda: served.clients() == 0)


async def test_a_client_that_breaks_the_protocol_and_reads_nothing_does_not_keep_its_socket() -> None:
    some = dict(itertools.islice(LARGE.items(), 300))  # a few updates fill the buffers of the kernels
    async with serving(snapshot(queues=some), on="http") as served:
        with deaf_client(served, {"event": "subscribe-metrics", "data": {"interval_ms": 100}}) as deaf:
            await eventually(lambda: served.updates("skipped") >= 1)
            deaf.sendall(b"\x83\x80\0\0\0\0")  # a frame of a kind that does not exist
            await eventually(lambda: served.connections() == 0, what="the end of the connection")


@ON
async def test_a_client_that_vanishes_is_forgotten_without_a_trace_in_the_log(
    on: On,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(snapshot(queues=LARGE), on=on) as served:
        deaf = deaf_client(served, {"event": "subscribe-metrics", "data": {"interval_ms": 100}})
        await eventually(lambda: served.updates("sent") == 1)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        deaf.close()
        half = socket.create_connection(served.server.address)
        half.sendall(b"GET / HTTP/1.1\r\nHost:")
        half.close()
        garbage = socket.create_connection(served.server.address)
        garbage.sendall(b"\x16\x03\x01\x00\r\n\r\n")
        garbage.close()
        await eventually(lambda: served.clients() == 0)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR", "CRITICAL")] == []


@ON
async def test_shutdown_closes_with_1001_and_is_quick_even_if_somebody_does_not_read(on: On) -> None:
    async with serving(snapshot(queues=LARGE), on=on) as served, served.connect() as client:
        await ask(client, "subscribe-metrics", {"interval_ms": 60_000})
        with deaf_client(served, {"event": "subscribe-metrics"}), socket.create_connection(served.server.address):
            await eventually(lambda: served.updates("sent") == 2)
            start = time.monotonic()
            await asyncio.gather(served.server.stop(), eventually(lambda: served.clients() == 0))
            assert time.monotonic() - start < 1.5
            assert await closed(client) == 1001


async def test_stop_before_start_does_nothing() -> None:
    await Served("ws", "", (), {}).server.stop()


@ON
@pytest.mark.parametrize(
    ("origins", "origin", "welcome"),
    [
        ((), None, True),
        ((), "http://127.0.0.1:9850", True),
        ((), "https://127.0.0.1", True),
        ((), "http://evil.example", False),
        ((), "http://127.0.0.1.evil.example", False),
        ((), "null", False),
        ((), "http://[", False),
        (("dash.example",), "https://dash.example:8443", True),
        (("dash.example",), "https://DASH.example", True),
        (("dash.example",), "https://a.dash.example", False),
        (("dash.example",), "http://127.0.0.1:9850", False),
        (("dash.example",), None, True),
    ],
)
async def test_only_pages_of_the_same_host_or_listed_ones_may_connect(
    on: On, origins: tuple[str, ...], origin: str | None, welcome: bool
) -> None:
    async with serving(snapshot(), on=on, origins=origins) as served:
        options: dict[str, Any] = {"origin": None if origin is None else Origin(origin)}
        if welcome:
            async with served.connect(**options) as client:
                assert (await ask(client, "ping"))["event"] == "pong"
        else:
            status, body = await refused(served, **options)
            assert status == 403
            assert repr(origin) in body
            assert "ws.origins" in body


@ON
@pytest.mark.parametrize(("host", "welcome"), [("localhost:1", True), ("mine.example", True), ("evil.example", False)])
async def test_a_foreign_host_is_refused_with_421(on: On, host: str, welcome: bool) -> None:
    async with serving(snapshot(), on=on, allowed_hosts=("mine.example",)) as served:
        reader, writer = await asyncio.open_connection(*served.server.address)
        writer.write(
            b"GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            % (served.path.encode(), host.encode())
        )
        async with asyncio.timeout(LIMIT):
            assert int((await reader.readline()).split()[1]) == (101 if welcome else 421)
        writer.close()


async def test_both_ports_count_their_clients_together() -> None:
    async with serving(snapshot(), on="http", max_clients=1) as served, served.connect():
        other = WebSocketServer(served.live)
        await other.start()
        with pytest.raises(InvalidStatus):
            await connect("ws://{}:{}/".format(*other.address), proxy=None)
        await other.stop()
        assert served.clients() == 1


async def test_a_websocket_takes_no_place_of_the_other_connections_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)
    async with serving(snapshot(), on="http") as served, served.connect() as client, served.connect() as other:
        for one in (client, other):
            assert (await ask(one, "ping"))["event"] == "pong"


async def test_a_request_that_is_no_websocket_is_told_what_a_proxy_must_pass_on() -> None:
    async with serving(snapshot(), on="http") as served, ClientSession() as session:
        async with session.get("http://{}:{}/ws".format(*served.server.address)) as answer:
            assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")
            assert "Connection" in (await answer.json())["error"]["message"]
        assert served.clients() == 0


@ON
async def test_clients_beyond_the_cap_get_503_and_a_place_is_free_again(on: On) -> None:
    async with serving(snapshot(), on=on, max_clients=2) as served, served.connect(), served.connect() as second:
        assert served.clients() == 2
        status, body = await refused(served)
        assert (status, "ws.max_clients" in body) == (503, True)
        await second.close()
        await eventually(lambda: served.clients() == 1)
        async with served.connect() as third:
            assert (await ask(third, "ping"))["event"] == "pong"


ENCODED = urlsafe_b64encode("sésame/1".encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("on", "options"),
    [
        ("ws", {"additional_headers": {"Authorization": "Bearer sésame/1"}}),
        ("ws", {"additional_headers": {"Authorization": "Bearer admin"}}),
        ("http", {"additional_headers": {"Authorization": "Bearer admin"}}),
        ("ws", {"subprotocols": [Subprotocol(f"bearer.{ENCODED}")]}),
        ("http", {"subprotocols": [Subprotocol("other"), Subprotocol(f"bearer.{ENCODED}")]}),
    ],
)
async def test_the_handshake_can_carry_the_token(on: On, options: dict[str, Any]) -> None:
    async with serving(snapshot(), on=on, read_token="sésame/1") as served, served.connect(**options) as client:
        assert (await ask(client, "ping"))["event"] == "pong"
        assert client.subprotocol in [None, f"bearer.{ENCODED}"]


@ON
async def test_a_wrong_token_in_the_handshake_is_none_at_all(on: On) -> None:
    wrong = [Subprotocol("other"), Subprotocol("bearer.d3Jvbmc")]
    async with serving(snapshot(), on=on, read_token="secret") as served:
        for offered in (wrong, [Subprotocol("bearer.a")]):
            async with served.connect(subprotocols=offered) as client:
                assert (await ask(client, "ping"))["data"]["code"] == "unauthorized"
                assert (client.subprotocol or "").startswith("bearer.")


@ON
async def test_authenticate_lets_a_client_in_and_it_stays(on: On, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "AUTHENTICATE_WITHIN_SECONDS", 1.0)
    monkeypatch.setattr(clients, "WRONG_SECONDS", 0.01)
    async with serving(snapshot(), on=on, read_token="secret") as served, served.connect() as client:
        assert (await ask(client, "subscribe-metrics", id=1))["data"]["code"] == "unauthorized"
        assert (await ask(client, "authenticate", {"token": "wrong"}))["data"]["code"] == "unauthorized"
        assert await ask(client, "authenticate", {"token": "secret"}, id=2) == {
            "event": "authenticated", "id": 2, "data": {}
        }  # fmt: skip
        await ask(client, "subscribe-metrics", {"interval_ms": 400})
        assert [(await receive(client))["seq"] for _ in range(4)] == [1, 2, 3, 4]


@ON
async def test_who_does_not_authenticate_in_time_is_closed_with_1008(on: On, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "AUTHENTICATE_WITHIN_SECONDS", 0.2)
    async with serving(snapshot(), on=on, read_token="secret") as served, served.connect() as client:
        assert await closed(client) == 1008


async def test_without_a_token_nobody_has_to_authenticate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "AUTHENTICATE_WITHIN_SECONDS", 0.05)
    async with serving(snapshot()) as served, served.connect() as client:
        await ask(client, "subscribe-metrics", {"interval_ms": 100})
        assert [(await receive(client))["seq"] for _ in range(3)] == [1, 2, 3]


async def test_the_fleet_is_read_once_per_tick_for_all_who_ask() -> None:
    async with serving(snapshot()) as served, served.connect() as one, served.connect() as two:
        for client in (one, two):
            await ask(client, "subscribe-metrics", {"interval_ms": 100, "scope": "fleet"})
        for _ in range(2):
            assert (await receive(one))["data"]["instances"] == (await receive(two))["data"]["instances"] == ["a", "b"]
        assert served.monitor.reads == 1
        served.latest.publish(snapshot())
        await eventually(lambda: served.monitor.reads == 2)


async def test_no_rendering_is_kept_longer_than_its_tick() -> None:
    async with serving(snapshot()) as served, served.connect() as client, served.connect() as fleet:
        assert (await ask(client, "get-benchmark-report"))["event"] == "benchmark-report"
        await ask(client, "subscribe-metrics", {"interval_ms": 60_000})
        await ask(fleet, "subscribe-metrics", {"interval_ms": 60_000, "scope": "fleet"})
        assert [(await receive(one))["seq"] for one in (client, fleet)] == [1, 1]
        published = await served.latest.newest()
        rendered = [weakref.ref(one) for one in (published, await served.latest.fleet(served.monitor.fleet))]
        del published
        served.latest.publish(snapshot())
        await eventually(lambda: gc.collect() >= 0 and not any(one() for one in rendered))


async def test_a_fleet_that_does_not_answer_delays_no_instance_subscriber() -> None:
    async with serving(snapshot()) as served, served.connect() as fleet, served.connect() as instance:
        served.monitor.may_answer.clear()
        await ask(fleet, "subscribe-metrics", {"interval_ms": 100, "scope": "fleet"})
        await ask(instance, "subscribe-metrics", {"interval_ms": 100})
        assert [(await receive(instance))["seq"] for _ in range(3)] == [1, 2, 3]
        served.monitor.may_answer.set()
        assert (await receive(fleet))["seq"] == 1


async def test_health_is_pushed_with_the_numbers_and_without_them() -> None:
    async with serving() as served, served.connect() as client:
        served.monitor.status = "down"
        await ask(client, "subscribe-metrics", {"interval_ms": 100, "topics": ["health", "connections"]})
        assert (await receive(client))["data"] == {"health": json.loads(msgspec.json.encode(served.monitor.health()))}
        served.latest.publish(snapshot())
        while "ts" not in (shown := (await receive(client))["data"]):
            pass
        assert (shown["health"]["status"], "connections" in shown, "orders" in shown) == ("down", True, False)
        served.monitor.status = "ok"
        served.latest.publish(snapshot())
        while (await receive(client))["data"]["health"]["status"] != "ok":
            pass


async def test_health_comes_also_while_the_fleet_cannot_be_read() -> None:
    async with serving(snapshot()) as served, served.connect() as client:
        served.monitor.merged = UnavailableError("Redis is gone")
        await ask(client, "subscribe-metrics", {"topics": ["health"], "scope": "fleet"})
        assert list((await receive(client))["data"]) == ["health"]


async def test_a_fleet_that_cannot_be_read_is_an_error_until_it_can() -> None:
    async with serving(snapshot()) as served, served.connect() as client:
        merged, served.monitor.merged = served.monitor.merged, UnavailableError("Redis is gone")
        await ask(client, "subscribe-metrics", {"interval_ms": 100, "scope": "fleet"})
        answer = await receive(client)
        assert (answer["event"], answer["data"]["code"]) == ("error", "unavailable")
        served.monitor.merged = merged
        served.latest.publish(snapshot())
        while (answer := await receive(client))["event"] == "error":
            pass
        assert (answer["event"], answer["seq"]) == ("metrics-update", 1)


@ON
async def test_a_fault_of_our_own_is_logged_and_ends_one_connection(
    on: On, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(snapshot(), on=on) as served, served.connect() as client, served.connect() as other:
        monkeypatch.setattr(documents, "report", lambda snapshot: 1 / 0)
        await client.send('{"event":"get-benchmark-report"}')
        assert await closed(client) == 1011
        assert (await ask(other, "ping"))["event"] == "pong"
    assert "ZeroDivisionError" in caplog.text


async def test_a_broadcast_that_fails_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "RESTART_SECONDS", 0.05)
    async with serving(snapshot()) as served, served.connect() as client:
        merged, served.monitor.merged = served.monitor.merged, ZeroDivisionError()
        await ask(client, "subscribe-metrics", {"scope": "fleet"})
        failures = "flash_sale_sidecar_task_failures_total"
        task = {"task": "broadcast:fleet"}
        await eventually(lambda: (served.registry.get_sample_value(failures, task) or 0) > 0)
        served.monitor.merged = merged
        served.latest.publish(snapshot())
        assert (await receive(client))["event"] == "metrics-update"


async def test_a_port_in_use_names_the_setting() -> None:
    async with serving() as served:
        host, port = served.server.address
        with pytest.raises(SidecarError, match=r"ws\.listen.*in use"):
            async with serving(listen=f"{host}:{port}"):
                pass


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000", ""])
async def test_an_address_that_is_none_names_the_setting(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"ws\.listen"):
        Served("ws", "", (), {"listen": listen})
