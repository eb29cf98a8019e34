"""An index of mail of campaigns that waits for an IP, so that the feed knows at each turn for which destinations there
is enough of it. Mail that is sent at once never is in it.
"""

from alembic import op

from store.online import index

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    index(
        "delivery_queue_held_of_campaigns",
        "delivery_queue",
        "(campaign_id, destination, due_at) WHERE campaign_id IS NOT NULL AND hold IS NOT NULL",
    )


def downgrade() -> None:
    op.execute("DROP INDEX delivery_queue_held_of_campaigns")
