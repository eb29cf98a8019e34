"""`message/delivery-status` (RFC 3464) and its UTF-8 form (RFC 6533), as systems really write them.

Pure. Groups are told apart by what repeats, not by blank lines alone: some systems put those inside a group, some leave
them out. The fields are also found where no part has the right type: in a report whose boundary is wrong, or that was
sent on as plain text.
"""

import re
from typing import Final

from mta.refusals import STATUS, TYPED, clean, refusal_in, response
from mta.report_model import BounceReport, RecipientReport, ReportKind, report_of
from mta.report_parts import Headers, Part, read_blocks

MAX_RECIPIENTS: Final = 50
TYPES: Final = ("message/delivery-status", "message/global-delivery-status")
_ADDRESS: Final = 320

_FAILED_WORDS: Final = ("fail", "error", "bounce", "permanent", "undeliver", "reject")
_DELAYED_WORDS: Final = ("delay", "defer", "warning", "transient", "temporary")
_DONE_WORDS: Final = ("deliver", "relay", "expand", "success")
_BY_CLASS: Final = {"5": ReportKind.FAILED, "4": ReportKind.DELAYED, "2": ReportKind.DONE}
_OF_A_RECIPIENT: Final = ("final-recipient", "action", "status", "original-recipient", "diagnostic-code", "remote-mta")

_FIELDS = re.compile(r"^(?:Reporting-MTA|Original-Recipient|Final-Recipient|Action)[ \t]{0,8}:", re.I | re.M)
_FIELDS_END = re.compile(r"\n--|\nContent-(?:Type|Description)[ \t]{0,8}:|\n[ \t]*\n(?:Received|Return-Path):", re.I)
_UTF8_ADDRESS = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")


def delivery_status(leaves: list[Part]) -> BounceReport | None:
    """The report in the part that is made for it."""
    for part in leaves:
        if part.content_type in TYPES:
            report = _read(part.text)
            if report is not None:
                return report
    return None


def stray_status(leaves: list[Part]) -> BounceReport | None:
    """The same fields in the middle of something else."""
    for part in leaves:
        start = _FIELDS.search(part.text) if not part.content_type.startswith("message/") else None
        if start is not None:
            text = part.text[start.start() :]
            end = _FIELDS_END.search(text)
            report = _read(text[: end.start()] if end else text)
            if report is not None and any(recipient.final_recipient for recipient in report.recipients):
                return report
    return None


def _read(text: str) -> BounceReport | None:
    groups = _groups(read_blocks(text))
    found = (_recipient(group) for group in groups[: MAX_RECIPIENTS + 1])
    recipients = tuple(recipient for recipient in found if recipient is not None)[:MAX_RECIPIENTS]
    if not recipients:
        return None
    reporting = next((mta for group in groups if (mta := _first(group, "reporting-mta"))), "")
    return report_of(recipients, _untyped(reporting), "delivery-status")


def _groups(blocks: list[Headers]) -> list[Headers]:
    """Blocks put together as long as no field of a recipient comes a second time."""
    groups: list[Headers] = []
    for block in blocks:
        if groups and not any(name in groups[-1] and name in block for name in _OF_A_RECIPIENT):
            for name, values in block.items():
                groups[-1].setdefault(name, []).extend(values)
        else:
            groups.append({name: list(values) for name, values in block.items()})
    return groups


def _recipient(group: Headers) -> RecipientReport | None:
    """One per-recipient group (RFC 3464 section 2.3); None for the group about the whole mail, or an empty one."""
    action, status = _first(group, "action"), _first(group, "status")
    if not (action or status):
        return None
    code, enhanced, text = refusal_in(_first(group, "diagnostic-code"))
    stated = match[1] if (match := STATUS.search(status)) else ""
    if not enhanced or enhanced.endswith(".0.0"):
        enhanced = stated or enhanced
    kind = _kind(action, stated or enhanced, code)
    if kind is None:
        return None
    return RecipientReport(
        kind,
        response(kind, code, enhanced, text),
        mailbox(_first(group, "final-recipient")),
        mailbox(_first(group, "original-recipient")),
        _untyped(_first(group, "remote-mta")),
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


def _first(fields: Headers, name: str) -> str:
    return next(iter(fields.get(name, ())), "")


def _untyped(value: str) -> str:
    """`dns; mx.example.com` without its type."""
    return clean(TYPED.sub("", value, count=1) if TYPED.match(value) else value)[:255]


def mailbox(value: str) -> str:
    """`rfc822; user@example.com` in all its spellings: without a type, in angle brackets, escaped (RFC 6533)."""
    plain = _untyped(value).strip("<> ")
    return _UTF8_ADDRESS.sub(_character, plain)[:_ADDRESS]


def _character(match: re.Match[str]) -> str:
    number = int(match[1], 16)
    surrogate = 0xD800 <= number <= 0xDFFF
    return chr(number) if 0x20 < number <= 0x10FFFF and not surrogate else "?"
