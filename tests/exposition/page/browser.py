"""Debian's Chromium, and a tab in which nothing may go wrong.

`wait_for_function` needs an arrow function: under the policy of the page it cannot evaluate an expression again.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

from sidecar.exposition import documents
from sidecar.exposition.page.files import policy, read_page
from tests.exposition.page.scenes import WELL, Json, Scene, known
from tests.programs import needs

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
BELOW = "/shop/sidecar"
WATCH = """
  window.violations = [];
  document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=needs("chromium"), args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


class Tab:
    """A page of the browser; it notes errors in the console and requests to other places."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.frames: list[Json] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._request)
        page.on("websocket", lambda socket: socket.on("framereceived", self._frame))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith(self.origin):
            self.outside.append(request.url)

    def _frame(self, frame: str | bytes) -> None:
        message = json.loads(frame)
        if message["event"] == "metrics-update" and "orders" in message["data"]:
            self.frames.append(message["data"])

    async def state(self, state: str, seconds: float = 10) -> None:
        """Wait until the page is in this state."""
        await self.page.bring_to_front()
        await self.page.locator(f"body[data-state={state}]").wait_for(timeout=seconds * 1000)

    async def check(self) -> None:
        """Fail if anything went wrong, or left the origin."""
        assert (self.errors, self.outside) == ([], [])
        assert await self.page.evaluate("window.violations") == []


@asynccontextmanager
async def tab(browser: Browser, url: str, **options: Any) -> AsyncIterator[Tab]:
    """Open a tab; `options` are those of a browser context."""
    context = await browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    try:
        await context.add_init_script(WATCH)
        opened = Tab(await context.new_page(), url)
        await opened.page.goto(url)
        yield opened
    finally:
        await context.close()


class FakeSidecar:
    """A server with the page, which says what a scene has; `scene` may change at any time."""

    def __init__(self) -> None:
        self.scene = Scene(known(), WELL, "live", "ok", "")
        self.rejected: list[Json] = []
        self.token = ""
        self.takes_sockets = True
        self.sockets: set[web.WebSocketResponse] = set()

    def routes(self) -> list[web.RouteDef]:
        """List the paths, all below one as behind a proxy."""
        answers: dict[str, Callable[[], Any]] = {
            "metrics": lambda: self.scene.snapshot,
            "health": lambda: self.scene.health,
            "history": lambda: {"throughput": {"points": []}},
            "sales": lambda: {"sales": []},
            "rejected": lambda: {"rejected": self.rejected},
        }
        paths = [web.get(f"{BELOW}/monitoring/{name}", self._json(answer)) for name, answer in answers.items()]
        files = [web.get(BELOW + path, self._file) for path in read_page()]
        return [*paths, web.get(f"{BELOW}/ws", self._socket), *files]

    async def _file(self, request: web.Request) -> web.Response:
        file = read_page()[request.path.removeprefix(BELOW)]
        headers = {"Content-Type": file.content_type, "Content-Security-Policy": policy(request.host)}
        return web.Response(body=file.body, headers=headers)

    def _json(self, answer: Callable[[], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
                return web.json_response({}, status=401)
            return web.json_response(answer())

        return handle

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if not self.takes_sockets:
            return web.Response(status=426)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.add(socket)
        updates: asyncio.Task[None] | None = None
        allowed = not self.token
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            event, data = (json.loads(message.data)[name] for name in ("event", "data"))
            allowed = allowed or (event == "authenticate" and data["token"] == self.token)
            if not allowed:
                await socket.send_json({"event": "error", "data": {"code": "unauthorized", "message": ""}})
            elif event == "subscribe-metrics" and updates is None:
                updates = asyncio.create_task(self._update(socket, data["topics"]))
        if updates:
            updates.cancel()
        self.sockets.discard(socket)
        return socket

    async def _update(self, socket: web.WebSocketResponse, topics: Collection[str]) -> None:
        others = {field for topic, field in documents.SECTIONS.items() if topic not in topics}
        while True:
            shown = {field: value for field, value in (self.scene.snapshot or {}).items() if field not in others}
            data = shown | ({"health": self.scene.health} if documents.HEALTH in topics else {})
            await socket.send_json({"event": "metrics-update", "seq": 1, "skipped": 0, "data": data})
            await asyncio.sleep(0.25)

    async def drop(self) -> None:
        """Close every WebSocket, as a sidecar that stops."""
        for socket in list(self.sockets):
            await socket.close(code=1001)


@asynccontextmanager
async def fake_sidecar() -> AsyncIterator[tuple[FakeSidecar, str]]:
    """Serve a fake sidecar; yield it with the address of its page."""
    sidecar, application = FakeSidecar(), web.Application()
    application.add_routes(sidecar.routes())
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield sidecar, f"http://{host}:{port}{BELOW}/"
    finally:
        await runner.cleanup()
