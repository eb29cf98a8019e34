"""What an application lists of the suppressions: its own entries, by reason, by address and by domain.

The expressions are those of `suppression/query`, word for word. The indexes hold entries that an application added or
whose mail led to them; a list that operators import is in none of them. Built beside the running version.
"""

from alembic import op

from store.online import index

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_OWN = "CASE WHEN length(scope) > 35 THEN left(scope, 36) ELSE owner_id::text END"

_INDEXES = {
    "suppressions_own_by_reason": f"((({_OWN}) || ' ' || reason), id)",
    "suppressions_own_by_address": f"(({_OWN}), address, scope)",
    "suppressions_own_by_domain": f"((({_OWN}) || ' ' || split_part(address, '@', 2)), id)",
}


def upgrade() -> None:
    for name, columns in _INDEXES.items():
        index(name, "suppressions", f"{columns} WHERE ({_OWN}) IS NOT NULL")


def downgrade() -> None:
    op.execute(f"DROP INDEX {', '.join(_INDEXES)}")
