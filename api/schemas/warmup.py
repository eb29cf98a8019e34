"""Bodies and answers of `/warmup`, by type and shape. What they do is in the routes; `warmup/plan` explains a plan."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed, Reason, Strict, Text
from warmup.plan import LARGEST_CAP, MOST_STAGES, Transactional
from warmup.simulate import MOST_DAYS

_PlanName = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9._-]{0,62}$")]

_Cap = Annotated[int, Field(ge=1, le=LARGEST_CAP)]

_Share = Annotated[float, Field(ge=0, le=1)]

_Figure = Annotated[int, Field(ge=0, le=LARGEST_CAP)] | Annotated[float, Field(ge=0, le=1)]


class PlanBody(Strict):
    """A plan of one's own."""

    name: Text = Field(examples=["careful"])
    stages: list[_Cap] = Field(min_length=1, max_length=MOST_STAGES, description="Mails a day of one IP; rising.")
    weights: dict[str, _Share] | None = Field(None, max_length=100, description="Part of the cap by provider.")
    zone: Text = Field("UTC", examples=["Europe/Berlin"])
    hours: list[int] = Field([0, 24], min_length=2, max_length=2, description="When a warming IP sends, local time.")
    hour_limit: _Share = Field(0.5, description="Most of a day's cap that one hour may carry.")
    advance: Literal["evidence", "clock"] = "evidence"
    thresholds: dict[str, _Figure] = Field({}, max_length=20)
    rewarm_after_days: int = 30
    stall_days: int = 10

    def definition(self) -> dict[str, Any]:
        """As `warmup.plan.parse` reads it; what was left out stays out."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class _Chosen(Strict):
    """A plan by its name, cut to what is needed."""

    plan: _PlanName = Field("stages-29", description="A preset, or a plan of your own.")
    start: _Cap | None = Field(None, description="Mails of the first day.")
    target: _Cap | None = Field(None, description="Mails a day at which one IP has arrived.")


class _Begun(_Chosen):
    """A plan that is started."""

    mix: dict[str, _Share] = Field(
        {},
        max_length=100,
        description="Parts of the cap by provider. By default a preset is divided by the mail of the last 30 days, if"
        " there was enough.",
    )


class StartWarmup(_Begun):
    """An IP that is to warm up."""

    ip: Text
    transactional: Annotated[Transactional, Field(strict=False)] = Field(
        Transactional.SHARE, description="Transactional mail on it: as marketing, `avoid`, or `first`."
    )


class ShiftTraffic(_Begun):
    """Traffic that moves from one IP to another, which warms up for it."""

    from_: Text = Field(alias="from", description="The IP that keeps what the new one may not carry yet.")
    to: Text
    transactional: Annotated[Transactional, Field(strict=False)] = Transactional.SHARE


class WarmupReason(Strict):
    """Why, for the story."""

    reason: Reason = ""


class WarmupStep(WarmupReason):
    """Which part of a warm-up."""

    track: Text = Field("", description="A provider, `*` for all without a part of their own; all tracks by default.")


class SimulateWarmup(_Chosen):
    """A volume that a plan is tried on."""

    definition: PlanBody | None = Field(None, description="A plan that is not stored, instead of `plan`.")
    per_day: Annotated[int, Field(ge=1, le=LARGEST_CAP)]
    mix: dict[str, _Share] = Field({}, max_length=100, description="Share of the volume by provider.")
    warming_ips: Annotated[int, Field(ge=1, le=1000)] = 1
    warm_ips: Annotated[int, Field(ge=0, le=1000)] = 1
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = 60


class TrackToday(BaseModel):
    """One provider's part of a warm-up."""

    track: str
    stage: int
    stages: int
    state: str
    cap: int | None = Field(description="Mails today; null is no cap.")
    used: int
    stage_since: date
    last_used: date | None


class WarmupAnswer(BaseModel):
    """A warm-up as it is today."""

    object: Literal["warmup"] = "warmup"
    id: str = Field(description="The IP.")
    ip: str
    plan: str
    state: Literal["active", "paused", "complete"]
    transactional: Transactional
    moved_from: str | None
    started_at: datetime
    day: date
    stage: int
    stages: int
    cap: int | None
    used: int
    earliest_end: date | None = Field(description="If every day from now on advances every track in use.")
    likely_end: date | None = Field(description="At the pace of the last 14 days; null while nothing moved.")
    tracks: list[TrackToday]


class WarmupList(Listed[WarmupAnswer]):
    """All warm-ups, complete ones too."""


class ChangeAnswer(BaseModel):
    """Something that changed, or a day that was held."""

    id: UUID
    at: datetime
    ip: str
    track: str
    day: date | None
    change: str
    from_stage: int | None
    to_stage: int | None
    reason: str
    by: str


class ChangeList(Listed[ChangeAnswer]):
    """Changes of a warm-up."""


class PlanAnswer(BaseModel):
    """A stored plan."""

    object: Literal["warmup_plan"] = "warmup_plan"
    id: str
    name: str
    stages: list[int]
    weights: dict[str, float]
    zone: str
    hours: list[int]
    hour_limit: float
    advance: str
    thresholds: dict[str, float]
    rewarm_after_days: int
    stall_days: int


class PlanList(Listed[PlanAnswer]):
    """Stored plans, by name."""


class PlanDeleted(BaseModel):
    """The plan is gone; warm-ups that run by it keep their copy."""

    object: Literal["warmup_plan"] = "warmup_plan"
    id: str
    deleted: Literal[True] = True


class PresetAnswer(BaseModel):
    """A published schedule."""

    object: Literal["warmup_preset"] = "warmup_preset"
    id: str
    name: str
    title: str
    source: str
    start: int
    target: int
    stages: int = Field(description="How many stages it has, uncut.")


class PresetList(Listed[PresetAnswer]):
    """All presets."""


class SimulatedRow(BaseModel):
    """One provider on one day."""

    day: int
    provider: str
    stage: int
    stages: int
    cap: int | None
    mail: int
    warming: int
    warm: int
    waiting: int
    reason: str


class Simulated(BaseModel):
    """Where the mail of each day goes, and when the plan ends."""

    object: Literal["warmup_simulation"] = "warmup_simulation"
    plan: str
    ends_on: int | None
    stuck: list[str]
    data: list[SimulatedRow]
