"""What the two inbound SMTP listeners answer: submission by applications (587), bounces and complaints (25).

Owns who may send to whom, and the wording of replies. What is done with a mail are callables of the user: no database
here. A `250` after the final dot is given only when the callable has returned, and it returns after its commit;
`core.errors.UnavailableError` from it becomes a 451, so that the client keeps the mail. Never sends or generates mail.

The methods are hooks of aiosmtpd; `mta/inbound_session` runs them.
"""

import re
import ssl
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from aiosmtpd.smtp import SMTP, Envelope, Session
from prometheus_client import Counter

from core.addresses import AddressError, fold_address
from core.errors import UnavailableError
from core.logs import get_logger
from mta.inbound_gate import RateWindow

_log = get_logger(__name__)

MAILS = Counter("postlane_inbound_mails_total", "Mails received, by listener and reply", ["listener", "code"])

BOUNCE_BYTES: Final = 1024 * 1024
"""Kept of a bounce. A report stands in front of the mail it returns; the rest is read and dropped."""
BOUNCE_RECIPIENTS: Final = 10
_QUOTED_PATHS: Final = 50
"""Return paths of a feedback report that are looked at; it names ours two or three times."""
BOUNCES_PER_ADDRESS: Final = 20
"""Mails one return path takes in an hour: a message bounces once, and everybody who got it knows the address."""

UNAVAILABLE: Final = "451 4.3.0 Cannot store mail just now, try again later"
_RETURN_PATH: Final = re.compile(rb"b\+[a-z2-7]{48}@[A-Za-z0-9.-]{1,253}", re.I)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a listener says about itself and asks of its clients."""

    hostname: str
    max_bytes: int
    """Of one mail. Submission announces it by SIZE (RFC 1870) and refuses more; of a bounce, so much is kept."""
    tls: ssl.SSLContext | None = None
    plain_log_in: bool = False
    """Take API keys without TLS: for a listener on a loopback address only."""

    @property
    def too_large(self) -> str:
        """The reply to a mail over the limit."""
        return f"552 5.3.4 The mail is larger than {self.max_bytes} bytes"


@dataclass(frozen=True, slots=True)
class SubmittedMail:
    """One mail as an application gave it."""

    recipients: tuple[str, ...]
    """Envelope recipients as given, each a valid address."""
    content: bytes


LogIn = Callable[[str], Awaitable[object | None]]
"""API key → who that is, None for a key that is none. May raise `UnavailableError`."""
Submit = Callable[[Any, SubmittedMail], Awaitable[str]]
"""Make a mail durable for whom `LogIn` returned; gives the reply line. May raise `UnavailableError`."""
Identify = Callable[[str], Awaitable[Hashable | None]]
"""Return path → what it stands for, the same for every spelling; None for one that is not ours. May raise
`UnavailableError`."""
Store = Callable[[Sequence[tuple[str, bytes]]], Awaitable[None]]
"""Make mails durable: (return path, raw mail). May raise `UnavailableError`."""


class SubmissionHandler:
    """The submission side: who may send, and where mails go. The user name of a log-in does not matter."""

    listener = "submission"

    def __init__(self, log_in: LogIn, submit: Submit, max_recipients: int) -> None:
        """`max_recipients` is of one mail, each counted once."""
        self.log_in = log_in
        self._submit = submit
        self._max_recipients = max_recipients

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return _offers(responses)

    async def handle_MAIL(self, _server: SMTP, session: Session, envelope: Envelope, address: str, _o: object) -> str:
        """The sender of the envelope is only noted: bounces come to us, at a return path of our own."""
        if not session.authenticated:
            return "530 5.7.0 Authentication required: any user name, an API key as password"
        envelope.mail_from = address
        return "250 2.1.0 OK"

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: object) -> str:
        """Who is named twice, in whatever case, is one recipient and answered as one."""
        try:
            key = fold_address(address)
        except AddressError as error:
            return one_line(f"553 5.1.3 {error.reason}")
        if key not in map(fold_address, envelope.rcpt_tos):
            if len(envelope.rcpt_tos) >= self._max_recipients:
                return f"452 4.5.3 Not more than {self._max_recipients} recipients in one mail"
            envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        try:
            reply = await self._submit(session.auth_data, SubmittedMail(tuple(envelope.rcpt_tos), content))
        except UnavailableError as error:
            _log.warning("submission_not_stored", error=str(error))
            reply = UNAVAILABLE
        return _counted(self.listener, one_line(reply))

    async def handle_exception(self, error: Exception) -> str:
        return _broken(self.listener, error)


class BounceHandler:
    """The bounce side: takes mail for our signed return paths, and feedback reports that quote one."""

    listener = "bounces"

    def __init__(self, identify: Identify, store: Store, feedback_address: str = "") -> None:
        """`feedback_address` is what feedback loops are registered with."""
        self._identify = identify
        self._store = store
        self._feedback_address = feedback_address.lower()
        self._rate = RateWindow(BOUNCES_PER_ADDRESS, 3600.0)

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """aiosmtpd offers AUTH by itself; nobody logs in here."""
        session.host_name = hostname
        return _offers([line for line in responses if not line.startswith("250-AUTH")])

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: object) -> str:
        envelope.mail_from = address or "<>"
        return "250 2.1.0 OK"

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: object) -> str:
        if len(envelope.rcpt_tos) >= BOUNCE_RECIPIENTS:
            return f"452 4.5.3 Not more than {BOUNCE_RECIPIENTS} recipients"
        if address.lower() != self._feedback_address:
            try:
                refusal = await self._refused(address)
            except UnavailableError as error:
                _log.warning("return_path_not_checked", error=str(error))
                refusal = UNAVAILABLE
            if refusal:
                return refusal
        envelope.rcpt_tos.append(address.lower())
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        try:
            paths = [path for to in dict.fromkeys(envelope.rcpt_tos) if (path := await self._return_path(to, content))]
            if not paths:
                return _counted(self.listener, "550 5.7.1 The report names no mail of ours")
            await self._store([(path, content) for path in dict.fromkeys(paths)])
        except UnavailableError as error:
            _log.warning("bounce_not_stored", error=str(error))
            return _counted(self.listener, UNAVAILABLE)
        return _counted(self.listener, "250 2.0.0 Stored")

    async def handle_exception(self, error: Exception) -> str:
        return _broken(self.listener, error)

    async def _refused(self, address: str) -> str:
        """Why a return path takes no mail now, "" when it does. Counted is what it stands for, however it is spelt."""
        identity = await self._identify(address)
        if identity is None:
            return "550 5.1.1 There is no such address here"
        return "" if self._rate.count(identity) else "450 4.2.1 This address gets mail too fast"

    async def _return_path(self, address: str, content: bytes) -> str:
        """The address itself, or for the feedback address the signed one in the report: loops quote the envelope
        sender (RFC 5965 section 3.2, Original-Mail-From) or the returned mail's Return-Path."""
        if address != self._feedback_address:
            return address
        for match in islice(_RETURN_PATH.finditer(content), _QUOTED_PATHS):
            path = match[0].decode("ascii").lower()
            if await self._identify(path) is not None:
                return "" if await self._refused(path) else path
        return ""


def _offers(responses: list[str]) -> list[str]:
    """What aiosmtpd says to EHLO, with what it does without saying so."""
    return [*responses[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", responses[-1]]


def one_line(reply: str) -> str:
    """A reply as one line of ASCII of at most 512 octets (RFC 5321 section 4.5.3.1.5)."""
    return " ".join(reply.split()).encode("ascii", "replace").decode("ascii")[:500]


def _counted(listener: str, reply: str) -> str:
    MAILS.labels(listener, reply[:3]).inc()
    return reply


def _broken(listener: str, error: Exception) -> str:
    """A bug. The client keeps its mail and tries again."""
    _log.error("inbound_failed", listener=listener, exc_info=error)
    return _counted(listener, "451 4.3.0 Something went wrong here, try again later")
