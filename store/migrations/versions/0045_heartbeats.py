"""Which processes there are: each writes a row of its own every few seconds."""

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

# Rows are rewritten in place: none of what changes is in an index.
TABLE = """
CREATE TABLE heartbeats (
  id uuid PRIMARY KEY, name text NOT NULL, host text NOT NULL, pid integer NOT NULL, version text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(), seen_at timestamptz NOT NULL DEFAULT now(),
  trouble text NOT NULL DEFAULT '') WITH (fillfactor = 50)
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE heartbeats")
