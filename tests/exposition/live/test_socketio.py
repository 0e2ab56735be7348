"""Socket.IO with the Python client, over both transports; those of JavaScript are in test_socketio_js."""

import asyncio
import builtins
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import socketio
from aiohttp import ClientSession, ClientWebSocketResponse, ServerDisconnectedError, web
from socketio.exceptions import ConnectionError as Refused

from sidecar.config import Seconds
from sidecar.exposition import documents
from sidecar.exposition.live import clients
from sidecar.exposition.live.socketio import NoSocketIo, socket_io
from tests.exposition.live.served import LARGE, LIMIT, Served, serving
from tests.exposition.snapshots import snapshot
from tests.waiting import eventually

POLLING = "/socket.io/?EIO=4&transport=polling"
BOTH = pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]], ids="+".join)


class Client(socketio.AsyncClient):  # type: ignore[misc]
    """A client that keeps what it hears."""

    def __init__(self) -> None:
        super().__init__(reconnection=False, logger=False, handle_sigint=False)
        self.heard: asyncio.Queue[tuple[str, tuple[Any, ...]]] = asyncio.Queue()
        self.on("*", self.hear)

    async def hear(self, event: str, *arguments: Any) -> None:
        await self.heard.put((event, arguments))

    async def next(self) -> tuple[str, tuple[Any, ...]]:
        async with asyncio.timeout(LIMIT):
            return await self.heard.get()


@asynccontextmanager
async def connected(served: Served, transports: list[str] | None = None, **options: Any) -> AsyncIterator[Client]:
    client = Client()
    url = "http://{}:{}".format(*served.server.address)
    await client.connect(url, transports=transports or ["websocket"], wait_timeout=LIMIT, **options)
    try:
        yield client
    finally:
        await client.disconnect()


async def opened(served: Served, session: ClientSession, **headers: str) -> tuple[int, Any, str]:
    """Begin a session by polling; return the status, what was answered, and where the session is polled."""
    url = "http://{}:{}".format(*served.server.address) + POLLING
    async with session.get(url, headers=headers) as answer:
        text = await answer.text()
        if answer.status != 200:
            return answer.status, json.loads(text), url
        return 200, dict(answer.headers), f"{url}&sid={json.loads(text[1:])['sid']}"


def address(served: Served) -> str:
    """Return where a WebSocket begins a session."""
    return "http://{}:{}/socket.io/?EIO=4&transport=websocket".format(*served.server.address)


async def end(client: ClientWebSocketResponse) -> None:
    """Read until the server closes."""
    while not client.closed:
        await client.receive(timeout=LIMIT)


@BOTH
async def test_the_protocol_is_that_of_the_websocket(transports: list[str]) -> None:
    async with serving(snapshot(), on="http") as served, connected(served, transports) as client:
        assert served.clients() == 1
        await client.emit("subscribe-metrics", {"interval_ms": 100, "topics": ["orders"]})
        answer = {"interval_ms": 100, "topics": ["orders"], "scope": "instance"}
        assert await client.next() == ("subscribed", (answer,))
        for seq in (1, 2, 3):
            event, (data, kept) = await client.next()
            assert (event, data["orders"]["total"], kept) == ("metrics-update", 9, {"seq": seq, "skipped": 0})
        assert await client.call("unsubscribe-metrics", timeout=LIMIT) == {}
        while not client.heard.empty():
            assert (await client.next())[0] == "metrics-update"
        report = json.loads(documents.report_json(snapshot()))
        assert await client.call("get-benchmark-report", timeout=LIMIT) == report
        await client.emit("get-benchmark-report")
        assert await client.next() == ("benchmark-report", (report,))
        await client.emit("nonsense")
        event, (error,) = await client.next()
        assert (event, error["code"]) == ("error", "unknown_event")
        assert (await client.call("subscribe-metrics", {"interval_ms": 1}, timeout=LIMIT))["error"][
            "code"
        ] == "bad_request"
    await eventually(lambda: served.clients() == 0)


async def test_before_the_first_snapshot_a_report_is_not_ready() -> None:
    async with serving(on="http") as served, connected(served) as client:
        assert (await client.call("get-benchmark-report", timeout=LIMIT))["error"]["code"] == "not_ready"


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_client_that_reads_nothing_is_skipped_then_cut_and_delays_nobody(transport: str) -> None:
    slow = serving(snapshot(queues=LARGE), on="http", slow_client_timeout=Seconds(0.5))
    async with slow as served, connected(served) as other, ClientSession() as session:
        await other.emit("subscribe-metrics", {"interval_ms": 100, "topics": ["system"]})
        packets = ("40", '42["subscribe-metrics",{"interval_ms":100,"topics":["queues"]}]')
        if transport == "polling":
            _, _, polled = await opened(served, session)
            for packet in packets:
                await session.post(polled, data=packet)
                await session.get(polled)
        else:
            deaf = await session.ws_connect(address(served))
            for packet in packets:
                await deaf.send_str(packet)
        await eventually(lambda: served.updates("skipped") >= 2, what="a skipped update")
        await eventually(lambda: served.clients() == 1, what="the cut")
        while not other.heard.empty():
            event, arguments = await other.next()
            assert event == "subscribed" or arguments[1]["skipped"] == 0


@pytest.mark.parametrize("options", [{"auth": {"token": "secret"}}, {"headers": {"Authorization": "Bearer secret"}}])
async def test_the_token_comes_in_auth_or_with_the_handshake(options: dict[str, Any]) -> None:
    async with serving(snapshot(), on="http", read_token="secret") as served, connected(served, **options) as client:
        assert await client.call("ping", timeout=LIMIT) == {}


@pytest.mark.parametrize("auth", [None, {"token": "wrong"}, {"token": 1}, "secret"])
async def test_without_the_right_token_there_is_no_connection(auth: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "WRONG_SECONDS", 0.01)
    async with serving(snapshot(), on="http", read_token="secret") as served:
        with pytest.raises(Refused):
            async with connected(served, auth=auth):
                pass
        await eventually(lambda: served.clients() == 0)


async def test_a_session_that_never_authenticates_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "AUTHENTICATE_WITHIN_SECONDS", 0.1)
    async with serving(snapshot(), on="http", read_token="secret") as served, ClientSession() as session:
        assert (await opened(served, session))[0] == 200
        await eventually(lambda: served.clients() == 0)


async def test_clients_count_with_all_others() -> None:
    full = serving(snapshot(), on="http", max_clients=2)
    async with full as served, connected(served), served.connect(), ClientSession() as session:
        status, answer, _ = await opened(served, session)
        assert (status, answer["error"]["code"]) == (503, "too_many_clients")
        async with session.get(f"http://{':'.join(map(str, served.server.address))}{POLLING}&sid=") as empty:
            assert empty.status == 503


async def test_a_message_to_a_session_that_has_ended_is_denied() -> None:
    async with serving(snapshot(), on="http") as served, ClientSession() as session:
        _, _, polled = await opened(served, session)
        statuses = []
        for _ in range(3):
            async with session.post(polled, data="1") as answer:
                statuses.append(answer.status)
        assert statuses[0] == 200 and statuses[1:] == [400, 400]


async def test_a_client_that_sends_while_it_is_answered_is_closed() -> None:
    """Nobody makes the sidecar keep more than one message of a client that does not read."""
    async with serving(snapshot(), on="http") as served, ClientSession() as session:
        _, _, polled = await opened(served, session)
        await session.post(polled, data="40")
        one, other = (asyncio.create_task(session.post(polled, data='42["ping"]')) for _ in range(2))
        await asyncio.wait({one, other}, timeout=LIMIT, return_when=asyncio.ALL_COMPLETED)
        assert one.done() and other.done()
        await eventually(lambda: served.clients() == 0)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:3000"}, 200),
        ({}, 200),
    ],
)
async def test_host_and_origin_are_checked_at_every_request(headers: dict[str, str], status: int) -> None:
    async with serving(snapshot(), on="http") as served, ClientSession() as session:
        opening, answer, _ = await opened(served, session, **headers)
        assert opening == status
        if status == 200:
            assert answer.get("Access-Control-Allow-Origin") == headers.get("Origin")
        _, _, polled = await opened(served, session)
        async with session.post(polled, data="40", headers=headers) as posted:
            assert posted.status == status
        async with session.options(polled, headers=headers) as preflight:
            assert preflight.status == (204 if status == 200 else status)


@pytest.mark.parametrize("packet", ["4", "49", '42["ping"', "42" + "[" * 3000, "4" + "[" * 4000, "451-[0]", "x", ""])
async def test_nonsense_ends_the_session_and_nothing_else(packet: str, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(snapshot(), on="http") as served, connected(served) as other, ClientSession() as session:
        async with session.ws_connect(address(served)) as client:
            await client.send_str("40")
            await client.send_str(packet)
            await end(client)
        await eventually(lambda: served.clients() == 1)
        assert await other.call("ping", timeout=LIMIT) == {}
    assert not caplog.records


@pytest.mark.parametrize("path", ["/socket.io/?EIO=4&transport=websocket", "/ws"])
async def test_a_client_that_leaves_in_the_handshake_leaves_no_trace_in_the_log(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def gone(response: web.WebSocketResponse, request: web.Request) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(web.WebSocketResponse, "prepare", gone)
    async with serving(snapshot(), on="http") as served, ClientSession() as session:
        with pytest.raises(ServerDisconnectedError):
            await session.ws_connect("http://{}:{}{}".format(*served.server.address, path))
        await eventually(lambda: served.clients() == 0)
    assert not caplog.records


async def test_nothing_is_left_of_a_session_that_ended() -> None:
    async with serving(snapshot(), on="http") as served:
        async with connected(served), connected(served, ["polling"]):
            before = len(asyncio.all_tasks())
        await eventually(lambda: served.clients() == 0)
        await eventually(lambda: not any("_send_ping" in repr(task) for task in asyncio.all_tasks()))
        assert len(asyncio.all_tasks()) < before


async def test_another_namespace_is_refused_and_a_packet_before_the_connection_ignored() -> None:
    async with serving(snapshot(), on="http") as served, ClientSession() as session:
        async with session.ws_connect(address(served)) as client:
            for packet in ('42["ping"]', "40/admin,", '42/admin,["ping"]', "40"):
                await client.send_str(packet)
            said = [await client.receive_str(timeout=LIMIT) for _ in range(3)]
            assert said[0].startswith("0{")
            assert said[1] == '44/admin,{"message":"Invalid namespace"}'
            assert said[2].startswith('40{"sid":"')
            await client.send_str("41")
            await end(client)
        await eventually(lambda: served.clients() == 0)


async def test_polling_by_scripts_and_a_second_websocket_are_refused() -> None:
    async with serving(snapshot(), on="http") as served, ClientSession() as session:
        _, _, polled = await opened(served, session)
        async with session.get(f"{polled}&j=0") as answer:
            assert answer.status == 400
        websocket = polled.replace("transport=polling", "transport=websocket")
        async with session.ws_connect(websocket) as first:
            await first.send_str("2probe")
            assert await first.receive_str(timeout=LIMIT) == "3probe"
            async with session.get(websocket, headers={"Upgrade": "websocket", "Connection": "Upgrade"}) as second:
                assert second.status == 400


@BOTH
async def test_a_stop_ends_the_transport_so_that_clients_connect_again(transports: list[str]) -> None:
    async with serving(snapshot(), on="http") as served, connected(served, transports) as client:
        await served.server.stop()
        await eventually(lambda: not client.connected)
        assert served.clients() == 0


async def test_a_fault_of_our_own_is_logged_and_ends_one_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(snapshot(), on="http") as served, connected(served) as client, connected(served) as other:
        monkeypatch.setattr(documents, "report", lambda snapshot: 1 / 0)
        await client.emit("get-benchmark-report")
        await eventually(lambda: served.clients() == 1)
        assert await other.call("ping", timeout=LIMIT) == {}
    assert "ZeroDivisionError" in caplog.text


async def test_without_the_extra_a_client_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def importing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "sidecar.exposition.live.engine":
            raise ModuleNotFoundError(name)
        return found(name, *rest, **more)

    found = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", importing)
    async with serving(snapshot(), on="http") as served, ClientSession() as session:
        assert isinstance(socket_io(served.live, "127.0.0.1"), NoSocketIo)
        status, answer, _ = await opened(served, session)
        assert (status, "flash-sale-sidecar[socketio]" in answer["error"]["message"]) == (400, True)
