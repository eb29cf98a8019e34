"""A refusal as other systems quote it: SMTP code, enhanced code and text out of a diagnostic or a sentence.

Pure. Systems repeat codes, join lines, and write them in their own ways; what counts stands in the text between. A
failure never rests on a 2xx code, and always has some code: without one in the text the enhanced one says at least
whether it is for good.
"""

import re
from typing import Final

from mta.model import Phase, Response
from mta.report_model import ReportKind

TEXT: Final = 1_000
"""Characters of a diagnostic text that are kept, as in a `Response` of our own sessions."""

STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
TYPED = re.compile(r"[ \t]*[A-Za-z0-9/-]{1,30}[ \t]*;[ \t]*")
"""The type in front of a field of RFC 3464: `smtp;`, `dns;`, `rfc822;`."""
_STATUS_OR_NONE: Final = r"(?:[('\"]?#?([245]\.\d{1,3}\.\d{1,3})\)?)?"
_REPLY = re.compile(rf"(?<![\d.])([245]\d\d)[ :-]{{1,3}}{_STATUS_OR_NONE}[ :-]{{0,3}}")
_REPLY_WITH_STATUS = re.compile(r"(?<![\d.])([45]\d\d)[ :-]{1,3}[('\"]?#?([45]\.\d{1,3}\.\d{1,3})\)?[ :-]{0,3}")
_NAMED = re.compile(
    r"ERROR[ _]CODE ?:? ?([45]\d\d)\]?(?:, ERROR[ _]CODE ?: ?([45]\.\d{1,3}\.\d{1,3})?)?[ ,:]{0,3}", re.I
)
"""Zoho's and E500's way."""
_HASHED = re.compile(r"#([245]\.\d{1,3}\.\d{1,3})\b")
_LEADING = re.compile(r"(?:^|\n|: )[ \t-]{0,8}([45]\.\d{1,3}\.\d{1,3})[ :]")
"""GMX and Mimecast quote a reply without its first code."""
QUOTED = re.compile(
    r"(?<![\d.@])[45]\d\d(?:[ -]|: ?|(?<=\n\d\d\d) - )(?:[ :]?\(?#?[45]\.\d{1,3}\.\d{1,3}|[A-Za-z<'\"]|: )|"
    r"ERROR[ _]CODE ?:? ?[45]\d\d",
    re.I,
)


def refusal_in(diagnostic: str) -> tuple[int, str, str]:
    """SMTP code, enhanced code and text of `smtp; 550-5.1.1 No such user 550 5.1.1 here`; 0 and "" where missing.

    Servers repeat the codes at each line of a long reply and the report joins the lines: only the text between stays.
    """
    text = TYPED.sub("", diagnostic, count=1) if TYPED.match(diagnostic) else diagnostic
    named = _NAMED.search(text)
    if named is not None:
        return int(named[1]), named[2] or "", clean(text)
    match = _REPLY.match(text)
    if match is None or match[1] < "400":  # a reply of differing codes, such as 220-mx 521 5.3.2 blocked
        match = _REPLY_WITH_STATUS.search(text) or match or _REPLY.search(text)
    if match is None:
        status = STATUS.search(text)
        return 0, status[1] if status else "", clean(text)
    code = match[1]
    enhanced = match[2] or (hashed[1] if (hashed := _HASHED.search(text)) else "")
    repeated = re.compile(rf"(?<![\d.]){code}[ -]{{1,3}}(?:#?[245]\.\d{{1,3}}\.\d{{1,3}}[ :]{{0,3}})?")
    return int(code), enhanced, clean(repeated.sub("", text[match.end() :]) if match.start() == 0 else text)


def quoted_in(text: str) -> tuple[int, str, str] | None:
    """The refusal that a text for people quotes: from its code to the end of the paragraph. None: it quotes none."""
    match = QUOTED.search(text)
    if match is not None:
        paragraph = re.split(r"\n[ \t]*\n|\n-{3}", text[match.start() : match.start() + TEXT])[0]
        return refusal_in(paragraph)
    alone = _HASHED.search(text) or _LEADING.search(text)
    return (0, alone[1], clean(text)) if alone is not None else None


def response(kind: ReportKind, code: int, enhanced: str, text: str) -> Response:
    """As if the refusal had come to `RCPT`: a report is about a recipient."""
    if kind is not ReportKind.DONE:
        code = code if code >= 400 else 0
        enhanced = enhanced if enhanced[:1] in ("4", "5") else ""
        if not (code or enhanced):
            enhanced = "5.0.0" if kind is ReportKind.FAILED else "4.0.0"
    return Response(Phase.RCPT, code, enhanced, text)


def clean(text: str) -> str:
    """One printable line, at most 1,000 characters: it is stored as text and shown to people."""
    words = " ".join(text[: 4 * TEXT].split())[:TEXT]
    return words if words.isprintable() else "".join(c if c.isprintable() else "?" for c in words)
