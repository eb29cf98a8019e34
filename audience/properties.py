"""Properties: what an application keeps of its contacts beside their name, each with a type.

A property is defined before it is used, and its type never changes: a filter may compare without looking. A value is
stored in the one form of its type (`checked`): text, number, true or false, or a date as `2026-11-28` or, with a time,
`2026-11-28T08:00:00Z`, so that dates sort as texts.

Whoever writes values asks `for_writing`, whoever defines or deletes waits for them: no value is written to a definition
that is gone. The values of a deleted one are out of sight at once, and gone when `strip`, a duty, has passed.
Works on the caller's connection and never commits, but for `strip`.
"""

import contextlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import orjson
from psycopg.types.json import Jsonb

from audience.filters.values import YEARS
from core.ids import uuid7
from core.paging import Page, Window, cut
from core.refusal import conflict, invalid, not_found
from store.database import Connection, Database
from store.paging import newest_first

MOST: Final = 100
"""Properties of one application: a filter's author has to find their way among them."""
LONGEST_TEXT: Final = 2000
"""Characters of a value."""
LARGEST: Final = 16 * 1024
"""Bytes of all values of a contact: a million people are in every segment's way."""
STEP: Final = 20_000
"""Contacts from whom a deleted property is taken in one transaction: about a second."""

_KEY: Final = re.compile(r"[A-Za-z0-9_]{1,50}")
_NO_CONTROL: Final = re.compile(r"[^\x00\ud800-\udfff]*")
_LARGEST_NUMBER: Final = 1e15
"""Beyond it a number is not exact, in JSON or anywhere."""
_OWN: Final = frozenset(
    {"email", "first_name", "last_name", "language", "time_zone", "contact", "id", "created_at", "unsubscribed"}
)
"""Names that a template and a filter know already."""

Value = str | int | float | bool


class PropertyType(StrEnum):
    """What a property holds. The values are stored."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Property:
    """A definition."""

    id: UUID
    application_id: UUID
    key: str
    type: PropertyType
    fallback: Value | None
    """What mail shows where a contact has none."""
    created_at: datetime


Definitions = Mapping[str, Property]
"""By key."""

_COLUMNS: Final = "id, application_id, key, type, fallback_value, created_at"

_THERE: Final = "deleted_at IS NULL"

# Locked in the order of addresses, as an import locks them: the two never wait for each other in a circle.
_STRIP: Final = """
WITH part AS MATERIALIZED (
  SELECT id FROM contacts WHERE application_id = %(application)s AND id > %(after)s ORDER BY id LIMIT %(step)s),
held AS MATERIALIZED (
  SELECT c.id FROM contacts c JOIN part ON part.id = c.id WHERE c.properties ? %(key)s::text
   ORDER BY c.address FOR UPDATE OF c),
gone AS (
  UPDATE contacts c SET properties = c.properties - %(key)s::text FROM held WHERE c.id = held.id RETURNING 1)
SELECT max(id::text)::uuid, count(*), (SELECT count(*) FROM gone) FROM part
"""


async def known(connection: Connection, application_id: UUID) -> Definitions:
    """All definitions of an application, oldest first."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM contact_properties WHERE application_id = %s AND {_THERE} ORDER BY id",
        [application_id],
    )
    found = [_property(row) for row in await cursor.fetchall()]
    return {one.key: one for one in found}


async def for_writing(connection: Connection, application_id: UUID) -> Definitions:
    """The same for whoever writes values: until the end of the transaction none of them is deleted."""
    await _hold(connection, application_id, "pg_advisory_xact_lock_shared")
    return await known(connection, application_id)


async def page(connection: Connection, application_id: UUID, window: Window[UUID]) -> Page[Property]:
    """Definitions, newest first."""
    condition, order, names = newest_first(window)
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM contact_properties"
        f" WHERE application_id = %(application)s AND {_THERE} AND {condition}"
        f" ORDER BY id {order} LIMIT %(limit)s",
        names | {"application": application_id},
    )
    return cut(await cursor.fetchall(), window).map(_property)


async def find(connection: Connection, application_id: UUID, named: UUID | str) -> Property | None:
    """A definition by its id, or by its key."""
    which = "id" if isinstance(named, UUID) else "key"
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM contact_properties WHERE {which} = %s AND application_id = %s AND {_THERE}",
        [named, application_id],
    )
    row = await cursor.fetchone()
    return _property(row) if row else None


async def get(connection: Connection, application_id: UUID, named: UUID | str) -> Property:
    """The same. Raises Refused when there is none."""
    found = await find(connection, application_id, named)
    if found is None:
        raise not_found("Contact property not found")
    return found


async def create(
    connection: Connection, application_id: UUID, key: str, kind: PropertyType, fallback: object = None
) -> Property:
    """A new definition. Raises Refused: the key cannot be, is taken, or there are `MOST`."""
    if not _KEY.fullmatch(key):
        raise invalid("key", "it must have 1 to 50 ASCII letters, digits and underscores")
    if key.lower() in _OWN:
        raise invalid("key", f"`{key}` is a field of every contact")
    shaped = None if fallback is None else shaped_value(kind, fallback, "fallback_value")
    await _hold(connection, application_id, "pg_advisory_xact_lock")
    there = await known(connection, application_id)
    if key in there:
        raise conflict(f"there is a property {key!r} already", f"Its id is {there[key].id}.")
    if len(there) >= MOST:
        raise conflict(f"an application has at most {MOST} properties", "Delete one that is no longer used.")
    cursor = await connection.execute(
        "INSERT INTO contact_properties (id, application_id, key, type, fallback_value)"
        f" VALUES (%s, %s, %s, %s, %s) ON CONFLICT (application_id, key) DO NOTHING RETURNING {_COLUMNS}",
        [uuid7(), application_id, key, kind.value, None if shaped is None else Jsonb(shaped)],
    )
    row = await cursor.fetchone()
    if row is None:
        raise conflict(f"the values of a deleted property {key!r} are being taken away", "Ask again in a minute.")
    return _property(row)


async def update(connection: Connection, application_id: UUID, named: UUID | str, fallback: object) -> Property:
    """Give a definition another fallback, or none. Key and type stay."""
    found = await get(connection, application_id, named)
    shaped = None if fallback is None else shaped_value(found.type, fallback, "fallback_value")
    cursor = await connection.execute(
        f"UPDATE contact_properties SET fallback_value = %s WHERE id = %s AND {_THERE} RETURNING {_COLUMNS}",
        [None if shaped is None else Jsonb(shaped), found.id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise not_found("Contact property not found")
    return _property(row)


async def delete(connection: Connection, application_id: UUID, named: UUID | str) -> Property:
    """Delete a definition: nobody sees or writes a value of it from now on. The values themselves are taken away by
    `strip`, and until then no new property bears the key. Raises Refused when there is none."""
    await _hold(connection, application_id, "pg_advisory_xact_lock")
    found = await get(connection, application_id, named)
    await connection.execute("UPDATE contact_properties SET deleted_at = now() WHERE id = %s", [found.id])
    return found


async def strip(database: Database) -> None:
    """Take the values of deleted definitions from their contacts, in steps, then what is left of the definitions."""
    async with database.connection() as connection:
        cursor = await connection.execute(
            f"SELECT {_COLUMNS} FROM contact_properties WHERE deleted_at IS NOT NULL ORDER BY deleted_at"
        )
        deleted = [_property(row) for row in await cursor.fetchall()]
    for one in deleted:
        await _strip(database, one)
        async with database.connection() as connection:
            await connection.execute("DELETE FROM contact_properties WHERE id = %s", [one.id])


async def _strip(database: Database, found: Property) -> None:
    after, more = UUID(int=0), True
    while more:
        async with database.transaction() as connection:
            names = {"application": found.application_id, "key": found.key, "after": after, "step": STEP}
            row = await (await connection.execute(_STRIP, names)).fetchone()
        more = row is not None and row[1] == STEP
        after = row[0] if row else after


async def forget_application(connection: Connection, application_id: UUID) -> None:
    """An application is gone."""
    await connection.execute("DELETE FROM contact_properties WHERE application_id = %s", [application_id])


def checked(
    values: Mapping[str, object], definitions: Definitions, field: str = "properties"
) -> dict[str, Value | None]:
    """Values as they are stored; None takes one away. Raises Refused, naming what cannot be."""
    found: dict[str, Value | None] = {}
    for key, value in values.items():
        definition = definitions.get(key)
        if definition is None:
            raise invalid(f"{field}.{key[:60]}", "there is no such property; define it first (`/contact-properties`)")
        absent = value is None or (value == "" and definition.type is not PropertyType.STRING)
        found[key] = None if absent else shaped_value(definition.type, value, f"{field}.{key}")
    return found


def merged(
    stored: Mapping[str, Value], changes: Mapping[str, Value | None], field: str = "properties"
) -> dict[str, Value]:
    """What is stored with the changes in it. Raises Refused where that is too much."""
    values = {key: value for key, value in {**stored, **changes}.items() if value is not None}
    if len(orjson.dumps(values)) > LARGEST:
        raise invalid(field, f"a contact's properties take at most {LARGEST:,} bytes together")
    return values


def joined(stays: Mapping[str, Value], goes: Mapping[str, Value]) -> dict[str, Value]:
    """What two contacts that become one have together: the values of the one that stays, and of the other's those that
    it lacks, as far as there is room."""
    found = dict(stays)
    for key, value in goes.items():
        if key not in found and len(orjson.dumps(found | {key: value})) <= LARGEST:
            found[key] = value
    return found


def shaped_value(kind: PropertyType, value: object, field: str) -> Value:
    """A value in the stored form of its type. A number, a date or a truth may come as text, as Resend's clients send
    them. Raises Refused."""
    if kind is PropertyType.STRING:
        return _text(value, field)
    if kind is PropertyType.NUMBER:
        return _number(value, field)
    if kind is PropertyType.BOOLEAN:
        return _truth(value, field)
    return _date(value, field)


def _text(value: object, field: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise invalid(field, "it must be a text")
    text = str(value)
    if len(text) > LONGEST_TEXT or not _NO_CONTROL.fullmatch(text):
        raise invalid(field, f"it must be a text of at most {LONGEST_TEXT} characters without NUL")
    return text


def _number(value: object, field: str) -> int | float:
    if isinstance(value, str) and len(value) <= 40:
        with contextlib.suppress(ValueError):
            value = int(value) if re.fullmatch(r"\s*[+-]?[0-9]+\s*", value) else float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise invalid(field, "it must be a number")
    if not math.isfinite(value) or abs(value) > _LARGEST_NUMBER:
        raise invalid(field, "it must be a number between -10^15 and 10^15")
    return value


def _truth(value: object, field: str) -> bool:
    words = {"true": True, "false": False}
    found = words.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise invalid(field, "it must be true or false")
    return found


def _date(value: object, field: str) -> str:
    reason = "it must be a date (`2026-11-28`) or a moment with a zone (`2026-11-28T08:00:00Z`)"
    if not isinstance(value, str) or len(value) > 40:
        raise invalid(field, reason)
    text = value.strip()
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            day = date.fromisoformat(text)
            if day.year in YEARS:
                return day.isoformat()
        else:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None and moment.year in YEARS:
                return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        pass
    raise invalid(field, reason)


async def _hold(connection: Connection, application_id: UUID, how: str) -> None:
    await connection.execute(f"SELECT {how}(hashtextextended(%s, 0))", [f"properties {application_id}"])


def _property(row: Sequence[object]) -> Property:
    identifier, application, key, kind, fallback, created = row
    return Property(identifier, application, key, PropertyType(kind), fallback, created)  # type: ignore[arg-type]
