"""Bodies of forms: what a page of ours sends, and what mail providers post for a one-click (RFC 8058).

Bounded in bytes and fields. A body that is no form has no fields.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs

from fastapi import Request

from mta.report_parts import read_parts
from web.bodies import read_body
from web.multipart import Part, read_multipart

LARGEST: Final = 32 * 1024
"""Bytes: 200 topics and an address."""
_FIELDS: Final = 500
_NAME: Final = re.compile(r";[ \t]{0,8}name=\"?([^\";]{1,200})\"?", re.I)

Form = Mapping[str, Sequence[str]]


async def read_form(request: Request, limit: int = LARGEST) -> Form:
    """The fields of the body, `application/x-www-form-urlencoded` or `multipart/form-data`, of `limit` bytes at most.
    Raises BodyTooLargeError."""
    body = await read_body(request, limit)
    kind = request.headers.get("content-type", "")
    if kind.lower().startswith("multipart/form-data"):
        return _multipart(kind, body)
    try:
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:  # not UTF-8, or too many fields
        return {}


async def read_with_files(request: Request, limit: int = LARGEST) -> tuple[Form, Mapping[str, Part]]:
    """The same, and the files that came along, byte for byte, by their fields. Raises BodyTooLargeError."""
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        return await read_form(request, limit), {}
    parts = read_multipart(kind, await read_body(request, limit))
    files = {name: part for name, part in parts.items() if part.filename}
    return {name: [part.body.decode("utf-8", "replace")] for name, part in parts.items() if name not in files}, files


def one(form: Form, name: str) -> str:
    """The first value of a field, "" when there is none."""
    values = form.get(name) or ("",)
    return values[0].strip()


def _multipart(kind: str, body: bytes) -> Form:
    """By the reader of foreign mail, whose work nobody can blow up: anybody may post here."""
    head = b"Content-Type: " + kind.replace("\r", "").replace("\n", "").encode("latin-1", "replace") + b"\r\n\r\n"
    found: dict[str, list[str]] = {}
    for part in read_parts(head + body)[1]:
        name = _NAME.search(part.first("content-disposition"))
        if name is not None:
            found.setdefault(name[1], []).append(part.text)
    return found
