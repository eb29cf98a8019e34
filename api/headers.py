"""Headers that an application adds to an email: which it may set, and whether a mail can carry them.

Pure. `mta/compose` writes them and is asked here whether it can; it would leave out those that are refused here, and an
application should hear of that rather than wonder.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from api.errors import ApiError, invalid_field
from mta.compose import FORBIDDEN_HEADERS, OWN_HEADERS, check_header

MAX_HEADERS = 100
MAX_BYTES = 32_000
"""All headers together. Mail servers refuse large headers: Postfix takes 100 kB by default, others less."""

_REASONS: Final[Mapping[str, str]] = {
    "bcc": "it would tell everybody who got a blind copy; use the `bcc` field",
    "dkim-signature": "the server signs",
    "return-path": "the server sets it, so that bounces come back",
    "received": "only the servers a mail passes through write it",
    "sender": "only the domain of `from` was verified",
    "mime-version": "the server builds the parts of the mail",
}
_FIELD_FOR: Final = frozenset({"from", "to", "cc", "subject"})
_REFUSED: Final = FORBIDDEN_HEADERS | OWN_HEADERS | {"sender"}
_MESSAGE_ID = re.compile(r"<[!-;=?A-~]{1,200}@[!-;=?A-~]{1,200}>", re.ASCII)
"""RFC 5322 section 3.6.4, without comments and blanks; `@` only in the middle."""


def read_headers(given: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """The headers as pairs, or ApiError that names the first one that cannot be used. An empty one is an absent one."""
    if not given:
        return ()
    if len(given) > MAX_HEADERS:
        raise invalid_field(f"The `headers` field is not valid: it may hold at most {MAX_HEADERS} entries.")
    size = 0
    named = {name: value for name, value in given.items() if value}
    for name, value in named.items():
        size += len(name) + len(value.encode("utf-8", "replace")) + 4
        if size > MAX_BYTES:
            raise invalid_field(f"The `headers` field is not valid: the headers are larger than {MAX_BYTES:,} bytes.")
        _check(name, value)
    return tuple(named.items())


def message_id_in(headers: tuple[tuple[str, str], ...]) -> str:
    """The Message-ID the application chose, "" when it leaves that to us."""
    return next((value.strip(" \t") for name, value in headers if name.lower() == "message-id"), "")


def _check(name: str, value: str) -> None:
    lower = name.lower()
    if lower in _REFUSED or lower.startswith("content-"):
        raise _refused(name, _reason(lower))
    try:
        check_header(name, value)
    except ValueError as error:
        raise _refused(name, str(error).partition(": ")[2] or str(error)) from None
    if lower == "message-id" and not _MESSAGE_ID.fullmatch(value.strip(" \t")):
        raise _refused(name, "a Message-ID looks like `<unique@domain>`")
    if lower == "date":
        _check_date(name, value)


def _check_date(name: str, value: str) -> None:
    try:
        parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        raise _refused(name, "a date looks like `Wed, 05 Aug 2026 11:52:01 +0000`") from None


def _reason(lower: str) -> str:
    if lower in _FIELD_FOR:
        return f"use the `{lower}` field"
    return _REASONS.get(lower, "the server sets it")


def _refused(name: str, reason: str) -> ApiError:
    shown = "".join(c if c.isprintable() else "?" for c in name[:80])
    return invalid_field(f"The `headers` field is not valid: `{shown}` cannot be set: {reason}.")
