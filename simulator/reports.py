"""Reports that mail servers and feedback loops write about a mail they took, in the forms met in the wild.

Pure: bytes out, CRLF throughout. A late bounce (RFC 3464); complaints with the whole mail (RFC 5965), with its headers
only and without the recipient, as Microsoft sends them, and from before the standard, without the part that says what
it is. How a report is read is the product's matter (`mta/bounces.py`), and nothing of it is used here.
"""

import re
from dataclasses import dataclass
from email.utils import formatdate
from enum import StrEnum

from simulator.model import StoredMail

_ENHANCED = re.compile(r"[45]\d\d[ -]([245]\.\d{1,3}\.\d{1,3})")


class ComplaintForm(StrEnum):
    """How a feedback loop words a complaint; also the argument of `complain+…`."""

    ARF = "arf"
    """All three parts, with the mail as it was."""
    HEADERS = "headers"
    """Headers of the mail only, and no word of whose mailbox it was."""
    OLD = "old"
    """The mail with a sentence before it."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who writes the report, and when."""

    host: str
    at: float
    """Seconds since the epoch."""
    mark: str
    """What tells this report from all others of the host."""


def late_bounce(mail: StoredMail, reporter: Reporter, reply: str) -> bytes:
    """A report of failure (RFC 3464) that quotes `reply`, such as `550 5.1.1 No such user`, lines joined by CRLF."""
    said = " ".join(reply.split())
    status = found[1] if (found := _ENHANCED.match(said)) else "5.0.0"
    fields = (
        f"Reporting-MTA: dns; {reporter.host}\r\nArrival-Date: {formatdate(mail.received_at)}\r\n\r\n"
        f"Final-Recipient: rfc822; {mail.recipient}\r\nAction: failed\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; {said}\r\n"
    )
    head = _head(f"Mail Delivery Subsystem <mailer-daemon@{reporter.host}>", mail.mail_from, reporter)
    head += "Subject: Delivery Status Notification (Failure)\r\nAuto-Submitted: auto-replied\r\n"
    text = f"Your mail could not be delivered to {mail.recipient}:\r\n\r\n    {said}\r\n"
    parts = (
        ("text/plain; charset=utf-8", text.encode()),
        ("message/delivery-status", fields.encode()),
        ("text/rfc822-headers", _headers(mail.data)),
    )
    return _report(head, 'multipart/report; report-type="delivery-status"', parts, reporter)


def complaint(mail: StoredMail, reporter: Reporter, to: str, form: ComplaintForm) -> bytes:
    """A complaint in this form, to be sent to `to`."""
    if form is ComplaintForm.OLD:
        return _old_complaint(mail, reporter, to)
    whole = form is ComplaintForm.ARF
    fields = (
        f"Feedback-Type: abuse\r\nUser-Agent: practice-fbl/1\r\nVersion: 1\r\nSource-IP: {mail.ip}\r\n"
        f"Reporting-MTA: dns; {reporter.host}\r\nArrival-Date: {formatdate(mail.received_at)}\r\n"
    )
    if whole:
        fields += f"Original-Mail-From: <{mail.mail_from}>\r\nOriginal-Rcpt-To: <{mail.recipient}>\r\n"
    returned = mail.data if whole else _without(mail.recipient, _headers(mail.data))
    head = _head(f"Feedback loop <feedback@{reporter.host}>", to, reporter)
    head += f"Subject: Complaint about a mail from {mail.ip}\r\n"
    parts = (
        ("text/plain; charset=utf-8", b"This is an abuse report: somebody here called the mail below spam.\r\n"),
        ("message/feedback-report", fields.encode()),
        ("message/rfc822" if whole else "text/rfc822-headers", returned),
    )
    return _report(head, 'multipart/report; report-type="feedback-report"', parts, reporter)


def _old_complaint(mail: StoredMail, reporter: Reporter, to: str) -> bytes:
    head = _head(f"Feedback <staff@{reporter.host}>", to, reporter)
    head += f"Subject: complaint about message from {mail.ip}\r\n"
    parts = (
        ("text/plain; charset=utf-8", b"A user has reported this mail as spam.\r\n"),
        ("message/rfc822", mail.data),
    )
    return _report(head, "multipart/mixed", parts, reporter)


def _head(sender: str, to: str, reporter: Reporter) -> str:
    date = formatdate(reporter.at)
    return f"From: {sender}\r\nTo: <{to}>\r\nDate: {date}\r\nMessage-ID: <{reporter.mark}@{reporter.host}>\r\n"


def _report(head: str, kind: str, parts: tuple[tuple[str, bytes], ...], reporter: Reporter) -> bytes:
    boundary = f"=_{reporter.mark}"
    written = f'{head}MIME-Version: 1.0\r\nContent-Type: {kind};\r\n boundary="{boundary}"\r\n\r\n'.encode()
    for content_type, body in parts:
        written += f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode() + body + b"\r\n"
    return written + f"--{boundary}--\r\n".encode()


def _headers(data: bytes) -> bytes:
    head, _, _ = data.partition(b"\r\n\r\n")
    return head + b"\r\n"


def _without(recipient: str, head: bytes) -> bytes:
    """The headers without the recipient's name, which is what a loop that protects its users leaves out."""
    local, _, domain = recipient.encode().rpartition(b"@")
    hidden = b"redacted@" + domain
    return re.sub(re.escape(local) + b"@" + re.escape(domain), hidden, head, flags=re.IGNORECASE)
