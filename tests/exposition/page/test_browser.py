"""The page in a browser, before a fake sidecar that can be in any state."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.exposition.page.browser import FakeSidecar, chromium, fake_sidecar, tab
from tests.exposition.page.scenes import HOSTILE, SCENES, WELL, Scene, known, stocked

pytestmark = [pytest.mark.campaign, pytest.mark.asyncio(loop_scope="module")]

SHOWN = [name for name in SCENES if SCENES[name].feed == {"status": "open"}]
LONG = "limited-edition-sneaker-of-the-year-in-size-44-and-a-half-red-aurora-0042"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def served() -> AsyncIterator[tuple[FakeSidecar, str]]:
    async with fake_sidecar() as one:
        yield one


Served = tuple[FakeSidecar, str]


@pytest.mark.parametrize("name", SHOWN)
async def test_a_state_is_shown_with_its_words(browser: Browser, served: Served, name: str) -> None:
    sidecar, url = served
    sidecar.scene = SCENES[name]
    sidecar.rejected = [
        {"time": 1.0, "source": "pubsub:a", "reason": "missing_field", "detail": "status", "payload": HOSTILE}
    ]
    async with tab(browser, url) as opened:
        await opened.state(sidecar.scene.state)
        await expect(opened.page.locator("#verdict")).to_contain_text(sidecar.scene.words)
        await expect(opened.page.locator("#verdict")).to_have_class(re.compile(f"is-{sidecar.scene.mark}"))
        if name == "all rejected":
            await expect(opened.page.locator("#rejected-payload")).to_have_text(HOSTILE)
        await opened.check()


@pytest.mark.parametrize("width", [320, 390, 640, 1024, 1280])
async def test_nothing_scrolls_sideways(browser: Browser, served: Served, width: int) -> None:
    sidecar, url = served
    sidecar.scene = Scene(known(**stocked(**{LONG: 1_204_000, "b": 412, "c": 0})), WELL, "live", "ok", "")
    async with tab(browser, url, viewport={"width": width, "height": 700}) as opened:
        await opened.state("live")
        await expect(opened.page.locator("#rows tr")).to_have_count(3)
        assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width


async def test_names_from_outside_are_text(browser: Browser, served: Served) -> None:
    sidecar, url = served
    sidecar.scene = Scene(known(**stocked(**{HOSTILE: 5})), WELL, "live", "ok", "")
    async with tab(browser, url) as opened:
        await expect(opened.page.get_by_role("rowheader", name=HOSTILE)).to_be_visible()
        assert await opened.page.locator("#rows img").count() == 0
        await opened.check()


async def test_paused_changes_nothing_but_the_age(browser: Browser, served: Served) -> None:
    sidecar, url = served
    async with tab(browser, url) as opened:
        await opened.state("live")
        await opened.page.keyboard.press("p")
        await expect(opened.page.locator("#live-text")).to_contain_text("paused")
        before = await opened.page.locator("main").inner_html()
        sidecar.scene = SCENES["frozen"]
        await expect(opened.page.locator("#live-text")).to_have_text("paused, 2 s old")
        assert await opened.page.locator("main").inner_html() == before
        await opened.page.keyboard.press("p")
        await opened.state("frozen")


async def test_the_keyboard_reaches_everything(browser: Browser, served: Served) -> None:
    sidecar, url = served
    sidecar.scene = Scene(known(**stocked(alpha=5, beta=6)), WELL, "live", "ok", "")
    async with tab(browser, url) as opened:
        page = opened.page
        await expect(page.locator("#rows tr")).to_have_count(2)
        await page.keyboard.press("/")
        await page.keyboard.type("bet")
        await expect(page.locator("#rows tr")).to_have_count(1)
        await page.keyboard.press("Escape")
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.get_by_label("Single keys are shortcuts").uncheck()
        await page.keyboard.press("Escape")
        await page.keyboard.press("p")
        await expect(page.locator("#pause")).to_have_attribute("aria-pressed", "false")
        await page.locator("#pause").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")


async def test_a_token_is_asked_for_and_kept_in_memory(browser: Browser, served: Served) -> None:
    sidecar, url = served
    sidecar.token = "secret"
    async with tab(browser, url) as opened:
        page = opened.page
        await opened.state("token")
        for token, state in (("wrong", "token"), ("secret", "live")):
            await page.get_by_label(re.compile("Token")).fill(token)
            await page.get_by_role("button", name="Unlock").click()
            if state == "token":
                await expect(page.locator("#locked-why")).to_have_text("That token is wrong.")
        await opened.state("live")
        assert await page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


async def test_a_page_that_lost_the_sidecar_freezes_and_comes_back(browser: Browser, served: Served) -> None:
    sidecar, url = served
    async with tab(browser, url) as opened:
        await opened.state("live")
        sidecar.takes_sockets, sidecar.token = False, "unreachable"
        await sidecar.drop()
        await opened.state("token", 8)
        await expect(opened.page.locator("body")).to_have_attribute("data-frozen", "")
        sidecar.takes_sockets, sidecar.token = True, ""
        await opened.page.get_by_label(re.compile("Token")).fill("any")
        await opened.page.get_by_role("button", name="Unlock").click()
        await opened.state("live", 5)


async def test_without_websockets_it_polls(browser: Browser, served: Served) -> None:
    sidecar, url = served
    sidecar.takes_sockets = False
    async with tab(browser, url) as opened:
        await opened.state("live", 15)
        sidecar.scene = SCENES["frozen"]
        await opened.state("frozen")


async def test_the_tab_tells_the_state_in_the_background(browser: Browser, served: Served) -> None:
    sidecar, url = served
    hidden = "Object.defineProperty(document, 'hidden', { get: () => true })"
    sidecar.scene = SCENES["oversold"]
    async with tab(browser, url) as opened:
        await opened.page.add_init_script(hidden)
        await opened.page.reload()
        await expect(opened.page).to_have_title(re.compile("^◆ 0.9/s"))
        await expect(opened.page.locator("#icon")).to_have_attribute("href", "page/icon-critical.svg")


@pytest.mark.parametrize("media", [{"forced_colors": "active"}, {"reduced_motion": "reduce"}, {"color_scheme": "dark"}])
async def test_it_follows_the_settings_of_the_reader(browser: Browser, served: Served, media: dict[str, Any]) -> None:
    sidecar, url = served
    sidecar.scene = SCENES["degraded"]
    async with tab(browser, url, **media) as opened:
        await opened.state("degraded")
        moves = await opened.page.evaluate("getComputedStyle(document.getElementById('verdict')).transitionDuration")
        assert (moves == "0s") == (media.get("reduced_motion") == "reduce")
        await opened.check()
