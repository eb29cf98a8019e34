"""The inside of a worker on a test database: the real pipeline wired as a worker wires it, a DNS table, an SMTP sink.

Every domain of `.example` in the table has one MX, the sink. Tests put mail into the store and call `deliver_due`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from accounts import repository as accounts
from core.ids import uuid7
from core.queues import Lane
from core.secrets import InstanceSecret
from core.settings import Settings
from messages.model import MessageRef, NewEmail
from mta.model import EgressIp
from pools.repository import ensure_pool
from store.database import Database
from tests.dns_table import DnsTable
from tests.integration.messages.emails import execute, make_partitions, new_email, rows, states, store, waiting
from tests.smtp_sink import DROP, SILENCE, Mail, Rule, SmtpSink
from workers import wiring
from workers.batch import Collaborators
from workers.pipeline import deliver_due

SECRET = "5e" * 32  # of the test instance
LANE = Lane.TRANSACTIONAL
IPS = ("127.0.1.1", "127.0.1.2", "127.0.1.3")
KNOWN = ("one.example", "two.example", "three.example")

RULES = (
    Rule("rcpt", "550 5.1.1 no such user", local="unknown"),
    Rule("rcpt", "451 4.7.1 Greylisted, please try again later", local="grey", times=1),
    Rule("rcpt", "421 4.3.2 shutting down", local="busy"),
    Rule("dot", "554 5.7.1 message looks like spam", local="spam"),
    Rule("dot", DROP, local="lost"),
    Rule("dot", SILENCE, local="silent"),
    Rule("dot", "250 taken", local="slow", delay=1.5),
)
"""What the local part of a recipient decides at the sink."""

Records = dict[tuple[str, str], list[str] | int | None]


@dataclass(frozen=True, slots=True)
class LaneTest:
    """A worker's inside, and what is around it."""

    database: Database
    collaborators: Collaborators
    sink: SmtpSink
    dns: DnsTable
    settings: Settings
    application_id: UUID
    domain_id: UUID
    stored: list[NewEmail] = field(default_factory=list)

    def email(self, *addresses: str, **changes: Any) -> NewEmail:
        """An email of the test's application and domain."""
        facts = {"application_id": self.application_id, "domain_id": self.domain_id, **changes}
        return new_email(*addresses, **facts)

    async def put(self, *addresses: str, **changes: Any) -> NewEmail:
        """Accept one."""
        email = self.email(*addresses, **changes)
        await store(self.database, email)
        self.stored.append(email)
        return email

    async def deliver(self, *destinations: str) -> list[str]:
        """One hint; waits until its outcomes are committed."""
        more = await deliver_due(LANE, destinations or KNOWN, self.collaborators)
        await self.committed()
        return more

    async def committed(self) -> None:
        """Wait until every outcome so far is in the store."""
        await until(lambda: self.collaborators.recorder.depth() == 0)

    async def state(self, email: NewEmail, position: int = 0) -> str:
        """State of one message."""
        return (await states(self.database))[MessageRef(email.id, position)]

    async def event(self, email: NewEmail) -> dict[str, Any]:
        """The newest event of an email's first message."""
        names = "kind, attempt, ip, provider, mx, tls, phase, code, enhanced, reply, action, class, rule, detail"
        found = await rows(
            self.database,
            f"SELECT {names} FROM events WHERE email_id = %s AND position = 0 ORDER BY at DESC LIMIT 1",
            [email.id],
        )
        return dict(zip(names.split(", "), found[0], strict=True))

    def mails_to(self, recipient: str) -> list[Mail]:
        """What the sink took for this address."""
        return [mail for mail in self.sink.mails if recipient in mail.rcpt_to]


async def events_of(lane: LaneTest, ref: MessageRef) -> list[str]:
    """Kinds of a message's events, in order."""
    found = await rows(
        lane.database, "SELECT kind FROM events WHERE email_id = %s AND position = %s ORDER BY at", list(ref)
    )
    return [kind for (kind,) in found]


async def due_in(lane: LaneTest, ref: MessageRef) -> timedelta:
    """How long until a message is due."""
    return (await waiting(lane.database))[ref] - datetime.now(UTC)


async def due_now(lane: LaneTest) -> None:
    """Let everything that waits be due."""
    await execute(lane.database, "UPDATE delivery_queue SET due_at = now() - interval '1 s'")


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for it."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def lane_test(
    database: Database,
    database_url: str,
    redis_url: str,
    folder: Path,
    *rules: Rule,
    records: Records | None = None,
    **settings: Any,
) -> AsyncIterator[LaneTest]:
    """A worker's inside on this database; more DNS records and settings when given."""
    await make_partitions(database)
    application_id, domain_id = await _account(database)
    known: Records = {(name, "MX"): ["10 mx.example."] for name in KNOWN}
    known |= {("mx.example", "A"): ["127.0.0.1"], **(records or {})}
    async with SmtpSink(*rules) as sink, DnsTable(known) as dns:
        found = Settings(
            database_url=database_url,
            redis_url=redis_url,
            data_dir=folder,
            secret=SecretStr(SECRET),
            dns_servers=(dns.address,),
            smtp_port=sink.port,
            simulator=True,
            outcome_flush_ms=5,
            **settings,
        )
        collaborators, journal = await wiring.build(found, f"{LANE.value}-0")
        try:
            yield LaneTest(database, collaborators, sink, dns, found, application_id, domain_id)
        finally:
            await wiring.close(collaborators, journal)


async def _account(database: Database) -> tuple[UUID, UUID]:
    secret = InstanceSecret.from_text(SECRET)
    async with database.transaction() as connection:
        application = await accounts.create_application(connection, "acme")
        assert application is not None
        request = accounts.DomainRequest(application.id, "acme.example", "bounce.acme.example", _keys())
        domain = await accounts.create_domain(connection, secret, request)
        assert domain is not None
        await ensure_pool(connection, "main", LANE, [EgressIp(ip, ip, f"mta{ip[-1]}.acme.example") for ip in IPS])
    return application.id, domain.id


_made: list[tuple[accounts.FreshKey, ...]] = []


def _keys() -> tuple[accounts.FreshKey, ...]:
    """DKIM keys, made once a process: RSA takes a tenth of a second and more."""
    if not _made:
        _made.append(accounts._make_keys())
    return _made[0]


def new_worker() -> UUID:
    """Somebody else."""
    return uuid7()
