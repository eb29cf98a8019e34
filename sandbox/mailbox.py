"""The mailbox of the sandbox: mail that was captured instead of sent, as it would have gone out. Owns `captured_mails`.

A mail is one message: the bytes with their signature, and the envelope. It is kept once, whoever tries again, and for a
bounded time and size (`trim`); the email it belongs to tells the rest. Every function works on the caller's connection
and never commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from core.ids import uuid7
from core.paging import Page, Window, cut
from messages.model import MessageRef
from store.database import Connection

_KEEP = """
INSERT INTO captured_mails (id, application_id, email_id, position, mail_from, rcpt_to, size, raw)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (email_id, position) DO NOTHING
"""

# The email is looked up by its id, one by one: OFFSET 0 keeps the planner from joining all of them.
_SUMMARY: Final = """
SELECT c.id, c.application_id, c.email_id, c.position, c.captured_at, c.mail_from, c.rcpt_to, c.size,
       coalesce(e.sender, ''), coalesce(e.subject, ''), coalesce(e."to", '{}'), coalesce(e.cc, '{}'),
       coalesce(e.bcc, '{}'), coalesce(e.reply_to, '{}'), coalesce(e.message_id, ''), coalesce(e.lane, ''),
       coalesce(e.capture, false)
  FROM captured_mails c LEFT JOIN LATERAL (
    SELECT sender, subject, "to", cc, bcc, reply_to, message_id, lane, capture
      FROM emails WHERE id = c.email_id OFFSET 0) e ON true
"""

_WHOSE: Final = """
 WHERE (%(application)s::uuid IS NULL OR c.application_id = %(application)s)
   AND (%(email)s::uuid IS NULL OR c.email_id = %(email)s) AND (%(to)s = '' OR lower(c.rcpt_to) = %(to)s)
   AND (NOT %(test)s OR (SELECT capture FROM emails WHERE id = c.email_id))
"""

_FORGET_MESSAGES: Final = """
DELETE FROM captured_mails
 WHERE (email_id, position) IN (SELECT * FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[]))
"""

_TOO_MUCH = """
DELETE FROM captured_mails c USING (
  SELECT m.id, sum(m.size) OVER (PARTITION BY m.application_id ORDER BY m.id DESC) AS total
    FROM captured_mails m WHERE m.application_id IN (
      SELECT application_id FROM captured_mails GROUP BY application_id HAVING sum(size) > %(bytes)s)) AS kept
 WHERE c.id = kept.id AND kept.total > %(bytes)s
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept."""

    days: int = 7
    bytes: int = 200 * 1024 * 1024
    """Of one application."""


@dataclass(frozen=True, slots=True)
class CapturedMail:
    """A mail to keep."""

    ref: MessageRef
    application_id: UUID
    mail_from: str
    rcpt_to: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which mails. What is empty does not matter."""

    application_id: UUID | None = None
    email_id: UUID | None = None
    to: str = ""
    """Recipient of the envelope, folded."""
    test: bool = False
    """Only mail that a test key sent."""


EVERY: Final = Wanted()


@dataclass(frozen=True, slots=True)
class MailView:
    """A captured mail without its bytes."""

    id: UUID
    application_id: UUID
    ref: MessageRef
    captured_at: datetime
    mail_from: str
    rcpt_to: str
    size: int
    sender: str
    subject: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    reply_to: tuple[str, ...]
    message_id: str
    lane: str
    test: bool
    """A test key sent it; else a rule, or its simulated recipient, kept it here."""


async def keep(connection: Connection, mails: Sequence[CapturedMail]) -> None:
    """Keep these, each once."""
    if not mails:
        return
    async with connection.cursor() as cursor:
        await cursor.executemany(
            _KEEP,
            [(uuid7(), m.application_id, *m.ref, m.mail_from, m.rcpt_to, len(m.raw), m.raw) for m in mails],
        )


async def page(connection: Connection, wanted: Wanted, window: Window[UUID]) -> Page[MailView]:
    """Mails without their bytes, newest first."""
    back = window.before is not None
    cursor_id = window.before or window.after
    condition = "" if cursor_id is None else f" AND c.id {'>' if back else '<'} %(cursor)s"
    cursor = await connection.execute(
        f"{_SUMMARY}{_WHOSE}{condition} ORDER BY c.id {'' if back else 'DESC'} LIMIT %(limit)s",
        _names(wanted) | {"cursor": cursor_id, "limit": window.limit and window.limit + 1},
    )
    return cut([_view(row) for row in await cursor.fetchall()], window)


async def count(connection: Connection, application_id: UUID) -> int:
    """How many an application has."""
    cursor = await connection.execute("SELECT count(*) FROM captured_mails WHERE application_id = %s", [application_id])
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def find(connection: Connection, wanted: Wanted, mail_id: UUID) -> tuple[MailView, bytes] | None:
    """One mail with its bytes; None when there is none, or it is not among the wanted ones."""
    names = _names(wanted) | {"id": mail_id}
    row = await (await connection.execute(f"{_SUMMARY}{_WHOSE} AND c.id = %(id)s", names)).fetchone()
    found = await (await connection.execute("SELECT raw FROM captured_mails WHERE id = %s", [mail_id])).fetchone()
    return (_view(row), bytes(found[0])) if row and found else None


async def delete(connection: Connection, wanted: Wanted, mail_id: UUID) -> bool:
    """Forget one; False when there is none."""
    cursor = await connection.execute(
        f"DELETE FROM captured_mails c {_WHOSE} AND c.id = %(id)s", _names(wanted) | {"id": mail_id}
    )
    return cursor.rowcount == 1


async def clear(connection: Connection, wanted: Wanted) -> int:
    """Forget these; returns how many they were."""
    cursor = await connection.execute(f"DELETE FROM captured_mails c {_WHOSE}", _names(wanted))
    return cursor.rowcount


async def trim(connection: Connection, bounds: Bounds) -> None:
    """Retention: what is too old, and of each application the oldest that is too much."""
    await connection.execute(
        "DELETE FROM captured_mails WHERE captured_at < now() - make_interval(days => %s)", [bounds.days]
    )
    await connection.execute(_TOO_MUCH, {"bytes": bounds.bytes})


async def forget_messages(connection: Connection, refs: Sequence[MessageRef]) -> None:
    """Captured mail of these messages: their recipient is erased."""
    if refs:
        names = {"emails": [ref.email_id for ref in refs], "positions": [ref.position for ref in refs]}
        await connection.execute(_FORGET_MESSAGES, names)


def _names(wanted: Wanted) -> dict[str, object]:
    return {"application": wanted.application_id, "email": wanted.email_id, "to": wanted.to, "test": wanted.test}


def _view(row: Sequence[Any]) -> MailView:
    identifier, application, email, position, *rest = row
    at, mail_from, rcpt_to, size, sender, subject, to, cc, bcc, reply_to, message_id, lane, test = rest
    return MailView(
        identifier, application, MessageRef(email, position), at, mail_from, rcpt_to, size, sender, subject, tuple(to),
        tuple(cc), tuple(bcc), tuple(reply_to), message_id, lane, test,
    )  # fmt: skip
