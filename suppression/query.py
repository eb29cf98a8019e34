"""Questions to the suppression list as SQL: which index answers, where a page begins and ends. Runs nothing.

Built for 10 million entries. The bounds of a page are row comparisons and the order names all columns of the index, so
that the planner has no choice: with `reason = x ... ORDER BY id` it may walk the primary key through all of them to
find that none matches.
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
    UnaryExpression,
    any_,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
    tuple_,
)  # fmt: skip

from core.paging import Window
from store.tables import suppressions
from suppression.predicate import IN_FORCE
from suppression.reasons import Reason, SuppressionScope

Question = Select[*tuple[Any, ...]]

_S: Final = suppressions.alias("s")
_C: Final = _S.c
_COLUMNS: Final = (
    _C.id, _C.address, _C.scope, _C.reason, _C.source, _C.detail, _C.created_at, _C.expires_at, _C.owner_id,
)  # fmt: skip

# The expressions of two indexes, word for word: with a parameter in them they would be others.
_DOMAIN: Final[ColumnElement[str]] = literal_column("split_part(s.address, '@', 2)", String)
_KIND: Final[ColumnElement[str]] = literal_column("s.scope || ' ' || s.reason", String)

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
        asked = _ranged(span, _DOMAIN, literal(search.domain)).where(*_filters(search))
        return asked.order_by(span.way(_DOMAIN), span.way(_C.id)).limit(span.limit)
    if search.reasons or search.scopes:
        return _by_kind(search, span)
    return select(*_COLUMNS).where(text(IN_FORCE), *span.within()).order_by(span.way(_C.id)).limit(span.limit)


def question_by_address(search: Search, window: Window[UUID], start: tuple[str, str] | None) -> Question:
    """One page of the entries in force whose addresses begin with `search.prefix`, by address. `start` is the address
    and scope of the entry that the page is counted from."""
    span = _Span(window)
    # No address holds the last code point of Unicode, and byte order is code point order in UTF-8.
    asked = select(*_COLUMNS).where(_C.address >= search.prefix, _C.address < search.prefix + "\U0010ffff")
    if start is not None:
        key, mark = tuple_(_C.address, _C.scope), tuple_(*map(literal, start))
        asked = asked.where(key < mark if window.before is not None else key > mark)
    order = [span.way(column, newest_first=False) for column in (_C.address, _C.scope)]
    return asked.where(text(IN_FORCE), *_filters(search)).order_by(*order).limit(span.limit)


def _by_kind(search: Search, span: _Span) -> Question:
    """One range of the index for every pair of scope and reason, at most 18; merged by the outer question."""
    scopes, reasons = search.scopes or tuple(SuppressionScope), search.reasons or tuple(Reason)
    wanted = [f"{scope.value} {reason.value}" for scope in scopes for reason in reasons]
    kinds = func.unnest(_texts(wanted)).table_valued("kind").render_derived("kinds")
    each = _ranged(span, _KIND, kinds.c.kind).order_by(span.way(_KIND), span.way(_C.id)).limit(span.limit)
    found = each.correlate(kinds).lateral("found")
    return select(found).select_from(kinds.join(found, true())).order_by(span.way(found.c.id)).limit(span.limit)


def _ranged(span: _Span, column: ColumnElement[Any], value: ColumnElement[Any]) -> Question:
    return select(*_COLUMNS).where(text(IN_FORCE), *span.within(column, value))


def _filters(search: Search) -> list[ColumnElement[bool]]:
    """Conditions on reason and scope for a search that already has its index."""
    conditions = []
    if search.reasons:
        conditions.append(_C.reason == any_(_texts([reason.value for reason in search.reasons])))
    if search.scopes:
        conditions.append(_C.scope == any_(_texts([scope.value for scope in search.scopes])))
    return conditions


def _texts(values: Sequence[str]) -> ColumnElement[Any]:
    """One array parameter, so that the statement is the same for any number of values."""
    return bindparam(None, list(values), ARRAY(Text))
