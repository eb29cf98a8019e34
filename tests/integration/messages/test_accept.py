"""The only door in: durable together, answered after the commit, and once per idempotency key."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from accounts import applications
from accounts.quotas import OverQuota, Quota, set_quota
from core.queues import Lane
from messages import groups
from messages.accept import Accepted, Acceptor, KeyInFlight, KeyReused, Replay, settle_keys, write_emails
from messages.model import Idempotency, Submission
from mta.model import Attachment
from store.database import Database, DatabaseUnavailableError
from tests.integration.messages.emails import (
    execute,
    fill_disk,
    make_room,
    new_email,
    recipient,
    refs,
    rows,
    states,
    submission,
    waiting,
)

TABLES = ("emails", "contents", "attachments", "messages", "delivery_queue", "idempotency_keys", "outcome_counts")


class Hints:
    """Notes what it is told, and what was in the database at that moment."""

    def __init__(self) -> None:
        self.told: list[tuple[Lane, list[str], bool]] = []
        self.look: Callable[[], None] = lambda: None

    def __call__(self, lane: Lane, destinations: list[str], leaves: bool) -> None:
        self.look()
        self.told.append((lane, destinations, leaves))


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture
async def acceptor(database: Database, hints: Hints) -> AsyncIterator[Acceptor]:
    made = Acceptor(database, hints)
    await made.start()
    yield made
    await made.stop()


async def counts(database: Database) -> dict[str, int]:
    return {table: (await rows(database, f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES}


def keyed(key: str = "k", body: bytes = b"body", response: bytes = b"answer", **changes: object) -> Submission:
    return submission(idempotency=Idempotency(key, body, response), **changes)


# What is written


async def test_email_is_written_with_a_row_per_recipient(acceptor: Acceptor, database: Database) -> None:
    email = new_email(
        "Ann@Example.com",
        "bob@other.example",
        lane=Lane.MARKETING,
        tags=(("campaign", "may"),),
        headers=(("X-One", "1"),),
        attachments=(Attachment("a.pdf", "application/pdf", b"\x00\xff", "cid1"),),
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )
    assert await acceptor.accept(submission(email)) == Accepted()

    assert await states(database) == dict.fromkeys(refs(email), "queued")
    found = await rows(
        database, "SELECT lane, destination, recipient, address, expires_at FROM delivery_queue ORDER BY position"
    )
    assert found == [
        ("marketing", "example.com", "Ann@Example.com", "ann@example.com", email.expires_at),
        ("marketing", "other.example", "bob@other.example", "bob@other.example", email.expires_at),
    ]
    assert await rows(database, "SELECT html, body, headers, attachment_count FROM contents") == [
        (None, "Thank you.", [["X-One", "1"]], 1)
    ]
    assert await rows(database, "SELECT filename, content_cid, data FROM attachments") == [
        ("a.pdf", "cid1", b"\x00\xff")
    ]
    assert await rows(database, 'SELECT tags, "to" FROM emails') == [([["campaign", "may"]], list(email.to))]


async def test_content_is_stored_once_for_fifty_recipients(acceptor: Acceptor, database: Database) -> None:
    email = new_email(*(f"u{number}@example.com" for number in range(50)))
    await acceptor.accept(submission(email))

    found = await counts(database)
    assert (found["emails"], found["contents"], found["messages"], found["delivery_queue"]) == (1, 1, 50, 50)


async def test_scheduled_mail_is_due_at_its_time_and_other_mail_now(acceptor: Acceptor, database: Database) -> None:
    at = datetime.now(UTC) + timedelta(days=3)
    later, now = new_email(scheduled_at=at), new_email()
    await acceptor.accept(submission(later, now))

    due = await waiting(database)
    assert due[refs(later)[0]] == at
    assert due[refs(now)[0]] < datetime.now(UTC)
    assert await states(database) == {refs(later)[0]: "scheduled", refs(now)[0]: "queued"}


async def test_accepted_mail_is_counted_by_lane(acceptor: Acceptor, database: Database) -> None:
    await acceptor.accept(submission(new_email("a@x.example", "b@x.example"), new_email(lane=Lane.MARKETING)))
    await acceptor.accept(submission(new_email()))

    found = await rows(
        database, "SELECT lane, sum(n)::int FROM outcome_counts WHERE outcome = 'accepted' GROUP BY 1 ORDER BY 1"
    )
    assert found == [("marketing", 1), ("transactional", 3)]


# Hints


async def test_hint_comes_after_the_commit_and_names_what_is_due(
    acceptor: Acceptor, hints: Hints, database_url: str
) -> None:
    def look() -> None:
        with psycopg.connect(database_url) as connection:
            found = connection.execute("SELECT count(*) FROM delivery_queue").fetchone()
        assert found == (4,)

    hints.look = look
    later = new_email("c@later.example", scheduled_at=datetime.now(UTC) + timedelta(hours=1))
    await acceptor.accept(submission(new_email("a@x.example", "b@y.example", "c@x.example"), later))

    assert hints.told == [(Lane.TRANSACTIONAL, ["x.example", "y.example", "x.example"], True)]


async def test_of_what_is_captured_a_hint_does_not_say_that_it_leaves(acceptor: Acceptor, hints: Hints) -> None:
    mixed = new_email(recipients=(recipient("a@x.example"), replace(recipient("b@y.example"), capture=True)))
    await acceptor.accept(submission(mixed, new_email("c@z.example", capture=True)))

    assert hints.told == [
        (Lane.TRANSACTIONAL, ["x.example"], True),
        (Lane.TRANSACTIONAL, ["y.example", "z.example"], False),
    ]


async def test_nothing_is_hinted_for_a_replay(acceptor: Acceptor, hints: Hints) -> None:
    await acceptor.accept(keyed())
    hints.told.clear()
    await acceptor.accept(keyed())

    assert hints.told == []


async def test_a_hint_that_fails_does_not_stop_the_door(database: Database) -> None:
    def broken(_lane: Lane, _destinations: list[str], _leaves: bool) -> None:
        raise RuntimeError("a bug in the publisher")

    acceptor = Acceptor(database, broken)
    await acceptor.start()
    async with asyncio.timeout(5):
        answers = [await acceptor.accept(submission()) for _ in range(4)]
    await acceptor.stop()

    assert answers == [Accepted()] * 4


# Groups


async def test_requests_share_commits(acceptor: Acceptor, database: Database) -> None:
    answers = await asyncio.gather(*(acceptor.accept(submission()) for _ in range(200)))
    found = await rows(database, "SELECT count(DISTINCT xmin::text), count(*) FROM emails")

    assert set(answers) == {Accepted()}
    assert found[0][1] == 200
    assert found[0][0] < 20


@pytest.mark.parametrize(
    "poison",
    [
        {"subject": "nul \x00"},
        {"subject": "surrogate \udcff"},
        {"tags": (("a", "\udcff"),)},
        {"recipients": (replace(recipient("x@example.com"), kind="else"),)},  # type: ignore[arg-type]
        {"pool_id": "no uuid"},
    ],
    ids=["data", "encoding", "json", "constraint", "type"],
)
async def test_a_poisoned_request_fails_alone(
    acceptor: Acceptor, database: Database, poison: dict[str, object]
) -> None:
    """Ten requests of other applications are in the same commit."""
    asked = [submission() for _ in range(5)] + [submission(new_email(**poison))] + [submission() for _ in range(5)]
    answers = await asyncio.gather(*(acceptor.accept(one) for one in asked), return_exceptions=True)

    assert [isinstance(answer, Exception) for answer in answers] == [False] * 5 + [True] + [False] * 5
    assert not isinstance(answers[5], DatabaseUnavailableError)
    assert (await counts(database))["emails"] == 10


async def test_the_same_email_twice_fails_alone(acceptor: Acceptor, database: Database) -> None:
    email = new_email()
    await acceptor.accept(submission(email))
    answers = await asyncio.gather(
        acceptor.accept(submission(email)), acceptor.accept(submission()), return_exceptions=True
    )

    assert [isinstance(answer, Exception) for answer in answers] == [True, False]
    assert (await counts(database))["emails"] == 2


async def test_one_bad_email_of_a_request_stores_none_of_it(acceptor: Acceptor, database: Database) -> None:
    with pytest.raises(psycopg.DataError):
        await acceptor.accept(keyed(emails=(new_email(), new_email(subject="\x00"))))

    assert set((await counts(database)).values()) == {0}


async def test_away_database_is_said_and_nothing_is_stored(database: Database, hints: Hints) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nowhere", name="away")
    away._pool.timeout = 0.3
    await away.open()
    acceptor = Acceptor(away, hints)
    await acceptor.start()
    answers = await asyncio.gather(*(acceptor.accept(submission()) for _ in range(3)), return_exceptions=True)
    await acceptor.stop()
    await away.close()

    assert [type(answer) for answer in answers] == [DatabaseUnavailableError] * 3
    assert hints.told == []


async def test_a_full_disk_is_said_and_nothing_is_stored(acceptor: Acceptor, database: Database, hints: Hints) -> None:
    await fill_disk(database, "messages")
    answers = await asyncio.gather(*(acceptor.accept(submission()) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [DatabaseUnavailableError] * 3
    assert await rows(database, "SELECT (SELECT count(*) FROM emails), (SELECT count(*) FROM delivery_queue)") == [
        (0, 0)
    ]
    assert hints.told == []
    await make_room(database)
    await acceptor.accept(submission())
    assert await rows(database, "SELECT count(*) FROM delivery_queue") == [(1,)]


async def test_a_cut_connection_costs_one_answer_and_no_more(acceptor: Acceptor, database: Database) -> None:
    await acceptor.accept(submission())
    await execute(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()",
    )

    assert await acceptor.accept(submission()) == Accepted()


async def test_stopping_answers_everybody(database: Database, hints: Hints, database_url: str) -> None:
    """Those that wait, and those whose commit is under way: nobody may wait for ever."""
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("LOCK TABLE emails IN ACCESS EXCLUSIVE MODE")
        acceptor = Acceptor(database, hints)
        await acceptor.start()
        asked = [asyncio.create_task(acceptor.accept(submission())) for _ in range(3)]
        await asyncio.sleep(0.1)
        asked.append(asyncio.create_task(acceptor.accept(submission())))
        await acceptor.stop()
        done, left = await asyncio.wait(asked, timeout=3)
        await holder.rollback()

    assert left == set()
    assert all(task.cancelled() for task in done)


async def test_large_requests_do_not_share_one_commit(
    acceptor: Acceptor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "GROUP_BYTES", 10_000)
    big = {"text": "x" * 9_000}
    await asyncio.gather(*(acceptor.accept(submission(new_email(**big))) for _ in range(6)))

    assert (await rows(database, "SELECT count(DISTINCT xmin::text) FROM emails"))[0][0] == 6


# Idempotency


async def test_same_key_and_body_gives_the_first_answer_and_sends_nothing(
    acceptor: Acceptor, database: Database
) -> None:
    assert await acceptor.accept(keyed(response=b"first")) == Accepted()
    assert await acceptor.accept(keyed(response=b"second")) == Replay(b"first")
    assert (await counts(database))["emails"] == 1


async def test_same_key_and_other_body_is_refused(acceptor: Acceptor, database: Database) -> None:
    await acceptor.accept(keyed())

    assert await acceptor.accept(keyed(body=b"other")) == KeyReused()
    assert (await counts(database))["emails"] == 1


async def test_keys_of_applications_are_their_own(acceptor: Acceptor, database: Database) -> None:
    await acceptor.accept(keyed())
    stranger = new_email(application_id=new_email().id)
    answer = await acceptor.accept(
        Submission(stranger.application_id, (stranger,), Idempotency("k", b"other", b"answer"))
    )

    assert answer == Accepted()


async def test_second_request_while_the_first_is_worked_on(acceptor: Acceptor) -> None:
    answers = await asyncio.gather(acceptor.accept(keyed()), acceptor.accept(keyed()))

    assert sorted(type(answer).__name__ for answer in answers) == ["Accepted", "KeyInFlight"]


async def test_key_in_flight_in_another_process(acceptor: Acceptor, database: Database) -> None:
    async with database.transaction() as connection:
        assert await settle_keys(connection, [keyed()]) == [Accepted()]
        assert await acceptor.accept(keyed()) == KeyInFlight()
        assert await acceptor.accept(keyed(key="another")) == Accepted()

    assert await acceptor.accept(keyed()) == Replay(b"answer")


async def test_key_is_free_again_after_a_failure(acceptor: Acceptor) -> None:
    with pytest.raises(psycopg.DataError):
        await acceptor.accept(keyed(emails=(new_email(subject="\x00"),)))

    assert await acceptor.accept(keyed()) == Accepted()


@pytest.mark.parametrize(("hours", "answer"), [(23.9, KeyReused()), (24.1, Accepted())])
async def test_key_ends_after_24_hours(acceptor: Acceptor, database: Database, hours: float, answer: object) -> None:
    await acceptor.accept(keyed())
    await execute(database, "UPDATE idempotency_keys SET created_at = now() - %s", [timedelta(hours=hours)])
    assert await acceptor.accept(keyed(body=b"other", response=b"new")) == answer
    if answer == Accepted():
        assert await acceptor.accept(keyed(body=b"other")) == Replay(b"new")


async def test_keys_are_settled_beside_requests_without(acceptor: Acceptor, database: Database) -> None:
    await acceptor.accept(keyed(key="used"))
    asked = [submission(), keyed(key="used"), keyed(key="new"), submission(), keyed(key="used", body=b"other")]
    async with database.transaction() as connection:
        answers = await settle_keys(connection, asked)

    assert answers == [Accepted(), Replay(b"answer"), Accepted(), Accepted(), KeyReused()]


async def test_rolled_back_transaction_leaves_nothing(database: Database) -> None:
    async def interrupted() -> None:
        async with database.transaction() as connection:
            await settle_keys(connection, [keyed()])
            await write_emails(connection, [new_email()])
            raise RuntimeError("the process is in trouble")

    with pytest.raises(RuntimeError):
        await interrupted()

    assert set((await counts(database)).values()) == {0}


# Quotas


async def shop(
    database: Database, per_day: int | None = None, per_second: int | None = None, name: str = "shop"
) -> UUID:
    """An application that may bring in so much."""
    async with database.transaction() as connection:
        made = await applications.create(connection, name, Quota(per_day, per_second))
    return made.id


def of_shop(application: UUID, *addresses: str, quota: Quota, **changes: object) -> Submission:
    email = new_email(*addresses, application_id=application)
    return submission(email, application_id=application, quota=quota, **changes)


async def test_what_is_over_the_quota_is_not_stored_and_leaves_its_key_free(
    acceptor: Acceptor, database: Database
) -> None:
    quota = Quota(per_day=3)
    application = await shop(database, per_day=3)
    first = of_shop(application, "a@x.test", "b@x.test", quota=quota, idempotency=Idempotency("one", b"1", b"first"))
    assert await acceptor.accept(first) == Accepted()
    large = of_shop(application, "c@x.test", "d@x.test", quota=quota, idempotency=Idempotency("two", b"2", b"second"))

    over = await acceptor.accept(large)

    assert isinstance(over, OverQuota)
    assert (over.code, "1 are left today, and this would be 2" in over.reason) == ("daily_quota_exceeded", True)
    assert await rows(database, "SELECT key FROM idempotency_keys") == [("one",)]
    assert await rows(database, "SELECT count(*) FROM messages") == [(2,)]
    assert await acceptor.accept(first) == Replay(b"first"), "what was accepted is answered as before"
    assert await acceptor.accept(of_shop(application, "e@x.test", quota=quota)) == Accepted()
    assert await rows(database, "SELECT accepted FROM application_use") == [(3,)]
    await execute(database, "UPDATE application_use SET day = day - 1")
    assert await acceptor.accept(large) == Accepted(), "under the same key"


async def test_several_processes_together_take_no_more_than_the_quota(
    acceptor: Acceptor, database: Database, hints: Hints
) -> None:
    quota = Quota(per_day=25)
    application = await shop(database, per_day=25)
    other = Acceptor(database, hints)
    await other.start()
    try:
        answers = await asyncio.gather(
            *(door.accept(of_shop(application, quota=quota)) for _ in range(30) for door in (acceptor, other))
        )
    finally:
        await other.stop()
    assert answers.count(Accepted()) == 25
    assert await rows(database, "SELECT count(*) FROM messages") == [(25,)]


async def test_an_application_without_a_quota_is_not_counted(acceptor: Acceptor, database: Database) -> None:
    application = await shop(database)
    assert await acceptor.accept(submission(new_email(application_id=application))) == Accepted()
    assert await rows(database, "SELECT * FROM application_use") == []


async def test_only_mail_of_its_application_waits_for_a_counter(acceptor: Acceptor, database: Database) -> None:
    quota = Quota(per_day=100)
    held, other = await shop(database, per_day=100), await shop(database, per_day=100, name="other")
    for application in (held, other):
        assert await acceptor.accept(of_shop(application, quota=quota)) == Accepted()
    asked = [
        of_shop(held, quota=quota), submission(new_email()), of_shop(other, quota=quota),
        of_shop(held, quota=quota), of_shop(held, quota=quota),
    ]  # fmt: skip
    async with database.transaction() as connection:  # what another process does until its commit
        await connection.execute("SELECT FROM application_use WHERE application_id = %s FOR UPDATE", [held])
        first, plain, counted, *behind = [asyncio.create_task(acceptor.accept(one)) for one in asked]
        async with asyncio.timeout(5):
            assert await asyncio.gather(plain, counted) == [Accepted()] * 2
            assert await acceptor.accept(of_shop(other, quota=quota)) == Accepted(), "no second committer stands there"
        assert not any(task.done() for task in (first, *behind))
    assert await asyncio.gather(first, *behind) == [Accepted()] * 3


async def test_what_was_owed_to_one_quota_is_not_owed_to_the_next(acceptor: Acceptor, database: Database) -> None:
    application = await shop(database, per_second=2)
    many = (f"{n}@x.test" for n in range(500))
    assert await acceptor.accept(of_shop(application, *many, quota=Quota(per_second=2))) == Accepted()
    one = of_shop(application, quota=Quota(per_second=50))
    async with database.transaction() as connection:
        await set_quota(connection, application, Quota(100_000, 2))
    assert isinstance(await acceptor.accept(replace(one, quota=Quota(100_000, 2))), OverQuota), "the same second"

    async with database.transaction() as connection:
        await set_quota(connection, application, Quota(per_second=50))

    assert await acceptor.accept(one) == Accepted()
    assert await rows(database, "SELECT accepted, tokens FROM application_use") == [(501, 49)]
