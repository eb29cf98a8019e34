"""Every page of the console in a real browser, about an installation that has something in every noun, texts that mean
harm among it: nothing of them runs, the browser complains about nothing, and axe-core finds nothing serious. How
colours and widths change is asked of some.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from accounts import sign_in_links, users
from accounts.roles import Role
from accounts.sign_in_links import Purpose
from accounts.users import NewUser
from core.settings import Settings, load
from store.database import Database
from tests import browser
from tests.accessibility import judged
from tests.dns_table import DnsTable
from tests.integration.cli.commands import Postlane
from tests.integration.cli.conftest import postlane
from tests.integration.cli.furniture import arrange, arrange_more
from tests.integration.console import machine, reach
from tests.integration.console.conftest import SECRET
from tests.integration.messages.emails import execute, make_partitions, rows
from tests.walk import LINKS, one_of_each, path_of

__all__ = ["postlane"]

pytestmark = [
    pytest.mark.skipif(browser.PROGRAM is None, reason="there is no Chromium"),
    pytest.mark.timeout(600),
]

PUBLIC: Final = "https://mail.shop.example"
RAN: Final = "window.ran = () => { document.title = 'ran'; };"
IN_EVERY_LOOK: Final = {
    "/", "/messages", "/ips", "/ips/{address}", "/warmup/{ip}", "/campaigns/{campaign_id}", "/people",
    "/domains/{domain_id}", "/webhooks", "/reports", "/system", "/templates/{template_id}",
}  # fmt: skip
"""Of each kind of page: figures, rows, charts, the map, forms, an editor."""


@pytest.fixture
async def dns() -> AsyncIterator[DnsTable]:
    """Nothing is published."""
    async with DnsTable({}) as table:
        yield table


@pytest.fixture
def settings(settings: Settings, dns: DnsTable) -> Settings:
    """With public pages and a name server."""
    own = {"public_url": PUBLIC, "dns_servers": (dns.address,), "hostname": "mta.acme.example"}
    return settings.model_copy(update=own)


@pytest.fixture
async def furnished(
    postlane: Postlane, database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What commands show, and what pages of machines and of campaigns do."""
    for name, value in (("SECRET", SECRET), ("PUBLIC_URL", PUBLIC), ("DNS_SERVERS", '["127.0.0.1:9"]')):
        monkeypatch.setenv(f"POSTLANE_{name}", value)
    load.cache_clear()
    await make_partitions(database)
    await asyncio.to_thread(_by_commands, postlane, database_url, tmp_path)
    for fill, name in ((machine.fill, "works"), (reach.fill, "club")):
        await execute(database, f"UPDATE applications SET name = 'before {name}' WHERE name = 'shop'")
        await execute(database, f"UPDATE domains SET name = 'before.{name}.example' WHERE name = 'shop.example'")
        await fill(database)


def _by_commands(postlane: Postlane, database_url: str, folder: Path) -> None:
    arrange(postlane)
    arrange_more(postlane, database_url, folder)


async def test_nothing_of_it_runs_and_everybody_can_use_it(
    furnished: None, address: str, database: Database, tmp_path: Path
) -> None:
    async with database.transaction() as connection:
        eve = await users.create(connection, NewUser("eve@acme.example", Role.ADMIN))
        link = f"/link/{await sign_in_links.make(connection, Purpose.SIGN_IN, eve.id)}"
    wrong: list[str] = []
    async with browser.browsing(tmp_path / "profile", scripts=True) as page:
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=RAN)

        async def look(at: str) -> list[str]:
            await page.open(address + at)
            found = await judged(page, every_look=path_of(at) in IN_EVERY_LOOK)
            if not str(await page.value("document.title")).endswith(" · Postlane"):
                found.append("was taken over")
            wrong.extend(f"{at} {one}" for one in (*found, *page.said))
            page.said.clear()
            links: list[str] = await page.value(LINKS)
            return links

        for at in ("/sign-in", link):
            await look(at)
        await page.click("button", "Open the console")
        ((most,),) = await rows(database, "SELECT application_id FROM templates WHERE campaign_id IS NULL LIMIT 1")
        lists = [f"/{name}?application={most}" for name in ("templates", "campaigns", "people", "forms")]
        seen = await one_of_each(look, ("/", "/find?q=nothing", *lists))
    assert not wrong, "\n".join(wrong)
    assert {path_of(at) for at in seen} >= IN_EVERY_LOOK
    assert len(seen) > 70
