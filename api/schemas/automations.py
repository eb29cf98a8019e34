"""Bodies and answers of `/automations`, by type and shape. Names and values are Resend's, so that its SDKs work."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.shapes import Lenient, Listed
from campaigns.automations.model import AutomationState, RunState, StepState
from campaigns.automations.steering import MOST_NAME
from campaigns.automations.workflow import MOST_STEPS
from web.absent import Absent, Needed

_Name = Annotated[str, Field(max_length=MOST_NAME)]
_STEPS = (
    "A `trigger` (`event_name`), then `delay` (`duration`), `send_email` (`template`, `subject`, `from`, `reply_to`, "
    "`topic_id`). Ours: the events `postlane:contact.confirmed` (`segment_id`, `topic_id`) and `postlane:schedule` "
    "(`rrule`, `start`, `zone`), and behind the latter `send_broadcast` (`broadcast_id`)."
)
_CONNECTIONS = "Their order, one behind the other; without it that in which they stand."


class AutomationStep(BaseModel):
    """A step."""

    model_config = ConfigDict(extra="ignore", strict=True)

    key: str = Field(max_length=100, description="Your name for it.")
    type: str = Field(max_length=40, description="What it does.")
    config: dict[str, Any] = Field(description="How.")


class AutomationConnection(BaseModel):
    """Which step follows which."""

    model_config = ConfigDict(extra="ignore", strict=True)

    source: str = Field(alias="from", max_length=100, description="The key of a step.")
    to: str = Field(max_length=100, description="The key of the one behind it.")
    type: str | None = Field(None, max_length=40, description="`default`, the only one.")


_Steps = Annotated[list[AutomationStep], Field(max_length=MOST_STEPS + 1)]
_Connections = Annotated[list[AutomationConnection], Field(max_length=MOST_STEPS)]


class CreateAutomation(Lenient):
    """What follows by itself."""

    name: Annotated[_Name, Needed] = Field(examples=["Welcome series"])
    status: AutomationState | None = Field(None, strict=False, description="Without it: disabled.")
    steps: _Steps = Field(description=_STEPS)
    connections: _Connections | None = Field(None, description=_CONNECTIONS)


class UpdateAutomation(Lenient):
    """What to change; what is left out stays."""

    name: Annotated[_Name | None, Absent] = Field(None)
    status: AutomationState | None = Field(None, strict=False)
    steps: _Steps | None = Field(None, description="For who enters from now on. " + _STEPS)
    connections: _Connections | None = Field(None, description=_CONNECTIONS)


class AutomationItem(BaseModel):
    """An automation."""

    id: UUID
    name: str
    status: AutomationState = Field(description="Whether people enter.")
    created_at: datetime
    updated_at: datetime
    next_at: datetime | None = Field(description="Ours. When its rule is due next.")


class AutomationAnswer(AutomationItem):
    """An automation by itself."""

    object: Literal["automation"] = "automation"
    steps: list[AutomationStep] = Field(description="For who enters now.")
    connections: list[AutomationConnection] = Field(description="Their order.")


class AutomationList(Listed[AutomationItem]):
    """Automations, newest first."""


class AutomationReference(BaseModel):
    """The automation that was worked on."""

    object: Literal["automation"] = "automation"
    id: UUID


class AutomationDeleted(AutomationReference):
    """It is gone, with its runs."""

    deleted: Literal[True] = True


class AutomationStopped(AutomationReference):
    """Nobody enters, and nobody under way gets more."""

    status: AutomationState


class AutomationRunItem(BaseModel):
    """One person's way through the steps, or one broadcast that a rule made."""

    id: UUID
    status: RunState
    started_at: datetime | None = Field(description="When it began.")
    completed_at: datetime | None = Field(description="When it was over; null while it is not.")
    created_at: datetime
    contact_id: UUID | None = Field(description="Ours. The person; null for a rule.")
    reason: str = Field(description="Ours. Why it ended, or waits; empty when there is nothing to say.")
    next_at: datetime | None = Field(description="Ours. When its next step is due.")


class AutomationRunStep(BaseModel):
    """A step of a run."""

    key: str = Field(description="The step, by your name for it.")
    type: str = Field(description="What it does.")
    status: StepState
    started_at: datetime | None = Field(description="When it was done.")
    completed_at: datetime | None = Field(description="When it was done.")
    output: dict[str, UUID] | None = Field(description="`email_id`, or `broadcast_id`.")
    error: str | None = Field(description="Why it was skipped, failed or waits.")
    created_at: datetime


class AutomationRunAnswer(AutomationRunItem):
    """A run by itself."""

    object: Literal["automation_run"] = "automation_run"
    steps: list[AutomationRunStep] = Field(description="Those that it began with, in their order.")


class AutomationRunList(Listed[AutomationRunItem]):
    """Runs, newest first."""


class AutomationRunReference(BaseModel):
    """The run that was worked on."""

    object: Literal["automation_run"] = "automation_run"
    id: UUID
    status: RunState
