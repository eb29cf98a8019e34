"""Rows of `suppressions` as values: the columns in their order, and nothing else. Used inside `suppression`."""

from typing import Final

from psycopg.rows import TupleRow

from suppression.entries import Suppression
from suppression.reasons import Reason, Source
from suppression.scopes import reach_of

NAMES: Final = (
    "id", "address", "scope", "reason", "source", "detail", "note", "created_at", "expires_at", "owner_id",
    "source_id", "actor",
)  # fmt: skip
"""Of `suppressions`; those of `suppression_history` after its own two."""


def columns(row: str) -> str:
    """The columns of the row that a statement calls so."""
    return ", ".join(f"{row}.{name}" for name in NAMES)


def suppression(row: TupleRow) -> Suppression:
    """The entry in a row with the columns `NAMES`."""
    identifier, address, key, reason, source, detail, note, created_at, expires_at, owner, source_id, actor = row
    reach = reach_of(key)
    return Suppression(
        identifier, address, reach.scope, Reason(reason), Source(source), detail, created_at, expires_at, owner,
        reach.only_for, reach.topic, note, source_id, actor,
    )  # fmt: skip
