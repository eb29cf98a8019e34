"""How results are settled, whatever the planner knows of the outbox."""

from store.database import Database
from tests.integration.messages.emails import execute
from tests.integration.webhooks.outbox import make_endpoint, plan_of
from webhooks import queue

_FILL = """
INSERT INTO webhook_events (endpoint_id, id, type, created_at, key, payload)
SELECT %s, webhook_event_id(), 'email.delivered', now(), n::text, repeat('x', 600) FROM generate_series(1, 5000) n
"""


async def test_events_are_not_compared_with_each_other(database: Database) -> None:
    """By a plan for any number of events, of a table that was never analyzed: as on a new installation."""
    await execute(database, _FILL, [await make_endpoint(database)])
    plan = await plan_of(database, queue._TAKE_DOWN)

    assert "Hash Join" in plan, plan
    assert "Nested Loop" not in plan, plan
