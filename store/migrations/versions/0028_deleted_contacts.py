"""The history of deleted contacts goes when its time is over: an index finds it."""

from alembic import op

from store.online import index

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    index("contact_history_deleted", "contact_history", "(at) WHERE what = 'deleted'")


def downgrade() -> None:
    op.execute("DROP INDEX contact_history_deleted")
