"""Bodies and answers of `/suppressions`, by type and shape. What they do is in the routes.

`object id email origin source_id created_at` are Resend's, so that its SDKs work; the rest is ours. Unknown fields are
refused: a misspelt `scope` would stop all mail to a person who left the newsletter.
"""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed, Strict
from suppression.reasons import Reason, Source, SuppressionScope
from suppression.repository import LARGEST_BATCH
from web.absent import Needed, otherwise
from web.faces.suppressions import Origin

LONGEST = timedelta(days=3650)
"""An end further away is a mistake; without one the entry holds for ever."""

_Email = Annotated[str, Field(max_length=2000, examples=["person@example.com"]), Needed]

_ExpiresIn = Annotated[int, Field(gt=0, le=int(LONGEST.total_seconds()))]


class Terms(Strict):
    """For what, why and how long: the fields every way of adding shares."""

    scope: Annotated[SuppressionScope, Field(strict=False), otherwise(SuppressionScope.ALL)] = Field(
        SuppressionScope.ALL, description="`all`, or only one stream."
    )
    reason: Annotated[Reason, Field(strict=False), otherwise(Reason.MANUAL)] = Field(
        Reason.MANUAL, description="Why mail would be wrong."
    )
    detail: Annotated[str, otherwise("")] = Field(
        "", max_length=500, description="The evidence: who asked, and where to read about it."
    )
    expires_at: Annotated[datetime, Field(strict=False)] | None = Field(
        None, description="ISO 8601 with a zone, in the future. The entry ends by itself."
    )
    expires_in: _ExpiresIn | None = Field(None, description="Seconds; instead of `expires_at`.")


class AddSuppression(Terms):
    """An address to suppress."""

    email: _Email


class AddMany(Terms):
    """Addresses to suppress, with the same terms for all (Resend's batch)."""

    emails: list[_Email] = Field(min_length=1, max_length=LARGEST_BATCH)


class RemoveMany(Strict):
    """What to remove: addresses or ids, not both."""

    emails: list[_Email] | None = Field(None, min_length=1, max_length=LARGEST_BATCH)
    ids: list[Annotated[UUID, Field(strict=False)]] | None = Field(None, min_length=1, max_length=LARGEST_BATCH)
    scope: Annotated[SuppressionScope, Field(strict=False)] | None = Field(
        None, description="With `emails`: only the entries with this scope."
    )


class SuppressionItem(BaseModel):
    """An entry of the list."""

    id: UUID
    email: str
    origin: Origin
    source_id: None = Field(None, description="Always null: `detail` holds the evidence.")
    created_at: datetime
    scope: SuppressionScope
    reason: Reason
    source: Source
    detail: str
    expires_at: datetime | None


class SuppressionAnswer(SuppressionItem):
    """An entry. Asked for by address: the one with the widest scope, and all of them in `entries`."""

    object: Literal["suppression"] = "suppression"
    entries: list[SuppressionItem] | None = Field(None, description="Only when asked for by address.")


class SuppressionReference(BaseModel):
    """The entry that stands for the address now; it may be older than the request."""

    object: Literal["suppression"] = "suppression"
    id: UUID


class SuppressionRemoved(SuppressionReference):
    """The entry is gone."""

    deleted: Literal[True] = True


class SuppressionList(Listed[SuppressionItem]):
    """Entries, newest first; in the order of the addresses when `q` is the beginning of one."""


class ItemError(BaseModel):
    """Why one entry of a batch was not taken."""

    index: int = Field(description="Position in the request, from 0.")
    message: str


class AddedItem(SuppressionReference):
    """One entry of a batch, by address: the order is not that of the request and repeats collapse."""

    email: str
    scope: SuppressionScope


class BatchAdded(BaseModel):
    """The entries that stand now, and the ones that were not taken."""

    data: list[AddedItem]
    errors: list[ItemError] | None = Field(None, description="Only with `x-batch-validation: permissive`.")


class BatchRemoved(BaseModel):
    """The entries that were there and are gone."""

    data: list[SuppressionRemoved]
