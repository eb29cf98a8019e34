"""The tree of a filter as text, in the one way that we write it; `filter_text.parse` reads it back the same. Pure."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from audience.filters.tree import PROPERTY, All, Filter, Not, Operator, Rule, Scalar, Value
from audience.filters.values import date_text
from audience.filters.words import FIELDS, MOMENTS, OF_CAMPAIGNS, OF_DATES, RESERVED, SHORT, SIGNS

_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SIGN_OF: Final = {operator: sign for sign, operator in SIGNS.items()}
_DATE_WORD: Final = {operator: word for word, operator in OF_DATES.items()}
_CAMPAIGN_WORD: Final = {operator: word for word, operator in OF_CAMPAIGNS.items()}
_WORDS: Final[Mapping[Operator, str]] = {
    Operator.CONTAINS: "contains",
    Operator.NOT_CONTAINS: "not contains",
    Operator.STARTS_WITH: "starts with",
    Operator.ENDS_WITH: "ends with",
    Operator.IN: "in",
    Operator.NOT_IN: "not in",
    Operator.WITHIN: "in last",
    Operator.AHEAD: "in next",
}


def shown(tree: Filter) -> str:
    """The text of a filter."""
    if isinstance(tree, Rule):
        return _rule(tree)
    if isinstance(tree, Not):
        return f"not {_within(tree.part)}"
    return (" and " if isinstance(tree, All) else " or ").join(_within(part) for part in tree.parts)


def _within(part: Filter) -> str:
    return shown(part) if isinstance(part, Rule | Not) else f"({shown(part)})"


def _rule(rule: Rule) -> str:
    if rule.field in ("topic", "list", "campaign"):
        return _named(rule)
    name = _name(rule.field)
    if rule.operator is Operator.EXISTS:
        return name if rule.field in MOMENTS else f"{name} is set"
    if rule.operator is Operator.IS_EMPTY:
        return f"never {name}" if rule.field in MOMENTS else f"{name} is not set"
    if rule.operator is Operator.OLDER:
        return f"{name} more than {rule.value} ago"
    return f"{name} {_sign(rule)} {_value(rule.value)}"


def _named(rule: Rule) -> str:
    asked = {"topic": "subscribed to", "list": "in list"}.get(rule.field)
    return f"{asked or f'{_CAMPAIGN_WORD[rule.operator]} campaign'} {_value(rule.value)}"


def _name(field: str) -> str:
    if not field.startswith(PROPERTY):
        return SHORT.get(field, field)
    key = field.removeprefix(PROPERTY)
    plain = _BARE.fullmatch(key) and key.lower() not in RESERVED and key.lower() not in FIELDS
    return key if plain else field


def _sign(rule: Rule) -> str:
    if isinstance(rule.value, date) and rule.operator in _DATE_WORD:
        return _DATE_WORD[rule.operator]
    return _SIGN_OF.get(rule.operator) or _WORDS[rule.operator]


def _value(value: Value) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(_scalar(one) for one in value)})"
    return str(value) if value is None or not isinstance(value, Scalar) else _scalar(value)


def _scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return date_text(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
