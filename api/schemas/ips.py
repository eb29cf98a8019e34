"""Bodies and answers of `/ips`, by type and shape. What they do is in the routes. Unknown fields are refused."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.schemas.pools import IpState
from api.schemas.shapes import Listed, Moment, Strict, Text
from api.schemas.throttles import ThrottleAnswer
from core.queues import Lane


class CreateIp(Strict):
    """One of our sending addresses."""

    address: Text = Field(
        description="The public IPv4 or IPv6 address; a relay is called by a name of yours.", examples=["192.0.2.10"]
    )
    ehlo_name: Text = Field(
        "",
        description="The name it says in EHLO: that of its PTR record. A relay may do without.",
        examples=["m1.example.com"],
    )
    bind_address: Text = Field("", description="What the socket is bound to, where that differs (NAT).")
    via: Text = Field(
        "local",
        description="`local`; the proxy that has it, `socks5://[user:password@]host:port`; or the mail server that is"
        " a relay, `smtp+tls://user:password@host:587`, `smtps://user:password@host:465`.",
    )
    connections: int | None = Field(None, description="Relay: connections at the same time; 5 unless it is said.")
    messages_per_second: float | None = Field(None, description="Relay: what it takes in a second; 0: no limit.")
    messages_per_hour: int | None = Field(None, description="Relay: what it takes in an hour; 0: no limit.")
    elsewhere: bool = Field(False, description="It lives on another worker's host: do not try it from this one.")


class UpdateIp(Strict):
    """What to change; a field that is left out stays."""

    ehlo_name: Text | None = None
    bind_address: Text | None = None
    via: Text | None = None
    connections: int | None = Field(None, description="Relay: connections at the same time; 5 unless it is said.")
    messages_per_second: float | None = Field(None, description="Relay: what it takes in a second; 0: no limit.")
    messages_per_hour: int | None = Field(None, description="Relay: what it takes in an hour; 0: no limit.")
    elsewhere: bool = Field(False, description="Do not try it from this host.")


class Pause(Strict):
    """Why an IP sends no more."""

    reason: Annotated[str, Field(max_length=500)]


class PostReputation(Strict):
    """A figure of somebody else."""

    provider: Text = Field("*", description="Whose opinion it is; `*` when it is nobody's in particular.")
    source: Text = Field(examples=["sender_score", "snds", "postmaster"])
    figure: float | Text = Field(description="0 (worst) to 100; or green, yellow, red, high, medium, low, bad.")
    note: Annotated[str, Field(max_length=500)] = ""
    at: Moment | None = Field(None, description="Of when it is; now by default.")


class InPoolAnswer(BaseModel):
    """A pool the IP is in."""

    name: str
    lane: Lane
    weight: int


class TrackAnswer(BaseModel):
    """One provider's part of a warm-up; `*` is everybody without one."""

    track: str
    stage: int
    complete: bool
    cap: int | None = Field(description="Mails today; null when it is complete.")
    granted: int


class WarmingAnswer(BaseModel):
    """A warm-up that is not over."""

    state: Literal["active", "paused"]
    plan: str
    stage: str
    stages: int
    tracks: list[TrackAnswer]


class UseAnswer(BaseModel):
    """Today's cap and use at one provider (or warm-up track)."""

    provider: str
    sent: int
    deferred: int
    cap: int | None
    granted: int | None


class RelayLimits(BaseModel):
    """What a relay takes; 0: no limit."""

    connections: int = Field(description="At the same time, from all our processes.")
    messages_per_second: float
    messages_per_hour: int


class IpAnswer(BaseModel):
    """One of our IPs, or a relay."""

    object: Literal["ip"] = "ip"
    id: str = Field(description="The address.")
    address: str
    ehlo_name: str
    bind_address: str
    via: str = Field(description="Without the password.")
    limits: RelayLimits | None = Field(description="Of a relay; null for an IP of our own.")
    state: IpState
    paused_reason: str | None
    pools: list[InPoolAnswer]
    warmup: WarmingAnswer | None
    throttles: list[ThrottleAnswer]
    today: list[UseAnswer]
    created_at: datetime
    changed_at: datetime | None


class IpList(Listed[IpAnswer]):
    """Our IPs, in the order of the numbers."""


class IpDeleted(BaseModel):
    """The IP is gone."""

    object: Literal["ip"] = "ip"
    id: str
    deleted: Literal[True] = True


class StoryLine(BaseModel):
    """One change."""

    at: datetime
    source: Literal["throttle", "warmup"]
    site: str
    was: str
    became: str
    text: str
    rule: str
    reply: str
    rest_until: datetime | None
    rate: float | None
    by: str


class StoryAnswer(BaseModel):
    """How an IP stands, and how it came to that."""

    object: Literal["story"] = "story"
    ip: str
    provider: str | None
    now: list[str]
    changes: list[StoryLine] = Field(description="Newest first.")


class PartAnswer(BaseModel):
    """What one part of the evidence costs."""

    name: str
    rate: float
    cost: float


class EvidenceAnswer(BaseModel):
    """What was counted."""

    days: int
    delivered: int
    bounced: int
    blocked: int
    deferred: int
    complained: int
    throttled_days: int
    tracked: int = Field(description="Delivered of streams whose opens and clicks are counted.")
    engaged: int = Field(description="Of the tracked, opened or clicked by a person.")


class ReputationAt(BaseModel):
    """The name of an IP at one provider."""

    provider: str
    score: int | None = Field(description="0 to 100; null when there is too little to judge by.")
    reason: str
    parts: list[PartAnswer]
    evidence: EvidenceAnswer


class ImportedAnswer(BaseModel):
    """A figure of somebody else."""

    provider: str
    source: str
    figure: float
    note: str
    at: datetime


class ReputationAnswer(BaseModel):
    """The name of an IP by our own evidence, and what others say, the newest of each."""

    object: Literal["reputation"] = "reputation"
    ip: str
    days: int
    providers: list[ReputationAt]
    imported: list[ImportedAnswer]
