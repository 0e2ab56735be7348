"""A headless Chromium, asked over its own protocol."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

from tests.programs import needs

START_SECONDS = 30.0


class Page:
    """An open page."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = count(1)

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        id, params = next(self._ids), {"expression": expression, "awaitPromise": True, "returnByValue": True}
        await self._socket.send_json({"id": id, "method": "Runtime.evaluate", "params": params})
        while (answer := await self._socket.receive_json(timeout=START_SECONDS)).get("id") != id:
            pass
        return answer["result"]["result"].get("value")


@asynccontextmanager
async def chromium(url: str, profile: Path) -> AsyncIterator[Page]:
    """Open a page in a browser of its own."""
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-proxy-server")
    browser = await asyncio.create_subprocess_exec(
        needs("chromium"), *options, f"--user-data-dir={profile}", url, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert browser.stderr is not None
        async with asyncio.timeout(START_SECONDS):
            while not (found := re.search(rb"ws://([\d.:]+)/", await browser.stderr.readline())):
                pass
        async with ClientSession() as session:
            async with session.get(f"http://{found[1].decode()}/json/list") as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"]) as socket:
                yield Page(socket)
    finally:
        browser.terminate()
        await browser.communicate()
