"""The request itself: one POST to one endpoint, and what came of it.

Every connection is made to an address that was looked up here and judged right then; TLS verifies the name. No
redirect is followed, no proxy of the environment is used, no cookie is kept; time and answer are bounded.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from dns.rdatatype import AAAA, A

from mta.dns_client import DnsClient, Outcome
from mta.guard import ForbiddenTargetError, Network
from webhooks.health import Answer
from webhooks.http import BODY_BYTES, Connection, Kept, NoAnswerError, connect
from webhooks.targets import Target, guard_of, is_address

SECONDS: Final = 15.0
"""For a request, from looking up the name to the end of the answer: the least that Standard Webhooks asks for."""
RESPONSE_BYTES: Final = BODY_BYTES


class Sender:
    """One per process; `close` it."""

    def __init__(self, lookup: DnsClient, own: Sequence[Network], tls: ssl.SSLContext | None = None) -> None:
        """`tls`: whom to trust; the system's authorities by default."""
        self._lookup = lookup
        self._own = tuple(own)
        self._tls = tls or ssl.create_default_context()
        self._kept = Kept()

    async def close(self) -> None:
        """Let go of all connections."""
        self._kept.close()

    async def post(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a body; whatever happens is an answer."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(SECONDS):
                answer = await self._post(target, headers, body)
        except TimeoutError:
            answer = Answer(None, error=f"no answer within {SECONDS:.0f} s")
        except (OSError, ValueError) as error:
            # ValueError: what the system says to a name or address that it can make nothing of.
            answer = Answer(None, error=_words(error))
        milliseconds = round((time.monotonic() - started) * 1000)
        return Answer(answer.status, answer.text, answer.error, answer.retry_after, milliseconds)

    async def _post(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        key = target.scheme, target.host, target.port
        connection = self._kept.take(key)
        if connection is None or not await self._posted(connection, target, headers, body):
            connection = await self._connect(target)
            await connection.post(target.request_head, headers, body)
        self._kept.put(key, connection)
        text = connection.body.decode("utf-8", "replace").replace("\x00", "")
        wish = _wish(connection.retry_after) if connection.retry_after else None
        return Answer(connection.status, text, retry_after=wish)

    async def _posted(self, kept: Connection, target: Target, headers: Mapping[str, str], body: bytes) -> bool:
        """Post over a kept connection. False when its server had given it up, which it may do at any moment."""
        try:
            await kept.post(target.request_head, headers, body)
        except NoAnswerError:
            if not kept.untouched:
                raise
            return False
        return True

    async def _connect(self, target: Target) -> Connection:
        """To the first of its addresses that answers, of those that may be connected to."""
        guard = guard_of(target, self._own)
        addresses = await self._addresses(target.host)
        allowed = [address for address in addresses if guard.allows(address)]
        if not allowed:
            raise ForbiddenTargetError(guard.refusal(target.host, addresses))
        tls = self._tls if target.scheme == "https" else None
        for address in allowed[:-1]:
            try:
                async with asyncio.timeout(SECONDS / len(allowed)):
                    return await connect(address, target.port, tls, target.host)
            except OSError:  # TimeoutError is one
                continue
        return await connect(allowed[-1], target.port, tls, target.host)

    async def _addresses(self, host: str) -> list[str]:
        if is_address(host):
            return [host]
        if host == "localhost" or host.endswith(".localhost"):
            return ["127.0.0.1", "::1"]  # RFC 6761 section 6.3: never asked of DNS
        answers = await asyncio.gather(self._lookup.ask(host, A), self._lookup.ask(host, AAAA))
        found = [str(record.to_text()) for answer in answers for record in answer.records]
        if not found:
            failed = next((answer for answer in answers if answer.outcome is Outcome.FAILED), None)
            raise OSError(f"{host} cannot be looked up: {failed.reason}" if failed else f"{host} has no address")
        return found


def _wish(text: str) -> timedelta | None:
    """`Retry-After`: seconds or a date (RFC 9110 section 10.2.3); None for anything else."""
    if text.isascii() and text.isdecimal():
        return timedelta(seconds=min(int(text[:9]), 10**9))
    try:
        until = parsedate_to_datetime(text)
        return max(until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC), timedelta(0))
    except (ValueError, TypeError, IndexError, OverflowError):  # whatever a server may write there
        return None


def _words(error: Exception) -> str:
    """The reason in a line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    ours = isinstance(error, (ForbiddenTargetError, NoAnswerError))
    text = str(error) if ours else (getattr(error, "strerror", None) or str(error))
    return (text or type(error).__name__)[:300]
