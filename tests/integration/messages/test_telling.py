"""Every entry of a timeline is told to those who listen, once, in the transaction that writes it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.ids import uuid7
from core.queues import Lane
from messages import claim, repository
from messages.entries import Words
from messages.model import MessageRef
from messages.states import State
from messages.timeline import EventKind
from outcomes import late
from outcomes.kinds import Outcome
from outcomes.late import LateNews
from outcomes.record import record
from store.database import Database
from tests.integration.messages.emails import APPLICATION, execute, make_partitions, new_email, refs, rows, store
from tests.integration.outcomes.facts import attempt, bounce, deferral, outcome
from tests.integration.outcomes.test_record import claimed
from tests.integration.webhooks.outbox import make_endpoint, told, types


@pytest.fixture(autouse=True)
async def _partitions(database: Database) -> None:
    await make_partitions(database)


async def recorded(database: Database, *outcomes: Outcome) -> None:
    async with database.transaction() as connection:
        await record(connection, outcomes)


async def test_a_delivery_says_what_the_email_says_and_how_it_went(database: Database) -> None:
    endpoint = await make_endpoint(database)
    email = new_email("a@example.com", tags=(("category", "receipt"),))
    (ref,) = await claimed(database, email)
    await recorded(database, outcome(ref))
    sent, delivered = await told(database, endpoint)

    assert (sent["type"], delivered["type"]) == ("email.sent", "email.delivered")
    shared = {
        "email_id": str(email.id), "message_id": email.message_id, "from": email.sender, "to": ["a@example.com"],
        "subject": "Your receipt", "tags": {"category": "receipt"}, "stream": "transactional",
    }  # fmt: skip
    assert {name: sent["data"][name] for name in shared} == shared
    facts = {"recipient": "a@example.com", "ip": "127.0.1.1", "provider": "gmail", "code": 250, "verdict": "delivered"}
    assert {name: delivered["data"][name] for name in [*shared, *facts]} == shared | facts


async def test_what_a_worker_knows_and_what_is_read_tell_the_same(database: Database) -> None:
    """Outcomes of a replayed journal know nothing of their email."""
    endpoint = await make_endpoint(database)
    topic, template = uuid7(), uuid7()
    whole = {"template_id": template, "tags": (("category", "receipt"),), "scheduled_at": datetime.now(UTC)}
    email = new_email("a@example.com", "b@example.com", topic_id=topic, **whole)
    known, read = await claimed(database, email)
    async with database.connection() as connection:
        stored, _ = (await claim.load(connection, [email.id]))[email.id]
    at = datetime.now(UTC)
    await recorded(database, outcome(known, at=at, words=Words("a@example.com", Lane.TRANSACTIONAL, stored)))
    await recorded(database, outcome(read, at=at))
    *_, by_worker, by_reading = await told(database, endpoint)
    assert by_worker["data"].pop("recipient") == "a@example.com"
    assert by_reading["data"].pop("recipient") == "b@example.com"
    assert by_worker == by_reading
    assert (by_worker["data"]["topic_id"], by_worker["data"]["template_id"]) == (str(topic), str(template))


async def test_a_first_try_is_told_in_one_row_as_two_rows_would_tell_it(database: Database) -> None:
    """With all that there can be to tell of it."""
    endpoint = await make_endpoint(database, events=["email.sent", "email.delivery_delayed"])
    at = datetime.now(UTC)
    topic, template, campaign = uuid7(), uuid7(), uuid7()
    whole = {"template_id": template, "tags": (("recipient", 'a"b'),), "scheduled_at": at, "subject": "ü 🎉 \x1e"}
    emails = [new_email('"ä, b"@example.com', topic_id=topic, message_id="<1@x.example>", **whole) for _ in range(2)]
    known, read = await claimed(database, *emails)
    async with database.connection() as connection:
        stored, _ = (await claim.load(connection, [known.email_id]))[known.email_id]
        created = (await claim.load(connection, [read.email_id]))[read.email_id][0].created_at
    words = Words('"ä, b"@example.com', Lane.TRANSACTIONAL, stored._replace(created_at=created, campaign_id=campaign))
    await execute(database, "UPDATE emails SET campaign_id = %s", [campaign])
    facts: dict[str, Any] = {"at": at, "attempt": attempt(reply='no "ü" 🎉', tls="", enhanced=""), "detail": "d"}
    await recorded(database, deferral(known, words=words, **facts), deferral(read, **facts))
    heard = await told(database, endpoint)
    for one in heard:
        del one["data"]["email_id"]
        one["data"].pop("next_attempt_at", None)

    assert await rows(database, "SELECT count(*)::int, count(ahead)::int FROM webhook_events") == [(3, 1)]
    assert [one["type"] for one in heard] == ["email.sent", "email.delivery_delayed"] * 2
    assert heard[:2] == heard[2:]
    assert heard[1]["data"].items() > heard[0]["data"].items()


async def test_what_is_not_known_is_not_told(database: Database) -> None:
    endpoint = await make_endpoint(database)
    (ref,) = await claimed(database, new_email("a@example.com"))
    await recorded(database, outcome(ref, State.CANCELLED, attempt=None, attempts=0))
    (event,) = await told(database, endpoint)
    shared = {"email_id", "message_id", "created_at", "from", "to", "subject", "tags", "stream"}

    assert set(event["data"]) == shared | {"recipient"}


async def test_a_replayed_journal_tells_nothing_again(database: Database) -> None:
    endpoint = await make_endpoint(database)
    (ref,) = await claimed(database, new_email())
    first = outcome(ref)
    await recorded(database, first, first)
    await recorded(database, first)
    assert await types(database, endpoint) == ["email.sent", "email.delivered"]


async def test_captured_mail_is_told_of_as_if_it_had_left(database: Database) -> None:
    endpoint = await make_endpoint(database)
    (ref,) = await claimed(database, new_email(capture=True))
    await recorded(database, outcome(ref, attempt=attempt(ip="", code=250), capture=True))
    assert await types(database, endpoint) == ["email.sent", "email.delivered"]


async def test_an_email_is_sent_once_however_many_get_it(database: Database) -> None:
    endpoint = await make_endpoint(database)
    one, other = await claimed(database, new_email("a@example.com", "b@example.com"))
    note = outcome(one, attempts=0, kind=EventKind.REROUTED, attempt=attempt(code=421))._replace(state=State.QUEUED)
    await recorded(database, note, deferral(one))
    await recorded(database, bounce(other, suppress=None))
    assert await types(database, endpoint) == [
        "email.sent", "email.rerouted", "email.delivery_delayed", "email.bounced",
    ]  # fmt: skip


async def test_schedule_reschedule_and_cancel(database: Database) -> None:
    endpoint = await make_endpoint(database)
    later = datetime.now(UTC) + timedelta(hours=1)
    email = new_email("a@example.com", "b@example.com", scheduled_at=later)
    await store(database, email, new_email())
    async with database.transaction() as connection:
        await repository.reschedule(connection, APPLICATION, email.id, later + timedelta(hours=1))
        await repository.cancel(connection, APPLICATION, email.id, "not wanted")
    events = await told(database, endpoint)

    assert [event["type"] for event in events] == ["email.scheduled"] * 2 + ["email.cancelled"] * 2
    assert [datetime.fromisoformat(event["data"]["scheduled_at"]) for event in events[:2]] == [
        later, later + timedelta(hours=1),
    ]  # fmt: skip
    assert {event["data"]["recipient"] for event in events[2:]} == {"a@example.com", "b@example.com"}


async def test_a_bounce_in_resends_words(database: Database) -> None:
    endpoint = await make_endpoint(database, events=["email.bounced"])
    (ref,) = await claimed(database, new_email())
    facts = attempt(code=550, enhanced="5.1.1", reply="no", klass="invalid_recipient", action="bounce")
    await recorded(database, bounce(ref, attempt=facts))
    (event,) = await told(database, endpoint)

    assert event["data"]["bounce"] == {
        "type": "Permanent", "subType": "General", "message": "no", "diagnosticCode": ["smtp; 550 5.1.1 no"],
    }  # fmt: skip


async def heard(database: Database, ref: MessageRef, kind: EventKind) -> None:
    """A report by mail."""
    async with database.transaction() as connection:
        message = await late.find_message(connection, ref)
        assert message is not None
        await late.record_late_news(connection, message, LateNews(kind, datetime.now(UTC), "says a report"))


async def test_a_failure_that_moves_nothing_is_told_to_nobody(database: Database) -> None:
    """What it reports of is still on its way, or has ended; what comes of that is told."""
    endpoint = await make_endpoint(database)
    (ref,) = await claimed(database, new_email())
    await recorded(database, deferral(ref))
    await heard(database, ref, EventKind.BOUNCED)
    assert await types(database, endpoint) == ["email.sent", "email.delivery_delayed"]

    await execute(database, "UPDATE messages SET state = 'delivered'")
    await heard(database, ref, EventKind.BOUNCED)
    await heard(database, ref, EventKind.BOUNCED)
    assert await types(database, endpoint) == ["email.sent", "email.delivery_delayed", "email.bounced"]
    kinds = await rows(database, "SELECT kind FROM events WHERE email_id = %s ORDER BY at", [ref.email_id])
    assert [kind for (kind,) in kinds] == ["deferred", "bounced", "bounced", "bounced"]


async def test_no_delay_follows_an_end(database: Database) -> None:
    """Neither the notice of a server further on, nor an outcome that is recorded after another process has ended it."""
    endpoint = await make_endpoint(database)
    (ref,) = await claimed(database, new_email())
    await recorded(database, outcome(ref))
    await heard(database, ref, EventKind.DELAYED)
    await recorded(database, deferral(ref))
    assert await types(database, endpoint) == ["email.sent", "email.delivered"]


async def test_suppressed_and_failed_say_why(database: Database) -> None:
    endpoint = await make_endpoint(database)
    one, other = await claimed(database, new_email(), new_email())
    bare = {"attempt": None}
    await recorded(
        database,
        outcome(one, State.SUPPRESSED, detail="suppressed: complaint", **bare),
        outcome(other, State.FAILED, detail="no key to sign with", **bare),
    )
    second, first = sorted(await told(database, endpoint), key=lambda event: event["type"])

    assert first["data"]["suppressed"] == {"type": "complaint", "message": "suppressed: complaint"}
    assert second["data"]["failed"] == {"reason": "no key to sign with"}


async def test_nobody_listens(database: Database) -> None:
    """Nor does an endpoint of somebody else, or one made after the fact, hear of it."""
    stranger = await make_endpoint(database, None)
    email = new_email()
    (ref,) = await claimed(database, email)
    await recorded(database, outcome(ref))
    late = await make_endpoint(database)
    assert await told(database, stranger) == await told(database, late) == []
    assert refs(email) == [MessageRef(email.id, 0)]
