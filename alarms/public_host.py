"""The certificate that people see at our public host name, asked for once a day.

It is not ours to keep: a TLS proxy shows it, and renews it or does not. Every link in marketing mail leads there. A
host that cannot be reached from here, as behind some routers, says nothing about its certificate.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from alarms.model import Finding, Severity
from core.clock import Clock

LOOK_AGAIN: Final = timedelta(days=1)
BROKEN_AGAIN: Final = timedelta(minutes=10)
"""While something is wrong: whoever mends it wants to see the alarm end."""
ASK_SECONDS: Final = 5.0


class PublicHost:
    """What was seen there last. One a process."""

    def __init__(self, url: str, clock: Clock, context: ssl.SSLContext | None = None) -> None:
        """`url`: where links lead; nothing is asked for unless it is https."""
        where = urlsplit(url)
        self._host = where.hostname or "" if where.scheme == "https" else ""
        self._port = where.port or 443
        self._clock = clock
        self._context = context or ssl.create_default_context()
        self._due = datetime.min.replace(tzinfo=UTC)
        self.ends: Mapping[str, datetime] = {}
        """When the certificate ends, by the name of the host."""
        self.broken: list[Finding] = []

    async def look(self) -> None:
        """Ask, if it is time."""
        now = self._clock.now()
        if not self._host or now < self._due:
            return
        try:
            self.ends, self.broken = {self._host: await self._asked()}, []
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or str(error)
            self.ends, self.broken = {}, [Finding(self._host, Severity.CRITICAL, f"shows no valid one: {reason}")]
        except (OSError, TimeoutError):
            self.ends, self.broken = {}, []
        self._due = now + (LOOK_AGAIN if self.ends else BROKEN_AGAIN)

    async def _asked(self) -> datetime:
        async with asyncio.timeout(ASK_SECONDS):
            _, writer = await asyncio.open_connection(self._host, self._port, ssl=self._context)
        try:
            shown = writer.get_extra_info("peercert")
            return datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
