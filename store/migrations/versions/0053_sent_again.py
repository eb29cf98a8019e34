"""Which message an email repeats, where somebody sent it once more. Follows 0052."""

from store.online import change

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change(
        "ALTER TABLE emails ADD COLUMN IF NOT EXISTS again_of uuid, ADD COLUMN IF NOT EXISTS again_of_position smallint"
    )


def downgrade() -> None:
    change("ALTER TABLE emails DROP COLUMN again_of, DROP COLUMN again_of_position")
