"""Answers of `/emails/metrics`, as Resend gives them."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field

_LIST: Final = "Separated by commas, or given several times."


def _split(given: Any) -> Any:
    """What SDKs join by commas, and others repeat."""
    texts = [given] if isinstance(given, str) else given
    return [part.strip() for text in texts or () for part in str(text).split(",") if part.strip()]


_Many = Annotated[list[str], BeforeValidator(_split)]
_Text = Annotated[str, Field(max_length=60)] | None


class MetricsQuery(BaseModel):
    """What may be asked."""

    start_date: _Text = Field(None, description="A date or a time; 6 days before the end.")
    end_date: _Text = Field(None, description="A date (included) or a time; now.")
    timezone: _Text = Field(None, description="IANA time zone of dates and periods; UTC.")
    granularity: Annotated[str, BeforeValidator(lambda given: given or "daily")] = Field(
        "daily", description="hourly, daily, weekly or monthly."
    )
    metrics: _Many = Field([], description=f"All when none is named. {_LIST}")
    dimensions: _Many = Field([], description=f"period, domain, email or broadcast. {_LIST}")
    domain_id: _Many = Field([], description=f"Only these domains. {_LIST}")
    email_id: _Many = Field([], description=f"Only these emails. {_LIST}")
    broadcast_id: _Many = Field([], description=f"Only these broadcasts. {_LIST}")


class Metrics(BaseModel):
    """Those of the 22 metrics that were asked for; counts, and rates from 0 to 1."""

    received: int | None = Field(None, description="Mail that came in: always 0, this server receives none.")
    delivered: int | None = Field(None, description="Taken by the recipient's server.")
    complained: int | None = Field(None, description="Complaints of recipients.")
    suppressed: int | None = Field(None, description="Not sent: the suppression list forbids it.")
    bounced: int | None = Field(None, description="Refused for good.")
    bounced_transient: int | None = Field(None, description="Of those, what may be taken another time.")
    bounced_permanent: int | None = Field(None, description="Of those, mailboxes that are not there.")
    bounced_undetermined: int | None = Field(None, description="Of those, what the reply did not tell.")
    opened: int | None = Field(None, description="Opens by people.")
    clicked: int | None = Field(None, description="Clicks by people.")
    unsubscribed: int | None = Field(None, description="Recipients who want no more of it.")
    delivery_delayed: int | None = Field(None, description="Attempts that were put off.")
    failed: int | None = Field(None, description="Could not be made, or was given up.")
    sent: int | None = Field(None, description="Accepted from the application.")
    unique_opened: int | None = Field(None, description="Messages that a person opened.")
    unique_clicked: int | None = Field(None, description="Messages with a click of a person.")
    delivery_rate: float | None = Field(None, description="Delivered of what was delivered or refused, 0 to 1.")
    open_rate: float | None = Field(None, description="Messages opened per delivered, 0 to 1.")
    click_rate: float | None = Field(None, description="Messages clicked per delivered, 0 to 1.")
    bounce_rate: float | None = Field(None, description="Bounced of what was delivered or refused, 0 to 1.")
    complaint_rate: float | None = Field(None, description="Complaints per delivered, 0 to 1.")
    unsubscribe_rate: float | None = Field(None, description="Unsubscribed per delivered, 0 to 1.")


class MetricsRow(Metrics):
    """The metrics of one period, domain or email."""

    period: datetime | date | None = Field(None, description="The hour, or the day the period begins with.")
    domain_id: str | None = Field(None, description="Id of the sender domain.")
    domain_name: str | None = Field(None, description="Its name; null when it is gone.")
    email_id: str | None = Field(None, description="Id of the email.")


class MetricsAnswer(BaseModel):
    """Metrics of a time."""

    object: Literal["metrics"] = "metrics"
    start_date: datetime = Field(description="From when, by the hour.")
    end_date: datetime = Field(description="Until when.")
    metrics: list[str] = Field(description="The metrics that were asked for.")
    dimensions: list[str] = Field(description="What the rows are by.")
    granularity: str = Field(description="How long a period is.")
    totals: Metrics = Field(description="All of it together.")
    data: list[MetricsRow] | None = Field(None, description="One row each; left out without dimensions.")
