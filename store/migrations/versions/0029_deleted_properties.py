"""A property that is deleted is out of sight at once; its values go in steps, and until then its key is taken."""

from store.online import change

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change("ALTER TABLE contact_properties ADD COLUMN IF NOT EXISTS deleted_at timestamptz")


def downgrade() -> None:
    change("ALTER TABLE contact_properties DROP COLUMN IF EXISTS deleted_at")
