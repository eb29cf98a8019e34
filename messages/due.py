"""What the queue holds: destinations with due mail, which are hinted to the workers, and the figures of the queue."""

from prometheus_client import Counter, Gauge

from core.publish import HintPublisher
from core.queues import Lane
from store.database import Connection, Database
from store.probing import probing

DUE = Gauge("postlane_queue_destinations_due", "Destinations with due mail at the last scan", ["lane"])
DEPTH = Gauge("postlane_queue_messages", "Messages on their way", ["lane"])
OLDEST = Gauge("postlane_queue_oldest_due_seconds", "Age of the oldest due message", ["lane"])
SCANS = Counter("postlane_scans_total", "Due scans done by this scheduler")

# One probe of the index per destination, whatever the number of rows (a "loose index scan").
DUE_DESTINATIONS = """
WITH RECURSIVE walk AS (
  (SELECT destination, due_at FROM delivery_queue WHERE lane = %(lane)s ORDER BY destination, due_at LIMIT 1)
  UNION ALL
  SELECT next.destination, next.due_at FROM walk, LATERAL (
    SELECT destination, due_at FROM delivery_queue q
     WHERE q.lane = %(lane)s AND q.destination > walk.destination ORDER BY destination, due_at LIMIT 1) next
)
SELECT destination, extract(epoch FROM now() - due_at)::float8 FROM walk WHERE due_at <= now()
"""


async def scan_due(database: Database, hints: HintPublisher) -> dict[Lane, int]:
    """Hint every destination that has due mail; hints already waiting are coalesced. Returns destinations by lane."""
    found: dict[Lane, int] = {}
    async with database.connection() as connection, probing(connection):
        for lane in Lane:
            cursor = await connection.execute(DUE_DESTINATIONS, {"lane": lane.value})
            rows = await cursor.fetchall()
            found[lane] = len(rows)
            DUE.labels(lane.value).set(len(rows))
            OLDEST.labels(lane.value).set(max((age for _, age in rows), default=0.0))
            if rows:
                hints.hint(lane, [destination for destination, _ in rows])
    SCANS.inc()
    return found


def forget_figures() -> None:
    """Show none: whoever leads now shows them."""
    for gauge in (DUE, DEPTH, OLDEST):
        gauge.clear()


async def count_queue(connection: Connection) -> None:
    """Exact figures of the queue."""
    cursor = await connection.execute("SELECT lane, count(*) FROM delivery_queue GROUP BY lane")
    counts = {str(lane): int(n) for lane, n in await cursor.fetchall()}
    for lane in Lane:
        DEPTH.labels(lane.value).set(counts.get(lane.value, 0))
