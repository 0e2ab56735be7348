"""The page with live numbers, in Chromium, and Socket.IO's own client in Node: through nginx and without."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.chromium import Page, chromium
from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import Daemon
from tests.nginx import nginx
from tests.ports import free_port
from tests.programs import needs
from tests.redis_server import RedisServer
from tests.waiting import eventually

CLIENT = "socket.io-client@4.8.4"
FOLDER = Path(__file__).parents[2] / "examples" / "live"
CACHE = Path.home() / ".cache" / "flash-sale" / CLIENT
WAYS = ("websocket", "polling", "socketio")
DEADLINE = 30.0
# The original front-end's lines, and what they heard as lines of JSON.
SNIPPET = """
const { io } = require("socket.io-client");
const say = (...what) => console.log(JSON.stringify(what));
const socket = io(process.argv[2], process.argv[3] ? { path: process.argv[3] } : {});
socket.io.on("open", () => socket.io.engine.once("upgrade", () => say("upgrade")));
socket.on("connect", () => {
  say("connect");
  socket.emit("subscribe-metrics");
  socket.emit("get-benchmark-report", (report) => say("report", report.orders.total));
  socket.emit("nonsense");
});
socket.on("metrics-update", (metrics) => say("update", metrics.orders.total));
socket.on("error", (error) => say("error", error.code));
socket.on("disconnect", (reason) => say("disconnect", reason));
"""

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def modules() -> Path:
    """Return the folder with Socket.IO's client; install it once."""
    if not (CACHE / "node_modules" / "socket.io-client").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [needs("npm"), "install", "--no-audit", "--no-fund", "--silent", CLIENT]
        subprocess.run(command, cwd=CACHE, check=True, timeout=300)
    return CACHE / "node_modules"


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def pages(folder: Path, stack: AsyncExitStack, port: int) -> None:
    """Serve a folder on a port."""
    application = web.Application()
    application.router.add_static("/", folder)
    runner = web.AppRunner(application)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", port).start()


async def shown(page: Page) -> list[str]:
    """Return the numbers of the three ways."""
    value = await page.evaluate("JSON.stringify([...document.querySelectorAll('output')].map((one) => one.value))")
    return list(json.loads(value or "[]"))


async def restart(daemon: Daemon) -> None:
    await asyncio.to_thread(daemon.stop)
    await asyncio.to_thread(daemon.start)


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "nginx"])
async def test_the_page_shows_the_same_three_times_and_again_after_a_restart(
    proxied: bool,
    modules: Path,
    redis_server: RedisServer,
    client: Any,
    make_daemon: MakeDaemon,
    tmp_path: Path,
    stack: AsyncExitStack,
) -> None:
    folder, port = tmp_path / "page", free_port()
    shutil.copytree(FOLDER, folder)
    shutil.copy(modules / "socket.io-client" / "dist" / "socket.io.min.js", folder)
    await pages(folder, stack, port)
    settings = f"{{http: {{cors_origins: ['http://127.0.0.1:{port}']}}}}"
    daemon = await asyncio.to_thread(make_daemon(redis_server.url, settings=settings).start)
    url = f"http://127.0.0.1:{daemon.http}/"
    if proxied:
        url = f"http://127.0.0.1:{await stack.enter_async_context(nginx(daemon.http, tmp_path))}/sidecar/"
    page = await stack.enter_async_context(
        chromium(f"http://127.0.0.1:{port}/index.html?url={url}", tmp_path / "profile")
    )

    async def all_show(total: int) -> bool:
        return await shown(page) == [str(total)] * len(WAYS)

    for total in (1, 2):
        client.publish("flash_sale:events", '{"status":"success"}')
        await eventually(lambda total=total: all_show(total), DEADLINE, f"{total} on the page")  # type: ignore[misc]
        await restart(daemon)


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "nginx"])
async def test_the_snippet_of_the_original_works_unchanged_and_reconnects(
    proxied: bool,
    modules: Path,
    redis_server: RedisServer,
    client: Any,
    make_daemon: MakeDaemon,
    tmp_path: Path,
    stack: AsyncExitStack,
) -> None:
    daemon = await asyncio.to_thread(make_daemon(redis_server.url).start)
    arguments = [f"http://127.0.0.1:{daemon.http}"]
    if proxied:
        port = await stack.enter_async_context(nginx(daemon.http, tmp_path))
        arguments = [f"http://127.0.0.1:{port}", "/sidecar/socket.io/"]
    script = tmp_path / "snippet.js"
    script.write_text(SNIPPET)
    node = await asyncio.create_subprocess_exec(
        needs("node"), str(script), *arguments, stdout=asyncio.subprocess.PIPE, env={"NODE_PATH": str(modules)}
    )
    stack.push_async_callback(node.communicate)
    stack.callback(node.terminate)
    assert node.stdout is not None

    async def heard(*wanted: Any) -> None:
        """Read until the client said all of these, in any order."""
        left = [list(one) for one in wanted]
        async with asyncio.timeout(DEADLINE):
            while left:
                said = json.loads(await node.stdout.readline())  # type: ignore[union-attr]
                if said in left:
                    left.remove(said)

    await heard(("connect",), ("upgrade",), ("update", 0), ("report", 0), ("error", "unknown_event"))
    client.publish("flash_sale:events", '{"status":"success"}')
    await heard(("update", 1))
    await restart(daemon)
    await heard(("disconnect", "transport close"), ("connect",), ("update", 1), ("report", 1))
