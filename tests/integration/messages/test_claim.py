"""Claims: who may work on a message, for how long, and what forbids sending it."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.ids import uuid7
from core.queues import Lane
from messages import claim, repository
from messages.claim import INLINE_CONTENT
from messages.model import Claimed, MessageRef
from mta.model import Attachment
from store.database import Database
from tests.integration.messages.emails import (
    APPLICATION,
    execute,
    new_email,
    refs,
    rows,
    states,
    store,
    suppress,
    waiting,
)

LEASE = timedelta(seconds=60)
WORKER, SECOND = uuid7(), uuid7()


async def take(
    database: Database,
    *destinations: str,
    limit: int = 100,
    worker: UUID = WORKER,
    lane: Lane = Lane.TRANSACTIONAL,
    lease: timedelta = LEASE,
) -> tuple[list[Claimed], list[str]]:
    async with database.connection() as connection:
        return await claim.claim(connection, lane, destinations or ("example.com",), worker, limit, lease)


async def sendable(database: Database, wanted: list[MessageRef], worker: UUID = WORKER) -> set[MessageRef]:
    async with database.connection() as connection:
        return await claim.still_sendable(connection, wanted, worker)


def of(claimed: list[Claimed]) -> list[MessageRef]:
    return [message.ref for message in claimed]


async def until_past(database: Database, email: object = None) -> None:
    """Every claim has run out."""
    await execute(database, "UPDATE delivery_queue SET due_at = now() - interval '1 s' WHERE claimed_by IS NOT NULL")


# Taking


async def test_claim_takes_due_mail_and_moves_it_ahead(database: Database) -> None:
    email = new_email("a@example.com", "b@example.com")
    await store(database, email)
    claimed, more = await take(database)

    assert (sorted(of(claimed)), more) == (refs(email), [])
    assert claimed[0].destination == "example.com"
    assert (claimed[0].suppressed, claimed[0].expired, claimed[0].attempts) == (None, False, 0)
    due = await waiting(database)
    assert all(timedelta(seconds=50) < at - datetime.now(UTC) < timedelta(seconds=70) for at in due.values())
    assert set((await states(database)).values()) == {"queued"}


async def test_what_is_claimed_is_not_claimed_again_before_the_lease_ends(database: Database) -> None:
    await store(database, new_email())
    first, _ = await take(database)
    assert of((await take(database, worker=SECOND))[0]) == []
    await until_past(database)

    assert of((await take(database, worker=SECOND))[0]) == of(first)


async def test_two_workers_at_once_share_the_mail_and_take_none_twice(database: Database) -> None:
    emails = [new_email() for _ in range(200)]
    await store(database, *emails)
    batches = await asyncio.gather(*(take(database, worker=uuid7(), limit=30) for _ in range(8)))

    taken = [ref for claimed, _ in batches for ref in of(claimed)]
    assert len(taken) == len(set(taken)) == 200


async def test_other_lane_and_other_destinations_are_left(database: Database) -> None:
    mine = new_email("a@example.com")
    await store(database, mine, new_email("a@example.com", lane=Lane.MARKETING), new_email("a@other.example"))

    assert of((await take(database))[0]) == refs(mine)


async def test_scheduled_mail_waits_for_its_time(database: Database) -> None:
    email = new_email(scheduled_at=datetime.now(UTC) + timedelta(hours=1))
    await store(database, email)
    assert (await take(database)) == ([], [])
    await execute(database, "UPDATE delivery_queue SET due_at = now()")

    assert of((await take(database))[0]) == refs(email)


async def test_oldest_due_comes_first(database: Database) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    emails = [new_email(created_at=at + timedelta(minutes=minutes)) for minutes in (3, 1, 2)]
    await store(database, *emails)
    claimed, more = await take(database, limit=2)

    assert {ref.email_id for ref in of(claimed)} == {emails[1].id, emails[2].id}
    assert more == ["example.com"]


async def test_destinations_get_equal_parts_and_those_with_more_are_named(database: Database) -> None:
    crowd = [new_email(f"u{number}@big.example") for number in range(50)]
    await store(database, *crowd, new_email("a@small.example"), new_email("b@small.example"))
    claimed, more = await take(database, "big.example", "small.example", "empty.example", limit=30)

    by_destination = [message.destination for message in claimed]
    assert (by_destination.count("big.example"), by_destination.count("small.example")) == (10, 2)
    assert more == ["big.example"]


async def test_more_destinations_than_the_limit_get_one_each(database: Database) -> None:
    names = [f"d{number}.example" for number in range(20)]
    await store(database, *(new_email(f"u@{name}") for name in names for _ in range(2)))
    claimed, more = await take(database, *names, limit=5)

    assert sorted(message.destination for message in claimed) == sorted(names)
    assert sorted(more) == sorted(names)


async def test_where_there_is_enough_few_destinations_share_a_batch_and_the_others_come_next(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "SHARES", 2)
    names = [f"d{number}.example" for number in range(5)]
    await store(database, *(new_email(f"u@{name}") for name in names for _ in range(8)))
    claimed, more = await take(database, *names, limit=10)

    assert Counter(message.destination for message in claimed) == {"d0.example": 5, "d1.example": 5}
    assert more == ["d2.example", "d3.example", "d4.example", "d0.example", "d1.example"]
    claimed, more = await take(database, *more, limit=10)
    assert Counter(message.destination for message in claimed) == {"d2.example": 5, "d3.example": 5}
    assert more[:3] == ["d4.example", "d0.example", "d1.example"]


async def test_a_destination_that_the_end_of_a_batch_cut_off_has_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "SHARES", 2)
    sizes = {"d0.example": 3, "d1.example": 0, "d2.example": 5, "d3.example": 5, "d4.example": 0}
    await store(database, *(new_email(f"u@{name}") for name, size in sizes.items() for _ in range(size)))
    claimed, more = await take(database, *sizes, limit=10)

    assert Counter(message.destination for message in claimed) == {"d0.example": 3, "d2.example": 5, "d3.example": 2}
    assert sorted(more) == ["d2.example", "d3.example", "d4.example"]


async def test_a_destination_named_twice_is_claimed_once(database: Database) -> None:
    await store(database, new_email())

    assert len((await take(database, "example.com", "example.com"))[0]) == 1


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    crowd=st.dictionaries(st.sampled_from(["a.example", "b.example", "c.example"]), st.integers(0, 12)),
    limit=st.integers(1, 20),
    shares=st.sampled_from([1, 2, 20]),
)
async def test_claiming_what_has_more_ends_with_nothing_left(
    database: Database, monkeypatch: pytest.MonkeyPatch, crowd: dict[str, int], limit: int, shares: int
) -> None:
    """However mail and limits lie: following `more` takes everything, each once, and then stops."""
    monkeypatch.setattr(claim, "SHARES", shares)
    await execute(database, "TRUNCATE delivery_queue, emails, messages, contents")
    emails = [new_email(f"u{number}@{name}") for name, count in crowd.items() for number in range(count)]
    await store(database, *emails)
    taken: list[MessageRef] = []
    left = ["a.example", "b.example", "c.example"]
    while left:
        claimed, left = await take(database, *left, limit=limit)
        taken += of(claimed)

    assert sorted(taken) == sorted(ref for email in emails for ref in refs(email))


# What forbids sending


@pytest.mark.parametrize(
    ("scope", "expires_in", "forbidden"),
    [
        ("all", None, True),
        ("transactional", None, True),
        ("marketing", None, False),
        ("all", timedelta(hours=1), True),
        ("all", timedelta(hours=-1), False),
    ],
)
async def test_suppression_is_consulted_in_the_claim_and_again_later(
    database: Database, scope: str, expires_in: timedelta | None, forbidden: bool
) -> None:
    email = new_email("Ann@Example.com", "bob@example.com")
    await store(database, email)
    await suppress(database, "ann@example.com", scope, expires_in)
    claimed, _ = await take(database)

    assert {message.recipient: message.suppressed for message in claimed} == {
        "Ann@Example.com": "manual" if forbidden else None,
        "bob@example.com": None,
    }
    assert await sendable(database, refs(email)) == set(refs(email)[1:] if forbidden else refs(email))


async def test_suppression_that_comes_after_the_claim_forbids_too(database: Database) -> None:
    email = new_email("ann@example.com", "bob@example.com")
    await store(database, email)
    await take(database)
    assert await sendable(database, refs(email)) == set(refs(email))
    await suppress(database, "ann@example.com")

    assert await sendable(database, refs(email)) == {refs(email)[1]}


async def test_expired_mail_is_claimed_as_expired(database: Database) -> None:
    now = datetime.now(UTC)
    late, early = new_email(expires_at=now - timedelta(seconds=1)), new_email(expires_at=now + timedelta(hours=1))
    await store(database, late, early)
    claimed, _ = await take(database)

    assert {message.ref: message.expired for message in claimed} == {refs(late)[0]: True, refs(early)[0]: False}


async def test_another_workers_mail_is_not_sendable(database: Database) -> None:
    email = new_email()
    await store(database, email)
    await take(database, worker=SECOND)

    assert await sendable(database, refs(email), WORKER) == set()
    assert await sendable(database, refs(email), SECOND) == set(refs(email))


async def test_mail_whose_lease_has_ended_is_not_sendable(database: Database) -> None:
    """From then on another worker may take it in the very next moment."""
    email = new_email()
    await store(database, email)
    await take(database)
    await until_past(database)

    assert await sendable(database, refs(email)) == set()


async def test_cancelled_mail_is_not_sendable(database: Database) -> None:
    email = new_email()
    await store(database, email)
    await take(database)
    await until_past(database)
    async with database.transaction() as connection:
        change = await repository.cancel(connection, APPLICATION, email.id, "by its application")

    assert change is not None
    assert change.moved == 1
    assert await sendable(database, refs(email)) == set()


async def test_a_message_is_cancelled_or_claimed_and_never_both(database: Database) -> None:
    emails = [new_email() for _ in range(60)]
    await store(database, *emails)

    async def cancel() -> int:
        moved = 0
        for email in emails:
            async with database.transaction() as connection:
                change = await repository.cancel(connection, APPLICATION, email.id, "")
            moved += change.moved if change else 0
        return moved

    async def claim_all() -> int:
        return sum([len((await take(database, limit=3))[0]) for _ in range(30)])

    cancelled, claimed = await asyncio.gather(cancel(), claim_all())
    claimed += len((await take(database))[0])

    assert cancelled + claimed == 60
    assert list((await states(database)).values()).count("cancelled") == cancelled


# Keeping and giving back


async def test_renewing_keeps_own_claims_and_touches_no_others(database: Database) -> None:
    mine, theirs, free = new_email("a@mine.example"), new_email("a@theirs.example"), new_email("a@free.example")
    await store(database, mine, theirs, free)
    await take(database, "mine.example", lease=timedelta(seconds=5))
    await take(database, "theirs.example", worker=SECOND, lease=timedelta(seconds=5))
    before = await waiting(database)
    async with database.connection() as connection:
        await claim.renew(connection, refs(mine) + refs(theirs) + refs(free), WORKER, LEASE)
    after = await waiting(database)

    assert {ref for ref in before if after[ref] != before[ref]} == set(refs(mine))
    assert after[refs(mine)[0]] - datetime.now(UTC) > timedelta(seconds=50)


async def test_given_back_mail_is_due_as_said_and_counts_no_attempt(database: Database) -> None:
    email = new_email()
    await store(database, email)
    await take(database)
    async with database.connection() as connection:
        await claim.give_back(connection, refs(email), SECOND, datetime.now(UTC))
        assert await rows(database, "SELECT claimed_by FROM delivery_queue") == [(WORKER,)]
        await claim.give_back(connection, refs(email), WORKER, datetime.now(UTC) - timedelta(days=9))

    found = await rows(database, "SELECT claimed_by, attempts, due_at > now() - interval '5 s' FROM delivery_queue")
    assert found == [(None, 0, True)]
    assert of((await take(database, worker=SECOND))[0]) == refs(email)


async def test_mail_given_back_for_later_is_not_due_before(database: Database) -> None:
    email = new_email()
    await store(database, email)
    await take(database)
    async with database.connection() as connection:
        await claim.give_back(connection, refs(email), WORKER, datetime.now(UTC) + timedelta(minutes=1))

    assert await take(database) == ([], [])


async def test_a_dead_workers_mail_is_due_at_once(database: Database) -> None:
    emails = [new_email() for _ in range(5)]
    await store(database, *emails, new_email("a@theirs.example"))
    await take(database)
    await take(database, "theirs.example", worker=SECOND)
    async with database.connection() as connection:
        assert await claim.release_worker(connection, WORKER) == 5
        assert await claim.release_worker(connection, WORKER) == 0

    assert len((await take(database, worker=uuid7()))[0]) == 5
    assert (await take(database, "theirs.example", worker=uuid7()))[0] == []


# Loading


async def test_load_gives_emails_with_small_content_and_leaves_large_out(database: Database) -> None:
    small = new_email(headers=(("X-One", "1"),), tags=(("t", "v"),), html="<p>")
    large = new_email(text="x" * (INLINE_CONTENT + 1))
    attached = new_email(attachments=(Attachment("a.txt", "text/plain", b"data", "cid"),))
    raw = new_email(text=None, raw=b"Subject: x\r\n\r\nbody \xff\r\n")
    gone = new_email()
    await store(database, small, large, attached, raw)
    async with database.connection() as connection:
        found = await claim.load(connection, [one.id for one in (small, large, attached, raw, gone)])

    assert set(found) == {small.id, large.id, attached.id, raw.id}
    stored, content = found[small.id]
    assert (stored.sender, stored.subject, stored.to, stored.tags) == (
        small.sender,
        small.subject,
        small.to,
        small.tags,
    )
    assert content is not None
    assert (content.html, content.text, content.headers) == ("<p>", "Thank you.", (("X-One", "1"),))
    assert found[large.id][1] is found[attached.id][1] is None
    assert found[raw.id][1].raw == raw.raw  # type: ignore[union-attr]


async def test_large_content_and_attachments_load_one_by_one(database: Database) -> None:
    data = bytes(range(256)) * 1000
    files = (Attachment("b.bin", "application/octet-stream", data), Attachment("a.txt", "text/plain", b"x", "cid"))
    email = new_email(text="é" * INLINE_CONTENT, attachments=files)
    await store(database, email)
    async with database.connection() as connection:
        content = await claim.load_content(connection, email.id)
        missing = await claim.load_content(connection, uuid7())

    assert content is not None
    assert (content.text, content.attachments) == (email.text, files)
    assert missing is None


async def test_content_that_retention_removed_is_none(database: Database) -> None:
    email = new_email()
    await store(database, email)
    await execute(database, "DELETE FROM contents")
    async with database.connection() as connection:
        found = await claim.load(connection, [email.id])

    assert found[email.id][1] is None
