"""Capture rules: addresses of an application whose mail is kept in the sandbox, whatever key sends it.

A pattern is an address, `*@qa.example.com` for a whole domain, `*@*.example.com` for every domain below one, or `*` for
everybody: a staging server that works on a copy of real data. Rules are asked when mail is accepted, through
`accounts.directory.Directory`; what was accepted before stays what it was.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from core.addresses import fold_address, fold_domain
from core.ids import uuid7
from core.paging import Page, Window, cut
from core.refusal import Refused
from store.database import Connection

EVERYBODY: Final = "*"
_ANY: Final = "*@"
_BELOW: Final = "*."
MOST: Final = 1000
"""Rules of one application: each process that accepts mail holds them all."""


@dataclass(frozen=True, slots=True)
class CaptureRule:
    """One stored rule."""

    id: UUID
    pattern: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CaptureRules:
    """The rules of one application, ready to be asked."""

    everybody: bool = False
    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    """Each itself, or `*.` and what it is below."""

    @classmethod
    def of(cls, patterns: Iterable[str]) -> "CaptureRules":
        """From patterns as `folded` gives them."""
        known = frozenset(patterns)
        whole = frozenset(pattern for pattern in known if pattern.startswith(_ANY))
        domains = frozenset(pattern.removeprefix(_ANY) for pattern in whole)
        return cls(EVERYBODY in known, known - whole - {EVERYBODY}, domains)

    def __bool__(self) -> bool:
        return self.everybody or bool(self.addresses or self.domains)

    def catch(self, address: str, domain: str) -> bool:
        """Whether mail to this folded address of that domain is captured."""
        return self.everybody or address in self.addresses or any(name in self.domains for name in _names(domain))


def folded(pattern: str) -> str:
    """The pattern as it is stored; a domain alone means all of it. Raises AddressError."""
    pattern = pattern.strip()
    if pattern in (EVERYBODY, "*@*"):
        return EVERYBODY
    local, _, domain = pattern.rpartition("@")
    if local not in ("", "*"):
        return fold_address(pattern)
    below = _BELOW if domain.startswith(_BELOW) else ""
    return f"{_ANY}{below}{fold_domain(domain.removeprefix(_BELOW))}"


async def add(connection: Connection, application_id: UUID, pattern: str) -> CaptureRule:
    """Keep a rule; the one that is there when it is known already. `pattern` is folded. Raises Refused."""
    cursor = await connection.execute(
        "INSERT INTO capture_rules AS r (id, application_id, pattern)"
        " SELECT %(id)s, %(application)s, %(pattern)s"
        "  WHERE (SELECT count(*) FROM capture_rules WHERE application_id = %(application)s) < %(most)s"
        " ON CONFLICT (application_id, pattern) DO UPDATE SET pattern = r.pattern RETURNING id, pattern, created_at",
        {"id": uuid7(), "application": application_id, "pattern": pattern, "most": MOST},
    )
    row = await cursor.fetchone()
    if row is None:
        raise Refused("conflict", f"the application has {MOST} capture rules, the most there may be")
    return CaptureRule(*row)


async def rules(connection: Connection, application_id: UUID, window: Window[UUID] | None = None) -> Page[CaptureRule]:
    """The rules of an application, newest first."""
    window = window or Window()
    back = window.before is not None
    cursor_id = window.before or window.after
    condition = "" if cursor_id is None else f" AND id {'>' if back else '<'} %(cursor)s"
    cursor = await connection.execute(
        "SELECT id, pattern, created_at FROM capture_rules WHERE application_id = %(application)s"
        f"{condition} ORDER BY id {'' if back else 'DESC'} LIMIT %(limit)s",
        {"application": application_id, "cursor": cursor_id, "limit": window.limit and window.limit + 1},
    )
    return cut([CaptureRule(*row) for row in await cursor.fetchall()], window)


async def patterns(connection: Connection, application_id: UUID) -> list[str]:
    """Of every rule of an application."""
    cursor = await connection.execute("SELECT pattern FROM capture_rules WHERE application_id = %s", [application_id])
    return [row[0] for row in await cursor.fetchall()]


async def remove(connection: Connection, application_id: UUID, rule_id: UUID) -> bool:
    """False when the application has no such rule."""
    cursor = await connection.execute(
        "DELETE FROM capture_rules WHERE id = %s AND application_id = %s", [rule_id, application_id]
    )
    return cursor.rowcount == 1


def _names(domain: str) -> Iterable[str]:
    """The domain, and `*.` with each one above it."""
    yield domain
    while "." in domain:
        domain = domain.partition(".")[2]
        yield f"{_BELOW}{domain}"
