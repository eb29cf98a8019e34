"""Addresses with letters beyond ASCII are folded anew: the final sigma of Greek counts as a sigma from here on.

Those of the list and of the queue, which are compared; in the history of messages they stay as they were written. By
itself, because it reads the whole list: only the rows it changes are locked.
"""

from alembic import op
from sqlalchemy import Connection, text

from core.addresses import folded_local

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("suppressions", "delivery_queue"):
        _fold_anew(op.get_bind(), table)


def _fold_anew(connection: Connection, table: str) -> None:
    """An entry that meets its like keeps its old address, which no mail has any more: it forbids nothing twice."""
    stored = connection.execute(
        text(f"SELECT DISTINCT address FROM {table} WHERE octet_length(address) > char_length(address)")
    )
    taken = "AND NOT EXISTS (SELECT FROM suppressions o WHERE o.address = :new AND o.scope = t.scope)"
    for (old,) in stored.fetchall():
        local, _, domain = old.rpartition("@")
        new = f"{folded_local(local)}@{domain}"
        if new != old:
            also = taken if table == "suppressions" else ""
            connection.execute(
                text(f"UPDATE {table} t SET address = :new WHERE address = :old {also}"), {"new": new, "old": old}
            )


def downgrade() -> None:
    """Nothing: the version before finds all but these few addresses."""
