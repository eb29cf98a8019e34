"""Topics: the types of mail of an application, which its recipients may take or leave.

A topic belongs to one stream. Choices rule those of the marketing stream; one of the transactional stream only names
its mail, and recipients see it as always on. Marketing mail without a topic is of the application's default topic,
which is made when it is first needed (`DefaultTopics`) and cannot be deleted. A deleted topic stays as a row, hidden,
for as long as mail of it may wait; then it goes with all that was chosen about it.

Every function works on the caller's connection and never commits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from core.ids import uuid7
from core.paging import Page, Window, cut
from core.queues import Lane
from core.refusal import conflict, invalid, not_found
from core.remembered import Remembered
from store.database import Connection, Database
from store.paging import newest_first
from webhooks import outbox
from webhooks.kinds import EventType

MOST: Final = 200
"""Topics of one application: a person has to find their way among them."""
HIDDEN_DAYS: Final = 40
"""Mail waits at most so long: 30 days for its time, and then three for a server that takes it."""
KEEP_SECONDS: Final = 5.0
DEFAULT_NAME: Final = "News and offers"
"""What recipients read until the application gives its default topic another name."""

_COLUMNS = "id, application_id, name, description, default_subscription, visibility, lane, is_default, created_at"


class Subscription(StrEnum):
    """Whether somebody gets a type of mail. The values are stored."""

    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"


class Visibility(StrEnum):
    """Who sees a topic among the preferences."""

    PUBLIC = "public"
    """Everybody."""
    PRIVATE = "private"
    """Only who gets it, or has chosen about it."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A stored topic."""

    id: UUID
    application_id: UUID
    name: str
    description: str
    default: Subscription
    """For whom has not chosen."""
    visibility: Visibility
    lane: Lane
    is_default: bool
    """Marketing mail without a topic is of this one."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to make."""

    application_id: UUID
    name: str
    default: Subscription
    description: str = ""
    visibility: Visibility = Visibility.PRIVATE
    lane: Lane = Lane.MARKETING


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change; None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    visibility: Visibility | None = None


async def create(connection: Connection, wanted: NewTopic) -> Topic:
    """A new topic. Raises Refused when the application has `MOST`, or one of that name: people choose by names."""
    await _only_one(connection, wanted.application_id, wanted.name)
    cursor = await connection.execute(
        f"INSERT INTO topics (id, application_id, name, description, default_subscription, visibility, lane)"
        f" SELECT %(id)s, %(application)s, %(name)s, %(description)s, %(default)s, %(visibility)s, %(lane)s"
        f" WHERE (SELECT count(*) FROM topics WHERE application_id = %(application)s AND deleted_at IS NULL) < %(most)s"
        f" RETURNING {_COLUMNS}",
        {
            "id": uuid7(), "application": wanted.application_id, "name": wanted.name,
            "description": wanted.description, "default": wanted.default.value,
            "visibility": wanted.visibility.value, "lane": wanted.lane.value, "most": MOST,
        },
    )  # fmt: skip
    row = await cursor.fetchone()
    if row is None:
        raise conflict(f"an application has at most {MOST} topics", "Delete one that is no longer sent.")
    return await _told(connection, EventType.TOPIC_CREATED, _topic(row))


async def _only_one(connection: Connection, application_id: UUID, name: str, but: UUID | None = None) -> None:
    """Raises Refused when another topic is called so, in whatever case. Who names topics at one time takes turns."""
    await connection.execute("SELECT FROM applications WHERE id = %s FOR NO KEY UPDATE", [application_id])
    cursor = await connection.execute(
        "SELECT id FROM topics WHERE application_id = %s AND lower(name) = lower(%s) AND deleted_at IS NULL"
        " AND id IS DISTINCT FROM %s LIMIT 1",
        [application_id, name, but],
    )
    row = await cursor.fetchone()
    if row is not None:
        raise conflict(f"there is a topic {name!r} already", f"Its id is {row[0]}.")


async def find(connection: Connection, application_id: UUID, identifier: UUID) -> Topic | None:
    """A topic of the application that is not deleted."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM topics WHERE id = %s AND application_id = %s AND deleted_at IS NULL",
        [identifier, application_id],
    )
    row = await cursor.fetchone()
    return _topic(row) if row else None


async def named(connection: Connection, application_id: UUID, name: str) -> Topic | None:
    """The topic of that name, in whatever case. Raises Refused when there are several: names are for people."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM topics WHERE application_id = %s AND lower(name) = lower(%s) AND deleted_at IS NULL"
        " LIMIT 2",
        [application_id, name],
    )
    rows = await cursor.fetchall()
    if len(rows) > 1:
        raise invalid("topic", f"several topics are called {name}: name one by its id")
    return _topic(rows[0]) if rows else None


async def get(connection: Connection, application_id: UUID, identifier: UUID) -> Topic:
    """The same; raises Refused when there is none."""
    found = await find(connection, application_id, identifier)
    if found is None:
        raise not_found("Topic not found")
    return found


async def every(connection: Connection, application_id: UUID) -> list[Topic]:
    """All topics of an application, oldest first, the default one in front."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM topics WHERE application_id = %s AND deleted_at IS NULL ORDER BY NOT is_default, id",
        [application_id],
    )
    return [_topic(row) for row in await cursor.fetchall()]


async def pairs(connection: Connection) -> frozenset[tuple[UUID, UUID]]:
    """Every application with each of its topics that is not deleted."""
    cursor = await connection.execute("SELECT application_id, id FROM topics WHERE deleted_at IS NULL")
    return frozenset(await cursor.fetchall())


async def page(connection: Connection, application_id: UUID, window: Window[UUID]) -> Page[Topic]:
    """The application's topics, newest first."""
    condition, order, names = newest_first(window)
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM topics WHERE application_id = %(application)s AND deleted_at IS NULL AND {condition}"
        f" ORDER BY id {order} LIMIT %(limit)s",
        names | {"application": application_id},
    )
    return cut(await cursor.fetchall(), window).map(_topic)


async def update(connection: Connection, application_id: UUID, identifier: UUID, changes: Changes) -> Topic:
    """Change a topic. Raises Refused when there is none, or another one is called so."""
    if changes.name is not None:
        await _only_one(connection, application_id, changes.name, identifier)
    cursor = await connection.execute(
        "UPDATE topics SET name = coalesce(%s, name), description = coalesce(%s, description),"
        " visibility = coalesce(%s, visibility)"
        f" WHERE id = %s AND application_id = %s AND deleted_at IS NULL RETURNING {_COLUMNS}",
        [changes.name, changes.description, changes.visibility, identifier, application_id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise not_found("Topic not found")
    return await _told(connection, EventType.TOPIC_UPDATED, _topic(row))


async def delete(connection: Connection, application_id: UUID, identifier: UUID) -> Topic:
    """Hide a topic for good; nothing can be sent under it any more. Raises Refused: there is none, or it is the default
    one."""
    found = await get(connection, application_id, identifier)
    if found.is_default:
        raise conflict(
            "this is the default topic, which marketing mail without a topic needs", "Give it another name instead."
        )
    await connection.execute("UPDATE topics SET deleted_at = now() WHERE id = %s", [identifier])
    return await _told(connection, EventType.TOPIC_DELETED, found)


async def forget_deleted(connection: Connection) -> None:
    """Retention: topics that were deleted long ago, and what was chosen about them. The history keeps who said what."""
    cursor = await connection.execute(
        "DELETE FROM topics WHERE deleted_at < now() - make_interval(days => %s) RETURNING id", [HIDDEN_DAYS]
    )
    gone = [row[0] for row in await cursor.fetchall()]
    if gone:
        await connection.execute("DELETE FROM choices WHERE topic_id = ANY(%s)", [gone])
        await connection.execute("DELETE FROM tapering_policies WHERE topic_id = ANY(%s)", [gone])


async def default_of(connection: Connection, application_id: UUID) -> UUID:
    """The default topic of an application, made now when there is none."""
    await connection.execute(
        "INSERT INTO topics (id, application_id, name, default_subscription, visibility, lane, is_default)"
        " SELECT %(id)s, %(application)s, %(name)s, 'opt_in', 'public', 'marketing', true"
        " WHERE NOT EXISTS (SELECT FROM topics WHERE application_id = %(application)s AND is_default)"
        " ON CONFLICT (application_id) WHERE is_default DO NOTHING",
        {"id": uuid7(), "application": application_id, "name": DEFAULT_NAME},
    )
    cursor = await connection.execute(
        "SELECT id FROM topics WHERE application_id = %s AND is_default", [application_id]
    )
    row = await cursor.fetchone()
    if row is None:
        raise AssertionError("a default topic is never deleted, and this one was made a moment ago")
    found: UUID = row[0]
    return found


class TopicBook:
    """Topics as the doors ask for them, remembered for seconds. One per process and event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._topics: Remembered[tuple[UUID, UUID | str], Topic | None] = Remembered(self._load, KEEP_SECONDS)

    async def find(self, application_id: UUID, identifier: UUID | str) -> Topic | None:
        """A topic of the application by its id, or by its name. Raises `DatabaseUnavailableError`."""
        return await self._topics.get((application_id, identifier))

    def forget(self) -> None:
        """Ask anew. Call it after a change in this process."""
        self._topics.clear()

    async def _load(self, key: tuple[UUID, UUID | str]) -> Topic | None:
        application_id, wanted = key
        async with self._database.connection() as connection:
            if isinstance(wanted, UUID):
                return await find(connection, application_id, wanted)
            return await named(connection, application_id, wanted)


async def of_mail(
    book: TopicBook, application_id: UUID, identifier: UUID | str, stream: Lane | None, field: str = "topic_id"
) -> Topic:
    """The topic that a mail names, for every door that takes mail. Without a stream of its own the mail travels in the
    topic's. Raises Refused, naming the field."""
    found = await book.find(application_id, identifier)
    if found is None:
        raise invalid(field, "there is no such topic")
    if stream not in (None, found.lane):
        raise invalid(field, f"the topic is of the {found.lane.value} stream, and the mail of the other")
    return found


class DefaultTopics:
    """The default topics of applications, each asked for or made once a process: it stays for ever."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[UUID, UUID] = {}

    async def of(self, applications: Iterable[UUID]) -> dict[UUID, UUID]:
        """By application. Commits what it makes by itself, so that what is remembered is there."""
        wanted = set(applications)
        for application_id in wanted - self._known.keys():
            async with self._database.connection() as connection:
                self._known[application_id] = await default_of(connection, application_id)
        return {application_id: self._known[application_id] for application_id in wanted}


def topic_face(topic: Topic) -> dict[str, object]:
    """A topic as JSON: in the API's answers, in `--json`, in events."""
    return {
        "id": topic.id,
        "name": topic.name,
        "description": topic.description,
        "default_subscription": topic.default,
        "visibility": topic.visibility,
        "created_at": topic.created_at,
        "stream": topic.lane,
        "is_default": topic.is_default,
    }


async def _told(connection: Connection, kind: EventType, topic: Topic) -> Topic:
    await outbox.tell(connection, kind, topic.application_id, topic_face(topic))
    return topic


def _topic(row: Sequence[object]) -> Topic:
    identifier, application, name, description, default, visibility, lane, is_default, created = row
    return Topic(
        identifier, application, name, description, Subscription(default), Visibility(visibility), Lane(lane),  # type: ignore[arg-type]
        is_default, created,  # type: ignore[arg-type]  # psycopg's rows are untyped
    )  # fmt: skip
