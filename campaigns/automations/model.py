"""The values of automations, as they travel between this package, the API and the command line. Frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias
from uuid import UUID

from audience.newly_confirmed import CONFIRMED
from campaigns.automations.recurrence import Recurrence

SCHEDULE: Final = "postlane:schedule"
"""Name of the event that a rule causes."""
OURS: Final = frozenset({CONFIRMED, SCHEDULE})
"""Events that no application sends."""
ONCE: Final = "confirmed"
"""The entry of a run that somebody's first yes began: there is one of each person, for ever."""
NOBODY: Final = UUID(int=0)
"""Whose run it is when it makes a campaign."""


class AutomationState(StrEnum):
    """Whether people enter. The values are stored, and Resend's."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class RunState(StrEnum):
    """Where a run is. The values are stored, and Resend's."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepState(StrEnum):
    """Where a step of a run is; those behind `RUNNING` are stored. The values are Resend's."""

    PENDING = "pending"
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Trigger:
    """What begins a run."""

    key: str
    event: str
    segment_id: UUID | None = None
    """Of `CONFIRMED`: only who is in it."""
    topic_id: UUID | None = None
    """Of `CONFIRMED`: only who gets it."""
    recurrence: Recurrence | None = None
    """Of `SCHEDULE`."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait."""

    key: str
    wait: timedelta
    text: str
    """As it was written."""


@dataclass(frozen=True, slots=True)
class SendEmail:
    """Send a template to the person of the run."""

    key: str
    template: str
    """Id or alias: the version that is published when the step is due."""
    variables: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Values, or `{"var": "event.plan"}`."""
    subject: str = ""
    """"": the template's. So too `sender` and `reply_to`."""
    sender: str = ""
    reply_to: tuple[str, ...] = ()
    topic_id: UUID | None = None
    """None: the default topic, of the marketing lane."""


@dataclass(frozen=True, slots=True)
class SendBroadcast:
    """Send a copy of a campaign to its segment."""

    key: str
    broadcast_id: UUID


Step: TypeAlias = Delay | SendEmail | SendBroadcast


@dataclass(frozen=True, slots=True)
class Workflow:
    """Trigger and steps, in their order."""

    trigger: Trigger
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Automation:
    """A stored automation, without its steps."""

    id: UUID
    application_id: UUID
    name: str
    state: AutomationState
    version_id: UUID
    next_at: datetime | None
    """When its rule is due next; None while it is disabled, and of other triggers."""
    stopped_at: datetime | None
    """Runs from before are cancelled."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """One person's way through the steps, or one campaign that a rule made."""

    id: UUID
    automation_id: UUID
    application_id: UUID
    version_id: UUID
    contact_id: UUID
    event_id: UUID | None
    position: int
    """Of the step that comes next."""
    state: RunState
    reason: str
    due_at: datetime | None
    held_since: datetime | None
    """Since when the step that is due cannot be done."""
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Done:
    """A step of a run that is over."""

    position: int
    state: StepState
    email_id: UUID | None
    campaign_id: UUID | None
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class WholeRun:
    """A run with the steps it keeps, and what became of those that are over."""

    run: Run
    workflow: Workflow
    done: Sequence[Done]
