"""What the server refuses, and to whom it opens."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from sidecar.config import HttpConfig, Secret
from sidecar.core.counts.sale import Sale
from sidecar.exposition.http import middleware, server
from sidecar.exposition.http.middleware import CLEAR, OPEN_PATHS
from tests.exposition.http.test_server import refusal
from tests.exposition.monitors import Served, serving
from tests.exposition.snapshots import snapshot
from tests.waiting import eventually

ADMIN = {"Authorization": "Bearer admin"}
READER = {"Authorization": "Bearer reader"}
SHOP = "https://shop.example"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Serve with both tokens."""
    config = HttpConfig(admin_token=Secret("admin"), read_token=Secret("reader"), cors_origins=(SHOP,))
    async with serving(config) as served:
        yield served


async def raw(served: Served, request: bytes) -> tuple[int, dict[str, dict[str, str]]]:
    """Send bytes and return the status and the JSON of the first answer; wait for the server to close."""
    reader, writer = await asyncio.open_connection(*served.server.address)
    writer.write(request)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def reading_bodies() -> int:
    """Count the requests of the server that are being handled now."""
    return sum("_handle_request" in repr(task.get_coro()) for task in asyncio.all_tasks())


async def test_a_health_check_of_http_1_0_without_a_host_is_answered() -> None:
    async with serving() as served:
        reader, writer = await asyncio.open_connection(*served.server.address)
        writer.write(b"GET /healthz HTTP/1.0\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).split(b" ", 2)[1] == b"200"
        writer.close()


async def test_a_foreign_host_is_421_on_every_path() -> None:
    async with serving() as served:
        for path in ("/", "/metrics", "/healthz", "/nothing"):
            status, code, message = await refusal(served.client, path, Host="evil.example")
            assert (status, code) == (421, "misdirected_request")
            assert "http.allowed_hosts" in message


async def test_a_listed_host_is_served() -> None:
    async with (
        serving(HttpConfig(allowed_hosts=("metrics.example",))) as served,
        served.client.get("/healthz", headers={"Host": "metrics.example:80"}) as response,
    ):
        assert response.status == 200


async def test_with_a_read_token_only_probes_are_open(served: Served) -> None:
    paths = ["/", "/metrics", "/monitoring/metrics", "/monitoring/health", "/openapi.json", "/nothing"]
    for path in paths:
        async with served.client.get(path) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
    for path in OPEN_PATHS:
        async with served.client.get(path) as response:
            assert response.status == 200


@pytest.mark.parametrize("headers", [READER, ADMIN])
async def test_the_read_token_and_the_admin_token_read(served: Served, headers: dict[str, str]) -> None:
    async with served.client.get("/metrics", headers=headers) as response:
        assert response.status == 200


async def test_a_wrong_token_reads_nothing(served: Served) -> None:
    assert (await refusal(served.client, "/metrics", Authorization="Bearer wrong"))[:2] == (401, "unauthorized")
    assert (await refusal(served.client, "/metrics?token=reader"))[:2] == (401, "unauthorized")


async def test_the_admin_token_clears_and_gets_what_was_cleared(served: Served) -> None:
    async with served.client.post(CLEAR, headers=ADMIN) as response:
        assert response.status == 200
        by_status = {"success": 7, "failed": 2, "pending": 9, "cancelled": 0}
        assert await response.json() == {"cleared": {"orders": {**by_status, "total": 9, "by_status": by_status}}}
    assert served.monitor.clears == 1


@pytest.mark.parametrize("headers", [{}, READER, {"Authorization": "Basic admin"}, {"Authorization": "Bearer "}])
async def test_nothing_but_the_admin_token_clears(served: Served, headers: dict[str, str]) -> None:
    assert (await refusal(served.client, CLEAR, "POST", **headers))[:2] == (401, "unauthorized")
    assert served.monitor.clears == 0


async def test_without_an_admin_token_clearing_is_off_and_names_the_command() -> None:
    async with serving() as served:
        status, code, message = await refusal(served.client, CLEAR, "POST", Authorization="Bearer ")
        assert (status, code) == (403, "clear_disabled")
        assert "sidecar clear" in message
        assert served.monitor.clears == 0


START, STOP = "/monitoring/sales/drop/start", "/monitoring/sales/current/stop"


async def test_the_admin_token_starts_and_stops_a_sale(served: Served) -> None:
    async with served.client.post(START, headers=ADMIN) as response:
        assert response.status == 200
        assert (await response.json())["sale"]["id"] == "drop"
    served.latest.publish(snapshot(sale=Sale("drop", "running", 5.0, None, "http")))
    async with served.client.post(STOP, headers=ADMIN) as response:
        assert (response.status, (await response.json())["sale"]["state"]) == (200, "ended")
    assert served.monitor.said == [("start", "drop"), ("stop", None)]


@pytest.mark.parametrize("headers", [{}, READER])
async def test_nothing_but_the_admin_token_changes_a_sale(served: Served, headers: dict[str, str]) -> None:
    marks = START.replace("start", "marks")
    for method, path in (("POST", START), ("PUT", STOP[:-5]), ("DELETE", STOP[:-5]), ("POST", marks)):
        assert (await refusal(served.client, path, method, **headers))[:2] == (401, "unauthorized")
        assert (await refusal(served.client, path, method, **ADMIN, Origin="https://evil.example"))[0] == 403
    assert served.monitor.said == []


async def test_without_an_admin_token_starting_a_sale_is_off_and_names_the_command() -> None:
    async with serving() as served:
        status, code, message = await refusal(served.client, START, "POST")
        assert (status, code, "sidecar sale" in message) == (403, "sale_disabled", True)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/monitoring/sales/Drop/start", 400, "bad_request"),
        ("/monitoring/sales/drop/pause", 404, "not_found"),
        (STOP, 409, "conflict"),
    ],
)
async def test_what_does_not_fit_is_refused(served: Served, path: str, status: int, code: str) -> None:
    assert (await refusal(served.client, path, "POST", **ADMIN))[:2] == (status, code)
    assert (await refusal(served.client, path, "POST", **ADMIN, Origin="https://evil.example"))[:2] == (
        403,
        "cross_site",
    )
    assert served.monitor.said == []


async def test_clearing_is_a_post(served: Served) -> None:
    assert (await refusal(served.client, CLEAR, **ADMIN))[:2] == (405, "method_not_allowed")


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_a_post_of_another_site_is_403_even_with_the_token(served: Served, headers: dict[str, str]) -> None:
    assert (await refusal(served.client, CLEAR, "POST", **headers, **ADMIN))[:2] == (403, "cross_site")
    assert served.monitor.clears == 0


async def test_a_listed_origin_may_read_and_post(served: Served) -> None:
    origin = {"Origin": SHOP, "Sec-Fetch-Site": "cross-site"}
    for method, path in (("GET", "/monitoring/metrics"), ("POST", CLEAR)):
        async with served.client.request(method, path, headers=origin | ADMIN) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == SHOP
            assert "Origin" in ",".join(response.headers.getall("Vary"))


async def test_a_refusal_can_be_read_by_a_listed_origin_too(served: Served) -> None:
    async with served.client.get("/monitoring/metrics", headers={"Origin": SHOP}) as response:
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (401, SHOP)


async def test_a_preflight_of_a_listed_origin_needs_no_token(served: Served) -> None:
    preflight = {"Origin": SHOP, "Access-Control-Request-Method": "GET"}
    async with served.client.options("/monitoring/metrics", headers=preflight) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == SHOP
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]


async def test_other_origins_get_no_permission(served: Served) -> None:
    for origin in ("https://evil.example", SHOP + ".evil.example", "http://shop.example"):
        async with served.client.get("/metrics", headers={"Origin": origin} | READER) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
        preflight = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        assert (await refusal(served.client, "/metrics", "OPTIONS", **preflight))[:2] == (403, "origin_not_allowed")


async def test_cors_is_off_by_default() -> None:
    async with serving() as served, served.client.get("/metrics", headers={"Origin": SHOP}) as response:
        assert response.status == 200
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_large_body_is_413() -> None:
    async with serving() as served, served.client.request("GET", "/healthz", data=b"x" * 10_000) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (413, "too_large")


async def test_a_compressed_body_is_not_unpacked(served: Served) -> None:
    """A bomb of a few hundred bytes stays as small as it came."""
    async with served.client.post(CLEAR, data=b"\x1f\x8b not gzip", headers={"Content-Encoding": "gzip"} | ADMIN) as r:
        assert r.status == 200


async def test_a_stalled_body_is_408_and_the_connection_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.1)
    monkeypatch.setattr(server, "LINGER_SECONDS", 0.1)
    async with serving() as served:
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc"
        status, body = await raw(served, request)
        assert (status, body["error"]["code"]) == (408, "timeout")


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\nHost: loc"])
async def test_headers_that_do_not_come_close_the_connection(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.2)
    async with serving() as served:
        reader, writer = await asyncio.open_connection(*served.server.address)
        writer.write(sent)
        async with asyncio.timeout(3):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_400_in_json_and_does_not_fill_the_log(
    request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as served:
        status, body = await raw(served, request_bytes)
        assert (status, body["error"]["code"]) == (400, "bad_request")
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]


async def test_a_connect_without_a_target_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    """The fix in http.py may go when aiohttp answers this without it (3.14 does not)."""
    async with serving() as served:
        assert (await raw(served, b"CONNECT \n\r\n\r\n"))[0] == 405
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]


async def test_a_body_in_broken_chunks_is_400() -> None:
    async with serving() as served:
        head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        status, body = await raw(served, head + b"zz\r\n")
        assert (status, body["error"]["code"]) == (400, "bad_request")


async def test_a_client_that_leaves_within_its_body_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as served:
        _, writer = await asyncio.open_connection(*served.server.address)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
        await eventually(lambda: reading_bodies() == 1)
        writer.close()
        await eventually(lambda: reading_bodies() == 0)
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]
