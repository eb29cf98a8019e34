"""What a bounce of each class is, in the words that applications know: one table for events and metrics. Pure.

*Permanent* is only what speaks about the mailbox or its domain: programs take people off their lists for it, and must
not do so because an IP of ours, or what the mail said, was refused. *Transient* may go well another time or with
another mail; *undetermined* is what nobody understood. A class alone decides: a figure that is counted by class and the
event of the same mail say the same.

Whether an address is *suppressed* is another question (`suppression/rules`): a domain may be renewed.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class Permanence(StrEnum):
    """How lasting a refusal is."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    UNDETERMINED = "undetermined"


class BounceKind(NamedTuple):
    """A bounce in the two words of Resend's `bounce.type` and `bounce.subType`."""

    permanence: Permanence
    sub: str = "General"


_PERMANENT: Final = BounceKind(Permanence.PERMANENT)
_TRANSIENT: Final = BounceKind(Permanence.TRANSIENT)
_CONTENT: Final = BounceKind(Permanence.TRANSIENT, "ContentRejected")
UNDETERMINED: Final = BounceKind(Permanence.UNDETERMINED, "Undetermined")

BOUNCE_KINDS: Final[Mapping[str, BounceKind]] = MappingProxyType(
    {
        "invalid_recipient": _PERMANENT,
        "inactive_mailbox": _PERMANENT,
        "bad_domain": _PERMANENT,
        "null_mx": _PERMANENT,
        "forbidden_target": _PERMANENT,  # a way of old to say what null MX says now
        "no_smtputf8": _PERMANENT,  # a server without it has no such mailbox
        "mailbox_full": BounceKind(Permanence.TRANSIENT, "MailboxFull"),
        "mailbox_trouble": _TRANSIENT,
        "recipient_rate": _TRANSIENT,
        "recipient_policy": _TRANSIENT,
        "routing": _TRANSIENT,
        "relay_denied": _TRANSIENT,  # the domain's DNS leads to the wrong server, which is mended for all its people
        "greylisted": _TRANSIENT,
        "rate_limited": _TRANSIENT,
        "too_many_connections": _TRANSIENT,
        "domain_rate_limited": _TRANSIENT,
        "ip_reputation": _TRANSIENT,
        "blocklisted": _TRANSIENT,
        "domain_reputation": _TRANSIENT,
        "authentication": _TRANSIENT,
        "tls_required": _TRANSIENT,
        "sender_rejected": _TRANSIENT,
        "spam_content": _CONTENT,
        "prohibited_content": _CONTENT,
        "malformed_message": _CONTENT,
        "policy": _CONTENT,
        "message_too_large": BounceKind(Permanence.TRANSIENT, "MessageTooLarge"),
        "too_many_recipients": _TRANSIENT,
        "server_trouble": _TRANSIENT,
        "protocol": _TRANSIENT,
        "tls": _TRANSIENT,
        "dns_temporary": _TRANSIENT,
        "no_answer": _TRANSIENT,
        "local_address": _TRANSIENT,
        "proxy": _TRANSIENT,
        "unknown_after_dot": UNDETERMINED,
        "unclassified_temporary": UNDETERMINED,
        "unclassified_permanent": UNDETERMINED,
    }
)
"""Every class that mail can bounce with."""


def bounce_kind(klass: str) -> BounceKind:
    """The kind of a bounce by its class. Undetermined is what has none, and what a version after this one knew."""
    return BOUNCE_KINDS.get(klass, UNDETERMINED)
