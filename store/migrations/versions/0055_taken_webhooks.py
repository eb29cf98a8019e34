"""An event of a webhook that is taken at the first try keeps that attempt itself: a row less for nearly every event,
and its place in an index. `webhook_attempts` has all others, and those of the version before. Endpoints keep when
something was taken last. Follows 0054.
"""

from store.online import change

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None

EVENTS = """
ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS taken_at timestamptz,
  ADD COLUMN IF NOT EXISTS taken_url text, ADD COLUMN IF NOT EXISTS taken_status smallint,
  ADD COLUMN IF NOT EXISTS taken_answer text, ADD COLUMN IF NOT EXISTS taken_ms integer
"""
ENDPOINTS = "ALTER TABLE webhook_endpoints ADD COLUMN IF NOT EXISTS taken_at timestamptz"


def upgrade() -> None:
    change(EVENTS, ENDPOINTS)


def downgrade() -> None:
    change(
        """
        ALTER TABLE webhook_events DROP COLUMN IF EXISTS taken_at, DROP COLUMN IF EXISTS taken_url,
          DROP COLUMN IF EXISTS taken_status, DROP COLUMN IF EXISTS taken_answer, DROP COLUMN IF EXISTS taken_ms
        """,
        "ALTER TABLE webhook_endpoints DROP COLUMN IF EXISTS taken_at",
    )
