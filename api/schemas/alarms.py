"""Bodies and answers of `/alarms`, by type and shape."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed, Reason, Strict, Text

Streams = Literal["transactional", "marketing"]


class AlarmAnswer(BaseModel):
    """What a person has to look at."""

    object: Literal["alarm"] = "alarm"
    id: UUID
    kind: str
    severity: str = Field(description="`warning`: today. `critical`: now.")
    subject: str
    detail: str = Field(description="What was seen last.")
    meaning: str = Field(description="What it means, in a sentence.")
    what_to_do: str = Field(description="What to do about it.")
    raised_at: datetime
    last_at: datetime
    count: int
    acknowledged_at: datetime | None = Field(description="Since when somebody looks after it; null when nobody does.")
    acknowledged_by: str | None = Field(description="Who; null when nobody.")
    snoozed_until: datetime | None = Field(description="Until when nobody is told of it; null when they are.")
    cleared_at: datetime | None = Field(description="When it was over; null while it is open.")


class AlarmList(Listed[AlarmAnswer]):
    """Alarms."""


class AlarmChangeAnswer(BaseModel):
    """One line of an alarm's story."""

    at: datetime
    change: str = Field(description="raised, worse, better, acknowledged, snoozed or cleared.")
    severity: str = Field(description="How bad it was then.")
    detail: str
    by: str | None = Field(description="Who did it; null when it went by itself.")


class AlarmDetail(AlarmAnswer):
    """An alarm with its story."""

    changes: list[AlarmChangeAnswer] = Field(description="What happened to it, oldest first.")


class AlarmCleared(BaseModel):
    """The alarm is closed; it comes back when the same thing happens again."""

    object: Literal["alarm"] = "alarm"
    id: UUID
    cleared: Literal[True] = True


class Snooze(Strict):
    """For how long nobody is told."""

    minutes: int = Field(60, ge=1, le=129_600, description="Minutes; it is told again when it gets worse.")


class RuleSetting(BaseModel):
    """One value of a rule."""

    name: str
    value: float = Field(description="In force.")
    default: float = Field(description="What it is when nobody sets it.")
    lowest: float = Field(description="Lowest value it may have.")
    highest: float = Field(description="Highest value it may have.")
    meaning: str = Field(description="What it means.")


class AlarmRuleAnswer(BaseModel):
    """What raises one kind of alarm."""

    object: Literal["alarm_rule"] = "alarm_rule"
    id: str
    title: str
    settings: list[RuleSetting] = Field(description="Its values.")
    changed_at: datetime | None
    by: str | None = Field(description="Who changed it; null when nobody.")


class AlarmRuleList(Listed[AlarmRuleAnswer]):
    """The rules of alarms."""


class ChangeRule(Strict):
    """Values to set; null gives the default back."""

    settings: dict[str, float | None] = Field(description="Values by their names.", max_length=20)


class BreakerAnswer(BaseModel):
    """A stream that may send nothing to a provider."""

    object: Literal["breaker"] = "breaker"
    id: str
    application_id: UUID = Field(description="Whose mail it is.")
    application: str = Field(description="Name of the application.")
    stream: Streams
    provider: str
    since: datetime
    until: datetime = Field(description="When it goes on by itself.")
    reason: str
    by: str


class BreakerList(Listed[BreakerAnswer]):
    """Streams that are stopped."""


class StopStream(Strict):
    """A stream to stop at a provider."""

    application: Text = Field(description="Name or id of the application.")
    stream: Annotated[Streams, Field(description="Which of its streams.")]
    provider: Text = Field(description="A mailbox provider, or `other`.")
    hours: float = Field(24, gt=0, le=2160, description="It goes on after so many hours.")
    reason: Reason = Field(description="Why: whoever asks why a mail waits reads it.")


class BreakerEnded(BaseModel):
    """The stream goes on."""

    object: Literal["breaker"] = "breaker"
    id: str
    ended: Literal[True] = True
    released: int = Field(description="Mails that had waited and are due now.")


class AlarmMailAnswer(BaseModel):
    """Who is told by mail, and how."""

    object: Literal["alarm_mail"] = "alarm_mail"
    recipients: list[str] = Field(description="Who is told; empty when nobody is.")
    sender: str | None = Field(description="Who it is from.")
    host: str | None = Field(description="The server it is handed to; null for our own transactional lane.")
    port: int | None = Field(description="Its port.")
    tls: str | None
    login: str | None = Field(description="The name it lets us in by.")
    has_password: bool = Field(description="Whether there is a password; it is kept sealed and never shown.")
    last_at: datetime | None
    trouble: str | None = Field(description="Why the last mail could not be sent; null when it was.")


class SetAlarmMail(Strict):
    """Who is told by mail, and how."""

    recipients: list[str] = Field(min_length=1, max_length=20, description="Who is told.")
    sender: Text = Field(description="Who it is from; without a host an address of a verified domain.")
    host: Text | None = Field(None, description="A mail server that lets us in; none: our own transactional lane.")
    port: int | None = Field(None, ge=1, le=65535, description="587 with starttls, 465 with tls.")
    tls: Literal["starttls", "tls", "none"] | None = Field(None, description="starttls, unless something else is said.")
    login: Text | None = Field(None, description="The name it lets us in by.")
    password: str | None = Field(None, max_length=1000, description="Kept sealed, never shown.")


class AlarmMailDeleted(BaseModel):
    """Nobody is told by mail any more."""

    object: Literal["alarm_mail"] = "alarm_mail"
    deleted: Literal[True] = True
