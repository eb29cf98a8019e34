"""Public pages in a real browser, on a small phone, with the mouse: a person's choices, and a campaign on the web."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from campaigns import steering
from campaigns.archive import Access, switched
from campaigns.model import Draft, Words
from core.settings import Settings
from pages.serve import service_of
from tests import browser
from tests.accessibility import judged
from tests.browser import WIDTH, Page
from tests.integration.pages.conftest import Reader
from tests.integration.pages.signups import Signup, signup
from tests.integration.pages.test_moving import asked as moving_link
from tests.integration.pages.test_signup import asked as signed_up
from tests.served import served

__all__ = ["signup"]

pytestmark = [
    pytest.mark.skipif(browser.PROGRAM is None, reason="there is no Chromium"),
    pytest.mark.timeout(240),
]


@pytest.fixture
def address(settings: Settings) -> Iterator[str]:
    """The pages behind a real socket; their URL."""
    with served(service_of(settings)) as url:
        yield url


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


async def test_everybody_can_use_every_page(reader: Reader, signup: Signup, address: str, tmp_path: Path) -> None:
    """Forms, questions, lists and refusals, on a desk and a phone, in light and dark, with scripts as most people."""
    await signed_up(signup)
    listed = switched(Access.INDEXED, address)
    async with reader.database.transaction() as connection:
        draft = Draft(Words("Acme <hello@acme.example>", "Spring", html="<p>Spring</p>"), archive=listed)
        await steering.create(connection, reader.account.application_id, draft)
        await connection.execute("UPDATE campaigns SET state = 'finished', started_at = now(), ended_at = now()")
    asked = await moving_link(reader)
    archive = f"/archive/{reader.account.application_id}"
    wrong = []
    async with browser.browsing(tmp_path / "profile", scripts=True) as page:
        for path in (signup.path, reader.link(), reader.link(None), await signup.link(), asked, archive):
            await page.open(address + path)
            wrong += [f"{path} {one}" for one in (*await judged(page, every_look=True), *page.said)]
            page.said.clear()
        for path in ("/u/nothing", "/y/nothing", "/s/nothing"):
            await page.open(address + path)
            wrong += [f"{path} {one}" for one in await judged(page)]
        await page.open(address + signup.path)
        await page.write("input[name=email]", "ann")
        await page.value("document.querySelector('form').noValidate = true")
        await page.click("button", "Sign up")
        assert await page.value("document.querySelectorAll('[aria-invalid]').length") == 1
        wrong += await judged(page, every_look=True)
    assert not wrong, "\n".join(wrong)


async def test_nothing_that_a_campaign_s_author_wrote_runs_on_its_page(
    reader: Reader, address: str, tmp_path: Path
) -> None:
    """With scripts on, as most people have them; a link leads on all the same."""
    script = "document.body.innerHTML = 'taken over'"
    html = (
        f'<body onload="{script}"><p>Spring</p><script>{script}</script><img src="data:," onerror="{script}">'
        f'<meta http-equiv="refresh" content="0;url={address}/s/taken"><base href="https://evil.example/">'
        f"<a href=\"javascript:{script}\">press</a> <a href='{address}{reader.link()}'>choices</a></body>"
    )
    words = Words("Acme <hello@acme.example>", "Spring", html=html)
    page_on_the_web = switched(Access.LINK, address)
    async with reader.database.transaction() as connection:
        known = await steering.create(connection, reader.account.application_id, Draft(words, archive=page_on_the_web))
    async with browser.browsing(tmp_path / "profile") as page:
        await page.call("Emulation.setScriptExecutionDisabled", value=False)
        await page.open(known.archive.url(known.id))
        await page.click("a", "press", leads_on=False)
        assert "Spring" in await page.text()
        await page.click("a", "choices")
        assert "Unsubscribe from “News”" in await page.text()
