"""Figures as running totals: how far the counts of each key had come at the end of each day.

What happened between two days is the difference of two rows, however long the time between them is; daily sums of all
series would be millions of rows for a month of a thousand domains. A key is of one dimension and stream; providers are
added up in it. `upto` holds the total since ever of each kind (outcome and part), at the place of the kind's id.

Triggers on `report_days` keep them, in the transaction that counts: so they are right while a version before this one
still folds. Who is late for an earlier day raises every later mark too.
"""

from alembic import op

from store.locks import Lock

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE report_keys (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, by text NOT NULL, key text NOT NULL,
  application_id uuid NOT NULL, lane text NOT NULL, UNIQUE (by, application_id, key, lane));
CREATE TABLE report_kinds (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, outcome text NOT NULL, part text NOT NULL,
  UNIQUE (outcome, part));
CREATE TABLE report_marks (
  key_id integer NOT NULL REFERENCES report_keys, day date NOT NULL, upto bigint[] NOT NULL,
  PRIMARY KEY (key_id, day)) WITH (fillfactor = 80);
"""

# Only the places that change: most changes are of a few kinds. `kinds` are in order.
ADDED = """
CREATE FUNCTION report_added(upto bigint[], kinds integer[], counts bigint[]) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE missing integer := kinds[cardinality(kinds)] - cardinality(upto);
BEGIN
  IF missing > 0 THEN
    upto := upto || array_fill(0::bigint, ARRAY[missing]);
  END IF;
  FOR i IN 1 .. cardinality(kinds) LOOP
    upto[kinds[i]] := upto[kinds[i]] + counts[i];
  END LOOP;
  RETURN upto;
END $$
"""

# One day after the other, the earliest first: a mark begins as a copy of the one before it. By the indexes, whatever
# the planner believes of tables that were empty when it last looked.
MARK = """
CREATE FUNCTION report_mark(series integer[], days date[], counts bigint[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE this date;
BEGIN
  INSERT INTO report_keys (by, key, application_id, lane)
  SELECT DISTINCT s.by, s.key, s.application_id, s.lane FROM report_series s
   WHERE s.id = ANY(series) AND NOT EXISTS (SELECT FROM report_keys k WHERE k.by = s.by
     AND k.application_id = s.application_id AND k.key = s.key AND k.lane = s.lane);
  INSERT INTO report_kinds (outcome, part)
  SELECT DISTINCT s.outcome, s.part FROM report_series s
   WHERE s.id = ANY(series) AND NOT EXISTS (
     SELECT FROM report_kinds k WHERE k.outcome = s.outcome AND k.part = s.part);
  FOR this IN SELECT DISTINCT d FROM unnest(days) d ORDER BY 1 LOOP
    WITH sums AS (
      SELECT k.id AS key_id, o.id AS kind, sum(u.n)::bigint AS n
        FROM unnest(series, days, counts) AS u(series_id, day, n)
        JOIN report_series s ON s.id = u.series_id
        JOIN report_keys k USING (by, application_id, key, lane)
        JOIN report_kinds o USING (outcome, part)
       WHERE u.day = this GROUP BY 1, 2
    ), changes AS MATERIALIZED (
      SELECT key_id, array_agg(kind ORDER BY kind) AS kinds, array_agg(n ORDER BY kind) AS counts
        FROM sums GROUP BY 1
    ), later AS (
      UPDATE report_marks m SET upto = report_added(m.upto, c.kinds, c.counts)
        FROM changes c WHERE m.key_id = c.key_id AND m.day >= this)
    INSERT INTO report_marks (key_id, day, upto)
    SELECT c.key_id, this, report_added(coalesce(b.upto, '{}'), c.kinds, c.counts)
      FROM changes c LEFT JOIN LATERAL (
        SELECT m.upto FROM report_marks m WHERE m.key_id = c.key_id AND m.day < this ORDER BY m.day DESC LIMIT 1
      ) b ON true
     WHERE NOT EXISTS (SELECT FROM report_marks m WHERE m.key_id = c.key_id AND m.day = this);
  END LOOP;
END $$
"""

TRIGGERS = {
    "insert": ("NEW TABLE AS given", "given"),
    "update": ("OLD TABLE AS taken NEW TABLE AS given",
               "(TABLE given UNION ALL SELECT series_id, day, -n FROM taken) changed"),
}  # fmt: skip
"""By event: the tables it hands over, and what it adds. Daily sums that are deleted are past their retention, which the
marks have a way of their own for (`store/marks`)."""

KNOWN = """
INSERT INTO report_keys (by, key, application_id, lane)
SELECT DISTINCT by, key, application_id, lane FROM report_series;
INSERT INTO report_kinds (outcome, part)
SELECT outcome, part FROM report_series GROUP BY 1, 2 ORDER BY count(*) DESC;
ANALYZE report_keys, report_kinds;
"""
"""The most frequent kinds first: the totals of a key end with the last kind it has."""

KEPT = """
INSERT INTO report_marks (key_id, day, upto)
WITH daily AS MATERIALIZED (
  SELECT k.id AS key_id, o.id AS kind, d.day, sum(d.n)::bigint AS n
    FROM report_days d JOIN report_series s ON s.id = d.series_id
    JOIN report_keys k USING (by, application_id, key, lane) JOIN report_kinds o USING (outcome, part)
   GROUP BY 1, 2, 3
), places AS (
  SELECT days.key_id, days.day, kinds.kind FROM (SELECT DISTINCT key_id, day FROM daily) days
    JOIN (SELECT key_id, generate_series(1, max(kind)) AS kind FROM daily GROUP BY 1) kinds USING (key_id)
)
SELECT key_id, day, array_agg(upto ORDER BY kind) FROM (
  SELECT key_id, day, kind, coalesce(sum(n) OVER (PARTITION BY key_id, kind ORDER BY day), 0)::bigint AS upto
    FROM places LEFT JOIN daily USING (key_id, day, kind)) totals
 GROUP BY 1, 2;
ANALYZE report_marks;
"""


def upgrade() -> None:
    for statement in (TABLES, ADDED, MARK):
        op.execute(statement)
    # Nobody adds to the daily sums meanwhile: who folds tries for this lock and comes back later.
    op.execute(f"SELECT pg_advisory_xact_lock({Lock.FOLDING_COUNTS.value})")
    op.execute(KNOWN)
    op.execute(KEPT)
    for event, (tables, added) in TRIGGERS.items():
        op.execute(
            f"CREATE FUNCTION report_days_{event}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM"
            f" report_mark(array_agg(series_id), array_agg(day), array_agg(n)) FROM {added}; RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER report_days_{event} AFTER {event} ON report_days REFERENCING {tables}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION report_days_{event}()"
        )


def downgrade() -> None:
    for event in TRIGGERS:
        op.execute(f"DROP TRIGGER report_days_{event} ON report_days")
        op.execute(f"DROP FUNCTION report_days_{event}()")
    op.execute("DROP FUNCTION report_mark(integer[], date[], bigint[])")
    op.execute("DROP FUNCTION report_added(bigint[], integer[], bigint[])")
    op.execute("DROP TABLE report_marks, report_keys, report_kinds")
