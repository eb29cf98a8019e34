"""The request itself: one POST to one endpoint, and what came of it.

Every connection is made to an address that was looked up here and judged right then; TLS verifies the name. No
redirect is followed, no proxy of the environment is used, no cookie is kept; time and answer are bounded.
"""

import asyncio
import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from dns.rdatatype import AAAA, A

from mta.dns_client import DnsClient, Outcome
from mta.guard import ForbiddenTargetError, Network
from webhooks.health import Answer
from webhooks.http import BODY_BYTES, SECONDS, Connection, Kept, NoAnswerError, connect, request
from webhooks.targets import Target, guard_of, is_address

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

    async def post(self, target: Target, signed: str, body: bytes) -> Answer:
        """Send a body with the lines that sign it; whatever happens is an answer."""
        key = target.scheme, target.host, target.port
        started = time.monotonic()
        try:
            connection = self._kept.take(key, started)
            whole = request(target.request_head, signed, body)
            if connection is None or not await _posted(connection, whole, started):
                connection = await self._post_anew(target, whole, started)
        except TimeoutError:
            return _unanswered(f"no answer within {SECONDS:.0f} s", started)
        except (OSError, ValueError) as error:
            # ValueError: what the system says to a name or address that it can make nothing of.
            return _unanswered(_words(error), started)
        ended = time.monotonic()
        self._kept.put(key, connection, ended)
        text = connection.body.decode("utf-8", "replace").replace("\x00", "") if connection.body else ""
        wish = _wish(connection.retry_after) if connection.retry_after else None
        return Answer(connection.status, text, "", wish, _milliseconds(started, ended))

    async def _post_anew(self, target: Target, whole: bytes, started: float) -> Connection:
        """A new connection that has the answer. Raises OSError and ValueError."""
        async with asyncio.timeout(started + SECONDS - time.monotonic()):
            connection = await self._connect(target)
            await connection.post(whole, started)
        return connection

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


async def _posted(kept: Connection, whole: bytes, started: float) -> bool:
    """Post over a kept connection. False when its server had given it up, which it may do at any moment."""
    try:
        await kept.post(whole, started)
    except NoAnswerError:
        if not kept.untouched:
            raise
        return False
    return True


def _unanswered(why: str, started: float) -> Answer:
    return Answer(None, error=why, milliseconds=_milliseconds(started, time.monotonic()))


def _milliseconds(started: float, ended: float) -> int:
    return round((ended - started) * 1000)


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
