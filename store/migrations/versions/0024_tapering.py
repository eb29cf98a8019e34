"""How often who has gone silent gets mail of a topic, and how much of it anybody gets in a week.

A topic without a row keeps to the defaults (`audience/tapering`).
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_POLICIES = """
CREATE TABLE tapering_policies (
  topic_id uuid PRIMARY KEY, application_id uuid NOT NULL, steps jsonb NOT NULL DEFAULT '[]', silent_days integer,
  most_per_week integer, updated_at timestamptz NOT NULL DEFAULT now());
"""


def upgrade() -> None:
    op.execute(_POLICIES)


def downgrade() -> None:
    op.execute("DROP TABLE tapering_policies")
