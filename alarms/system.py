"""How the installation stands: its processes, its queues, its servers. Reads only.

PostgreSQL is asked by whoever calls; when it is away, they know already.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import psycopg

from alarms.doors import Doors, doors
from alarms.evidence import overdue
from core import valkey
from core.errors import UnavailableError
from core.queues import Lane
from core.settings import Settings
from store import heartbeats, revisions
from store.database import Connection, Database
from store.heartbeats import Process

MOST_COUNTED: Final = 10_000
"""Mails of a queue that are counted; of a longer one it is said that it is longer."""

_SAID: Final = 3
"""Troubles, and silent processes, that the sentence names."""

_WAITING: Final = """
SELECT count(*) FROM (SELECT FROM delivery_queue WHERE lane = %(lane)s LIMIT %(limit)s) AS counted
"""
_VERSION: Final = "SELECT current_setting('server_version')"
_REVISION: Final = "SELECT version_num FROM alembic_version"
_NOT_YET: Final = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)
"""What older tables answer."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Queue:
    """The mail of a lane that is on its way, scheduled or put off."""

    lane: Lane
    waiting: int
    """At most `MOST_COUNTED`."""
    more: bool
    oldest_due: float
    """Seconds for which the oldest mail that is due waits; 0 for none."""

    @property
    def told(self) -> str:
        """How many wait, as far as they were counted."""
        return f"more than {self.waiting:,}" if self.more else f"{self.waiting:,}"


@dataclass(frozen=True, slots=True)
class Server:
    """One server that Postlane needs."""

    name: str
    version: str
    """"" when it does not answer."""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class System:
    """All of it at one moment."""

    processes: Sequence[Process]
    queues: Sequence[Queue]
    servers: Sequence[Server]
    revision: str
    """Of the database."""
    newest_revision: str
    """That this version knows."""
    doors: Doors = field(default_factory=Doors)

    @property
    def outdated(self) -> bool:
        """The tables are older than this version's: what they do not tell is left out."""
        return self.revision < self.newest_revision

    @property
    def tables(self) -> str:
        """How the tables differ from those of this version, and what to do: half a sentence, "" where they do not."""
        return revisions.told(self.revision)

    @property
    def silent(self) -> Sequence[Process]:
        """Processes that should have been heard of."""
        return [one for one in self.processes if one.silent]

    @property
    def troubles(self) -> Sequence[str]:
        """What is wrong, each as half a sentence."""
        silent = [f"{one.name} on {one.host}" for one in self.silent]
        more = f" and {len(silent) - _SAID} more" if len(silent) > _SAID else ""
        found = [f"{', '.join(silent[:_SAID])}{more} {'is' if len(silent) == 1 else 'are'} silent"] if silent else []
        found += [f"{one.name} on {one.host}: {one.trouble}" for one in self.processes if one.trouble]
        found += [
            f"{one.name}{'' if one.version else ' does not answer'}: {one.trouble}"
            for one in self.servers
            if one.trouble
        ]
        return found + ([self.tables] if self.outdated else [])

    @property
    def sentence(self) -> str:
        """Whether everything runs."""
        if not self.processes and not self.outdated:
            return "No process has been heard of. `postlane up` starts everything."
        many, hosts = len(self.processes), len({one.host for one in self.processes})
        where = f" on {hosts} hosts" if hosts > 1 else ""
        if not self.troubles:
            ahead = f" {self.tables[0].upper()}{self.tables[1:]}." if self.tables else ""
            return f"{many} {'process runs' if many == 1 else 'processes run'}{where}, and every server answers.{ahead}"
        said = "; ".join(self.troubles[:_SAID])
        more = f"; {len(self.troubles) - _SAID} more" if len(self.troubles) > _SAID else ""
        return f"Not everything runs: {said}{more}."

    @property
    def versions(self) -> Sequence[str]:
        """Of the processes: more than one while an upgrade goes on."""
        return sorted({one.version for one in self.processes})


async def system(database: Database, settings: Settings) -> System:
    """Look at everything. Raises DatabaseUnavailableError."""
    broker = asyncio.create_task(asyncio.to_thread(_valkey, settings.redis_url))
    async with database.connection() as connection:
        version = await _one(connection, _VERSION)
        revision = await _known(connection, partial(_one, of=_REVISION), "", old=True)
        old = revision < revisions.newest()
        found = await _known(connection, heartbeats.processes, list[Process](), old=old)
        waiting = await _known(connection, queues, list[Queue](), old=old)
        answering = await doors(connection)
    servers = [Server("PostgreSQL", version.partition(" ")[0]), await broker]
    return System(found, waiting, servers, revision, revisions.newest(), answering)


async def _one(connection: Connection, of: str) -> str:
    row = await (await connection.execute(of)).fetchone()
    return str(row[0]) if row else ""


async def _known(connection: Connection, ask: Callable[[Connection], Awaitable[T]], otherwise: T, *, old: bool) -> T:
    """What the tables tell; what old ones do not, is not known."""
    try:
        async with connection.transaction():
            return await ask(connection)
    except _NOT_YET:
        if not old:
            raise
        return otherwise


async def queues(connection: Connection) -> list[Queue]:
    """Each lane's."""
    late, found = await overdue(connection), []
    for lane in Lane:
        cursor = await connection.execute(_WAITING, {"lane": lane.value, "limit": MOST_COUNTED + 1})
        row = await cursor.fetchone()
        n = int(row[0]) if row else 0
        found.append(Queue(lane, min(n, MOST_COUNTED), n > MOST_COUNTED, late[lane.value]))
    return found


def _valkey(url: str) -> Server:
    try:
        told = valkey.facts(url)
    except UnavailableError as error:
        return Server("Valkey", "", f"{error}: mail is accepted, and leaves later")
    evicts = f"it throws keys away when it is full ({told.evicts}): set maxmemory-policy noeviction"
    return Server("Valkey", told.version, evicts if told.evicts else "")
