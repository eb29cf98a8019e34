"""The request itself: one POST to one endpoint, and what came of it. The only module that knows the HTTP client.

Every connection is made to an address that was looked up here and judged right then; TLS verifies the name. No
redirect is followed, no proxy of the environment is used, no cookie is kept; time and answer are bounded.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from dns.rdatatype import AAAA, A
from yarl import URL

from mta.dns_client import DnsClient, Outcome
from webhooks.health import Answer
from webhooks.targets import Guard, Network, Target, refusal

SECONDS: Final = 15.0
"""For a request, from looking up the name to the end of the answer: the least that Standard Webhooks asks for."""
RESPONSE_BYTES: Final = 1000
"""Of an answer that are kept; what is longer is not read."""
_KEEP_ALIVE: Final = 30.0
_USER_AGENT: Final = "Postlane-Webhooks/1"


class ForbiddenTargetError(OSError):
    """The address may not be connected to."""


class Sender:
    """One per process; `close` it."""

    def __init__(self, lookup: DnsClient, own: Sequence[Network], tls: ssl.SSLContext | None = None) -> None:
        """Within a running loop. `tls`: whom to trust; the system's authorities by default."""
        trusted = tls or ssl.create_default_context()
        self._sessions = {
            scheme: _session(Guard(tuple(own), public=scheme == "https"), lookup, trusted)
            for scheme in ("http", "https")
        }

    async def close(self) -> None:
        """Let go of all connections."""
        for session in self._sessions.values():
            await session.close()

    async def post(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a body; whatever happens is an answer."""
        started = time.monotonic()
        try:
            answer = await self._post(target, headers, body)
        except TimeoutError:
            answer = Answer(None, error=f"no answer within {SECONDS:.0f} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: what the client says to an answer it cannot make sense of.
            answer = Answer(None, error=_words(error))
        milliseconds = round((time.monotonic() - started) * 1000)
        return Answer(answer.status, answer.text, answer.error, answer.retry_after, milliseconds)

    async def _post(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        async with (
            asyncio.timeout(SECONDS),
            self._sessions[target.scheme].post(
                URL(target.url, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            text = await _beginning(response)
            return Answer(response.status, text, retry_after=_wish(response.headers.get("retry-after", "")))


def _session(guard: Guard, lookup: DnsClient, tls: ssl.SSLContext) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        resolver=_Judging(guard, lookup),
        use_dns_cache=False,  # the look-up has one, with the times that DNS gives
        limit=0,  # bounded by whoever sends
        keepalive_timeout=_KEEP_ALIVE,
        ssl=tls,
        socket_factory=lambda found: _socket(guard, found),
    )
    return aiohttp.ClientSession(
        connector=connector,
        headers={"content-type": "application/json", "user-agent": _USER_AGENT, "accept-encoding": "identity"},
        skip_auto_headers=("accept",),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),
    )


class _Judging(AbstractResolver):
    """Looks names up, and passes on only addresses that may be connected to."""

    def __init__(self, guard: Guard, lookup: DnsClient) -> None:
        self._guard = guard
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._addresses(host)
        allowed = [address for address in addresses if self._guard.allows(address)]
        if not allowed:
            raise ForbiddenTargetError(refusal(self._guard, host, addresses))
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in allowed
        ]

    async def close(self) -> None:
        """Nothing is held."""

    async def _addresses(self, host: str) -> list[str]:
        if host == "localhost" or host.endswith(".localhost"):
            return ["127.0.0.1", "::1"]  # RFC 6761 section 6.3: never asked of DNS
        answers = await asyncio.gather(self._lookup.ask(host, A), self._lookup.ask(host, AAAA))
        found = [str(record.to_text()) for answer in answers for record in answer.records]
        if not found:
            failed = next((answer for answer in answers if answer.outcome is Outcome.FAILED), None)
            raise OSError(f"{host} cannot be looked up: {failed.reason}" if failed else f"{host} has no address")
        return found


def _socket(guard: Guard, found: tuple[object, ...]) -> socket.socket:
    """The socket of a connection that is about to be made: the last word on its address, literal ones too."""
    family, kind, protocol, _, where = found
    address = where[0]  # type: ignore[index]  # as getaddrinfo gives it
    if not guard.allows(address):
        raise ForbiddenTargetError(refusal(guard, address, [address]))
    made = socket.socket(family, kind, protocol)  # type: ignore[arg-type]
    made.setblocking(False)
    return made


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """The first bytes of the answer as text. A connection with more to come is closed."""
    read = b""
    while len(read) < RESPONSE_BYTES:
        piece = await response.content.read(RESPONSE_BYTES - len(read))
        if not piece:
            break
        read += piece
    if not response.content.at_eof():
        response.close()
    return read.decode("utf-8", "replace").replace("\x00", "")


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
    """The innermost reason: the client wraps what the system and we say."""
    inner = getattr(error, "os_error", None) or error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {inner.verify_message}"
    text = str(inner) if isinstance(inner, ForbiddenTargetError) else (getattr(inner, "strerror", None) or str(inner))
    return (text or type(error).__name__)[:300]
