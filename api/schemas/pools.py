"""Bodies and answers of `/pools`, by type and shape. What they do is in the routes. Unknown fields are refused."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed, Strict, Text
from api.schemas.throttles import ThrottleAnswer
from core.queues import Lane
from pools.assignments import SubjectKind
from pools.model import MAX_WEIGHT

_LaneField = Annotated[Lane, Field(strict=False)]

_Weight = Annotated[
    int, Field(ge=0, le=MAX_WEIGHT, description="Share relative to the other IPs; 0 takes it out of use.")
]

IpState = Literal["paused", "unusable", "throttled", "recovering", "warming", "active"]


class CreatePool(Strict):
    """A pool to make."""

    name: Text = Field(examples=["receipts"])
    lane: _LaneField
    default: bool = Field(False, description="Mail of the lane that names no pool leaves here. The first pool is it.")
    reserved: bool = Field(False, description="Takes only mail that names it.")
    overflow: Text | None = Field(None, description="Name or id of the pool that takes what this one cannot.")


class UpdatePool(Strict):
    """What to change; a field that is left out stays."""

    name: Text | None = None
    default: bool | None = None
    reserved: bool | None = None
    overflow: Text | None = Field(None, description='Name or id of a pool; "" ends the overflow.')


class AttachIp(Strict):
    """An IP to put into a pool."""

    ip: Text = Field(examples=["192.0.2.10"])
    weight: _Weight = 1


class SetWeight(Strict):
    """Another share."""

    weight: _Weight


class AssignPool(Strict):
    """Who uses which pool."""

    kind: SubjectKind
    subject: Text = Field(description="Id or name of the application or domain.")
    pool: Text = Field(description="Name or id of the pool; its lane is the one it is used for.")
    lane: _LaneField | None = Field(None, description="Refused when it is not the pool's.")


class MemberAnswer(BaseModel):
    """An IP in a pool."""

    ip: str
    weight: int
    state: IpState
    stage: str | None = Field(description='Of its warm-up, such as "4 of 29".')
    rests: list[ThrottleAnswer] = Field(description="Where it sends nothing just now.")


class PoolAnswer(BaseModel):
    """A pool."""

    object: Literal["pool"] = "pool"
    id: UUID
    name: str
    lane: Lane
    default: bool
    reserved: bool
    overflow: str | None = Field(description="Name of the pool that takes what this one cannot.")
    assigned: list[str] = Field(description="Applications and domains whose pool it is.")
    members: list[MemberAnswer]


class PoolList(Listed[PoolAnswer]):
    """All pools, by name."""


class PoolDeleted(BaseModel):
    """The pool is gone; its IPs are not."""

    object: Literal["pool"] = "pool"
    id: UUID
    deleted: Literal[True] = True


class AssignmentAnswer(BaseModel):
    """This application or domain uses this pool in this lane."""

    object: Literal["pool_assignment"] = "pool_assignment"
    id: str
    kind: SubjectKind
    subject_id: UUID
    subject: str | None = Field(description="Its name; null when it was deleted since.")
    application: str | None = Field(description="Of a domain: whose it is.")
    lane: Lane
    pool_id: UUID
    pool: str


class AssignmentList(Listed[AssignmentAnswer]):
    """All assignments, by kind and name."""


class AssignmentDeleted(BaseModel):
    """Back to the lane's default."""

    object: Literal["pool_assignment"] = "pool_assignment"
    id: str
    deleted: Literal[True] = True


class AdviceAnswer(BaseModel):
    """Whether a pool has the right number of IPs."""

    pool: str
    verdict: Literal["too_few", "too_many", "right"]
    rule: str
    ips: int
    suggested: int
    per_ip_per_day: int
    days: int = Field(description="Days looked at.")
    figures: str
    advice: str


class AdviceList(Listed[AdviceAnswer]):
    """Advice for all pools."""
