"""What follows from a report about a message of ours. Pure: values in, one decision out.

A report counts for the message its token names. The verdict on the refusal it quotes comes from the same rules as that
of an SMTP session. An address is suppressed only when the report speaks about an address of the domain we wrote to:
behind a forwarding, the dead mailbox is somebody else's.

A complaint about marketing mail suppresses the marketing stream: its author still wants receipts and sign-in codes. A
complaint about transactional mail suppresses everything: who calls even a receipt spam wants no newsletter, and further
receipts would cost the reputation of all others.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from core.queues import Lane
from messages.states import State
from messages.timeline import EventKind
from mta.bounces import BounceReport, RecipientReport, ReportKind
from mta.rule_book import RuleBook
from outcomes.late import KnownMessage, LateNews
from outcomes.reading import Reading, folded
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from suppression.rules import DETAIL_LENGTH, suppression_for

WAIT_FOR_OUTCOME: Final = timedelta(minutes=10)
"""A report can overtake the commit of the delivery it is about, and the outcome of a killed worker waits in its journal
for the next start. So long a failure report about a message that is under way is put off."""
WAIT_FOR_DELIVERY: Final = timedelta(minutes=1)
"""So long a complaint is: before its delivery is known, nobody knows which IP and provider it counts for. Shorter,
because whoever complained is to get no more mail."""
WAIT_FOR_COMPLAINT: Final = WAIT_FOR_DELIVERY + timedelta(seconds=30)
"""So long a report waits that takes back what nobody has complained about: the complaint may be one of those that wait,
and be looked at after it."""
_PATIENCE: Final = {ReportKind.FAILED: WAIT_FOR_OUTCOME, ReportKind.COMPLAINT: WAIT_FOR_DELIVERY}

_HEARD_AS: Final = {
    ReportKind.FAILED: EventKind.BOUNCED,
    ReportKind.DELAYED: EventKind.DELAYED,
    ReportKind.COMPLAINT: EventKind.COMPLAINED,
    ReportKind.NOT_SPAM: EventKind.COMPLAINT_WITHDRAWN,
}
"""What is acted on, and the event that says so."""


class Result(StrEnum):
    """What became of a received mail; stored."""

    BOUNCED = "bounced"
    """The message moved from delivered to bounced."""
    NOTED = "noted"
    """A failure that moves nothing, because the message is under way or has ended otherwise: an event only."""
    REPEATED = "repeated"
    """The same was told before, or as much of its kind as is told of one message."""
    DELAYED = "delayed"
    COMPLAINED = "complained"
    WITHDRAWN = "withdrawn"
    """The complaint was taken back."""
    UNSUBSCRIBED = "unsubscribed"
    """It came to an unsubscribe address."""
    IGNORED = "ignored"
    """No report, or one that says nothing we act on: vacation notes, people, receipts."""
    UNPLACED = "unplaced"
    """A report without a token of ours, and not proven to be a known loop's: kept, and nothing follows."""
    UNREAD = "unread"
    """A mail system wrote, and nobody understands what: kept for a person to look at."""
    UNKNOWN = "unknown"
    """The message is no longer stored, or the return path was signed with another secret."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one mail, and of the message it is about."""

    result: Result | None
    """None: it is not yet time."""
    detail: str = ""
    """In words, beside the mail."""
    news: LateNews | None = None


def decide(
    reading: Reading, message: KnownMessage | None, loop: str, rules: RuleBook, now: datetime, *, narrow: bool
) -> Decision:
    """`loop` is the feedback loop that provably sent it, "" for none. `narrow`: a complaint forbids only the mail of
    the application that it is about."""
    report = reading.report
    if report is None:
        return Decision(Result.UNREAD, "not understood") if reading.system else Decision(Result.IGNORED, "no report")
    if report.kind not in _HEARD_AS:
        return Decision(Result.IGNORED, report.kind.value.replace("_", " "))
    if message is None:
        return _about_nobody(reading)
    if now - reading.mail.received_at < _patience(report, message):
        return Decision(None)
    if message.has_heard_enough(_HEARD_AS[report.kind]) and not _moves(report, message):
        return Decision(Result.REPEATED, "its timeline holds as many reports of this kind as are told of one message")
    if report.kind is ReportKind.COMPLAINT:
        return _complained(reading, report, message, loop, narrow=narrow)
    if report.kind is ReportKind.NOT_SPAM:
        return _taken_back(reading, report, message, loop)
    if report.kind is ReportKind.DELAYED:
        return _delayed(reading, report, message, rules)
    return _failed(reading, report, message, rules)


def _patience(report: BounceReport, message: KnownMessage) -> timedelta:
    """So old a report has to be, because what it speaks about may be still to come."""
    if report.kind is ReportKind.NOT_SPAM:
        return timedelta(0) if message.complained else WAIT_FOR_COMPLAINT
    return _PATIENCE.get(report.kind, timedelta(0)) if message.under_way else timedelta(0)


def _moves(report: BounceReport, message: KnownMessage) -> bool:
    """Whether it ends what was delivered, which happens once."""
    return report.kind is ReportKind.FAILED and message.state is State.DELIVERED


def _about_nobody(reading: Reading) -> Decision:
    if reading.ref is not None:
        return Decision(Result.UNKNOWN, "the message is no longer stored")
    return Decision(Result.UNPLACED, "it carries no token of ours, and is not proven to be a known feedback loop's")


def _failed(reading: Reading, report: BounceReport, message: KnownMessage, rules: RuleBook) -> Decision:
    if message.state is State.BOUNCED:
        return Decision(Result.REPEATED, "the message had bounced before")
    result = Result.BOUNCED if message.state is State.DELIVERED else Result.NOTED
    news = _bounce_news(reading, report, message, rules)
    return Decision(result, news.detail, news)


def _delayed(reading: Reading, report: BounceReport, message: KnownMessage, rules: RuleBook) -> Decision:
    recipient = about(report, message.address)
    verdict = rules.classify(recipient.response, message.provider)
    detail = _told_by(report, "delayed")
    at = reading.mail.received_at
    news = LateNews(EventKind.DELAYED, at, detail, recipient.remote_mta, recipient.response, verdict)
    return Decision(Result.DELAYED, detail, news)


def _complained(reading: Reading, report: BounceReport, message: KnownMessage, loop: str, *, narrow: bool) -> Decision:
    if message.complained:
        return Decision(Result.REPEATED, "the complaint had been recorded before")
    detail = f"{report.feedback_type} report from {loop or report.reporting_mta or 'a feedback loop'}"
    only_for = message.application_id if narrow else None
    entry = complaint_entry(message.lane, detail)
    at = message.word_at(reading.mail.received_at)
    news = LateNews(EventKind.COMPLAINED, at, detail, suppress=entry, only_for=only_for)
    return Decision(Result.COMPLAINED, detail, news)


def _taken_back(reading: Reading, report: BounceReport, message: KnownMessage, loop: str) -> Decision:
    if not message.complained:
        return Decision(Result.IGNORED, "not spam, and no complaint about it was recorded")
    detail = f"{report.feedback_type} report from {loop or report.reporting_mta or 'a feedback loop'}"
    news = LateNews(EventKind.COMPLAINT_WITHDRAWN, message.word_at(reading.mail.received_at), detail)
    return Decision(Result.WITHDRAWN, detail, news)


def about(report: BounceReport, address: str) -> RecipientReport:
    """What a report says about the recipient with this folded address: the line that names it, else the worst one."""
    for recipient in report.recipients:
        if address in (folded(recipient.original_recipient), folded(recipient.final_recipient)):
            return recipient
    return next(recipient for recipient in report.recipients if recipient.kind is report.kind)


def speaks_about(recipient: RecipientReport, address: str) -> bool:
    """Whether the mailbox in question is at the domain we wrote to. A report that names nobody is taken to be."""
    named = [folded(named) for named in (recipient.original_recipient, recipient.final_recipient) if named]
    domain = address.rpartition("@")[2]
    return not named or any(other.rpartition("@")[2] == domain for other in named)


def complaint_entry(lane: Lane, detail: str) -> SuppressionEntry:
    """The suppression that follows from a complaint about mail of this lane."""
    scope = SuppressionScope.MARKETING if lane is Lane.MARKETING else SuppressionScope.ALL
    return SuppressionEntry(scope, Reason.COMPLAINT, Source.FEEDBACK_LOOP, detail[:DETAIL_LENGTH])


def _bounce_news(reading: Reading, report: BounceReport, message: KnownMessage, rules: RuleBook) -> LateNews:
    recipient = about(report, message.address)
    response = recipient.response
    verdict = rules.classify(response, message.provider)
    ours = report.certain and speaks_about(recipient, message.address)
    reply = " ".join(part for part in (str(response.code or ""), response.enhanced, response.text) if part)
    entry = suppression_for(verdict, None, message.lane, reply) if ours else None
    detail = _told_by(report, "failed")
    if message.state is not State.DELIVERED:
        detail += f"; the message stays {message.state}"
    at = reading.mail.received_at
    news = LateNews(EventKind.BOUNCED, at, detail, recipient.remote_mta, response, verdict, entry)
    return replace(news, counts_for_mailbox=ours)


def _told_by(report: BounceReport, what: str) -> str:
    how = "" if report.certain else f", read by likeness ({report.reader})"
    return f"{what}, says a report from {report.reporting_mta or 'an unnamed server'}{how}"
