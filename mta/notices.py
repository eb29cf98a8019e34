"""Notices of failure for people only: text of a mail system that says which address failed, and perhaps why.

Pure. Dozens of makes (Exim, qmail, Exchange 2003, Notes and Domino, GMX, IMail, InterScan, EZweb and KDDI, OpenSMTPD,
Zoho, Yahoo, Verizon, Messaging Server, FML, MDaemon and others) have three things in common: they come from a mail
system, they say in one of a few ways that mail was not delivered, and they name the address at the beginning of a line
or behind a colon, with the reason beside it. So there is one reader of that, and no list of makes.

The reason is taken from around the address only: advice elsewhere in the text ("the user may not exist, or their
mailbox may be full") says nothing about this mail.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from mta.delivery_status import mailbox
from mta.refusals import STATUS, clean, quoted_in, response
from mta.report_model import BounceReport, RecipientReport, ReportKind, report_of
from mta.report_parts import Part, decoded_words

_TEXT: Final = 16 * 1024
"""Characters of a text part that are read."""
_LINES: Final = 250
_LINE: Final = 500
_AROUND: Final = 8
"""Lines behind an address that may belong to it."""
MAX_RECIPIENTS: Final = 20

_SYSTEM_SENDER = re.compile(
    r"mailer-?daemon|post_?master|mail[ ._-]?(?:delivery|deliver|administrator|system|server|daemon)|maildelivery|"
    r"<>|system administrator|delivery (?:sub)?system|(?:^|[<\"\s])(?:ndr|mdaemon|imss|e500_smtp\w*)@|"
    r"ndr administrator|interscan|jetmail|symantec_antivirus",
    re.I,
)
_FAILURE_SUBJECT = re.compile(
    r"undeliver|fail|returned|not (?:be )?delivered|could not be|rejected|bounce|non[- ]?delivery|"
    r"delivery (?:status|notif|problem|error|report)|mail (?:system )?error|error (?:during|sending|in) |"
    r"processing error|user unknown|not (?:a )?member|loop alert|unzustellbar|nicht zugestellt|unzustellbare|"
    r"zustellung|non remis|non distribu|[ée]chec|remise|no entregad|no se pudo entregar|devuelto|"
    r"mancat[oa] (?:recapito|consegna)|impossibile recapitare|n[ãa]o entregue|n[ãa]o foi poss|onbestelbaar|"
    r"niet bezorgd|kunde inte levereras|ikke leveres|niedostarczon|nie dostarczon|не доставлен|недоставлен|エラー|"
    r"配信不能|配送不能|送信できま|配送できま|配信できま|退信|无法投递|無法傳遞|投递失败|반송",
    re.I,
)
_DELAY_SUBJECT = re.compile(r"delay|\bwarning\b|still being|not yet been|temporar|verzögert|retard", re.I)
_DELAY = re.compile(
    r"delivery attempts will continue|will (?:be retried|keep trying|continue to (?:try|attempt))|still (?:being|"
    r"trying)|(?:do not|don't|no) need to (?:re-?send|retry)|(?:has )?not yet been delivered|delivery (?:is |"
    r"was )?delayed",
    re.I,
)
_FINAL = re.compile(
    r"permanent|giv(?:en|ing) up|not going to try again|no (?:further|more) attempts|will be deleted|"
    r"was not delivered|did not receive|could not be delivered for|user unknown|no such user",
    re.I,
)
_FAILURE = re.compile(
    r"(?:could|can|was|were|is|are|has|have)(?:n't| ?not)(?: (?:be|been|yet))* (?:delivered|sent|recogni[sz]ed)|"
    r"not delivered to|did not (?:reach|receive)|(?:unable|not able|wasn't able) to (?:be |de)?liver|"
    r"could not deliver|undeliverable|not (?:been )?delivered|deliver[ye]+[^\n]{0,60}(?:fail|abort)|"
    r"error(?: has occurred)?[^\n]{0,30}(?:deliver|sending)|trouble delivering|delivery (?:errors?|problems?|"
    r"failed)|had (?:permanent|delivery|fatal)|(?:was|were|been) (?:\w+ )?(?:rejected|returned|refused|removed)|"
    r"failed (?:recipients?|addresse?s?)|failure reasons|no valid recipients?|incorrectly constructed|(?:unknown|"
    r"invalid) (?:user|recipient|address|mailbox|final)|no such user|user unknown|mailbox (?:is full|exceeds)|"
    r"returned permanent errors|is disabled|quota|non-delivered|fail(?:ed|ure)[^\n]{0,30}(?:deliver|reach)|"
    r"not a valid user|are not (?:a )?member|exceeded maximum delivery|duplicated message-id|nicht zugestellt|"
    r"n'a pas pu|no pudo ser entregad|não pode ser|не может быть доставлен|送信できま|配信できま|无法发送|无法送达",
    re.I,
)
_STRONG = re.compile(
    r"(?:message|mail|e-mail)[^\n]{0,80}\n?[^\n]{0,20}(?:could|can|was|has)(?:n't| ?not) (?:be|been)? ?delivered|"
    r"could not be delivered to|is an automatically generated delivery|non-delivery report|"
    r"you are not a member of this mailing list|duplicated message-id in",
    re.I,
)
_ORIGINAL = re.compile(
    r"\n[ \t|*>=-]{0,40}(?:(?:the |this is a |here is a )?(?:below|begin|copy of|header|original|returned|unsent|"
    r"undelivered|message (?:text|headers)|beginning of|start of|source mail)[^\n]{0,60}(?:\bline\b|message|mail|"
    r"header|follow|copy|attached)|message headers follow|original message|mensaje original)[^\n]{0,60}\n|"
    r"\n[ \t>]{0,4}(?:Received|Return-Path|DKIM-Signature|X-Originating-IP):",
    re.I,
)
_REPLY_SUBJECT = re.compile(r"^\W{0,3}(?:re|aw|sv|antw|rv|fwd?)\s?:", re.I)

_ADDRESS = re.compile(r"[^\s<>\"'(),;:\[\]=*|]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.){0,8}[A-Za-z0-9-]{1,63}")
_LEAD = re.compile(r"^[\s<\"'*|>-]{0,30}$")
_INTRODUCED = re.compile(
    r"(?:\bto|recipients?|address(?:ed to)?|\bfor|user(?:id|s)?|is full|attempts|size|unknown|errors|mailbox|list|"
    r"generated from|failed|undeliverable address|message to)[\s'\":<(-]{1,12}$|smtp=$",
    re.I,
)
_NOT_THE_ADDRESS = re.compile(
    r"\b(?:contact|assistance|support|questions|help)\b|^\W{0,4}(?:to|from|subject|sender|reply-to|date|"
    r"message-id|mail from|cc|e?mail server|system contact)\s?:|from=",
    re.I,
)


def named_system(whole: Part) -> bool:
    """Whether its sender has the name of a mail system."""
    return bool(_SYSTEM_SENDER.search(decoded_words(whole.first("from"))))


def from_system(whole: Part) -> bool:
    """Whether a mail system wrote it: by the sender's name, or because nobody can answer it."""
    return_path = whole.first("return-path").strip().lower()
    return named_system(whole) or return_path == "<>" or "mailer-daemon" in return_path


def notice(whole: Part, leaves: list[Part]) -> BounceReport | None:
    """What the text says, None when it is no such notice."""
    text = _notice_text(leaves)
    subject = decoded_words(whole.first("subject"))
    failed_header = whole.first("x-failed-recipients")
    system = from_system(whole)
    if not failed_header and not _is_notice(text, subject, whole, system=system):
        return None
    kind = _kind(text, subject, failed=bool(failed_header))
    named = [part.strip() for part in failed_header.split(",") if "@" in part]
    recipients = _recipients(text, kind, named)[:MAX_RECIPIENTS]
    report = report_of(recipients, "", "notice")
    return report if system or failed_header else replace(report, certain=False)


def with_words(report: BounceReport, leaves: list[Part]) -> BounceReport:
    """A report whose fields say that a delivery failed and not why, with the words of the text beside it."""
    silent = [r for r in report.recipients if r.kind is ReportKind.FAILED and not (r.response.code or r.response.text)]
    if not silent:
        return report
    told = dict(_entries(_lines(_notice_text(leaves))))
    return replace(report, recipients=tuple(_completed(recipient, told) for recipient in report.recipients))


def _completed(recipient: RecipientReport, told: Mapping[str, str]) -> RecipientReport:
    known, address = recipient.response, recipient.final_recipient or recipient.original_recipient
    if known.code or known.text or address not in told:
        return recipient
    more = _recipient(address, told[address], "", recipient.kind).response
    enhanced = more.enhanced if known.enhanced.endswith(".0.0") else known.enhanced
    return replace(recipient, response=replace(more, enhanced=enhanced))


def _is_notice(text: str, subject: str, whole: Part, *, system: bool) -> bool:
    """A mail system's has to say that something failed, in its subject or its text; anybody else's in both, and may
    be no answer to something."""
    tells = bool(_FAILURE_SUBJECT.search(subject) or _DELAY_SUBJECT.search(subject))
    if system:
        return (tells and bool(text.strip())) or bool(_FAILURE.search(text) and _ADDRESS.search(text))
    answers = bool(_REPLY_SUBJECT.search(subject)) or "in-reply-to" in whole.headers
    machine = "post_master" in whole.first("from").lower()
    return machine or (tells and not answers and bool(_STRONG.search(text[:1_500]) and _ADDRESS.search(text)))


def _notice_text(leaves: Sequence[Part]) -> str:
    """What was written in front of the returned mail. A container that could not be opened is read as it stands."""
    texts = (leaf.text for leaf in leaves if leaf.content_type.startswith(("text/plain", "text/html", "multipart/")))
    text = next((text for text in texts if text.strip()), "")[:_TEXT].replace("\xa0", " ")
    end = _ORIGINAL.search(text)
    return text[: end.start() + 1] if end is not None and text[: end.start()].strip() else text


def _kind(text: str, subject: str, *, failed: bool) -> ReportKind:
    delayed = _DELAY_SUBJECT.search(subject) or _DELAY.search(text)
    return ReportKind.DELAYED if delayed and not failed and not _FINAL.search(text) else ReportKind.FAILED


def _recipients(text: str, kind: ReportKind, named: Sequence[str]) -> tuple[RecipientReport, ...]:
    """One for each address that the text names as failed. Without any, one that names nobody."""
    found = dict(_entries(_lines(text)))
    for address in named:
        found.setdefault(address, "")
    if not found:
        return (_recipient("", text, text, kind),)
    return tuple(_recipient(address, reason, text, kind) for address, reason in found.items())


def _recipient(address: str, reason: str, text: str, kind: ReportKind) -> RecipientReport:
    """With the refusal beside the address, else the one that is quoted anywhere, else the words beside the address."""
    code, enhanced, words = quoted_in(reason) or quoted_in(text) or (0, "", "")
    if not (code or enhanced):
        status = STATUS.search(reason)
        words, enhanced = clean(reason), status[1] if status else ""
    return RecipientReport(kind, response(kind, code, enhanced, words), mailbox(address))


def _lines(text: str) -> list[str]:
    return [line[:_LINE] for line in text.split("\n")[:_LINES]]


def _entries(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Addresses that a line begins with or introduces, each with the words that go with it. An address that comes
    again belongs to what was said of it before."""
    starts = [(number, address) for number, line in enumerate(lines) if (address := _named_in(line))]
    seen: set[str] = set()
    for index, (number, address) in enumerate(starts):
        if address.lower() in seen:
            continue
        seen.add(address.lower())
        others = (n for n, other in starts[index + 1 :] if other.lower() != address.lower())
        yield address, _words(lines, number, next(others, len(lines)), first=len(seen) == 1)


def _named_in(line: str) -> str:
    match = _ADDRESS.search(line)
    if match is None or _NOT_THE_ADDRESS.search(line[: match.start()]):
        return ""
    before = line[: match.start()]
    return match[0].rstrip(".") if _LEAD.match(before) or _INTRODUCED.search(before) else ""


def _words(lines: Sequence[str], at: int, end: int, *, first: bool) -> str:
    """The line itself with what follows up to the next address; when that says nothing, what stands before it."""
    following = [line for line in lines[at + 1 : min(end, at + 1 + _AROUND)] if line.strip()]
    said = "\n".join([lines[at], *following])
    if first and not following and len(_ADDRESS.sub("", lines[at]).strip(" \t<>\"':*.-[]")) < 4:
        before = [line for line in lines[max(0, at - 4) : at] if line.strip()]
        return "\n".join([*before[-2:], lines[at]])
    return said
