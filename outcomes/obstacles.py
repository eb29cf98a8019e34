"""What keeps mail from somebody, and what to say to them about it when they are next seen. Pure.

The words of the reasons are those that a suppressed message carries: of the suppression list, or of a choice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audience.predicate import LEFT, NOT_ASKED_FOR, PAUSED
from suppression.reasons import Reason


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why mail may not leave."""

    reason: str
    """`suppression/reasons`, or a word of `audience/predicate`."""
    since: datetime | None
    """None: it was never otherwise."""
    until: datetime | None
    """When it ends by itself; None: when somebody changes it."""


_NOT_AT_PRESENT: Final = "We send no mail to {address} at present. Tell us if you expect mail from us."

_SAYINGS: Final[Mapping[str, str]] = {
    Reason.HARD_BOUNCE: "Mail to {address} comes back: the mailbox does not exist, or is closed. Check the address, or"
    " give us another one.",
    Reason.SOFT_BOUNCES: "Mail to {address} came back several times; the mailbox may be full.{again} Make room in it,"
    " or give us another address.",
    Reason.COMPLAINT: "One of our mails to {address} was reported as spam, so we stopped writing. Tell us if that was a"
    " mistake.",
    Reason.UNSUBSCRIBE: "You asked us not to write to {address} any more. Tell us if you want this mail again.",
    Reason.MANUAL: _NOT_AT_PRESENT,
    Reason.IMPORT: _NOT_AT_PRESENT,
    PAUSED: "You paused our mail.{again}",
    LEFT: 'You chose not to get "{topic}".',
    NOT_ASKED_FOR: 'You get "{topic}" only when you ask for it.',
}


def saying(obstacle: Obstacle, address: str, topic: str = "") -> str:
    """A sentence or two for the person behind the address, in plain words. `topic` is the name of the type of mail."""
    again = f" We write again from {obstacle.until:%Y-%m-%d}." if obstacle.until else ""
    return _SAYINGS[obstacle.reason].format(address=address, again=again, topic=topic)
