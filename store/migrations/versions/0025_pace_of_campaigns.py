"""The pace of a campaign: until when it has used up what may leave (`campaigns/feed`)."""

from alembic import op

from store.online import change

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change("ALTER TABLE campaigns ADD COLUMN IF NOT EXISTS paced_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE campaigns DROP COLUMN paced_at")
