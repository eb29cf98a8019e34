"""Filters of contacts: read from text or JSON, checked against what an application knows of its contacts, and shown
again. Touches no database; `filter_sql` makes a condition of them.

    {"type": "and", "rules": [
      {"type": "rule", "field": "properties.country", "operator": "eq", "value": "DE"},
      {"type": "not", "rule": {"type": "rule", "field": "opened", "operator": "within", "value": "30 days"}}]}

is `country = "DE" and not opened in last 30 days`. Both forms mean the same tree and become each other without loss. A
filter is typed: what compares a number with a text is refused, with the place. What is stored and compiled is checked.
"""

from collections.abc import Mapping
from typing import Final

from audience.filters import text
from audience.filters.shown import shown
from audience.filters.tokens import number_within, text_from
from audience.filters.tree import (
    DEEPEST,
    MOST_RULES,
    MOST_VALUES,
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
    Value,
)
from audience.filters.types import checked
from audience.filters.values import plain, span_from
from audience.filters.words import FIELDS, NAMED_THINGS
from audience.properties import PropertyType

__all__ = ["FilterError", "checked", "from_json", "read", "shown", "to_json"]

_SPANS: Final = frozenset({Operator.WITHIN, Operator.AHEAD, Operator.OLDER})
_LISTS: Final = frozenset({Operator.IN, Operator.NOT_IN})
_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "and": frozenset({"type", "rules"}),
    "or": frozenset({"type", "rules"}),
    "not": frozenset({"type", "rule"}),
    "rule": frozenset({"type", "field", "operator", "value"}),
}


def read(given: object, definitions: Mapping[str, PropertyType]) -> Filter:
    """A filter as text, or as JSON, checked. Raises FilterError."""
    tree = text.parse(given) if isinstance(given, str) else from_json(given)
    return checked(tree, definitions)


def to_json(tree: Filter) -> dict[str, object]:
    """As the API shows it, and as it is stored."""
    if isinstance(tree, Rule):
        asked: dict[str, object] = {"type": "rule", "field": tree.field, "operator": tree.operator.value}
        return asked if tree.value is None else asked | {"value": _plain(tree.value)}
    if isinstance(tree, Not):
        return {"type": "not", "rule": to_json(tree.part)}
    return {"type": "and" if isinstance(tree, All) else "or", "rules": [to_json(part) for part in tree.parts]}


def from_json(given: object) -> Filter:
    """The tree of a filter as JSON, not checked yet. Raises FilterError."""
    return _Reader().tree(given, "filter", 0)


class _Reader:
    """Counts what it reads: nobody sends a million rules."""

    def __init__(self) -> None:
        self._rules = 0

    def tree(self, given: object, where: str, depth: int) -> Filter:
        if depth > DEEPEST:
            raise FilterError(f"at most {DEEPEST} levels of `and`, `or` and `not`", where)
        if not isinstance(given, dict):
            raise FilterError("expected an object with a `type`: and, or, not or rule", where)
        kind = given.get("type", "rule" if "field" in given else None)
        if not isinstance(kind, str) or kind not in _KEYS:
            raise FilterError("expected the `type` and, or, not or rule", f"{where}.type")
        if odd := [str(name) for name in given if name not in _KEYS[kind]]:
            raise FilterError(f"`{odd[0][:40]}` is no part of a filter of type {kind}", where)
        if kind == "rule":
            return self._rule(given, where)
        if kind == "not":
            return Not(self.tree(given.get("rule"), f"{where}.rule", depth + 1))
        parts = self._parts(given.get("rules"), f"{where}.rules", depth)
        return parts[0] if len(parts) == 1 else All(parts) if kind == "and" else Any(parts)

    def _parts(self, given: object, where: str, depth: int) -> tuple[Filter, ...]:
        if not isinstance(given, list) or not given:
            raise FilterError("expected a list with at least one filter", where)
        if len(given) > MOST_RULES:
            raise FilterError(f"at most {MOST_RULES} rules", where)
        return tuple(self.tree(part, f"{where}[{n}]", depth + 1) for n, part in enumerate(given))

    def _rule(self, given: Mapping[str, object], where: str) -> Filter:
        self._rules += 1
        if self._rules > MOST_RULES:
            raise FilterError(f"at most {MOST_RULES} rules", where)
        field = _field(given.get("field"), f"{where}.field")
        operator = _operator(given.get("operator"), f"{where}.operator")
        value = _value(operator, given.get("value"), f"{where}.value")
        if field in NAMED_THINGS and operator is Operator.NEQ:
            return Not(Rule(field, Operator.EQ, value, where))
        return Rule(field, operator, value, where)


def _field(given: object, where: str) -> str:
    if not isinstance(given, str) or not given:
        raise FilterError("expected the name of a field, such as email, opened or properties.country", where)
    if given in NAMED_THINGS or given.startswith(PROPERTY):
        return given
    return FIELDS.get(given) or f"{PROPERTY}{given}"


def _operator(given: object, where: str) -> Operator:
    if not isinstance(given, str) or given not in list(Operator):
        raise FilterError(f"expected one of {', '.join(Operator)}", where)
    return Operator(given)


def _value(operator: Operator, given: object, where: str) -> Value:
    if given is None:
        return None
    if operator in _SPANS:
        return span_from(given, where)
    if operator not in _LISTS:
        return _scalar(given, where)
    if not isinstance(given, list) or not given or len(given) > MOST_VALUES:
        raise FilterError(f"expected a list of 1 to {MOST_VALUES} values", where)
    return tuple(_scalar(one, f"{where}[{n}]") for n, one in enumerate(given))


def _scalar(given: object, where: str) -> Scalar:
    if isinstance(given, bool):
        return given
    if isinstance(given, int | float):
        return number_within(given, where)
    return text_from(given, where) if isinstance(given, str) else _no_value(where)


def _no_value(where: str) -> Scalar:
    raise FilterError("expected a text, a number, true or false", where)


def _plain(value: Value) -> object:
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return value if value is None else str(value) if isinstance(value, Span) else plain(value)
