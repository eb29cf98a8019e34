"""Mail that a breaker stopped names the breaker, so that what waits for it is found without reading its reason.

`delivery_queue.breaker` is the provider to which the mail's stream was stopped when a worker held it; application and
lane stand beside it. Mail that was held by the version before names none, and waits for the time it was given. The
index holds stopped mail only.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

INDEX = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS delivery_queue_stopped ON delivery_queue (application_id, lane, breaker)
 WHERE breaker IS NOT NULL
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE delivery_queue ADD COLUMN IF NOT EXISTS breaker text")
    with op.get_context().autocommit_block():
        op.execute(INDEX)


def downgrade() -> None:
    op.execute("ALTER TABLE delivery_queue DROP COLUMN breaker")
