"""What a check of a campaign finds, as values. Frozen, without behaviour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from campaigns.forecast import Forecast


class Severity(StrEnum):
    """What follows from a finding. The values are sent."""

    REFUSES = "refuses"
    """It cannot begin like this."""
    WARNS = "warns"
    """For whoever sends it to judge."""


class Code(StrEnum):
    """What was looked at. The values are sent, and stay what they are."""

    SEGMENT = "segment"
    SENDER = "sender"
    SUBJECT = "subject"
    CONTENT = "content"
    TOPIC = "topic"
    OTHER = "other"
    AUDIENCE = "audience"
    UNREACHABLE = "unreachable_people"
    UNKNOWN_VARIABLES = "unknown_variables"
    MISSING_VARIABLES = "missing_variables"
    UNWRITTEN = "unwritten"
    UNSUBSCRIBE_LINK = "unsubscribe_link"
    UNSUBSCRIBE_TEXT = "unsubscribe_text"
    ONE_CLICK = "one_click"
    WEIGHT = "weight"
    TEXT_PART = "text_part"
    IMAGES_WITHOUT_ALT = "images_without_alt"
    IMAGE_ADDRESSES = "image_addresses"
    FOREIGN_ICONS = "foreign_icons"
    LINK_ADDRESSES = "link_addresses"
    DEAD_LINKS = "dead_links"
    UNCHECKED_LINKS = "unchecked_links"
    DKIM = "dkim"
    SPF = "spf"
    SPF_ALIGNMENT = "spf_alignment"
    DMARC = "dmarc"
    RETURN_PATH = "return_path"
    TRACKING_HOST = "tracking_host"
    DNS_SILENT = "dns_silent"
    SENT_BEFORE = "sent_before"
    NEVER_ENDS = "never_ends"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know before it begins."""

    code: Code
    severity: Severity
    found: str
    """A sentence with its figure."""
    advice: str
    """What to do."""
    people: int | None = None
    """How many it concerns; None where it is nothing of people."""


@dataclass(frozen=True, slots=True)
class People:
    """Whom it would go to, at this moment."""

    total: int = 0
    """In the segment."""
    reached: int = 0
    """Of them, those who may get it."""
    skipped: Mapping[str, int] = field(default_factory=dict, hash=False)
    """The others, by the reason of their row."""
    exact: bool = True
    """False: of a large audience a part was asked, and the figures are what follows from it."""
    by_domain: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Those who may get it."""
    lacking: Mapping[str, int] = field(default_factory=dict, hash=False)
    """How many of the segment lack a variable."""


@dataclass(frozen=True, slots=True)
class Checks:
    """All that was found."""

    campaign_id: UUID
    people: People
    findings: Sequence[Finding]
    forecast: Forecast | None
    """None: it cannot be told."""

    @property
    def can_start(self) -> bool:
        """Nothing refuses it."""
        return not any(one.severity is Severity.REFUSES for one in self.findings)


def warns(code: Code, found: str, advice: str, people: int | None = None) -> Finding:
    """A finding for whoever sends it to judge."""
    return Finding(code, Severity.WARNS, found, advice, people)
