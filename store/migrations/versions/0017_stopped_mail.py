"""Mail that a breaker stopped names the breaker, so that what waits for it is found without reading its reason.

`delivery_queue.breaker` is the provider to which the mail's stream was stopped when a worker held it; application and
lane stand beside it. Mail that was held by the version before names none, and waits for the time it was given. The
index holds stopped mail only.
"""

from alembic import op

from store.online import change, index

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change("ALTER TABLE delivery_queue ADD COLUMN IF NOT EXISTS breaker text")
    index("delivery_queue_stopped", "delivery_queue", "(application_id, lane, breaker) WHERE breaker IS NOT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE delivery_queue DROP COLUMN breaker")
