"""Which types of events an owner may ask for. Pure."""

from collections.abc import Sequence
from typing import Final

from core.refusal import invalid
from webhooks.kinds import NEVER_HERE, OPERATORS_ONLY, EventType

FOR_OPERATORS: Final = frozenset(
    kind for kind in EventType if kind in OPERATORS_ONLY or kind.startswith("suppression.")
)
"""What happens to the machine, and to the list that all applications share."""

FOR_APPLICATIONS: Final = frozenset(EventType) - OPERATORS_ONLY


def chosen(wanted: Sequence[str] | None, *, operators: bool) -> list[str] | None:
    """The types asked for, each once; None for all. Raises Refused naming `events`."""
    if not wanted:
        return None
    allowed = FOR_OPERATORS if operators else FOR_APPLICATIONS
    for name in wanted:
        if name not in allowed and (operators or name not in NEVER_HERE):
            raise invalid("events", _why_not(name, operators, sorted(allowed)))
    return list(dict.fromkeys(wanted))


def _why_not(name: str, operators: bool, allowed: Sequence[str]) -> str:
    if name in frozenset(EventType):
        whose = "applications" if operators else "operators"
        return f"{name} is told to endpoints of {whose} only"
    return f"there is no event {name[:60]!r}; there are {', '.join(allowed)}"
