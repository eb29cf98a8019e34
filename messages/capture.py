"""Which recipients of an email are captured: decided once, when it is accepted, the same way in every door.

A test key's email is captured as a whole (`NewEmail.capture`); here it is about single recipients of any key: those
that a capture rule of the application names, and those that are only simulated. Pure.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from accounts.capture_rules import CaptureRules
from messages.model import Recipient
from messages.simulated import RESEND, behaviour, refuse_unknown

STAND_INS: Final = "captured.example"
"""A domain that nobody can own (RFC 6761)."""


def person_of(address: str, capture: bool) -> str:
    """Whom the links of a mail act for: its recipient. Of captured mail somebody who stands in for them, always the
    same one: whoever tries the unsubscribe link of a test must not unsubscribe a customer."""
    if not capture:
        return address
    return f"stand-in-{hashlib.sha256(address.encode()).hexdigest()[:12]}@{STAND_INS}"


def stands_in(address: str) -> bool:
    """Whether this is nobody but a stand-in."""
    return address.endswith(f"@{STAND_INS}")


def marked(recipients: Sequence[Recipient], rules: CaptureRules, domain: str) -> tuple[Recipient, ...]:
    """The recipients, marked where nothing may leave. `domain` is that of simulated recipients. Raises Refused for an
    address in it that is none."""
    reserved = (domain, RESEND)
    if not rules and not [r for r in recipients if r.destination in reserved]:
        return tuple(recipients)
    return tuple(_marked(recipient, rules, domain) for recipient in recipients)


def _marked(recipient: Recipient, rules: CaptureRules, domain: str) -> Recipient:
    refuse_unknown(recipient.address, domain)
    simulated = behaviour(recipient.address, domain) is not None
    caught = simulated or rules.catch(recipient.address, recipient.destination)
    return replace(recipient, capture=True) if caught else recipient
