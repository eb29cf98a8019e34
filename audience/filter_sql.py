"""A checked filter as a condition over contacts: composed with SQLAlchemy, every value a parameter. Runs nothing.

The condition speaks of a contact as `CONTACT`, and of what is known of its opens and clicks as `ENGAGED`, which whoever
asks joins where `asks_engagement` says so (`audiences`). A rule may come out as NULL where the field says nothing;
`not` is `IS NOT TRUE`, so that a filter holds for exactly those for whom it is true, and its `not` for all others.

Values of properties are compared as JSON of their type. One of another type, left by a definition that was made anew,
compares with nothing and is no error.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any as Anything
from typing import Final

import orjson
from sqlalchemy import ARRAY, ColumnElement, Text, and_, bindparam, cast, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from audience.filter_tree import NEGATED, PROPERTY, All, Filter, Not, Operator, Rule, Span, rules
from audience.filter_values import plain
from audience.filter_words import ENGAGEMENT, MOMENTS
from store.tables import campaign_recipients, choices, contacts, engaged, segment_members, topics

Condition = ColumnElement[bool]

CONTACT: Final = contacts.alias("c")
ENGAGED: Final = engaged.alias("g")

_C, _G = CONTACT.c, ENGAGED.c
_DAY: Final = timedelta(days=1)

_COLUMNS: Final[Mapping[str, ColumnElement[Anything]]] = {
    "email": _C.address,
    "first_name": _C.first_name,
    "last_name": _C.last_name,
    "language": _C.language,
    "time_zone": _C.time_zone,
    "status": _C.status,
    "created_at": _C.created_at,
    "confirmed_at": _C.confirmed_at,
    "opened": _G.opened_at,
    "clicked": _G.clicked_at,
    "active": func.greatest(_G.opened_at, _G.clicked_at, _G.active_at),
}
_SIGN: Final = {Operator.GT: ">", Operator.GTE: ">=", Operator.LT: "<", Operator.LTE: "<="}
_LOWEST, _HIGHEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def condition(tree: Filter, now: datetime) -> Condition:
    """The condition; relative times count from `now`."""
    if isinstance(tree, Rule):
        return _rule(tree, now)
    if isinstance(tree, Not):
        return _not(condition(tree.part, now))
    join = and_ if isinstance(tree, All) else or_
    return join(*(condition(part, now) for part in tree.parts))


def asks_engagement(tree: Filter) -> bool:
    """Whether the condition speaks of `ENGAGED`."""
    return any(rule.field in ENGAGEMENT for rule in rules(tree))


def _rule(rule: Rule, now: datetime) -> Condition:
    if rule.operator in NEGATED:
        return _not(_rule(Rule(rule.field, NEGATED[rule.operator], rule.value), now))
    if rule.field in _NAMED:
        return _NAMED[rule.field](rule)
    if rule.field in MOMENTS:
        return _moment(_COLUMNS[rule.field], rule, now)
    if rule.field.startswith(PROPERTY):
        return _property(rule, now)
    return _text(_COLUMNS[rule.field], rule)


def _not(holds: Condition) -> Condition:
    return holds.self_group().is_not(true())


# Texts


def _text(column: ColumnElement[Anything], rule: Rule) -> Condition:
    if rule.operator is Operator.EXISTS:
        return column != ""
    if isinstance(rule.value, tuple):
        return column == func.any(_texts([str(value) for value in rule.value]))
    if rule.operator is Operator.EQ:
        return column == literal(rule.value, Text)
    return _part(column, rule.operator, str(rule.value))


def _part(column: ColumnElement[Anything], operator: Operator, wanted: str) -> Condition:
    """Part of a text, in whatever case."""
    whole, part = func.lower(column), func.lower(literal(wanted, Text))
    if operator is Operator.CONTAINS:
        return func.strpos(whole, part) > 0
    if operator is Operator.STARTS_WITH:
        return func.starts_with(whole, part)
    return func.right(whole, func.length(part)) == part


def _texts(values: Sequence[str]) -> ColumnElement[Anything]:
    """One array parameter, so that the statement is the same for any number of values."""
    return bindparam(None, list(values), ARRAY(Text))


# Times


def _moment(column: ColumnElement[Anything], rule: Rule, now: datetime) -> Condition:
    if rule.operator is Operator.EXISTS:
        return column.is_not(None)
    low, high = _between(rule, now, now)
    asked = [column >= low] if low > _LOWEST else []
    return and_(*asked, column < high) if high < _HIGHEST else and_(*asked)


def _between(rule: Rule, now: datetime, start: datetime) -> tuple[datetime, datetime]:
    """From when until before when. Spans count from `start`. A date means its whole day, in UTC."""
    if isinstance(rule.value, Span):
        if rule.operator is Operator.OLDER:
            return _LOWEST, start - rule.value.length
        if rule.operator is Operator.AHEAD:
            return start, start + rule.value.length
        return start - rule.value.length, _HIGHEST
    first, past = _edges(rule.value)
    return {
        Operator.EQ: (first, past),
        Operator.LT: (_LOWEST, first),
        Operator.LTE: (_LOWEST, past),
        Operator.GT: (past, _HIGHEST),
        Operator.GTE: (first, _HIGHEST),
    }[rule.operator]


def _edges(value: object) -> tuple[datetime, datetime]:
    """The first moment of a value, and the first one behind it."""
    if isinstance(value, datetime):
        return value, value + timedelta(microseconds=1)
    if not isinstance(value, date):
        raise TypeError(f"a filter that is checked compares times with times, not with {value!r}")
    day = datetime.combine(value, time(), UTC)
    return day, day + _DAY


# Properties


def _property(rule: Rule, now: datetime) -> Condition:
    key, value = rule.field.removeprefix(PROPERTY), rule.value
    if rule.operator is Operator.EXISTS:
        return and_(_written(key) != "")
    if isinstance(value, tuple):
        values = [orjson.dumps(plain(one)).decode() for one in value]
        return _C.properties[key] == func.any(cast(_texts(values), ARRAY(JSONB)))
    if isinstance(value, date | Span):
        return _day(key, rule, now)
    if rule.operator is Operator.EQ:
        return _C.properties.contains(cast(literal(orjson.dumps({key: value}).decode(), Text), JSONB))
    if rule.operator in _SIGN:
        return _path(f"{_quoted(key)} {_SIGN[rule.operator]} {value!r}")
    return _part(_written(key), rule.operator, str(value))


def _written(key: str) -> ColumnElement[Anything]:
    """The value as text; NULL for none."""
    found: ColumnElement[Anything] = _C.properties[key].astext
    return found


def _day(key: str, rule: Rule, now: datetime) -> Condition:
    """Dates are stored as texts that sort: `2026-11-28`, or that with a time behind it."""
    today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    low, high = _between(rule, now, today)
    if rule.operator is Operator.WITHIN:
        high = today + _DAY
    if rule.operator is Operator.AHEAD:
        high += _DAY
    asked = [f'{_quoted(key)} >= "{low:%Y-%m-%d}"'] if low > _LOWEST else []
    asked += [f'{_quoted(key)} < "{high:%Y-%m-%d}"'] if high < _HIGHEST else []
    return _path(" && ".join(asked))


def _path(text: str) -> Condition:
    holds: Condition = _C.properties.bool_op("@@")(cast(literal(text, Text), JSONPATH))
    return holds


def _quoted(key: str) -> str:
    return f"$.{orjson.dumps(key).decode()}"


# What has a name


def _takes_topic(rule: Rule) -> Condition:
    """Chosen, or not left where the topic is taken by default."""
    of_topic = topics.c.id == rule.value
    default = select(topics.c.default_subscription).where(of_topic, topics.c.deleted_at.is_(None)).scalar_subquery()
    return or_(_chose(rule, "opt_in"), and_(default == "opt_in", ~_chose(rule, "opt_out")))


def _chose(rule: Rule, subscription: str) -> Condition:
    own = (choices.c.address == _C.address, choices.c.application_id == _C.application_id)
    return _there(choices.c.topic_id == rule.value, *own, choices.c.subscription == subscription)


def _in_list(rule: Rule) -> Condition:
    own = (segment_members.c.segment_id == rule.value, segment_members.c.contact_id == _C.id)
    return _there(*own, segment_members.c.status != "unsubscribed")


def _of_campaign(rule: Rule) -> Condition:
    row = campaign_recipients.c
    fact = {
        Operator.GOT: row.state == "delivered",
        Operator.OPENED: row.opened_at.is_not(None),
        Operator.CLICKED: row.clicked_at.is_not(None),
    }[rule.operator]
    return _there(row.campaign_id == rule.value, row.contact_id == _C.id, fact)


def _there(*conditions: Condition) -> Condition:
    return select(1).where(*conditions).correlate(CONTACT).exists()


_NAMED: Final[Mapping[str, Callable[[Rule], Condition]]] = {
    "topic": _takes_topic,
    "list": _in_list,
    "campaign": _of_campaign,
}
