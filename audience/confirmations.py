"""Confirmations that are waited for: one for each folded address and application, whoever asks, and however often.

A row says what somebody gets once they confirm, and which mail of ours is due to them when: the confirmation, one
reminder, and after confirming a welcome. Asking again changes what is wanted and brings another mail only after
`AGAIN`, and at most `MOST_MAILS` a day, so that nobody can have a mailbox filled, nor change what a link that is out
confirms. The contact itself is not touched before its person has confirmed. `messages/signing_up` writes the mails and
does what follows from a confirmation.

Every function works on the caller's connection and never commits; times are the database's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import orjson

from core.addresses import Mailbox
from core.ids import uuid7
from core.queues import Lane
from store.database import Connection
from suppression.predicate import forbidding
from suppression.reasons import Reason

AGAIN: Final = "1 hour"
"""Whoever did not get the mail asks again; whoever fills mailboxes does so at once."""
MOST_MAILS: Final = 3
"""That ask one address for a confirmation within a day, of one application or of all."""
ONCE_WITHIN_DAYS: Final = 90
"""The silent are asked once more so often at most; so long it is remembered."""
KEPT: Final = timedelta(days=30)
"""So long a link says that it was followed, instead of that it is too old."""


class NextMail(StrEnum):
    """Which mail of ours is due. The values are stored."""

    CONFIRM = "confirm"
    REMINDER = "reminder"
    WELCOME = "welcome"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody gets once they confirm."""

    first_name: str = ""
    last_name: str = ""
    properties: Mapping[str, object] = field(default_factory=dict)
    topics: tuple[UUID, ...] = ()
    """The types of mail that were chosen; none: all that are not left."""
    segments: tuple[UUID, ...] = ()
    """Lists to be put on, beside the form's."""
    consent: str = ""
    """What the person read and agreed to, word for word."""
    again: bool = False
    """They are confirmed, and asked whether they still want it (`reconfirming`)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody signs up, or somebody signs them up."""

    application_id: UUID
    address: str
    """Folded."""
    email: str
    """As it was written, in wire form."""
    form_id: UUID | None
    language: str
    wanted: Wanted = Wanted()
    ip: str = ""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A stored row."""

    id: UUID
    application_id: UUID
    address: str
    email: str
    form_id: UUID | None
    import_id: UUID | None
    language: str
    wanted: Wanted
    ip: str
    asked_at: datetime
    expires_at: datetime
    next_mail: NextMail | None
    email_id: UUID | None
    confirmed_at: datetime | None
    over: bool
    """It can no longer be confirmed."""


@dataclass(frozen=True, slots=True)
class Mailed:
    """A mail of ours that was written, and which one follows in how long, if any."""

    confirmation_id: UUID
    email_id: UUID
    next_mail: NextMail | None = None
    after: timedelta = timedelta()


_COLUMNS = (
    "id, application_id, address, email, form_id, import_id, language, wanted, coalesce(ip, ''), asked_at, expires_at,"
    " next_mail, email_id, confirmed_at, expires_at <= now()"
)

_MAY_MAIL: Final = f"""(c.mailed_at IS NULL AND c.mail_at IS NULL
  OR (c.confirmed_at IS NOT NULL OR c.mailed_at < now() - interval '{AGAIN}')
 AND (c.mails < {MOST_MAILS} OR c.mailed_at < now() - interval '1 day'))"""
"""Whether asking again brings another mail; none is on its way, that is."""
_NOW: Final = f"({_MAY_MAIL} OR c.import_id IS NOT NULL AND c.mailed_at IS NULL)"
"""Whoever asks by their own hand does not wait for the pace of an import."""

# A link confirms what its mail said, whoever posts the address later: once one is out, asking for something else counts
# only when another mail may leave, and makes the older link void. The same wish keeps its id, so that the older link
# stays good; one that was confirmed or is over begins anew.
_SAME: Final = "(c.wanted, c.form_id) IS NOT DISTINCT FROM (excluded.wanted, excluded.form_id)"
_ASK: Final = f"""
INSERT INTO confirmations AS c (id, application_id, address, email, form_id, language, wanted, ip, asked_at, expires_at,
  next_mail, mail_at)
VALUES (%(id)s, %(application)s, %(address)s, %(email)s, %(form)s, %(language)s, %(wanted)s, %(ip)s, now(),
  now() + %(valid)s, 'confirm', now())
ON CONFLICT (application_id, address) DO UPDATE SET
  id = CASE WHEN c.confirmed_at IS NULL AND c.expires_at > now() AND (c.mailed_at IS NULL OR {_SAME})
       THEN c.id ELSE excluded.id END,
  email = excluded.email, form_id = excluded.form_id, import_id = NULL, language = excluded.language,
  wanted = excluded.wanted, ip = excluded.ip, asked_at = excluded.asked_at, expires_at = excluded.expires_at,
  confirmed_at = NULL, unsent = NULL,
  next_mail = CASE WHEN {_NOW} THEN 'confirm' ELSE c.next_mail END,
  mail_at = CASE WHEN {_NOW} THEN now() ELSE c.mail_at END,
  mails = CASE WHEN c.mailed_at > now() - interval '1 day' THEN c.mails ELSE 0 END
WHERE c.mailed_at IS NULL OR {_MAY_MAIL}
"""

# Two processes that write mails take different rows.
_DUE_BY_THEMSELVES: Final = "mail_at <= now() AND (import_id IS NULL OR next_mail <> 'confirm')"
DUE: Final = f"(SELECT true FROM confirmations WHERE {_DUE_BY_THEMSELVES} ORDER BY mail_at LIMIT 1) IS NOT NULL"
"""Condition: `due` would find some."""
_DUE: Final = f"""
SELECT {_COLUMNS} FROM confirmations WHERE {_DUE_BY_THEMSELVES} ORDER BY mail_at LIMIT %s FOR UPDATE SKIP LOCKED
"""

_WAITS: Final = "import_id IS NOT NULL AND next_mail = 'confirm'"
# In turns of the applications, the first in the row of each before the second of any: fifty people do not wait behind a
# million of somebody else. Applications are found one by one in the index; who is first of them is left to chance, for
# the pace may allow fewer at once than there are. What was found is asked again once it is locked.
_DUE_OF_IMPORTS: Final = f"""
WITH RECURSIVE owners(id) AS (
  (SELECT application_id FROM confirmations WHERE {_WAITS} ORDER BY application_id LIMIT 1)
  UNION ALL
  SELECT (SELECT application_id FROM confirmations WHERE {_WAITS} AND application_id > o.id
           ORDER BY application_id LIMIT 1) FROM owners o WHERE o.id IS NOT NULL),
chosen AS (
  SELECT w.id FROM owners o, LATERAL (
    SELECT id, row_number() OVER (ORDER BY mail_at, id) AS turn FROM confirmations
     WHERE application_id = o.id AND {_WAITS} AND mail_at <= now() ORDER BY mail_at, id LIMIT %(most)s) w
   ORDER BY w.turn, random() LIMIT %(most)s)
SELECT {_COLUMNS} FROM confirmations
 WHERE id = ANY(ARRAY(SELECT id FROM chosen)) AND {_WAITS} AND mail_at <= now() FOR UPDATE SKIP LOCKED
"""

_MAILED: Final = """
UPDATE confirmations c SET next_mail = u.next_mail,
  mail_at = CASE WHEN u.next_mail IS NOT NULL THEN now() + u.after END, email_id = u.email,
  mailed_at = CASE WHEN c.next_mail = 'welcome' THEN c.mailed_at ELSE now() END,
  mails = c.mails + CASE WHEN c.next_mail = 'welcome' THEN 0 ELSE 1 END, unsent = NULL,
  expires_at = CASE WHEN c.import_id IS NOT NULL AND c.next_mail = 'confirm' THEN now() + %s ELSE c.expires_at END
  FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::interval[]) AS u(id, email, next_mail, after) WHERE c.id = u.id
"""

# Nobody's mailbox is filled by moving people there: how often the address was written to stays with it.
_GIVE_WAY: Final = """
DELETE FROM confirmations WHERE application_id = %(application)s AND address = %(address)s RETURNING mails, mailed_at
"""
_READDRESS: Final = """
UPDATE confirmations SET id = CASE WHEN confirmed_at IS NULL THEN %(new)s ELSE id END, address = %(address)s,
  email = %(email)s, next_mail = %(mail)s, mail_at = now(), unsent = NULL, mails = %(mails)s, mailed_at = %(mailed)s,
  expires_at = CASE WHEN confirmed_at IS NULL THEN now() + (expires_at - asked_at) ELSE expires_at END
 WHERE id = %(id)s
"""

# What the person took back themselves before they asked by their own hand is no hindrance to that. What they took back
# since is, and whoever was only brought in has not asked for anything; so is the word of anybody else.
_FORBIDDEN: Final = f"""
SELECT DISTINCT r.id
  FROM (SELECT c.id, c.application_id, c.address, c.asked_at, l.lane, NULL::uuid AS topic_id,
               c.import_id IS NULL AND NOT c.wanted ? 'again' AS by_hand
          FROM confirmations c, (VALUES ('{Lane.TRANSACTIONAL}'), ('{Lane.MARKETING}')) AS l(lane)
         WHERE c.id = ANY(%s)) r
 WHERE EXISTS (SELECT {forbidding("r")}
   AND NOT (s.reason = '{Reason.UNSUBSCRIBE}' AND s.scope = r.application_id || ' {Lane.MARKETING}'
            AND r.by_hand AND s.created_at <= r.asked_at))
"""


async def ask(connection: Connection, asked: Asked, valid: timedelta) -> None:
    """Somebody wants to be signed up. What becomes of it is for nobody but the address to know."""
    await connection.execute(
        _ASK,
        {
            "id": uuid7(),
            "application": asked.application_id,
            "address": asked.address,
            "email": asked.email,
            "form": asked.form_id,
            "language": asked.language,
            "wanted": packed(asked.wanted),
            "ip": asked.ip or None,
            "valid": valid,
        },
    )


async def due(connection: Connection, most: int) -> list[Confirmation]:
    """Those whose mail is due, locked until the end of the transaction; not the confirmations of imports."""
    return [_confirmation(row) for row in await (await connection.execute(_DUE, [most])).fetchall()]


async def due_of_imports(connection: Connection, most: int) -> list[Confirmation]:
    """The confirmations of imports that are due, of each application in turn."""
    return [_confirmation(row) for row in await (await connection.execute(_DUE_OF_IMPORTS, {"most": most})).fetchall()]


async def mailed_of_imports(connection: Connection, within: timedelta) -> int:
    """How many confirmations of imports left lately."""
    cursor = await connection.execute(
        "SELECT count(*) FROM confirmations WHERE import_id IS NOT NULL AND mailed_at > now() - %s", [within]
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def mailed(connection: Connection, mails: Sequence[Mailed], valid: timedelta) -> None:
    """These mails were written. The time of an import's confirmation begins only now: it waited for its turn."""
    values = [(m.confirmation_id, m.email_id, m.next_mail and m.next_mail.value, m.after) for m in mails]
    await connection.execute(_MAILED, [valid, *(list(column) for column in zip(*values, strict=True))])


async def unsent(connection: Connection, identifiers: Sequence[UUID], why: str) -> None:
    """No mail goes to these; why is for the application to read."""
    await connection.execute(
        "UPDATE confirmations SET next_mail = NULL, mail_at = NULL, unsent = %s WHERE id = ANY(%s)",
        [why, list(identifiers)],
    )


async def later(connection: Connection, identifiers: Sequence[UUID], after: timedelta, why: str) -> None:
    """The mail cannot be written now."""
    await connection.execute(
        "UPDATE confirmations SET mail_at = now() + %s, unsent = %s WHERE id = ANY(%s)",
        [after, why, list(identifiers)],
    )


async def forbidden(connection: Connection, people: Sequence[Confirmation]) -> set[UUID]:
    """Those whom the suppression list keeps from being written to, or would afterwards."""
    cursor = await connection.execute(_FORBIDDEN, [[one.id for one in people]])
    return {row[0] for row in await cursor.fetchall()}


async def still_unconfirmed(connection: Connection, people: Sequence[Confirmation]) -> set[UUID]:
    """Those whose contact waits for a yes still: it may be gone since, or confirmed another way."""
    columns = [one.id for one in people], [one.application_id for one in people], [one.address for one in people]
    cursor = await connection.execute(
        "SELECT u.id FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) AS u(id, application_id, address)"
        " JOIN contacts c USING (application_id, address) WHERE c.status = 'unconfirmed'",
        columns,
    )
    return {row[0] for row in await cursor.fetchall()}


async def stop_import(connection: Connection, import_id: UUID) -> int:
    """Nobody of this import is asked any more; how many would have been."""
    cursor = await connection.execute(
        "UPDATE confirmations SET next_mail = NULL, mail_at = NULL, unsent = 'stopped'"
        " WHERE import_id = %s AND next_mail = 'confirm'",
        [import_id],
    )
    return cursor.rowcount


async def crowded(connection: Connection, addresses: Sequence[str]) -> set[str]:
    """Addresses that were asked `MOST_MAILS` times within a day, by whatever applications: somebody signs them up all
    over the place."""
    cursor = await connection.execute(
        "SELECT address FROM confirmations WHERE address = ANY(%s) AND mailed_at > now() - interval '1 day'"
        " GROUP BY address HAVING sum(mails) >= %s",
        [list(addresses), MOST_MAILS],
    )
    return {row[0] for row in await cursor.fetchall()}


async def find(connection: Connection, application_id: UUID, identifier: UUID) -> Confirmation | None:
    """The one that a link names."""
    return await _one(connection, application_id, identifier)


async def of_person(connection: Connection, application_id: UUID, address: str) -> Confirmation | None:
    """The one that waits for somebody, or was theirs, for whoever asks what is known of them. `address` is folded."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM confirmations WHERE application_id = %s AND address = %s", [application_id, address]
    )
    row = await cursor.fetchone()
    return _confirmation(row) if row else None


async def locked(connection: Connection, application_id: UUID, identifier: UUID) -> Confirmation | None:
    """The same; nobody else confirms it until the end of the transaction."""
    return await _one(connection, application_id, identifier, " FOR UPDATE")


async def confirmed(connection: Connection, identifier: UUID, *, welcome: bool) -> None:
    """It is confirmed; whether a welcome mail is due now."""
    await connection.execute(
        "UPDATE confirmations SET confirmed_at = now(), expires_at = now() + %s, unsent = NULL,"
        " next_mail = CASE WHEN %s THEN 'welcome' END, mail_at = CASE WHEN %s THEN now() END WHERE id = %s",
        [KEPT, welcome, welcome, identifier],
    )


async def at_address(connection: Connection, application_id: UUID, address: str) -> Confirmation | None:
    """The one of somebody, locked; nobody confirms it or writes its mail until the end of the transaction."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM confirmations WHERE application_id = %s AND address = %s FOR UPDATE",
        [application_id, address],
    )
    row = await cursor.fetchone()
    return _confirmation(row) if row else None


async def readdress(connection: Connection, known: Confirmation, to: Mailbox, mail: NextMail) -> None:
    """It is somebody's at another address, where this mail is due at once. Links that are out confirm nothing: they are
    read at the old one. What was asked at the new one gives way, but for how often that was."""
    names: dict[str, object] = {
        "id": known.id, "new": uuid7(), "application": known.application_id, "address": to.key, "email": to.wire,
        "mail": mail.value,
    }  # fmt: skip
    there = await (await connection.execute(_GIVE_WAY, names)).fetchone()
    names["mails"], names["mailed"] = there or (0, None)
    await connection.execute(_READDRESS, names)


async def drop(connection: Connection, known: Confirmation) -> None:
    """Nothing of it is waited for any more."""
    await connection.execute("DELETE FROM confirmations WHERE id = %s", [known.id])


async def forget(connection: Connection) -> None:
    """Retention: what was not confirmed in time, and what was long ago. Those whom an import asked have a year: who did
    not answer then is not asked again by the next import of the same list. The silent who were asked once more
    (`reconfirming`) are remembered for as long as they are not to be asked anew."""
    await connection.execute(
        "DELETE FROM confirmations WHERE expires_at < now() - interval '7 days'"
        " AND (import_id IS NULL OR asked_at < now() - interval '1 year')"
        " AND (NOT wanted ? 'again' OR asked_at < now() - make_interval(days => %s))",
        [ONCE_WITHIN_DAYS],
    )


async def forget_person(connection: Connection, application_id: UUID, address: str) -> None:
    """Somebody is erased: nothing waits for them any more. `address` is folded."""
    await connection.execute(
        "DELETE FROM confirmations WHERE application_id = %s AND address = %s", [application_id, address]
    )


async def forget_application(connection: Connection, application_id: UUID) -> None:
    """An application is gone."""
    await connection.execute("DELETE FROM confirmations WHERE application_id = %s", [application_id])


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of the people of a form, as far as it is still kept."""

    waiting: int
    confirmed: int
    unsent: int


async def figures(connection: Connection, forms: Sequence[UUID]) -> dict[UUID, Figures]:
    """By form; people of its application alone."""
    cursor = await connection.execute(
        "SELECT c.form_id, count(*) FILTER (WHERE confirmed_at IS NULL AND unsent IS NULL),"
        " count(*) FILTER (WHERE confirmed_at IS NOT NULL), count(*) FILTER (WHERE unsent IS NOT NULL)"
        " FROM confirmations c JOIN signup_forms f ON f.id = c.form_id AND f.application_id = c.application_id"
        " WHERE c.form_id = ANY(%s) GROUP BY c.form_id",
        [list(forms)],
    )
    found = {row[0]: Figures(*row[1:]) for row in await cursor.fetchall()}
    return {form: found.get(form, Figures(0, 0, 0)) for form in forms}


@dataclass(frozen=True, slots=True)
class Asking:
    """How far asking the people of an import is."""

    waiting: int
    asked: int
    """Their mail was written."""
    confirmed: int
    unsent: int
    """They get none: suppressed since, gone, stopped."""
    held: str
    """Why nobody is asked at the moment; "" when they are, at their pace."""


async def asking(connection: Connection, import_id: UUID) -> Asking:
    """Of one import. Whoever signed up by a form since counts there."""
    cursor = await connection.execute(
        "SELECT count(*) FILTER (WHERE next_mail = 'confirm'), count(*) FILTER (WHERE mailed_at IS NOT NULL),"
        " count(*) FILTER (WHERE confirmed_at IS NOT NULL),"
        " count(*) FILTER (WHERE mail_at IS NULL AND unsent IS NOT NULL),"
        " coalesce(max(unsent) FILTER (WHERE next_mail = 'confirm'), '') FROM confirmations WHERE import_id = %s",
        [import_id],
    )
    row = await cursor.fetchone()
    return Asking(*row) if row else Asking(0, 0, 0, 0, "")


def packed(wanted: Wanted) -> str:
    """As it is stored; what is empty is left out."""
    return orjson.dumps({key: value for key, value in asdict(wanted).items() if value}).decode()


async def _one(connection: Connection, application_id: UUID, identifier: UUID, how: str = "") -> Confirmation | None:
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM confirmations WHERE id = %s AND application_id = %s{how}",
        [identifier, application_id],
    )
    row = await cursor.fetchone()
    return _confirmation(row) if row else None


def _confirmation(row: Sequence[Any]) -> Confirmation:
    identifier, application, address, email, form, imported, language, wanted, ip, asked, ends, mail, *rest = row
    return Confirmation(
        identifier, application, address, email, form, imported, language, _wanted(wanted), ip, asked, ends,
        NextMail(mail) if mail else None, *rest,
    )  # fmt: skip


def _wanted(stored: Mapping[str, Any]) -> Wanted:
    ids = {name: tuple(map(UUID, stored.get(name, ()))) for name in ("topics", "segments")}
    return Wanted(**{**stored, **ids})
