"""The values a campaign travels in between this package, the API and the command line. Frozen, without behaviour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from campaigns.archive import Archive
from campaigns.experiment import Experiment
from campaigns.following import Follow
from campaigns.plan import Plan
from campaigns.states import CampaignState
from campaigns.utm import Utm
from campaigns.words import Words

__all__ = ["MAX_NAME", "Campaign", "Draft", "Words", "texts"]

MAX_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Campaign:
    """A stored campaign."""

    id: UUID
    application_id: UUID
    name: str
    state: CampaignState
    reason: str
    """Why it is stopped or paused, "" when somebody just wanted it."""
    segment_id: UUID | None
    topic_id: UUID | None
    pool_id: UUID | None
    words: Words
    tags: tuple[tuple[str, str], ...]
    open_tracking: bool | None
    click_tracking: bool | None
    capture: bool
    """A test key made it: nothing of it leaves."""
    plan: Plan
    scheduled_at: datetime | None
    fixed_at: datetime | None
    """When the last person's row was there."""
    started_at: datetime | None
    ended_at: datetime | None
    created_at: datetime
    experiment: Experiment = field(default_factory=Experiment, hash=False)
    heard_since: datetime | None = None
    """When its application saw the first sign of life of anybody, as it was found when the campaign began."""
    retried_at: datetime | None = None
    """Whoever had failed by then is being tried again."""
    utm: Utm = field(default_factory=Utm)
    archive: Archive = field(default_factory=Archive)
    languages: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)
    """What it says in others than its own, by language."""
    follow: Follow | None = None
    """It goes to people of an earlier campaign, and not to all of its segment."""
    template_id: UUID | None = None
    """What it was made of."""
    window_opens_at: datetime | None = None
    """It is sending, and waits for its window until then."""
    tallies: Mapping[str, int] = field(default_factory=dict, hash=False)
    """People by the state of their rows."""
    unreadable: str = ""
    """Why this version cannot read what is stored of it, such as its plan: that is left out, and it can only be looked
    at, paused, cancelled and deleted."""

    @property
    def why(self) -> str:
        """Why nothing of it leaves at the moment, in words; "" where there is no reason."""
        if self.unreadable:
            return f"it cannot be read, and waits: {self.unreadable}"
        if self.reason or self.window_opens_at is None or self.plan.window is None:
            return self.reason
        zone = self.plan.window.zone
        return f"waits for its window, opens {self.window_opens_at.astimezone(ZoneInfo(zone)):%A %H:%M} ({zone})"


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants a campaign to be; as long as it is a draft it can be changed."""

    words: Words
    name: str = ""
    segment_id: UUID | None = None
    topic_id: UUID | None = None
    pool_id: UUID | None = None
    tags: tuple[tuple[str, str], ...] = ()
    open_tracking: bool | None = None
    click_tracking: bool | None = None
    plan: Plan = field(default_factory=Plan)
    experiment: Experiment = field(default_factory=Experiment, hash=False)
    utm: Utm = field(default_factory=Utm)
    archive: Archive = field(default_factory=Archive)
    languages: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)
    follow: Follow | None = None
    template_id: UUID | None = None


def texts(values: Sequence[Any] | None) -> tuple[str, ...]:
    """A list of texts as it is stored."""
    return tuple(values or ())
