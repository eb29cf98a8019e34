"""Which addresses the bounce listener takes mail at: signed by us, and in a domain of ours."""

import smtplib

import pytest

from accounts.return_paths import KEEP_SECONDS, ReturnPathDomains
from store.database import Database
from tests.integration.inbound.conftest import Account, accepted_mail, rows, talk_to
from workers.inbound import InboundServer

pytestmark = pytest.mark.timeout(60)


async def test_the_domain_must_be_ours(server: InboundServer, account: Account, database: Database) -> None:
    local = (await accepted_mail(database, account)).path.partition("@")[0]
    domains = ["bounce.shop.example", "BOUNCE.news.shop.example", "evil.example", "shop.example", "x" * 300]

    def talk(client: smtplib.SMTP) -> list[int]:
        client.mail("")
        return [client.rcpt(f"{local}@{domain}")[0] for domain in domains]

    assert await talk_to(server.bounces, talk) == [250, 250, 550, 550, 550]


async def test_one_question_in_five_seconds_however_many_ask(account: Account, database: Database) -> None:
    now = [0.0]
    domains = ReturnPathDomains(database, lambda: now[0])
    assert await domains.has("bounce.shop.example")
    await rows_gone(database)
    assert [await domains.has(name) for name in ("bounce.shop.example", "evil.example")] == [True, False]
    now[0] = KEEP_SECONDS
    assert not await domains.has("bounce.shop.example")


async def rows_gone(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("UPDATE domains SET return_path_domain = 'other.example'")
    assert await rows(database, "SELECT DISTINCT return_path_domain FROM domains") == [("other.example",)]
