"""An entry as somebody asks for it, and what becomes of that: whose mail it forbids, until when, and who may. Pure.

An operator forbids whatever they like. An application forbids its own mail and no other's, whatever the reason: that
an address is dead or complained is for our own reading of bounces and reports to say for everybody.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.addresses import AddressError
from core.refusal import Refused, invalid
from suppression.asking import Asker
from suppression.entries import Addition
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from suppression.rules import plain_detail
from suppression.subjects import subject

LONGEST: Final = timedelta(days=3650)
"""An end further away is a mistake; without one the entry holds for ever."""

EVERYBODY: Final = "everybody"
SELF: Final = "self"


@dataclass(frozen=True, slots=True)
class Wish:
    """What to forbid, why and how long. An empty field says nothing."""

    scope: SuppressionScope = SuppressionScope.ALL
    only_for: str = ""
    """Whose mail: `everybody`, `self`, or an application's id."""
    topic: UUID | None = None
    reason: Reason = Reason.MANUAL
    detail: str = ""
    note: str = ""
    expires_at: datetime | None = None
    expires_in: int | None = None
    """Seconds."""


def addition(text: str, wish: Wish, who: Asker, source: Source, now: datetime) -> Addition:
    """The entry to add for what somebody wrote. Raises Refused naming the field."""
    kept = asked_subject(text)
    scope = SuppressionScope.TOPIC if wish.topic else wish.scope
    only_for = whose(wish.only_for, who)
    if scope is SuppressionScope.TOPIC and (wish.topic is None or only_for is None):
        told = "an entry for a topic names the topic and, in `only_for`, its application"
        raise invalid("topic_id", told, "needs_topic")
    detail = plain_detail(wish.detail) or f"added by {who.name}"
    entry = SuppressionEntry(scope, wish.reason, source, detail, _end(wish, now), plain_detail(wish.note))
    return Addition(kept, entry, who.application, only_for, wish.topic, actor=who.name)


def asked_subject(text: str, field: str = "email") -> str:
    """Whom somebody means, as the list keeps it. Raises Refused naming the field."""
    try:
        return subject(text)
    except AddressError as error:
        raise invalid(field, f"{text[:200]!r}: {error.reason.rstrip('.')}", error.code) from None


def whose(text: str, who: Asker) -> UUID | None:
    """The application whose mail is meant by `only_for`; None: everybody's. Raises Refused."""
    own = who.application
    if not text:
        return own
    if text == EVERYBODY:
        if own is not None:
            raise _not_theirs("only an operator forbids everybody's mail")
        return None
    found = own if text == SELF else _uuid(text)
    if found is None:
        raise _not_theirs(f"it must be an application's id or `{EVERYBODY}`" if own is None else f"it must be `{SELF}`")
    if own not in (None, found):
        raise _not_theirs(f"an application's key is about its own mail: leave it out, or say `{SELF}`")
    return found


def _not_theirs(reason: str) -> Refused:
    return invalid("only_for", reason)


def _end(wish: Wish, now: datetime) -> datetime | None:
    if wish.expires_in is not None:
        if wish.expires_at is not None:
            raise invalid("expires_at", "give either it or `expires_in`")
        return now + timedelta(seconds=wish.expires_in)
    end = wish.expires_at
    if end is None:
        return None
    if end.tzinfo is None:
        raise invalid("expires_at", "it needs a time zone, such as a `Z` at its end")
    if not now < end <= now + LONGEST:
        raise invalid("expires_at", f"it must lie in the future, at most {LONGEST.days} days from now")
    return end


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
