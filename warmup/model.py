"""The values of warm-up that are stored: a warm-up, its changes and days, and what it looks like today."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from warmup.plan import Plan, Transactional
from warmup.progress import TrackStatus


class WarmupState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    """The stages stand still. Their caps stay in force: to send nothing, pause the IP itself."""
    COMPLETE = "complete"
    """Every track that had mail lately is complete. One that never had any keeps its cap for the day it does."""


@dataclass(frozen=True, slots=True)
class Warmup:
    """The warm-up of one IP."""

    ip: str
    plan: Plan
    state: WarmupState
    transactional: Transactional
    moved_from: str | None
    """The IP whose traffic this one takes over."""
    started_at: datetime
    evaluated_to: date
    """The last local day that was judged."""
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Change:
    """Something that changed, or a day that was held, with its reason and figures."""

    id: UUID
    at: datetime
    ip: str
    track: str
    """"" when it is about the IP as a whole."""
    day: date | None
    """The day it was decided from."""
    change: str
    from_stage: int | None
    to_stage: int | None
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Day:
    """One row of the ledger."""

    ip: str
    track: str
    day: date
    stage: int
    cap: int
    granted: int


@dataclass(frozen=True, slots=True)
class TrackToday:
    """One track as an operator sees it."""

    track: str
    stage: int
    stages: int
    state: TrackStatus
    cap: int | None
    """Mails today; None: no cap."""
    used: int
    """Granted today. Mail that needs no grant (no cap) is not in it."""
    stage_since: date
    last_used: date | None


@dataclass(frozen=True, slots=True)
class IpToday:
    """A warming IP as an operator sees it."""

    ip: str
    plan: str
    state: WarmupState
    transactional: Transactional
    moved_from: str | None
    started_at: datetime
    day: date
    """Today in the plan's time zone."""
    stage: int
    """The lowest stage among the tracks in use (had mail in the last 14 days, or all when none had)."""
    stages: int
    cap: int | None
    """Mails today over all tracks with a cap; None when none has one."""
    used: int
    earliest_end: date | None
    """When it is complete if every day from today advances every track in use."""
    likely_end: date | None
    """The same at the pace of the last 14 days; None when nothing has moved."""
    tracks: tuple[TrackToday, ...]
