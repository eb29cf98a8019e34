"""What became of a mail's first try is told in one row with the `email.sent` ahead of it: `ahead` is how much of the
body both have in common, and the event ahead has the row's id with its last bit cleared, so new ids have it set
(`webhooks/pairs`). A row that was taken keeps when each of both was. Follows 0057.
"""

from alembic import op

from store.online import change

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None

# 48 bits of milliseconds, version 7, variant 10, the sequence, a bit. One expression, so that it can be put inline.
IDS = """
CREATE OR REPLACE FUNCTION webhook_event_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT encode(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint << 16 | 28672)
                || int8send((-9223372036854775808)::bigint | {order}), 'hex')::uuid $$;
"""
# The body is `{"type":"…","created_at":…,"data":{…}}`; `ahead` counts octets, as the process that sends it does.
AHEAD = """
CREATE OR REPLACE FUNCTION webhook_id_ahead(row_id uuid) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (left(row_id::text, 35) || translate(right(row_id::text, 1), '13579bdf', '02468ace'))::uuid $$;
CREATE OR REPLACE FUNCTION webhook_body_ahead(type text, payload text, ahead integer) RETURNS text
  LANGUAGE sql IMMUTABLE AS $$
  SELECT '{"type":"email.sent' || convert_from(substring(convert_to(payload, 'UTF8') FROM length(type) + 10
                                                         FOR ahead - length(type) - 9), 'UTF8') || '}}' $$;
"""
EVENTS = """
ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS ahead integer,
  ADD COLUMN IF NOT EXISTS ahead_at timestamptz, ADD COLUMN IF NOT EXISTS ahead_ms integer
"""
NARROW = """
ALTER TABLE webhook_events DROP COLUMN IF EXISTS ahead, DROP COLUMN IF EXISTS ahead_at, DROP COLUMN IF EXISTS ahead_ms
"""
PART = """
WITH pair AS (
  SELECT * FROM webhook_events WHERE ahead IS NOT NULL FOR UPDATE
), parted AS (
  UPDATE webhook_events e SET ahead = NULL, once = NULL FROM pair p
   WHERE e.endpoint_id = p.endpoint_id AND e.id = p.id RETURNING p.*
)
INSERT INTO webhook_events (endpoint_id, id, type, created_at, key, once, payload, state, tries, due_at, taken_at,
       taken_url, taken_status, taken_answer, taken_ms)
SELECT endpoint_id, webhook_id_ahead(id), 'email.sent', created_at, key, once, webhook_body_ahead(type, payload, ahead),
       state, tries, due_at, ahead_at, taken_url, taken_status, taken_answer, ahead_ms FROM parted
"""


def upgrade() -> None:
    change(EVENTS)
    op.execute(IDS.format(order="(nextval('webhook_event_order') << 1) | 1"))
    op.execute(AHEAD)


def downgrade() -> None:
    """What is told in one row becomes two first."""
    op.execute(PART)
    op.execute(IDS.format(order="nextval('webhook_event_order')"))
    op.execute("DROP FUNCTION webhook_body_ahead, webhook_id_ahead")
    change(NARROW)
