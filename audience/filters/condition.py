"""A checked filter as a condition over contacts: composed with SQLAlchemy, every value a parameter. Runs nothing.

The condition speaks of a contact as `CONTACT`, and of what is known of them elsewhere as tables that are joined to it:
one outer join for all rules about the same topic, list, campaign, or about opens and clicks. Each finds one row at
most, so that nobody is found twice; and the planner is free to read a table once, where it would otherwise look for a
million people one by one. A rule may come out as NULL where a field says nothing; `not` is `IS NOT TRUE`, so that a
filter holds for exactly those for whom it is true, and its `not` for all others.

Values of properties are compared as JSON of their type. One of another type, left by a definition that was made anew,
compares with nothing and is no error.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any as Anything
from typing import Final

import orjson
from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    FromClause,
    Text,
    and_,
    bindparam,
    cast,
    collate,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from audience.filters.tree import NEGATED, PROPERTY, All, Filter, Not, Operator, Rule, Span
from audience.filters.values import plain
from audience.filters.words import ENGAGEMENT, FLAGS
from store.tables import campaign_recipients, choices, contacts, engaged, segment_members, topics
from suppression.predicate import left_all

Condition = ColumnElement[bool]
Column = ColumnElement[Anything]

CONTACT: Final = contacts.alias("c")

_C: Final = CONTACT.c
_DAY: Final = timedelta(days=1)

_COLUMNS: Final[Mapping[str, Column]] = {
    "email": _C.address,
    "first_name": _C.first_name,
    "last_name": _C.last_name,
    "language": _C.language,
    "time_zone": _C.time_zone,
    "status": _C.status,
    "created_at": _C.created_at,
    "confirmed_at": _C.confirmed_at,
}
_LEFT_ALL: Final[Condition] = literal_column(left_all("c"), Boolean)
_TIMES: Final = frozenset({"created_at", "confirmed_at"})
_SIGN: Final = {Operator.GT: ">", Operator.GTE: ">=", Operator.LT: "<", Operator.LTE: "<="}
_LOWEST, _HIGHEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Join:
    """A table that the condition speaks of."""

    table: FromClause
    on: Condition


@dataclass(frozen=True, slots=True)
class Composed:
    """A filter, ready to be asked."""

    condition: Condition
    joins: tuple[Join, ...]

    def joined(self, source: FromClause) -> FromClause:
        """The source, which has `CONTACT`, with what the condition speaks of."""
        for join in self.joins:
            source = source.outerjoin(join.table, join.on)
        return source


def composed(tree: Filter, now: datetime) -> Composed:
    """The condition; relative times count from `now`."""
    composer = _Composer(now)
    return Composed(composer.condition(tree), tuple(composer.joins.values()))


class _Composer:
    """Makes the condition, and remembers what it joined."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self.joins: dict[tuple[str, str], Join] = {}

    def condition(self, tree: Filter) -> Condition:
        if isinstance(tree, Rule):
            return self._rule(tree)
        if isinstance(tree, Not):
            return _not(self.condition(tree.part))
        join = and_ if isinstance(tree, All) else or_
        return join(*(self.condition(part) for part in tree.parts))

    def _rule(self, rule: Rule) -> Condition:
        if rule.operator in NEGATED:
            return _not(self._rule(Rule(rule.field, NEGATED[rule.operator], rule.value)))
        if rule.field in _FACTS:
            return _FACTS[rule.field](self._row(rule.field, str(rule.value)), rule)
        if rule.field in ENGAGEMENT:
            return _moment(_engagement(self._row("engaged", ""), rule.field), rule, self._now)
        if rule.field.startswith(PROPERTY):
            return _property(rule, self._now)
        if rule.field in FLAGS:
            return _LEFT_ALL if rule.value else ~_LEFT_ALL
        if rule.field in _TIMES:
            return _moment(_COLUMNS[rule.field], rule, self._now)
        return _text(_COLUMNS[rule.field], rule)

    def _row(self, table: str, identifier: str) -> FromClause:
        """The row about a contact in one of the `_JOINS`, joined the first time it is asked for."""
        key = (table, identifier)
        if key not in self.joins:
            self.joins[key] = _JOINS[table](f"j{len(self.joins)}", identifier)
        return self.joins[key].table


def _not(holds: Condition) -> Condition:
    return holds.self_group().is_not(true())


# Texts


def _text(column: Column, rule: Rule) -> Condition:
    if rule.operator is Operator.EXISTS:
        return column != ""
    if isinstance(rule.value, tuple):
        return column == func.any(_texts([str(value) for value in rule.value]))
    if rule.operator is Operator.EQ:
        return column == literal(rule.value, Text)
    return _part(column, rule.operator, str(rule.value))


def _part(column: Column, operator: Operator, wanted: str) -> Condition:
    """Part of a text, in whatever case."""
    whole, part = func.lower(column), func.lower(literal(wanted, Text))
    if operator is Operator.CONTAINS:
        return func.strpos(whole, part) > 0
    if operator is Operator.STARTS_WITH:
        return func.starts_with(whole, part)
    return func.right(whole, func.length(part)) == part


def _texts(values: Sequence[str]) -> Column:
    """One array parameter, so that the statement is the same for any number of values."""
    return bindparam(None, list(values), ARRAY(Text))


# Times


def _moment(column: Column, rule: Rule, now: datetime) -> Condition:
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


def _written(key: str) -> Column:
    """The value as text; NULL for none."""
    found: Column = _C.properties[key].astext
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


# What stands in other tables


def _engaged(name: str, _: str) -> Join:
    """Its index has the database's collation, addresses of contacts that of bytes."""
    g = engaged.alias(name)
    return Join(g, and_(g.c.application_id == _C.application_id, g.c.address == collate(_C.address, "default")))


def _choice(name: str, topic: str) -> Join:
    h = choices.alias(name)
    own = and_(h.c.address == _C.address, h.c.application_id == _C.application_id)
    return Join(h, and_(own, h.c.topic_id == topic))


def _place(name: str, segment: str) -> Join:
    m = segment_members.alias(name)
    return Join(m, and_(m.c.segment_id == segment, m.c.contact_id == _C.id))


def _recipient(name: str, campaign: str) -> Join:
    r = campaign_recipients.alias(name)
    return Join(r, and_(r.c.campaign_id == campaign, r.c.contact_id == _C.id))


_JOINS: Final[Mapping[str, Callable[[str, str], Join]]] = {
    "engaged": _engaged,
    "topic": _choice,
    "list": _place,
    "campaign": _recipient,
}


def _engagement(row: FromClause, field: str) -> Column:
    if field == "active":
        return func.greatest(row.c.opened_at, row.c.clicked_at, row.c.active_at)
    column: Column = row.c[f"{field}_at"]
    return column


def _takes_topic(row: FromClause, rule: Rule) -> Condition:
    """By choice, or without one by the topic's default."""
    of_topic = topics.c.id == rule.value
    default = select(topics.c.default_subscription).where(of_topic, topics.c.deleted_at.is_(None)).scalar_subquery()
    return func.coalesce(row.c.subscription, default) == "opt_in"


def _in_list(row: FromClause, _: Rule) -> Condition:
    return and_(row.c.status != "unsubscribed")


def _of_campaign(row: FromClause, rule: Rule) -> Condition:
    return and_(
        {
            Operator.GOT: row.c.state == "delivered",
            Operator.OPENED: row.c.opened_at.is_not(None),
            Operator.CLICKED: row.c.clicked_at.is_not(None),
        }[rule.operator]
    )


_FACTS: Final[Mapping[str, Callable[[FromClause, Rule], Condition]]] = {
    "topic": _takes_topic,
    "list": _in_list,
    "campaign": _of_campaign,
}
