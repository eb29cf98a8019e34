"""Bodies and answers of `/pools`, by type and shape, and of a throttle. What they do is in the routes.

Unknown fields are refused: a misspelt `weight` would give an IP a share that nobody meant.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from core.queues import Lane
from pools.administration import PoolRow
from pools.assignments import Assignment, SubjectKind
from pools.ip_status import IpStatus
from pools.model import MAX_WEIGHT
from pools.throttle_repository import ThrottleRow

_LaneField = Annotated[Lane, Field(strict=False)]
_Weight = Annotated[
    int, Field(ge=0, le=MAX_WEIGHT, description="Share relative to the other IPs; 0 takes it out of use.")
]
Text = Annotated[str, Field(max_length=300)]

IpState = Literal["paused", "unusable", "throttled", "recovering", "warming", "active"]


class Strict(BaseModel):
    """A body whose fields are all known."""

    model_config = ConfigDict(extra="forbid", strict=True)


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


class ThrottleAnswer(BaseModel):
    """An IP or sending domain that is not healthy somewhere."""

    object: Literal["throttle"] = "throttle"
    id: str
    kind: Literal["ip", "domain"]
    subject: str
    site: str = Field(description="A provider, `mx:<server>` of one that is in no file, or `*` for everywhere.")
    state: Literal["throttled", "probing", "recovering"]
    since: datetime
    rest_until: datetime | None
    rate: float = Field(description="Messages a second, once it sends.")
    strikes: int
    rule: str
    reply: str


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


class PoolList(BaseModel):
    """All pools, by name."""

    object: Literal["list"] = "list"
    has_more: bool
    data: list[PoolAnswer]


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


class AssignmentList(BaseModel):
    """All assignments, by kind and name."""

    object: Literal["list"] = "list"
    has_more: bool
    data: list[AssignmentAnswer]


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


class AdviceList(BaseModel):
    """Advice for all pools."""

    object: Literal["list"] = "list"
    has_more: bool
    data: list[AdviceAnswer]


def throttle_answer(row: ThrottleRow) -> dict[str, object]:
    """A throttle as `ThrottleAnswer`."""
    condition = row.condition
    return {
        "object": "throttle",
        "id": "/".join(row.key),
        "kind": row.key.kind,
        "subject": row.key.subject,
        "site": row.key.site,
        "state": condition.state,
        "since": condition.since,
        "rest_until": condition.rest_until,
        "rate": condition.rate,
        "strikes": condition.strikes,
        "rule": condition.rule,
        "reply": condition.reply,
    }


def pool_answer(row: PoolRow, standing: Mapping[str, IpStatus]) -> dict[str, object]:
    """A pool as `PoolAnswer`."""
    return {
        "object": "pool",
        "id": row.id,
        "name": row.name,
        "lane": row.lane,
        "default": row.default,
        "reserved": row.reserved,
        "overflow": row.overflow,
        "assigned": row.assigned,
        "members": [
            {
                "ip": member.address,
                "weight": member.weight,
                "state": ip.state,
                "stage": ip.warming.stage if ip.warming else None,
                "rests": [throttle_answer(rest) for rest in ip.rests],
            }
            for member in row.members
            if (ip := standing.get(member.address)) is not None
        ],
    }


def assignment_id(one: Assignment) -> str:
    """What an assignment is called in a list."""
    return f"{one.kind}/{one.subject_id}/{one.lane}"


def assignment_answer(one: Assignment) -> dict[str, object]:
    """An assignment as `AssignmentAnswer`."""
    return {
        "object": "pool_assignment",
        "id": assignment_id(one),
        "kind": one.kind,
        "subject_id": one.subject_id,
        "subject": one.subject,
        "application": one.application,
        "lane": one.lane,
        "pool_id": one.pool_id,
        "pool": one.pool,
    }
