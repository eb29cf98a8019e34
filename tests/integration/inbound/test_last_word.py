"""Complaints and their withdrawals: what stands in the end is what the person said last, about each of their mails."""

from datetime import UTC, datetime

import pytest

from core.queues import Lane
from messages.timeline import EventKind
from outcomes.judging import WAIT_FOR_COMPLAINT
from outcomes.late import find_message
from outcomes.reports import ReportTools, sweep
from store.database import Database
from suppression.removing import Remover, remove_subjects
from tests.integration.inbound.conftest import Account, accepted_mail, delivered_mail, ended, later, rows
from tests.integration.inbound.test_desks import received, results
from tests.integration.inbound.test_floods import complaint

pytestmark = pytest.mark.timeout(60)

JANA = "jana@firma.example"
LISTED = "SELECT reason, source_id FROM suppressions"


async def test_one_complaint_taken_back_leaves_the_other(
    account: Account, database: Database, tools: ReportTools
) -> None:
    """The entry names the first of two: it went with that one, and the second was on no list."""
    first, second = [await delivered_mail(database, account, Lane.MARKETING) for _ in range(2)]
    for number, (mail, kind) in enumerate([(first, "abuse"), (second, "abuse"), (first, "not-spam")]):
        await received(database, complaint(mail, kind, number))
        await sweep(tools)
    assert await rows(database, LISTED) == [("complaint", second.ref.email_id)]
    assert await rows(database, "SELECT ended, source_id FROM suppression_history") == [
        ("replaced", first.ref.email_id)
    ]

    await received(database, complaint(second, "not-spam", 3))
    await sweep(tools)
    assert await rows(database, LISTED) == []


async def test_what_an_operator_took_away_does_not_come_back(
    account: Account, database: Database, tools: ReportTools
) -> None:
    first, second = [await delivered_mail(database, account, Lane.MARKETING) for _ in range(2)]
    await received(database, complaint(second, "abuse", 0))
    await sweep(tools)
    async with database.transaction() as connection:
        await remove_subjects(connection, [JANA], Remover("an operator", None, "wrote to us"))
    for number, kind in enumerate(["abuse", "not-spam"]):
        await received(database, complaint(first, kind, 1 + number))
        await sweep(tools)
    assert await rows(database, LISTED) == []


async def test_a_complaint_about_other_mail_holds_no_entry(
    account: Account, database: Database, tools: ReportTools
) -> None:
    """A complaint about marketing mail is an entry of its own; the one about a receipt may go."""
    receipt = await delivered_mail(database, account)
    news = await delivered_mail(database, account, Lane.MARKETING)
    for number, (mail, kind) in enumerate([(receipt, "abuse"), (news, "abuse"), (receipt, "not-spam")]):
        await received(database, complaint(mail, kind, number))
        await sweep(tools)
    assert await rows(database, LISTED) == [("complaint", news.ref.email_id)]


async def test_not_spam_that_overtakes_a_waiting_complaint_waits_for_it(
    account: Account, database: Database, tools: ReportTools
) -> None:
    """It was ignored, and then the complaint held for ever."""
    mail = await accepted_mail(database, account, Lane.MARKETING)
    await received(database, complaint(mail, "abuse", 0))
    await sweep(tools)
    await ended(database, mail, EventKind.DELIVERED, Lane.MARKETING)
    await received(database, complaint(mail, "not-spam", 1))
    await sweep(tools)
    assert await results(database) == [None, None]

    await rows(database, "UPDATE inbound_mail SET due_at = now() RETURNING 1")
    await sweep(tools)
    assert await results(database) == ["complained", "withdrawn"]
    assert await rows(database, LISTED) == []


async def test_not_spam_without_a_complaint_waits_no_longer_than_one_would(
    account: Account, database: Database, tools: ReportTools
) -> None:
    mail = await delivered_mail(database, account, Lane.MARKETING)
    await received(database, complaint(mail, "not-spam", 1))
    await sweep(later(tools, datetime.now(UTC) + WAIT_FOR_COMPLAINT))
    assert await results(database) == ["ignored"]


@pytest.mark.parametrize("batches", [1, 3])
async def test_reports_with_one_message_id_are_each_heard(
    account: Account, database: Database, tools: ReportTools, batches: int
) -> None:
    """Some systems name all reports about a mail alike; the second complaint passed for the first."""
    mail = await delivered_mail(database, account, Lane.MARKETING)
    for number, kind in enumerate(["abuse", "abuse", "not-spam", "not-spam", "abuse", "abuse"]):
        await received(database, complaint(mail, kind, 0))
        if number % (6 // batches) == 6 // batches - 1:
            await sweep(tools)
    assert await results(database) == ["complained", "repeated", "withdrawn", "repeated", "complained", "repeated"]
    assert await rows(database, LISTED) == [("complaint", mail.ref.email_id)]


@pytest.mark.parametrize("order", [("not-spam", "abuse"), ("abuse", "not-spam"), ("not-spam", "abuse", "abuse")])
async def test_the_order_of_arrival_does_not_matter(
    account: Account, database: Database, tools: ReportTools, order: tuple[str, ...]
) -> None:
    """Nobody takes back what they have not said: the complaint was on its way. All are received at one time, and what
    is read back later says what was decided."""
    mail = await delivered_mail(database, account, Lane.MARKETING)
    await received(database, *(complaint(mail, kind, number) for number, kind in enumerate(order)))
    for _ in range(2):
        await rows(database, "UPDATE inbound_mail SET due_at = now() RETURNING 1")
        await sweep(tools)
    assert await rows(database, LISTED) == []
    async with database.connection() as connection:
        known = await find_message(connection, mail.ref)
    words = await rows(database, "SELECT count(*), count(DISTINCT at) FROM events WHERE kind <> 'delivered'")
    assert words == [(2, 2)]
    assert known is not None
    assert not known.complained
