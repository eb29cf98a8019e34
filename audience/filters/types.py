"""Whether a filter fits what is known of an application's contacts: fields that there are, operators that they
take, values of their type. Pure.

What has passed has values of the right Python type: a date where a text named one, an address in its folded form.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from difflib import get_close_matches
from typing import Final

from audience.filters.tree import (
    PROPERTY,
    All,
    Any,
    Filter,
    FilterError,
    Not,
    Operator,
    Rule,
    Scalar,
    Span,
    Unit,
    Value,
)
from audience.filters.values import date_from
from audience.filters.words import FLAGS, MOMENTS, NAMED_THINGS, SHORT, TEXTS
from audience.properties import PropertyType
from core.addresses import AddressError, fold_address

_MOMENT: Final = "moment"
_FLAG: Final = "flag"

_EVERY: Final = frozenset({Operator.EQ, Operator.NEQ, Operator.EXISTS, Operator.IS_EMPTY})
_ORDER: Final = frozenset({Operator.GT, Operator.GTE, Operator.LT, Operator.LTE})
_CHOICE: Final = frozenset({Operator.IN, Operator.NOT_IN})
_PARTS: Final = frozenset({Operator.CONTAINS, Operator.NOT_CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH})
_AGO: Final = frozenset({Operator.WITHIN, Operator.OLDER})
_SPANS: Final = _AGO | {Operator.AHEAD}
_NO_VALUE: Final = frozenset({Operator.EXISTS, Operator.IS_EMPTY})

_ASKED: Final[Mapping[str, frozenset[Operator]]] = {
    PropertyType.STRING: _EVERY | _CHOICE | _PARTS,
    PropertyType.NUMBER: _EVERY | _CHOICE | _ORDER,
    PropertyType.BOOLEAN: _EVERY,
    PropertyType.DATE: _EVERY | _ORDER | _SPANS,
    _MOMENT: _EVERY | _ORDER | _AGO,
    _FLAG: frozenset({Operator.EQ, Operator.NEQ}),
}
_CALLED: Final[Mapping[str, str]] = {
    PropertyType.STRING: "a text",
    PropertyType.NUMBER: "a number",
    PropertyType.BOOLEAN: "true or false",
    PropertyType.DATE: "a date",
    _MOMENT: "a time",
    _FLAG: "true or false",
}
_STATUSES: Final = ("confirmed", "unconfirmed")


def checked(tree: Filter, definitions: Mapping[str, PropertyType]) -> Filter:
    """The same filter with values of the right type. Raises FilterError."""
    if isinstance(tree, Rule):
        return _rule(tree, definitions)
    if isinstance(tree, Not):
        return Not(checked(tree.part, definitions))
    parts = tuple(checked(part, definitions) for part in tree.parts)
    return All(parts) if isinstance(tree, All) else Any(parts)


def _rule(rule: Rule, definitions: Mapping[str, PropertyType]) -> Rule:
    if rule.field in NAMED_THINGS:
        return _about_a_name(rule)
    kind = _kind(rule, definitions)
    if rule.operator not in _ASKED[kind]:
        raise _wrong(rule, f"`{_name(rule)}` is {_CALLED[kind]}, and {_asking(rule.operator)} cannot be asked of it")
    if rule.operator in _NO_VALUE:
        if rule.value is not None:
            raise _wrong(rule, f"`{rule.operator}` takes no value")
        return rule
    return replace(rule, value=_value(rule, kind))


def _about_a_name(rule: Rule) -> Rule:
    if rule.operator not in NAMED_THINGS[rule.field]:
        raise _wrong(rule, f"of a {rule.field} is asked {' or '.join(sorted(NAMED_THINGS[rule.field]))}")
    if not isinstance(rule.value, str) or not rule.value:
        raise _wrong(rule, f"expected the name or id of a {rule.field}")
    return rule


def _kind(rule: Rule, definitions: Mapping[str, PropertyType]) -> str:
    if rule.field in TEXTS:
        return PropertyType.STRING
    if rule.field in MOMENTS:
        return _MOMENT
    if rule.field in FLAGS:
        return _FLAG
    key = rule.field.removeprefix(PROPERTY)
    if key not in definitions:
        raise _wrong(rule, f"there is no property `{key[:60]}`{_meant(key, definitions)}")
    return definitions[key]


def _meant(key: str, definitions: Mapping[str, PropertyType]) -> str:
    fields = [SHORT.get(name, name) for name in (*TEXTS, *MOMENTS, *FLAGS)]
    close = get_close_matches(key[:60], [*definitions, *fields], 1)
    return f": is `{close[0]}` meant?" if close else ", and no field of that name"


def _value(rule: Rule, kind: str) -> Value:
    value = rule.value
    if rule.operator in _SPANS:
        return _span(rule, kind)
    if isinstance(value, tuple):
        return tuple(_scalar(rule, kind, one) for one in value)
    if value is None or isinstance(value, Span):
        raise _wrong(rule, f"expected {_CALLED[kind]} to compare `{_name(rule)}` with")
    return _scalar(rule, kind, value)


def _span(rule: Rule, kind: str) -> Span:
    if not isinstance(rule.value, Span):
        raise _wrong(rule, "expected a span such as 30 days")
    if kind == PropertyType.DATE and rule.value.unit is Unit.HOUR:
        raise _wrong(rule, f"`{_name(rule)}` is a date, and dates are counted in days")
    return rule.value


def _scalar(rule: Rule, kind: str, value: Scalar) -> Scalar:
    if kind in (PropertyType.DATE, _MOMENT):
        return _moment(rule, kind, value)
    if not _is_a(kind, value):
        raise _compared(rule, kind, value)
    return _text(rule, value) if isinstance(value, str) else value


def _is_a(kind: str, value: Scalar) -> bool:
    if kind == PropertyType.STRING:
        return isinstance(value, str)
    return isinstance(value, bool) if kind in (PropertyType.BOOLEAN, _FLAG) else _is_number(value)


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _moment(rule: Rule, kind: str, value: Scalar) -> date:
    found = date_from(value, rule.where) if isinstance(value, str) else value
    if not isinstance(found, date):
        raise _compared(rule, kind, value)
    a_day = kind == PropertyType.DATE or rule.operator in (Operator.EQ, Operator.NEQ)
    if isinstance(found, datetime) and a_day:
        raise _wrong(rule, f"`{_name(rule)}` is compared with a whole day here, such as {found:%Y-%m-%d}")
    return found


def _text(rule: Rule, value: str) -> str:
    if not value:
        raise _wrong(rule, f"the text is empty: `{_name(rule)} is not set` asks for those who have none")
    if rule.field == "status" and value not in _STATUSES:
        raise _wrong(rule, f"the status is {' or '.join(_STATUSES)}")
    if rule.field == "email" and rule.operator not in _PARTS:
        return _address(rule, value)
    return value


def _address(rule: Rule, value: str) -> str:
    try:
        return fold_address(value)
    except AddressError as error:
        raise _wrong(rule, f"no address: {error.reason}") from None


def _compared(rule: Rule, kind: str, value: Scalar) -> FilterError:
    given = next(
        one
        for one in (PropertyType.BOOLEAN, PropertyType.STRING, PropertyType.NUMBER, PropertyType.DATE)
        if one is PropertyType.DATE or _is_a(one, value)
    )
    return _wrong(rule, f"`{_name(rule)}` is {_CALLED[kind]} and cannot be compared with {_CALLED[given]}")


def _asking(operator: Operator) -> str:
    if operator in _ORDER:
        return "what is less or more"
    return f"`{operator.value.replace('_', ' ')}`"


def _name(rule: Rule) -> str:
    return SHORT.get(rule.field, rule.field.removeprefix(PROPERTY))[:60]


def _wrong(rule: Rule, reason: str) -> FilterError:
    return FilterError(reason, rule.where)
