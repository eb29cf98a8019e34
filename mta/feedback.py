"""Complaints: feedback reports (RFC 5965) with all their parts, with the headers only, and from before the standard.

Pure. Some loops redact the recipient (Microsoft), some leave out the part that says what it is: then the subject and
the returned mail have to say it. Whether a report counts is not decided here.
"""

import re
from typing import Final

from mta.delivery_status import mailbox
from mta.refusals import TYPED, clean
from mta.report_model import BounceReport, ReportKind
from mta.report_parts import Part, decoded_words, read_headers

_RECIPIENTS: Final = 20
_BLAMELESS: Final = frozenset({"auth-failure", "dmarc", "tlsrpt"})
_NOT_SPAM: Final = "not-spam"
_OLD_MARK: Final = "x-hmxmroriginalrecipient"
"""Microsoft's, in the head of the mail that it returns."""
_HEAD: Final = 16_000
_OLD_SUBJECT = re.compile(
    r"^\W{0,3}(?:complaint about message from|(?:email )?feedback report for IP|abuse report|spam (?:report|"
    r"complaint)|user complaint|FBL:|.{0,20}\bfeedback loop\b)",
    re.I,
)
_OLD_SENDER = re.compile(r"staff@hotmail|@hotmail\.com|fbl|feedback|complaint|abuse|scomp|spam", re.I)
_OLD_TEXT = re.compile(
    r"complain(?:ed|t) (?:about|from|regarding)|reported (?:\w+ ){0,4}as (?:spam|junk|unsolicited)|(?:marked|"
    r"classified|flagged) (?:\w+ ){0,4}as (?:spam|junk)|email abuse report",
    re.I,
)


def feedback(leaves: list[Part]) -> BounceReport | None:
    """The report in the part that is made for it. Without a type it is a complaint: that is what loops are for."""
    part = next((part for part in leaves if part.content_type == "message/feedback-report"), None)
    if part is None:
        return None
    fields = read_headers(part.text.replace("\r", "").lstrip("\n"))
    said = next(iter(fields.get("feedback-type", ())), "").lower()[:50]
    agent = next(iter(fields.get("reporting-mta") or fields.get("user-agent") or ()), "")
    reporter = clean(TYPED.sub("", agent, count=1) if TYPED.match(agent) else agent)[:255]
    named = tuple(mailbox(value) for value in fields.get("original-rcpt-to", ())[:_RECIPIENTS])
    return BounceReport(
        _kind(said), reporting_mta=reporter, feedback_type=said or "abuse", named=named, reader="feedback"
    )


def old_feedback(whole: Part, leaves: list[Part]) -> BounceReport | None:
    """A complaint without that part: a returned mail, and a sender, a subject or a text that says whose it is."""
    returned = [leaf for leaf in leaves if leaf.content_type in ("message/rfc822", "text/rfc822-headers")]
    if not returned:
        return None
    author, subject = decoded_words(whole.first("from")), decoded_words(whole.first("subject"))
    text = next((leaf.text for leaf in leaves if leaf.content_type == "text/plain"), "")[:2_000]
    told = bool(_OLD_SUBJECT.search(subject)) + bool(_OLD_TEXT.search(text)) + bool(_OLD_SENDER.search(author))
    if told < 2 and not (told and _OLD_MARK in returned[0].text[:_HEAD].lower()):
        return None
    return BounceReport(
        ReportKind.COMPLAINT, reporting_mta=clean(author)[:255], feedback_type="abuse", reader="old-feedback"
    )


def _kind(said: str) -> ReportKind:
    if said == _NOT_SPAM:
        return ReportKind.NOT_SPAM
    return ReportKind.NO_COMPLAINT if said in _BLAMELESS else ReportKind.COMPLAINT
