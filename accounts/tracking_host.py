"""Whether recipients can follow links to a tracking host: does our public server show a certificate for it?

The record alone does not tell: an alias that leads to us is worth nothing while our TLS proxy has no certificate of
that name. The connection goes to our own public name and to no address that a stranger's DNS could have chosen.
"""

import asyncio
import contextlib
import ssl
from typing import Final
from urllib.parse import urlsplit

from accounts.records import Alias
from core.tasks import end
from store.database import Database, DatabaseUnavailableError

KEEP_SECONDS: Final = 60.0


async def certificate_trouble(
    alias: Alias, public_url: str, within: float, context: ssl.SSLContext | None = None
) -> str:
    """What is wrong with the certificate, in a sentence; "" when nothing is, nothing is encrypted, or our own server
    cannot be reached from here, as behind some routers."""
    where = urlsplit(public_url)
    if where.scheme != "https" or not where.hostname:
        return ""
    try:
        async with asyncio.timeout(within):
            _, writer = await asyncio.open_connection(
                where.hostname,
                where.port or 443,
                ssl=context or ssl.create_default_context(),
                server_hostname=alias.name,
            )
            writer.close()
    except ssl.SSLCertVerificationError as error:
        return f"The server at {alias.target} shows no valid certificate for {alias.name}: {error.verify_message}."
    except ssl.SSLError as error:
        return f"The server at {alias.target} refuses TLS for {alias.name}: {error.reason}."
    except (OSError, TimeoutError):
        return ""
    return ""


class TrackingHosts:
    """The tracking hosts of all sender domains, looked up again once a minute: no request waits for that."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names: frozenset[str] = frozenset()
        self._tasks: list[asyncio.Task[None]] = []

    def has(self, name: str) -> bool:
        """Whether this name, in lower case, is one of them, as far as known."""
        return name in self._names

    async def start(self) -> None:
        """Look, and go on looking. A database that is away is no error."""
        self._tasks = [asyncio.create_task(self._keep_looking(), name="tracking-hosts")]

    async def stop(self) -> None:
        await end(self._tasks)

    async def read(self) -> None:
        """Look now. Raises `DatabaseUnavailableError`."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT DISTINCT tracking_subdomain || '.' || name FROM domains WHERE tracking_subdomain IS NOT NULL"
            )
            self._names = frozenset(row[0] for row in await cursor.fetchall())

    async def _keep_looking(self) -> None:
        while True:
            with contextlib.suppress(DatabaseUnavailableError):
                await self.read()
            await asyncio.sleep(KEEP_SECONDS)
