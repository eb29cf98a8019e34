"""Few emails and many are written in two ways, and stand in the tables as if there were one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import _queries

from core.ids import uuid7
from core.queues import Lane
from messages import storing
from messages.model import NewEmail
from mta.model import Attachment
from store.database import Database
from tests.integration.messages.emails import execute, new_email, rows

TABLES = ("emails", "contents", "attachments", "messages", "delivery_queue")


async def stored(database: Database, emails: list[NewEmail]) -> dict[str, list[Any]]:
    """What the tables hold once they are written; empty again afterwards."""
    async with database.transaction() as connection:
        await storing.store(connection, emails, [email.topic_id for email in emails])
    found = {table: [row for (row,) in await rows(database, f"SELECT {table}::text FROM {table}")] for table in TABLES}
    await execute(database, f"TRUNCATE {', '.join(TABLES)}")
    return {table: sorted(its) for table, its in found.items()}


def every_kind() -> list[NewEmail]:
    at, one = datetime.now(UTC) + timedelta(days=1), uuid7()
    full = new_email(
        "Ann@Example.com",
        "bob@other.example",
        lane=Lane.MARKETING,
        subject='Ein "Gruß", \\ und {mehr}',
        to=('"Ann, \\"A\\"" <Ann@Example.com>', "NULL"),
        cc=("{bob@other.example}",),
        bcc=("c@x.example", "d,e@x.example"),
        reply_to=("f@x.example",),
        html="<p>Grüße</p>",
        headers=(("X-One", '"1"'), ("X-Two", "2")),
        attachments=(Attachment("a.pdf", "application/pdf", b"\x00\xff", "cid1"), Attachment("b", "text/plain", b"")),
        tags=(("campaign", "may"),),
        pool_id=one,
        scheduled_at=at,
        expires_at=at + timedelta(hours=1),
        topic_id=one,
        open_tracking=True,
        click_tracking=False,
        capture=True,
        campaign_id=one,
        contact_id=one,
        engaged_at=at,
        template_id=one,
    )
    raw = new_email(raw=b"Subject: \xff\r\n\r\n\0", text=None)
    return [full, raw, new_email(), replace(new_email(), content_id=full.id)]


async def test_both_ways_write_the_same(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    emails = every_kind()
    few = await stored(database, emails)
    monkeypatch.setattr(storing, "FEW", 0)
    many = await stored(database, emails)

    assert {table: len(its) for table, its in few.items()} == {
        "emails": 4, "contents": 3, "attachments": 2, "messages": 5, "delivery_queue": 5,
    }  # fmt: skip
    assert few == many


def test_the_driver_keeps_the_statement() -> None:
    """One with more parameters, or longer, is read anew each time: a tenth of what accepting a mail takes."""
    given = storing._WRITE.parameters([[]] * 4)

    assert len(given) <= _queries.MAX_CACHED_STATEMENT_PARAMS
    assert len(storing._WRITE.statement) <= _queries.MAX_CACHED_STATEMENT_LENGTH


async def test_a_large_content_is_copied(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a value of a statement the server would hold it several times."""
    monkeypatch.setattr(storing, "_WRITE", None)

    assert len((await stored(database, [new_email(text="x" * 1024 * 1024)]))["contents"]) == 1
