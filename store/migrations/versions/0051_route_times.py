"""How long routes took to answer, by the hour: each process that serves adds what it counted."""

from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

# Rows are rewritten in place all through their hour: none of what changes is in an index.
TABLE = """
CREATE TABLE route_times (
  hour timestamptz NOT NULL, face text NOT NULL, method text NOT NULL, route text NOT NULL, kind text NOT NULL,
  failed bigint NOT NULL, missed bigint NOT NULL, seconds double precision NOT NULL, counts bigint[] NOT NULL,
  PRIMARY KEY (hour, face, method, route)) WITH (fillfactor = 50)
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE route_times")
