"""What a template sees of a contact. Pure.

The contact's own fields and each of its properties by their names, and the same again below `contact`, as Resend's
broadcasts name them. What is not known is None: `default("there")` speaks, a condition may ask for it, and printing it
fails. A property that a contact has not takes its fallback.
"""

from collections.abc import Mapping
from typing import Final

from audience.contacts import Contact
from audience.properties import Definitions

NAMES: Final = ("email", "first_name", "last_name", "language", "time_zone")


def variables_of(contact: Contact, definitions: Definitions) -> Mapping[str, object]:
    """The variables of one contact."""
    found: dict[str, object] = {}
    for key, definition in definitions.items():
        found[key] = contact.properties.get(key, definition.fallback)
    for name in NAMES:
        found[name] = getattr(contact, name)
    return {**found, "contact": found}
