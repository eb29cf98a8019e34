"""What the page of suppressions says in words. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from console.shown import plural, relative, short
from store.tally import Tally
from suppression.entries import Suppression
from suppression.reasons import Reason, SuppressionScope

BECAUSE: Final[Mapping[str, str]] = {
    Reason.HARD_BOUNCE: "mailbox does not exist",
    Reason.SOFT_BOUNCES: "kept failing",
    Reason.COMPLAINT: "called it spam",
    Reason.UNSUBSCRIBE: "unsubscribed",
    Reason.MANUAL: "added by hand",
    Reason.IMPORT: "imported",
}
TONE: Final[Mapping[str, str]] = {
    Reason.HARD_BOUNCE: "bounced",
    Reason.SOFT_BOUNCES: "bounced",
    Reason.COMPLAINT: "complained",
}
"""Reason → the state whose sign it takes; `suppressed` for all others."""


def who_gets_none(day: Tally) -> str:
    """What the list kept back and learned in the last 24 hours."""
    found = day.measures()
    kept = found["suppressed"]
    learned = [
        plural(found["hard_bounced"], "dead mailbox", "dead mailboxes") if found["hard_bounced"] else "",
        plural(found["complained"], "complaint") if found["complained"] else "",
        plural(found["unsubscribed"], "unsubscribe") if found["unsubscribed"] else "",
    ]
    told = f"{short(kept)} {'mail was' if kept == 1 else 'mails were'} kept back in the last 24 hours" if kept else ""
    if not told:
        told = "Nothing was kept back in the last 24 hours"
    heard = ", ".join(filter(None, learned))
    return f"{told}; {heard} in that time." if heard else f"{told}."


def about(address: str, found: Sequence[Suppression], now: datetime) -> str:
    """Whether an address gets mail."""
    if not found:
        return f"{address} is not suppressed. Topics somebody left and pauses stand with the person."
    first = found[0]
    everything = first.scope is SuppressionScope.ALL and first.only_for is None
    what = "no mail" if everything else f"no {kind(first)}"
    return f"{address} gets {what}: {BECAUSE[first.reason]}, {relative(first.created_at, now)}."


def kind(entry: Suppression) -> str:
    """For which mail an entry holds."""
    return {SuppressionScope.ALL: "mail", SuppressionScope.TOPIC: "mail of one topic"}.get(
        entry.scope, f"{entry.scope.value} mail"
    )


def holds(entry: Suppression, names: Mapping[UUID, str]) -> str:
    """For whose mail, and for which of it."""
    whose = f" of {names.get(entry.only_for, 'an application that is gone')}" if entry.only_for else ""
    told = kind(entry)
    return f"All mail{whose}" if told == "mail" else f"{told[:1].upper()}{told[1:]}{whose}"
