"""JSON and WebSocket through a real nginx, by the one location that the docs show."""

from pathlib import Path

from aiohttp import ClientSession
from websockets.asyncio.client import connect
from websockets.typing import Origin

from tests.exposition.live.served import ask, closed, receive, serving
from tests.exposition.snapshots import snapshot
from tests.nginx import nginx


async def test_one_location_of_nginx_passes_json_and_websocket(tmp_path: Path) -> None:
    hosts = ("shop.example",)
    async with (
        serving(snapshot(), on="http", allowed_hosts=hosts) as served,
        nginx(served.server.address[1], tmp_path) as port,
        ClientSession() as session,
    ):
        url = f"http://127.0.0.1:{port}/sidecar"
        async with session.get(f"{url}/monitoring/metrics", headers={"Host": "shop.example"}) as answer:
            assert (await answer.json())["orders"]["total"] == 9
        async with connect(
            f"ws://shop.example:{port}/sidecar/ws",
            host="127.0.0.1",
            port=port,
            origin=Origin(f"http://shop.example:{port}"),
            proxy=None,
        ) as client:
            await ask(client, "subscribe-metrics", {"interval_ms": 100, "topics": ["orders"]})
            assert [(await receive(client))["seq"] for _ in range(3)] == [1, 2, 3]
            await served.server.stop()
            assert await closed(client) == 1001
