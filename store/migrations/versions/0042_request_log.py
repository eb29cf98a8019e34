"""The log of requests to the API, and the index that a webhook's failed events are counted by.

`request_log` names applications and keys without referring to them: what is written in the background must not fail
over one that was deleted a moment ago, and after some days every row is forgotten anyway.
"""

from alembic import op

from store.online import index

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE IF NOT EXISTS request_log (
  id uuid PRIMARY KEY, created_at timestamptz NOT NULL, application_id uuid NOT NULL, key_id uuid NOT NULL,
  test boolean NOT NULL, method text NOT NULL, path text NOT NULL, status smallint NOT NULL,
  milliseconds real NOT NULL, user_agent text NOT NULL, error text NOT NULL, stands_for integer NOT NULL,
  request_body text NOT NULL, response_body text NOT NULL);
CREATE INDEX IF NOT EXISTS request_log_of_application ON request_log (application_id, id);
CREATE INDEX IF NOT EXISTS request_log_failed ON request_log (application_id, id) WHERE status >= 400;
"""


def upgrade() -> None:
    index("webhook_events_failed", "webhook_events", "(endpoint_id, id) WHERE state = 'failed'")
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE request_log")
    op.execute("DROP INDEX webhook_events_failed")
