"""What somebody filled in on a sign-up form: the fields of a form post, or of JSON with the same meaning, read against
what the form asks. Pure.

A field that is wrong is a `Problem` with a text for its reader; a field that nobody asked for is passed over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson

from audience import properties
from audience.confirmations import Wanted
from audience.contact_fields import checked_email, checked_fields
from audience.forms import NAMES, Field, Form
from audience.properties import Definitions, PropertyType
from audience.topics import Topic
from core.addresses import AddressError, Mailbox
from core.refusal import Refused
from web import forms
from web.forms import one

PROPERTY: Final = "p."
"""Stands before the key of a property in the name of its field."""
HONEYPOT: Final = "website"
"""No person sees this field; programs fill it in."""
_LONGEST: Final = 5_000


@dataclass(frozen=True, slots=True)
class Problem:
    """Why it cannot be taken: a text of the catalogues and its names."""

    field: str
    key: str
    names: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Question:
    """A field as it stands on the page."""

    key: str
    name: str
    """Of the field in the form that is posted."""
    label: str
    """"" where the catalogue knows it."""
    type: str
    """Of the input: `text`, `number`, `date`, `checkbox`."""
    required: bool


_INPUTS: Final = {PropertyType.NUMBER: "number", PropertyType.DATE: "date", PropertyType.BOOLEAN: "checkbox"}


def questions(form: Form, known: Definitions, language: str) -> list[Question]:
    """What the form asks beside the address; not what was deleted since."""
    return [
        Question(asked.key, _name(asked), form.label(asked, language), _type(asked, known), asked.required)
        for asked in form.facts.fields
        if asked.key in NAMES or asked.key in known
    ]


def read(
    form: Form, filled: forms.Form, known: Definitions, offered: Sequence[Topic], consent: str
) -> tuple[Mailbox, Wanted] | Problem:
    """The address and what is wanted, or what is wrong."""
    try:
        box = checked_email(one(filled, "email")[:_LONGEST])
    except (AddressError, Refused):
        return Problem("email", "wrong.address", {})
    values: dict[str, str] = {}
    for question in questions(form, known, ""):
        values[question.key] = one(filled, question.name)[:_LONGEST]
        if question.required and not values[question.key]:
            return Problem(question.name, "signup.wrong.missing", {})
    chosen = _chosen(filled, offered)
    if offered and not chosen:
        return Problem("topic", "signup.wrong.topics", {})
    return _wanted(values, known, box, chosen, consent)


def _wanted(
    values: Mapping[str, str], known: Definitions, box: Mailbox, chosen: tuple[UUID, ...], consent: str
) -> tuple[Mailbox, Wanted] | Problem:
    typed: dict[str, object] = {}
    for key, text in values.items():
        try:
            if key in NAMES:
                checked_fields({key: text})
            elif text:
                typed |= properties.checked({key: text}, known)
        except Refused:
            return Problem(key if key in NAMES else PROPERTY + key, "signup.wrong.field", {})
    return box, Wanted(values.get("first_name", ""), values.get("last_name", ""), typed, chosen, consent=consent)


def _chosen(filled: forms.Form, offered: Sequence[Topic]) -> tuple[UUID, ...]:
    """Of one topic there is no choice: whoever signs up wants it."""
    if len(offered) == 1:
        return (offered[0].id,)
    ticked = set(filled.get("topic", ()))
    return tuple(topic.id for topic in offered if str(topic.id) in ticked)


def from_json(body: bytes) -> forms.Form | None:
    """A JSON body as the fields of a form; None for what is no object."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(given, dict):
        return None
    found = {str(name): [_text(value)] for name, value in given.items() if not isinstance(value, (dict, list))}
    extra = given.get("properties")
    if isinstance(extra, dict):
        found |= {f"{PROPERTY}{key}": [_text(value)] for key, value in extra.items()}
    chosen = given.get("topics")
    found["topic"] = [_text(value) for value in chosen] if isinstance(chosen, list) else []
    found["lang"] = found.get("language") or found.get("lang") or [""]
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _name(asked: Field) -> str:
    return asked.key if asked.key in NAMES else PROPERTY + asked.key


def _type(asked: Field, known: Definitions) -> str:
    return "text" if asked.key in NAMES else _INPUTS.get(known[asked.key].type, "text")
