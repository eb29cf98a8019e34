"""Endpoints of webhooks are found by their owner, in the order of their ids: each event looks for those it is told to,
and went through all there are. Follows 0056.
"""

from alembic import op

from store.online import index

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None


def upgrade() -> None:
    index("webhook_endpoints_of_owner", "webhook_endpoints", "(owner_id, id)")


def downgrade() -> None:
    op.execute("DROP INDEX webhook_endpoints_of_owner")
