"""Campaigns: since when anybody of the application could be heard, found out once; what was deleted, and what is tried
again, a slice of its rows at a time (`campaigns/forgetting`, `campaigns/retrying`).
"""

from alembic import op

from store.online import change

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change(
        "ALTER TABLE campaigns ADD COLUMN IF NOT EXISTS heard_since timestamptz,"
        " ADD COLUMN IF NOT EXISTS deleted_at timestamptz, ADD COLUMN IF NOT EXISTS retried_at timestamptz"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE campaigns DROP COLUMN heard_since, DROP COLUMN deleted_at, DROP COLUMN retried_at")
