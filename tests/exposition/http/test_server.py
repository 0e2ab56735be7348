"""The endpoints of a real server, as a client sees them."""

import asyncio
import gc
import gzip
import json
import weakref
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sidecar.config import HttpConfig
from sidecar.errors import SidecarError, UnavailableError
from sidecar.exposition import documents
from sidecar.exposition.http.server import HttpServer
from sidecar.exposition.published import HealthStatus, Latest
from tests.exposition import snapshots
from tests.exposition.monitors import MemoryMonitor, exposition, guard, parse_openmetrics, serving

JSON_PATHS = ("/monitoring/metrics", "/monitoring/benchmark", "/monitoring/report", "/monitoring/history")
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0"}
NOW = int(snapshots.TS)


async def get_json(client: ClientSession, path: str, **headers: str) -> dict[str, object]:
    async with client.get(path, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "application/json"
        return dict(await response.json())


async def refusal(client: ClientSession, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    """Return status, code and message of an answer that must be an error."""
    async with client.request(method, path, headers=headers) as response:
        assert response.content_type == "application/json"
        error = (await response.json())["error"]
        assert error.keys() == {"code", "message"}
        return response.status, error["code"], error["message"]


async def test_metrics_are_text_or_openmetrics_by_accept() -> None:
    async with serving() as served:
        async with served.client.get("/metrics") as response:
            assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert "flash_sale_orders" in {family.name for family in parse_text(await response.text())}
        async with served.client.get("/metrics", headers=OPENMETRICS) as response:
            assert response.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
            assert "flash_sale_orders" in {family.name for family in parse_openmetrics(await response.text())}


async def test_metrics_are_gzipped_for_who_accepts_it() -> None:
    async with serving() as served, ClientSession(auto_decompress=False) as client:
        url = "http://{}:{}/metrics".format(*served.server.address)
        async with client.get(url, headers={"Accept-Encoding": "gzip"}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert b"flash_sale_orders_total" in gzip.decompress(await response.read())
        async with client.get(url, headers={"Accept-Encoding": "identity"}) as response:
            assert "Content-Encoding" not in response.headers
            assert b"flash_sale_orders_total" in await response.read()
            assert response.headers["Vary"] == "Accept, Accept-Encoding"


async def test_metrics_can_be_filtered_by_name() -> None:
    path = "/metrics?name[]=flash_sale_orders_total&name[]=flash_sale_queue_length"
    async with serving() as served, served.client.get(path) as response:
        families = parse_text(await response.text())
        assert {family.name for family in families} == {"flash_sale_orders", "flash_sale_queue_length"}


async def test_the_snapshot_is_the_json_of_the_newest_one() -> None:
    async with serving() as served:
        async with served.client.get("/monitoring/metrics") as response:
            assert await response.read() == documents.full(snapshots.snapshot())
            assert response.headers["Vary"] == "Accept"
        served.latest.publish(snapshots.snapshot(uptime_s=99.0))
        assert (await get_json(served.client, "/monitoring/metrics"))["uptime_s"] == 99.0


async def test_a_prometheus_gets_the_exposition_from_the_json_path() -> None:
    async with serving() as served:
        async with served.client.get("/monitoring/metrics", headers=OPENMETRICS) as response:
            assert response.content_type == "application/openmetrics-text"
            assert "Accept" in response.headers["Vary"]
        for accept in ("text/plain;version=0.0.4", "application/vnd.google.protobuf;encoding=delimited"):
            async with served.client.get("/monitoring/metrics", headers={"Accept": accept}) as response:
                assert response.content_type == "text/plain"
                assert "# TYPE flash_sale_orders_total counter" in await response.text()


async def test_the_fleet_is_merged_when_asked_for() -> None:
    async with serving() as served:
        fleet = await get_json(served.client, "/monitoring/metrics?scope=fleet")
        assert (fleet["scope"], fleet["instances"]) == ("fleet", ["host-1", "host-2"])
        assert (await get_json(served.client, "/monitoring/metrics?scope=instance"))["scope"] == "instance"
        assert (await get_json(served.client, "/monitoring/report?scope=fleet"))["scope"] == "fleet"


async def test_no_rendering_is_kept_longer_than_its_tick() -> None:
    async with serving() as served:
        paths = ("metrics", "monitoring/metrics", "monitoring/report", "monitoring/report?format=markdown")
        for path in (*paths, "monitoring/metrics?scope=fleet"):
            async with served.client.get(f"/{path}") as response:
                assert await response.read()
        rendered = weakref.ref(await served.latest.newest())
        served.latest.publish(snapshots.snapshot())
        gc.collect()
        assert rendered() is None


@pytest.mark.parametrize("path", ["/monitoring/benchmark", "/monitoring/report"])
async def test_the_report_is_json_or_markdown(path: str) -> None:
    async with serving() as served:
        report = await get_json(served.client, path)
        assert report == json.loads(documents.report_json(snapshots.snapshot()))
        for suffix, accept in (("", "text/markdown"), ("?format=markdown", "application/json")):
            async with served.client.get(path + suffix, headers={"Accept": accept}) as response:
                assert response.content_type == "text/markdown"
                assert await response.read() == documents.report_markdown(snapshots.snapshot())
                assert response.headers["Vary"] == "Accept"
        assert await get_json(served.client, path + "?format=json", Accept="text/markdown") == report


@pytest.mark.parametrize(
    ("status", "plain", "strict"),
    [("ok", 200, 200), ("degraded", 200, 503), ("standby", 200, 200), ("down", 503, 503)],
)
async def test_health_is_503_when_down_and_if_strict_when_degraded(
    status: HealthStatus, plain: int, strict: int
) -> None:
    async with serving() as served:
        served.monitor.status = status
        for path, expected in (("", plain), ("?strict=1", strict), ("?strict=0", plain)):
            async with served.client.get("/monitoring/health" + path) as response:
                assert response.status == expected
                components = {"redis": {"status": status}}
                assert await response.json() == {"status": status, "role": "active", "components": components}


@pytest.mark.parametrize("path", ["/healthz", "/-/healthy"])
async def test_the_process_is_alive_before_it_is_ready(path: str) -> None:
    async with serving(snapshot=None) as served:
        served.monitor.is_ready = False
        assert await get_json(served.client, path) == {"alive": True}


@pytest.mark.parametrize("path", ["/readyz", "/-/ready"])
async def test_readiness_follows_the_monitor_and_names_the_role(path: str) -> None:
    async with serving() as served:
        assert await get_json(served.client, path) == {"ready": True, "role": "active"}
        served.monitor.role = "standby"
        assert await get_json(served.client, path) == {"ready": True, "role": "standby"}
        served.monitor.is_ready = False
        async with served.client.get(path) as response:
            assert (response.status, (await response.json())["ready"]) == (503, False)


async def test_rejected_gives_the_newest_refused_payloads() -> None:
    async with serving() as served:
        answer: Any = await get_json(served.client, "/monitoring/rejected")
        assert [(one["reason"], one["payload"]) for one in answer["rejected"]] == [("not_json", "{")]
        for limit in ("0", "101", "-1", "x", "9" * 4400):
            status, code, message = await refusal(served.client, f"/monitoring/rejected?limit={limit}")
            assert (status, code, message) == (400, "bad_request", "limit is a number from 1 to 100")


async def test_history_gives_all_three_metrics_for_an_hour_by_the_second() -> None:
    async with serving() as served:
        served.monitor.values = {"throughput": {NOW - 1: 5}, "queue_length": {NOW - 3599: 3}}
        history = await get_json(served.client, "/monitoring/history")
        assert history.keys() == {"throughput", "queue_length", "active_connections"}
        throughput = history["throughput"]
        assert isinstance(throughput, dict)
        assert (throughput["metric"], throughput["step"], throughput["from"]) == ("throughput", 1, NOW - 3599)
        assert len(throughput["points"]) == 3600
        assert throughput["points"][-2:] == [[NOW - 1, 5], [NOW, None]]


async def test_history_gives_one_metric_on_the_grid_asked_for() -> None:
    async with serving() as served:
        served.monitor.values = {"queue_length": {NOW - 20: 10, NOW - 15: 20}}
        path = f"/monitoring/history?metric=queue_length&from={NOW - 20}&to={NOW}&step=10"
        assert await get_json(served.client, path) == {
            "metric": "queue_length",
            "step": 10,
            "from": NOW - 20,
            "points": [[NOW - 20, 15.0], [NOW - 10, None], [NOW, None]],
        }
        assert served.monitor.asked == [("queue_length", NOW - 20, NOW)]


async def test_history_never_asks_redis_for_more_than_is_kept() -> None:
    async with serving() as served:
        await get_json(served.client, "/monitoring/history?metric=throughput&from=0&step=1000000")
        await get_json(served.client, "/monitoring/history?metric=throughput&from=0&to=100")
        asked = [second for _, first, last in served.monitor.asked for second in range(first, last + 1)]
        assert asked == list(range(NOW - 3600, NOW + 1))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/monitoring/metrics?scope=world", "scope is one of: instance, fleet"),
        ("/monitoring/report?format=pdf", "format is one of: json, markdown"),
        ("/monitoring/health?strict=yes", "strict is one of: 0, 1"),
        (
            "/monitoring/history?metric=sales",
            "metric is one of: throughput, queue_length, active_connections, ok, refused, fault, p50, p99",
        ),
        ("/monitoring/history?from=0", "more than 11000 points: take a larger step or a shorter time"),
    ],
)
async def test_a_wrong_query_value_is_400_and_names_the_right_ones(path: str, message: str) -> None:
    async with serving() as served:
        assert await refusal(served.client, path) == (400, "bad_request", message)


@pytest.mark.parametrize("path", JSON_PATHS)
async def test_before_the_state_is_loaded_the_numbers_are_503(path: str) -> None:
    """A Snapshot from the time as a standby is no state."""
    for snapshot in (None, snapshots.snapshot(role="standby")):
        async with serving(snapshot=snapshot) as served:
            assert (await refusal(served.client, path))[:2] == (503, "not_ready")


@pytest.mark.parametrize("path", JSON_PATHS)
async def test_a_standby_shows_no_numbers_even_if_it_was_active_before(path: str) -> None:
    async with serving() as served:
        served.monitor.role = "standby"
        status, code, message = await refusal(served.client, path)
        assert (status, code) == (503, "standby")
        assert "active" in message
        async with served.client.get("/metrics") as response:
            text = await response.text()
            assert "flash_sale_orders_total" not in text
            assert "flash_sale_sidecar_redis_up" in text


@pytest.mark.parametrize("path", ["/monitoring/metrics?scope=fleet", "/monitoring/history"])
async def test_a_silent_redis_is_503_unavailable(path: str) -> None:
    async with serving() as served:
        served.monitor.failure = UnavailableError("Redis does not answer")
        assert await refusal(served.client, path) == (503, "unavailable", "Redis does not answer")


async def test_an_unforeseen_failure_is_500_and_tells_nothing_outside(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as served:
        served.monitor.failure = RuntimeError("secret detail")
        status, code, message = await refusal(served.client, "/monitoring/history")
        assert (status, code) == (500, "internal")
        assert "secret" not in message
        assert "secret detail" in caplog.text


async def test_an_unknown_path_and_a_wrong_method_are_json_too() -> None:
    async with serving() as served:
        assert (await refusal(served.client, "/nothing"))[:2] == (404, "not_found")
        assert (await refusal(served.client, "/metrics", "POST"))[:2] == (405, "method_not_allowed")
        async with served.client.delete("/metrics") as response:
            assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD"}


async def test_head_gives_the_headers_of_get() -> None:
    async with serving() as served:
        for path in ("/", "/metrics", *JSON_PATHS, "/monitoring/health", "/healthz", "/readyz", "/openapi.json"):
            async with served.client.head(path) as response:
                assert response.status == 200, path
                assert int(response.headers["Content-Length"]) > 0
                assert await response.read() == b""


async def test_the_first_page_lists_every_endpoint_and_the_websocket() -> None:
    async with serving() as served, served.client.get("/") as response:
        page = await response.text()
        assert response.content_type == "text/html"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        for path in ("/metrics", "/monitoring/health", "/openapi.json", "ws://127.0.0.1:9851/"):
            assert path in page


async def test_the_description_is_served() -> None:
    async with serving() as served:
        assert (await get_json(served.client, "/openapi.json"))["openapi"] == "3.1.0"


async def test_no_answer_is_cached_or_sniffed() -> None:
    async with serving() as served:
        for path in ("/metrics", "/nothing"):
            async with served.client.get(path) as response:
                assert response.headers["Cache-Control"] == "no-store"
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert "aiohttp" not in response.headers["Server"]


async def test_a_poller_that_has_the_newest_gets_304() -> None:
    paths = (*JSON_PATHS, *(f"/monitoring/{rest}" for rest in ("health", "rejected", "report?format=markdown")))
    async with serving() as served:
        tags = {}
        for path in (*paths, "/openapi.json"):
            async with served.client.get(path) as answer:
                assert answer.headers["Cache-Control"] == "no-cache"
                tag, vary = answer.headers["ETag"], answer.headers.get("Vary")
            weak = tag if tag.startswith("W/") else f"W/{tag}"  # as of a proxy that compresses
            for known, status in ((tag, 304), (weak, 304), (f'"a", {tag}', 304), ("*", 304), ('"a"', 200)):
                async with served.client.get(path, headers={"If-None-Match": known}) as answer:
                    assert (path, answer.status, answer.headers["ETag"]) == (path, status, tag)
                    assert (answer.headers["Cache-Control"], answer.headers.get("Vary")) == ("no-cache", vary)
                    assert (await answer.read() == b"") is (status == 304)
            tags[path] = tag
        assert tags["/monitoring/report"] != tags["/monitoring/report?format=markdown"]
        served.latest.publish(snapshots.snapshot())
        for path in JSON_PATHS:
            async with served.client.get(path, headers={"If-None-Match": tags[path]}) as answer:
                assert answer.status == 200
        served.monitor.status = "down"
        async with served.client.get("/monitoring/health", headers={"If-None-Match": "*"}) as answer:
            assert (answer.status, "ETag" in answer.headers) == (503, False)


async def test_a_taken_port_names_the_setting() -> None:
    async with serving() as served:
        config = HttpConfig(listen=f"127.0.0.1:{served.server.address[1]}")
        second = HttpServer(
            config.listen, guard=guard(config), latest=Latest(), monitor=MemoryMonitor(), exposition=exposition()
        )
        with pytest.raises(SidecarError, match=r"^http\.listen: 127\.0\.0\.1:\d+ is in use"):
            await second.start()
        await second.stop()


async def test_a_stop_cuts_what_does_not_end_by_itself() -> None:
    """An open connection, and an answer that waits for Redis for ever."""

    class Stuck(MemoryMonitor):
        async def history(self, metric: str, start: int, end: int) -> dict[int, float]:
            asked.set()
            await asyncio.get_running_loop().create_future()
            return {}

    asked = asyncio.Event()
    latest = Latest()
    latest.publish(snapshots.snapshot())
    config = HttpConfig(listen="127.0.0.1:0")
    server = HttpServer(config.listen, guard=guard(config), latest=latest, monitor=Stuck(), exposition=exposition())
    await server.start()
    idle, writer = await asyncio.open_connection(*server.address)
    _, asking = await asyncio.open_connection(*server.address)
    asking.write(b"GET /monitoring/history HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asked.wait()
    async with asyncio.timeout(2):
        await server.stop()
        assert await idle.read() == b""
    await server.stop()
    for connection in (writer, asking):
        connection.close()


@pytest.mark.parametrize("path", [b"/healthz", b"/nowhere"])
async def test_an_expectation_that_is_no_text_is_the_clients_fault(
    caplog: pytest.LogCaptureFixture, path: bytes
) -> None:
    async with serving() as served:
        reader, writer = await asyncio.open_connection(*served.server.address)
        writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continu\x96\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 400 Bad Request\r\n"
        writer.close()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_who_goes_before_being_told_to_continue_leaves_no_trace_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as served:
        for _ in range(20):
            _, writer = await asyncio.open_connection(*served.server.address)
            writer.write(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            writer.write_eof()
            await asyncio.sleep(0)
            writer.transport.abort()
        async with served.client.get("/healthz") as answer:
            assert answer.status == 200
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR", "CRITICAL")] == []
