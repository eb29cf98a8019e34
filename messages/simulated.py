"""Recipients that are only simulated: addresses of one reserved domain that behave as their name says, on any key.

    delivered@   is taken                    bounced@     does not exist
    complained@  is taken, then complains    full@        has no room left
    delayed@     is put off, then taken      suppressed@  is on the suppression list

A label may follow (`bounced+order-7@`). The domain is a setting; by default its name is one that nobody can own
(RFC 6761). Resend's four addresses at `resend.dev` do the same, so that tests written for Resend's service run as they
are; whoever else has a mailbox there gets mail.

Pure. What such a recipient answers is played by `workers/capturing`.
"""

from enum import StrEnum
from typing import Final

from core.refusal import Refused

RESEND: Final = "resend.dev"


class Behaviour(StrEnum):
    """What a simulated recipient does; the value is its local part."""

    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    FULL = "full"
    DELAYED = "delayed"
    SUPPRESSED = "suppressed"


_ALL: Final = frozenset(Behaviour)
_OF_RESEND: Final = frozenset({Behaviour.DELIVERED, Behaviour.BOUNCED, Behaviour.COMPLAINED, Behaviour.SUPPRESSED})


def behaviour(address: str, domain: str) -> Behaviour | None:
    """What the recipient with this folded address does; None for any other. `domain` is the reserved one, folded."""
    local, _, place = address.rpartition("@")
    known = {domain: _ALL, RESEND: _OF_RESEND}.get(place, ())
    name = local.partition("+")[0]
    return Behaviour(name) if name in known else None


def refuse_unknown(address: str, domain: str) -> None:
    """Raises Refused for an address in the reserved domain that is none of the recipients there: a slip of the pen,
    which would seem to work."""
    local, _, place = address.rpartition("@")
    if place == domain and behaviour(address, domain) is None:
        known = ", ".join(f"{one}@" for one in Behaviour)
        raise Refused("invalid", f"there is no simulated recipient {local}@{place}, only {known}")
