"""The editor of mails in a real browser: written, dragged, undone, looked at as somebody, published."""

from pathlib import Path
from typing import Any

import pytest

from accounts import sign_in_links, users
from accounts.roles import Role
from accounts.sign_in_links import Purpose
from accounts.users import NewUser
from core.settings import Settings
from store.database import Database
from templates import document, service
from templates.build import Kind
from templates.model import DEFAULT, Edit, LanguageEdit
from tests import browser
from tests.browser import Page
from tests.integration.console.reach import fill
from tests.unit.templates.test_pictures import PNG

pytestmark = [
    pytest.mark.skipif(browser.PROGRAM is None, reason="there is no Chromium"),
    pytest.mark.timeout(240),
]


SAVED = "document.querySelector('#state .state.delivered') !== null"
NOTE_STATES = """
window.states = [];
new MutationObserver(() => window.states.push(document.querySelector('#state').textContent))
  .observe(document.body, {subtree: true, childList: true, characterData: true}) ?? true
"""
"""Keeps what is said of saving: on a busy machine it is said and done with between two looks."""
TYPES = "[...document.querySelectorAll('#editor .blocks > li')].map(one => one.dataset.type).join(' ')"
CARET = "document.querySelector('#field-text').focus(); document.querySelector('#field-text').setSelectionRange(99, 99)"
LOST = "window.fetch = async (...asked) => { await window.real(...asked); throw new TypeError('no answer'); }"
SIGNED_OUT = "window.fetch = async () => new Response('', {status: 401, headers: {'hx-redirect': '/sign-in'}})"
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


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With public pages, which serve pictures."""
    return settings.model_copy(update={"public_url": "https://mail.acme.example"})


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
        await _a_save_that_fails_loses_nothing(page, database, template)
        await _a_picture_is_uploaded_and_described(page, database, template, tmp_path)
        await _blocks_are_arranged(page)
        await _it_is_looked_at_as_somebody(page, database, template)
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


async def _words(database: Database, template: str, kind: str) -> dict[str, Any]:
    """What the block of this type says, as it is stored."""
    async with database.connection() as connection:
        row = await (
            await connection.execute("SELECT application_id FROM templates WHERE id = %s", [template])
        ).fetchone()
        assert row is not None
        _, version = await service.get(connection, row[0], template)
    blocks = document.parsed(version.writing.sources[DEFAULT].body)["blocks"]
    return next(block for block in blocks if block["type"] == kind)


async def _a_save_that_fails_loses_nothing(page: Page, database: Database, template: str) -> None:
    """Without an answer the same goes out again, and then what was typed meanwhile; after a refusal the page says why,
    and lets nobody leave unasked."""
    await page.click(".blocks a", "Button", leads_on=False)
    await page.until("document.querySelector('#chosen #field-href') !== null")
    await page.value(f"window.real = window.fetch; {LOST}; 0")
    await page.value(CARET)
    await page.call("Input.insertText", text=" at tulips")
    await page.until("document.querySelector('#state').textContent.includes('no answer, trying again')")
    assert (await _words(database, template, "button"))["text"] == "Have a look at tulips", "it was stored all the same"
    await page.call("Input.insertText", text=", please")
    await page.value("window.fetch = window.real; dispatchEvent(new Event('online')); 0")
    await page.until(SAVED)
    await page.until("document.querySelector('li[aria-current]').textContent.includes('please')")
    assert (await _words(database, template, "button"))["text"] == "Have a look at tulips, please"
    assert await page.value("document.querySelector('#trouble').textContent.trim()") == ""

    await page.value(f"{SIGNED_OUT}; window.confirm = (text) => {{ window.asked = text; return false; }}; 0")
    await page.call("Input.insertText", text=" do")
    await page.until("document.querySelector('#trouble').textContent.includes('You are signed out')")
    await page.click(".blocks a", "Text", leads_on=False)
    await page.until("(window.asked || '').includes('is not saved')")
    assert await page.value("document.querySelector('#field-text').value") == "Have a look at tulips, please do"
    await page.value("window.fetch = window.real; 0")
    await page.click("[data-again]", leads_on=False)
    await page.until(SAVED)
    assert (await _words(database, template, "button"))["text"] == "Have a look at tulips, please do"
    page.said.clear()  # the browser told that nobody answered
    await page.click(".blocks a", "Text", leads_on=False)
    await page.until("document.querySelector('#chosen .write:not([hidden])') !== null")


async def _a_picture_is_uploaded_and_described(page: Page, database: Database, template: str, folder: Path) -> None:
    """What is typed behind an upload is saved as well, into the form that came with its answer."""
    (folder / "tulips.png").write_bytes(PNG)
    await page.value("document.querySelector('#field-type').value = 'image'; 0")
    await page.click(".add button", "Add", leads_on=False)
    await page.until("document.querySelector('#chosen #field-src_file') !== null")
    root = await page.call("DOM.getDocument")
    field = await page.call("DOM.querySelector", nodeId=root["root"]["nodeId"], selector="#field-src_file")
    await page.call("DOM.setFileInputFiles", files=[str(folder / "tulips.png")], nodeId=field["nodeId"])
    await page.until("(document.querySelector('#field-src')?.value || '').startsWith('https://mail.acme.example/i/')")
    await page.write("#field-alt", "A row of tulips")
    await page.until(f"{SAVED} && document.querySelector('li[aria-current]').textContent.includes('A row of tulips')")
    picture = await _words(database, template, "image")
    assert (picture["alt"], picture["src"][:28]) == ("A row of tulips", "https://mail.acme.example/i/")
    await page.click("[value^=delete]", leads_on=False)
    await page.until(f"{TYPES} === 'heading text button footer'")
    await page.value("document.querySelector('#field-type').value = 'text'; 0")
    await page.click(".blocks a", "Text", leads_on=False)
    await page.until("document.querySelector('#chosen .write:not([hidden])') !== null")


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


async def _it_is_looked_at_as_somebody(page: Page, database: Database, template: str) -> None:
    """The frame shows the mail of its person (`test_editor` compares it), and so does its text. The form is as new as
    the mail that is shown: what somebody else wrote is not written over."""
    await page.click(".blocks a", "Footer", leads_on=False)
    await page.until("document.querySelector('#chosen #field-unsubscribe') !== null")
    await _somebody_else_writes(database, template)
    await page.write("#field-as", "ann1@people.example")
    await _enter(page)
    await page.until("document.querySelector('#mail').src.includes('as=ann1')")
    await page.click(".pick a", "Text", leads_on=False)
    await page.until("document.querySelector('.seen pre.source') !== null")
    assert "Hello Ann 1 <script>" in await page.text()
    await page.until("document.querySelector('#field-html').value.includes('Tulip Lane')")
    await page.value(NOTE_STATES)
    await page.write("#field-unsubscribe", "!")
    await page.until("window.states.some((state) => state.includes('Not saved yet'))")
    await page.until(SAVED)
    footer = await _words(database, template, "footer")
    assert "Tulip Lane" in footer["html"]
    assert footer["unsubscribe"].replace("!", "") == "Unsubscribe"
    assert await page.value("document.querySelector('#field-as').value") == "ann1@people.example", "still as Ann"
    assert await page.value("location.search.includes('as=ann1')"), "and after loading the page again"


async def _somebody_else_writes(database: Database, template: str) -> None:
    """Into the footer, at another screen."""
    async with database.transaction() as connection:
        row = await (
            await connection.execute("SELECT application_id FROM templates WHERE id = %s", [template])
        ).fetchone()
        assert row is not None
        _, version = await service.get(connection, row[0], template)
        known = document.parsed(version.writing.sources[DEFAULT].body)
        made = document.changed(known, (3,), {"html": "<p>Tulip Lane 1</p>", "text": None})
        edit = Edit(content=LanguageEdit((Kind.BLOCKS, document.written(made))))
        await service.update(connection, row[0], template, edit)
