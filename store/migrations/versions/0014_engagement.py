"""Opens and clicks: what is tracked per domain, what an event says of who followed a link, and who engages at all.

`engagement` of an event holds link, client and verdict of an open or click, NULL for every other event. `engaged` is
one row for each recipient of an application, of people only. `engagement_segments` says which files of hits are
written already (`outcomes/hits`), so that each hit counts once.
"""

from alembic import op

from store.online import change

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE engaged (
  application_id uuid NOT NULL, address text NOT NULL, opened_at timestamptz, clicked_at timestamptz,
  active_at timestamptz, opens integer NOT NULL DEFAULT 0, clicks integer NOT NULL DEFAULT 0,
  PRIMARY KEY (application_id, address)) WITH (fillfactor = 80);

CREATE TABLE engagement_segments (id uuid PRIMARY KEY, written_at timestamptz NOT NULL DEFAULT now());
"""


def upgrade() -> None:
    change(
        "ALTER TABLE events ADD COLUMN IF NOT EXISTS engagement jsonb",
        "ALTER TABLE domains ADD COLUMN IF NOT EXISTS open_tracking boolean NOT NULL DEFAULT false,"
        " ADD COLUMN IF NOT EXISTS click_tracking boolean NOT NULL DEFAULT false,"
        " ADD COLUMN IF NOT EXISTS tracking_subdomain text",
    )
    op.execute(TABLES)


def downgrade() -> None:
    op.execute(
        "ALTER TABLE domains DROP COLUMN open_tracking, DROP COLUMN click_tracking, DROP COLUMN tracking_subdomain"
    )
    op.execute("ALTER TABLE events DROP COLUMN engagement")
    op.execute("DROP TABLE engaged, engagement_segments")
