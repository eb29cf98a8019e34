"""Answers of `/reports`, by type and shape."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Seconds(BaseModel):
    """How long deliveries took, from acceptance (or schedule) to the remote server's yes."""

    p50: float | None = Field(description="Half of them took no longer; null without deliveries.")
    p95: float | None = Field(description="All but one in twenty took no longer; null without deliveries.")


class FiguresAnswer(BaseModel):
    """What happened to some mail. Counted per recipient, in the hour it was heard of."""

    accepted: int = Field(description="Messages taken over the API and SMTP. Not known by provider, pool and IP.")
    delivered: int = Field(description="Taken by the recipient's server.")
    deferred: int = Field(description="Attempts that were put off; a message may have several.")
    rerouted: int = Field(description="Attempts that went on through another IP at once.")
    bounced: int = Field(description="Refused for good: the three that follow together.")
    hard_bounced: int = Field(description="Refused because of the recipient, at once or later.")
    blocked: int = Field(description="Refused because of the message or our IP.")
    late_bounced: int = Field(description="Of the hard bounces, those that came back after they had been delivered.")
    suppressed: int = Field(description="Not sent: the suppression list forbids it.")
    expired: int = Field(description="Given up: their time was over.")
    cancelled: int = Field(description="Taken back by the application.")
    failed: int = Field(description="Could not be made.")
    complained: int = Field(description="Complaints of recipients who did not take them back.")
    complaint_withdrawn: int = Field(description="Complaints that were taken back.")
    unsubscribed: int = Field(description="Recipients who want no more of it.")
    opened: int = Field(description="Opens by people.")
    unique_opened: int = Field(description="Messages that a person opened.")
    machine_opened: int = Field(description="Opens by machines: prefetchers, privacy proxies, scanners.")
    clicked: int = Field(description="Clicks by people.")
    unique_clicked: int = Field(description="Messages with a click of a person.")
    machine_clicked: int = Field(description="Clicks by machines.")
    delivery_rate: float | None = Field(description="Delivered of what was delivered or refused for good, as 0 to 1.")
    bounce_rate: float | None = Field(description="Bounced of what was delivered or refused for good, as 0 to 1.")
    complaint_rate: float | None = Field(description="Complaints per delivered, as 0 to 1.")
    unsubscribe_rate: float | None = Field(description="Unsubscribed per delivered, as 0 to 1.")
    open_rate: float | None = Field(description="Messages opened per delivered, as 0 to 1.")
    click_rate: float | None = Field(description="Messages clicked per delivered, as 0 to 1.")
    bounced_by_class: dict[str, int] = Field(description="Bounces by class of the reply, the most frequent first.")
    deferred_by_class: dict[str, int] = Field(description="Deferrals by class of the reply, the most frequent first.")
    seconds_to_deliver: Seconds = Field(description="How long deliveries took.")


class ReportRow(FiguresAnswer):
    """Figures of one period or dimension; only what was asked for is there."""

    model_config = ConfigDict(extra="forbid")

    period: datetime | date | None = Field(None, description="The hour, or the day the period begins with.")
    application_id: str | None = Field(None, description="Id of the application.")
    application: str | None = Field(None, description="Its name; null when it is gone.")
    domain_id: str | None = Field(None, description="Id of the sender domain.")
    domain: str | None = Field(None, description="Its name; null when it is gone.")
    topic_id: str | None = Field(None, description="Id of the topic.")
    topic: str | None = Field(None, description="Its name; null when it is gone.")
    pool_id: str | None = Field(None, description="Id of the pool it left through.")
    pool: str | None = Field(None, description="Its name; null when it is gone.")
    ip: str | None = Field(None, description="Our IP.")
    tag: str | None = Field(None, description="`name=value`; `*` for tags beyond those that are counted apart.")
    stream: str | None = Field(None, description="transactional or marketing.")
    provider: str | None = Field(None, description="Mailbox provider; null for what was not tried.")


class ReportAnswer(BaseModel):
    """Figures of a time, and by what was asked for."""

    object: Literal["report"] = "report"
    start_date: datetime = Field(description="From when, by the hour.")
    end_date: datetime = Field(description="Until when.")
    timezone: str = Field(description="Time zone of the periods.")
    group_by: list[str] = Field(description="What the rows are by.")
    totals: FiguresAnswer = Field(description="All of it together, whichever rows are shown.")
    has_more: bool = Field(description="Further rows follow.")
    next: str | None = Field(description="Give it as `after` for the rows that follow; null when there are none.")
    data: list[ReportRow] = Field(description="One row each; empty when nothing was grouped by.")
