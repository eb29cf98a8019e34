"""The values that travel between the parts of the practice internet. Frozen, typed, without behaviour.

Owned by `simulator/`; nothing of the product imports them. Addresses are lower-cased text, times are seconds since the
epoch (UTC), sizes are octets.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Behaviour(StrEnum):
    """What a provider does with one recipient. The local part or a rule picks it."""

    ACCEPT = "accept"
    UNKNOWN = "unknown"
    """No such mailbox."""
    FULL = "full"
    """Mailbox over quota: temporary, or permanent with the argument 552."""
    GREYLIST = "greylist"
    """451 first, accepted some seconds later from the same client, sender and recipient."""
    THROTTLE = "throttle"
    """The client sends too fast: temporary refusal and hang-up. Argument: how many times, for ever without one."""
    DROP = "drop"
    """Hangs up after the final dot without an answer; the mail is not kept. Argument: how many times."""
    DROP_KEPT = "drop-kept"
    """The same, but the mail was taken (RFC 1047): a repeat makes a duplicate."""
    SLOW = "slow"
    """Takes the mail and waits before it answers the final dot. Argument: seconds."""
    BADTLS = "badtls"
    """TLS breaks: the handshake as a rule, the connection at RCPT by local part; works in the clear."""
    SPAM = "spam"
    """The content is refused for good, after the dot."""
    BLOCK = "block"
    """The client's address is on a blocklist."""
    LATE = "late"
    """Takes the mail, and bounces it some seconds later by a report to its return path. Argument: seconds."""
    COMPLAIN = "complain"
    """Reads it and calls it spam. Argument: the form of the report, `arf`, `headers` or `old`; else the provider's."""
    UNSUBSCRIBE = "unsubscribe"
    """Wants no more of it: one click, or with the argument `mail` a mail to the other address of the header."""
    CLICK = "click"
    """Opens it with its pictures, and follows the first link."""


class Stage(IntEnum):
    """Where in the conversation a refusal is given, in the order of time."""

    BANNER = 1
    STARTTLS = 2
    MAIL = 3
    RCPT = 4
    DOT = 5


class TlsKind(StrEnum):
    """What a mail host offers for STARTTLS."""

    SIGNED = "signed"
    """A certificate for its name by the practice authority (`ca_certificate` in the state file)."""
    SELF_SIGNED = "self_signed"
    """A right name that nobody vouches for."""
    BROKEN = "broken"
    """STARTTLS is offered and the handshake fails."""
    NONE = "none"
    REQUIRED = "required"
    """A certificate as with `signed`; before STARTTLS every MAIL is refused with 530."""


@dataclass(frozen=True, slots=True)
class MxHost:
    """One mail server name. Several names may share an address and then one listener."""

    name: str
    address: str
    provider: str
    style: str
    """Key into the reply table of `simulator/replies.py`."""
    tls: TlsKind = TlsKind.SIGNED
    address6: str = ""
    """IPv6 address beside the other one, or "". `address` may be an IPv6 one too."""
    eight_bit: bool = True
    """Whether 8BITMIME is offered; without it mail with 8-bit octets is refused."""
    chunking: bool = False
    """Whether CHUNKING is offered, and BDAT taken (RFC 3030)."""


@dataclass(frozen=True, slots=True)
class MailDomain:
    """One recipient domain and who receives for it."""

    name: str
    provider: str
    style: str
    mx: tuple[tuple[int, str], ...]
    """(preference, host name); empty where only an address record exists."""


@dataclass(frozen=True, slots=True)
class Door:
    """One listening SMTP address. `provider` is None when one door serves every provider (EHLO mode)."""

    address: str
    name: str
    style: str
    provider: str | None
    domains: frozenset[str]
    tls: TlsKind = TlsKind.SIGNED
    eight_bit: bool = True
    chunking: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What will happen to one recipient, and when it is said."""

    behaviour: Behaviour
    stage: Stage
    argument: str = ""
    text: str = ""
    """A complete own reply such as `421 4.7.0 Slow down`; "" for the provider's own words."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A recipient taken at RCPT, with what shall happen to it at the dot."""

    address: str
    provider: str
    style: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class StoredMail:
    """One accepted mail of one mailbox. `data` is shared between the recipients of a transaction."""

    number: int
    received_at: float
    recipient: str
    mail_from: str
    provider: str
    client: str
    ip: str
    ehlo_name: str
    tls: bool
    data: bytes
