"""The template that mail was made of, and that a campaign was: said in events, in the detail of an email and of a
broadcast."""

from store.online import change

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change(
        "ALTER TABLE emails ADD COLUMN IF NOT EXISTS template_id uuid",
        "ALTER TABLE campaigns ADD COLUMN IF NOT EXISTS template_id uuid",
    )


def downgrade() -> None:
    change("ALTER TABLE emails DROP COLUMN template_id", "ALTER TABLE campaigns DROP COLUMN template_id")
