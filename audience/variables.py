"""What a template sees of a contact. Pure.

The contact's own fields and each of its properties by their names, and the same again below `contact`, as Resend's
broadcasts name them. A field that is not known is left out, so that `default("there")` speaks; a property that a
contact has not takes its fallback.
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
        value = contact.properties.get(key, definition.fallback)
        if value is not None:
            found[key] = value
    for name in NAMES:
        value = getattr(contact, name)
        if value is not None:
            found[name] = value
    return {**found, "contact": found}
