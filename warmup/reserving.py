"""The statements of the ledger. `warmup/shares` says the same in Python, for people.

`RESERVE` goes through these steps in one statement, which is one transaction:

- `ruled`: the wishes by IP and track, with the plan's rule for this moment: day, hour, slice. The time is `now()`, read
  in one place. No lock: a stage that changes at the same moment is brought into today's row by `SYNC`.
- `locked`: the rows of today that exist, locked in the order of their key, in their newest version.
- `shared`: how much of each wish is granted.
- `taken`: `granted + n <= cap`, as a condition of the UPDATE.
- `made`: the first use of a day makes its row. If somebody else makes it at the same moment, nothing is granted here
  and the caller asks again.

No deadlock: a statement first locks the rows it sees, in the order of their key, and only then inserts new ones in that
order (the sort in `made` has read all of `locked` before the first row is written). So one that waits for a lock has
inserted nothing, and one that waits for an insert waits for somebody who has all his locks and goes on to higher keys.
"""

from typing import Final

SNAPSHOT: Final = """
SELECT w.ip, t.track, t.stage, jsonb_array_length(w.plan->'stages'), t.state = 'active', w.transactional
  FROM warmups w JOIN warmup_tracks t USING (ip)
"""

RESERVE: Final = """
WITH clock AS (SELECT now() AS at),
wanted AS (
  SELECT u.ip, CASE WHEN w.plan->'caps' ? u.provider THEN u.provider ELSE '*' END AS track,
         array_agg(u.provider) AS providers, sum(u.transactional)::bigint AS transactional_n,
         sum(u.marketing)::bigint AS marketing_n
    FROM unnest(%(ips)s::text[], %(providers)s::text[], %(transactional)s::bigint[], %(marketing)s::bigint[])
         AS u(ip, provider, transactional, marketing) LEFT JOIN warmups w ON w.ip = u.ip
   GROUP BY 1, 2
), planned AS (
  SELECT u.*, w.ip IS NULL OR coalesce(t.state = 'complete', false) AS free, t.track IS NOT NULL AS known,
         w.plan, w.transactional, t.stage, (w.plan->'caps'->u.track->>(t.stage - 1))::bigint AS plan_cap,
         (w.plan->>'hour_limit')::float8 AS hour_limit, clock.at,
         (clock.at AT TIME ZONE (w.plan->>'zone'))::date AS day,
         (w.plan->'hours'->>0)::int AS first_hour, (w.plan->'hours'->>1)::int AS last_hour
    FROM clock, wanted u LEFT JOIN warmups w ON w.ip = u.ip
         LEFT JOIN warmup_tracks t ON t.ip = u.ip AND t.track = u.track
), hours AS (
  SELECT p.*, (p.day + make_interval(hours => p.first_hour)) AT TIME ZONE (p.plan->>'zone') AS opens,
         (p.day + make_interval(hours => p.last_hour)) AT TIME ZONE (p.plan->>'zone') AS closes
    FROM planned p
), ruled AS MATERIALIZED (
  SELECT h.*, sending, total, this_hour,
         least(11, floor((elapsed - 3600 * this_hour) / 300))::int AS this_slice
    FROM hours h, LATERAL (
      SELECT at >= opens AND at < closes AS sending, extract(epoch FROM at - opens)::float8 AS elapsed,
             greatest(1, floor(extract(epoch FROM closes - opens) / 3600))::int AS total) a, LATERAL (
      SELECT least(total - 1, floor(elapsed / 3600))::int AS this_hour) b
), locked AS MATERIALIZED (
  SELECT d.ip, d.track, d.stage, d.cap, d.granted, d.hour, d.hour_base
    FROM ruled r JOIN warmup_days d ON d.ip = r.ip AND d.track = r.track AND d.day = r.day
   WHERE r.known AND NOT r.free ORDER BY d.ip, d.track FOR UPDATE OF d
), used AS (
  SELECT r.*, l.ip IS NOT NULL AS there, coalesce(l.stage, r.stage) AS row_stage, coalesce(l.cap, r.plan_cap) AS cap,
         coalesce(l.granted, 0) AS granted,
         CASE WHEN l.hour = r.this_hour THEN l.hour_base ELSE coalesce(l.granted, 0) END AS base
    FROM ruled r LEFT JOIN locked l ON l.ip = r.ip AND l.track = r.track
), shared AS MATERIALIZED (
  SELECT u.*, share, for_transactional, for_marketing
    FROM used u, LATERAL (
      SELECT CASE WHEN sending THEN least(ceil((cap - base)::numeric / (total - this_hour))::bigint,
                                          ceil(cap * greatest(hour_limit, 1.0::float8 / total))::bigint)
                  ELSE 0 END AS share) a, LATERAL (
      SELECT least(cap, base + share) - granted AS whole,
             least(cap, base + ceil(share * (this_slice + 1) / 12.0)::bigint) - granted AS open) b, LATERAL (
      SELECT least(transactional_n, greatest(0, CASE transactional WHEN 'avoid' THEN 0 WHEN 'first' THEN whole
                                                                   ELSE open END)) AS for_transactional) c, LATERAL (
      SELECT least(marketing_n, greatest(0, open - for_transactional)) AS for_marketing) d
   WHERE known AND NOT free
), taken AS (
  UPDATE warmup_days d
     SET granted = d.granted + s.for_transactional + s.for_marketing, hour = s.this_hour, hour_base = s.base
    FROM shared s
   WHERE s.there AND s.for_transactional + s.for_marketing > 0 AND d.ip = s.ip AND d.track = s.track AND d.day = s.day
     AND d.granted + s.for_transactional + s.for_marketing <= d.cap
  RETURNING d.ip, d.track
), made AS (
  INSERT INTO warmup_days (ip, track, day, stage, cap, granted, hour, hour_base)
  SELECT ip, track, day, stage, cap, for_transactional + for_marketing, this_hour, 0 FROM shared
   WHERE NOT there AND for_transactional + for_marketing > 0 ORDER BY ip, track
  ON CONFLICT DO NOTHING RETURNING ip, track
), done AS (SELECT * FROM taken UNION ALL SELECT * FROM made)
SELECT r.ip, r.track, r.providers, r.at, r.day, r.transactional,
       CASE WHEN s.for_transactional + s.for_marketing < r.transactional_n + r.marketing_n THEN r.plan END AS plan,
       s.row_stage AS stage, s.cap,
       CASE WHEN r.free THEN 'free' WHEN NOT r.known THEN 'unknown'
            WHEN done.ip IS NULL AND s.for_transactional + s.for_marketing > 0 THEN 'again' ELSE 'ruled' END AS verdict,
       s.for_transactional, s.for_marketing, s.granted + s.for_transactional + s.for_marketing AS granted,
       CASE WHEN r.sending THEN r.this_hour ELSE -1 END AS hour, s.base AS hour_base
  FROM ruled r LEFT JOIN shared s USING (ip, track) LEFT JOIN done USING (ip, track)
"""

GIVE_BACK: Final = """
WITH unused AS (
  SELECT * FROM unnest(%(ips)s::text[], %(tracks)s::text[], %(days)s::date[], %(n)s::bigint[]) AS u(ip, track, day, n)
), locked AS MATERIALIZED (
  SELECT d.ip, d.track, d.day, greatest(0, d.granted - u.n) AS left
    FROM unused u JOIN warmup_days d USING (ip, track, day) ORDER BY d.ip, d.track, d.day FOR UPDATE OF d
)
UPDATE warmup_days d SET granted = l.left, hour_base = least(d.hour_base, l.left)
  FROM locked l WHERE d.ip = l.ip AND d.track = l.track AND d.day = l.day
"""

# Brings today's row to the stage its track has now. What was granted stays granted, so the cap never falls below it.
SYNC: Final = """
WITH behind AS MATERIALIZED (
  SELECT d.ip, d.track, d.day, t.stage, (w.plan->'caps'->t.track->>(t.stage - 1))::bigint AS cap
    FROM warmups w JOIN warmup_tracks t USING (ip)
    JOIN warmup_days d ON d.ip = t.ip AND d.track = t.track AND d.day = (now() AT TIME ZONE (w.plan->>'zone'))::date
   WHERE t.state = 'active' AND (%(ip)s::text IS NULL OR w.ip = %(ip)s)
     AND (d.stage, d.cap)
         <> (t.stage, greatest((w.plan->'caps'->t.track->>(t.stage - 1))::bigint, d.granted))
   ORDER BY d.ip, d.track FOR UPDATE OF d
)
UPDATE warmup_days d SET stage = b.stage, cap = greatest(b.cap, d.granted)
  FROM behind b WHERE d.ip = b.ip AND d.track = b.track AND d.day = b.day
"""
