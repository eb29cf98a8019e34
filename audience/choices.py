"""What recipients chose: which types of mail they take, and until when all of it pauses; with the history of it.

A choice belongs to one application and one folded address, and says something only where somebody chose: without one a
topic's default holds. Every act that changes something leaves a row of history with time, source and address of the
client; acts that repeat what holds already leave none, so that a mail provider may post its one-click twice. It keeps
`KEPT` rows of a person, and beyond them the last of each kind: who presses a button all day fills no disk.

Every function works on the caller's connection and never commits; once the caller has, the next claim sees it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import Final
from uuid import UUID

from audience.predicate import ALL
from audience.topics import Subscription, Topic, Visibility
from core.addresses import AddressError, fold_address
from core.paging import Page
from core.queues import Lane
from core.refusal import not_found
from store.database import Connection
from suppression.reasons import Source

__all__ = ["Act", "Past", "Person", "Preference", "Source", "What", "preference_face"]


KEPT: Final = 1000
"""Rows of history of one person in one application."""

OWN_HAND: Final = frozenset({Source.LINK, Source.ONE_CLICK, Source.MAILTO})
"""What the person did themselves; all else is said for them."""


class What(StrEnum):
    """What somebody did. The values are stored."""

    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"
    PAUSED = "paused"
    RESUMED = "resumed"
    ALL_OFF = "all_off"
    """Left all marketing mail of the application: a suppression says so (`messages/choosing`)."""
    ALL_ON = "all_on"
    MOVE_ASKED = "move_asked"
    """Wants the mail at another address; nothing moves before that one has confirmed."""
    MOVED_TO = "moved_to"
    MOVED_FROM = "moved_from"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as one application knows them."""

    application_id: UUID
    address: str
    """Folded."""


def person_named(application_id: UUID, text: str) -> Person:
    """The person whom somebody named, by an address as people write it. Raises Refused: nobody has such an address."""
    try:
        return Person(application_id, fold_address(text))
    except AddressError as error:
        raise not_found(f"people are named by their address: {error.reason}", code=error.code) from None


@dataclass(frozen=True, slots=True)
class Act:
    """How a choice came to us: kept with it."""

    source: Source
    ip: str = ""
    """Address of the client that asked, "" when there is none."""
    email_id: UUID | None = None
    """The mail whose link or header was used."""
    position: int = 0
    """Which of its recipients."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Preference:
    """One topic as it is for one person."""

    topic: Topic
    subscribed: bool
    chosen: bool
    """They said so; else it is the topic's default."""

    @property
    def shown(self) -> bool:
        """Whether they see it among their preferences: a private topic only who gets it, or has chosen about it."""
        return self.topic.visibility is Visibility.PUBLIC or self.subscribed or self.chosen


def preference_face(preference: Preference) -> dict[str, object]:
    """A topic as it is for one person, as JSON: in the API's answers and in events."""
    topic = preference.topic
    return {
        "id": topic.id,
        "name": topic.name,
        "description": topic.description,
        "subscription": "opt_in" if preference.subscribed else "opt_out",
        "chosen": preference.chosen,
    }


@dataclass(frozen=True, slots=True)
class Made:
    """When a choice was made."""

    at: datetime
    until: datetime | None
    """Of a pause: when it ends."""


@dataclass(frozen=True, slots=True)
class Past:
    """One row of the history."""

    id: int
    topic_id: UUID | None
    what: What
    until: datetime | None
    source: Source
    ip: str
    email_id: UUID | None
    detail: str
    at: datetime


# The rows of one person are locked in one order, so that two who choose for them wait instead of deadlocking.
_SUBSCRIBE = """
INSERT INTO choices AS c (address, application_id, topic_id, subscription)
SELECT %(address)s, %(application)s, u.topic_id, u.subscription
  FROM unnest(%(topics)s::uuid[], %(subscriptions)s::text[]) AS u(topic_id, subscription) ORDER BY u.topic_id
ON CONFLICT (address, application_id, topic_id) DO UPDATE
  SET subscription = EXCLUDED.subscription, updated_at = now()
  WHERE c.subscription IS DISTINCT FROM EXCLUDED.subscription
RETURNING topic_id
"""

# A pause that is over is none: ending it changes nothing.
_PAUSE = f"""
INSERT INTO choices AS c (address, application_id, topic_id, paused_until)
VALUES (%(address)s, %(application)s, '{ALL}', %(until)s)
ON CONFLICT (address, application_id, topic_id) DO UPDATE SET paused_until = EXCLUDED.paused_until, updated_at = now()
  WHERE c.paused_until IS DISTINCT FROM EXCLUDED.paused_until
    AND (EXCLUDED.paused_until IS NOT NULL OR c.paused_until > now())
RETURNING paused_until
"""

# Where both have chosen, the later word stands.
_COPY = """
INSERT INTO choices AS c (address, application_id, topic_id, subscription, paused_until, updated_at)
SELECT %(to)s, application_id, topic_id, subscription, paused_until, updated_at FROM choices
 WHERE address = %(from)s AND application_id = %(application)s ORDER BY topic_id
ON CONFLICT (address, application_id, topic_id) DO UPDATE SET subscription = EXCLUDED.subscription,
  paused_until = EXCLUDED.paused_until, updated_at = EXCLUDED.updated_at WHERE c.updated_at < EXCLUDED.updated_at
"""

# With their own times: the proof of a consent is when and how it was given. Only what is missing: who moves to another
# address and back brings what came from here.
_COPY_HISTORY = """
INSERT INTO choice_history (address, application_id, topic_id, what, until, source, ip, email_id, detail, at)
SELECT %(to)s, application_id, topic_id, what, until, source, ip, email_id,
       CASE WHEN detail LIKE 'as %%' THEN detail ELSE 'as ' || address || CASE WHEN detail = '' THEN '' ELSE ': ' END
            || detail END, at
  FROM choice_history h WHERE address = %(from)s AND application_id = %(application)s
   AND NOT EXISTS (SELECT FROM choice_history t WHERE t.address = %(to)s AND t.application_id = h.application_id
                      AND t.at = h.at AND t.what = h.what AND t.topic_id IS NOT DISTINCT FROM h.topic_id)
 ORDER BY id
"""

# What was said again since goes first. Wishes to move stay as long as one may be followed or is counted, and every
# address that mail moved to or from: who is erased is erased there, too (`audience/earlier`).
_TRIM = f"""
DELETE FROM choice_history h
 WHERE address = %(address)s AND application_id = %(application)s
   AND id <= (SELECT id FROM choice_history WHERE address = %(address)s AND application_id = %(application)s
               ORDER BY id DESC OFFSET {KEPT} LIMIT 1)
   AND (what NOT IN ('{What.MOVE_ASKED}', '{What.MOVED_TO}') OR at < now() - interval '8 days')
   AND EXISTS (SELECT FROM choice_history n WHERE n.address = h.address AND n.application_id = h.application_id
                  AND n.id > h.id AND n.what = h.what AND n.topic_id IS NOT DISTINCT FROM h.topic_id
                  AND (n.detail = h.detail OR h.what NOT IN ('{What.MOVED_TO}', '{What.MOVED_FROM}')))
"""

# Rows of one transaction have its time. What `copy` brought along is another address's.
_LEFT_BY_MOVING: Final = f"""
SELECT h.what = '{What.ALL_OFF}' AND EXISTS (
         SELECT FROM choice_history m WHERE m.address = h.address AND m.application_id = h.application_id
            AND m.what = '{What.MOVED_TO}' AND m.at = h.at AND m.detail NOT LIKE 'as %%')
  FROM choice_history h WHERE h.address = %(address)s AND h.application_id = %(application)s
   AND h.what IN ('{What.ALL_OFF}', '{What.ALL_ON}') ORDER BY h.id DESC LIMIT 1
"""

_FORGET_PERSON: Final = (
    "DELETE FROM choices WHERE address = %(address)s AND application_id = %(application)s",
    "DELETE FROM choice_history WHERE address = %(address)s AND application_id = %(application)s",
)

_FORGET: Final = (
    "DELETE FROM tapering_policies WHERE application_id = %s",
    "DELETE FROM topics WHERE application_id = %s",
)

_HISTORY = "id, topic_id, what, until, source, coalesce(ip, ''), email_id, detail, at"


async def preferences(connection: Connection, person: Person, topics: Sequence[Topic]) -> list[Preference]:
    """How these topics of the person's application are for them, in the same order."""
    cursor = await connection.execute(
        "SELECT topic_id, subscription FROM choices"
        " WHERE address = %s AND application_id = %s AND subscription IS NOT NULL",
        [person.address, person.application_id],
    )
    chosen = {topic_id: Subscription(text) for topic_id, text in await cursor.fetchall()}
    return [_preference(topic, chosen.get(topic.id)) for topic in topics]


async def paused_until(connection: Connection, person: Person) -> datetime | None:
    """When the pause ends; None when there is none."""
    cursor = await connection.execute(
        "SELECT paused_until FROM choices"
        " WHERE address = %s AND application_id = %s AND topic_id = %s AND paused_until > now()",
        [person.address, person.application_id, ALL],
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def moments(connection: Connection, person: Person) -> dict[UUID, Made]:
    """When each choice that stands was made, by topic; the pause under `ALL`."""
    cursor = await connection.execute(
        "SELECT topic_id, updated_at, paused_until FROM choices WHERE address = %s AND application_id = %s",
        [person.address, person.application_id],
    )
    return {topic_id: Made(at, until) for topic_id, at, until in await cursor.fetchall()}


async def subscribe(
    connection: Connection, person: Person, wanted: Mapping[UUID, Subscription], act: Act
) -> dict[UUID, Subscription]:
    """Say for topics whether the person takes them; those for which that is new."""
    if not wanted:
        return {}
    columns = {"topics": list(wanted), "subscriptions": [text.value for text in wanted.values()]}
    cursor = await connection.execute(_SUBSCRIBE, _names(person) | columns)
    changed = {row[0]: wanted[row[0]] for row in await cursor.fetchall()}
    for topic_id, subscription in changed.items():
        await note(connection, person, What(subscription.value), act, topic_id=topic_id)
    return changed


async def pause(connection: Connection, person: Person, until: datetime | None, act: Act) -> bool:
    """Stop all marketing mail until then, or go on with it now (None); whether that is new."""
    cursor = await connection.execute(_PAUSE, _names(person) | {"until": until})
    row = await cursor.fetchone()
    if row is None:
        return False
    await note(connection, person, What.PAUSED if until else What.RESUMED, act, until=until)
    return True


async def copy(connection: Connection, person: Person, to: str, act: Act) -> None:
    """Give another (folded) address what this one chose, with its history; of two choices the later one stands."""
    names = {"from": person.address, "to": to, "application": person.application_id}
    await connection.execute(_COPY, names)
    await connection.execute(_COPY_HISTORY, names)
    await note(connection, person, What.MOVED_TO, replace(act, detail=to))
    await note(connection, Person(person.application_id, to), What.MOVED_FROM, replace(act, detail=person.address))


async def note(
    connection: Connection,
    person: Person,
    what: What,
    act: Act,
    *,
    topic_id: UUID | None = None,
    until: datetime | None = None,
) -> None:
    """A row of history."""
    await connection.execute(
        "INSERT INTO choice_history (address, application_id, topic_id, what, until, source, ip, email_id, detail)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            person.address, person.application_id, topic_id, what.value, until, act.source.value, act.ip or None,
            act.email_id, act.detail,
        ],
    )  # fmt: skip
    await connection.execute(_TRIM, _names(person))


async def asked_lately(connection: Connection, person: Person) -> int:
    """How often the person asked for another address in the last 24 hours. Until the end of the transaction nobody
    else asks for them."""
    await alone(connection, person)
    cursor = await connection.execute(
        "SELECT count(*) FROM choice_history WHERE address = %s AND application_id = %s AND what = %s"
        " AND at > now() - interval '24 hours'",
        [person.address, person.application_id, What.MOVE_ASKED.value],
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def alone(connection: Connection, person: Person) -> None:
    """Until the end of the transaction nobody else decides for this person: a choice touches several tables, and two at
    once would each wait for what the other holds."""
    key = f"{person.application_id} {person.address}"
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])


async def alone_at(connection: Connection, application_id: UUID, addresses: Iterable[str]) -> None:
    """The same at several addresses: in one order, or two who hold them would each wait for the other."""
    for address in sorted(set(addresses)):
        await alone(connection, Person(application_id, address))


class MoveStands(Enum):
    """How it stands with the wish to get the mail at another address."""

    OPEN = auto()
    DONE = auto()
    FORGOTTEN = auto()
    """Who wished it was erased since."""


_WISH: Final = """
SELECT EXISTS (SELECT FROM choice_history WHERE address = %(address)s AND application_id = %(application)s
                AND what = %(moved)s AND detail = %(to)s AND at >= %(since)s),
       EXISTS (SELECT FROM choice_history WHERE address = %(address)s AND application_id = %(application)s
                AND what = %(asked)s AND at BETWEEN %(since)s - %(apart)s AND %(since)s + %(apart)s)
"""
_APART: Final = timedelta(minutes=10)
"""So far the clocks of pages and database may be apart."""


async def move_stands(connection: Connection, person: Person, to: str, since: datetime) -> MoveStands:
    """Whether the person who wished it then has moved to that (folded) address, and nobody else moves them now. Nobody
    decides for either address from here on."""
    await alone_at(connection, person.application_id, (person.address, to))
    names = _names(person) | {
        "moved": What.MOVED_TO.value, "asked": What.MOVE_ASKED.value, "to": to, "since": since, "apart": _APART
    }  # fmt: skip
    row = await (await connection.execute(_WISH, names)).fetchone()
    assert row is not None, "it has a row"
    moved, asked = row
    return MoveStands.DONE if moved else MoveStands.OPEN if asked else MoveStands.FORGOTTEN


async def history(connection: Connection, person: Person, limit: int = KEPT) -> Page[Past]:
    """What the person did, newest first."""
    cursor = await connection.execute(
        f"SELECT {_HISTORY} FROM choice_history WHERE address = %s AND application_id = %s ORDER BY id DESC LIMIT %s",
        [person.address, person.application_id, limit + 1],
    )
    rows = await cursor.fetchall()
    return Page([_past(row) for row in rows[:limit]], len(rows) > limit)


async def left_by_hand(connection: Connection, person: Person) -> bool:
    """Whether it was the person themselves who left all marketing mail, or came back to it, last."""
    cursor = await connection.execute(
        "SELECT what, source FROM choice_history WHERE address = %s AND application_id = %s AND what = ANY(%s)"
        " ORDER BY id DESC LIMIT 1",
        [person.address, person.application_id, [What.ALL_OFF.value, What.ALL_ON.value]],
    )
    row = await cursor.fetchone()
    return row is not None and row[0] == What.ALL_OFF and Source(row[1]) in OWN_HAND


async def left_by_moving(connection: Connection, person: Person) -> bool:
    """Whether what was done last about all marketing mail here was that the mail moved away, in one transaction with
    it: nobody left it since, and nobody came back."""
    cursor = await connection.execute(_LEFT_BY_MOVING, _names(person))
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def forget(connection: Connection, person: Person) -> None:
    """Somebody is erased: what they chose, and that they did."""
    for statement in _FORGET_PERSON:
        await connection.execute(statement, _names(person))


async def forget_application(connection: Connection, application_id: UUID) -> None:
    """An application is gone, and with it what could be chosen of its mail; what was goes by `forgetting`."""
    for statement in _FORGET:
        await connection.execute(statement, [application_id])


def _preference(topic: Topic, chosen: Subscription | None) -> Preference:
    subscribed = topic.lane is Lane.TRANSACTIONAL or (chosen or topic.default) is Subscription.OPT_IN
    return Preference(topic, subscribed, chosen is not None)


def _names(person: Person) -> dict[str, object]:
    return {"address": person.address, "application": person.application_id}


def _past(row: Sequence[object]) -> Past:
    identifier, topic, what, until, source, ip, email, detail, at = row
    return Past(identifier, topic, What(what), until, Source(source), ip, email, detail, at)  # type: ignore[arg-type]
