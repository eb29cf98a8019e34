"""Step by step through one mail that came to a return path: what it reports, about which message, and what follows.

The mark on the mail is set in the transaction that records
what follows from it, so the same mail twice does nothing, whoever repeats it: a task, the sweep, two workers at once.

A report counts for the message its return path names (signed, so nobody can invent one). The verdict on the refusal it
quotes comes from the same rules as that of an SMTP session. An address is suppressed only when the report speaks about
an address of the domain we wrote to: behind a forwarding, the dead mailbox is somebody else's.

A complaint about marketing mail suppresses the marketing stream: its author still wants receipts and sign-in codes. A
complaint about transactional mail suppresses everything: who calls even a receipt spam wants no newsletter, and further
receipts would cost the reputation of all others.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from prometheus_client import Counter

from core.addresses import AddressError, fold_address
from core.clock import Clock
from core.errors import UnavailableError
from core.logs import get_logger
from core.queues import Lane
from core.secrets import InstanceSecret
from messages.model import MessageRef
from messages.states import State
from messages.timeline import EventKind
from mta import return_path
from mta.bounces import BounceReport, RecipientReport, ReportKind, parse_bounce
from mta.placing import token_in
from mta.report_parts import read_parts
from mta.rule_book import RuleBook
from outcomes.inbound import InboundMail, finish_inbound, load_inbound, waiting_inbound
from outcomes.late import KnownMessage, LateNews, find_message, record_late_bounce, record_late_news
from outcomes.unsubscribing import is_unsubscribing, work_off
from store.database import Connection, Database
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from suppression.rules import BY_DEFAULT, DETAIL_LENGTH, SoftBounceRule, suppression_for

_log = get_logger(__name__)

REPORTS = Counter("postlane_inbound_reports_total", "Mails at return paths worked through, by result", ["result"])

WAIT_FOR_OUTCOME: Final = timedelta(minutes=10)
"""A report can overtake the commit of the delivery it is about, and the outcome of a killed worker waits in its journal
for the next start. So long a failure report about a message that is under way is left for the next sweep."""

SWEEP_BATCH: Final = 500

_ACTED_ON: Final = frozenset({ReportKind.FAILED, ReportKind.DELAYED, ReportKind.COMPLAINT})


class Result(StrEnum):
    """What became of a received mail; stored."""

    BOUNCED = "bounced"
    """The message moved from delivered to bounced."""
    NOTED = "noted"
    """A failure that moves nothing, because the message is under way or has ended otherwise: an event only."""
    REPEATED = "repeated"
    """The message had bounced, or the complaint been recorded, before."""
    DELAYED = "delayed"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    """It came to an unsubscribe address."""
    IGNORED = "ignored"
    """No report, or one that says nothing we act on: vacation notes, people, receipts."""
    UNKNOWN = "unknown"
    """The message is no longer stored, or the return path was signed with another secret."""


@dataclass(frozen=True, slots=True)
class ReportTools:
    """What working through a report needs."""

    database: Database
    secret: InstanceSecret
    rules: RuleBook
    clock: Clock
    soft_bounces: SoftBounceRule = BY_DEFAULT
    narrow_complaints: bool = False
    """A complaint forbids only the mail of the application that it is about."""


async def work_through(identifier: UUID, tools: ReportTools) -> Result | None:
    """Work through one mail and commit. None: nothing was left to do, or it is not yet time (see `WAIT_FOR_OUTCOME`).

    Raises `DatabaseUnavailableError`; the mail then waits for the sweep.
    """
    tools.rules.refresh()
    async with tools.database.connection() as connection:
        mail = await load_inbound(connection, identifier)
    if mail is None:
        return None
    leaves = is_unsubscribing(tools.secret, mail)
    report = None if leaves else parse_bounce(mail.raw)
    async with tools.database.transaction() as connection:
        if leaves:
            result = await _unsubscribe(connection, mail, tools)
        else:
            result = await _decide(connection, mail, report, tools)
    if result is not None:
        REPORTS.labels(result.value).inc()
        _log.info("report_worked_through", inbound=str(identifier), result=result.value)
    return result


async def sweep(tools: ReportTools) -> int:
    """Work through what waits, oldest first: mail whose task Redis lost, reports that came before the outcome they
    speak about. Returns how many mails got their result."""
    swept = 0
    while True:
        async with tools.database.connection() as connection:
            waiting = await waiting_inbound(connection, SWEEP_BATCH)
        done = [await _swept(identifier, tools) for identifier in waiting]
        swept += sum(done)
        if sum(done) < SWEEP_BATCH:
            break
    if swept:
        _log.info("swept", mails=swept)
    return swept


async def _swept(identifier: UUID, tools: ReportTools) -> bool:
    try:
        return await work_through(identifier, tools) is not None
    except UnavailableError:
        raise
    except Exception as error:
        # A bug that one mail brings to light must not hold up the others; the mail waits, and is looked at again.
        _log.error("report_failed", inbound=str(identifier), exc_info=error)
        return False


async def _decide(
    connection: Connection, mail: InboundMail, report: BounceReport | None, tools: ReportTools
) -> Result | None:
    if report is None or report.kind not in _ACTED_ON:
        return await _finish(connection, mail, Result.IGNORED)
    named = return_path.parse(tools.secret, mail.envelope_to) or token_in(tools.secret, *read_parts(mail.raw))
    message = await find_message(connection, MessageRef(*named)) if named else None
    if message is None:
        return await _finish(connection, mail, Result.UNKNOWN)
    if report.kind is ReportKind.COMPLAINT:
        return await _complained(connection, mail, report, message, tools)
    if report.kind is ReportKind.DELAYED:
        return await _delayed(connection, mail, report, message, tools)
    return await _failed(connection, mail, report, message, tools)


async def _failed(
    connection: Connection, mail: InboundMail, report: BounceReport, message: KnownMessage, tools: ReportTools
) -> Result | None:
    if message.under_way and tools.clock.now() - mail.received_at < WAIT_FOR_OUTCOME:
        return None
    if message.state is State.BOUNCED:
        return await _finish(connection, mail, Result.REPEATED)
    result = Result.BOUNCED if message.state is State.DELIVERED else Result.NOTED
    if await _finish(connection, mail, result) is None:
        return None
    recipient = about(report, message.address)
    news = _bounce_news(mail, report, recipient, message, tools)
    await record_late_bounce(connection, message, news, tools.soft_bounces)
    return result


async def _delayed(
    connection: Connection, mail: InboundMail, report: BounceReport, message: KnownMessage, tools: ReportTools
) -> Result | None:
    if await _finish(connection, mail, Result.DELAYED) is None:
        return None
    recipient = about(report, message.address)
    verdict = tools.rules.classify(recipient.response, message.provider)
    detail = _told_by(report, "delayed")
    news = LateNews(EventKind.DELAYED, mail.received_at, detail, recipient.remote_mta, recipient.response, verdict)
    await record_late_news(connection, message, news)
    return Result.DELAYED


async def _complained(
    connection: Connection, mail: InboundMail, report: BounceReport, message: KnownMessage, tools: ReportTools
) -> Result | None:
    if message.complained:
        return await _finish(connection, mail, Result.REPEATED)
    if await _finish(connection, mail, Result.COMPLAINED) is None:
        return None
    detail = f"{report.feedback_type} report from {report.reporting_mta or 'a feedback loop'}"
    entry = complaint_entry(message.lane, detail)
    only_for = message.application_id if tools.narrow_complaints else None
    news = LateNews(EventKind.COMPLAINED, mail.received_at, detail, suppress=entry, only_for=only_for)
    await record_late_news(connection, message, news)
    return Result.COMPLAINED


async def _unsubscribe(connection: Connection, mail: InboundMail, tools: ReportTools) -> Result | None:
    known = await work_off(connection, tools.secret, mail)
    return await _finish(connection, mail, Result.UNSUBSCRIBED if known else Result.UNKNOWN)


async def _finish(connection: Connection, mail: InboundMail, result: Result) -> Result | None:
    """Mark the mail; None when somebody else was faster, and then nothing may follow."""
    return result if await finish_inbound(connection, mail.id, result.value) else None


def about(report: BounceReport, address: str) -> RecipientReport:
    """What a report says about the recipient with this folded address: the line that names it, else the worst one."""
    for recipient in report.recipients:
        if address in (_folded(recipient.original_recipient), _folded(recipient.final_recipient)):
            return recipient
    return next(recipient for recipient in report.recipients if recipient.kind is report.kind)


def speaks_about(recipient: RecipientReport, address: str) -> bool:
    """Whether the mailbox in question is at the domain we wrote to. A report that names nobody is taken to be."""
    named = [_folded(named) for named in (recipient.original_recipient, recipient.final_recipient) if named]
    domain = address.rpartition("@")[2]
    return not named or any(other.rpartition("@")[2] == domain for other in named)


def complaint_entry(lane: Lane, detail: str) -> SuppressionEntry:
    """The suppression that follows from a complaint about mail of this lane."""
    scope = SuppressionScope.MARKETING if lane is Lane.MARKETING else SuppressionScope.ALL
    return SuppressionEntry(scope, Reason.COMPLAINT, Source.FEEDBACK_LOOP, detail[:DETAIL_LENGTH])


def _bounce_news(
    mail: InboundMail, report: BounceReport, recipient: RecipientReport, message: KnownMessage, tools: ReportTools
) -> LateNews:
    response = recipient.response
    verdict = tools.rules.classify(response, message.provider)
    entry = None
    if report.certain and speaks_about(recipient, message.address):
        reply = " ".join(part for part in (str(response.code or ""), response.enhanced, response.text) if part)
        entry = suppression_for(verdict, None, message.lane, reply)
    detail = _told_by(report, "failed")
    if message.state is not State.DELIVERED:
        detail += f"; the message stays {message.state}"
    return LateNews(EventKind.BOUNCED, mail.received_at, detail, recipient.remote_mta, response, verdict, entry)


def _told_by(report: BounceReport, what: str) -> str:
    return f"{what}, says a report from {report.reporting_mta or 'an unnamed server'}"


def _folded(address: str) -> str:
    try:
        return fold_address(address)
    except AddressError:
        return address.lower()
