"""Complaints and their withdrawals: what stands in the end is what the person said last, about each of their mails."""

import pytest

from core.queues import Lane
from outcomes.reports import ReportTools, sweep
from store.database import Database
from suppression.removing import Remover, remove_subjects
from tests.integration.inbound.conftest import Account, delivered_mail, rows
from tests.integration.inbound.test_desks import received
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
