"""Figures for reports: what happened, by whose mail it was, kept so that nobody has to count rows of mail.

`count_deltas` is added to by whoever records something, in the same transaction, and emptied by a background duty
into `report_hours` and `report_days`. A series is one combination of labels; its numbers are 20 bytes a row. `by` says
which one of the dimensions that do not cross each other `key` is of. `events.pool_id` lets late news count for the
pool that the mail left through.
"""

from alembic import op

from store.online import change

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE count_deltas (
  hour timestamptz NOT NULL DEFAULT date_trunc('hour', now(), 'UTC'), application_id uuid NOT NULL,
  domain_id uuid NOT NULL, topic_id uuid, pool_id uuid, tags text[], lane text NOT NULL, provider text NOT NULL,
  ip text NOT NULL, outcome text NOT NULL, part text NOT NULL, n integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_vacuum_insert_threshold = -1, vacuum_truncate = false);

CREATE TABLE report_series (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, by text NOT NULL, key text NOT NULL,
  application_id uuid NOT NULL, lane text NOT NULL, provider text NOT NULL, outcome text NOT NULL, part text NOT NULL,
  UNIQUE (by, application_id, key, lane, provider, outcome, part));
CREATE TABLE report_hours (
  series_id integer NOT NULL REFERENCES report_series, hour timestamptz NOT NULL, n bigint NOT NULL,
  PRIMARY KEY (series_id, hour)) WITH (fillfactor = 80);
CREATE INDEX report_hours_by_age ON report_hours USING brin (hour) WITH (pages_per_range = 32);
CREATE TABLE report_days (
  series_id integer NOT NULL REFERENCES report_series, day date NOT NULL, n bigint NOT NULL,
  PRIMARY KEY (series_id, day)) WITH (fillfactor = 80);
CREATE TABLE report_tags (
  application_id uuid NOT NULL, tag text NOT NULL, seen date NOT NULL, PRIMARY KEY (application_id, tag));
"""


def upgrade() -> None:
    change("ALTER TABLE events ADD COLUMN IF NOT EXISTS pool_id uuid")
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("ALTER TABLE events DROP COLUMN pool_id")
    op.execute("DROP TABLE count_deltas, report_hours, report_days, report_series, report_tags")
