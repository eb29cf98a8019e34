"""Bodies and answers of `/throttles`, `/alarms` and `/providers`, by type and shape. What they do is in the routes."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas_pools import Strict, ThrottleAnswer
from mta.model import Action, Phase, Scope
from mta.providers import Limits, Tls

_Text = Annotated[str, Field(max_length=300)]
_Kind = Literal["ip", "domain"]


class Override(Strict):
    """End a rest before its time."""

    kind: _Kind = "ip"
    subject: _Text = Field(description="Address of an IP, or a sending domain.")
    site: _Text = Field(description="A provider, `mx:<server>`, or `*`, as `GET /throttles` shows it.")
    reason: Annotated[str, Field(max_length=500)]


class RestNow(Override):
    """Rest something by hand."""

    until: Annotated[datetime, Field(strict=False)] = Field(description="ISO 8601 with a zone, in the future.")


class ThrottleList(BaseModel):
    """What is not healthy now, by kind, subject and site."""

    object: Literal["list"] = "list"
    has_more: bool
    data: list[ThrottleAnswer]


class AlarmAnswer(BaseModel):
    """What a person has to look at."""

    object: Literal["alarm"] = "alarm"
    id: UUID
    kind: str
    subject: str
    detail: str = Field(description="What was seen last.")
    raised_at: datetime
    last_at: datetime
    count: int


class AlarmList(BaseModel):
    """Open alarms, oldest first."""

    object: Literal["list"] = "list"
    has_more: bool
    data: list[AlarmAnswer]


class AlarmCleared(BaseModel):
    """The alarm is closed; it comes back when the same thing happens again."""

    object: Literal["alarm"] = "alarm"
    id: UUID
    cleared: Literal[True] = True


class LimitsAnswer(BaseModel):
    """What one of our IPs may use there. 0 is no limit."""

    connections: int
    messages_per_connection: int
    messages_per_second: float
    messages_per_hour: int
    provider_wide: bool = Field(description="`connections` counts all servers of the provider together.")
    tls: Tls


class ProviderAnswer(BaseModel):
    """A mailbox provider."""

    object: Literal["provider"] = "provider"
    id: str
    name: str
    mx_suffixes: list[str]
    limits: LimitsAnswer


class ProviderList(BaseModel):
    """All providers by name; `other`, the last, is everybody else, each server by itself."""

    object: Literal["list"] = "list"
    has_more: bool
    data: list[ProviderAnswer]


class ExplainReply(Strict):
    """A reply of a mail server."""

    reply: Annotated[str, Field(min_length=1, max_length=2000)] = Field(
        examples=["421 4.7.28 unusual rate of unsolicited mail originating from your IP address"]
    )
    provider: _Text = Field("other", examples=["gmail"])
    phase: Annotated[Phase, Field(strict=False)] = Field(Phase.DOT, description="Where in the conversation it came.")


class Explained(BaseModel):
    """The verdict on it."""

    object: Literal["verdict"] = "verdict"
    provider: str
    code: int
    enhanced: str
    text: str
    rule: str
    action: Action
    class_: str = Field(alias="class")
    scope: Scope
    suppress: bool
    wait_seconds: float | None = Field(description="What the reply or its rule asks for.")


def limits_answer(limits: Limits) -> dict[str, object]:
    """Limits as `LimitsAnswer`."""
    return {
        "connections": limits.connections,
        "messages_per_connection": limits.messages_per_connection,
        "messages_per_second": limits.messages_per_second,
        "messages_per_hour": limits.messages_per_hour,
        "provider_wide": limits.provider_wide,
        "tls": limits.tls,
    }
