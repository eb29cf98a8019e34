"""Who may use the console, their sessions and one-time links, and what was changed by whom."""

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE console_users (
  id uuid PRIMARY KEY, email text NOT NULL, key text NOT NULL UNIQUE, name text NOT NULL DEFAULT '',
  role text NOT NULL, applications uuid[] NOT NULL DEFAULT '{}', password_hash text, sealed_totp bytea,
  totp_step bigint NOT NULL DEFAULT 0, zone text NOT NULL DEFAULT '', created_at timestamptz NOT NULL DEFAULT now(),
  signed_in_at timestamptz, disabled_at timestamptz);

CREATE TABLE console_sessions (
  id uuid PRIMARY KEY, user_id uuid NOT NULL REFERENCES console_users ON DELETE CASCADE,
  token_hash bytea NOT NULL UNIQUE, zone text NOT NULL DEFAULT '', ip text NOT NULL, agent text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(), seen_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX console_sessions_of_user ON console_sessions (user_id);

CREATE TABLE console_links (
  token_hash bytea PRIMARY KEY, user_id uuid REFERENCES console_users ON DELETE CASCADE, purpose text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz NOT NULL);

CREATE TABLE audit_log (
  id uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), actor text NOT NULL, actor_id uuid, door text NOT NULL,
  ip text NOT NULL DEFAULT '', action text NOT NULL, subject_kind text NOT NULL, subject text NOT NULL,
  application_id uuid, before jsonb, after jsonb);
CREATE INDEX audit_log_of_subject ON audit_log (subject_kind, subject, id);
CREATE INDEX audit_log_of_actor ON audit_log (actor_id, id);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE audit_log, console_links, console_sessions, console_users")
