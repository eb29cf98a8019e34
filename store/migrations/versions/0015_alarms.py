"""Alarms with severity, story and settings; breakers; who is told; seed accounts.

`alarm_changes` is the story of alarms and the list of what is still to be told. A breaker stops one stream of one
application to one provider; its row stays when it is over, because what was counted before may not trip it again.
"""

from alembic import op

from store.online import change

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ALARMS = """
CREATE TABLE alarm_changes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, alarm_id uuid NOT NULL, at timestamptz NOT NULL DEFAULT now(),
  change text NOT NULL, severity text NOT NULL, detail text NOT NULL, by text NOT NULL DEFAULT '',
  announced boolean NOT NULL DEFAULT false, mailed boolean NOT NULL DEFAULT false, taken_until timestamptz);
CREATE INDEX alarm_changes_by_alarm ON alarm_changes (alarm_id, id);
CREATE INDEX alarm_changes_to_announce ON alarm_changes (id) WHERE NOT announced;
CREATE INDEX alarm_changes_to_mail ON alarm_changes (id) WHERE NOT mailed;
CREATE TABLE alarm_rules (
  rule text PRIMARY KEY, settings jsonb NOT NULL, changed_at timestamptz NOT NULL DEFAULT now(),
  by text NOT NULL DEFAULT '');
CREATE TABLE alarm_mail (
  here boolean PRIMARY KEY DEFAULT true CHECK (here), recipients text[] NOT NULL, sender text NOT NULL,
  host text NOT NULL DEFAULT '', port integer NOT NULL DEFAULT 587, tls text NOT NULL DEFAULT 'starttls',
  login text NOT NULL DEFAULT '', sealed_password bytea, last_at timestamptz, last_email_id uuid,
  trouble text NOT NULL DEFAULT '', next_try_at timestamptz, tries integer NOT NULL DEFAULT 0);
CREATE TABLE breakers (
  application_id uuid NOT NULL, lane text NOT NULL, provider text NOT NULL, since timestamptz NOT NULL,
  until timestamptz NOT NULL, ended_at timestamptz, reason text NOT NULL, by text NOT NULL, ended_by text NOT NULL
    DEFAULT '', PRIMARY KEY (application_id, lane, provider));
"""

SEEDS = """
CREATE TABLE seeds (
  id uuid PRIMARY KEY, address text NOT NULL UNIQUE, provider text NOT NULL, host text NOT NULL, port integer NOT NULL,
  tls text NOT NULL CHECK (tls IN ('tls', 'starttls', 'none')), login text NOT NULL, sealed_password bytea NOT NULL,
  sender text NOT NULL, lane text NOT NULL, every_minutes integer NOT NULL, active boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL DEFAULT now(), due_at timestamptz NOT NULL DEFAULT now(),
  trouble text NOT NULL DEFAULT '');
CREATE TABLE seed_probes (
  id uuid PRIMARY KEY, seed_id uuid NOT NULL REFERENCES seeds ON DELETE CASCADE, email_id uuid NOT NULL,
  message_id text NOT NULL, sent_at timestamptz NOT NULL DEFAULT now(), placement text, folder text NOT NULL DEFAULT '',
  found_at timestamptz, look_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX seed_probes_by_seed ON seed_probes (seed_id, sent_at);
CREATE INDEX seed_probes_open ON seed_probes (look_at) WHERE placement IS NULL;
"""


def upgrade() -> None:
    change(
        "ALTER TABLE alarms ADD COLUMN IF NOT EXISTS severity text NOT NULL DEFAULT 'warning',"
        " ADD COLUMN IF NOT EXISTS acknowledged_at timestamptz,"
        " ADD COLUMN IF NOT EXISTS acknowledged_by text NOT NULL DEFAULT '',"
        " ADD COLUMN IF NOT EXISTS snoozed_until timestamptz"
    )
    op.execute(ALARMS)
    op.execute(SEEDS)


def downgrade() -> None:
    op.execute("DROP TABLE seed_probes, seeds, breakers, alarm_mail, alarm_rules, alarm_changes")
    op.execute(
        "ALTER TABLE alarms DROP COLUMN severity, DROP COLUMN acknowledged_at, DROP COLUMN acknowledged_by,"
        " DROP COLUMN snoozed_until"
    )
