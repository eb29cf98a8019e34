"""What a campaign's content said, as a sample of its word sequences: whether the same was sent before."""

from alembic import op

from store.online import change

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change("ALTER TABLE campaign_contents ADD COLUMN IF NOT EXISTS shingles bigint[]")


def downgrade() -> None:
    op.execute("ALTER TABLE campaign_contents DROP COLUMN shingles")
