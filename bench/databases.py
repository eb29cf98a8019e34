"""A database for each figure, copied from one that is migrated and seeded: no figure sees another one's mail.

Everything is made by the product's own functions (migrations, accounts, pools, partitions), but for rows by the
million (`bench/rows`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
from psycopg import sql

from accounts import repository as accounts
from bench import mail
from bench.errors import BenchError
from bench.rows import Connection, MailRows
from core.ids import uuid7
from core.queues import Lane
from core.secrets import InstanceSecret
from mta.model import EgressIp
from mta.sign import Algorithm, dns_record
from pools.repository import ensure_pool
from store import partitions
from store.database import Database
from store.migrate import upgrade

_PREFIX = "bench_"
TEMPLATE = f"{_PREFIX}template"
POOL_IPS = 3
"""IPs of each lane's pool, as in the demo."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who sends, in every database the same."""

    token: str
    application: UUID
    domain: UUID
    dkim_name: str
    """DNS name of the RSA key's record."""
    dkim_record: str


@dataclass(frozen=True, slots=True)
class BenchDatabase:
    """One database of the benchmark."""

    name: str
    url: str
    rows: MailRows

    def connect(self) -> Connection:
        """A connection in autocommit mode whose commits do not wait for the disk: for preparing and counting only."""
        connection = psycopg.connect(self.url, autocommit=True)
        connection.execute("SET synchronous_commit = off")
        return connection


class Databases:
    """Makes and drops the databases of one server."""

    def __init__(self, server_url: str, admin_url: str, domains: int) -> None:
        """`server_url` leads to any database of the server, as a role that may create databases; `admin_url` is that
        of a superuser."""
        self._server_url = server_url
        self._admin_url = admin_url
        self._domains = domains
        self._tenant: Tenant | None = None
        self._contents: list[UUID] = []

    @property
    def tenant(self) -> Tenant:
        """Known once the template is made."""
        if self._tenant is None:
            raise BenchError("the template database has not been made yet")
        return self._tenant

    async def make_template(self, secret: str, fill: Callable[[Connection], None]) -> None:
        """Migrate and seed the template; `fill` adds rows to it."""
        self.drop(TEMPLATE)
        self._create(TEMPLATE)
        url = database_url(self._server_url, TEMPLATE)
        upgrade(url)
        database = Database(url, size=2, name="bench")
        await database.open()
        try:
            async with database.connection() as connection:
                await partitions.ensure(connection, datetime.now(UTC).date())
            async with database.transaction() as connection:
                self._tenant = await seed(connection, InstanceSecret.from_text(secret))
        finally:
            await database.close()
        with psycopg.connect(url, autocommit=True) as connection:
            self._contents = add_contents(connection)
            fill(connection)

    def copy(self, name: str) -> BenchDatabase:
        """A fresh copy of the template; what had that name before is dropped."""
        self.drop(name)
        self._create(name, TEMPLATE)
        tenant = self.tenant
        rows = MailRows(
            tenant.application, tenant.domain, mail.SENDER_DOMAIN, self._contents, mail.BULK_ZONE, self._domains
        )
        return BenchDatabase(name, database_url(self._server_url, name), rows)

    def drop(self, name: str) -> None:
        """Drop a database if there is one, whoever is connected to it; autovacuum is the superuser's to end."""
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def drop_all(self) -> None:
        """Drop every database of the benchmark, those of a killed run too: they hold gigabytes."""
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            cursor = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{_PREFIX}%"])
            for (name,) in cursor.fetchall():
                self.drop(str(name))

    def checkpoint(self) -> None:
        """Write dirty pages now, so that they are not left to the measured time."""
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def _create(self, name: str, template: str = "template1") -> None:
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            # A copy of files and not through the WAL: it is large, and nobody needs it after a crash.
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )


def database_url(server_url: str, name: str) -> str:
    """The URL of another database of the same server, with the same role."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def pool_addresses(lane: Lane) -> list[str]:
    """The IPs of a lane's pool: a block of its own."""
    first = 1 + list(Lane).index(lane) * POOL_IPS
    return [f"127.0.1.{first + n}" for n in range(POOL_IPS)]


async def seed(connection: psycopg.AsyncConnection[tuple[object, ...]], secret: InstanceSecret) -> Tenant:
    """Application, key, a verified sender domain that signs with RSA only, a pool for each lane."""
    application = await accounts.create_application(connection, "bench")
    if application is None:
        raise BenchError("the template database is not empty")
    keys = tuple(key for key in await accounts.make_keys() if key.algorithm == "rsa")
    domain = await accounts.create_domain(
        connection,
        secret,
        accounts.DomainRequest(application.id, mail.SENDER_DOMAIN, f"bounce.{mail.SENDER_DOMAIN}", keys),
    )
    if domain is None:
        raise BenchError("the sender domain exists already")
    await accounts.store_checks(connection, domain.id, "verified", {})
    _, token = await accounts.create_key(connection, accounts.KeyRequest(application.id, "bench"))
    for lane in Lane:
        ips = [EgressIp(a, a, f"out{a.rpartition('.')[2]}.{mail.SENDER_DOMAIN}") for a in pool_addresses(lane)]
        await ensure_pool(connection, lane.value, lane, ips)
    key = keys[0]
    return Tenant(
        token,
        application.id,
        domain.id,
        f"{key.selector}._domainkey.{mail.SENDER_DOMAIN}",
        dns_record(key.public_key, Algorithm.RSA),
    )


def add_contents(connection: Connection) -> list[UUID]:
    """Ten bodies for the waiting mails of a backlog, the same kind that the API is given."""
    made = []
    for number in range(10):
        html, text = mail.MailBodies("marketing").texts(number)
        content = uuid7()
        connection.execute(
            "INSERT INTO contents (id, html, body, size) VALUES (%s, %s, %s, %s)",
            [content, html, text, len(html) + len(text)],
        )
        made.append(content)
    return made
