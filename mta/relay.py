"""Relay egress: hands a mail to somebody's authenticated mail server, which delivers it.

Owns the client's end of such a connection, for the same session pool that direct delivery uses, on top of aiosmtplib;
nothing else knows that library. A relay is an IP of a pool like any other: it has limits, health and verdicts. What
differs is whose fault a failure is: a relay that cannot be reached, has no valid certificate or refuses the login is
unusable as a whole, like a proxy (`Trouble.PROXY`), and says nothing about the recipient's provider.

TLS is never optional: `smtp+tls` and `smtps` verify the certificate before the password is sent.
"""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Final

import aiosmtplib
from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPTimeoutError

from mta.guard import PUBLIC, Guard, reach
from mta.line import Line, Place
from mta.model import EgressIp, Envelope, Host, Phase, Response, Route, Trouble
from mta.reply_parser import Features, Reply, printable, response_of
from mta.smtp_commands import opening
from mta.smtp_timeouts import Timeouts
from mta.via import Via, parse_via

PREFERENCE: Final = 0
"""Of the only host that a relay's route has."""

_ASKED: Final = Timeouts(connect=5.0, banner=5.0)
"""When a person waits for the answer."""

_NOT_OURS = frozenset({530, 534, 535, 538})
"""Codes that speak of our login, wherever they come (RFC 4954 section 6)."""
_RELAYING = re.compile(
    r"\brelay(ing)?\b.{0,20}\b(denied|prohibited|not (allowed|permitted))|authenticat\w+ required", re.I
)


class RelayClient:
    """One open, authenticated connection to a relay. Await one method at a time."""

    def __init__(self, smtp: SMTP, shown: str, timeouts: Timeouts) -> None:
        self._smtp = smtp
        self._shown = shown
        self._timeouts = timeouts
        self._spoiled = False
        self._line = Line(asyncio.get_running_loop())

    @property
    def tls(self) -> str:
        """As `Session.tls` has it."""
        version = _tls_version(self._smtp)
        return f"{version} verified" if version else "none"

    @property
    def usable(self) -> bool:
        """True while another mail can go through this connection."""
        return self._smtp.is_connected and not self._spoiled

    @property
    def lost(self) -> bool:
        """The connection is over."""
        return not self._smtp.is_connected

    window = 1
    """One mail at a time."""
    misbehaved = ""
    """BDAT is never tried."""

    def rest(self, on_lost: Callable[[], None]) -> None:
        """Nobody uses the connection for now. A server that ends it is seen at the next use."""

    def resume(self) -> None:
        """Somebody uses the connection again."""

    def stand(self) -> Place:
        """Its turn, which nobody else has."""
        return self._line.stand()

    def by_chunk(self, _envelope: Envelope, _place: Place) -> bool:
        """aiosmtplib knows no BDAT."""
        return False

    async def send(self, envelope: Envelope, place: Place | None = None, *, chunked: bool = False) -> Response:
        """Deliver one mail and return the deciding reply: the first refusal, or the answer to the final dot."""
        lines = opening(envelope, self._features())
        if isinstance(lines, Response):
            return lines
        if place is not None:
            place.touched = True
        phase = Phase.MAIL
        timeouts = self._timeouts
        try:
            # The answer to the dot has its own time-out on top: whoever hangs up before it doubles the mail (RFC 1047).
            async with asyncio.timeout(timeouts.whole + envelope.size / timeouts.slowest + timeouts.dot):
                for phase, line in zip((Phase.MAIL, Phase.RCPT), lines, strict=True):
                    answer = await self._smtp.execute_command(line.removesuffix(b"\r\n"), timeout=timeouts.mail)
                    if answer.code // 100 != 2:
                        return await self._refused(phase, answer.code, answer.message)
                phase = Phase.DOT
                answer = await self._smtp.data(envelope.whole, timeout=timeouts.dot)
        except SMTPResponseException as error:
            return await self._refused(phase, error.code, error.message)
        except (SMTPException, OSError) as error:
            self.abort()
            trouble = Trouble.TIMEOUT if isinstance(error, SMTPTimeoutError | TimeoutError) else Trouble.CLOSED
            return Response(phase, text=f"relay {self._shown}: {_line(str(error))}"[:1000], trouble=trouble)
        return _response(Phase.DOT, answer.code, answer.message)

    async def quit(self) -> None:
        """Say QUIT, wait a moment for the answer, close. Never fails."""
        if self._smtp.is_connected:
            with contextlib.suppress(SMTPException, OSError):
                await self._smtp.quit(timeout=self._timeouts.quit)
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._spoiled = True
        self._smtp.close()

    abort = close

    def _features(self) -> Features:
        offers = self._smtp.supports_extension
        return Features(eight_bit=offers("8bitmime"), smtputf8=offers("smtputf8"), size=offers("size"))

    async def _refused(self, phase: Phase, code: int, text: str) -> Response:
        """The Response for a refusal; the connection goes on where it can."""
        if code // 100 not in (4, 5):
            return self._out_of_step(phase, code, text)
        if code == 421 or not await self._reset():
            self.abort()
        if code in _NOT_OURS or _RELAYING.search(text):
            self.abort()
            return Response(phase, text=f"relay {self._shown}: {code} {_line(text)}"[:1000], trouble=Trouble.PROXY)
        return _response(phase, code, text)

    def _out_of_step(self, phase: Phase, code: int, text: str) -> Response:
        """A success that has no place here, so that nobody knows any more which command the next reply answers. Passed
        on, it would be read as delivered. 250 is what aiosmtplib wants after the dot: as an error it came before the
        body, which was not sent."""
        self.abort()
        if phase is Phase.DOT and code == 250:
            phase = Phase.DATA
        answer = f"relay {self._shown}: unexpected {code} {_line(text)}"
        return Response(phase, text=answer[:1000], trouble=Trouble.PROTOCOL)

    async def _reset(self) -> bool:
        try:
            await self._smtp.rset(timeout=self._timeouts.mail)
        except (SMTPException, OSError):
            return False
        return True


class Relays:
    """Opens connections to relays. One per process."""

    def __init__(self, timeouts: Timeouts, ca_file: Path | None = None, guard: Guard = PUBLIC) -> None:
        """`ca_file` is a PEM bundle in place of the system's store; `guard` says where relays may be."""
        self._timeouts = timeouts
        self._ca_file = ca_file
        self._guard = guard

    @cached_property
    def _context(self) -> ssl.SSLContext:
        """Made when the first relay is used: reading the system's store costs some 40 ms."""
        return ssl.create_default_context(cafile=None if self._ca_file is None else str(self._ca_file))

    async def open(self, source: EgressIp) -> RelayClient | Response:
        """A connection that has logged in, or what stood in the way: phase CONNECT, trouble PROXY, for it is the relay
        that is of no use now, whoever the mail is for."""
        via = parse_via(source.via)
        if isinstance(via, str):
            return Response(Phase.CONNECT, text=via, trouble=Trouble.PROXY)
        try:
            # aiosmtplib bounds each step; this bounds them all, a relay that never stops greeting included.
            async with asyncio.timeout(self._timeouts.connect + self._timeouts.banner):
                reached = await reach(self._guard, via.host, via.port, self._timeouts.connect)
                smtp = self._client(via, source.ehlo_name, reached)
                await smtp.connect()
        except aiosmtplib.SMTPAuthenticationError as error:
            return _unusable(via, f"refuses the login: {error.code} {_line(error.message)}")
        except SMTPResponseException as error:
            return _unusable(via, f"{error.code} {_line(error.message)}")
        except (SMTPException, OSError) as error:
            return _unusable(via, _line(str(error)) or "no answer in time")
        return RelayClient(smtp, via.masked, self._timeouts)

    def _client(self, via: Via, ehlo_name: str, reached: socket.socket) -> SMTP:
        return SMTP(
            hostname=via.host, sock=reached, username=via.user or None, password=via.password or None,
            local_hostname=ehlo_name, timeout=self._timeouts.connect, use_tls=via.scheme == "smtps",
            start_tls=via.scheme == "smtp+tls", tls_context=self._context if via.scheme != "smtp" else None,
        )  # fmt: skip


def relay_route(route: Route, source: EgressIp) -> Route:
    """Where mail for this route goes when `source` is a relay: to the relay alone. The text has been checked."""
    via = parse_via(source.via)
    host = via.host if isinstance(via, Via) else source.address
    return Route(route.destination, route.provider, (Host(host, host, PREFERENCE),), route.site)


async def relay_trouble(source: EgressIp, ca_file: Path | None = None, guard: Guard = PUBLIC) -> str:
    """Why the relay is of no use: connects, checks the certificate, logs in, and leaves. Empty when all is well."""
    client = await Relays(_ASKED, ca_file, guard).open(source)
    if isinstance(client, Response):
        return client.text
    await client.quit()
    return ""


def _unusable(via: Via, why: str) -> Response:
    return Response(Phase.CONNECT, text=f"relay {via.masked}: {why}"[:1000], trouble=Trouble.PROXY)


def _response(phase: Phase, code: int, text: str) -> Response:
    return response_of(phase, Reply(code, _octets(text)))


def _line(text: str) -> str:
    return printable(_octets(text))


def _octets(text: str) -> list[bytes]:
    """The lines as they came: aiosmtplib keeps what is no UTF-8 as half a character, which nothing else takes."""
    return [line.strip().encode("utf-8", "surrogateescape") for line in text.split("\n")]


def _tls_version(smtp: SMTP) -> str:
    ssl_object = smtp.get_transport_info("ssl_object")
    return str(ssl_object.version()) if ssl_object is not None else ""
