"""What a mail that came back says: plain values, the same for every make of report."""

from dataclasses import dataclass
from enum import StrEnum

from mta.model import Response


class ReportKind(StrEnum):
    """What a report, or its line about one recipient, says."""

    FAILED = "failed"
    """Given up: the mail was not and will not be delivered."""
    DELAYED = "delayed"
    """Still being tried."""
    DONE = "done"
    """Delivered, relayed to a system without such reports, or expanded into a list."""
    COMPLAINT = "complaint"
    """The recipient called the mail unwanted."""
    NOT_SPAM = "not_spam"
    """The recipient took that back (RFC 6430)."""
    NO_COMPLAINT = "no_complaint"
    """A feedback report that blames nobody, such as a failed check (RFC 6591)."""
    AUTO_REPLY = "auto_reply"
    """Out of office, or another answer of a program for a person."""
    RECEIPT = "receipt"
    """A read receipt (RFC 8098)."""
    CHALLENGE = "challenge"
    """A filter that wants the sender to prove to be a person."""


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """What a bounce report says about one recipient."""

    kind: ReportKind
    response: Response
    """The remote server's refusal as far as the report quotes it. Without a code in it, `enhanced` says at least
    whether it is for good."""
    final_recipient: str = ""
    """The address in question, "" when it is not named. Differs from ours behind a forwarding."""
    original_recipient: str = ""
    remote_mta: str = ""


@dataclass(frozen=True, slots=True)
class BounceReport:
    """One report. `kind` is the worst of its recipients'; what is no bounce has no recipients."""

    kind: ReportKind
    recipients: tuple[RecipientReport, ...] = ()
    reporting_mta: str = ""
    """Who says so: the reporting server's name, or the feedback loop's."""
    feedback_type: str = ""
    named: tuple[str, ...] = ()
    """Recipients that a feedback report names, where it redacts none."""
    reader: str = ""
    """Which reader understood it: delivery-status, feedback, old-feedback, notice, answer, flufl.bounce."""
    certain: bool = True
    """False: read by likeness only. What it says may be noted, and suppresses nobody."""


WORST_FIRST = (ReportKind.FAILED, ReportKind.DELAYED, ReportKind.DONE)


def report_of(recipients: tuple[RecipientReport, ...], reporting_mta: str, reader: str) -> BounceReport:
    """The report that says this about these recipients, of whom there is at least one."""
    kinds = {recipient.kind for recipient in recipients}
    return BounceReport(next(kind for kind in WORST_FIRST if kind in kinds), recipients, reporting_mta, reader=reader)
