"""Pools that shift and ramp: assignments, overflow, rests of IPs and sender domains, warm-up plans and their ledger.

`throttles` holds one row per blamed subject and provider, and only while there is something to say; `throttle_changes`
keeps every change with its rule and reply. `warmup_days` is the ledger: what an IP may take from one provider track on
one day, and what was granted. A conditional UPDATE of that row is the only way to send through a warming IP.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

POOLS = """
ALTER TABLE pools ADD COLUMN overflow_pool_id uuid REFERENCES pools ON DELETE SET NULL,
                  ADD COLUMN reserved boolean NOT NULL DEFAULT false,
                  ADD CHECK (NOT (reserved AND is_default)),
                  ADD CHECK (overflow_pool_id IS DISTINCT FROM id);
ALTER TABLE egress_ips ADD COLUMN via text NOT NULL DEFAULT 'local',
                       ADD COLUMN paused_reason text NOT NULL DEFAULT '', ADD COLUMN changed_at timestamptz;

CREATE TABLE pool_assignments (
  kind text NOT NULL CHECK (kind IN ('application', 'domain')), subject_id uuid NOT NULL,
  lane text NOT NULL CHECK (lane IN ('transactional', 'marketing')),
  pool_id uuid NOT NULL REFERENCES pools ON DELETE CASCADE, PRIMARY KEY (kind, subject_id, lane));

ALTER TABLE api_keys DROP CONSTRAINT api_keys_permission_check,
  ADD CONSTRAINT api_keys_permission_check CHECK (permission IN ('full_access', 'sending_access', 'operator'));
ALTER TABLE delivery_queue ADD COLUMN hold text, ADD COLUMN engaged_at timestamptz;
"""

THROTTLES = """
CREATE TABLE throttles (
  kind text NOT NULL CHECK (kind IN ('ip', 'domain')), subject text NOT NULL, site text NOT NULL,
  state text NOT NULL CHECK (state IN ('throttled', 'probing', 'recovering')),
  since timestamptz NOT NULL, rest_until timestamptz, rate double precision NOT NULL, good integer NOT NULL DEFAULT 0,
  strikes integer NOT NULL DEFAULT 0, rule text NOT NULL, class text NOT NULL, reply text NOT NULL,
  stepped_at timestamptz NOT NULL, PRIMARY KEY (kind, subject, site));
CREATE TABLE throttle_changes (
  id uuid PRIMARY KEY, at timestamptz NOT NULL, kind text NOT NULL, subject text NOT NULL, site text NOT NULL,
  was text NOT NULL, became text NOT NULL, reason text NOT NULL, rule text NOT NULL DEFAULT '',
  reply text NOT NULL DEFAULT '', rest_until timestamptz, rate double precision, by text NOT NULL DEFAULT '');
CREATE INDEX throttle_changes_by_subject ON throttle_changes (kind, subject, site, id);
CREATE TABLE alarms (
  id uuid PRIMARY KEY, kind text NOT NULL, subject text NOT NULL, detail text NOT NULL,
  raised_at timestamptz NOT NULL DEFAULT now(), last_at timestamptz NOT NULL DEFAULT now(),
  count integer NOT NULL DEFAULT 1, cleared_at timestamptz);
CREATE UNIQUE INDEX alarms_open ON alarms (kind, subject) WHERE cleared_at IS NULL;
CREATE TABLE reputation_imports (
  ip text NOT NULL, provider text NOT NULL, source text NOT NULL, figure double precision NOT NULL,
  note text NOT NULL DEFAULT '', at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (ip, provider, source, at));
"""

WARMUP = """
CREATE TABLE warmup_plans (
  name text PRIMARY KEY, definition jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE warmups (
  ip text PRIMARY KEY, plan jsonb NOT NULL, state text NOT NULL CHECK (state IN ('active', 'paused', 'complete')),
  transactional text NOT NULL DEFAULT 'share' CHECK (transactional IN ('share', 'avoid', 'first')),
  moved_from text, started_at timestamptz NOT NULL DEFAULT now(), evaluated_to date, ended_at timestamptz);
CREATE TABLE warmup_tracks (
  ip text NOT NULL REFERENCES warmups ON DELETE CASCADE, track text NOT NULL, stage integer NOT NULL,
  state text NOT NULL CHECK (state IN ('active', 'complete')), stage_since date NOT NULL, progress_at date NOT NULL,
  last_used date, PRIMARY KEY (ip, track));
CREATE TABLE warmup_days (
  ip text NOT NULL, track text NOT NULL, day date NOT NULL, stage integer NOT NULL,
  cap bigint NOT NULL CHECK (cap >= 0), granted bigint NOT NULL DEFAULT 0,
  hour smallint NOT NULL DEFAULT -1, hour_base bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (ip, track, day), CHECK (granted BETWEEN 0 AND cap)) WITH (fillfactor = 50);
CREATE TABLE warmup_changes (
  id uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), ip text NOT NULL, track text NOT NULL, day date,
  change text NOT NULL, from_stage integer, to_stage integer, reason text NOT NULL, by text NOT NULL DEFAULT '');
CREATE INDEX warmup_changes_by_ip ON warmup_changes (ip, track, id);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statements in (POOLS, THROTTLES, WARMUP):
        op.execute(statements)


def downgrade() -> None:
    op.execute(
        "DROP TABLE warmup_changes, warmup_days, warmup_tracks, warmups, warmup_plans, reputation_imports, alarms,"
        " throttle_changes, throttles, pool_assignments"
    )
    op.execute("ALTER TABLE pools DROP COLUMN overflow_pool_id, DROP COLUMN reserved")
    op.execute("ALTER TABLE egress_ips DROP COLUMN via, DROP COLUMN paused_reason, DROP COLUMN changed_at")
    op.execute("ALTER TABLE delivery_queue DROP COLUMN hold, DROP COLUMN engaged_at")
    op.execute("DELETE FROM api_keys WHERE permission = 'operator'")
    op.execute(
        "ALTER TABLE api_keys DROP CONSTRAINT api_keys_permission_check, ADD CONSTRAINT api_keys_permission_check"
        " CHECK (permission IN ('full_access', 'sending_access'))"
    )
