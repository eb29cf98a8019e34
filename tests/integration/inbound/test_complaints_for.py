"""`POSTLANE_COMPLAINTS_FOR`: whose mail a complaint forbids, from the setting to the claim."""

from datetime import timedelta
from uuid import UUID

import pytest

from core.ids import uuid7
from core.queues import Lane
from core.settings import Settings
from messages.claim import claim
from outcomes.reports import ReportTools, sweep
from store.database import Database
from tests.integration.inbound.conftest import Account, delivered_mail, rows
from tests.integration.inbound.test_desks import headers_only, received, results, token_of
from tests.integration.messages.emails import APPLICATION, new_email, store
from workers.background import report_tools

pytestmark = pytest.mark.timeout(60)


async def forbidden(database: Database, application_id: UUID, lane: Lane, to: str) -> bool:
    """Whether the claim forbids a mail of this application."""
    await store(database, new_email(to, application_id=application_id, lane=lane))
    async with database.connection() as connection:
        (taken,), _ = await claim(connection, lane, [to.rpartition("@")[2]], uuid7(), 10, timedelta(seconds=60))
        await connection.execute("DELETE FROM delivery_queue")
    return taken.suppressed is not None


@pytest.mark.parametrize(
    ("whose", "scope", "by_others"),
    [("everybody", "marketing", True), ("application", "{application} marketing", False)],
)
async def test_a_setting_says_whose_mail_a_complaint_forbids(
    account: Account, database: Database, tools: ReportTools, settings: Settings, whose: str, scope: str,
    by_others: bool,
) -> None:  # fmt: skip
    tools = report_tools(settings.model_copy(update={"complaints_for": whose}), database, tools.secret, tools.txt)
    own, to = account.application_id, "ann@x.example"
    mail = await delivered_mail(database, account, Lane.MARKETING, to)
    await received(database, headers_only(f"Postlane-Ref: {token_of(mail)}"))
    assert await sweep(tools) == 1
    listed = "SELECT address, scope, reason FROM suppressions"
    assert await rows(database, listed) == [(to, scope.format(application=own), "complaint")]
    asked = [(own, Lane.MARKETING), (own, Lane.TRANSACTIONAL), (APPLICATION, Lane.MARKETING)]
    assert [await forbidden(database, *one, to) for one in asked] == [True, False, by_others]

    await received(database, headers_only(f"Postlane-Ref: {token_of(mail)}", "not-spam"))
    assert await sweep(tools) == 1
    assert (await results(database))[-1] == "withdrawn"
    assert await rows(database, listed) == []
    assert not await forbidden(database, own, Lane.MARKETING, to)
