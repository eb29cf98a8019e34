"""One page of a table whose rows are named by UUIDv7, newest first: what the statement asks, in which order, with which
parameters. `core.paging.cut` makes the page out of what comes back."""

from typing import Any, Final
from uuid import UUID

from core.paging import Window

_BEHIND_ALL: Final = UUID(int=(1 << 128) - 1)


def newest_first(window: Window[UUID], column: str = "id") -> tuple[str, str, dict[str, Any]]:
    """A condition on `column`, the word behind ORDER BY, and the parameters of both and of `LIMIT %(limit)s`: one row
    more than is wanted, which tells whether more follow."""
    condition, order = (f"{column} > %(before)s", "ASC") if window.before else (f"{column} < %(after)s", "DESC")
    limit = window.limit and window.limit + 1
    return condition, order, {"before": window.before, "after": window.after or _BEHIND_ALL, "limit": limit}
