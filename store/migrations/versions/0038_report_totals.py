"""Figures as running totals by the hour, and by provider too: any question is a few differences of two rows.

The totals of 0026 knew whole days of UTC and nothing of providers, so a month of a thousand domains by provider read
millions of daily sums, and a day of Berlin all hours. A line is one key of a dimension and stream, of one application
and provider, or of all of them (`*`, and the id 0). `upto` holds, of each kind, what was counted in hours that end at
`before` or earlier. `store/totals` thins out old hours to days.

Triggers on `report_hours` keep them, in the transaction that counts, whichever version folds. The tables of 0026 stay
as they are for reports of the version before; nothing adds to them any more, and a later migration drops them.
"""

from alembic import op

from store.locks import Lock
from store.online import change

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE report_lines (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, by text NOT NULL, key text NOT NULL,
  application_id uuid NOT NULL, lane text NOT NULL, provider text NOT NULL,
  UNIQUE (by, key, application_id, lane, provider));
CREATE TABLE report_totals (
  line_id integer NOT NULL REFERENCES report_lines, before timestamptz NOT NULL, upto bigint[] NOT NULL,
  PRIMARY KEY (line_id, before)) WITH (fillfactor = 80);
CREATE INDEX report_totals_by_age ON report_totals USING brin (before) WITH (pages_per_range = 32);
"""

# One hour after the other, the earliest first: totals begin as a copy of those before them. Every step asks the index
# about one line, whatever the planner believes of tables that were empty when it last looked. Nobody else adds
# meanwhile: who folds holds a lock. Dimensions with few keys have lines of all applications too; the sums of others
# find none.
TOTAL = """
CREATE FUNCTION report_total(series integer[], hours timestamptz[], counts bigint[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  this timestamptz;
  every uuid := '00000000-0000-0000-0000-000000000000';
BEGIN
  INSERT INTO report_lines (by, key, application_id, lane, provider)
  SELECT DISTINCT s.by, s.key, a.id, s.lane, p.name
    FROM report_series s CROSS JOIN LATERAL (VALUES (s.provider), ('*')) p(name)
   CROSS JOIN LATERAL (VALUES (s.application_id), (every)) a(id)
   WHERE s.id = ANY(series) AND (a.id <> every OR s.by IN ('application', 'pool', 'ip'))
     AND NOT EXISTS (SELECT FROM report_lines l WHERE l.by = s.by AND l.key = s.key AND l.application_id = a.id
       AND l.lane = s.lane AND l.provider = p.name);
  INSERT INTO report_kinds (outcome, part)
  SELECT DISTINCT s.outcome, s.part FROM report_series s
   WHERE s.id = ANY(series) AND NOT EXISTS (
     SELECT FROM report_kinds k WHERE k.outcome = s.outcome AND k.part = s.part);
  FOR this IN SELECT DISTINCT h + interval '1 hour' FROM unnest(hours) h ORDER BY 1 LOOP
    WITH told AS (
      SELECT s.by, s.key, s.application_id, s.lane, s.provider, o.id AS kind, u.n
        FROM unnest(series, hours, counts) AS u(series_id, hour, n)
        JOIN report_series s ON s.id = u.series_id JOIN report_kinds o USING (outcome, part)
       WHERE u.hour = this - interval '1 hour'
    ), sums AS MATERIALIZED (
      SELECT by, key, coalesce(application_id, every) AS application_id, lane, coalesce(provider, '*') AS provider,
             kind, sum(n)::bigint AS n
        FROM told GROUP BY GROUPING SETS (
          (by, key, application_id, lane, provider, kind), (by, key, application_id, lane, kind),
          (by, key, lane, provider, kind), (by, key, lane, kind))
    ), changes AS MATERIALIZED (
      SELECT l.id AS line_id, s.kinds, s.counts FROM (
        SELECT by, key, application_id, lane, provider, array_agg(kind ORDER BY kind) AS kinds,
               array_agg(n ORDER BY kind) AS counts FROM sums GROUP BY 1, 2, 3, 4, 5) s
        JOIN report_lines l USING (by, key, application_id, lane, provider)
    ), later AS (
      UPDATE report_totals t SET upto = report_added(t.upto, x.kinds, x.counts) FROM (
        SELECT n.place, c.kinds, c.counts FROM changes c CROSS JOIN LATERAL (
          SELECT ctid AS place FROM report_totals WHERE line_id = c.line_id AND before > this OFFSET 0) n) x
       WHERE t.ctid = x.place)
    INSERT INTO report_totals AS t (line_id, before, upto)
    SELECT c.line_id, this, report_added(coalesce(b.upto, '{}'), c.kinds, c.counts)
      FROM changes c LEFT JOIN LATERAL (
        SELECT upto FROM report_totals WHERE line_id = c.line_id AND before <= this ORDER BY before DESC LIMIT 1
      ) b ON true
        ON CONFLICT (line_id, before) DO UPDATE SET upto = excluded.upto;
  END LOOP;
END $$
"""

EVENTS = {
    "insert": ("NEW TABLE AS given", "given"),
    "update": ("OLD TABLE AS taken NEW TABLE AS given",
               "(TABLE given UNION ALL SELECT series_id, hour, -n FROM taken) changed"),
}  # fmt: skip
"""By event: the tables it hands over, and what it adds. Hours that are deleted are past their retention, which the
totals have a way of their own for."""

# What the daily sums alone still know counts as the last hour of its day.
KEPT = """
DO $$
DECLARE
  hourly date := (SELECT (min(hour) AT TIME ZONE 'UTC')::date + 1 FROM report_hours);
  this_day date;
  this timestamptz;
BEGIN
  FOR this_day IN SELECT DISTINCT day FROM report_days WHERE hourly IS NULL OR day < hourly ORDER BY 1 LOOP
    this := this_day::timestamp AT TIME ZONE 'UTC' + interval '23 hours';
    PERFORM report_total(array_agg(series_id), array_agg(this), array_agg(n)) FROM report_days WHERE day = this_day;
  END LOOP;
  FOR this IN SELECT DISTINCT hour FROM report_hours WHERE hour >= hourly::timestamp AT TIME ZONE 'UTC' ORDER BY 1 LOOP
    PERFORM report_total(array_agg(series_id), array_agg(hour), array_agg(n)) FROM report_hours WHERE hour = this;
  END LOOP;
END $$
"""


def upgrade() -> None:
    change(*(f"DROP TRIGGER IF EXISTS report_days_{event} ON report_days" for event in EVENTS))
    op.execute(TABLES)
    op.execute(TOTAL)
    # Nobody adds to the sums meanwhile: who folds tries for this lock and comes back later.
    op.execute(f"SELECT pg_advisory_xact_lock({Lock.FOLDING_COUNTS.value})")
    op.execute(KEPT)
    op.execute("ANALYZE report_lines, report_totals")
    for event, (tables, added) in EVENTS.items():
        op.execute(
            f"CREATE FUNCTION report_hours_{event}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM"
            f" report_total(array_agg(series_id), array_agg(hour), array_agg(n)) FROM {added}; RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER report_hours_{event} AFTER {event} ON report_hours REFERENCING {tables}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION report_hours_{event}()"
        )


def downgrade() -> None:
    for event in EVENTS:
        op.execute(f"DROP TRIGGER report_hours_{event} ON report_hours")
        op.execute(f"DROP FUNCTION report_hours_{event}()")
    op.execute("DROP FUNCTION report_total(integer[], timestamptz[], bigint[])")
    op.execute("DROP TABLE report_totals, report_lines")
    for event in EVENTS:
        op.execute(
            f"CREATE TRIGGER report_days_{event} AFTER {event} ON report_days REFERENCING"
            f" {EVENTS[event][0]} FOR EACH STATEMENT EXECUTE FUNCTION report_days_{event}()"
        )
