"""One recipient in one answer: may we write to them and if not why, what they take, and what they did last.

Whether mail may leave is asked with the claim's own two predicates, for each stream and each topic, so that this
answer and what happens to the mail cannot differ. Somebody nobody knows is an answer too: nothing forbids mail to them.

An application's answer is about its own mail. An operator's is about everybody's, with that of each application that
knows the person (`everywhere`). Reads only, but for the activity that an application reports.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from psycopg.rows import TupleRow

from audience import choices
from audience.choices import Made, Person, Preference
from audience.predicate import ALL, PAUSED, refusing
from audience.topics import Topic
from core.queues import Lane
from core.refusal import invalid
from messages import choosing
from outcomes import engagement
from outcomes.engagement import FORGET, Engagement
from outcomes.obstacles import Obstacle
from store.database import Connection
from suppression import finding
from suppression.entries import Suppression
from suppression.predicate import forbidding

NOBODY: Final = UUID(int=0)
"""No application has this id: what forbids mail of it forbids everybody's."""

FAST_CLOCK: Final = timedelta(minutes=5)
"""So far ahead of ours an application's clock may be: what it reports counts as now."""

# Of several entries the one that holds longest, so that `until` is the day on which mail may leave again.
_OBSTACLES: Final = f"""
SELECT s.reason, s.created_at, s.expires_at, {refusing("r")}
  FROM unnest(%(lanes)s::text[], %(topics)s::uuid[]) WITH ORDINALITY AS u(lane, topic_id, n)
 CROSS JOIN LATERAL (SELECT %(address)s::text AS address, u.lane AS lane, %(application)s::uuid AS application_id,
                            u.topic_id AS topic_id) r
  LEFT JOIN LATERAL (SELECT s.reason, s.created_at, s.expires_at {forbidding("r")}
                      ORDER BY s.expires_at DESC NULLS FIRST, s.reason = 'unsubscribe', s.created_at LIMIT 1) s ON true
 ORDER BY u.n
"""

# The messages of an address first, by its index: the planner may not walk all mail from the newest to find one of hers.
_LAST_DELIVERY: Final = """
WITH mine AS MATERIALIZED (
  SELECT email_id, position, updated_at FROM messages
   WHERE address = %(address)s AND state = 'delivered' AND NOT capture)
SELECT m.email_id, e.lane, coalesce(d.at, m.updated_at)
  FROM (SELECT * FROM mine ORDER BY email_id DESC, position) m
 CROSS JOIN LATERAL (SELECT application_id, lane FROM emails WHERE id = m.email_id OFFSET 0) e
  LEFT JOIN LATERAL (SELECT v.at FROM events v WHERE v.email_id = m.email_id AND v.position = m.position
                        AND v.kind = 'delivered' ORDER BY v.at DESC LIMIT 1) d ON true
 WHERE %(application)s::uuid IS NULL OR e.application_id = %(application)s
 ORDER BY m.email_id DESC LIMIT 1
"""

# One look into an index for each application: there are few, and no table knows all whom it ever wrote to.
_KNOWN_TO: Final = """
WITH senders AS MATERIALIZED (
  SELECT DISTINCT e.application_id AS id FROM messages m
   CROSS JOIN LATERAL (SELECT application_id FROM emails WHERE id = m.email_id OFFSET 0) e
   WHERE m.address = %(address)s AND NOT m.capture)
SELECT a.id, a.name FROM applications a
 WHERE a.id IN (SELECT id FROM senders) OR a.id::text = ANY(%(owners)s)
    OR EXISTS (SELECT FROM choices c WHERE c.address = %(address)s AND c.application_id = a.id)
    OR EXISTS (SELECT FROM engaged g WHERE g.address = %(address)s AND g.application_id = a.id)
 ORDER BY a.id
"""


@dataclass(frozen=True, slots=True)
class StreamState:
    """Whether mail of a stream may leave for somebody."""

    lane: Lane
    obstacle: Obstacle | None
    """None: it may."""
    topic: str = ""
    """Name of the type of mail that it is of when none is named, "" for none."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """The same of one type of mail, with what they chose."""

    preference: Preference
    obstacle: Obstacle | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A mail that somebody's server took."""

    email_id: UUID
    lane: Lane
    at: datetime


@dataclass(frozen=True, slots=True)
class Recipient:
    """How it stands between somebody and an application, or this whole installation."""

    address: str
    """Folded."""
    streams: tuple[StreamState, ...]
    topics: tuple[TopicState, ...]
    left_all: bool
    """They left all marketing mail of the application."""
    paused_until: datetime | None
    entries: tuple[Suppression, ...]
    """Of the suppression list, about them; what other applications agreed with them is left out."""
    delivery: Delivery | None
    """The last one that did not come back."""
    engagement: Engagement

    @property
    def known(self) -> bool:
        """Whether anything is known of them."""
        chosen = any(state.preference.chosen for state in self.topics)
        said = self.left_all or self.paused_until is not None or chosen
        return said or bool(self.entries) or self.delivery is not None or self.engagement.last is not None


@dataclass(frozen=True, slots=True)
class Everywhere:
    """What operators see of somebody."""

    altogether: Recipient
    """What holds for everybody's mail, and what was last in anybody's."""
    applications: tuple["KnownTo", ...]
    """Those that know the person."""


@dataclass(frozen=True, slots=True)
class KnownTo:
    """An application that knows somebody, and how it stands there."""

    id: UUID
    name: str
    recipient: Recipient


async def of_application(connection: Connection, person: Person) -> Recipient:
    """How it stands between a person and an application, as the application may see it."""
    whose = person.application_id
    stands = await choosing.standing(connection, person)
    entries = await finding.about(connection, person.address)
    known = [one.topic for one in stands.preferences]
    streams, topics = await _obstacles(connection, person, known)
    defaults = [_default(lane, known) for lane in Lane]
    return Recipient(
        person.address,
        tuple(map(StreamState, Lane, streams, [one.name if one else "" for one in defaults])),
        tuple(map(TopicState, stands.preferences, topics)),
        stands.off,
        stands.paused_until,
        tuple(one.seen_by(whose) for one in entries if one.concerns(whose)),
        await _last_delivery(connection, person.address, whose),
        await engagement.engagement_of(connection, whose, person.address) or Engagement(),
    )


async def everywhere(connection: Connection, address: str) -> Everywhere:
    """What is known of a (folded) address in the whole installation, for its operators."""
    entries = await finding.about(connection, address)
    owners = [str(one.only_for) for one in entries if one.only_for]
    rows = await (await connection.execute(_KNOWN_TO, {"address": address, "owners": owners})).fetchall()
    known = [KnownTo(found, name, await of_application(connection, Person(found, address))) for found, name in rows]
    streams, _ = await _obstacles(connection, Person(NOBODY, address), [])
    altogether = Recipient(
        address,
        tuple(map(StreamState, Lane, streams)),
        (),
        False,
        None,
        tuple(entries),
        await _last_delivery(connection, address, None),
        engagement.together([one.recipient.engagement for one in known]),
    )
    return Everywhere(altogether, tuple(known))


async def report_activity(
    connection: Connection, person: Person, at: datetime | None, now: datetime
) -> datetime | None:
    """A sign of life that the application saw, such as a login; the last one that is known then. Told twice, or late,
    it changes nothing. What is older than all that is kept is not kept. Raises Refused for a time still to come."""
    seen = _moment(at, now)
    if seen > now - FORGET:
        await engagement.report_activity(connection, person.application_id, person.address, seen)
    found = await engagement.engagement_of(connection, person.application_id, person.address)
    return found.active_at if found else None


def _moment(at: datetime | None, now: datetime) -> datetime:
    if at is None:
        return now
    if at.tzinfo is None:
        raise invalid("at", "it needs a time zone, such as a `Z` at its end")
    if at > now + FAST_CLOCK:
        raise invalid("at", "it lies in the future")
    return min(at, now)


async def _obstacles(
    connection: Connection, person: Person, topics: Sequence[Topic]
) -> tuple[list[Obstacle | None], list[Obstacle | None]]:
    """What is in the way of each stream, and of each of these topics."""
    lanes = [*(lane.value for lane in Lane), *(topic.lane.value for topic in topics)]
    defaults = [_default(lane, topics) for lane in Lane]
    named = [topic.id if topic else None for topic in (*defaults, *topics)]
    values = {"lanes": lanes, "topics": named, "address": person.address, "application": person.application_id}
    moments = await choices.moments(connection, person)
    rows = await (await connection.execute(_OBSTACLES, values)).fetchall()
    found = [_obstacle(row, topic, moments) for row, topic in zip(rows, named, strict=True)]
    return found[: len(Lane)], found[len(Lane) :]


def _default(lane: Lane, topics: Sequence[Topic]) -> Topic | None:
    """What mail of a stream is of when it names no topic (`messages/accept`)."""
    return next((one for one in topics if one.is_default), None) if lane is Lane.MARKETING else None


def _obstacle(row: TupleRow, topic: UUID | None, moments: Mapping[UUID, Made]) -> Obstacle | None:
    reason, since, until, word = row
    if reason is not None:
        return Obstacle(reason, since, until)
    if word is None:
        return None
    choice = moments.get(ALL if word == PAUSED else topic or ALL)
    if choice is None:
        return Obstacle(word, None, None)
    return Obstacle(word, choice.at, choice.until)


async def _last_delivery(connection: Connection, address: str, application_id: UUID | None) -> Delivery | None:
    names = {"address": address, "application": application_id}
    row = await (await connection.execute(_LAST_DELIVERY, names)).fetchone()
    return Delivery(row[0], Lane(row[1]), row[2]) if row else None
