"""A captured mail taken apart for a person or a test: texts, headers, attachments. Pure; never raises on odd mail.

By the reader of foreign mail (`mta/report_parts`), whose work nobody can blow up: whoever has a test key writes what is
read here. What it cannot read stays in the raw bytes, which are the truth.
"""

from dataclasses import dataclass
from email.utils import collapse_rfc2231_value, decode_params
from typing import Final

from mta.mime_headers import ComposeError, parameters
from mta.raw_headers import decoded, text_of
from mta.raw_mail import read_fields
from mta.report_parts import Part as Leaf
from mta.report_parts import read_parts

_PARTS: Final = 1_000
_PARAMETERS: Final = 50


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
    whole, leaves = read_parts(raw, len(raw), _PARTS)
    texts = [leaf for leaf in leaves if _is_text(leaf)]
    html = next((leaf for leaf in texts if leaf.content_type == "text/html"), None)
    text = next((leaf for leaf in texts if leaf.content_type == "text/plain"), None)
    files = [leaf for leaf in leaves if leaf is not html and leaf is not text]
    return Parsed(
        html.text if html is not None else None,
        text.text if text is not None else None,
        _headers(raw, whole),
        tuple(_file(number, leaf) for number, leaf in enumerate(files, 1)),
    )


def _headers(raw: bytes, whole: Leaf) -> tuple[tuple[str, str], ...]:
    """As they stand there; of a head that is none, what can be read of it."""
    try:
        fields = read_fields(raw.partition(b"\r\n\r\n")[0])
    except ComposeError:
        return tuple((name, decoded(value)) for name, values in whole.headers.items() for value in values)
    return tuple((field.partition(b":")[0].decode("ascii"), decoded(text_of(field))) for _, field in fields)


def _is_text(leaf: Leaf) -> bool:
    return leaf.content_type.startswith("text/") and _disposition(leaf) != "attachment"


def _disposition(leaf: Leaf) -> str:
    return leaf.first("content-disposition").partition(";")[0].strip().lower()


def _file(number: int, leaf: Leaf) -> Part:
    name = _parameter(leaf.first("content-disposition"), "filename") or _parameter(leaf.first("content-type"), "name")
    return Part(
        number,
        decoded(name),
        leaf.content_type,
        leaf.first("content-id").strip(" <>"),
        _disposition(leaf) or "attachment",
        leaf.data,
    )


def _parameter(value: str, name: str) -> str:
    """A parameter, by RFC 2231 too; "" without it."""
    for key, text in decode_params([("", ""), *parameters(value)[:_PARAMETERS]])[1:]:
        if key.lower() == name:
            return collapse_rfc2231_value(text).strip('"')
    return ""
