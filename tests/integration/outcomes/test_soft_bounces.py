"""Soft bounces through the transaction that records outcomes, and late ones through that of reports."""

from datetime import UTC, datetime, timedelta

import pytest

from core.ids import uuid7
from messages.model import MessageRef
from messages.states import State
from messages.timeline import EventKind
from mta.model import Action, Phase, Response, Scope, Verdict
from outcomes.kinds import Outcome
from outcomes.late import LateNews, find_message, record_news
from outcomes.record import record
from store.database import Database
from suppression import repository, soft_bounces
from tests.integration.messages.emails import APPLICATION, make_partitions, new_email, refs, rows, store
from tests.integration.outcomes.facts import attempt, deferral, outcome

MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)
FULL = {"code": 552, "enhanced": "5.2.2", "reply": "mailbox full", "action": "bounce", "phase": "rcpt"}
FULL_FACTS = attempt(**FULL, klass="mailbox_full", scope="recipient", rule="full")
SPAM_FACTS = attempt(code=554, reply="spam", action="block", klass="spam_content", scope="message", rule="spam")


@pytest.fixture(autouse=True)
async def _partitions(database: Database) -> None:
    await make_partitions(database)


async def sent(database: Database) -> MessageRef:
    email = new_email("user@example.com")
    await store(database, email)
    (ref,) = refs(email)
    return ref


def bounced(ref: MessageRef, day: float, facts: object = FULL_FACTS) -> Outcome:
    return outcome(ref, State.BOUNCED, attempt=facts, at=MONDAY + timedelta(days=day))


async def tell(database: Database, *outcomes: Outcome) -> None:
    async with database.transaction() as connection:
        await record(connection, outcomes)


async def counted(database: Database) -> list[int]:
    return [n for (n,) in await rows(database, "SELECT count FROM soft_bounces WHERE delivered_at IS NULL")]


async def test_a_mailbox_that_is_full_for_days_is_suppressed_for_a_while(database: Database) -> None:
    last = None
    for day in (0, 0, 1, 1, 2):
        last = await sent(database)
        await tell(database, bounced(last, day))
    async with database.connection() as connection:
        (entry,) = await repository.about(connection, "user@example.com")

    assert (entry.reason, entry.owner, entry.source_id) == ("soft_bounces", APPLICATION, last and last.email_id)
    assert "5 emails in a row on 3 days: 552 5.2.2 mailbox full" in entry.detail
    assert entry.expires_at is not None
    assert await counted(database) == []


async def test_a_delivery_in_between_and_what_is_not_the_mailbox_s_fault(database: Database) -> None:
    for day in (0, 0, 1, 1):
        await tell(database, bounced(await sent(database), day))
    await tell(database, bounced(await sent(database), 1, SPAM_FACTS))
    assert await counted(database) == [4]
    await tell(database, outcome(await sent(database), at=MONDAY + timedelta(days=1.5)))
    assert await counted(database) == []
    await tell(database, bounced(await sent(database), 2))
    assert await counted(database) == [1]


async def test_in_one_batch_the_order_of_time_counts(database: Database) -> None:
    one, two, three = [await sent(database) for _ in range(3)]
    delivered = outcome(two, at=MONDAY + timedelta(days=1))
    await tell(database, bounced(three, 2), delivered, bounced(one, 0))
    assert await counted(database) == [1]


async def test_an_outcome_that_is_told_twice_counts_once(database: Database) -> None:
    ref = await sent(database)
    for _ in range(2):
        await tell(database, bounced(ref, 0))
    assert await counted(database) == [1]


async def test_a_delivery_to_anybody_else_writes_nothing(database: Database) -> None:
    await tell(database, outcome(await sent(database)))
    assert await rows(database, "SELECT * FROM soft_bounces") == []


async def test_mail_that_runs_out_of_time_counts_by_its_last_deferral(database: Database) -> None:
    ref = await sent(database)
    worker = uuid7()
    async with database.connection() as connection:
        await connection.execute("UPDATE delivery_queue SET claimed_by = %s", [worker])
    later = attempt(code=452, enhanced="4.2.2", reply="full", action="retry_later", klass="mailbox_full",
                    scope="recipient", rule="full-for-now")  # fmt: skip
    await tell(database, deferral(ref, attempt=later, worker=worker, at=MONDAY))
    assert await counted(database) == []
    await tell(database, outcome(ref, State.EXPIRED, attempt=None, at=MONDAY + timedelta(days=1)))
    assert await counted(database) == [1]


async def test_a_server_that_takes_everything_and_sends_it_back_is_found_out(database: Database) -> None:
    verdict = Verdict(Action.BOUNCE, "mailbox_full", Scope.RECIPIENT, "full")
    for day in (0, 0, 1, 1, 2):
        ref = await sent(database)
        await tell(database, outcome(ref, at=MONDAY + timedelta(days=day)))
        async with database.transaction() as connection:
            message = await find_message(connection, ref)
            assert message is not None
            told = Response(Phase.DOT, 552, "5.2.2", "mailbox full")
            at = MONDAY + timedelta(days=day, minutes=5)
            news = LateNews(EventKind.BOUNCED, at, "told", response=told, verdict=verdict)
            assert await record_news(connection, [(message, news)]) == {ref}
    async with database.connection() as connection:
        (entry,) = await repository.about(connection, "user@example.com")
    assert entry.reason == "soft_bounces"


async def test_old_failures_are_forgotten(database: Database) -> None:
    await tell(database, bounced(await sent(database), -400))
    async with database.transaction() as connection:
        await soft_bounces.forget(connection)
    assert await counted(database) == []
