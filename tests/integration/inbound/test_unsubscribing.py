"""Unsubscribing by a mail: taken in at the signed address, worked off once, with or without the link in its subject."""

import smtplib
from typing import Any
from uuid import UUID

import pytest

from audience.choices import Person
from audience.links import LinkSeal, MailLink
from audience.topics import default_of
from core.ids import uuid7
from core.queues import Lane
from core.secrets import InstanceSecret
from messages import choosing
from messages.choosing import Standing
from messages.model import NewEmail
from mta import return_path
from outcomes.reports import ReportTools, Result, work_through
from store.database import Database
from tests.integration.inbound.conftest import SECRET, Account, rows, talk_to
from tests.integration.messages.emails import make_partitions, new_email, store
from workers.inbound import InboundServer

pytestmark = pytest.mark.timeout(60)

OURS = InstanceSecret.from_text(SECRET)
ANN = "ann@example.com"


async def newsletter(database: Database, account: Account, **changes: Any) -> NewEmail:
    await make_partitions(database)
    async with database.connection() as connection:
        topic = await default_of(connection, account.application_id)
    facts = {"application_id": account.application_id, "domain_id": account.domain_id, "lane": Lane.MARKETING}
    email = new_email(ANN, **{**facts, "topic_id": topic, **changes})
    await store(database, email)
    return email


def address(email: NewEmail) -> str:
    return return_path.unsubscribe_address(return_path.make_token(OURS, email.id, 0), "bounce.shop.example")


async def send(server: InboundServer, to: str, subject: str) -> int:
    """Bring a mail as somebody's server does; the code of the answer."""

    def talk(client: smtplib.SMTP) -> int:
        client.mail(ANN)
        code = client.rcpt(to)[0]
        return (
            client.data(f"From: {ANN}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nBye\r\n".encode())[0]
            if code == 250
            else code
        )

    return await talk_to(server.bounces, talk)


async def worked_off(database: Database, tools: ReportTools) -> list[Result | None]:
    waiting = await rows(database, "SELECT id FROM inbound_mail WHERE result IS NULL ORDER BY id")
    return [await work_through(UUID(str(identifier)), tools) for (identifier,) in waiting]


async def stands(database: Database, account: Account) -> Standing:
    async with database.connection() as connection:
        return await choosing.standing(connection, Person(account.application_id, ANN))


@pytest.mark.parametrize("subject", ["unsubscribe", "", "Re: LINK", "LINK", "LI NK"])
async def test_a_mail_to_the_address_leaves_the_topic(
    server: InboundServer, database: Database, account: Account, tools: ReportTools, subject: str
) -> None:
    email = await newsletter(database, account)
    link = LinkSeal(OURS).seal(MailLink(account.application_id, email.topic_id, email.id, 0, ANN))
    spelt = subject.replace("LINK", link).replace("LI NK", f"{link[:60]}\r\n {link[60:]}")

    assert await send(server, address(email).upper(), spelt) == 250
    assert await worked_off(database, tools) == [Result.UNSUBSCRIBED]
    assert [one.subscribed for one in (await stands(database, account)).preferences] == [False]
    assert await rows(database, "SELECT source, ip, email_id FROM choice_history") == [("mailto", None, email.id)]
    assert await rows(database, "SELECT kind FROM events") == [("unsubscribed",)]


async def test_the_link_in_the_subject_is_enough_when_the_mail_is_forgotten(
    server: InboundServer, database: Database, account: Account, tools: ReportTools
) -> None:
    gone = new_email(ANN, id=uuid7(1))
    link = LinkSeal(OURS).seal(MailLink(account.application_id, None, gone.id, 0, ANN))

    assert await send(server, address(gone), link) == 250
    assert await worked_off(database, tools) == [Result.UNSUBSCRIBED]
    assert (await stands(database, account)).off


@pytest.mark.parametrize("lane", [Lane.TRANSACTIONAL, None])
async def test_what_nobody_can_leave_changes_nothing(
    server: InboundServer, database: Database, account: Account, tools: ReportTools, lane: Lane | None
) -> None:
    email = await newsletter(database, account, lane=lane) if lane else new_email(ANN, id=uuid7(1))

    assert await send(server, address(email), "unsubscribe") == 250
    assert await worked_off(database, tools) == [Result.UNKNOWN]
    assert await rows(database, "SELECT 1 FROM choice_history") == []


async def test_a_forged_address_is_refused(server: InboundServer, database: Database, account: Account) -> None:
    local, _, domain = address(await newsletter(database, account)).partition("@")
    other = "b" if local[-9] == "a" else "a"  # not the last: bits of it say nothing
    strange = [
        f"{local[:-9]}{other}{local[-8:]}@{domain}",
        f"unsubscribe+@{domain}",
        f"unsubscribe@{domain}",
        f"{local}@evil.example",
    ]

    assert [await send(server, to, "unsubscribe") for to in strange] == [550] * 4
