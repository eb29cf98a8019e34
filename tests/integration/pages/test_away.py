"""Somebody leaves while PostgreSQL is away or slow: they are told that nothing was changed, or their choice is kept."""

import asyncio
import time

import psycopg

from tests.integration.messages.emails import rows
from tests.integration.pages.conftest import Reader
from tests.servers import TestServers, disconnect_all

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


async def test_who_leaves_while_postgresql_is_away_is_told_that_nothing_was_changed(
    reader: Reader, database_url: str, servers: TestServers
) -> None:
    """A mailbox provider by one click, and she herself by the button: 503, never a yes that nobody has written down."""
    name = database_url.split("?")[0].rsplit("/", 1)[1]
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false'.encode())
        disconnect_all(admin, name)
        clicked, pressed = await asyncio.gather(
            reader.client.post(reader.link(None), data=ONE_CLICK), reader.press("leave", reader.link(None))
        )
        admin.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true'.encode())
    for answer in (clicked, pressed):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "nothing was changed" in answer.text

    deadline = time.monotonic() + 20
    while (again := await reader.client.post(reader.link(None), data=ONE_CLICK)).status_code == 503:
        assert time.monotonic() < deadline
    assert again.status_code == 200
    assert len(await rows(reader.database, "SELECT 1 FROM suppressions WHERE address = 'ann@example.com'")) == 1


async def test_who_leaves_while_postgresql_is_slow_is_answered_when_it_is_written_down(
    reader: Reader, database_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("LOCK TABLE suppressions IN ACCESS EXCLUSIVE MODE")
        leaving = asyncio.ensure_future(reader.client.post(reader.link(None), data=ONE_CLICK))
        await asyncio.sleep(0.5)
        assert not leaving.done()
        await holder.rollback()
        answer = await leaving

    assert answer.status_code == 200
    assert len(await rows(reader.database, "SELECT 1 FROM suppressions WHERE address = 'ann@example.com'")) == 1
