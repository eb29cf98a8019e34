"""Bodies and answers of `/broadcasts`, by type and shape.

Names and values are Resend's, so that its SDKs work; `state`, `people`, `plan`, tags and tracking are ours.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field

from api.schemas.emails import Tag
from api.schemas.shapes import Lenient, Listed
from campaigns.archive import Access
from campaigns.checking.model import Code, Severity
from campaigns.following import Whom
from campaigns.forecast import Hold
from campaigns.model import MAX_NAME
from campaigns.states import CampaignState, RowState
from messages.limits import MAX_SUBJECT
from mta.bounce_kinds import Permanence
from web.absent import Absent

_Text = Annotated[str, Field(max_length=2_000_000)]
_Line = Annotated[str, Field(max_length=MAX_SUBJECT)]


def as_list(given: Any) -> Any:
    """One text as a list of it."""
    return [given] if isinstance(given, str) else given


class BroadcastFacts(Lenient):
    """What a broadcast is."""

    segment_id: Annotated[UUID | None, Absent] = Field(None, strict=False, description="The segment it goes to.")
    audience_id: Annotated[UUID | None, Absent] = Field(
        None, strict=False, description="The same, as older clients name it."
    )
    name: Annotated[str, Field(max_length=MAX_NAME)] | None = Field(None, description="For you; nobody else sees it.")
    template: Annotated[_Line | None, Absent] = Field(
        None,
        description="Ours. Id or alias of a published template: its sender, subject, HTML and text as they are now. "
        "What the body says itself wins.",
    )
    subject: _Line | None = Field(None, description="A template: `News for {{{first_name|you}}}`.")
    reply_to: Annotated[list[str] | None, BeforeValidator(as_list), Absent] = Field(
        None, max_length=20, description="Where answers go."
    )
    preview_text: _Line | None = Field(None, description="What mail programs show behind the subject.")
    html: _Text | None = Field(None, description="A template: each person's own variables are filled in.")
    text: _Text | None = Field(
        None, description='The same without markup. Left out, it is made from the HTML; "" wants none.'
    )
    topic_id: Annotated[UUID | None, Absent] = Field(
        None, strict=False, description="The type of mail it is; whoever left it gets none."
    )
    tags: Annotated[list[Tag] | None, Absent] = Field(None, max_length=50, description="Ours. Tags of each mail.")
    open_tracking: bool | None = Field(None, description="Ours. Null: what the sender's domain says.")
    click_tracking: bool | None = Field(None, description="Ours. Null: what the sender's domain says.")
    plan: dict[str, Any] | None = Field(
        None,
        description="Ours. How it is spread over time: `local_time` and `zone`, `window` of `days`, `from`, `to` and "
        "`zone`, `spread_hours`, `per_hour`, `late_hours`.",
    )
    experiment: dict[str, Any] | None = Field(
        None,
        description="Ours. `variants` (a list of what each says differently in `from`, `subject`, `preview_text`, "
        "`html`, `text`), `test_share`, `hold_out`, `winner` (`clicks`, `opens`, `hand`), `after_hours`.",
    )
    languages: dict[str, dict[str, str] | None] | None = Field(
        None,
        description="Ours. What it says to people of other languages, by tag such as `de` or `pt-BR`: `subject`, "
        "`preview_text`, `html`, `text`. Null takes one away. A `template` brings those that it has.",
    )
    utm: dict[str, str] | None = Field(
        None,
        description="Ours. Tags put into its links: `source`, `medium`, `campaign`, `content`. Those that a link has "
        "itself win.",
    )
    archive: Annotated[Access | None, Absent] = Field(
        None,
        strict=False,
        description="Ours. Whether it stands on the web: `off`, `link` (for whoever has the address), `indexed` (for "
        "search engines, too).",
    )


class CreateBroadcast(BroadcastFacts):
    """A mail to the people of a segment."""

    sender: Annotated[_Line | None, Absent] = Field(
        None, alias="from", description="The sender, of a domain of yours. Needed, unless the template has one."
    )
    send: bool | None = Field(None, description="Send it at once, or at `scheduled_at`.")
    scheduled_at: Annotated[str | None, Absent] = Field(
        None, max_length=100, description="With `send`: a time (ISO 8601), or a wait such as `in 2 days`."
    )


class UpdateBroadcast(BroadcastFacts):
    """What to change of a draft; what is left out stays."""

    sender: Annotated[_Line | None, Absent] = Field(None, alias="from", description="The sender.")


class SendBroadcast(Lenient):
    """When to send it."""

    scheduled_at: Annotated[str | None, Absent] = Field(
        None, max_length=100, description="A time (ISO 8601), or a wait such as `in 2 days`; without it: now."
    )


class TestBroadcast(Lenient):
    """To whom it is sent for a look."""

    to: Annotated[list[str] | None, BeforeValidator(as_list), Absent] = Field(
        None, min_length=1, max_length=20, description="One or more addresses; they may be left out with `seeds`."
    )
    seeds: bool | None = Field(
        None,
        description="Ours. Also to the seed accounts of the marketing stream, which tell in which folder it lands.",
    )
    contact_id: Annotated[UUID | None, Absent] = Field(
        None, strict=False, description="As this contact gets it; without it as whoever has the address."
    )
    language: Annotated[str | None, Absent] = Field(
        None, max_length=40, description="Ours. By default the person's, else the broadcast's own."
    )


class BroadcastTested(BaseModel):
    """It was sent for a look."""

    object: Literal["broadcast"] = "broadcast"
    id: UUID
    emails: list[UUID] = Field(description="The mails that were made.")


class CheckFinding(BaseModel):
    """Something to know before it begins."""

    code: Code = Field(description="What was looked at: a fixed word to branch on.")
    severity: Severity = Field(description="`refuses`: it cannot begin like this. `warns`: judge yourself.")
    found: str = Field(description="A sentence for people, with its figure.")
    advice: str = Field(description="What to do.")
    people: int | None = Field(description="How many it concerns; null where it is nothing of people.")


class SkippedPeople(BaseModel):
    """People of the segment who get nothing."""

    reason: str = Field(description="Why, as in their row.")
    people: int = Field(description="How many.")


class CheckedPeople(BaseModel):
    """Whom it would go to, at this moment."""

    total: int = Field(description="People of the segment.")
    reached: int = Field(description="Of them, those who may get it.")
    skipped: list[SkippedPeople] = Field(description="The others, by reason.")
    exact: bool = Field(description="False: of a large audience a part was asked, and figures are drawn up from it.")


class ForecastEnding(BaseModel):
    """When the mail for one provider is out."""

    provider: str = Field(description="Who keeps the mailboxes.")
    people: int = Field(description="How many people.")
    ends_at: datetime | None = Field(description="When the last of it leaves; null: not within 90 days.")
    held_by: Hold | None = Field(description="What decides that; null: it takes as long as sending takes.")


class BroadcastForecast(BaseModel):
    """When it is out, at today's ramp of the IPs."""

    starts_at: datetime = Field(description="When it begins, or now.")
    ends_at: datetime | None = Field(description="When the last mail leaves; null: not within 90 days.")
    held_by: Hold | None = Field(description="What decides that.")
    expected_at: datetime | None = Field(
        description="The end to count on: `ends_at`, or where the pace of the last 10 minutes leads, if that is later."
    )
    pace_per_hour: float | None = Field(description="Of the last 10 minutes; null: nothing left, or it has not begun.")
    put_off: int = Field(description="Whose server said later; they are tried again.")
    put_off_until: datetime | None = Field(description="When the last of those is tried again.")
    providers: list[ForecastEnding] = Field(description="By provider, the last to end first.")


class BroadcastChecks(BaseModel):
    """All that was found before it begins."""

    object: Literal["broadcast_checks"] = "broadcast_checks"
    id: UUID
    can_start: bool = Field(description="Nothing refuses it.")
    people: CheckedPeople = Field(description="Whom it would go to.")
    findings: list[CheckFinding] = Field(description="What refuses it first.")
    forecast: BroadcastForecast | None = Field(description="Null: there is nobody to send to.")


class ShowBroadcast(Lenient):
    """Whether it stands on the web."""

    archive: Access = Field(strict=False, description="`off`, `link` or `indexed`.")


class PreviewBroadcast(Lenient):
    """As whom it is looked at."""

    contact_id: Annotated[UUID | None, Absent] = Field(
        None, strict=False, description="As this contact gets it; without it as somebody unknown."
    )
    language: Annotated[str | None, Absent] = Field(
        None, max_length=40, description="By default the contact's, else the broadcast's own."
    )
    variant: int | None = Field(None, ge=0, le=100, description="By default the one that won, else 0.")


class BroadcastPreview(BaseModel):
    """What somebody gets."""

    object: Literal["broadcast_preview"] = "broadcast_preview"
    id: UUID
    language: str | None = Field(description="In which it was made; null is the broadcast's own.")
    sender: str = Field(alias="from", description="The sender.")
    subject: str = Field(description="The subject, rendered.")
    html: str | None = Field(description="The HTML, rendered; links are not signed yet.")
    text: str | None = Field(description="The text, rendered.")


class RepeatBroadcast(Lenient):
    """To whom it goes once more."""

    to: Whom = Field(
        strict=False,
        description="`missed`: who did not get it, and may. `unopened`: who got it, and neither opened nor clicked.",
    )
    name: Annotated[str, Field(max_length=MAX_NAME)] | None = Field(None, description="For you; nobody else sees it.")


class ChooseVariant(Lenient):
    """Which variant wins."""

    variant: int = Field(ge=0, le=100, description="Its number; 0 is what the broadcast itself says.")


class People(BaseModel):
    """How many people there are, by what became of each."""

    total: int = Field(description="Everybody it was fixed to go to.")
    waiting: int = Field(description="Nothing was done for them yet.")
    queued: int = Field(description="Their mail is on its way.")
    deferred: int = Field(description="Their server said later; it is tried for 72 hours.")
    delivered: int
    bounced: int
    suppressed: int = Field(description="The suppression list forbade it.")
    unsubscribed: int = Field(description="They left before their mail did.")
    expired: int = Field(description="Their server took it at no time within 72 hours.")
    cancelled: int = Field(description="The broadcast was cancelled before.")
    failed: int = Field(description="The mail could not be made for them.")
    tapered: int = Field(description="They have been silent for long, or had enough mail.")
    unconfirmed: int = Field(description="They have not confirmed that they want mail.")
    erased: int = Field(description="They were deleted before their mail left.")
    merged: int = Field(description="The same person as another contact, who has a row of their own.")
    held_out: int = Field(description="They are in the group that gets nothing.")
    opened: int = Field(description="People who opened it.")
    clicked: int = Field(description="People who followed a link in it.")
    complained: int = Field(description="People who called it spam and did not take that back.")
    left: int = Field(description="People who unsubscribed by it.")


class BroadcastItem(BaseModel):
    """A broadcast."""

    id: UUID
    name: str = Field(description="For you.")
    audience_id: UUID | None = Field(description="The segment it goes to.")
    segment_id: UUID | None = Field(description="The segment it goes to.")
    status: Literal["draft", "queued", "sent"] = Field(description="The state in Resend's words.")
    created_at: datetime
    scheduled_at: datetime | None = Field(description="When it begins; null when nobody said so.")
    sent_at: datetime | None = Field(description="When it began.")
    state: CampaignState = Field(description="Where it is.")
    reason: str = Field(
        description="Why it is paused or stopped, with the figure, or that it waits for its window; of one that has "
        "ended, that nobody got it; empty when there is nothing."
    )
    window_opens_at: datetime | None = Field(description="It is sending, and waits for its window until then.")
    ended_at: datetime | None = Field(description="When nobody was left to send to.")
    people: People = Field(description="Everybody, by what became of them.")


class Follows(BaseModel):
    """The earlier broadcast whose people one goes to."""

    broadcast_id: UUID = Field(description="The earlier one.")
    to: Whom = Field(description="Which of its people.")


class BroadcastAnswer(BroadcastItem):
    """A broadcast by itself."""

    object: Literal["broadcast"] = "broadcast"
    sender: str = Field(alias="from", description="The sender.")
    subject: str = Field(description="The subject, as a template.")
    reply_to: list[str] | None = Field(description="Where answers go.")
    preview_text: str | None = Field(description="What mail programs show behind the subject.")
    topic_id: UUID | None = Field(description="The type of mail it is.")
    template_id: UUID | None = Field(description="The template it was made of.")
    html: str | None = Field(description="The HTML, as a template.")
    text: str | None = Field(description="The text, as a template.")
    tags: list[Tag] = Field(description="Tags of each mail.")
    open_tracking: bool | None = Field(description="Null: what the sender's domain says.")
    click_tracking: bool | None = Field(description="Null: what the sender's domain says.")
    plan: dict[str, Any] = Field(description="How it is spread over time.")
    experiment: dict[str, Any] = Field(description="What is tested; `chosen` is the variant that won.")
    languages: dict[str, dict[str, str]] = Field(description="What it says to people of other languages.")
    utm: dict[str, str] = Field(description="Tags put into its links.")
    archive: Access = Field(description="Whether it stands on the web.")
    archive_url: str | None = Field(description="The address of its page on the web; null while that is off.")
    archive_list_url: str | None = Field(
        description="The address of the list of all that are `indexed`; null while this one is not."
    )
    follows: Follows | None = Field(description="Whose people it goes to instead of to all of the segment.")


class BroadcastList(Listed[BroadcastItem]):
    """Broadcasts, newest first."""


class BroadcastReference(BaseModel):
    """The broadcast that was worked on."""

    object: Literal["broadcast"] = "broadcast"
    id: UUID


class BroadcastDeleted(BroadcastReference):
    """The broadcast is gone."""

    deleted: Literal[True] = True


class BroadcastRetried(BroadcastReference):
    """People are tried again."""

    people: int = Field(description="How many.")


class ClickedLink(BaseModel):
    """A link one person followed."""

    url: str = Field(description="Where it leads.")
    clicks: int = Field(description="How often they followed it.")


class BroadcastRecipient(BaseModel):
    """One person, and what became of their mail."""

    id: UUID
    contact_id: UUID = Field(description="The contact.")
    email: str | None = Field(description="The address; null when the person was erased or is another contact now.")
    count: int | None = Field(description="How often they opened or clicked, where that was asked for.")
    clicked_links: list[ClickedLink] = Field(description="Links they followed.")
    bounce_type: Permanence | None = Field(description="How lasting the refusal is.")
    state: RowState = Field(description="What became of it.")
    reason: str | None = Field(description="Why, in the words of who decided it.")
    email_id: UUID | None = Field(description="The mail; null when none was made.")
    variant: int = Field(description="Which variant they got.")
    provider: str | None = Field(description="Who keeps the mailbox.")
    ip: str | None = Field(description="The IP it left through.")
    queued_at: datetime | None = Field(description="When the mail was made.")
    ended_at: datetime | None = Field(description="When it ended.")
    opened_at: datetime | None = Field(description="When they first opened it.")
    clicked_at: datetime | None = Field(description="When they first followed a link.")
    unsubscribed_at: datetime | None = Field(description="When they left by it.")
    complained_at: datetime | None = Field(description="When they called it spam.")


class RecipientList(Listed[BroadcastRecipient]):
    """People in the order of their contacts."""


class BroadcastLink(BaseModel):
    """A link that people followed."""

    id: str = Field(description="Its number in this broadcast.")
    url: str = Field(description="Where it leads.")
    clicks: int = Field(description="How often it was followed.")
    unique_clicks: int = Field(description="By how many people.")


class LinkList(Listed[BroadcastLink]):
    """Links, the most followed first."""


class Part(BaseModel):
    """Figures of some of the people who got a mail, each counted once."""

    name: str = Field(description="Of whom.")
    sent: int = Field(description="People for whom a mail was made.")
    delivered: int
    bounced: int
    deferred: int = Field(description="Still put off by their server.")
    opened: int = Field(description="People who opened it.")
    clicked: int = Field(description="People who followed a link.")
    unsubscribed: int = Field(description="People who left by it.")
    complained: int = Field(description="People who called it spam.")


class BroadcastReport(BaseModel):
    """A broadcast in figures."""

    object: Literal["broadcast_report"] = "broadcast_report"
    id: UUID
    state: CampaignState = Field(description="Where it is.")
    reason: str = Field(description="Why it is paused or stopped, or that nobody got it.")
    people: People = Field(description="Everybody, by what became of them.")
    whole: Part = Field(description="Everybody who got a mail.")
    by_provider: list[Part] = Field(description="By who keeps the mailbox.")
    by_ip: list[Part] = Field(description="By the IP it left through.")
    by_variant: list[Part] = Field(description="By what they got.")
    by_hour: list[Part] = Field(description="By the hour in which it ended.")
    links: list[BroadcastLink] = Field(description="Links, the most followed first.")
