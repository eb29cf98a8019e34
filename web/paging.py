"""The query parameters of lists, `limit`, `after` and `before`, and the JSON of a page, as in Resend's API."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import Field

from core.paging import Page, Window, page_within
from web.absent import Absent

LARGEST_PAGE: Final = 100
LARGEST_SMALL_PAGE: Final = 1000
"""Of lists that are small enough to be read whole: IPs, pools, rests."""

T = TypeVar("T")

After = Annotated[UUID | None, Absent, Query(description="Return what follows this entry.")]
Before = Annotated[UUID | None, Absent, Query(description="Return what comes before this entry.")]
Limit = Annotated[
    Annotated[int, Field(ge=1, le=LARGEST_PAGE)] | None, Absent, Query(description="Most entries to return.")
]


class PagingError(Exception):
    """The parameters name no page. The text is a sentence for people."""


def window(limit: Limit = None, after: After = None, before: Before = None) -> Window[UUID]:
    """A FastAPI dependency. Raises PagingError when both directions are asked for."""
    if after is not None and before is not None:
        raise PagingError("Use `after` or `before`, not both.")
    return Window(limit, after, before)


def small_window(
    limit: Annotated[int, Query(ge=1, le=LARGEST_SMALL_PAGE, description="Most entries to return.")] = 100,
    after: Annotated[str, Query(max_length=400, description="Return what follows the entry with this `id`.")] = "",
    before: Annotated[
        str, Query(max_length=400, description="Return what comes before the entry with this `id`.")
    ] = "",
) -> Window[str]:
    """A FastAPI dependency for lists that are small enough to be read whole and may be long to look at."""
    if after and before:
        raise PagingError("Use `after` or `before`, not both.")
    return Window(limit, after or None, before or None)


def page_of(entries: Sequence[T], identify: Callable[[T], str], wanted: Window[str]) -> Page[T]:
    """The part asked for of a list that was read whole. Raises PagingError."""
    found = page_within(entries, identify, wanted)
    return there(found)


def there(found: Page[T] | None) -> Page[T]:
    """The page, or PagingError when the entry it is counted from is gone."""
    if found is None:
        raise PagingError("The entry in `after` or `before` is gone: start again from the beginning.")
    return found


def listed(found: Page[T], show: Callable[[T], Any]) -> dict[str, Any]:
    """A page as JSON: `{object, has_more, data}`."""
    return {"object": "list", "has_more": found.has_more, "data": [show(entry) for entry in found.entries]}
