"""An application with keys and domains, and the inbound server on free ports in the test's own loop."""

import asyncio
import os
import shutil
import smtplib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretStr

from accounts.repository import KeyRequest, create_application, create_key
from core.clock import SystemClock
from core.ids import uuid7
from core.queues import Lane
from core.secrets import InstanceSecret
from core.settings import Settings
from messages.accept import write_emails
from messages.model import MessageRef, NewEmail, Recipient
from messages.states import State
from messages.timeline import EventKind
from mta import return_path
from mta.inbound_server import Listener
from mta.rule_book import RuleBook
from outcomes.kinds import AttemptFacts, Outcome
from outcomes.record import record
from outcomes.reports import ReportTools
from store.database import Database
from workers.inbound import InboundServer, start

# They come with packages that take root to install, and Postfix takes root to start: where there is neither, the
# clients of test_foreign_clients.py are the proof.
collect_ignore = [
    *([] if os.geteuid() == 0 or shutil.which("swaks") else ["test_swaks.py"]),
    *([] if os.geteuid() == 0 else ["test_postfix.py"]),
]

SECRET = "5e" * 32
T = TypeVar("T")


@dataclass(frozen=True)
class Account:
    """Who sends in these tests."""

    application_id: UUID
    domain_id: UUID
    key: str
    """May send from shop.example."""
    bound_key: str
    """The same application's, for news.shop.example only."""


@pytest.fixture
async def account(database: Database) -> Account:
    async with database.transaction() as connection:
        application = await create_application(connection, "shop")
        assert application is not None
        ids = []
        for name, status in (
            ("shop.example", "verified"),
            ("news.shop.example", "verified"),
            ("new.example", "pending"),
        ):
            ids.append(uuid7())
            await connection.execute(
                "INSERT INTO domains (id, application_id, name, return_path_domain, status)"
                " VALUES (%s, %s, %s, %s, %s)",
                [ids[-1], application.id, name, f"bounce.{name}", status],
            )
        await connection.execute("INSERT INTO pools (id, name, lane) VALUES (%s, 'bulk', 'marketing')", [uuid7()])
        _, key = await create_key(connection, KeyRequest(application.id, "all"))
        _, bound = await create_key(connection, KeyRequest(application.id, "news", "sending_access", ids[1]))
    return Account(application.id, ids[0], key, bound)


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=database_url,
        redis_url=redis_url,
        data_dir=tmp_path,
        secret=SecretStr(SECRET),
        hostname="mail.shop.example",
        database_pool_size=4,
        max_message_bytes=200_000,
        inbound_port=0,
        submission_port=0,
        submissions_port=0,
    )


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[InboundServer]:
    running = await start(settings)
    yield running
    await running.stop()


@pytest.fixture
def tools(database: Database) -> ReportTools:
    return ReportTools(database, InstanceSecret.from_text(SECRET), RuleBook(None, ()), SystemClock())


async def talk_to(listener: Listener, talk: Callable[[smtplib.SMTP], T]) -> T:
    """Run a blocking client in a thread."""

    def connect_and_talk() -> T:
        client = smtplib.SMTP("127.0.0.1", listener.port, timeout=20)
        try:
            client.ehlo()
            return talk(client)
        finally:
            client.close()

    return await asyncio.to_thread(connect_and_talk)


def offer(client: smtplib.SMTP, sender: str, to: list[str], content: bytes) -> tuple[int, str]:
    """One mail; the reply to its content, or to the first command that was refused."""
    for code, text in (client.mail(sender), *(client.rcpt(address) for address in to)):
        if code != 250:
            client.rset()
            return code, text.decode()
    code, text = client.data(content)
    return code, text.decode()


async def rows(database: Database, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    async with database.connection() as connection:
        cursor = await connection.execute(statement.encode(), parameters)
        return await cursor.fetchall()


async def waiting_backend(database_url: str) -> int:
    """The server process of the inbound listener that waits for a lock, as soon as there is one."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        while True:
            cursor = await connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'postlane-inbound'"
                " AND wait_event_type = 'Lock' AND datname = current_database()"
            )
            row = await cursor.fetchone()
            if row is not None:
                return int(row[0])
            await asyncio.sleep(0.02)


@dataclass(frozen=True)
class SentMail:
    """A message of the past."""

    ref: MessageRef
    path: str
    """Its signed return path."""


async def accepted_mail(
    database: Database, account: Account, lane: Lane = Lane.TRANSACTIONAL, to: str = "jana@firma.example"
) -> SentMail:
    """A message that waits in the queue."""
    email = NewEmail(
        id=uuid7(),
        application_id=account.application_id,
        domain_id=account.domain_id,
        lane=lane,
        created_at=datetime.now(UTC),
        message_id="<1@shop.example>",
        sender="orders@shop.example",
        subject="Your order",
        recipients=(Recipient(to, to, to.rpartition("@")[2], "to"),),
        to=(to,),
        text="Hello",
    )
    async with database.transaction() as connection:
        await write_emails(connection, [email])
    path = return_path.make(InstanceSecret.from_text(SECRET), email.id, 0, "bounce.shop.example")
    return SentMail(MessageRef(email.id, 0), path)


async def ended(database: Database, mail: SentMail, kind: EventKind, lane: Lane = Lane.TRANSACTIONAL) -> None:
    """Record the message's end as a worker does."""
    facts = AttemptFacts(
        "192.0.2.7", "gmail", "mx.firma.example", "", "dot", 250, "2.0.0", "ok", "delivered", "accepted", "message",
        "accepted", 5,
    )  # fmt: skip
    outcome = Outcome(
        mail.ref, "jana@firma.example", lane, datetime.now(UTC), kind, State(kind.value), 1, uuid7(), facts
    )
    async with database.transaction() as connection:
        recorded = await record(connection, [outcome])
    assert recorded.ended == 1


async def delivered_mail(
    database: Database, account: Account, lane: Lane = Lane.TRANSACTIONAL, to: str = "jana@firma.example"
) -> SentMail:
    """A message that its remote server took, through 192.0.2.7 at the provider gmail."""
    mail = await accepted_mail(database, account, lane, to)
    await ended(database, mail, EventKind.DELIVERED, lane)
    return mail


def later(tools: ReportTools, moment: datetime) -> ReportTools:
    """The same tools at another time."""

    class Fixed:
        def now(self) -> datetime:
            return moment

    return replace(tools, clock=Fixed())
