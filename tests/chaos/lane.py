"""One lane's delivery without its process: the real pipeline, wired as a worker wires it, and the practice internet.

For what a killed process cannot show: a clock that is wrong, and moments between two statements. The database's clock
is set by `pretend`, which is the same as a wrong one here and needs no way in through the product.
`tests/stack` runs the processes; here a test calls `deliver_due` itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from psycopg import sql
from pydantic import SecretStr

from cli.running import demo
from core.addresses import fold_address
from core.ids import uuid7
from core.queues import Lane
from core.settings import Settings
from messages.accept import write_emails
from messages.model import NewEmail, Recipient
from mta.deliver import Courier, Delivery, Gate
from mta.model import EgressIp, Envelope, Route
from mta.session_slots import PoolStats
from simulator.ledger import read_ledger
from simulator.main import SimulatorConfig, running
from store import partitions
from store.database import Database
from workers import wiring
from workers.batch import Collaborators
from workers.pipeline import deliver_due

LANE = Lane.MARKETING


class HeldCourier:
    """The real courier, whose answers reach the worker only once `release` is set."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self.release = asyncio.Event()

    async def deliver(
        self, route: Route, source: EgressIp, envelope: Envelope, gate: Gate | None = None, *, shares: bool = False
    ) -> Delivery:
        delivery = await self._courier.deliver(route, source, envelope, gate)
        await self.release.wait()
        return delivery

    async def close(self) -> None:
        await self._courier.close()

    def stats(self) -> PoolStats:
        return self._courier.stats()


@dataclass(frozen=True)
class OneLane:
    """A worker's inside, and the far side."""

    database: Database
    collaborators: Collaborators
    ledger_file: Path

    async def put(self, recipient: str, expires: timedelta | None = None) -> UUID:
        """Accept one mail, due now; its email id. `expires` counts from now."""
        email_id = uuid7()
        now = (await self.row("SELECT now()"))[0]
        async with self.database.transaction() as connection:
            cursor = await connection.execute("SELECT application_id, id FROM domains")
            application_id, domain_id = (await cursor.fetchall())[0]
            box = Recipient(recipient, fold_address(recipient), recipient.rpartition("@")[2], "to")
            email = NewEmail(
                email_id, application_id, domain_id, LANE, now, f"<{email_id.hex}@{demo.DOMAIN}>", demo.SENDER, "Hello",
                (box,), (recipient,), text="It works.", expires_at=now + expires if expires else None,
            )  # fmt: skip
            await write_emails(connection, [email])
        return email_id

    async def deliver(self, recipient: str) -> None:
        """Send what is due for the domain of this address, as the task of a hint does."""
        await deliver_due(LANE, [recipient.rpartition("@")[2]], self.collaborators)

    async def committed(self) -> None:
        """Wait until every outcome so far is in the store."""
        async with asyncio.timeout(10):
            while self.collaborators.recorder.depth():
                await asyncio.sleep(0.01)

    async def row(self, statement: str, *parameters: object) -> tuple[Any, ...]:
        """The first row of a statement."""
        async with self.database.connection() as connection:
            found = await (await connection.execute(statement, parameters)).fetchone()
        assert found is not None
        return found

    async def state(self, email_id: UUID) -> str:
        """State of the only message of an email."""
        return str((await self.row("SELECT state FROM messages WHERE email_id = %s", email_id))[0])

    async def due_in(self, email_id: UUID) -> float:
        """Seconds until its next attempt, by the database's clock."""
        statement = "SELECT extract(epoch FROM due_at - now())::float8 FROM delivery_queue WHERE email_id = %s"
        return float((await self.row(statement, email_id))[0])

    async def let_lease_run_out(self, email_id: UUID) -> None:
        """What time does to a claim that nobody renews."""
        async with self.database.connection() as connection:
            await connection.execute(
                "UPDATE delivery_queue SET due_at = now() - interval '1 second' WHERE email_id = %s", [email_id]
            )

    async def leased_again(self, email_id: UUID) -> None:
        """Wait until somebody has claimed it anew."""
        async with asyncio.timeout(5):
            while await self.due_in(email_id) < 0:
                await asyncio.sleep(0.01)

    async def arrived(self, recipient: str, seconds: float = 5.0) -> int:
        """How often a mail to this address has been taken, waiting for the first one."""
        async with asyncio.timeout(seconds):
            while not (count := sum(entry.recipient == recipient for entry in read_ledger(self.ledger_file))):
                await asyncio.sleep(0.02)
        return count


@contextlib.asynccontextmanager
async def one_lane(
    database: Database, settings: Settings, flush_ms: float = 10.0, held: bool = False
) -> AsyncIterator[OneLane]:
    """The inside of a marketing worker on this database. `held`: its courier is a `HeldCourier`."""
    practice = await asyncio.to_thread(demo.prepare, settings)
    seen = practice.settings.model_copy(
        update={
            "smtp_port": int(practice.env["POSTLANE_SMTP_PORT"]),
            "providers_file": Path(practice.env["POSTLANE_PROVIDERS_FILE"]),
            "outcome_flush_ms": flush_ms,
        }
    )
    dns_port = int(seen.dns_servers[0].rpartition(":")[2])
    ledger = settings.data_dir / "ledger"
    config = SimulatorConfig(
        zones=settings.data_dir / "simulator-zones.json", ledger=ledger, dns_port=dns_port, smtp_port=seen.smtp_port
    )
    async with database.connection() as connection:
        await partitions.ensure(connection, datetime.now(UTC).date())
    async with running(config):
        collaborators, journal = await wiring.build(seen, "marketing-0")
        if held:
            collaborators = replace(collaborators, courier=cast(Courier, HeldCourier(collaborators.courier)))
        try:
            yield OneLane(database, collaborators, ledger)
        finally:
            await wiring.close(collaborators, journal)


def settings_for(database_url: str, redis_url: str, folder: Path) -> Settings:
    """Settings of a worker of its own."""
    return Settings(
        database_url=database_url, redis_url=redis_url, data_dir=folder, secret=SecretStr("5e" * 32), _env_file=None
    )  # fmt: skip


def pretend(database_url: str, function: str, expression: str) -> None:
    """Let a function of PostgreSQL without arguments, such as `now`, answer later connections with this expression.

    A schema in front of pg_catalog has a function of that name; which one is meant is the search path's matter.
    """
    name = urlsplit(database_url).path.removeprefix("/")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA pretended")
        connection.execute(
            sql.SQL("CREATE FUNCTION pretended.{}() RETURNS timestamptz LANGUAGE sql STABLE AS {}").format(
                sql.Identifier(function), sql.Literal(f"SELECT {expression}")
            )
        )
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET search_path = pretended, pg_catalog, public").format(sql.Identifier(name))
        )


@contextlib.asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[Database]:
    """A pool of connections that are made from now on."""
    database = Database(database_url, size=4, name="postlane-test")
    await database.open()
    try:
        yield database
    finally:
        await database.close()
