"""The editor of mails in a real browser: written, dragged, undone, looked at as somebody, published."""

from pathlib import Path

import pytest

from accounts import sign_in_links, users
from accounts.roles import Role
from accounts.sign_in_links import Purpose
from accounts.users import NewUser
from store.database import Database
from templates import document, service
from templates.model import DEFAULT
from tests import browser
from tests.browser import Page
from tests.integration.console.reach import fill

pytestmark = [
    pytest.mark.skipif(browser.PROGRAM is None, reason="there is no Chromium"),
    pytest.mark.timeout(240),
]

SAVED = "document.querySelector('#state .state.delivered') !== null"
TYPES = "[...document.querySelectorAll('#editor .blocks > li')].map(one => one.dataset.type).join(' ')"
PASTED = """
(() => {
  const data = new DataTransfer();
  data.setData('text/html', '<b style="color:red">bold</b><style>p {}</style><img src=x onerror="document.title=1">'
    + '<script>document.title=2</script><a href="javascript:document.title=3">bad</a> '
    + '<a href="https://shop.example/">good</a>');
  document.querySelector('.write').dispatchEvent(
    new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
})()
"""


async def test_a_mail_is_written_in_the_editor(address: str, database: Database, tmp_path: Path) -> None:
    reach = await fill(database)
    async with database.transaction() as connection:
        ada = await users.create(connection, NewUser("ada@acme.example", Role.ADMIN))
        link = f"/link/{await sign_in_links.make(connection, Purpose.SIGN_IN, ada.id)}"
    async with browser.browsing(tmp_path / "profile", scripts=True) as page:
        await page.call(
            "Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False
        )  # fmt: skip
        still = [
            {"name": "prefers-reduced-motion", "value": "reduce"}
        ]  # while a block glides nothing is dragged past it
        await page.call("Emulation.setEmulatedMedia", features=still)
        await page.open(address + link)
        await page.click("button", "Open the console")
        await page.open(address + "/templates/new")
        await page.write("#field-name", "Welcome")
        await page.click("button", "Open the editor")
        template = str(await page.value("location.pathname.split('/')[2]"))

        await _text_is_typed(page)
        await _blocks_are_arranged(page)
        await _it_is_looked_at_as_somebody(page)
        await page.click("button", "Publish", leads_on=False)
        await page.click(".dialog:popover-open footer button", "Publish it")
        assert "version 1, in force" in await page.text()
        assert await page.value("document.title") == "Welcome · Postlane", "nothing that was pasted ran"
        assert page.said == [], "what the browser complained about"

    async with database.connection() as connection:
        version = await service.published(connection, reach.application_id, template)
    blocks = document.parsed(version.writing.sources[DEFAULT].body)["blocks"]
    assert [one["type"] for one in blocks] == ["button", "heading", "text", "footer"]
    written = blocks[2]["html"].replace("&nbsp;", " ")  # what browsers make of a blank at the end of a line
    assert written.startswith("<p>Tulips are <b>here</b><b>bold</b><a>bad</a> ")
    assert '<a href="https://shop.example/">good</a>' in written


async def _text_is_typed(page: Page) -> None:
    """In Squire, with a toolbar, saved by itself; what is pasted is bare of what runs."""
    await page.click(".blocks a", "Text", leads_on=False)
    await page.until("document.querySelector('#chosen .write:not([hidden])') !== null")
    await page.click(".write", leads_on=False)
    await page.value("getSelection().selectAllChildren(document.querySelector('.write p'))")
    await page.call("Input.insertText", text="Tulips are ")
    await page.click("[data-do=bold]", leads_on=False)
    await page.call("Input.insertText", text="here")
    await page.click("[data-do=bold]", leads_on=False)
    await page.until(f"{SAVED} && document.querySelector('li[aria-current]').textContent.includes('Tulips are here')")
    assert await page.value("document.activeElement.className") == "write", "whoever types goes on typing"
    await page.value(PASTED)
    await page.until("document.querySelector('#typed textarea').value.includes('good')")
    await page.until(SAVED)


async def _blocks_are_arranged(page: Page) -> None:
    """Added, dragged, moved by keyboard, undone."""
    await page.click(".add button", "Add", leads_on=False)
    await page.until(f"{TYPES} === 'heading text text button footer'")
    await page.click("[value^=delete]", leads_on=False)
    await page.until(f"{TYPES} === 'heading text button footer'")
    place = "[...document.querySelectorAll('.grip')].map(e => e.getBoundingClientRect()).map(r => [r.x + 8, r.y + 12])"
    grips = await page.value(place)
    await _drag(page, grips[2], grips[0])
    await page.until("document.querySelector('#editor li[aria-current]').dataset.path === '0'")
    assert await page.value(TYPES) == "button heading text footer"
    await page.value("document.querySelector('li[aria-current] [data-keep=down]').focus()")
    await _enter(page)
    await page.until(f"{TYPES} === 'heading button text footer'")
    assert await page.value("document.activeElement.dataset.keep") == "down", "the focus goes with it"
    await page.click("button", "Undo", leads_on=False)
    await page.until(f"{TYPES} === 'button heading text footer'")


async def _enter(page: Page) -> None:
    await page.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", text="\r")
    await page.call("Input.dispatchKeyEvent", type="keyUp", key="Enter", code="Enter")


async def _drag(page: Page, start: list[float], end: list[float]) -> None:
    async def mouse(kind: str, x: float, y: float) -> None:
        await page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    await mouse("mousePressed", *start)
    for part in range(1, 21):
        await mouse("mouseMoved", start[0], start[1] + (end[1] - 16 - start[1]) * part / 20)
    await mouse("mouseReleased", start[0], end[1] - 16)


async def _it_is_looked_at_as_somebody(page: Page) -> None:
    """The frame shows the mail of its person (`test_editor` compares it), and so does its text."""
    await page.write("#field-as", "ann1@people.example")
    await _enter(page)
    await page.until("document.querySelector('#mail').src.includes('as=ann1')")
    await page.click(".pick a", "Text", leads_on=False)
    await page.until("document.querySelector('.seen pre.source') !== null")
    assert "Hello Ann 1 <script>" in await page.text()
