"""The query parameters of every list but that of emails: `limit`, `after`, `before`, as in Resend's API."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Query

from api.errors import ApiError

LARGEST_PAGE = 100


@dataclass(frozen=True, slots=True)
class Paging:
    """What was asked for; `limit` is None when the request names none."""

    limit: int | None
    after: UUID | None
    before: UUID | None


def paging(
    limit: Annotated[int | None, Query(ge=1, le=LARGEST_PAGE, description="Most entries to return.")] = None,
    after: Annotated[UUID | None, Query(description="Return what follows this entry.")] = None,
    before: Annotated[UUID | None, Query(description="Return what comes before this entry.")] = None,
) -> Paging:
    """A FastAPI dependency. Raises 422 when both directions are asked for."""
    if after is not None and before is not None:
        raise ApiError("invalid_parameter", "Use `after` or `before`, not both.")
    return Paging(limit, after, before)
