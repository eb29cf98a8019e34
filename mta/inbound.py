"""What the two inbound SMTP listeners answer: submission by applications (587), bounces and complaints (25).

Owns who may send to whom, and the wording of replies. What is done with a mail are callables of the user: no database
here. A `250` after the final dot is given only when the callable has returned, and it returns after its commit;
`core.errors.UnavailableError` from it becomes a 451, so that the client keeps the mail. Never sends or generates mail.

The methods are hooks of aiosmtpd; `mta/inbound_server` runs them. Wired by `workers/inbound`.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
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
class SubmittedMail:
    """One mail as an application gave it."""

    recipients: tuple[str, ...]
    """Envelope recipients as given, each a valid address."""
    content: bytes


LogIn = Callable[[str], Awaitable[object | None]]
"""API key → who that is, None for a key that is none. May raise `UnavailableError`."""
Submit = Callable[[Any, SubmittedMail], Awaitable[str]]
"""Make a mail durable for whom `LogIn` returned; gives the reply line. May raise `UnavailableError`."""
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
            return _line(f"553 5.1.3 {error.reason}")
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
        return _counted(self.listener, _line(reply))

    async def handle_exception(self, error: Exception) -> str:
        return _broken(self.listener, error)


class BounceHandler:
    """The bounce side: takes mail for our signed return paths, and feedback reports that quote one."""

    listener = "bounces"

    def __init__(self, is_return_path: Callable[[str], bool], store: Store, feedback_address: str = "") -> None:
        """`is_return_path` checks the signature. `feedback_address` is what feedback loops are registered with."""
        self._is_return_path = is_return_path
        self._store = store
        self._feedback_address = feedback_address.lower()
        self._rate = RateWindow(BOUNCES_PER_ADDRESS, 3600.0)

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """aiosmtpd offers AUTH by itself; nobody logs in here."""
        session.host_name = hostname
        return [line for line in responses if not line.startswith("250-AUTH")]

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: object) -> str:
        envelope.mail_from = address or "<>"
        return "250 2.1.0 OK"

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: object) -> str:
        if len(envelope.rcpt_tos) >= BOUNCE_RECIPIENTS:
            return f"452 4.5.3 Not more than {BOUNCE_RECIPIENTS} recipients"
        if address.lower() != self._feedback_address:
            if not self._is_return_path(address):
                return "550 5.1.1 There is no such address here"
            if not self._rate.count(address.lower()):
                return "450 4.2.1 This address gets mail too fast"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        paths = dict.fromkeys(path for to in envelope.rcpt_tos if (path := self._return_path(to, content)))
        if not paths:
            return _counted(self.listener, "550 5.7.1 The report names no mail of ours")
        try:
            await self._store([(path, content) for path in paths])
        except UnavailableError as error:
            _log.warning("bounce_not_stored", error=str(error))
            return _counted(self.listener, UNAVAILABLE)
        return _counted(self.listener, "250 2.0.0 Stored")

    async def handle_exception(self, error: Exception) -> str:
        return _broken(self.listener, error)

    def _return_path(self, address: str, content: bytes) -> str:
        """The address itself, or for the feedback address the signed one in the report: loops quote the envelope
        sender (RFC 5965 section 3.2, Original-Mail-From) or the returned mail's Return-Path."""
        if address.lower() != self._feedback_address:
            return address
        quoted = (match[0].decode("ascii").lower() for match in islice(_RETURN_PATH.finditer(content), _QUOTED_PATHS))
        path = next(filter(self._is_return_path, quoted), "")
        return path if path and self._rate.count(path) else ""


def _line(reply: str) -> str:
    """A reply as one line of ASCII of at most 512 octets (RFC 5321 section 4.5.3.1.5)."""
    return " ".join(reply.split()).encode("ascii", "replace").decode("ascii")[:500]


def _counted(listener: str, reply: str) -> str:
    MAILS.labels(listener, reply[:3]).inc()
    return reply


def _broken(listener: str, error: Exception) -> str:
    """A bug, or a client that broke off. The client keeps its mail and tries again."""
    _log.error("inbound_failed", listener=listener, exc_info=error)
    return _counted(listener, "451 4.3.0 Something went wrong here, try again later")
