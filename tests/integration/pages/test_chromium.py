"""The page of a person's mail in a real browser: on a small phone, without scripts, with the mouse."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from core.settings import Settings
from pages.serve import service_of
from tests import browser
from tests.browser import WIDTH, Page
from tests.integration.pages.conftest import Reader
from web.server import config_of

pytestmark = [
    pytest.mark.skipif(browser.PROGRAM is None, reason="there is no Chromium"),
    pytest.mark.timeout(240),
]


@pytest.fixture
def address(settings: Settings) -> Iterator[str]:
    """The pages behind a real socket; their URL."""
    config = config_of(service_of(settings), service_of(settings).make())
    config.host, config.port = "127.0.0.1", 0
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="public")
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)


async def test_a_person_unsubscribes_chooses_and_pauses_with_the_mouse(
    reader: Reader, address: str, tmp_path: Path
) -> None:
    async with browser.browsing(tmp_path / "profile") as page:
        await page.open(address + reader.link())
        assert "Unsubscribe from “News”" in await page.text()
        await looks_well(page)
        assert await reader.takes() == {"News": True, "Offers": True, "Events": False, "Receipts": True}

        await page.click("button", "Unsubscribe from “News”")
        await looks_well(page)
        assert (await reader.takes())["News"] is False

        await page.click("label", "Offers", leads_on=False)
        await page.click("label", "Events", leads_on=False)
        await page.click("button", "Save choices")
        await looks_well(page)
        assert await reader.takes() == {"News": False, "Offers": False, "Events": True, "Receipts": True}

        await page.click("button", "30 days")
        await looks_well(page)
        assert (await reader.stands()).paused_until is not None
    assert page.said == [], "what the browser complained about"


async def looks_well(page: Page) -> None:
    """Nothing reaches over the edge, and whoever hears the page is told what each control does."""
    wide = "[...document.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    assert await page.value("innerWidth") == WIDTH
    assert await page.value(f"{wide}.map(e => e.outerHTML.slice(0, 80))") == []
    tree = (await page.call("Accessibility.getFullAXTree"))["nodes"]
    controls = [one for one in tree if one.get("role", {}).get("value") in ("button", "checkbox", "textbox")]
    assert controls
    assert [one["role"]["value"] for one in controls if not one.get("name", {}).get("value")] == []
