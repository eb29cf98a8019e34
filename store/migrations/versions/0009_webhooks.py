"""Webhooks: endpoints, their secrets, the outbox, and what became of each try.

`webhook_events` holds one row for each event and endpoint, written in the transaction of the fact; its `payload` is the
body that is sent, letter by letter. Ids are made by the database: time and a sequence, so that what was written later
sorts later whatever clock a writer has. `owner_id` is the application, or zeros for the operators' own endpoints, so
that one join finds both. Events have no foreign key: the hot path would pay for it, and retention sweeps what is left
of an endpoint that was deleted.
"""

from alembic import op

from store.online import change

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ENDPOINTS = """
CREATE TABLE IF NOT EXISTS webhook_endpoints (
  id uuid PRIMARY KEY, application_id uuid REFERENCES applications ON DELETE CASCADE,
  owner_id uuid NOT NULL
    GENERATED ALWAYS AS (coalesce(application_id, '00000000-0000-0000-0000-000000000000')) STORED,
  url text NOT NULL, events text[],
  status text NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'disabled')),
  disabled_reason text NOT NULL DEFAULT '', created_at timestamptz NOT NULL DEFAULT now(),
  failing_since timestamptz, failures integer NOT NULL DEFAULT 0, rest_until timestamptz,
  served_by uuid, served_until timestamptz);
CREATE TABLE IF NOT EXISTS webhook_secrets (
  id uuid PRIMARY KEY, endpoint_id uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
  sealed bytea NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz);
CREATE INDEX IF NOT EXISTS webhook_secrets_by_endpoint ON webhook_secrets (endpoint_id);
"""

# 48 bits of milliseconds, version 7, variant 10, the sequence. One expression, so that PostgreSQL can put it inline.
IDS = """
CREATE SEQUENCE webhook_event_order;
CREATE FUNCTION webhook_event_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT encode(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint << 16 | 28672)
                || int8send((-9223372036854775808)::bigint | nextval('webhook_event_order')), 'hex')::uuid $$;
"""

EVENTS = """
CREATE TABLE webhook_events (
  endpoint_id uuid NOT NULL, id uuid NOT NULL, type text NOT NULL, created_at timestamptz NOT NULL,
  key text NOT NULL, once text, payload text NOT NULL, state text NOT NULL DEFAULT 'pending'
    CHECK (state IN ('pending', 'success', 'failed')),
  tries smallint NOT NULL DEFAULT 0, due_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (endpoint_id, id));
CREATE INDEX webhook_events_due ON webhook_events (endpoint_id, due_at, id) WHERE state = 'pending';
CREATE INDEX webhook_events_tried ON webhook_events (endpoint_id, key) WHERE state = 'pending' AND tries > 0;
CREATE UNIQUE INDEX webhook_events_once ON webhook_events (endpoint_id, once) WHERE once IS NOT NULL;
CREATE TABLE webhook_attempts (
  endpoint_id uuid NOT NULL, event_id uuid NOT NULL, id uuid NOT NULL, sent_at timestamptz NOT NULL,
  url text NOT NULL, status smallint, response text NOT NULL, error text NOT NULL, duration_ms integer NOT NULL,
  PRIMARY KEY (endpoint_id, event_id, id));
"""


def upgrade() -> None:
    change(ENDPOINTS)
    op.execute(IDS)
    op.execute(EVENTS)


def downgrade() -> None:
    op.execute("DROP TABLE webhook_attempts, webhook_events, webhook_secrets, webhook_endpoints")
    op.execute("DROP FUNCTION webhook_event_id")
    op.execute("DROP SEQUENCE webhook_event_order")
