"""A topic's policy says whether people are asked once more before they get none of it."""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tapering_policies ADD COLUMN IF NOT EXISTS reconfirm boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE tapering_policies DROP COLUMN reconfirm")
