"""Suppressions say who added them, why and after which email; what goes or changes is kept; soft bounces are counted.

`scope` may be `<application> <topic>` too. `address` may be `@domain` or `sha256:...` (`suppression/subjects`). The new
indexes hold only entries of applications, but PostgreSQL reads the whole list to find out.
"""

from alembic import op

from store.online import change, index

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_WORD = """CASE WHEN length(scope) < 36 THEN scope WHEN length(scope) > 72
  THEN 'topic' ELSE coalesce(nullif(split_part(scope, ' ', 2), ''), 'all') END"""

HISTORY = """
CREATE TABLE suppression_history (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, suppression_id uuid NOT NULL, address text NOT NULL COLLATE "C",
  scope text NOT NULL, reason text NOT NULL, source text NOT NULL, detail text NOT NULL, note text NOT NULL,
  created_at timestamptz NOT NULL, expires_at timestamptz, owner_id uuid, source_id uuid, actor text NOT NULL,
  ended text NOT NULL CHECK (ended IN ('removed', 'replaced', 'expired')), ended_at timestamptz NOT NULL DEFAULT now(),
  ended_by text NOT NULL, why text NOT NULL);
CREATE INDEX suppression_history_by_address ON suppression_history (address, id);
CREATE INDEX suppression_history_by_suppression ON suppression_history (suppression_id, id);
"""

SOFT_BOUNCES = """
CREATE TABLE soft_bounces (
  address text NOT NULL COLLATE "C", kind text NOT NULL, count integer NOT NULL, days date[] NOT NULL,
  first_at timestamptz NOT NULL, last_at timestamptz NOT NULL, reply text NOT NULL, email_id uuid NOT NULL,
  delivered_at timestamptz, delivered_email_id uuid, PRIMARY KEY (address, kind)
) WITH (fillfactor = 80);
CREATE INDEX soft_bounces_by_age ON soft_bounces (last_at);
"""

IMPORTS = """
CREATE TABLE suppression_imports (
  id uuid PRIMARY KEY, fingerprint text NOT NULL, name text NOT NULL, actor text NOT NULL,
  line bigint NOT NULL DEFAULT 0, added bigint NOT NULL DEFAULT 0, known bigint NOT NULL DEFAULT 0,
  passed bigint NOT NULL DEFAULT 0, wrong bigint NOT NULL DEFAULT 0, started_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz);
CREATE UNIQUE INDEX suppression_imports_unfinished ON suppression_imports (fingerprint) WHERE finished_at IS NULL;
"""


def upgrade() -> None:
    # Not validated: every older row has a form that is allowed still, and reading millions would hold the lock.
    change(
        "ALTER TABLE suppressions ADD COLUMN IF NOT EXISTS note text NOT NULL DEFAULT '',"
        " ADD COLUMN IF NOT EXISTS source_id uuid, ADD COLUMN IF NOT EXISTS actor text NOT NULL DEFAULT '',"
        " DROP CONSTRAINT IF EXISTS suppressions_scope_check,"
        " ADD CONSTRAINT suppressions_scope_check CHECK (scope IN ('all', 'transactional', 'marketing')"
        f" OR scope ~ '^{_ID}( (transactional|marketing|{_ID}))?$') NOT VALID"
    )
    # The expressions are those of `suppression/query`, word for word.
    for name, kind in (("application", "left(scope, 36)"), ("word", f"({_WORD})")):
        index(f"suppressions_by_{name}", "suppressions", f"(({kind} || ' ' || reason), id) WHERE length(scope) > 35")
    for statements in (HISTORY, SOFT_BOUNCES, IMPORTS):
        op.execute(statements)


def downgrade() -> None:
    op.execute("DROP TABLE suppression_history, soft_bounces, suppression_imports")
    op.execute("DROP INDEX suppressions_by_application, suppressions_by_word")
    op.execute(f"DELETE FROM suppressions WHERE scope ~ '^{_ID} {_ID}$' OR address NOT LIKE '_%@%'")
    op.execute(
        "ALTER TABLE suppressions DROP COLUMN note, DROP COLUMN source_id, DROP COLUMN actor,"
        " DROP CONSTRAINT suppressions_scope_check, ADD CONSTRAINT suppressions_scope_check CHECK (scope IN"
        f" ('all', 'transactional', 'marketing') OR scope ~ '^{_ID}( (transactional|marketing))?$') NOT VALID"
    )
