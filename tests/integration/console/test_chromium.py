"""The console in a real browser: with scripts and without, on a phone and on a desk, in light and dark."""

import asyncio
from pathlib import Path

import pytest

from accounts import sign_in_links, users
from accounts.roles import Role
from accounts.sign_in_links import Purpose
from accounts.users import NewUser
from store.database import Database
from tests import browser
from tests.browser import Page
from tests.integration.api.account import make_account
from tests.integration.messages.emails import execute, make_partitions, new_email, store

pytestmark = [
    pytest.mark.skipif(browser.PROGRAM is None, reason="there is no Chromium"),
    pytest.mark.timeout(240),
]

HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
_TOLD = "document.addEventListener('htmx:sse:after:message', () => { window.told = true; })"
SIZES = ((1280, 800), (820, 1000), (390, 844))


@pytest.fixture
async def link(database: Database) -> str:
    """Some mail, and a link that signs an admin in."""
    await make_partitions(database)
    account = await make_account(database)
    for name in ("ann", "bob"):
        mail = new_email(
            f"{name}@example.com", application_id=account.application_id, domain_id=account.domain_id,
            subject=f"Receipt for {name}" + (HOSTILE if name == "bob" else ""), html=f"<p>Hello</p>{HOSTILE}",
        )  # fmt: skip
        await store(database, mail)
    async with database.transaction() as connection:
        ada = await users.create(connection, NewUser("ada@acme.example", Role.ADMIN))
        return f"/link/{await sign_in_links.make(connection, Purpose.SIGN_IN, ada.id)}"


async def test_the_first_mail_is_two_clicks_away_without_scripts(address: str, link: str, tmp_path: Path) -> None:
    async with browser.browsing(tmp_path / "profile") as page:
        await page.open(address + link)
        await page.click("button", "Open the console")
        await page.click("a.whole", "bob")
        assert "Accepted for the transactional lane" in await page.text()
        await page.click(".tabs a", "HTML")
        await page.open(address + "/messages?q=ann%40example.com")
        assert "ann@example.com" in await page.text()
        assert "bob@example.com" not in await page.text()
    assert page.said == [], "what the browser complained about"


async def test_pages_refresh_their_parts_and_break_no_policy(address: str, link: str, tmp_path: Path) -> None:
    async with browser.browsing(tmp_path / "profile", scripts=True) as page:
        await _size(page, *SIZES[0])
        await page.open(address + link)
        await page.click("button", "Open the console")
        await page.press("/")
        assert await page.value("document.activeElement.id") == "find"

        await page.open(address + "/messages")
        await page.value("document.getElementById('field-q').focus()")
        await page.call("Input.insertText", text="ann@example.com")
        await page.until("document.querySelectorAll('tr.to').length === 1")
        assert "q=ann" in await page.value("location.search")
        await page.click("a.whole", leads_on=False)
        await page.until("document.getElementById('panel') !== null")
        assert "Accepted for the transactional lane" in await page.text()
        await page.press("Escape", leads_on=True)
        assert await page.value("document.getElementById('panel') === null")

        await page.open(address + "/messages?q=bob%40example.com")
        assert await page.value("document.title") == "Messages · Postlane", "nothing of a mail runs"
        await page.click("a.whole", leads_on=False)
        await page.until("document.getElementById('panel') !== null")
        await page.click("button", "Suppress", leads_on=False)
        assert await page.value("document.querySelector('.dialog:popover-open') !== null")
        await page.click(".dialog:popover-open footer button", "Suppress")
        assert "bob@example.com gets no more mail." in await page.text()
        assert page.said == [], "what the browser complained about"

        await page.open(address + "/messages")
        await page.value("window.kept = window.fetch; window.fetch = () => Promise.reject(new TypeError('gone')); 0")
        await page.value("document.getElementById('field-q').focus()")
        await page.call("Input.insertText", text="ann")
        await page.until(
            "(document.getElementById('blind') || {textContent: ''}).textContent.includes('Not refreshed')"
        )
        await page.value("window.fetch = window.kept; 0")
        await page.call("Input.insertText", text="@example.com")
        await page.until("document.getElementById('blind') === null")


async def test_the_overview_is_told_what_is_new(address: str, link: str, database: Database, tmp_path: Path) -> None:
    """By its stream, also where a script comes later than the others: a page that is not told asks, but late."""
    async with browser.browsing(tmp_path / "profile", scripts=True) as page:
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=_TOLD)
        await page.open(address + link)
        await page.call("Network.enable")
        await page.call(
            "Network.emulateNetworkConditions", offline=False, latency=300, downloadThroughput=-1, uploadThroughput=-1
        )
        await page.click("button", "Open the console")
        assert "new@example.com" not in await page.text()
        await page.until("window.told === true")
        await execute(database, "UPDATE messages SET recipient = 'new@example.com' WHERE recipient = 'ann@example.com'")
        await page.until("document.getElementById('live').innerText.includes('new@example.com')")
        assert page.said == [], "what the browser complained about"


async def test_pages_fit_every_width_in_light_and_dark(address: str, link: str, tmp_path: Path) -> None:
    async with browser.browsing(tmp_path / "profile", scripts=True) as page:
        await _size(page, *SIZES[0])
        await page.open(address + link)
        await page.click("button", "Open the console")
        for path in ("/", "/messages", "/users", "/audit", "/account", "/nothing"):
            await page.open(address + path)
            await _is_accessible(page, path)
            for width, height in SIZES:
                await _size(page, width, height)
                assert await page.value("document.documentElement.scrollWidth") <= width, (path, width)
            await _size(page, *SIZES[0])
            for mode in ("light", "dark"):
                await page.call(
                    "Emulation.setEmulatedMedia",
                    features=[
                        {"name": "prefers-color-scheme", "value": mode},
                        {"name": "prefers-reduced-motion", "value": "reduce"},
                    ],
                )
                assert await page.value(_FAINT) == [], (path, mode)
    assert [one for one in page.said if "404" not in one] == [], "what the browser complained about"


async def _size(page: Page, width: int, height: int) -> None:
    await page.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
    )
    await asyncio.sleep(0)


async def _is_accessible(page: Page, path: str) -> None:
    """Whoever hears the page is told what each control does, and no two elements have one id."""
    tree = (await page.call("Accessibility.getFullAXTree"))["nodes"]
    roles = ("button", "checkbox", "textbox", "searchbox", "combobox", "link", "img", "image")
    controls = [one for one in tree if one.get("role", {}).get("value") in roles]
    assert controls
    assert [one["role"]["value"] for one in controls if not one.get("name", {}).get("value")] == [], path
    ids = await page.value("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids)), path
    assert await page.value("document.querySelectorAll('h1').length") == 1, path


_FAINT = """
(() => {
  const parsed = text => {
    const found = text.match(/[\\d.]+/g).map(Number);
    return text.startsWith('color(') ? [found[0] * 255, found[1] * 255, found[2] * 255, found[3] ?? 1]
      : [found[0], found[1], found[2], found[3] ?? 1];
  };
  const over = (top, below) => [0, 1, 2].map(n => top[n] * top[3] + below[n] * (1 - top[3])).concat(1);
  const ground = element => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) layers.push(parsed(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const light = colour => {
    const part = colour.slice(0, 3).map(n => n / 255).map(n => n <= 0.03928 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const faint = [];
  for (const element of document.querySelectorAll('main *, .top *, .side *')) {
    const own = [...element.childNodes].some(one => one.nodeType === 3 && one.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest('svg, :disabled, [aria-disabled]')) continue;
    const back = ground(element), front = over(parsed(getComputedStyle(element).color), back);
    const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
    if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(element.outerHTML.slice(0, 120));
  }
  return faint;
})()
"""
"""Elements whose own text has less contrast than WCAG's AA asks for."""
