"""What a contact's own fields may hold: one rule for the API, the command line, forms and imports. Pure.

An empty text is an absent value, so that a form left blank does not make somebody called "".
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final
from zoneinfo import available_timezones

from core.addresses import AddressError, Mailbox, parse_mailbox
from core.refusal import invalid

FIELDS: Final = ("first_name", "last_name", "language", "time_zone")

LONGEST_NAME: Final = 200

_ONE_LINE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*")
_LANGUAGE: Final = re.compile(r"([A-Za-z]{2,3})((?:[-_][A-Za-z0-9]{2,8}){0,3})")


def checked_email(text: str, field: str = "email") -> Mailbox:
    """A contact's address. Raises Refused (AddressError): it is none, or a name stands beside it."""
    try:
        found = parse_mailbox(text)
    except AddressError as error:
        error.field = field
        raise
    if found.name:
        raise invalid(field, "give the address alone; the name has fields of its own")
    return found


def checked_fields(given: Mapping[str, str | None]) -> dict[str, object]:
    """The given ones of `FIELDS` as they are stored. Raises Refused, naming the field."""
    return {field: _checked(field, text) for field, text in given.items()}


def _checked(field: str, text: str | None) -> str | None:
    text = (text or "").strip()
    if not text:
        return None
    if field == "language":
        return language_tag(text)
    if field == "time_zone":
        return _time_zone(text)
    if len(text) > LONGEST_NAME or not _ONE_LINE.fullmatch(text):
        raise invalid(field, f"it must be one line of at most {LONGEST_NAME} characters")
    return text


def language_tag(text: str, field: str = "language") -> str:
    """A tag in the case that RFC 5646 section 2.1.1 recommends: `de`, `pt-BR`, `zh-Hant-TW`. Raises Refused."""
    found = _LANGUAGE.fullmatch(text)
    if found is None:
        raise invalid(field, "it must be a language tag such as `de` or `pt-BR` (RFC 5646)")
    parts = [part for part in re.split("[-_]", found[2]) if part]
    shaped = [part.upper() if len(part) == 2 else part.title() if len(part) == 4 else part.lower() for part in parts]
    return "-".join([found[1].lower(), *shaped])


def _time_zone(text: str) -> str:
    name = _zones().get(text.lower())
    if name is None:
        raise invalid("time_zone", "it must be a zone of the IANA database, such as `Europe/Berlin`")
    return name


@cache
def _zones() -> Mapping[str, str]:
    """Names by their lower case: people write `europe/berlin`. Read from disk once."""
    return {name.lower(): name for name in available_timezones()}
