"""The only door in. HTTP API, SMTP submission and campaigns all hand their emails to an `Acceptor`.

One transaction makes message, body, queue row and idempotency key durable; only then is the caller answered, and
only after that a hint is published. Requests that arrive while a commit is under way share the next one (group
commit): a commit with fsync costs about 3 ms, one more email some 0.1 ms. Requests of an application with a
quota share theirs among themselves only: they wait for its counter, which other processes hold until their commit.

It never checks who may send what: that is the caller's part (`api/`, `mta/inbound`). How much an application may bring
in is counted here (`accounts/quotas`), in the transaction.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

import psycopg

from accounts import quotas
from accounts.quotas import OverQuota, Wanted
from audience.topics import DefaultTopics
from core.errors import UnavailableError
from core.logs import get_logger
from core.queues import Lane
from core.tasks import end
from messages.groups import Queue, Waiting
from messages.model import Idempotency, NewEmail, Submission
from messages.storing import store
from messages.telling import tell_scheduled
from store import counters
from store.clock import DatabaseClock
from store.counters import Counted, Origin, origin
from store.database import Connection, Database

_log = get_logger(__name__)

KEY_LIFETIME = timedelta(hours=24)

_OF_TESTS = "\x1e"
"""Begins the idempotency keys of test mail; neither door takes a key with it."""

_COMMITTERS = 2  # of each queue: one prepares its rows while the other waits for the disk

_FREE_KEY: Final = "DELETE FROM idempotency_keys WHERE application_id = %s AND key = %s"

NO_TOPICS: Final[Mapping[UUID, UUID]] = {}


@dataclass(frozen=True, slots=True)
class Accepted:
    """Committed."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The same request was accepted before under this key: give the same answer, nothing was sent."""

    response: bytes


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key belongs to another request body."""


@dataclass(frozen=True, slots=True)
class KeyInFlight:
    """A request with this key is being worked on right now."""


Acceptance = Accepted | Replay | KeyReused | KeyInFlight | OverQuota

_Waiting = Waiting[Acceptance]

OnAccepted = Callable[[Lane, list[str], bool], None]
"""Called after the commit with the lane and the destinations that are due now, one for each message, and whether these
messages are to leave."""


class Acceptor:
    """Makes submissions durable. One per process; `run` it inside the process's event loop."""

    def __init__(self, database: Database, on_accepted: OnAccepted) -> None:
        self.clock = DatabaseClock(database)
        """What the times of emails are taken from: `created_at`, `scheduled_at`, `expires_at`."""
        self._database = database
        self._on_accepted = on_accepted
        self._default_topics = DefaultTopics(database)
        self._plain, self._with_quota = Queue[Acceptance](), Queue[Acceptance]()
        self._tasks: list[asyncio.Task[None]] = []
        self._keys_in_flight: set[tuple[UUID, str]] = set()

    async def start(self) -> None:
        await self.clock.start()
        queues = [self._plain, self._with_quota] * _COMMITTERS
        self._tasks = [
            asyncio.create_task(self._commit_groups(one), name=f"accept-{n}") for n, one in enumerate(queues)
        ]

    async def stop(self) -> None:
        """End the committers. Submissions still waiting fail with CancelledError: they were never answered."""
        await self.clock.stop()
        await end(self._tasks)
        for waiting in self._take_all():
            waiting.done.cancel()

    async def accept(self, submission: Submission) -> Acceptance:
        """Commit a submission. Raises DatabaseUnavailableError when PostgreSQL does not answer, and what PostgreSQL or
        its driver say when this very submission cannot be stored."""
        key = submission.idempotency and (submission.application_id, submission.idempotency.key)
        if key:
            if key in self._keys_in_flight:
                return KeyInFlight()
            self._keys_in_flight.add(key)
        try:
            waiting = _Waiting(
                submission, asyncio.get_running_loop().create_future(), sum(email.size for email in submission.emails)
            )
            (self._with_quota if submission.quota else self._plain).put(waiting)
            return await waiting.done
        finally:
            if key:
                self._keys_in_flight.discard(key)

    async def _commit_groups(self, queue: Queue[Acceptance]) -> None:
        while True:
            async with queue.group() as group:
                await self._commit_or_split(group)

    def _take_all(self) -> list[_Waiting]:
        return [*self._plain.take_all(), *self._with_quota.take_all()]

    async def _commit_or_split(self, group: list[_Waiting]) -> None:
        """Commit a group; when one submission in it is at fault, only that one may hear of it."""
        try:
            answers = await self._commit_settled([waiting.submission for waiting in group])
        except UnavailableError as error:
            # Whoever waits behind would wait out the same time-out, one group after the other.
            _fail([*group, *self._take_all()], error)
            return
        except Exception as error:
            # Whatever it was (text PostgreSQL cannot store, a broken constraint, a bug), it came with one of them.
            if len(group) == 1:
                _fail(group, error)
                return
            for waiting in group:
                await self._commit_or_split([waiting])
            return
        except asyncio.CancelledError:
            for waiting in group:
                waiting.done.cancel()
            raise
        for waiting, answer in zip(group, answers, strict=True):
            if not waiting.done.done():
                waiting.done.set_result(answer)
        self._hint(waiting.submission for waiting, answer in zip(group, answers, strict=True) if answer == Accepted())

    async def _commit_settled(self, submissions: Sequence[Submission]) -> list[Acceptance]:
        """Commit, a second time when the partition of today was made in between (store/partitions)."""
        try:
            return await self._commit(submissions)
        except psycopg.errors.CheckViolation:
            return await self._commit(submissions)

    async def _commit(self, submissions: Sequence[Submission]) -> list[Acceptance]:
        defaults = await self._default_topics.of(
            email.application_id for submission in submissions for email in submission.emails if _needs_topic(email)
        )
        async with self._database.transaction() as connection:
            return await take(connection, submissions, defaults)

    def _hint(self, submissions: Iterable[Submission]) -> None:
        due: dict[tuple[Lane, bool], list[str]] = {}
        for submission in submissions:
            for email in submission.emails:
                if email.scheduled_at is None:
                    for r in email.recipients:
                        leaves = not (email.capture or r.capture)
                        due.setdefault((email.lane, leaves), []).append(r.destination)
        for (lane, leaves), destinations in due.items():
            try:
                self._on_accepted(lane, destinations, leaves)
            except Exception as error:
                # The mail is committed and answered, and the due scan finds it; a committer that ended would not.
                _log.error("hint_failed", lane=lane.value, exc_info=error)


async def take(
    connection: Connection, submissions: Sequence[Submission], default_topics: Mapping[UUID, UUID] = NO_TOPICS
) -> list[Acceptance]:
    """Write what may be written of these within the caller's transaction. Without a hint after the commit the scan for
    due mail finds it."""
    answers = await settle_keys(connection, submissions)
    await _within_quotas(connection, submissions, answers)
    emails = [
        email
        for submission, answer in zip(submissions, answers, strict=True)
        if isinstance(answer, Accepted)
        for email in submission.emails
    ]
    if emails:
        await write_emails(connection, emails, default_topics)
    return answers


async def _within_quotas(connection: Connection, submissions: Sequence[Submission], answers: list[Acceptance]) -> None:
    """Put the refusal in place of the answer where an application brings in more than it may. Its key is free again:
    the same request may come tomorrow."""
    counted = [
        (n, Wanted(s.application_id, s.quota, s.messages))
        for n, s in enumerate(submissions)
        if s.quota and isinstance(answers[n], Accepted)
    ]
    if not counted:
        return
    found = await quotas.take(connection, [wanted for _, wanted in counted])
    for (n, wanted), over in zip(counted, found, strict=True):
        if over is None:
            continue
        answers[n] = over
        if key := submissions[n].idempotency:
            await connection.execute(_FREE_KEY, [wanted.application_id, key.key])


def _needs_topic(email: NewEmail) -> bool:
    """Recipients may switch off any marketing mail, so all of it is of some type."""
    return email.topic_id is None and email.lane is Lane.MARKETING


def _fail(group: list[_Waiting], error: Exception) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(error)


def kept_key(key: str, test: bool) -> str:
    """The idempotency key as it is kept: apart for test mail, or real mail would get the answer of its rehearsal."""
    return _OF_TESTS + key if test else key


async def settle_keys(connection: Connection, submissions: Sequence[Submission]) -> list[Acceptance]:
    """Insert the idempotency keys of these submissions; the answer for each says whether its emails may be written.

    An advisory lock held to the end of the transaction marks a key as in flight for all other processes.
    """
    keyed = [(n, s.application_id, s.idempotency) for n, s in enumerate(submissions) if s.idempotency]
    answers: list[Acceptance] = [Accepted()] * len(submissions)
    if not keyed:
        return answers
    applications = [application for _, application, _ in keyed]
    keys = [idempotency.key for _, _, idempotency in keyed]
    cursor = await connection.execute(
        "SELECT pg_try_advisory_xact_lock(hashtextextended(a || '/' || k, 0))"
        " FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS u(a, k, n) ORDER BY n",
        [[str(application) for application in applications], keys],
    )
    locked = [bool(row[0]) for row in await cursor.fetchall()]
    for (n, application, idempotency), mine in zip(keyed, locked, strict=True):
        if not mine:
            answers[n] = KeyInFlight()
            continue
        cursor = await connection.execute(
            "INSERT INTO idempotency_keys AS i (application_id, key, request_hash, response) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (application_id, key) DO UPDATE SET request_hash = excluded.request_hash,"
            " response = excluded.response, created_at = now() WHERE i.created_at < now() - %s RETURNING 1",
            [application, idempotency.key, idempotency.request_hash, idempotency.response, KEY_LIFETIME],
        )
        if await cursor.fetchone() is None:
            answers[n] = await _stored_answer(connection, application, idempotency.key, idempotency.request_hash)
    return answers


async def take_key(connection: Connection, application_id: UUID, wanted: Idempotency) -> Acceptance:
    """The same for one request that is no mail, in the caller's transaction: `Accepted` where its work may be done. An
    answer that is not known before goes to `keep_answer` afterwards."""
    return (await settle_keys(connection, [Submission(application_id, (), wanted)]))[0]


async def keep_answer(connection: Connection, application_id: UUID, key: str, answer: bytes) -> None:
    """What a request was answered whose key was taken in this transaction, before its answer was known."""
    await connection.execute(
        "UPDATE idempotency_keys SET response = %s WHERE application_id = %s AND key = %s",
        [answer, application_id, key],
    )


async def find_answer(connection: Connection, application_id: UUID, key: str, request_hash: bytes) -> Acceptance | None:
    """The answer kept for a key, or None when the key is free. Looked at before any work is done for a request."""
    cursor = await connection.execute(
        "SELECT request_hash, response FROM idempotency_keys"
        " WHERE application_id = %s AND key = %s AND created_at >= now() - %s",
        [application_id, key, KEY_LIFETIME],
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    return Replay(bytes(row[1])) if bytes(row[0]) == request_hash else KeyReused()


async def _stored_answer(connection: Connection, application_id: UUID, key: str, request_hash: bytes) -> Acceptance:
    return await find_answer(connection, application_id, key, request_hash) or KeyInFlight()


async def forget_keys(connection: Connection) -> None:
    """Retention: idempotency keys whose time is over."""
    await connection.execute("DELETE FROM idempotency_keys WHERE created_at < now() - %s", [KEY_LIFETIME])


async def write_emails(
    connection: Connection, emails: Sequence[NewEmail], default_topics: Mapping[UUID, UUID] = NO_TOPICS
) -> None:
    """Write all rows of these emails. The caller's transaction commits them. `default_topics`, by application, are what
    marketing mail that names no topic is of."""
    topics = [default_topics.get(e.application_id) if _needs_topic(e) else e.topic_id for e in emails]
    await store(connection, emails, topics)
    await _count_accepted(connection, emails, topics)
    if later := [replace(e, topic_id=topic) for e, topic in zip(emails, topics, strict=True) if e.scheduled_at]:
        await tell_scheduled(connection, later)


async def _count_accepted(connection: Connection, emails: Sequence[NewEmail], topics: Sequence[UUID | None]) -> None:
    accepted: Counter[tuple[Counted, Origin | None]] = Counter()
    # Those of one request are alike and stand together: their ids are compared, and not hashed each.
    for alike, ours in groupby(zip(emails, topics, strict=True), _whose):
        leaving = sum(not r.capture for e, _ in ours for r in e.recipients)  # what never leaves counts nowhere
        if leaving:
            lane, application, domain, topic, tags, captured = alike
            whose = origin(application, domain, topic, tags, captured)
            accepted[Counted(lane.value, "", "", "accepted"), whose] += leaving
    await counters.add(connection, accepted)


def _whose(
    accepted: tuple[NewEmail, UUID | None],
) -> tuple[Lane, UUID, UUID, UUID | None, tuple[tuple[str, str], ...], bool]:
    e, topic = accepted
    return e.lane, e.application_id, e.domain_id, topic, e.tags, e.capture
