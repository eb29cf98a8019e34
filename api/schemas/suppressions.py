"""Bodies and answers of `/suppressions`, by type and shape. What they do is in the routes.

`object id email origin source_id created_at` are Resend's, so that its SDKs work; the rest is ours. Unknown fields are
passed over, but for misspelt ones: a wrong `scope` would stop all mail to a person who left the newsletter.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Careful, Listed, Moment
from suppression.adding import LARGEST_BATCH
from suppression.reasons import Origin, Reason, Source, SuppressionScope
from suppression.removing import Lock
from suppression.wishes import LONGEST
from web.absent import Absent, Needed, otherwise

_Email = Annotated[
    str,
    Field(
        max_length=2000,
        description="An address; `@example.com` for all of a domain; `sha256:` and the hash of an address.",
        examples=["person@example.com"],
    ),
    Needed,
]

_ExpiresIn = Annotated[int, Field(gt=0, le=int(LONGEST.total_seconds()))]


class Terms(Careful):
    """For what, why and how long: the fields every way of adding shares."""

    scope: Annotated[SuppressionScope, Field(strict=False), otherwise(SuppressionScope.ALL)] = Field(
        SuppressionScope.ALL, description="`all`, only one stream, or only one `topic`."
    )
    only_for: Annotated[str, otherwise("")] = Field(
        "",
        max_length=100,
        description="Whose mail it forbids. An application's key: `self`, which is the default, and nobody else's. An "
        "operator's: `everybody`, which is the default, or an application's id.",
    )
    topic_id: Annotated[Annotated[UUID, Field(strict=False)] | None, Absent] = Field(
        None, description="The only type of mail it forbids; the scope is `topic` then."
    )
    reason: Annotated[Reason, Field(strict=False), otherwise(Reason.MANUAL)] = Field(
        Reason.MANUAL, description="Why mail would be wrong."
    )
    detail: Annotated[str, otherwise("")] = Field(
        "", max_length=500, description="The evidence: who asked, and where to read about it."
    )
    note: Annotated[str, otherwise("")] = Field("", max_length=500, description="What else to remember about it.")
    expires_at: Annotated[Moment | None, Absent] = Field(
        None, description="ISO 8601 with a zone, in the future. The entry ends by itself."
    )
    expires_in: Annotated[_ExpiresIn | None, Absent] = Field(None, description="Seconds; instead of `expires_at`.")


class AddSuppression(Terms):
    """An address to suppress."""

    email: _Email


class AddMany(Terms):
    """Addresses to suppress, with the same terms for all (Resend's batch)."""

    emails: list[_Email] = Field(min_length=1, max_length=LARGEST_BATCH)


class RemoveMany(Careful):
    """What to remove: addresses or ids, not both."""

    emails: list[_Email] | None = Field(None, min_length=1, max_length=LARGEST_BATCH)
    ids: list[Annotated[UUID, Field(strict=False)]] | None = Field(None, min_length=1, max_length=LARGEST_BATCH)
    scope: Annotated[Annotated[SuppressionScope, Field(strict=False)] | None, Absent] = Field(
        None, description="With `emails`: only the entries with this scope."
    )
    why: Annotated[str, otherwise("")] = Field(
        "", max_length=500, description="Why they go; the history keeps it. An operator needs it for a complaint."
    )


class SuppressionItem(BaseModel):
    """An entry of the list."""

    id: UUID
    email: str
    origin: Origin
    source_id: UUID | None = Field(description="The email that led to it; null when none did, or it is another's.")
    created_at: datetime
    scope: SuppressionScope
    only_for: UUID | None = Field(description="The application whose mail it forbids; null: everybody's.")
    topic_id: UUID | None = Field(description="With the scope `topic`: the type of mail.")
    reason: Reason
    source: Source
    detail: str
    note: str
    actor: str = Field(description="Who added it; empty when nobody in particular did, or it is another's.")
    owner: UUID | None = Field(description="The application that may remove it; null: only an operator may.")
    expires_at: datetime | None


class SuppressionAnswer(SuppressionItem):
    """An entry. Asked for by address: the one with the widest scope, and all of them in `entries`."""

    object: Literal["suppression"] = "suppression"
    entries: list[SuppressionItem] | None = Field(None, description="Only when asked for by address.")


class SuppressionReference(BaseModel):
    """The entry that stands for the address now; it may be older than the request."""

    object: Literal["suppression"] = "suppression"
    id: UUID


class KeptItem(BaseModel):
    """An entry that was named and stays."""

    id: UUID
    email: str
    scope: SuppressionScope
    reason: Reason
    lock: Lock = Field(description="`others`: it is not yours. `complaint`: an operator removes it, and says why.")


class SuppressionRemoved(SuppressionReference):
    """The entry is gone."""

    deleted: Literal[True] = True
    kept: list[KeptItem] | None = Field(None, description="Only when other entries of the address stay.")


class EndedSuppression(SuppressionItem):
    """An entry as it was, and how that ended."""

    ended: Literal["removed", "replaced", "expired"]
    ended_at: datetime = Field(description="When it was so no more.")
    ended_by: str = Field(description="Who did it; empty where it is another's entry.")
    why: str = Field(description="What they said about it.")


class SuppressionHistory(Listed[EndedSuppression]):
    """What there was, the newest first; at most 100."""


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


class RemovedItem(SuppressionReference):
    """One entry that is gone."""

    deleted: Literal[True] = True


class BatchRemoved(BaseModel):
    """The entries that were there and are gone."""

    data: list[RemovedItem]
    kept: list[KeptItem] | None = Field(None, description="Only when some that were named stay.")
