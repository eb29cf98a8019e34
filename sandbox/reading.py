"""A captured mail taken apart for a person or a test: texts, headers, attachments. Pure; never raises on odd mail.

By `email` of the standard library in its forgiving mode: what it cannot read stays in the raw bytes, which are the
truth.
"""

from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import Message

from mta.raw_headers import decoded


@dataclass(frozen=True, slots=True)
class Part:
    """An attached or inline file."""

    number: int
    """From 1, in the order of the mail."""
    filename: str
    content_type: str
    content_id: str
    disposition: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a mail holds."""

    html: str | None
    text: str | None
    headers: tuple[tuple[str, str], ...]
    """In their order, unfolded, encoded-words decoded."""
    attachments: tuple[Part, ...]


def parsed(raw: bytes) -> Parsed:
    """The parts of a mail. The first HTML and the first plain text that are no attachments are its texts."""
    mail = message_from_bytes(raw, policy=policy.compat32)
    leaves = [part for part in mail.walk() if not part.is_multipart()]
    texts = [part for part in leaves if _is_text(part)]
    html = next((part for part in texts if part.get_content_type() == "text/html"), None)
    text = next((part for part in texts if part.get_content_type() == "text/plain"), None)
    files = [part for part in leaves if part is not html and part is not text]
    return Parsed(
        _text(html),
        _text(text),
        tuple((name, decoded(str(value))) for name, value in mail.items()),
        tuple(_file(number, part) for number, part in enumerate(files, 1)),
    )


def _is_text(part: Message) -> bool:
    return part.get_content_maintype() == "text" and part.get_content_disposition() != "attachment"


def _text(part: Message | None) -> str | None:
    if part is None:
        return None
    try:
        text = _bytes(part).decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):  # a charset that nobody knows
        text = _bytes(part).decode("utf-8", "replace")
    return text.replace("\r\n", "\n")


def _file(number: int, part: Message) -> Part:
    return Part(
        number,
        decoded(str(part.get_filename("") or "")),
        part.get_content_type(),
        str(part.get("Content-ID", "")).strip(" <>"),
        part.get_content_disposition() or "attachment",
        _bytes(part),
    )


def _bytes(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""
