"""The values that travel through the wire layer. Frozen, typed, and free of behaviour but for what follows from them.

`Response` is what a remote server said, or what we saw instead of an answer. `mta/replies` turns it into a
`Verdict`; nothing else may interpret an SMTP reply.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from core.records import record


class Phase(StrEnum):
    """Where in the conversation something happened (RFC 5321 section 3; RESOLVE comes before any)."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    BANNER = "banner"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"
    """The final dot was sent: from here on the remote may have taken the mail."""


class Trouble(StrEnum):
    """What we saw when no usable SMTP reply came."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CLOSED = "closed"
    PROTOCOL = "protocol"
    TLS = "tls"
    LOCAL_ADDRESS = "local_address"
    """Our own source IP cannot be bound."""
    PROXY = "proxy"
    """The SOCKS proxy that owns the source IP, or the relay, cannot be reached or refuses us."""
    NO_SMTPUTF8 = "no_smtputf8"
    """The address needs SMTPUTF8 (RFC 6531) and the server does not offer it."""
    NO_DOMAIN = "no_domain"
    """NXDOMAIN, or neither MX nor address records."""
    NULL_MX = "null_mx"
    """The domain says that it takes no mail (RFC 7505)."""
    DNS_TEMPORARY = "dns_temporary"
    """SERVFAIL or time-out."""
    FORBIDDEN_TARGET = "forbidden_target"
    """Every MX address is private, loopback, link-local or our own."""


@record(frozen=True, slots=True)
class Response:
    """A final SMTP reply, or a trouble. `code` is 0 exactly when `trouble` is set and the remote said nothing."""

    phase: Phase
    code: int = 0
    enhanced: str = ""
    """RFC 3463 code such as "5.1.1", or ""."""
    text: str = ""
    """Reply text without codes, lines joined by a blank, at most 1,000 characters, printable."""
    trouble: Trouble | None = None


class Action(StrEnum):
    """What to do with the message, and whom it speaks about."""

    DELIVERED = "delivered"
    RETRY_SAME_IP = "retry_same_ip"
    """Greylisting: come back later from the same IP."""
    RETRY_LATER = "retry_later"
    THROTTLE_IP = "throttle_ip"
    THROTTLE_DOMAIN = "throttle_domain"
    """The sending domain, not the IP, is limited at this provider."""
    BOUNCE = "bounce"
    """The recipient cannot be reached, now or later."""
    BLOCK = "block"
    """Message or IP refused for good: ends the message, never suppresses the address."""


class Scope(StrEnum):
    """The smallest unit that is to blame."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    IP = "ip"
    SENDER_DOMAIN = "sender_domain"
    HOST = "host"
    PROVIDER = "provider"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One decision about one response, with the rule that made it."""

    action: Action
    klass: str
    """Class of the reply, such as "invalid_recipient" or "mailbox_full" (the names are in mta/rules)."""
    scope: Scope
    rule: str
    """Identifier of the deciding rule."""
    suppress: bool = False
    """The address itself is dead: add it to the suppression list."""
    wait: timedelta | None = None
    """How long the remote asked us to wait, or the rule's own rest."""
    uncertain: bool = False
    """The final dot was sent and no answer read: the mail may have been taken (RFC 1047). Retried late."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attached or inline file, decoded."""

    filename: str
    content_type: str
    data: bytes
    content_id: str = ""
    """Set for inline parts that HTML refers to by `cid:`."""


@record(frozen=True, slots=True)
class Draft:
    """Everything needed to compose one mail. Addresses are header values, already validated, without CR or LF."""

    sender: str
    """The From header as the application gave it: `Name <user@domain>` or `user@domain`."""
    to: tuple[str, ...]
    subject: str
    message_id: str
    """With angle brackets."""
    date: datetime
    cc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    html: str | None = None
    text: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """Extra headers of the application; Message-ID and Date here win over ours."""
    feedback_id: str = ""
    attachments: tuple[Attachment, ...] = ()


@record(frozen=True, slots=True)
class Envelope:
    """One SMTP transaction: one recipient, and the signed bytes."""

    mail_from: str
    """Return path without angle brackets, "" for the null sender."""
    rcpt_to: str
    data: bytes
    """Header and body with CRLF line ends, not dot-stuffed, ends with CRLF. Shared by all recipients of a mail."""
    smtputf8: bool = False
    """The envelope or the headers carry non-ASCII addresses (RFC 6531)."""
    front: bytes = b""
    """Headers of this recipient alone, in front of `data`: signature and token. ASCII, whole lines."""
    chunked: bool = False
    """It may go by BDAT where the server offers CHUNKING (RFC 3030)."""

    @property
    def size(self) -> int:
        """Octets of the mail."""
        return len(self.front) + len(self.data)

    @property
    def whole(self) -> bytes:
        """The mail in one piece, which costs a copy of it."""
        return self.front + self.data


IPV4: Final = 4
IPV6: Final = 6
FAMILIES: Final = frozenset({IPV4, IPV6})
_ONE_FAMILY: Final = {family: frozenset({family}) for family in FAMILIES}


def family_of(address: str) -> int:
    """`IPV4` or `IPV6`, of a valid address."""
    return IPV6 if ":" in address else IPV4


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """How much a relay takes. 0: no limit."""

    connections: int = 5
    """At the same time, from all our processes."""
    messages_per_second: float = 0.0
    messages_per_hour: int = 0


@dataclass(frozen=True, slots=True)
class EgressIp:
    """One of our sending addresses, or a relay, as a session needs it."""

    address: str
    """The public address, or the relay's name: how it is called everywhere (statistics, health, logs)."""
    bind_address: str
    """What the socket is bound to; differs from `address` behind NAT and where only 127.0.0.1 exists. A relay: ""."""
    ehlo_name: str
    via: str = "local"
    """How it is used: by this process, through a proxy, or as a relay (`mta/via`). With its password."""
    limits: RelayLimits | None = None
    """What a relay's owner allows; None for an IP of our own, where the recipients' providers say it."""
    families: frozenset[int] = field(init=False, compare=False, repr=False)
    """IP versions of the servers it can speak to: the socket's, whatever the public address looks like; a relay's
    are all. Asked several times a mail, so it is worked out once."""

    def __post_init__(self) -> None:
        families = FAMILIES if self.is_relay else _ONE_FAMILY[family_of(self.bind_address)]
        object.__setattr__(self, "families", families)

    @property
    def is_relay(self) -> bool:
        """Somebody's authenticated server, which takes the mail of all recipients."""
        return self.limits is not None


@dataclass(frozen=True, slots=True)
class Host:
    """One mail server to try: MX name and one of its addresses."""

    name: str
    address: str
    preference: int
    family: int = field(init=False, compare=False, repr=False)
    """Which sources can connect to it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "family", family_of(self.address))


@dataclass(frozen=True, slots=True)
class Route:
    """Where mail for one destination goes: hosts in the order to try them (at most 5 of a family), and the provider."""

    destination: str
    provider: str
    hosts: tuple[Host, ...]
    site: str = ""
    """What limits and health count by: the provider, or the set of servers (`Providers.site_of`)."""
    families: frozenset[int] = field(init=False, compare=False, repr=False)
    """Families of which there is a host: an egress IP of another one cannot carry this mail."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "families", frozenset([host.family for host in self.hosts]))
