"""Whose a step of a template's draft is: what two people typed within seconds is not undone as one.

Steps that are there already are nobody's; none of them is older than the last fifty changes.
"""

from alembic import op

from store.online import change

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change("ALTER TABLE template_steps ADD COLUMN IF NOT EXISTS user_id uuid")


def downgrade() -> None:
    op.execute("ALTER TABLE template_steps DROP COLUMN user_id")
