"""The values of the suppression list: what is added, what stands, what is gone. Pure.

Everything that reads or writes the list takes and returns these; an address in them is folded, or one of the other
forms of `suppression/subjects`.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

from suppression.reasons import WEIGHTS, Reason, Source, SuppressionEntry, SuppressionScope, origin_of
from suppression.scopes import Reach

NEVER: Final = datetime.max.replace(tzinfo=UTC)


@lru_cache(maxsize=1024)
def _key(scope: SuppressionScope, only_for: UUID | None, topic: UUID | None) -> str:
    """Kept, because a list of millions has few."""
    return Reach(scope, only_for, topic).key


@dataclass(frozen=True, slots=True)
class Addition:
    """An entry to add."""

    address: str
    entry: SuppressionEntry
    owner: UUID | None = None
    """The application that may remove it: the one that adds it, or whose mail led to it. None: only an operator, as
    for an entry that lengthens another's."""
    only_for: UUID | None = None
    """The application whose mail it forbids. None: everybody's."""
    topic: UUID | None = None
    """With the scope `topic`: the type of mail it forbids."""
    source_id: UUID | None = None
    """The email that led to it."""
    actor: str = ""
    """Who added it, in words; "" where the source says it."""
    since: datetime | None = None
    """When it began, where that is not now: in the system it was brought from."""

    @property
    def key(self) -> tuple[str, str]:
        """What is unique in the list."""
        return self.address, _key(self.entry.scope, self.only_for, self.topic)

    @property
    def end(self) -> datetime:
        """When it ends; `NEVER` where it does not."""
        return self.entry.expires_at or NEVER

    @property
    def rank(self) -> tuple[int, datetime]:
        """Of two decisions about the same the higher one stands, by the rule of `suppression/adding`."""
        return WEIGHTS.get(self.entry.reason, 0), self.end


@dataclass(frozen=True, slots=True)
class Added:
    """The entry that stands now for an address and scope that was added."""

    id: UUID
    address: str
    scope: SuppressionScope
    created: bool
    """False: there was an entry before, which stayed or was taken over."""
    changed: bool = False
    """It was there and has another reason now, or lasts longer."""


@dataclass(frozen=True, slots=True)
class Removed:
    """An entry that is gone."""

    id: UUID
    address: str
    scope: SuppressionScope


@dataclass(frozen=True, slots=True)
class Suppression:
    """One stored entry."""

    id: UUID
    address: str
    scope: SuppressionScope
    reason: Reason
    source: Source
    detail: str
    created_at: datetime
    expires_at: datetime | None
    owner: UUID | None = None
    """The application that may remove it; None: only an operator."""
    only_for: UUID | None = None
    """The application whose mail it forbids; None: everybody's."""
    topic: UUID | None = None
    note: str = ""
    source_id: UUID | None = None
    """The email that led to it."""
    actor: str = ""

    def seen_by(self, application: UUID) -> "Suppression":
        """As this application may see it: what led to an entry of another's is not its business."""
        if self.owner == application:
            return self
        return replace(self, detail="", note="", actor="", source_id=None, owner=None)

    def concerns(self, application: UUID) -> bool:
        """Whether it forbids mail of this application, or is its own: else it is hidden from it."""
        return self.only_for in (None, application) or self.owner == application


def suppression_face(entry: Suppression) -> dict[str, object]:
    """An entry as JSON: in the API's answers, in `--json`, in events."""
    return {
        "id": entry.id,
        "email": entry.address,
        "origin": origin_of(entry.reason),
        "source_id": entry.source_id,
        "created_at": entry.created_at,
        "scope": entry.scope,
        "only_for": entry.only_for,
        "topic_id": entry.topic,
        "reason": entry.reason,
        "source": entry.source,
        "detail": entry.detail,
        "note": entry.note,
        "actor": entry.actor,
        "owner": entry.owner,
        "expires_at": entry.expires_at,
    }


@dataclass(frozen=True, slots=True)
class Ended:
    """An entry as it was, and how it came to its end."""

    entry: Suppression
    ended: str
    """`removed`, `replaced` by a decision that weighs more, or `expired`."""
    ended_at: datetime
    by: str
    why: str
