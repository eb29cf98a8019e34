"""Filters of contacts as somebody would decide them who has all the time of the world: one contact at a time, in plain
Python. What the compiled condition finds is held against it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from audience.filters.tree import All, Filter, Not, Operator, Rule, Span
from tests.unit.audience.filter_examples import NOW, TOPICS


@dataclass(frozen=True)
class Somebody:
    """A contact with all that is known of it."""

    address: str
    status: str
    created_at: datetime
    confirmed_at: datetime | None = None
    first_name: str | None = None
    language: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    opened: datetime | None = None
    clicked: datetime | None = None
    login: datetime | None = None
    choices: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)
    campaigns: Mapping[str, tuple[str, bool, bool]] = field(default_factory=dict)
    """State, opened, clicked."""
    unsubscribed: bool = False

    @property
    def active(self) -> datetime | None:
        return max((one for one in (self.opened, self.clicked, self.login) if one), default=None)


def holds(tree: Filter, who: Somebody) -> bool:
    """Whether they are in it."""
    if isinstance(tree, Not):
        return not holds(tree.part, who)
    if isinstance(tree, Rule):
        return _rule(tree, who)
    return (all if isinstance(tree, All) else any)(holds(part, who) for part in tree.parts)


def _rule(rule: Rule, who: Somebody) -> bool:
    value: Any = rule.value
    if rule.field == "topic":
        return who.choices.get(value, "opt_in" if value == str(TOPICS[0]) else "opt_out") == "opt_in"
    if rule.field == "list":
        return who.lists.get(value, "unsubscribed") != "unsubscribed"
    if rule.field == "campaign":
        state, opened, clicked = who.campaigns.get(value, ("waiting", False, False))
        return {"got": state == "delivered", "opened": opened, "clicked": clicked}[rule.operator]
    return _compared(rule.operator, _known(rule.field, who), value)


def _known(name: str, who: Somebody) -> Any:
    if name.startswith("properties."):
        return who.properties.get(name.removeprefix("properties."))
    return who.address if name == "email" else getattr(who, name)


def _compared(operator: Operator, known: Any, value: Any) -> bool:
    match operator:
        case Operator.EXISTS:
            return known not in (None, "")
        case Operator.IS_EMPTY | Operator.NEQ | Operator.NOT_IN | Operator.NOT_CONTAINS:
            return not _compared(_OPPOSITE[operator], known, value)
    if known is None:
        return False
    if isinstance(value, date | Span):
        return _in_time(operator, known, value)
    return {
        Operator.EQ: lambda: known == value,
        Operator.IN: lambda: known in value,
        Operator.CONTAINS: lambda: value.lower() in known.lower(),
        Operator.STARTS_WITH: lambda: known.lower().startswith(value.lower()),
        Operator.ENDS_WITH: lambda: known.lower().endswith(value.lower()),
        Operator.GT: lambda: known > value,
        Operator.GTE: lambda: known >= value,
        Operator.LT: lambda: known < value,
        Operator.LTE: lambda: known <= value,
    }[operator]()


_OPPOSITE = {
    Operator.IS_EMPTY: Operator.EXISTS,
    Operator.NEQ: Operator.EQ,
    Operator.NOT_IN: Operator.IN,
    Operator.NOT_CONTAINS: Operator.CONTAINS,
}


def _in_time(operator: Operator, known: Any, value: date | Span) -> bool:
    if isinstance(known, str):  # a property: by days
        day = date.fromisoformat(known[:10])
        if isinstance(value, Span):
            return _days_away(operator, (day - NOW.date()).days, value.length.days)
        return _ordered(operator, day, value)
    if isinstance(value, Span):
        return (known >= NOW - value.length) is (operator is Operator.WITHIN)
    if isinstance(value, datetime):
        return _ordered(operator, known, value)
    return _ordered(operator, known.astimezone(UTC).date(), value)


def _days_away(operator: Operator, away: int, days: int) -> bool:
    if operator is Operator.AHEAD:
        return 0 <= away <= days
    return -days <= away <= 0 if operator is Operator.WITHIN else away < -days


def _ordered(operator: Operator, known: Any, value: Any) -> bool:
    return {
        Operator.EQ: known == value,
        Operator.LT: known < value,
        Operator.LTE: known <= value,
        Operator.GT: known > value,
        Operator.GTE: known >= value,
    }[operator]


def days_ago(days: float) -> datetime:
    """So many days before `NOW`; whole ones are midnights, where days begin."""
    return (
        datetime.combine((NOW - timedelta(days=days)).date(), time(), UTC)
        if days == int(days)
        else NOW - timedelta(days=days)
    )
