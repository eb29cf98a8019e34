"""Questions to the suppression list as SQL: which index answers, where a page begins and ends. Runs nothing.

Built for 10 million entries. The bounds of a page are row comparisons and the order names all columns of the index, so
that the planner has no choice: with `reason = x ... ORDER BY id` it may walk the primary key through all of them to
find that none matches.

Entries for everybody's mail and those for one application's stand in different indexes. A search that is not for all
of them is put together from ranges of each (`_by_kind`): one for every pair of scope and reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    String,
    Text,
    TextClause,
    UnaryExpression,
    any_,
    bindparam,
    false,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
    tuple_,
    union_all,
)  # fmt: skip

from core.paging import Window
from store.tables import suppressions
from suppression.predicate import IN_FORCE
from suppression.reasons import Reason, SuppressionScope
from suppression.rows import NAMES
from suppression.scopes import ID_LENGTH, OWN, SHARED, WORD

Question = Select[*tuple[Any, ...]]

_S: Final = suppressions.alias("s")
_C: Final = _S.c
_COLUMNS: Final = tuple(_C[name] for name in NAMES)

# The expressions of the indexes, word for word: with a parameter in them they would be others.
_DOMAIN: Final[ColumnElement[str]] = literal_column("split_part(s.address, '@', 2)", String)
_SHARED_KIND: Final[ColumnElement[str]] = literal_column("s.scope || ' ' || s.reason", String)
_WORD: Final[ColumnElement[str]] = literal_column(f"({WORD})", String)
_APPLICATION: Final[ColumnElement[str]] = literal_column(f"left(s.scope, {ID_LENGTH})", String)
_WORD_KIND: Final[ColumnElement[str]] = literal_column(f"({WORD}) || ' ' || s.reason", String)
_APPLICATION_KIND: Final[ColumnElement[str]] = literal_column(f"left(s.scope, {ID_LENGTH}) || ' ' || s.reason", String)
_OF_APPLICATIONS: Final = text(f"length(s.scope) > {ID_LENGTH - 1}")

_OWN: Final[ColumnElement[str]] = literal_column(f"({OWN})", String)
_OWN_KIND: Final[ColumnElement[str]] = literal_column(f"({OWN}) || ' ' || s.reason", String)
_OWN_DOMAIN: Final[ColumnElement[str]] = literal_column(f"({OWN}) || ' ' || split_part(s.address, '@', 2)", String)
_OWNED: Final = text(f"({OWN}) IS NOT NULL")

_LOWEST, _HIGHEST = UUID(int=0), UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class Search:
    """Which entries; empty fields mean all. `prefix` and `domain` exclude each other."""

    prefix: str = ""
    """The folded address begins so."""
    domain: str = ""
    """The part behind the "@" is this, in the form of `core.addresses.fold_domain`."""
    reasons: tuple[Reason, ...] = ()
    scopes: tuple[SuppressionScope, ...] = ()
    only_for: UUID | None = None
    """Entries for this application's mail alone."""
    own_of: UUID | None = None
    """The application that asks: it lists what is its own (`suppression/asking`)."""


@dataclass(frozen=True, slots=True)
class _Span:
    """The ids of a page, and its direction. Newest first, so `after` is the upper bound."""

    window: Window[UUID]

    @property
    def limit(self) -> int | None:
        """One more than wanted: it tells whether there are more."""
        return self.window.limit and self.window.limit + 1

    def way(self, column: ColumnElement[Any], *, newest_first: bool = True) -> UnaryExpression[Any]:
        return column.desc() if newest_first is not (self.window.before is not None) else column.asc()

    def within(self, *key: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """Entries whose index columns in front of the id have these values: `column, value` or nothing."""
        low, high = literal(self.window.before or _LOWEST), literal(self.window.after or _HIGHEST)
        if not key:
            return [_C.id > low, _C.id < high]
        column, value = key
        return [tuple_(column, _C.id) > tuple_(value, low), tuple_(column, _C.id) < tuple_(value, high)]


def question(search: Search, window: Window[UUID]) -> Question:
    """One page of the entries in force, newest first. For searches without a prefix."""
    span = _Span(window)
    if search.domain:
        return _by_domain(search, span)
    if search.reasons or search.scopes or search.only_for or search.own_of:
        return _by_kind(search, span)
    return select(*_COLUMNS).where(text(IN_FORCE), *span.within()).order_by(span.way(_C.id)).limit(span.limit)


def question_by_address(search: Search, window: Window[UUID], start: tuple[str, str] | None) -> Question:
    """One page of the entries in force whose addresses begin with `search.prefix`, by address. `start` is the address
    and scope of the entry that the page is counted from."""
    span = _Span(window)
    # No address holds the last code point of Unicode, and byte order is code point order in UTF-8.
    asked = select(*_COLUMNS).where(_C.address >= search.prefix, _C.address < search.prefix + "\U0010ffff")
    if search.own_of:
        asked = asked.where(_OWNED, _is(_OWN, literal(str(search.own_of))))
    if start is not None:
        key, mark = tuple_(_C.address, _C.scope), tuple_(*map(literal, start))
        asked = asked.where(key < mark if window.before is not None else key > mark)
    order = [span.way(column, newest_first=False) for column in (_C.address, _C.scope)]
    return asked.where(text(IN_FORCE), *_filters(search)).order_by(*order).limit(span.limit)


def _by_domain(search: Search, span: _Span) -> Question:
    column, value = _DOMAIN, search.domain
    conditions: list[ColumnElement[bool] | TextClause] = [*_filters(search)]
    if search.own_of:
        column, value = _OWN_DOMAIN, f"{search.own_of} {search.domain}"
        conditions.append(_OWNED)
    asked = _ranged(span, column, literal(value)).where(*conditions)
    return asked.order_by(span.way(column), span.way(_C.id)).limit(span.limit)


def _by_kind(search: Search, span: _Span) -> Question:
    """Ranges of indexes, at most 42, merged by the outer question."""
    found = union_all(*_families(search, span)).subquery("found")
    return select(found).order_by(span.way(found.c.id)).limit(span.limit)


def _families(search: Search, span: _Span) -> list[Question]:
    scopes, reasons = search.scopes or tuple(SuppressionScope), search.reasons or tuple(Reason)
    words = [scope.value for scope in scopes]
    also: list[ColumnElement[bool]] = [_is(_WORD, any_(_texts(words)))] if search.scopes else []
    if search.only_for:
        if search.own_of not in (None, search.only_for):
            also.append(false())
        return [_family(span, _APPLICATION_KIND, _pairs([str(search.only_for)], reasons), _OF_APPLICATIONS, *also)]
    if search.own_of:
        return [_family(span, _OWN_KIND, _pairs([str(search.own_of)], reasons), _OWNED, *also)]
    shared = [scope.value for scope in scopes if scope in SHARED]
    every = [_family(span, _WORD_KIND, _pairs(words, reasons), _OF_APPLICATIONS)]
    return [_family(span, _SHARED_KIND, _pairs(shared, reasons)), *every] if shared else every


def _pairs(firsts: Sequence[str], reasons: Sequence[Reason]) -> list[str]:
    return [f"{first} {reason.value}" for first in firsts for reason in reasons]


def _family(
    span: _Span, column: ColumnElement[str], wanted: Sequence[str], *conditions: ColumnElement[bool] | TextClause
) -> Question:
    """One range of an index for each of these values of its first column."""
    kinds = func.unnest(_texts(wanted)).table_valued("kind").render_derived("kinds")
    each = _ranged(span, column, kinds.c.kind).where(*conditions).order_by(span.way(column), span.way(_C.id))
    found = each.limit(span.limit).correlate(kinds).lateral("found")
    return select(found).select_from(kinds.join(found, true()))


def _ranged(span: _Span, *key: ColumnElement[Any]) -> Question:
    return select(*_COLUMNS).where(text(IN_FORCE), *span.within(*key))


def _filters(search: Search) -> list[ColumnElement[bool]]:
    """Conditions for a search that already has its index."""
    conditions = []
    if search.reasons:
        conditions.append(_is(_C.reason, any_(_texts([reason.value for reason in search.reasons]))))
    if search.scopes:
        conditions.append(_is(_WORD, any_(_texts([scope.value for scope in search.scopes]))))
    if search.only_for:
        conditions.append(_is(_APPLICATION, literal(str(search.only_for))))
    return conditions


def _is(column: ColumnElement[str], value: ColumnElement[Any]) -> ColumnElement[bool]:
    return column == value


def _texts(values: Sequence[str]) -> ColumnElement[Any]:
    """One array parameter, so that the statement is the same for any number of values."""
    return bindparam(None, list(values), ARRAY(Text))
