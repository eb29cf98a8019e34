"""Whom a provider of OpenID Connect let in, kept when their identity is forgotten; processes that ended, and whom a new
one succeeds, so that one that hangs is not taken for replaced. Follows 0051.
"""

from alembic import op

from store.online import change

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change(
        "ALTER TABLE console_users ADD COLUMN IF NOT EXISTS made_by_provider boolean NOT NULL DEFAULT false",
        "ALTER TABLE heartbeats ADD COLUMN IF NOT EXISTS left_at timestamptz, ADD COLUMN IF NOT EXISTS succeeds uuid",
        "UPDATE console_users u SET made_by_provider = true"
        " FROM console_identities i WHERE i.user_id = u.id AND i.made AND NOT u.made_by_provider",
    )


def downgrade() -> None:
    op.execute("ALTER TABLE heartbeats DROP COLUMN left_at, DROP COLUMN succeeds")
    op.execute("ALTER TABLE console_users DROP COLUMN made_by_provider")
