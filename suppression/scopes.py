"""For whose mail an entry holds, and for which of it: everything, one stream, one application, one topic.

One text says it (`suppressions.scope`), so that one index answers the claim: `all`, a stream's word, an application's
id, or that with the stream or the topic behind it. Pure; used by everything that adds, reads or explains an entry.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from suppression.reasons import SuppressionScope

SHARED: Final = (SuppressionScope.ALL, SuppressionScope.TRANSACTIONAL, SuppressionScope.MARKETING)
"""What may hold for everybody's mail: a topic always belongs to an application."""

ID_LENGTH: Final = 36
"""Characters of an application's id, at the beginning of every text that names one."""

WORD: Final = f"""CASE WHEN length(s.scope) < {ID_LENGTH} THEN s.scope WHEN length(s.scope) > {2 * ID_LENGTH}
  THEN '{SuppressionScope.TOPIC}'
  ELSE coalesce(nullif(split_part(s.scope, ' ', 2), ''), '{SuppressionScope.ALL}') END"""
"""SQL: the word of a row's scope, whosever mail it holds for."""


OWN: Final = (
    f"""CASE WHEN length(s.scope) > {ID_LENGTH - 1} THEN left(s.scope, {ID_LENGTH}) ELSE s.owner_id::text END"""
)
"""SQL: the application that a row is the business of: the one whose mail it forbids, else the one whose mail led to it
or that added it; NULL for entries of the operators."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What an entry forbids."""

    scope: SuppressionScope = SuppressionScope.ALL
    only_for: UUID | None = None
    """The application whose mail it is; None: everybody's."""
    topic: UUID | None = None
    """With the scope `topic`: which one."""

    def __post_init__(self) -> None:
        about_topic = self.scope is SuppressionScope.TOPIC
        if about_topic != (self.topic is not None) or (about_topic and self.only_for is None):
            raise ValueError("a topic's entry names the topic and its application, and no other entry does")

    @property
    def key(self) -> str:
        """The stored form."""
        if self.only_for is None:
            return self.scope.value
        if self.scope is SuppressionScope.ALL:
            return str(self.only_for)
        return f"{self.only_for} {self.topic or self.scope}"


def reach_of(key: str) -> Reach:
    """What `Reach.key` made."""
    if len(key) < ID_LENGTH:
        return Reach(SuppressionScope(key))
    application, _, rest = key.partition(" ")
    if len(rest) == ID_LENGTH:
        return Reach(SuppressionScope.TOPIC, UUID(application), UUID(rest))
    return Reach(SuppressionScope(rest or SuppressionScope.ALL), UUID(application))


def forbidding_keys(row: str) -> str:
    """SQL: the stored forms that forbid the message in `row`. One whose application or topic is not known has none of
    theirs: NULL equals nothing."""
    application = f"{row}.application_id"
    return (
        f"'{SuppressionScope.ALL}', {row}.lane, {application}::text, {application} || ' ' || {row}.lane,"
        f" {application} || ' ' || {row}.topic_id"
    )
