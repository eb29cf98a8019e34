"""What the submission listener (587) answers to applications, and what both inbound listeners share.

Owns who may send to whom, and the wording of replies; `mta/inbound_reports` does so for what comes back (25). What is
done with a mail are callables of the user: no database here. A `250` after the final dot is given only when the
callable has returned, and it returns after its commit; `core.errors.UnavailableError` from it becomes a 451, so that
the client keeps the mail. Never sends or generates mail.

The methods are hooks of aiosmtpd; `mta/inbound_session` runs them.
"""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiosmtpd.smtp import SMTP, Envelope, Session
from prometheus_client import Counter

from core.addresses import AddressError, fold_address
from core.errors import UnavailableError
from core.logs import get_logger

_log = get_logger(__name__)

MAILS = Counter("postlane_inbound_mails_total", "Mails received, by listener and reply", ["listener", "code"])

UNAVAILABLE: Final = "451 4.3.0 Cannot store mail just now, try again later"


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a listener says about itself and asks of its clients."""

    hostname: str
    max_bytes: int
    """Of one mail. Submission announces it by SIZE (RFC 1870) and refuses more; of a bounce, so much is kept."""
    tls: ssl.SSLContext | None = None
    plain_log_in: bool = False
    """Take API keys without TLS: for a listener on a loopback address only."""
    wrapped: bool = False
    """TLS from the first byte (RFC 8314 section 3.3) instead of STARTTLS."""

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
        return offers(responses)

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
        return counted(self.listener, one_line(reply))

    async def handle_exception(self, error: Exception) -> str:
        return broken(self.listener, error)


def offers(responses: list[str]) -> list[str]:
    """What aiosmtpd says to EHLO, with what it does without saying so."""
    return [*responses[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", responses[-1]]


def one_line(reply: str) -> str:
    """A reply as one line of ASCII of at most 512 octets (RFC 5321 section 4.5.3.1.5)."""
    return " ".join(reply.split()).encode("ascii", "replace").decode("ascii")[:500]


def counted(listener: str, reply: str) -> str:
    """The reply, counted."""
    MAILS.labels(listener, reply[:3]).inc()
    return reply


def broken(listener: str, error: Exception) -> str:
    """A bug. The client keeps its mail and tries again."""
    _log.error("inbound_failed", listener=listener, exc_info=error)
    return counted(listener, "451 4.3.0 Something went wrong here, try again later")
