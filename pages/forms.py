"""Bodies of forms: what a page of ours sends, and what mail providers post for a one-click (RFC 8058).

Bounded in bytes and fields. A body that is no form has no fields.
"""

from collections.abc import Mapping, Sequence
from email import message_from_bytes
from typing import Final
from urllib.parse import parse_qs

from fastapi import Request

from web.bodies import read_body

LARGEST: Final = 32 * 1024
"""Bytes: 200 topics and an address."""
_FIELDS: Final = 500

Form = Mapping[str, Sequence[str]]


async def read_form(request: Request) -> Form:
    """The fields of the body, `application/x-www-form-urlencoded` or `multipart/form-data`. Raises
    BodyTooLargeError."""
    body = await read_body(request, LARGEST)
    kind = request.headers.get("content-type", "")
    if kind.lower().startswith("multipart/form-data"):
        return _multipart(kind, body)
    try:
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:  # not UTF-8, or too many fields
        return {}


def one(form: Form, name: str) -> str:
    """The first value of a field, "" when there is none."""
    values = form.get(name) or ("",)
    return values[0].strip()


def _multipart(kind: str, body: bytes) -> Form:
    """The standard library's MIME parser does: a form is one level of parts."""
    head = b"Content-Type: " + kind.replace("\r", "").replace("\n", "").encode("latin-1", "replace") + b"\r\n\r\n"
    message = message_from_bytes(head + body)
    found: dict[str, list[str]] = {}
    for part in message.walk() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes) and len(found) < _FIELDS:
            found.setdefault(name, []).append(value.decode("utf-8", "replace"))
    return found
