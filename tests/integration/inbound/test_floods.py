"""Whoever has a mail of ours can write reports about it for ever: what that may fill is bounded, nothing is lost."""

from datetime import UTC, datetime, timedelta

import pytest

from core.queues import Lane
from messages.email_figures import ask_emails
from outcomes.inbound import MOST_OF_MESSAGE, forget_inbound
from outcomes.late import MOST_HEARD, EventKind
from outcomes.reports import MOST_ANSWERS, ReportTools, sweep
from store import figures, folding
from store.database import Database
from store.figures import Question
from tests.integration.inbound.conftest import Account, SentMail, delivered_mail, rows
from tests.integration.inbound.test_desks import headers_only, kinds, received, results, token_of
from tests.integration.webhooks.outbox import make_endpoint
from tests.integration.webhooks.outbox import told as heard
from tests.unit.mta.bounce_corpus import CORPUS

pytestmark = pytest.mark.timeout(60)

DELAYED = CORPUS["postfix, delayed"].data
AWAY = CORPUS["vacation"].data


def numbered(raw: bytes, count: int) -> list[bytes]:
    """As many reports that are not the same one."""
    return [b"Message-ID: <%d@relay.example>\r\n%b" % (number, raw) for number in range(count)]


def complaint(mail: SentMail, kind: str, number: int) -> bytes:
    return headers_only(f"Postlane-Ref: {token_of(mail)}", kind).replace(b"<r1@", b"<r%d@" % number)


async def further(database: Database) -> object:
    [(count,)] = await rows(database, "SELECT sum(further) FROM inbound_mail")
    return count


async def test_many_reports_of_one_kind_are_told_a_few_times_and_counted(
    account: Account, database: Database, tools: ReportTools
) -> None:
    mail = await delivered_mail(database, account)
    most = MOST_HEARD[EventKind.DELAYED]
    await received(database, *numbered(DELAYED, MOST_OF_MESSAGE + 15), to=mail.path)
    assert await sweep(tools) == MOST_OF_MESSAGE + 15
    assert (await kinds(database, mail)).count("delayed") == most
    assert await results(database) == ["delayed"] * most + ["repeated"] * (MOST_OF_MESSAGE - most)
    assert await further(database) == 15

    await received(database, CORPUS["postfix, unknown user"].data, to=mail.path)
    assert await sweep(tools) == 1
    assert (await results(database))[-1] == "bounced", "what changes something is heard however much came before"


async def test_the_same_report_twice_counts_once(account: Account, database: Database, tools: ReportTools) -> None:
    """In one batch and in two; the same bytes, and the same Message-ID."""
    mail, other = await delivered_mail(database, account), await delivered_mail(database, account)
    await received(database, DELAYED, DELAYED, to=mail.path)
    (first,) = numbered(DELAYED, 1)
    await received(database, first, first.replace(b"\r\nFrom:", b"\r\nReceived: by x.example\r\nFrom:"), to=other.path)
    assert await sweep(tools) == 4
    await received(database, DELAYED, to=mail.path)
    assert await sweep(tools) == 1
    assert await results(database) == ["delayed", "repeated"] * 2 + ["repeated"]
    for one in (mail, other):
        assert await kinds(database, one) == ["delivered", "delayed"]


async def test_complaints_to_and_fro_end_with_one_that_stands(
    account: Account, database: Database, tools: ReportTools
) -> None:
    mail = await delivered_mail(database, account, Lane.MARKETING)
    told = [complaint(mail, kind, number) for number in range(6) for kind in ("abuse", "not-spam")]
    await received(database, *told)
    assert await sweep(tools) == len(told)
    to_and_fro = ["complained", "complaint_withdrawn"] * MOST_HEARD[EventKind.COMPLAINT_WITHDRAWN]
    found = await kinds(database, mail)
    assert sorted(map(str, found)) == sorted(["delivered", *to_and_fro, "complained"])
    assert await rows(database, "SELECT reason FROM suppressions") == [("complaint",)]
    assert await rows(database, "SELECT sum(n)::int FROM outcome_counts WHERE outcome = 'complained'") == [(1,)]


async def test_a_complaint_that_is_taken_back_is_out_of_the_hour_it_came_in(
    account: Account, database: Database, tools: ReportTools
) -> None:
    """For whoever judges by hours, for reports, and for the figures of the mail itself."""
    mail = await delivered_mail(database, account, Lane.MARKETING)
    await received(database, complaint(mail, "abuse", 1))
    long_ago = datetime.now(UTC) - timedelta(hours=5)
    await rows(database, "UPDATE inbound_mail SET received_at = %s RETURNING 1", long_ago)
    await sweep(tools)
    by_hour = "SELECT hour <= %s, n::int FROM outcome_counts WHERE outcome = 'complained'"
    assert await rows(database, by_hour, long_ago) == [(True, 1)]

    await received(database, complaint(mail, "not-spam", 2))
    await sweep(tools)
    assert await rows(database, by_hour, long_ago) == [(True, 0)]
    await folding.fold(database)
    question = Question(long_ago - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1))
    async with database.connection() as connection:
        reported = (await figures.ask(connection, question)).totals
        own = await ask_emails(connection, question, account.application_id, [mail.ref.email_id], each=False)
    for tally in (reported, own.totals):
        assert (tally.measures()["complained"], tally.measures()["complaint_withdrawn"]) == (0, 1)


async def test_an_application_is_told_of_a_few_answers(
    account: Account, database: Database, tools: ReportTools
) -> None:
    mail = await delivered_mail(database, account)
    endpoint = await make_endpoint(database, account.application_id)
    for part in range(2):
        await received(database, *numbered(b"X-Turn: %d\r\n" % part + AWAY, MOST_ANSWERS), to=mail.path)
        await received(database, *numbered(AWAY.replace(b"Message-ID", b"X-Id"), 3 * part), to=mail.path)
        await sweep(tools)
    assert len(await heard(database, endpoint)) == MOST_ANSWERS


async def test_what_came_first_makes_room(account: Account, database: Database, tools: ReportTools) -> None:
    """By bytes; what waits stays."""
    mail = await delivered_mail(database, account)
    await received(database, b"x" * 100_000, b"y" * 100_000, DELAYED, to=mail.path)
    await sweep(tools)
    await received(database, b"z" * 100_000, to=mail.path)
    async with database.connection() as connection:
        assert await forget_inbound(connection, 10_000_000) == 0
        assert await forget_inbound(connection, 50_000) == 2
    assert await results(database) == ["delayed", None]
