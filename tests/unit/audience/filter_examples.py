"""Filters at random, checked as the product checks them: values are drawn from what contacts of the tests have, too."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from hypothesis import strategies as st

from audience.filters.tree import All, Filter, Not, Operator, Rule, Span, Unit
from audience.filters.tree import Any as Either
from audience.properties import PropertyType

KEYS: Final[Mapping[str, PropertyType]] = {
    "country": PropertyType.STRING,
    "age": PropertyType.NUMBER,
    "vip": PropertyType.BOOLEAN,
    "born": PropertyType.DATE,
    "opened": PropertyType.NUMBER,
    "2fa": PropertyType.STRING,
    "In": PropertyType.STRING,
}
NOW: Final = datetime(2026, 11, 28, 14, 30, tzinfo=UTC)
TOPICS: Final = (UUID(int=101), UUID(int=102))
"""The first is taken by default, the second is not."""
LISTS: Final = (UUID(int=201), UUID(int=202))
CAMPAIGNS: Final = (UUID(int=301), UUID(int=302))

WORDS: Final = ("DE", "AT", "de", "Graz", 'a "b"', "100%", "_", "back\\slash", "Zoë", "true", "3")
NUMBERS: Final = (-1, 0, 3, 18, 18.5, 1e-7, 99.0)
DATES: Final = (date(1990, 2, 28), date(2026, 10, 29), date(2026, 11, 27), date(2026, 11, 28), date(2026, 12, 8))
ADDRESSES: Final = ("ann@example.com", "bob@example.net", "zoe.100%@example.org")

_EVERY: Final = [Operator.EXISTS, Operator.IS_EMPTY]
_ORDER: Final = [Operator.EQ, Operator.NEQ, Operator.GT, Operator.GTE, Operator.LT, Operator.LTE]
_CHOICE: Final = [Operator.IN, Operator.NOT_IN]
_PARTS: Final = [Operator.CONTAINS, Operator.NOT_CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH]


def filters(leaves: int = 8) -> st.SearchStrategy[Filter]:
    """A filter of some rules."""
    return st.recursive(
        rules(),
        lambda parts: st.one_of(
            st.builds(Not, parts),
            st.lists(parts, min_size=2, max_size=3).map(lambda some: All(tuple(some))),
            st.lists(parts, min_size=2, max_size=3).map(lambda some: Either(tuple(some))),
        ),
        max_leaves=leaves,
    )


def rules() -> st.SearchStrategy[Rule]:
    """One rule of any kind."""
    texts = ("first_name", "language", "properties.country", "properties.2fa", "properties.In")
    return st.one_of(
        _asked((*texts, "email", "properties.age", "properties.vip", "properties.born", *_MOMENTS), _EVERY, st.none()),
        _asked(texts, _ORDER[:2], _TEXT),
        _asked((*texts, "email"), _PARTS, _PLAIN),
        _asked(texts, _CHOICE, _some(_TEXT)),
        _asked(("email",), _ORDER[:2], st.sampled_from(ADDRESSES)),
        _asked(("email",), _CHOICE, _some(st.sampled_from(ADDRESSES))),
        _asked(("status",), _ORDER[:2], st.sampled_from(["confirmed", "unconfirmed"])),
        _asked(("properties.age", "properties.opened"), _ORDER, _NUMBER),
        _asked(("properties.age",), _CHOICE, _some(_NUMBER)),
        _asked(("properties.vip", "unsubscribed"), _ORDER[:2], st.booleans()),
        _asked(("properties.born", *_MOMENTS), _ORDER, st.sampled_from(DATES)),
        _asked(_MOMENTS, _ORDER[2:], _MOMENT),
        _asked(("properties.born",), [Operator.WITHIN, Operator.OLDER, Operator.AHEAD], _SPAN),
        _asked(_MOMENTS, [Operator.WITHIN, Operator.OLDER], _SPAN),
        _asked(("topic",), [Operator.EQ], st.sampled_from([str(one) for one in TOPICS])),
        _asked(("list",), [Operator.EQ], st.sampled_from([str(one) for one in LISTS])),
        _asked(
            ("campaign",),
            [Operator.GOT, Operator.OPENED, Operator.CLICKED],
            st.sampled_from([str(one) for one in CAMPAIGNS]),
        ),
    )


_MOMENTS: Final = ("created_at", "confirmed_at", "opened", "clicked", "active")
_MOMENT: Final = st.integers(-300 * 86_400, 30 * 86_400).map(lambda seconds: NOW + timedelta(seconds=seconds))
_LETTERS: Final = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])
_TEXT: Final = st.one_of(st.sampled_from(WORDS), st.text(_LETTERS, min_size=1, max_size=6))
_PLAIN: Final = st.one_of(st.sampled_from(WORDS), st.text("abDEtZ19%_. ", min_size=1, max_size=3))
"""What lower case is of other letters, servers see differently."""
_NUMBER: Final = st.one_of(
    st.sampled_from(NUMBERS), st.integers(-(10**15), 10**15), st.floats(-1e15, 1e15, allow_nan=False)
)
_SPAN: Final = st.builds(Span, st.integers(1, 40), st.sampled_from([one for one in Unit if one is not Unit.HOUR]))


def _some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, min_size=1, max_size=3).map(tuple)


def _asked(
    fields: tuple[str, ...], operators: list[Operator], values: st.SearchStrategy[Any]
) -> st.SearchStrategy[Rule]:
    return st.builds(Rule, st.sampled_from(fields), st.sampled_from(operators), values)
