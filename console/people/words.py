"""What the page of a person says in words: what they may get and why not, and their story in one line each. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson

from audience.choices import Past, What
from audience.contact_history import Changed, ContactPast
from audience.contacts import Changes, Contact, Status
from audience.eligibility import TEXTS
from audience.importing.imports import Import
from audience.importing.rows import Why
from audience.properties import Definitions
from core.queues import Lane
from outcomes.obstacles import Obstacle
from outcomes.recipients import Recipient

_CHANGES: Final[Mapping[Changed, tuple[str, str]]] = {
    Changed.CREATED: ("plain", "Became a contact"),
    Changed.UPDATED: ("plain", "Changed"),
    Changed.CONFIRMED: ("delivered", "Agreed to get mail"),
    Changed.ADDRESS_CHANGED: ("plain", "Has another address"),
    Changed.MERGED: ("plain", "Two contacts became one"),
    Changed.LIST_JOINED: ("plain", "Put on a list"),
    Changed.LIST_CONFIRMED: ("delivered", "Confirmed for a list"),
    Changed.LIST_LEFT: ("unsubscribed", "Left a list"),
    Changed.LIST_REMOVED: ("plain", "Taken off a list"),
    Changed.DELETED: ("plain", "Removed"),
}
_CHOICES: Final[Mapping[What, tuple[str, str]]] = {
    What.OPT_IN: ("delivered", "Chose to get a type of mail"),
    What.OPT_OUT: ("unsubscribed", "Left a type of mail"),
    What.PAUSED: ("unsubscribed", "Paused all marketing mail"),
    What.RESUMED: ("delivered", "Ended the pause"),
    What.ALL_OFF: ("unsubscribed", "Left all marketing mail"),
    What.ALL_ON: ("delivered", "Came back to marketing mail"),
    What.MOVE_ASKED: ("plain", "Wants mail at another address"),
    What.MOVED_TO: ("plain", "Mail goes to another address"),
    What.MOVED_FROM: ("plain", "Mail of another address comes here"),
}

REASONS: Final[Mapping[str, str]] = {
    Why.SYNTAX: "without an address", Why.VALUE: "with a value that cannot be", Why.LEFT_THERE: "gone elsewhere",
    Why.NO_MAIL: "at a domain that takes no mail", Why.DISPOSABLE: "with a mailbox for minutes",
    Why.ROLE: "of an office, not a person", Why.TYPO: "likely mistyped", Why.DUPLICATE: "named before",
    Why.SUPPRESSED: "suppressed", Why.KNOWN: "contacts already",
}  # fmt: skip
"""Why lines of a list make no contact, behind how many."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened."""

    at: datetime
    kind: str
    what: str
    how: str


def answer(known: Contact | None, found: Recipient) -> str:
    """What may we send them?"""
    blocked = {one.lane: one.obstacle for one in found.streams if one.obstacle}
    if Lane.TRANSACTIONAL in blocked:
        return f"Nothing: {because(blocked[Lane.TRANSACTIONAL])}"
    if Lane.MARKETING in blocked:
        return f"Transactional mail only: {because(blocked[Lane.MARKETING])}"
    if known is None:
        return "Nothing forbids mail to this address, but they are no contact: no campaign reaches them."
    if known.status is Status.UNCONFIRMED:
        return "Transactional mail only: they have not confirmed that they want marketing mail."
    left = [one for one in found.topics if one.obstacle is not None]
    if left:
        return f"Transactional mail, and {len(found.topics) - len(left)} of {len(found.topics)} topics."
    return "Transactional mail and every topic."


def because(obstacle: Obstacle | None) -> str:
    """Why not, as a sentence's end."""
    if obstacle is None:
        return ""
    told = TEXTS.get(obstacle.reason) or obstacle.reason.replace("_", " ") + "."
    return told[:1].lower() + told[1:]


def story(changes: Sequence[ContactPast], choices: Sequence[Past], topics: Mapping[UUID, str]) -> list[Step]:
    """What happened to them and what they chose, newest first."""
    steps = [Step(one.at, *_CHANGES[one.what], _how(one)) for one in changes]
    steps += [Step(one.at, *_CHOICES[one.what], _by_choice(one, topics)) for one in choices]
    return sorted(steps, key=lambda step: step.at, reverse=True)


def _how(one: ContactPast) -> str:
    detail = dict(one.detail)
    changed = detail.pop("changed", {})
    pairs = changed.items() if isinstance(changed, Mapping) else ()
    told = [f"{name}: {now or 'none'}, was {was or 'none'}" for name, (was, now) in pairs]
    told += [f"“{detail.pop('text')}”"] if "text" in detail else []
    told += [f"{name.replace('_', ' ')}: {value}" for name, value in detail.items() if not name.endswith("_id")]
    return " · ".join(
        [*told, f"by {one.source.value}", *([one.actor] if one.actor else []), *([one.ip] if one.ip else [])]
    )


def _by_choice(one: Past, topics: Mapping[UUID, str]) -> str:
    topic = topics.get(one.topic_id, "") if one.topic_id else ""
    until = f"until {one.until:%Y-%m-%d}" if one.until else ""
    parts = (topic, until, f"by {one.source.value.replace('_', ' ')}", one.detail, one.ip)
    return " · ".join(part for part in parts if part)


def pace(one: Import) -> str:
    """How fast an import goes, and when it is over, as far as that can be said."""
    took = (one.updated_at - one.created_at).total_seconds()
    whole = one.terms.get("lines", 0)
    if one.completed_at or not one.line or took < 1:
        return ""
    rate = one.line / took
    left = max(0.0, (whole - one.line) / rate) if whole else 0.0
    ends = (
        f"; about {max(1, round(left / 60)):,} min left" if left >= 60 else "; less than a minute left" if whole else ""
    )
    return f"{rate:,.0f} lines a second{ends}"


def extra(properties: str) -> str:
    """Properties of a row, which are JSON."""
    return ", ".join(f"{name}: {value}" for name, value in orjson.loads(properties).items())


_FIELDS: Final = ("first_name", "last_name", "language", "time_zone")
_MOST_FIELDS: Final = 60
"""Properties that a page has room for; the API changes the others."""


def facts(known: Contact, defined: Definitions) -> list[tuple[str, str, str]]:
    """What of a contact a form changes: the field, its label, what it holds."""
    own = [(name, name.replace("_", " ").capitalize(), getattr(known, name) or "") for name in _FIELDS]
    extra = [(f"properties.{key}", key, _text(known.properties.get(key))) for key in list(defined)[:_MOST_FIELDS]]
    return own + extra


def changed(known: Contact, defined: Definitions, form: Mapping[str, Sequence[str]]) -> Changes:
    """What a form says otherwise than the contact holds; an empty field takes its value away."""
    said = {name: form[name][0].strip() for name, _, was in facts(known, defined) if _differs(form, name, was)}
    fields = {name: text or None for name, text in said.items() if name in _FIELDS}
    return Changes(fields, {name.partition(".")[2]: text or None for name, text in said.items() if name not in fields})


def _differs(form: Mapping[str, Sequence[str]], name: str, was: str) -> bool:
    return name in form and form[name][0].strip() != was.strip()


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
