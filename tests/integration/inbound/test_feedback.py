"""From a report on the wire to state, event, suppression and counters in the real database."""

import asyncio
import smtplib
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from core.queues import Lane
from core.settings import Settings
from messages.timeline import EventKind
from mta.inbound_reports import ReceivedMail
from outcomes.inbound import KEPT, forget_inbound, store_inbound
from outcomes.reports import WAIT_FOR_OUTCOME, ReportTools, Result, Sweeper, sweep, work_through
from store.database import Database, DatabaseUnavailableError
from tests.databases import cut_off_at
from tests.integration.inbound.conftest import (
    Account,
    SentMail,
    accepted_mail,
    delivered_mail,
    ended,
    later,
    offer,
    rows,
    talk_to,
    waiting_backend,
)
from tests.integration.webhooks.outbox import make_endpoint
from tests.integration.webhooks.outbox import told as heard
from tests.unit.mta.bounce_corpus import CORPUS
from tests.unit.mta.no_bounce_corpus import ARF_ABUSE
from workers.inbound import InboundServer, start

pytestmark = pytest.mark.timeout(60)


async def _received(database: Database, mail: SentMail, name: str) -> UUID:
    """A mail of the corpus at the message's return path, stored."""
    async with database.transaction() as connection:
        [identifier] = await store_inbound(connection, [ReceivedMail(mail.path, CORPUS[name].data)])
    return identifier


async def _state(database: Database, mail: SentMail) -> str:
    [(state,)] = await rows(database, "SELECT state FROM messages WHERE email_id = %s", mail.ref.email_id)
    return str(state)


async def _kinds(database: Database, mail: SentMail) -> list[str]:
    found = await rows(database, "SELECT kind FROM events WHERE email_id = %s ORDER BY at", mail.ref.email_id)
    return [str(kind) for (kind,) in found]


_SUPPRESSIONS = "SELECT address, scope, reason, source FROM suppressions"
_JANA = ("jana@firma.example", "all", "hard_bounce", "bounce_report")


async def test_a_late_bounce_from_the_wire_to_the_list(
    server: InboundServer, account: Account, database: Database, tools: ReportTools
) -> None:
    mail = await delivered_mail(database, account)
    raw = CORPUS["postfix, unknown user"].data
    code, _ = await talk_to(server.bounces, lambda client: offer(client, "", [mail.path], raw))
    assert code == 250
    [(identifier, stored)] = await rows(database, "SELECT id, raw FROM inbound_mail")
    assert stored == raw
    assert isinstance(identifier, UUID)
    assert await work_through(identifier, tools) is Result.BOUNCED
    assert await _state(database, mail) == "bounced"
    assert await rows(database, _SUPPRESSIONS) == [_JANA]
    [event] = await rows(
        database,
        "SELECT ip, provider, mx, code, enhanced, class, rule IS NOT NULL, reply, detail FROM events"
        " WHERE kind = 'bounced'",
    )
    assert event[:7] == ("192.0.2.7", "gmail", "store.firma.example", 550, "5.1.1", "invalid_recipient", True)
    assert "User unknown" in str(event[7])
    assert "mx1.firma.example" in str(event[8])
    counted = await rows(
        database, "SELECT outcome, provider, ip, n FROM outcome_counts WHERE outcome <> 'accepted' ORDER BY outcome"
    )
    assert counted == [("delivered", "gmail", "192.0.2.7", 1), ("late_bounced", "gmail", "192.0.2.7", 1)]


async def test_the_same_row_twice_and_the_same_report_twice(
    account: Account, database: Database, tools: ReportTools
) -> None:
    mail = await delivered_mail(database, account)
    first = await _received(database, mail, "postfix, unknown user")
    at_once = await asyncio.gather(*(work_through(first, tools) for _ in range(4)))
    assert sorted(map(str, at_once)) == ["None", "None", "None", "bounced"]
    assert await work_through(first, tools) is None
    second = await _received(database, mail, "postfix, unknown user")
    assert await work_through(second, tools) is Result.REPEATED
    assert await _kinds(database, mail) == ["delivered", "bounced"]
    assert await rows(database, "SELECT result FROM inbound_mail ORDER BY id") == [("bounced",), ("repeated",)]


@pytest.mark.parametrize("name", ["exim, with report", "appliance, one block", "expired in their queue"])
async def test_a_bounce_that_says_nothing_about_the_mailbox(
    account: Account, database: Database, tools: ReportTools, name: str
) -> None:
    mail = await delivered_mail(database, account)
    assert await work_through(await _received(database, mail, name), tools) is Result.BOUNCED
    assert await rows(database, _SUPPRESSIONS) == []


async def test_behind_a_forwarding_the_dead_mailbox_is_another(
    account: Account, database: Database, tools: ReportTools
) -> None:
    mail = await delivered_mail(database, account, to="jana@forwarder.example")
    assert await work_through(await _received(database, mail, "postfix, unknown user"), tools) is Result.BOUNCED
    assert await rows(database, _SUPPRESSIONS) == []


async def test_a_report_that_overtakes_the_outcome_waits_for_it(
    account: Account, database: Database, tools: ReportTools
) -> None:
    mail = await accepted_mail(database, account)
    identifier = await _received(database, mail, "postfix, unknown user")
    assert await work_through(identifier, tools) is None
    assert await _kinds(database, mail) == []
    await ended(database, mail, EventKind.DELIVERED)
    assert await sweep(tools) == 0, "it is looked at again after a while"
    await rows(database, "UPDATE inbound_mail SET due_at = now() RETURNING 1")
    assert await sweep(tools) == 1
    assert await _state(database, mail) == "bounced"


async def test_a_complaint_that_overtakes_the_delivery_counts_for_its_provider(
    account: Account, database: Database, tools: ReportTools
) -> None:
    mail = await accepted_mail(database, account)
    raw = ARF_ABUSE.lstrip().replace("b+token@bounce.shop.example", mail.path).encode()
    async with database.transaction() as connection:
        (identifier,) = await store_inbound(connection, [ReceivedMail(mail.path, raw)])
    assert await work_through(identifier, tools) is None
    await ended(database, mail, EventKind.DELIVERED)
    await rows(database, "UPDATE inbound_mail SET due_at = now() RETURNING 1")
    assert await sweep(tools) == 1
    assert set(await _kinds(database, mail)) == {"delivered", "complained"}
    counted = "SELECT count(DISTINCT (provider, ip)) FROM outcome_counts WHERE outcome IN ('delivered', 'complained')"
    assert await rows(database, counted) == [(1,)]


async def test_a_message_that_stays_under_way_is_not_ended(
    account: Account, database: Database, tools: ReportTools
) -> None:
    mail = await accepted_mail(database, account)
    identifier = await _received(database, mail, "postfix, unknown user")
    after = later(tools, datetime.now(UTC) + WAIT_FOR_OUTCOME + timedelta(seconds=1))
    assert await work_through(identifier, after) is Result.NOTED
    assert await _state(database, mail) == "queued"
    assert await rows(database, "SELECT count(*) FROM delivery_queue") == [(1,)]
    assert await _kinds(database, mail) == ["bounced"]
    assert await rows(database, _SUPPRESSIONS) == [_JANA]
    assert await rows(database, "SELECT n FROM outcome_counts WHERE outcome = 'late_bounced'") == []


async def test_a_delay_is_only_noted(account: Account, database: Database, tools: ReportTools) -> None:
    mail = await delivered_mail(database, account)
    assert await work_through(await _received(database, mail, "postfix, delayed"), tools) is Result.DELAYED
    assert await _state(database, mail) == "delivered"
    assert await _kinds(database, mail) == ["delivered", "delayed"]


@pytest.mark.parametrize(("lane", "scope"), [(Lane.MARKETING, "marketing"), (Lane.TRANSACTIONAL, "all")])
async def test_a_complaint(
    server: InboundServer, account: Account, database: Database, tools: ReportTools, lane: Lane, scope: str
) -> None:
    mail = await delivered_mail(database, account, lane)
    raw = ARF_ABUSE.lstrip().replace("b+token@bounce.shop.example", mail.path).encode()
    to = ["fbl@mail.shop.example"]
    for expected in (Result.COMPLAINED, Result.REPEATED):
        code, _ = await talk_to(server.bounces, lambda client: offer(client, "fbl@isp.example", to, raw))
        assert code == 250
        [(identifier,)] = await rows(database, "SELECT id FROM inbound_mail WHERE result IS NULL")
        assert await work_through(identifier, tools) is expected
    assert await rows(database, _SUPPRESSIONS) == [("jana@firma.example", scope, "complaint", "feedback_loop")]
    assert await _kinds(database, mail) == ["delivered", "complained"]
    assert await _state(database, mail) == "delivered"


@pytest.mark.parametrize("name", ["vacation", "a person", "read receipt", "not spam", "delivered"])
async def test_what_is_no_bounce_changes_nothing(
    account: Account, database: Database, tools: ReportTools, name: str
) -> None:
    mail = await delivered_mail(database, account)
    endpoint = await make_endpoint(database, account.application_id)
    waited = later(tools, datetime.now(UTC) + WAIT_FOR_OUTCOME)
    assert await work_through(await _received(database, mail, name), waited) is Result.IGNORED
    assert await _kinds(database, mail) == ["delivered"]
    events = await heard(database, endpoint)
    assert [(event["type"], event["data"]["about"]["email_id"]) for event in events] == (
        [("email.received", str(mail.ref.email_id))] if name in ("vacation", "a person", "read receipt") else []
    )


async def test_a_message_that_is_no_longer_stored(account: Account, database: Database, tools: ReportTools) -> None:
    mail = await delivered_mail(database, account)
    await rows(database, "DELETE FROM messages RETURNING 1")
    assert await work_through(await _received(database, mail, "postfix, unknown user"), tools) is Result.UNKNOWN


async def test_a_bounce_is_answered_after_its_commit_and_not_without(
    server: InboundServer, account: Account, database: Database, database_url: str
) -> None:
    mail = await delivered_mail(database, account)

    def talk(client: smtplib.SMTP) -> tuple[int, str]:
        return offer(client, "", [mail.path], CORPUS["qmail"].data)

    async with await psycopg.AsyncConnection.connect(database_url) as blocker:
        await blocker.execute("LOCK TABLE inbound_mail IN ACCESS EXCLUSIVE MODE")
        sending = asyncio.create_task(talk_to(server.bounces, talk))
        killed = await waiting_backend(database_url)
        assert not sending.done()
        await rows(database, "SELECT pg_terminate_backend(%s)", killed)
        code, text = await sending
        await blocker.rollback()
    assert (code, text[:5]) == (451, "4.3.0")
    assert await rows(database, "SELECT count(*) FROM inbound_mail") == [(0,)]


async def test_only_old_mail_is_forgotten(account: Account, database: Database) -> None:
    mail = await delivered_mail(database, account)
    old, young = await _received(database, mail, "qmail"), await _received(database, mail, "qmail")
    for identifier, age in ((old, KEPT + timedelta(hours=1)), (young, KEPT - timedelta(hours=1))):
        await rows(
            database,
            "UPDATE inbound_mail SET received_at = now() - %s WHERE id = %s RETURNING 1",
            age,
            identifier,
        )
    async with database.connection() as connection:
        assert await forget_inbound(connection) == 1
    assert await rows(database, "SELECT id FROM inbound_mail") == [(young,)]


async def test_one_mail_that_brings_a_bug_to_light_does_not_stop_the_others(
    account: Account, database: Database, tools: ReportTools
) -> None:
    mail, other = await delivered_mail(database, account), await delivered_mail(database, account)
    await _received(database, mail, "qmail")
    await _received(database, other, "qmail")
    await rows(
        database, "UPDATE messages SET state = 'no such state' WHERE email_id = %s RETURNING 1", mail.ref.email_id
    )
    assert await sweep(tools) == 1
    assert await _state(database, other) == "bounced"


async def test_what_the_database_broke_off_is_worked_through_as_soon_as_it_is_back(
    account: Account, database: Database, tools: ReportTools, database_url: str
) -> None:
    mail = await delivered_mail(database, account)
    await _received(database, mail, "qmail")
    sweeper = Sweeper(tools)

    async def broken_off() -> None:
        with pytest.raises(DatabaseUnavailableError):
            await sweeper.sweep()

    await cut_off_at(database_url, "messages", broken_off)
    assert await _state(database, mail) == "delivered"
    await sweeper.sweep()
    assert await _state(database, mail) == "bounced"
    assert await _kinds(database, mail) == ["delivered", "bounced"]


async def test_bounces_are_taken_while_redis_is_away(
    settings: Settings, account: Account, database: Database, tools: ReportTools
) -> None:
    mail = await delivered_mail(database, account)
    server = await start(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    try:
        raw = CORPUS["qmail"].data
        codes = [(await talk_to(server.bounces, lambda c: offer(c, "", [mail.path], raw)))[0] for _ in range(3)]
    finally:
        await server.stop()
    assert codes == [250, 250, 250]
    assert await sweep(tools) == 3
    assert await _kinds(database, mail) == ["delivered", "bounced"]
