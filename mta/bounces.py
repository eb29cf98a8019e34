"""What came back by mail: bounce reports (RFC 3464), complaints (RFC 5965), and what else is sent to a return path.

Pure: bytes in, a value out; never raises, whatever the bytes. It says what the report says and judges nothing:
`Response` goes to `mta/replies` like a reply of our own session; which message a report is about comes from the signed
return path it was sent to, never from the report.

Three kinds of failure notice are read, in this order: `message/delivery-status` and its UTF-8 form (RFC 6533) wherever
it stands in the mail; the older notices of Exim and qmail; and, from a mail system's own address only, a text that
quotes an SMTP refusal. Vacation notes, read receipts (RFC 8098), and people who answer are no reports: None.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mta.model import Phase, Response
from mta.report_parts import Headers, Part, decoded_words, read_blocks, read_headers, read_parts

MAX_RECIPIENTS: Final = 50
_TEXT: Final = 1_000
"""Characters of a diagnostic text that are kept, as in a `Response` of our own sessions."""
_ADDRESS: Final = 320
_PROSE: Final = 16 * 1024
"""Characters of a text part that are searched for a quoted refusal."""


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
    NO_COMPLAINT = "no_complaint"
    """A feedback report that blames nobody: "not spam" (RFC 6430), a failed check (RFC 6591)."""


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
    """One report. `kind` is the worst of its recipients'; a feedback report has no recipients."""

    kind: ReportKind
    recipients: tuple[RecipientReport, ...] = ()
    reporting_mta: str = ""
    """Who says so: the reporting server's name, or the feedback loop's."""
    feedback_type: str = ""


_FAILED_WORDS: Final = ("fail", "error", "bounce", "permanent", "undeliver", "reject")
_DELAYED_WORDS: Final = ("delay", "defer", "warning", "transient", "temporary")
_DONE_WORDS: Final = ("deliver", "relay", "expand", "success")
_BY_CLASS: Final = {"5": ReportKind.FAILED, "4": ReportKind.DELAYED, "2": ReportKind.DONE}
_WORST_FIRST: Final = (ReportKind.FAILED, ReportKind.DELAYED, ReportKind.DONE)
_BLAMELESS: Final = frozenset({"not-spam", "auth-failure", "dmarc"})

_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_TYPED = re.compile(r"[ \t]*[A-Za-z0-9-]{1,30}[ \t]*;[ \t]*")
_REPLY = re.compile(r"(?<![\d.])([245]\d\d)[ -]{1,3}(?:[('\"]?#?([245]\.\d{1,3}\.\d{1,3})\)?)?[ :-]{0,3}")
_REPLY_WITH_STATUS = re.compile(r"(?<![\d.])([45]\d\d)[ -]{1,3}[('\"]?#?([45]\.\d{1,3}\.\d{1,3})\)?[ :-]{0,3}")
_HASHED = re.compile(r"#([245]\.\d{1,3}\.\d{1,3})\b")
_QUOTED_REFUSAL = re.compile(r"(?<![\d.])[45]\d\d[ -](?:[ ]?\(?#?[45]\.\d{1,3}\.\d{1,3}|[A-Za-z<'\"])")
_UTF8_ADDRESS = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_SYSTEM_SENDER = re.compile(r"mailer-daemon|postmaster|mail delivery|maildelivery|mail-daemon|<>", re.I)
_FAILURE_SUBJECT = re.compile(r"undeliver|fail|returned|not delivered|could not be delivered|rejected|bounce", re.I)
_DELAY_SUBJECT = re.compile(r"delay|warning|still being|not yet been|temporar", re.I)
_QMAIL: Final = "Hi. This is the"
_MAILBOX_LINE = re.compile(r"<([^<>\s]{1,320}@[^<>\s]{1,255})>:?")


def parse_bounce(raw: bytes) -> BounceReport | None:
    """The report in this mail, or None when it is none. At most the first 256 KiB are read."""
    whole, leaves = read_parts(raw)
    for part in leaves:
        if part.content_type == "message/feedback-report":
            return _feedback(part)
    for part in leaves:
        if part.content_type in ("message/delivery-status", "message/global-delivery-status"):
            report = _delivery_status(part)
            if report is not None:
                return report
    if any(part.content_type.endswith("disposition-notification") for part in leaves):
        return None
    return _prose(whole, leaves)


def _feedback(part: Part) -> BounceReport:
    """RFC 5965 section 3. A report without a type is a complaint: that is what loops are for."""
    fields = read_headers(part.text.replace("\r", "").lstrip("\n"))
    kind = _first(fields, "feedback-type").lower()[:50]
    agent = _first(fields, "reporting-mta") or _first(fields, "user-agent")
    verdict = ReportKind.NO_COMPLAINT if kind in _BLAMELESS else ReportKind.COMPLAINT
    return BounceReport(verdict, reporting_mta=_untyped(agent), feedback_type=kind or "abuse")


def _delivery_status(part: Part) -> BounceReport | None:
    blocks = read_blocks(part.text)
    found = (_recipient(block) for block in blocks[: MAX_RECIPIENTS + 1])
    recipients = tuple(recipient for recipient in found if recipient is not None)[:MAX_RECIPIENTS]
    if not recipients:
        return None
    reporting = next((mta for block in blocks if (mta := _first(block, "reporting-mta"))), "")
    return BounceReport(_worst(recipients), recipients, _untyped(reporting))


def _recipient(block: Headers) -> RecipientReport | None:
    """One per-recipient group (RFC 3464 section 2.3); None for the group about the whole mail, or an empty one."""
    action, status = _first(block, "action"), _first(block, "status")
    if not (action or status):
        return None
    diagnostic = _first(block, "diagnostic-code")
    code, enhanced, text = _refusal(diagnostic)
    stated = match[1] if (match := _STATUS.search(status)) else ""
    if not enhanced or enhanced.endswith(".0.0"):
        enhanced = stated or enhanced
    kind = _kind(action, stated or enhanced, code)
    if kind is None:
        return None
    return RecipientReport(
        kind,
        _response(kind, code, enhanced, text),
        _mailbox(_first(block, "final-recipient")),
        _mailbox(_first(block, "original-recipient")),
        _untyped(_first(block, "remote-mta")),
    )


def _kind(action: str, status: str, code: int) -> ReportKind | None:
    """By the action (OpenSMTPD writes "error", others add a remark); by the codes when it is missing or unknown."""
    said = action.lower()
    if said.startswith("undeliver"):
        return ReportKind.FAILED
    for words, kind in (
        (_FAILED_WORDS, ReportKind.FAILED),
        (_DELAYED_WORDS, ReportKind.DELAYED),
        (_DONE_WORDS, ReportKind.DONE),
    ):
        if said.startswith(words):
            return kind
    return _BY_CLASS.get(status[:1] or str(code)[:1])


def _refusal(diagnostic: str) -> tuple[int, str, str]:
    """SMTP code, enhanced code and text of `smtp; 550-5.1.1 No such user 550 5.1.1 here`; 0 and "" where missing.

    Servers repeat the codes at each line of a long reply and the report joins the lines: only the text between stays.
    """
    text = _TYPED.sub("", diagnostic, count=1) if _TYPED.match(diagnostic) else diagnostic
    match = _REPLY.match(text)
    if match is None or match[1] < "400":  # a reply of differing codes, such as 220-mx 521 5.3.2 blocked
        match = _REPLY_WITH_STATUS.search(text) or match or _REPLY.search(text)
    if match is None:
        status = _STATUS.search(text)
        return 0, status[1] if status else "", _clean(text)
    code = match[1]
    enhanced = match[2] or (hashed[1] if (hashed := _HASHED.search(text)) else "")
    repeated = re.compile(rf"(?<![\d.]){code}[ -]{{1,3}}(?:#?[245]\.\d{{1,3}}\.\d{{1,3}}[ :]{{0,3}})?")
    return int(code), enhanced, _clean(repeated.sub("", text[match.end() :]) if match.start() == 0 else text)


def _response(kind: ReportKind, code: int, enhanced: str, text: str) -> Response:
    """As if the refusal had come to `RCPT`: a report is about a recipient. A failure never rests on a 2xx code."""
    if kind is not ReportKind.DONE:
        code = code if code >= 400 else 0
        enhanced = enhanced if enhanced[:1] in ("4", "5") else ""
        if not (code or enhanced):
            enhanced = "5.0.0" if kind is ReportKind.FAILED else "4.0.0"
    return Response(Phase.RCPT, code, enhanced, text)


def _prose(whole: Part, leaves: list[Part]) -> BounceReport | None:
    """Notices for people only: Exim's and qmail's older ones, and any system's text that quotes a refusal."""
    text = next((part.text for part in leaves if part.content_type.startswith("text/")), "")[:_PROSE]
    subject = decoded_words(whole.first("subject"))
    delayed = bool(_DELAY_SUBJECT.search(subject))
    addressees = whole.first("x-failed-recipients")
    qmail = text.lstrip().startswith(_QMAIL)
    if not (addressees or qmail):
        if not _SYSTEM_SENDER.search(decoded_words(whole.first("from"))):
            return None
        if not (delayed or _FAILURE_SUBJECT.search(subject)):
            return None
        if not (delayed or _QUOTED_REFUSAL.search(text)):
            return None
    kind = ReportKind.DELAYED if delayed and not addressees else ReportKind.FAILED
    code, enhanced, refusal = _quoted(text)
    named = addressees.partition(",")[0].strip() or (m[1] if (m := _MAILBOX_LINE.search(text)) else "")
    recipient = RecipientReport(kind, _response(kind, code, enhanced, refusal), _mailbox(named))
    return BounceReport(kind, (recipient,))


def _quoted(text: str) -> tuple[int, str, str]:
    """The refusal that a text quotes: from its code to the end of the paragraph."""
    match = _QUOTED_REFUSAL.search(text)
    if match is not None:
        paragraph = re.split(r"\n[ \t]*\n|\n-{3}", text[match.start() : match.start() + _TEXT])[0]
        return _refusal(paragraph)
    hashed = _HASHED.search(text)
    return 0, hashed[1] if hashed else "", ""


def _worst(recipients: tuple[RecipientReport, ...]) -> ReportKind:
    kinds = {recipient.kind for recipient in recipients}
    return next(kind for kind in _WORST_FIRST if kind in kinds)


def _first(fields: Headers, name: str) -> str:
    return next(iter(fields.get(name, ())), "")


def _untyped(value: str) -> str:
    """`dns; mx.example.com` without its type."""
    return _clean(_TYPED.sub("", value, count=1) if _TYPED.match(value) else value)[:255]


def _mailbox(value: str) -> str:
    """`rfc822; user@example.com` in all its spellings: without a type, in angle brackets, escaped (RFC 6533)."""
    plain = _untyped(value).strip("<> ")
    return _UTF8_ADDRESS.sub(_character, plain)[:_ADDRESS]


def _character(match: re.Match[str]) -> str:
    number = int(match[1], 16)
    surrogate = 0xD800 <= number <= 0xDFFF
    return chr(number) if 0x20 < number <= 0x10FFFF and not surrogate else "?"


def _clean(text: str) -> str:
    """One printable line, at most 1,000 characters: it is stored as text and shown to people."""
    words = " ".join(text[: 4 * _TEXT].split())[:_TEXT]
    return words if words.isprintable() else "".join(c if c.isprintable() else "?" for c in words)
