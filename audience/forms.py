"""Sign-up forms: what a person is asked, what they get once they have confirmed, and in whose name they are written to.

A form belongs to one application and is open to everybody who knows its id. It may put people on a list and give them
topics; what it asks beside the address are names and properties of contacts. Texts are kept by language, and what is
not given is said in the words of the pages' catalogues. A deleted form takes nobody more; links in mail that has left
still work, for the person asked.

Every function works on the caller's connection and never commits.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import orjson

from audience import membership, properties, topics
from core.addresses import AddressError, Mailbox, parse_mailbox
from core.ids import uuid7
from core.paging import Page, Window, cut
from core.queues import Lane
from core.refusal import conflict, invalid, not_found
from store.database import Connection
from store.paging import newest_first

MOST: Final = 200
"""Forms of one application."""
MOST_FIELDS: Final = 20
NAMES: Final = ("first_name", "last_name")
"""Fields that every contact has; every other is a property."""

_COLUMNS = (
    "id, application_id, name, sender, segment_id, topics, fields, language, texts, origins, welcome, created_at,"
    " updated_at"
)


@dataclass(frozen=True, slots=True)
class Field:
    """Something a form asks beside the address."""

    key: str
    """`first_name`, `last_name`, or the key of a property."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What stands above it, by language; for names the catalogues know it."""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Texts:
    """What a form says in one language; "" takes the words of the catalogue."""

    title: str = ""
    intro: str = ""
    consent: str = ""
    """What the person agrees to. Kept with their consent, word for word."""
    frequency: str = ""
    """How often mail comes, as a sentence: "Once a week, on Fridays."."""
    welcome: str = ""
    """What the welcome mail begins with."""


@dataclass(frozen=True, slots=True)
class FormFacts:
    """What its application says about a form."""

    name: str
    """For the application; recipients never see it."""
    sender: str
    """`Name <address>` that its mail comes from."""
    segment_id: UUID | None = None
    """The list that people are put on."""
    topics: tuple[UUID, ...] = ()
    """Offered to choose from; none: all mail that is not left."""
    fields: tuple[Field, ...] = ()
    language: str = "en"
    """Of readers whose own is not there."""
    texts: Mapping[str, Texts] = field(default_factory=dict)
    origins: tuple[str, ...] = ()
    """Web origins whose pages may use it by script."""
    welcome: bool = True
    """Whether a welcome mail follows."""


@dataclass(frozen=True, slots=True)
class Form:
    """A stored form."""

    id: UUID
    application_id: UUID
    facts: FormFacts
    created_at: datetime
    updated_at: datetime

    @property
    def sender(self) -> Mailbox:
        """Who writes."""
        return parse_mailbox(self.facts.sender)

    @property
    def sender_name(self) -> str:
        """As people know it."""
        return self.sender.name or self.sender.domain

    def texts(self, language: str) -> Texts:
        """In a language, else in the form's own."""
        known = self.facts.texts
        return known.get(language) or known.get(self.facts.language) or Texts()

    def label(self, asked: Field, language: str) -> str:
        """Of a field; "" where the catalogue knows it, or its key."""
        found = asked.labels.get(language) or asked.labels.get(self.facts.language) or ""
        return found or ("" if asked.key in NAMES else asked.key)


async def create(connection: Connection, application_id: UUID, facts: FormFacts) -> Form:
    """A new form. Raises Refused."""
    await _check(connection, application_id, facts)
    cursor = await connection.execute(
        "INSERT INTO signup_forms (id, application_id, name, sender, segment_id, topics, fields, language, texts,"
        " origins, welcome) SELECT %(id)s, %(application)s, %(name)s, %(sender)s, %(segment)s, %(topics)s, %(fields)s,"
        " %(language)s, %(texts)s, %(origins)s, %(welcome)s WHERE (SELECT count(*) FROM signup_forms"
        " WHERE application_id = %(application)s AND deleted_at IS NULL) < %(most)s RETURNING " + _COLUMNS,
        _values(facts) | {"id": uuid7(), "application": application_id, "most": MOST},
    )
    row = await cursor.fetchone()
    if row is None:
        raise conflict(f"an application has at most {MOST} forms", "Delete one that nobody uses.")
    return _form(row)


async def update(connection: Connection, application_id: UUID, identifier: UUID, facts: FormFacts) -> Form:
    """Say all of a form anew. Raises Refused."""
    await _check(connection, application_id, facts)
    cursor = await connection.execute(
        "UPDATE signup_forms SET name = %(name)s, sender = %(sender)s, segment_id = %(segment)s, topics = %(topics)s,"
        " fields = %(fields)s, language = %(language)s, texts = %(texts)s, origins = %(origins)s,"
        " welcome = %(welcome)s, updated_at = now()"
        " WHERE id = %(id)s AND application_id = %(application)s AND deleted_at IS NULL RETURNING " + _COLUMNS,
        _values(facts) | {"id": identifier, "application": application_id},
    )
    row = await cursor.fetchone()
    if row is None:
        raise not_found("Form not found")
    return _form(row)


async def delete(connection: Connection, application_id: UUID, identifier: UUID) -> None:
    """It takes nobody more. Raises Refused when there is none."""
    cursor = await connection.execute(
        "UPDATE signup_forms SET deleted_at = now() WHERE id = %s AND application_id = %s AND deleted_at IS NULL",
        [identifier, application_id],
    )
    if not cursor.rowcount:
        raise not_found("Form not found")


async def get(connection: Connection, application_id: UUID, identifier: UUID) -> Form:
    """One of the application. Raises Refused when there is none."""
    found = await shown(connection, identifier)
    if found is None or found.application_id != application_id:
        raise not_found("Form not found")
    return found


async def shown(connection: Connection, identifier: UUID) -> Form | None:
    """The form that everybody may see."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM signup_forms WHERE id = %s AND deleted_at IS NULL", [identifier]
    )
    row = await cursor.fetchone()
    return _form(row) if row else None


async def kept(connection: Connection, wanted: Collection[tuple[UUID, UUID]]) -> dict[UUID, Form]:
    """By id, of applications and forms: deleted ones too, for whoever signed up through one may still confirm; not one
    that is another application's."""
    owners, identifiers = zip(*wanted, strict=True) if wanted else ((), ())
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM signup_forms WHERE (application_id, id) IN"
        " (SELECT * FROM unnest(%s::uuid[], %s::uuid[]))",
        [list(owners), list(identifiers)],
    )
    return {row[0]: _form(row) for row in await cursor.fetchall()}


async def kept_one(connection: Connection, application_id: UUID, identifier: UUID | None) -> Form | None:
    """The same for one."""
    return (await kept(connection, {(application_id, identifier)})).get(identifier) if identifier else None


async def page(connection: Connection, application_id: UUID, window: Window[UUID]) -> Page[Form]:
    """The application's forms, newest first."""
    condition, order, names = newest_first(window)
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM signup_forms WHERE application_id = %(application)s AND deleted_at IS NULL"
        f" AND {condition} ORDER BY id {order} LIMIT %(limit)s",
        names | {"application": application_id},
    )
    return cut(await cursor.fetchall(), window).map(_form)


async def forget_application(connection: Connection, application_id: UUID) -> None:
    """An application is gone."""
    await connection.execute("DELETE FROM signup_forms WHERE application_id = %s", [application_id])


# What a form may say


async def _check(connection: Connection, application_id: UUID, facts: FormFacts) -> None:
    _check_fields(facts)
    for number, origin in enumerate(facts.origins):
        if not _is_origin(origin):
            raise invalid(f"origins[{number}]", f"{origin[:60]!r} is no web origin such as https://www.example.com")
    try:
        sender = parse_mailbox(facts.sender)
    except AddressError as error:
        raise invalid("from", error.reason) from None
    await _check_sender(connection, application_id, sender)
    await _check_aims(connection, application_id, facts)


def _check_fields(facts: FormFacts) -> None:
    keys = [asked.key for asked in facts.fields]
    if len(keys) > MOST_FIELDS:
        raise invalid("fields", f"a form asks at most {MOST_FIELDS} things")
    if len(set(keys)) < len(keys):
        raise invalid("fields", "the same thing is asked twice")


def _is_origin(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in ("http", "https") and bool(parts.netloc) and text == f"{parts.scheme}://{parts.netloc}"


async def _check_sender(connection: Connection, application_id: UUID, sender: Mailbox) -> None:
    cursor = await connection.execute(
        "SELECT status FROM domains WHERE application_id = %s AND name = %s", [application_id, sender.domain]
    )
    row = await cursor.fetchone()
    if row is None or row[0] != "verified":
        raise invalid("from", f"{sender.domain} is no verified domain of this application")


async def _check_aims(connection: Connection, application_id: UUID, facts: FormFacts) -> None:
    known = {topic.id: topic for topic in await topics.every(connection, application_id)}
    for number, topic_id in enumerate(facts.topics):
        if topic_id not in known or known[topic_id].lane is not Lane.MARKETING:
            raise invalid(f"topics[{number}]", "there is no such topic of the marketing stream")
    if facts.segment_id is not None:
        await _check_list(connection, application_id, facts.segment_id)
    await _check_properties(connection, application_id, facts)


async def _check_list(connection: Connection, application_id: UUID, segment_id: UUID) -> None:
    is_list = (await membership.which_are_lists(connection, application_id, [segment_id])).get(segment_id)
    if is_list is None:
        raise invalid("segment_id", "there is no such segment")
    if not is_list:
        raise invalid("segment_id", "it is a segment with a filter: people are put on lists, which have none")


async def _check_properties(connection: Connection, application_id: UUID, facts: FormFacts) -> None:
    known = {*await properties.known(connection, application_id), *NAMES}
    for number, asked in enumerate(facts.fields):
        if asked.key not in known:
            raise invalid(f"fields[{number}].key", f"there is no contact property {asked.key[:60]!r}")


def _values(facts: FormFacts) -> dict[str, object]:
    return {
        "name": facts.name,
        "sender": facts.sender,
        "segment": facts.segment_id,
        "topics": list(facts.topics),
        "fields": orjson.dumps([asdict(asked) for asked in facts.fields]).decode(),
        "language": facts.language,
        "texts": orjson.dumps({code: asdict(texts) for code, texts in facts.texts.items()}).decode(),
        "origins": list(facts.origins),
        "welcome": facts.welcome,
    }


def _form(row: Sequence[object]) -> Form:
    identifier, application, name, sender, segment, offered, asked, language, texts, origins, welcome, *times = row
    facts = FormFacts(
        name, sender, segment, tuple(offered), tuple(Field(**one) for one in asked), language,  # type: ignore[arg-type, attr-defined]
        {code: Texts(**said) for code, said in texts.items()}, tuple(origins), bool(welcome),  # type: ignore[attr-defined, arg-type]
    )  # fmt: skip
    return Form(identifier, application, facts, *times)  # type: ignore[arg-type]  # psycopg's rows are untyped
