"""The words of filters: fields of a contact, words of the text form, and which sign is which operator. Pure."""

from collections.abc import Mapping
from typing import Final

from audience.filters.tree import Operator

MOMENTS: Final = frozenset({"created_at", "confirmed_at", "opened", "clicked", "active"})
"""Fields that are a time, or nothing: the last open, click and other sign of life of a person, machines left out."""
ENGAGEMENT: Final = frozenset({"opened", "clicked", "active"})
TEXTS: Final = frozenset({"email", "first_name", "last_name", "language", "time_zone", "status"})

FLAGS: Final = frozenset({"unsubscribed"})
"""Fields that are true or false of everybody: whether somebody left all marketing mail."""

FIELDS: Final[Mapping[str, str]] = {
    **{name: name for name in (*sorted(TEXTS), *sorted(MOMENTS), *sorted(FLAGS))},
    "created": "created_at",
    "confirmed": "confirmed_at",
}
"""What the text form calls a field of a contact → its name."""

SHORT: Final[Mapping[str, str]] = {"created_at": "created", "confirmed_at": "confirmed"}
"""How the text form writes them."""

NAMED_THINGS: Final[Mapping[str, frozenset[Operator]]] = {
    "topic": frozenset({Operator.EQ}),
    "list": frozenset({Operator.EQ}),
    "campaign": frozenset({Operator.GOT, Operator.OPENED, Operator.CLICKED}),
}
"""Fields whose value names something of the application, with what can be asked of it."""

OF_CAMPAIGNS: Final[Mapping[str, Operator]] = {
    "got": Operator.GOT,
    "opened": Operator.OPENED,
    "clicked": Operator.CLICKED,
}

SIGNS: Final[Mapping[str, Operator]] = {
    "=": Operator.EQ,
    "!=": Operator.NEQ,
    "<": Operator.LT,
    "<=": Operator.LTE,
    ">": Operator.GT,
    ">=": Operator.GTE,
}

OF_DATES: Final[Mapping[str, Operator]] = {
    "on": Operator.EQ,
    "before": Operator.LT,
    "until": Operator.LTE,
    "after": Operator.GT,
    "since": Operator.GTE,
}

RESERVED: Final = frozenset(
    {
        "and", "or", "not", "never", "subscribed", "in", "is", "contains", "starts", "ends", "more", "got", "campaign",
        "list", "topic", "true", "false", *OF_DATES,
    }
)  # fmt: skip
"""No property goes by one of these without `properties.` in front."""
