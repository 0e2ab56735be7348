"""The live page of a real daemon, in Debian's Chromium, during a simulated sale."""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

import pytest
import redis
from playwright.async_api import Page, expect

from tests.e2e.conftest import MakeDaemon
from tests.e2e.daemon import ROOT, Daemon
from tests.exposition.page.browser import chromium, tab
from tests.redis_server import RedisServer

pytestmark = pytest.mark.campaign

SETTINGS = "{sources: {streams: []}}"
POLL_SECONDS = 0.1


async def test_the_page_shows_the_numbers_of_its_commit(redis_server: RedisServer, make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(redis_server.url).start()
    url = f"redis://127.0.0.1:{redis_server.port}/0"
    simulate = [sys.executable, "-m", "sidecar", "simulate", "--redis-url", url, "--rate", "80", "--seed", "7"]
    sale = subprocess.Popen(simulate, cwd=ROOT)
    try:
        async with chromium() as browser, tab(browser, f"http://127.0.0.1:{daemon.http}/") as opened:
            page = opened.page
            await opened.state("live", 30)
            await expect(page.locator("#rows tr")).to_have_count(8)
            commits = await _commits(daemon, 3)
            await page.keyboard.press("p")
            commits |= await _commits(daemon, 1)
            shown = commits[float(await page.locator("body").get_attribute("data-commit") or 0)]
            assert await _numbers(page) == _expected(shown)
            await opened.check()
    finally:
        sale.kill()
        sale.wait()


async def _commits(daemon: Daemon, seconds: float) -> dict[float, dict[str, Any]]:
    """Return the snapshots of some seconds, by their commit."""
    found, until = {}, time.monotonic() + seconds
    while time.monotonic() < until:
        snapshot = await asyncio.to_thread(daemon.snapshot)
        found[snapshot["committed_at"]] = snapshot
        await asyncio.sleep(POLL_SECONDS)
    return found


async def _numbers(page: Page) -> dict[str, Any]:
    """Read the numbers off the page."""
    rows = await page.locator("#rows tr").evaluate_all(
        "rows => rows.map((row) => [row.cells[0].title, row.cells[2].textContent])"
    )
    return {
        "money": await page.locator("#money dd").all_text_contents(),
        "peak": await page.locator("[data-tile=rate] .note").text_content(),
        "p99": await page.locator("[data-tile=wait] .value").text_content(),
        "reasons": sorted(await page.locator(".reason .num").all_text_contents()),
        "units": {name: text.split()[0] for name, text in rows},
    }


def _expected(snapshot: dict[str, Any]) -> dict[str, Any]:
    """Say what the page must show of a snapshot."""
    orders, products = snapshot["orders"], snapshot["orders"]["by_product"]
    [revenue] = orders["revenue"].values()
    counts = (sum(one["units"] for one in products.values()), orders["by_status"]["success"])
    whole, _, cents = revenue.partition(".")
    peak, at = orders["per_second"]["peak"], time.localtime(orders["per_second"]["peak_at"])
    return {
        "money": [*(f"{count:,}" for count in counts), f"{int(whole):,}.{cents}", f"{orders['in_flight']:,}"],
        "peak": f"peak {peak:,} at {time.strftime('%H:%M:%S', at)}",
        "p99": f"{snapshot['latency_ms']['1m']['p99']:,.0f}ms",
        "reasons": sorted(f"{count:,}" for count in orders["failed_by_reason"].values()),
        "units": {name: f"{one['stock']:,}" for name, one in snapshot["inventory"].items()},
    }


async def test_an_outage_is_seen_on_the_page_and_its_end(redis_server: RedisServer, make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(redis_server.url, settings=SETTINGS).start()
    async with chromium() as browser, tab(browser, f"http://127.0.0.1:{daemon.http}/") as opened:
        page = opened.page
        await opened.state("waiting")
        await expect(page.locator("#lines code")).to_contain_text("PUBLISH flash_sale:events")
        order = json.dumps({"status": "success", "product_id": "sku-1"})
        redis.Redis(port=redis_server.port).publish("flash_sale:events", order)
        await opened.state("live")
        redis_server.freeze()
        try:
            await opened.state("frozen")
            await expect(page.locator("#sentence")).to_contain_text("does not answer")
        finally:
            redis_server.thaw()
        await expect(page.locator("body[data-frozen]")).to_have_count(0, timeout=15_000)
        daemon.stop()
        await opened.state("lost")
        await asyncio.to_thread(daemon.start)
        await expect(page.locator("body[data-frozen]")).to_have_count(0, timeout=15_000)
