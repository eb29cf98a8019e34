"""Attached files out of JSON: base64, or bytes as numbers, with names and types that a mail can carry.

Pure. Never fetches anything: a server that opens addresses given by strangers can be sent into its own network, so
`path` is refused.
"""

import binascii
import mimetypes
import re

from api.errors import ApiError
from api.schemas.emails import Attachment as AttachmentIn
from api.schemas.emails import NodeBuffer
from mta.model import Attachment

MAX_NAME = 255

_ANY = "application/octet-stream"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BLANKS = str.maketrans("", "", " \t\r\n")
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}", re.ASCII)


def read_attachments(given: list[AttachmentIn] | None) -> tuple[Attachment, ...]:
    """The files, decoded, or ApiError that names the first one that cannot be used."""
    if not given:
        return ()
    return tuple(_read(f"attachments[{n}]", item) for n, item in enumerate(given))


def _read(field: str, given: AttachmentIn) -> Attachment:
    if given.path:
        raise _invalid(f"{field}.path", "files are not fetched from elsewhere; send the file itself in `content`")
    if given.content is None:
        raise ApiError("missing_required_field", f"Missing `{field}.content` field.")
    for part, text in (("filename", given.filename or ""), ("content_type", given.content_type or "")):
        if _CONTROL.search(text) or len(text) > MAX_NAME:
            raise _invalid(f"{field}.{part}", f"it holds a control character, or more than {MAX_NAME} characters")
    data = _decode(f"{field}.content", given.content)
    kind = _with_charset(given.content_type or mimetypes.guess_type(given.filename or "")[0] or _ANY, data)
    return Attachment(given.filename or _name_for(kind), kind, data, _content_id(field, given))


def _name_for(kind: str) -> str:
    """For a file without a name: one by which a recipient's system knows how to open it."""
    return "attachment" + (mimetypes.guess_extension(kind.partition(";")[0].strip()) or "")


def _with_charset(kind: str, data: bytes) -> str:
    """A text without a charset is US-ASCII to a reader (RFC 2046 section 4.1.2), so UTF-8 has to be named."""
    if not kind.lower().startswith("text/") or "charset" in kind.lower() or data.isascii() or not _is_utf8(data):
        return kind
    return f"{kind}; charset=utf-8"


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _content_id(field: str, given: AttachmentIn) -> str:
    text = given.content_id or given.inline_content_id or ""
    bare = text.removeprefix("<").removesuffix(">")
    if text and not _CONTENT_ID.fullmatch(bare):
        raise _invalid(
            f"{field}.content_id", "it needs 1 to 200 printable ASCII characters without blanks and brackets"
        )
    return bare


def _decode(field: str, content: str | list[int] | NodeBuffer) -> bytes:
    """Bytes from base64 text (line breaks allowed), a list of numbers, or what JSON makes of a Node Buffer."""
    if isinstance(content, NodeBuffer):
        content = content.data
    return _base64(field, content) if isinstance(content, str) else bytes(content)


def _base64(field: str, text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        pass
    try:  # MIME encoders break lines (RFC 2045 section 6.8); strict mode does not know that
        return binascii.a2b_base64(text.translate(_BLANKS), strict_mode=True)
    except (binascii.Error, ValueError):
        raise _invalid(field, "it is not base64") from None


def _invalid(field: str, reason: str) -> ApiError:
    return ApiError("invalid_attachment", f"The `{field}` field is not valid: {reason}.")
