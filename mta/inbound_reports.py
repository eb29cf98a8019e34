"""What the listener for mail that comes back (25) answers: bounces, complaints, and whatever else is sent to us.

Taken is mail for our signed addresses, which name a message, and for the desks every mail host has (RFC 2142):
`fbl@`, `abuse@`, `postmaster@`. Everybody who ever got a mail from us knows an address, so nothing here may be filled
up: a message gets so many mails an hour, and mail that names none of ours is bounded by who brings it and altogether.
Too much is answered with a 450, and an honest sender comes back.

Never sends or generates mail, and never reads what a report says: that is `mta/bounces`, later.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from aiosmtpd.smtp import SMTP, Envelope, Session

from core.errors import UnavailableError
from core.logs import get_logger
from core.rate_windows import RateWindow
from mta.inbound import UNAVAILABLE, broken, counted, offers
from mta.inbound_gate import source_of
from mta.report_parts import MAX_BYTES

_log = get_logger(__name__)

BOUNCE_BYTES: Final = MAX_BYTES
"""Kept of a mail: what is read of it later. A report stands in front of the mail it returns."""
BOUNCE_RECIPIENTS: Final = 10
BOUNCES_PER_MESSAGE: Final = 20
"""Mails about one message in an hour: it bounces once, and everybody who got it knows the address."""
STRANGERS_PER_SOURCE: Final = 60
"""Mails an hour, from one host, that name no mail of ours."""
STRANGERS: Final = 1_000
"""The same from all hosts together. At 256 KB each that is 256 MB an hour at most; retention keeps a bounded number."""

_HOUR: Final = 3600.0
_TOO_MANY: Final = "450 4.2.1 This message gets reports too fast"
_STRANGE: Final = "450 4.2.1 Too much mail that names no message of ours, try again later"


@dataclass(frozen=True, slots=True)
class Addressee:
    """What an address of ours stands for."""

    identity: Hashable | None = None
    """The message it names, the same for every spelling. None: a desk, which takes mail about any."""


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """One mail as it came, for one of our addresses."""

    to: str
    """In lower case."""
    content: bytes
    sender: str = ""
    """Of the envelope; "" is the null sender of reports (RFC 5321 section 4.5.5)."""
    peer: str = ""
    """Address of the host that brought it."""


Identify = Callable[[str], Awaitable[Addressee | None]]
"""Recipient → what it stands for; None for an address that is not ours. May raise `UnavailableError`."""
Place = Callable[[bytes], Hashable | None]
"""A mail for a desk → the message it quotes a token of, as `Addressee.identity`."""
Store = Callable[[Sequence[ReceivedMail]], Awaitable[None]]
"""Make mails durable. May raise `UnavailableError`."""


class BounceHandler:
    """The bounce side: which addresses take mail, how much of it, and where it goes."""

    listener = "bounces"

    def __init__(self, identify: Identify, place: Place, store: Store) -> None:
        self._identify = identify
        self._place = place
        self._store = store
        self._rate = RateWindow(BOUNCES_PER_MESSAGE, _HOUR)
        self._strangers_by_source = RateWindow(STRANGERS_PER_SOURCE, _HOUR)
        self._strangers = RateWindow(STRANGERS, _HOUR)

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """aiosmtpd offers AUTH by itself; nobody logs in here."""
        session.host_name = hostname
        return offers([line for line in responses if not line.startswith("250-AUTH")])

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: object) -> str:
        envelope.mail_from = address or "<>"
        return "250 2.1.0 OK"

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: object) -> str:
        if len(envelope.rcpt_tos) >= BOUNCE_RECIPIENTS:
            return f"452 4.5.3 Not more than {BOUNCE_RECIPIENTS} recipients"
        try:
            addressee = await self._identify(address)
        except UnavailableError as error:
            _log.warning("return_path_not_checked", error=str(error))
            return UNAVAILABLE
        if addressee is None:
            return "550 5.1.1 There is no such address here"
        if addressee.identity is not None and not self._rate.count(addressee.identity):
            return _TOO_MANY
        envelope.rcpt_tos.append(address.lower())
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        peer = str(session.peer[0]) if isinstance(session.peer, tuple) else ""
        sender = "" if envelope.mail_from in (None, "<>") else str(envelope.mail_from)[:320]
        try:
            refusal = await self._too_much(envelope.rcpt_tos, content, peer)
            if refusal:
                return counted(self.listener, refusal)
            mails = [ReceivedMail(to, content, sender, peer) for to in dict.fromkeys(envelope.rcpt_tos)]
            await self._store(mails)
        except UnavailableError as error:
            _log.warning("bounce_not_stored", error=str(error))
            return counted(self.listener, UNAVAILABLE)
        return counted(self.listener, "250 2.0.0 Stored")

    async def handle_exception(self, error: Exception) -> str:
        return broken(self.listener, error)

    async def _too_much(self, recipients: Sequence[str], content: bytes, peer: str) -> str:
        """Why a mail is not taken now, "" when it is. One for signed addresses was counted at each of them; one for a
        desk counts for the message it quotes, or as a stranger's."""
        addressees = [await self._identify(address) for address in recipients]
        if not any(addressee is not None and addressee.identity is None for addressee in addressees):
            return ""
        named = self._place(content)
        if named is not None:
            return "" if self._rate.count(named) else _TOO_MANY
        if self._strangers_by_source.count(source_of(peer)) and self._strangers.count(""):
            return ""
        return _STRANGE
