"""Every page with a month of mail behind it: it is there, it shows what it was asked for, and it weighs 40 KB at most.

The pages are those that the benchmark measures with millions of messages, on the same data, of which there is little
here: lists are as long as they get on one page.
"""

import psycopg
import pytest

from bench import databases, mail, month
from bench.databases import BenchDatabase
from bench.looks import of_admin
from bench.month import Sizes
from bench.rows import MailRows, add_suppressions
from bench.stored_beside import Beside
from core.secrets import InstanceSecret
from store.database import Database
from tests.integration.console.conftest import SECRET, Person

BUDGET = 40 * 1024
"""Bytes of HTML of one page, as docs/console.md has it."""
SIZES = Sizes(messages=2_000, domains=60, days=2, tags=5)


@pytest.fixture
async def stored(database: Database, database_url: str) -> Beside:
    """A month of an installation, in small."""
    async with database.transaction() as connection:
        tenant = await databases.seed(connection, InstanceSecret.from_text(SECRET))
    with psycopg.connect(database_url, autocommit=True) as connection:
        contents = databases.add_contents(connection)
        add_suppressions(connection, 300, (mail.BULK_ZONE, 20), lambda _: None)
    rows = MailRows(tenant.application, tenant.domain, mail.SENDER_DOMAIN, contents, mail.BULK_ZONE, 20)
    return await month.fill(database, BenchDatabase("", database_url, rows), SIZES, SECRET, lambda _: None)


async def test_every_page_shows_what_it_was_asked_for_within_its_budget(
    stored: Beside, admin: Person, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        looks = [*of_admin(connection, stored)]
    weights: dict[str, int] = {}
    wrong: list[tuple[str, int]] = []
    for look in looks:
        answer = await admin.get(look.path)
        wrong += [] if answer.status_code == 200 and look.is_in(answer.text) else [(look.path, answer.status_code)]
        weights[look.name] = len(answer.content)

    assert len(weights) > 100
    assert wrong == [], wrong
    assert {name: weight for name, weight in weights.items() if weight > BUDGET} == {}
