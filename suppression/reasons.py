"""Why an address is suppressed, where we know it from, and for what: the words, and nothing else.

The values are stored and shown by the API.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal


class Reason(StrEnum):
    """Why mail to the address would be wrong."""

    HARD_BOUNCE = "hard_bounce"
    """The mailbox does not exist, or is closed, in the words of its own server."""
    SOFT_BOUNCES = "soft_bounces"
    """It kept failing for less certain reasons."""
    COMPLAINT = "complaint"
    """The recipient called a mail spam, and a feedback loop told us."""
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"
    """A person or an application said so."""
    IMPORT = "import"
    """It came with a list from another system."""


WEIGHTS: Final[Mapping[Reason, int]] = {Reason.COMPLAINT: 2, Reason.UNSUBSCRIBE: 1}
"""What a person said themselves weighs more than what others say for them; all else weighs 0."""

Origin = Literal["bounce", "complaint", "manual"]

ORIGINS: Final[Mapping[Origin, tuple[Reason, ...]]] = {
    "bounce": (Reason.HARD_BOUNCE, Reason.SOFT_BOUNCES),
    "complaint": (Reason.COMPLAINT,),
    "manual": (Reason.UNSUBSCRIBE, Reason.MANUAL, Reason.IMPORT),
}
"""Resend's three words for our reasons."""


def origin_of(reason: Reason) -> Origin:
    """Resend's word for a reason."""
    return next(word for word, reasons in ORIGINS.items() if reason in reasons)


class Source(StrEnum):
    """Where the entry comes from."""

    SMTP = "smtp"
    """A reply in our own SMTP session."""
    BOUNCE_REPORT = "bounce_report"
    """A bounce mail that came later (RFC 3464)."""
    FEEDBACK_LOOP = "feedback_loop"
    """A complaint report (RFC 5965)."""
    ONE_CLICK = "one_click"
    """The List-Unsubscribe header (RFC 8058)."""
    LINK = "link"
    """An unsubscribe link or the preference page."""
    MAILTO = "mailto"
    """A mail to the unsubscribe address."""
    API = "api"
    CONSOLE = "console"
    CLI = "cli"
    IMPORT = "import"


class SuppressionScope(StrEnum):
    """For what the entry holds. A lane's scope has the lane's own name."""

    ALL = "all"
    TRANSACTIONAL = "transactional"
    MARKETING = "marketing"
    TOPIC = "topic"
    """One type of mail of one application."""


@dataclass(frozen=True, slots=True)
class SuppressionEntry:
    """One decision to suppress, without the address: whoever asked for the decision knows that."""

    scope: SuppressionScope
    reason: Reason
    source: Source
    detail: str
    """The evidence: the rule and the reply, or who asked. Shown to the application."""
    expires_at: datetime | None = None
    note: str = ""
    """What people add to it."""


def lighter(one: Reason, other: Reason) -> bool:
    """Whether one gives way to the other, however long each lasts."""
    return WEIGHTS.get(one, 0) < WEIGHTS.get(other, 0)
