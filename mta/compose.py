"""From a `Draft` (or a foreign message) to the bytes that are signed and sent.

Owns which headers a mail has, their order, and the tree of its parts; `mta/mime_headers` writes the single header,
`mta/mime_parts` the single part. Never signs, never makes up a Message-ID, never reads a clock, and never writes a Bcc.
The bytes have CRLF line ends only and no line over 998 octets.

    mixed                      with attachments
      alternative              with text and HTML
        text
        related                with inline files that the HTML refers to
          html, inline ...
      attachment ...
"""

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from functools import lru_cache

from core.addresses import AddressError, parse_mailbox, plain_address
from mta.mime_headers import MAX_LINE, ComposeError, address_header, check_name, check_value, fold, text_header
from mta.mime_parts import Part, attachment_part, has_long_line, multipart, text_part
from mta.model import Draft
from mta.raw_mail import join_mail, read_mail

FORBIDDEN_HEADERS = frozenset({"bcc", "resent-bcc", "dkim-signature", "return-path", "received", "postlane-ref"})
"""Lower-case names that an application may not set: they would leak recipients or forge what others wrote."""

OWN_HEADERS = frozenset({"from", "to", "cc", "subject", "mime-version"})
"""Lower-case names that come from the draft's fields and nowhere else (as every `content-` name does)."""

_ONCE = frozenset({"message-id", "date", "reply-to", "sender", "in-reply-to", "references", "feedback-id"})
_ADDRESS_HEADERS = frozenset({"sender", "reply-to", "disposition-notification-to"})


def compose(draft: Draft) -> bytes:
    """The whole RFC 5322 message, 7-bit but for UTF-8 local parts in address headers, ending with CRLF.

    Headers of the application named in `FORBIDDEN_HEADERS`, `OWN_HEADERS` or `content-*` are left out: the API refuses
    the first with a reason, and a mail that was accepted goes out without them rather than not at all. Message-ID,
    Date, Reply-To and Feedback-ID of the application win over ours. Raises `ComposeError` that names the header for a
    value that no header can carry, and `AddressError` for an address that is none.
    """
    return b"\r\n\r\n".join(compose_parts(draft))


def compose_parts(draft: Draft) -> tuple[bytes, bytes]:
    """The same as header, without its last CRLF, and body. A header that is not ASCII holds an address in UTF-8
    (RFC 6531), and the envelope must say so."""
    headers, body = _content(draft)
    head = _head(draft).encode() + headers[:-2]
    return head, body if body.endswith(b"\r\n") else body + b"\r\n"


def check_header(name: str, value: str) -> None:
    """Raises the `ComposeError` that `compose` would raise for this header, or if an application may not set it."""
    check_name(name)
    if name.lower() in FORBIDDEN_HEADERS:
        raise ComposeError(f"header {name}: may not be set")
    _custom_header(name, name.lower(), value)


def compose_raw(raw: bytes, message_id: str, date: datetime, feedback_id: str) -> bytes:
    """A complete message that an application submitted over SMTP, made fit to be signed and sent.

    Line ends become CRLF, Bcc and Return-Path go, Message-ID, Date and Feedback-ID (if not "") are added at the end of
    the header when missing. Everything else stays as it is, also Received and foreign DKIM signatures, 8-bit bodies
    included. Raises `ComposeError` for NUL, a line over 998 octets, a broken header, and anything but one From.
    """
    fields, body = read_mail(raw)
    names = [name for name, _ in fields]
    if names.count(b"from") != 1:
        raise ComposeError("a message has exactly one From header (RFC 5322 section 3.6)")
    kept = [field for field in fields if field[0] not in (b"bcc", b"resent-bcc", b"return-path")]
    kept += [
        (b"", text_header(name, value).removesuffix("\r\n").encode())
        for name, value in (
            ("Message-ID", message_id),
            ("Date", format_datetime(date)),
            ("Feedback-ID", feedback_id),
        )
        if value and name.lower().encode() not in names
    ]
    data = join_mail(kept, body if body.endswith(b"\r\n") or not body else body + b"\r\n")
    if b"\0" in data:
        raise ComposeError("the message holds a NUL")
    if has_long_line(data):
        raise ComposeError(f"a line is longer than {MAX_LINE} octets (RFC 5322 section 2.1.1)")
    return data


def _head(draft: Draft) -> str:
    custom, names = _custom_headers(draft.headers)
    lines = [_from(draft.sender)]
    reply_to = () if "reply-to" in names else draft.reply_to
    for name, given in (("To", draft.to), ("Cc", draft.cc), ("Reply-To", reply_to)):
        if given:
            lines.append(_addresses(name, given))
    lines.append(text_header("Subject", draft.subject, literal=True))
    if "message-id" not in names:
        lines.append(text_header("Message-ID", draft.message_id))
    if "date" not in names:
        lines.append(_date(int(draft.date.timestamp()), draft.date.utcoffset()))
    lines.append("MIME-Version: 1.0\r\n")
    if draft.feedback_id and "feedback-id" not in names:
        lines.append(text_header("Feedback-ID", draft.feedback_id))
    return "".join(lines + custom)


def _addresses(name: str, given: tuple[str, ...]) -> str:
    """The field; "" where all of them are empty, as versions before stored them."""
    if len(given) == 1 and (plain := plain_address(given[0])) is not None:
        return fold(name, plain[0])
    boxes = [parse_mailbox(text) for text in given if text]
    return address_header(name, boxes) if boxes else ""


@lru_cache(256)
def _from(sender: str) -> str:
    """The senders of a process are few."""
    return address_header("From", [parse_mailbox(sender)])


@lru_cache(256)
def _date(moment: int, offset: timedelta | None) -> str:
    """As are the seconds of its mail. Equal moments are written in two ways when their offsets differ."""
    date = datetime.fromtimestamp(moment, None if offset is None else timezone(offset))
    return f"Date: {format_datetime(date)}\r\n"


def _custom_headers(headers: tuple[tuple[str, str], ...]) -> tuple[list[str], set[str]]:
    """The application's headers as fields, and the lower-case names among them."""
    fields: list[str] = []
    names: set[str] = set()
    for name, value in headers:
        lower = name.lower()
        if lower in FORBIDDEN_HEADERS or lower in OWN_HEADERS or lower.startswith("content-"):
            continue
        if lower in _ONCE and lower in names:
            continue  # the same name in another case; RFC 5322 section 3.6 allows one
        check_name(name)
        fields.append(_custom_header(name, lower, value))
        names.add(lower)
    return fields, names


def _custom_header(name: str, lower: str, value: str) -> str:
    if lower in _ADDRESS_HEADERS and not value.isascii():
        check_value(name, value)
        try:
            return address_header(name, [parse_mailbox(value)])
        except AddressError:
            pass  # several addresses, or none: the names in it can be encoded word by word
    return text_header(name, value)


def _content(draft: Draft) -> Part:
    """The tree of parts. An empty text or HTML is none; a draft without any content becomes an empty text."""
    bodies = [text_part(draft.text, "plain")] if draft.text else []
    attached = draft.attachments
    if draft.html:
        html = text_part(draft.html, "html")
        files = [attachment_part(item, inline=True) for item in attached if item.content_id]
        bodies.append(multipart("related", [html, *files]) if files else html)
        attached = tuple([item for item in attached if not item.content_id])
    if not bodies:
        bodies.append(text_part("", "plain"))
    body = bodies[0] if len(bodies) == 1 else multipart("alternative", bodies)
    if not attached:
        return body
    return multipart("mixed", [body, *map(attachment_part, attached)])
