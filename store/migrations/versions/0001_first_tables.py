"""First tables: accounts, domains, pools, emails, queue, suppression, outcomes.

Tables of mail (`emails contents attachments messages events`) are partitioned by day on the UUIDv7 of the email, so
an email id alone finds its partition and a primary key can be the id itself. `delivery_queue` is small by design:
a row lives as long as its message is on its way.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ACCOUNTS = """
CREATE TABLE applications (
  id uuid PRIMARY KEY, name text NOT NULL UNIQUE, created_at timestamptz NOT NULL DEFAULT now());

CREATE TABLE pools (
  id uuid PRIMARY KEY, name text NOT NULL UNIQUE,
  lane text NOT NULL CHECK (lane IN ('transactional', 'marketing')),
  is_default boolean NOT NULL DEFAULT false, created_at timestamptz NOT NULL DEFAULT now());
CREATE UNIQUE INDEX pools_one_default_per_lane ON pools (lane) WHERE is_default;

CREATE TABLE egress_ips (
  id uuid PRIMARY KEY, address text NOT NULL UNIQUE, bind_address text NOT NULL, ehlo_name text NOT NULL,
  active boolean NOT NULL DEFAULT true, created_at timestamptz NOT NULL DEFAULT now());

CREATE TABLE pool_ips (
  pool_id uuid NOT NULL REFERENCES pools ON DELETE CASCADE,
  egress_ip_id uuid NOT NULL REFERENCES egress_ips ON DELETE CASCADE,
  weight integer NOT NULL DEFAULT 1 CHECK (weight >= 0),
  PRIMARY KEY (pool_id, egress_ip_id));

CREATE TABLE domains (
  id uuid PRIMARY KEY, application_id uuid NOT NULL REFERENCES applications ON DELETE CASCADE,
  name text NOT NULL, return_path_domain text NOT NULL, status text NOT NULL DEFAULT 'not_started'
    CHECK (status IN ('not_started', 'pending', 'verified', 'failed', 'temporary_failure')),
  record_status jsonb NOT NULL DEFAULT '{}', created_at timestamptz NOT NULL DEFAULT now(), checked_at timestamptz,
  UNIQUE (application_id, name));

CREATE TABLE dkim_keys (
  id uuid PRIMARY KEY, domain_id uuid NOT NULL REFERENCES domains ON DELETE CASCADE, selector text NOT NULL,
  algorithm text NOT NULL CHECK (algorithm IN ('rsa', 'ed25519')),
  sealed_private_key bytea NOT NULL, public_key text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (domain_id, selector));

CREATE TABLE api_keys (
  id uuid PRIMARY KEY, application_id uuid NOT NULL REFERENCES applications ON DELETE CASCADE, name text NOT NULL,
  token_hash bytea NOT NULL UNIQUE, hint text NOT NULL,
  permission text NOT NULL CHECK (permission IN ('full_access', 'sending_access')),
  domain_id uuid REFERENCES domains ON DELETE CASCADE, created_at timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz);

CREATE TABLE suppressions (
  id uuid PRIMARY KEY, address text NOT NULL,
  scope text NOT NULL CHECK (scope IN ('all', 'transactional', 'marketing')),
  reason text NOT NULL, source text NOT NULL, detail text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz,
  UNIQUE (address, scope));

CREATE TABLE idempotency_keys (
  application_id uuid NOT NULL, key text NOT NULL, request_hash bytea NOT NULL, response bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (application_id, key));
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
"""

MAIL = """
CREATE TABLE emails (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, domain_id uuid NOT NULL, lane text NOT NULL, pool_id uuid,
  content_id uuid NOT NULL, created_at timestamptz NOT NULL, sender text NOT NULL, subject text NOT NULL,
  "to" text[] NOT NULL, cc text[] NOT NULL, bcc text[] NOT NULL, reply_to text[] NOT NULL,
  tags jsonb NOT NULL DEFAULT '[]', message_id text NOT NULL, scheduled_at timestamptz, expires_at timestamptz
) PARTITION BY RANGE (id);
CREATE INDEX emails_by_application ON emails (application_id, id);

CREATE TABLE contents (
  id uuid PRIMARY KEY, html text, body text, headers jsonb NOT NULL DEFAULT '[]', raw bytea,
  attachment_count smallint NOT NULL DEFAULT 0, size integer NOT NULL
) PARTITION BY RANGE (id);

CREATE TABLE attachments (
  content_id uuid NOT NULL, position smallint NOT NULL, filename text NOT NULL, content_type text NOT NULL,
  content_cid text NOT NULL DEFAULT '', data bytea NOT NULL, PRIMARY KEY (content_id, position)
) PARTITION BY RANGE (content_id);
ALTER TABLE attachments ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE messages (
  email_id uuid NOT NULL, position smallint NOT NULL, recipient text NOT NULL, address text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('to', 'cc', 'bcc')), state text NOT NULL, attempts smallint NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL, PRIMARY KEY (email_id, position)
) PARTITION BY RANGE (email_id);
CREATE INDEX messages_by_address ON messages (address);

CREATE TABLE events (
  email_id uuid NOT NULL, position smallint NOT NULL, at timestamptz NOT NULL, kind text NOT NULL,
  attempt smallint, ip text, provider text, mx text, tls text, phase text, code smallint, enhanced text, reply text,
  action text, class text, scope text, rule text, detail text, next_attempt_at timestamptz, duration_ms integer
) PARTITION BY RANGE (email_id);
CREATE INDEX events_by_email ON events (email_id, position);

CREATE TABLE delivery_queue (
  email_id uuid NOT NULL, position smallint NOT NULL, lane text NOT NULL, destination text NOT NULL,
  recipient text NOT NULL, address text NOT NULL, due_at timestamptz NOT NULL, attempts smallint NOT NULL DEFAULT 0,
  claimed_by uuid, claimed_at timestamptz, last_ip text, expires_at timestamptz,
  PRIMARY KEY (email_id, position)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.1);
CREATE INDEX delivery_queue_due ON delivery_queue (lane, destination, due_at);
CREATE INDEX delivery_queue_claims ON delivery_queue (claimed_by) WHERE claimed_by IS NOT NULL;

CREATE TABLE outcome_counts (
  hour timestamptz NOT NULL, lane text NOT NULL, provider text NOT NULL, ip text NOT NULL, outcome text NOT NULL,
  shard smallint NOT NULL, n bigint NOT NULL, PRIMARY KEY (hour, lane, provider, ip, outcome, shard)
) WITH (fillfactor = 50);

CREATE TABLE inbound_mail (
  id uuid PRIMARY KEY, received_at timestamptz NOT NULL DEFAULT now(), envelope_to text NOT NULL,
  raw bytea NOT NULL, result text);
CREATE INDEX inbound_mail_waiting ON inbound_mail (received_at) WHERE result IS NULL;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(ACCOUNTS)
    op.execute(MAIL)
    for table in ("emails", "contents", "attachments", "messages", "events"):
        # Catches ids from a clock that is far off; the daily partitions come from store/partitions.py.
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")


def downgrade() -> None:
    raise RuntimeError("the first migration is not undone: drop the database instead")
