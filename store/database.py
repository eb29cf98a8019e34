"""Connections to PostgreSQL: one asyncio pool a process.

All statements of Postlane are SQL over psycopg 3; only the edge (a request, a batch, a command) opens a transaction
and so commits. No transaction may be open during SMTP.
"""

import asyncio
import contextlib
import math
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Final, Self, TypeVar

import orjson
import psycopg
from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from core.errors import UnavailableError
from core.logs import get_logger
from store.probing import probe_always
from store.statements import COMMIT, CONNECTION, TimedCursor
from store.waiting import reading_on

_log = get_logger(__name__)

set_json_loads(orjson.loads)
set_json_dumps(orjson.dumps)

_T = TypeVar("_T")

Connection = AsyncConnection[TupleRow]

LOST = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)
"""What psycopg raises when the server is away, restarting, or refuses connections."""


WAIT_SECONDS = 5.0
"""How long to wait for a connection before PostgreSQL counts as away."""

AGAIN_SECONDS = 0.5
"""The same for another connection to a server that has just said nothing for so long."""

RECONNECT_SECONDS = 4.0
"""How long the pool itself goes on trying, each time after twice the pause: whoever asks next begins anew. With half a
minute a process noticed up to 16 s late that the server was back, and others took its mail for left behind."""


_FIRST: Final = ContextVar("_FIRST", default="")
"""What a connection is asked before it is handed out, to see whether it is good."""


class DatabaseUnavailableError(UnavailableError):
    """PostgreSQL does not answer. Nothing was committed unless a commit itself was cut off."""


class DatabaseConflictError(DatabaseUnavailableError):
    """Two transactions were in each other's way and this one was rolled back. PostgreSQL is there: the same again, at
    once, will do."""


_CONFLICTS = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


class Database:
    """A pool of connections with the settings every Postlane process wants."""

    def __init__(self, url: str, size: int = 10, name: str = "postlane", *, probing: bool = False) -> None:
        """With `probing` every statement is planned to look rows up by an index (`store/probing`)."""
        self._trouble = ""
        self._hung = -math.inf
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=self._connection_class(),
            configure=_probing_in_utc if probing else _in_utc,
            min_size=1,
            max_size=size,
            open=False,
            timeout=WAIT_SECONDS,
            reconnect_timeout=RECONNECT_SECONDS,
            name=name,
            check=self._check,
            kwargs={
                "application_name": name, "prepare_threshold": 1, "connect_timeout": 5, "autocommit": True,
                "cursor_factory": TimedCursor,
            },
        )  # fmt: skip

    async def open(self) -> None:
        """Start the pool; connections come when they are first needed, so a server that is away does not stop us."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close(timeout=3)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode, for single statements. Raises DatabaseUnavailableError."""
        async with self._taken("") as connection:
            yield connection

    @asynccontextmanager
    async def _taken(self, first: str) -> AsyncIterator[Connection]:
        """A connection that has answered `first`."""
        asked = perf_counter()
        try:
            token = _FIRST.set(first)
            try:
                connection = await self._pool.getconn()
            finally:
                _FIRST.reset(token)
            try:
                CONNECTION.note(perf_counter() - asked)
                yield connection
            finally:
                await self._pool.putconn(connection)
        except PoolTimeout as error:
            raise DatabaseUnavailableError(self._trouble or str(error)) from error
        except _CONFLICTS as error:
            raise DatabaseConflictError(str(error).strip()) from error
        except LOST as error:
            raise DatabaseUnavailableError(str(error).strip() or type(error).__name__) from error

    async def _check(self, connection: Connection) -> None:
        """Whether it is good. One whose server says nothing is hung up, which alone ends psycopg's waiting; after it
        the others get little time, for theirs is the same server."""
        loop = asyncio.get_running_loop()
        seconds = AGAIN_SECONDS if loop.time() - self._hung < WAIT_SECONDS else WAIT_SECONDS
        timer = loop.call_later(seconds, self._hang_up, connection)
        try:
            await proven(connection)
        finally:
            timer.cancel()

    def _hang_up(self, connection: Connection) -> None:
        self._hung = asyncio.get_running_loop().time()
        self._trouble = "PostgreSQL does not answer: it takes connections, and says nothing"
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as own:
            own.shutdown(socket.SHUT_RDWR)

    def _connection_class(self) -> type[Connection]:
        """Connections whose failure to connect is kept: the pool itself only says how long it waited. They read what
        has come in one go."""
        database = self

        class Remembering(AsyncConnection[TupleRow]):
            @classmethod
            async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
                try:
                    connection = await super().connect(conninfo, **kwargs)
                except psycopg.Error as error:
                    database._trouble = f"PostgreSQL cannot be reached: {' '.join(str(error).split())}"
                    raise
                database._trouble = ""
                return connection

            async def wait(self, gen: PQGen[_T], *given: Any, **named: Any) -> _T:
                return await super().wait(reading_on(gen, self.pgconn.socket), *given, **named)

        return Remembering

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction that commits at the end of the block. That it begins says that the
        connection is good: no round trip more asks for that."""
        async with self._taken("BEGIN") as connection:
            try:
                yield connection
            except BaseException as error:
                await _roll_back(connection)
                if isinstance(error, psycopg.Rollback):
                    return
                raise
            done = perf_counter()
            await connection.commit()
            COMMIT.note(perf_counter() - done)


async def proven(connection: Connection) -> None:
    """Ask what it is asked first. A function of its own, so that its time is none of whoever wants the connection."""
    await connection.execute(_FIRST.get(), prepare=False)


async def _roll_back(connection: Connection) -> None:
    """As far as that can be: what is raised already tells more than a connection that is gone."""
    try:
        await connection.rollback()
    except psycopg.Error as error:
        _log.warning("not_rolled_back", error=str(error).strip())


async def _in_utc(connection: Connection) -> None:
    """Times are shown, and hours counted, the same whatever the server's time zone is."""
    await connection.execute("SET TIME ZONE 'UTC'")


async def _probing_in_utc(connection: Connection) -> None:
    await _in_utc(connection)
    await probe_always(connection)
