"""Seed accounts: mailboxes of our own at the providers, to which mail is sent to see where it lands.

Owns `seeds` and `seed_probes`: which accounts there are, which are due, what became of each probe. The mailbox itself
is read by `alarms/imap`; the probe is sent by the background worker, through the same door as all mail.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from alarms.model import Finding, Severity
from core.addresses import AddressError, parse_mailbox
from core.ids import uuid7
from core.queues import Lane
from core.refusal import Refused, conflict, invalid
from core.secrets import InstanceSecret
from store.database import Connection

TLS: Final = ("tls", "starttls", "none")
PORTS: Final = {"tls": 993, "starttls": 143, "none": 143}
PLACEMENTS: Final = ("inbox", "spam", "other", "missing")

LOOK_AGAIN: Final = timedelta(seconds=60)
GIVEN_UP: Final = timedelta(days=1)
"""A mailbox that cannot be read for so long tells nothing about its probes."""
KEPT_DAYS: Final = 90
SHOWN: Final = 20

_COLUMNS: Final = (
    "s.id, s.address, s.provider, s.host, s.port, s.tls, s.login, s.sender, s.lane, s.every_minutes, s.active,"
    " s.created_at, s.trouble, p.sent_at, p.placement, p.folder"
)
_SEEDS: Final = f"""
SELECT {_COLUMNS} FROM seeds s LEFT JOIN LATERAL (
  SELECT sent_at, placement, folder FROM seed_probes p WHERE p.seed_id = s.id AND placement IS NOT NULL
   ORDER BY sent_at DESC LIMIT 1) p ON true
"""

_NEWEST: Final = """
SELECT s.id, p.sent_at, p.placement, p.folder, p.found_at, p.email_id FROM seeds s CROSS JOIN LATERAL (
  SELECT * FROM seed_probes WHERE seed_id = s.id ORDER BY sent_at DESC, id DESC LIMIT %s) p
 ORDER BY s.id, p.sent_at DESC, p.id DESC
"""

# Taken with the row locked, so that two workers send one probe.
_DUE: Final = """
UPDATE seeds SET due_at = now() + make_interval(mins => every_minutes) WHERE id IN (
  SELECT id FROM seeds WHERE active AND due_at <= now() ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING id, address, sender, lane
"""

_TO_LOOK_FOR: Final = """
UPDATE seed_probes SET look_at = now() + %(again)s WHERE id IN (
  SELECT p.id FROM seed_probes p WHERE p.placement IS NULL AND p.look_at <= now() AND p.sent_at > now() - %(most)s
   ORDER BY p.look_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING id, seed_id, message_id, now() - sent_at
"""


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed account, with where its newest probe landed."""

    id: UUID
    address: str
    provider: str
    host: str
    port: int
    tls: str
    login: str
    sender: str
    lane: str
    every_minutes: int
    active: bool
    created_at: datetime
    trouble: str = ""
    """Why its mailbox cannot be read; "" when it can."""
    probed_at: datetime | None = None
    placement: str | None = None
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """What is needed to read a mailbox."""

    host: str
    port: int
    tls: str
    login: str
    password: str


@dataclass(frozen=True, slots=True)
class NewSeed:
    """A seed account to be added."""

    address: str
    provider: str
    account: Account
    sender: str
    lane: Lane
    every_minutes: int


@dataclass(frozen=True, slots=True)
class DueSeed:
    """A seed account that a probe is sent to now."""

    id: UUID
    address: str
    sender: str
    lane: Lane


@dataclass(frozen=True, slots=True)
class Probe:
    """One mail to a seed account."""

    sent_at: datetime
    placement: str | None
    """One of `PLACEMENTS`; None while it is looked for."""
    folder: str
    found_at: datetime | None
    email_id: UUID


@dataclass(frozen=True, slots=True)
class OpenProbe:
    """A probe that is looked for."""

    id: UUID
    seed_id: UUID
    message_id: str
    age: timedelta


async def add(connection: Connection, wanted: NewSeed, secret: InstanceSecret) -> Seed:
    """Keep a seed account, its password sealed. Raises Refused."""
    checked(wanted)
    identifier, account = uuid7(), wanted.account
    sealed = secret.seal(account.password.encode(), _context(identifier))
    cursor = await connection.execute(
        "INSERT INTO seeds"
        " (id, address, provider, host, port, tls, login, sealed_password, sender, lane, every_minutes)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (address) DO NOTHING",
        [
            identifier, wanted.address, wanted.provider, account.host, account.port, account.tls, account.login, sealed,
            wanted.sender, wanted.lane.value, wanted.every_minutes,
        ],
    )  # fmt: skip
    if cursor.rowcount == 0:
        raise conflict(f"there is a seed account {wanted.address} already", "`postlane seeds remove` forgets it.")
    return await find(connection, str(identifier))


def checked(wanted: NewSeed) -> None:
    """Raises Refused naming what cannot be."""
    for field, address in (("address", wanted.address), ("sender", wanted.sender)):
        try:
            parse_mailbox(address)
        except AddressError as error:
            raise invalid(field, error.reason) from None
    if wanted.account.tls not in TLS:
        raise invalid("tls", f"it must be one of {', '.join(TLS)}")
    if not 1 <= wanted.account.port <= 65535:
        raise invalid("port", "it must be from 1 to 65535")
    if not 5 <= wanted.every_minutes <= 10_080:
        raise invalid("every_minutes", "it must be from 5 minutes to a week")
    for field, text in (("host", wanted.account.host), ("login", wanted.account.login), ("provider", wanted.provider)):
        if not text or not text.isprintable() or len(text) > 300:
            raise invalid(field, "it must hold 1 to 300 printable characters")


async def seeds(connection: Connection) -> list[Seed]:
    """All seed accounts, by provider and address."""
    cursor = await connection.execute(f"{_SEEDS} ORDER BY s.provider, s.address")
    return [Seed(*row) for row in await cursor.fetchall()]


async def active(connection: Connection, lane: Lane) -> list[Seed]:
    """Those of a stream that mail is sent to."""
    return [seed for seed in await seeds(connection) if seed.active and seed.lane == lane]


async def find(connection: Connection, name: str) -> Seed:
    """The seed account with this address or id. Raises Refused."""
    for seed in await seeds(connection):
        if name in (seed.address, str(seed.id)):
            return seed
    raise Refused("not_found", f"there is no seed account {name}", hint="`postlane seeds list` shows those there are.")


async def remove(connection: Connection, name: str) -> Seed:
    """Forget a seed account and its probes. Raises Refused."""
    seed = await find(connection, name)
    await connection.execute("DELETE FROM seeds WHERE id = %s", [seed.id])
    return seed


async def set_active(connection: Connection, name: str, *, active: bool) -> Seed:
    """Probe a seed account no more, or again. Raises Refused."""
    seed = await find(connection, name)
    await connection.execute("UPDATE seeds SET active = %s, due_at = now() WHERE id = %s", [active, seed.id])
    return await find(connection, name)


async def probe_now(connection: Connection, name: str) -> Seed:
    """Let the next probe be due at once. Raises Refused."""
    seed = await find(connection, name)
    if not seed.active:
        raise conflict(f"{seed.address} is paused", "`postlane seeds resume` lets it be probed again.")
    await connection.execute("UPDATE seeds SET due_at = now() WHERE id = %s", [seed.id])
    return seed


async def probes(connection: Connection, seed_id: UUID, limit: int = SHOWN) -> list[Probe]:
    """The last probes of a seed account, newest first."""
    cursor = await connection.execute(
        "SELECT sent_at, placement, folder, found_at, email_id FROM seed_probes WHERE seed_id = %s"
        " ORDER BY sent_at DESC, id DESC LIMIT %s",
        [seed_id, limit],
    )
    return [Probe(*row) for row in await cursor.fetchall()]


async def newest_probes(connection: Connection, each: int) -> dict[UUID, list[Probe]]:
    """The last probes of every seed account, newest first."""
    found: dict[UUID, list[Probe]] = {}
    for seed_id, *probe in await (await connection.execute(_NEWEST, [each])).fetchall():
        found.setdefault(seed_id, []).append(Probe(*probe))
    return found


async def take_due(connection: Connection, limit: int = 20) -> list[DueSeed]:
    """Accounts that a probe is due for, taken by this transaction."""
    rows = await (await connection.execute(_DUE, [limit])).fetchall()
    return [DueSeed(identifier, address, sender, Lane(lane)) for identifier, address, sender, lane in rows]


async def keep_probe(connection: Connection, seed_id: UUID, email_id: UUID, message_id: str) -> None:
    """A probe was accepted for sending."""
    await connection.execute(
        "INSERT INTO seed_probes (id, seed_id, email_id, message_id) VALUES (%s, %s, %s, %s)",
        [uuid7(), seed_id, email_id, message_id],
    )


async def take_open(connection: Connection, limit: int = 100) -> list[OpenProbe]:
    """Probes to look for now; each again after `LOOK_AGAIN`."""
    names = {"again": LOOK_AGAIN, "most": GIVEN_UP, "limit": limit}
    return [OpenProbe(*row) for row in await (await connection.execute(_TO_LOOK_FOR, names)).fetchall()]


async def account_of(connection: Connection, seed_id: UUID, secret: InstanceSecret) -> Account | None:
    """How to read its mailbox; None when it was removed. Raises ConfigurationError for another secret."""
    asked = "SELECT host, port, tls, login, sealed_password FROM seeds WHERE id = %s"
    cursor = await connection.execute(asked, [seed_id])
    row = await cursor.fetchone()
    if row is None:
        return None
    host, port, tls, login, sealed = row
    return Account(host, port, tls, login, secret.open(bytes(sealed), _context(seed_id)).decode())


async def placed(connection: Connection, probe_id: UUID, placement: str, folder: str) -> None:
    """Where a probe was found, or that it is missing."""
    await connection.execute(
        "UPDATE seed_probes SET placement = %s, folder = %s, found_at = CASE WHEN %s <> 'missing' THEN now() END"
        " WHERE id = %s AND placement IS NULL",
        [placement, folder[:200], placement, probe_id],
    )


async def note_trouble(connection: Connection, seed_id: UUID, trouble: str) -> None:
    """Why its mailbox cannot be read; "" when it can."""
    text = trouble.replace("\x00", "")[:500]
    await connection.execute("UPDATE seeds SET trouble = %s WHERE id = %s AND trouble <> %s", [text, seed_id, text])


async def findings(connection: Connection) -> list[Finding]:
    """What the judge has to say: accounts whose newest probe is not in the inbox, or that cannot be read."""
    return [finding for seed in await seeds(connection) if seed.active and (finding := judged(seed)) is not None]


def judged(seed: Seed) -> Finding | None:
    """What is wrong with a seed account. Pure."""
    named = f"{seed.address} ({seed.provider})"
    if seed.placement == "missing":
        return Finding(named, Severity.CRITICAL, f"the probe of {seed.probed_at:%Y-%m-%d %H:%M} UTC did not arrive")
    if seed.placement == "spam":
        return Finding(named, Severity.WARNING, f"the probe of {seed.probed_at:%Y-%m-%d %H:%M} UTC is in {seed.folder}")
    if seed.trouble:
        return Finding(named, Severity.WARNING, f"its mailbox cannot be read: {seed.trouble}")
    return None


async def forget(connection: Connection) -> None:
    """Retention: probes of long ago."""
    await connection.execute("DELETE FROM seed_probes WHERE sent_at < now() - make_interval(days => %s)", [KEPT_DAYS])


def shares(found: Sequence[Probe]) -> dict[str, int]:
    """How many of these probes landed where."""
    return {place: sum(probe.placement == place for probe in found) for place in PLACEMENTS}


def _context(seed_id: UUID) -> str:
    return f"seed:{seed_id}"
