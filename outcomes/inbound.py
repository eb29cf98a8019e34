"""The table `inbound_mail`: what came to our addresses, from the moment it is taken until it is forgotten.

A row without `result` is still to be worked through. Its `due_at` is also the lease of who works on it: one that dies
leaves it due again. The raw mail stays for `KEPT`; what nobody understood or could place stays for `KEPT_OPEN`, so that
a person can look at it, and of that the newest `MOST_OPEN`, whoever floods us. Of mail about one message the first
`MOST_OF_MESSAGE` stay, and `further` of the last of them counts the others; of all together so many bytes, of which the
oldest make room. What waits is never among those that go.
Every function works on the caller's connection and never commits.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.ids import uuid7
from core.paging import Page, Window, cut
from messages.model import MessageRef
from mta.inbound_reports import ReceivedMail
from store.database import Connection

KEPT: Final = timedelta(days=7)
KEPT_OPEN: Final = timedelta(days=30)
MOST_OPEN: Final = 10_000
MOST_OF_MESSAGE: Final = 20
OPEN: Final = ("ignored", "unplaced", "unread", "unknown")
"""Results after which a person may want to look."""
GIVEN_UP: Final = timedelta(days=2)
"""A row that still has no result by then is not picked up again: something about it is a bug, and it stays to be
looked at until `KEPT` is over."""

_FORGET_ABOUT: Final = """
DELETE FROM inbound_mail WHERE result IS NOT NULL
   AND (email_id, position) IN (SELECT * FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[]))
"""

# What belongs to no message is no application's, so what mail systems report of anybody stays with the operators, for
# as long as they may want to look at it. What people wrote is theirs.
_FORGET_FROM: Final = """
DELETE FROM inbound_mail
 WHERE result = ANY(%(open)s) AND email_id IS NULL
   AND (%(address)s IN (lower(mail_from), lower(author)) OR strpos(lower(author), '<' || %(address)s || '>') > 0)
"""

_CLAIM = """
UPDATE inbound_mail i SET due_at = now() + %(lease)s FROM (
  SELECT id FROM inbound_mail
   WHERE result IS NULL AND due_at <= now() AND received_at > now() - %(given_up)s
     AND (%(only)s::uuid IS NULL OR id = %(only)s)
   ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED) due
 WHERE i.id = due.id RETURNING i.id, i.received_at, i.envelope_to, i.raw
"""

_FINISH = """
UPDATE inbound_mail i SET result = u.result, kind = nullif(u.kind, ''), email_id = u.email_id, position = u.position,
       placed_by = nullif(u.placed_by, ''), author = u.author, subject = u.subject, detail = u.detail, digest = u.digest
  FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::uuid[], %s::smallint[], %s::text[], %s::text[], %s::text[],
              %s::text[], %s::bytea[])
       AS u(id, result, kind, email_id, position, placed_by, author, subject, detail, digest)
 WHERE i.id = u.id AND i.result IS NULL RETURNING i.id
"""

_EARLIER = """
SELECT i.email_id, i.position, i.digest, i.result
  FROM unnest(%s::uuid[], %s::smallint[]) AS u(email_id, position) JOIN inbound_mail i USING (email_id, position)
 WHERE i.digest IS NOT NULL ORDER BY i.id
"""

_DROP = """
WITH gone AS (
  DELETE FROM inbound_mail WHERE id = ANY(%(ids)s) RETURNING email_id, position
), last AS (
  SELECT DISTINCT ON (g.email_id, g.position) i.id, g.n
    FROM (SELECT email_id, position, count(*) AS n FROM gone GROUP BY 1, 2) g
    JOIN inbound_mail i USING (email_id, position)
   WHERE i.id <> ALL(%(ids)s) AND i.digest IS NOT NULL ORDER BY g.email_id, g.position, i.id DESC)
UPDATE inbound_mail i SET further = i.further + last.n FROM last WHERE i.id = last.id
"""

# The size of the table says cheaply whether there is anything to add up.
_TOO_MUCH = """
DELETE FROM inbound_mail i USING (
  SELECT id, sum(octet_length(raw)) OVER (ORDER BY id DESC) AS total FROM inbound_mail WHERE result IS NOT NULL) k
 WHERE i.id = k.id AND k.total > %(bytes)s AND (SELECT pg_total_relation_size('inbound_mail')) > %(bytes)s
"""

_SHOWN = (
    "id, received_at, envelope_to, mail_from, peer, author, subject, coalesce(result, ''), coalesce(kind, ''),"
    " email_id, position, coalesce(placed_by, ''), detail, octet_length(raw), further"
)


@dataclass(frozen=True, slots=True)
class InboundMail:
    """One received mail that waits."""

    id: UUID
    received_at: datetime
    envelope_to: str
    """The address it was sent to: a signed one, or a desk."""
    raw: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of one, and what was understood. "" where nothing was."""

    id: UUID
    result: str
    kind: str = ""
    ref: MessageRef | None = None
    placed_by: str = ""
    author: str = ""
    subject: str = ""
    detail: str = ""
    digest: bytes = b""
    """What knows the same mail again."""


_UNDOES: Final = {"complained": "withdrawn", "withdrawn": "complained"}
"""Of results about one message the later one undoes the earlier one, whose report is news again then: some systems give
all reports about one mail one Message-ID."""


@dataclass(slots=True)
class Earlier:
    """What came about one message before."""

    digests: dict[bytes, str] = field(default_factory=dict)
    """Of reports that would say the same again, with what became of them first."""
    mails: int = 0
    """So many are kept."""
    ignored: int = 0

    def add(self, digest: bytes, result: str) -> None:
        """One more."""
        self.mails += 1
        self.ignored += result == "ignored"
        undone = _UNDOES.get(result)
        if undone:
            self.digests = {known: before for known, before in self.digests.items() if before != undone}
        self.digests.setdefault(digest, result)


@dataclass(frozen=True, slots=True)
class ShownMail:
    """One received mail as people look at it."""

    id: UUID
    received_at: datetime
    to: str
    sender: str
    """Of the envelope; "" is the null sender."""
    peer: str
    author: str
    subject: str
    result: str
    """"" while it waits."""
    kind: str
    email_id: UUID | None
    position: int | None
    placed_by: str
    detail: str
    size: int
    further: int
    """Mails about the same message that came later and are not kept."""


async def store_inbound(connection: Connection, mails: Sequence[ReceivedMail]) -> list[UUID]:
    """Insert mails; returns their ids in order."""
    ids = [uuid7() for _ in mails]
    await connection.execute(
        "INSERT INTO inbound_mail (id, envelope_to, mail_from, peer, raw)"
        " SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::bytea[])",
        [
            ids,
            [mail.to for mail in mails],
            [_printable(mail.sender) for mail in mails],
            [mail.peer for mail in mails],
            [mail.content for mail in mails],
        ],
    )
    return ids


async def claim_inbound(
    connection: Connection, limit: int, lease: timedelta, only: UUID | None = None
) -> list[InboundMail]:
    """Take mails that are due, oldest first; nobody else gets them while the lease lasts."""
    names = {"lease": lease, "given_up": GIVEN_UP, "only": only, "limit": limit}
    rows = await (await connection.execute(_CLAIM, names)).fetchall()
    return sorted((InboundMail(row[0], row[1], row[2], bytes(row[3])) for row in rows), key=lambda mail: mail.id)


async def put_off(connection: Connection, identifiers: Sequence[UUID], wait: timedelta) -> None:
    """Look at these again after a while."""
    if identifiers:
        await connection.execute(
            "UPDATE inbound_mail SET due_at = now() + %s WHERE id = ANY(%s) AND result IS NULL",
            [wait, list(identifiers)],
        )


async def finish_inbound(connection: Connection, finished: Sequence[Finished]) -> set[UUID]:
    """Set the results; returns those that had none. Locks the rows: call it first, then act."""
    if not finished:
        return set()
    columns = [
        [one.id for one in finished],
        [one.result for one in finished],
        [one.kind for one in finished],
        [one.ref.email_id if one.ref else None for one in finished],
        [one.ref.position if one.ref else None for one in finished],
        [one.placed_by for one in finished],
        [one.author for one in finished],
        [one.subject for one in finished],
        [one.detail for one in finished],
        [one.digest for one in finished],
    ]
    return {row[0] for row in await (await connection.execute(_FINISH, columns)).fetchall()}


async def earlier_mails(connection: Connection, refs: Collection[MessageRef]) -> dict[MessageRef, Earlier]:
    """What came about each of these messages and is kept."""
    found = {ref: Earlier() for ref in refs}
    columns = [[ref.email_id for ref in found], [ref.position for ref in found]]
    rows = await (await connection.execute(_EARLIER, columns)).fetchall() if found else []
    for email_id, position, digest, result in rows:
        found[MessageRef(email_id, position)].add(bytes(digest), result)
    return found


async def drop_inbound(connection: Connection, identifiers: Sequence[UUID]) -> None:
    """Keep these finished ones no more; the last that is kept about the same message counts them."""
    if identifiers:
        await connection.execute(_DROP, {"ids": list(identifiers)})


async def page_of_inbound(connection: Connection, results: Sequence[str], wanted: Window[UUID]) -> Page[ShownMail]:
    """Received mails, newest first; `results` narrows it to these, "" among them stands for those that wait."""
    back = wanted.before is not None
    named = [result for result in results if result]
    which = "(result = ANY(%(results)s)" + (" OR result IS NULL)" if "" in results else ")") if results else "true"
    cursor = await connection.execute(
        f"SELECT {_SHOWN} FROM inbound_mail WHERE {which}"
        f" AND (%(from)s::uuid IS NULL OR id {'>' if back else '<'} %(from)s)"
        f" ORDER BY id {'' if back else 'DESC'} LIMIT %(limit)s",
        {
            "results": named,
            "from": wanted.before if back else wanted.after,
            "limit": None if wanted.limit is None else wanted.limit + 1,
        },
    )
    return cut(await cursor.fetchall(), wanted).map(lambda row: ShownMail(*row))


async def get_inbound(connection: Connection, identifier: UUID) -> tuple[ShownMail, bytes] | None:
    """One of them, with its raw mail."""
    cursor = await connection.execute(f"SELECT {_SHOWN}, raw FROM inbound_mail WHERE id = %s", [identifier])
    row = await cursor.fetchone()
    return (ShownMail(*row[:-1]), bytes(row[-1])) if row else None


async def open_inbound(connection: Connection) -> dict[str, int]:
    """How many there are of each result after which a person may want to look. Not many: retention sees to that."""
    cursor = await connection.execute(
        "SELECT result, count(*) FROM inbound_mail WHERE result = ANY(%s) GROUP BY result", [list(OPEN)]
    )
    return dict(await cursor.fetchall())


async def inbound_between(connection: Connection, least: UUID, largest: UUID, limit: int) -> list[tuple[UUID, str]]:
    """Ids with time and result, newest first: what the beginning of an id may mean."""
    cursor = await connection.execute(
        "SELECT id, received_at, result FROM inbound_mail WHERE id BETWEEN %s AND %s ORDER BY id DESC LIMIT %s",
        [least, largest, limit],
    )
    return [(row[0], f"{row[1]:%Y-%m-%d %H:%M:%S}  {row[2] or 'waits'}") for row in await cursor.fetchall()]


async def forget_inbound(connection: Connection, most_bytes: int | None = None) -> int:
    """Retention: delete what is too old, of what nobody understood all but the newest, and the oldest of what takes
    more than so many bytes; returns how many."""
    old = await connection.execute(
        "DELETE FROM inbound_mail WHERE received_at < now() - %s"
        " AND (result IS NULL OR NOT result = ANY(%s) OR received_at < now() - %s)",
        [KEPT, list(OPEN), KEPT_OPEN],
    )
    beyond = await connection.execute(
        "DELETE FROM inbound_mail WHERE result = ANY(%s) AND id < (SELECT id FROM inbound_mail"
        " WHERE result = ANY(%s) ORDER BY id DESC OFFSET %s LIMIT 1)",
        [list(OPEN), list(OPEN), MOST_OPEN - 1],
    )
    gone = old.rowcount + beyond.rowcount
    if most_bytes is not None:
        gone += (await connection.execute(_TOO_MUCH, {"bytes": most_bytes})).rowcount
    return gone


async def forget_about(connection: Connection, refs: Sequence[MessageRef]) -> None:
    """Mail that came back about these messages, and was placed: their recipient is erased."""
    if refs:
        names = {"emails": [ref.email_id for ref in refs], "positions": [ref.position for ref in refs]}
        await connection.execute(_FORGET_ABOUT, names)


async def forget_from(connection: Connection, address: str) -> None:
    """Mail that somebody who is erased sent to us, and that belongs to no message. `address` is folded."""
    await connection.execute(_FORGET_FROM, {"address": address, "open": list(OPEN)})


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
