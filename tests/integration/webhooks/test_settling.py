"""How results are settled, whatever the planner knows of the outbox."""

import re

from store.database import Database
from webhooks import queue


async def test_events_are_not_compared_with_each_other(database: Database) -> None:
    """A plan for any number of events, of a table that was never looked at: as on a new installation."""
    numbers: dict[str, str] = {}
    statement = re.sub(
        r"%\((\w+)\)s", lambda found: numbers.setdefault(found[1], f"${len(numbers) + 1}"), queue._TAKE_DOWN
    )
    async with database.connection() as connection:
        cursor = await connection.execute(f"EXPLAIN (GENERIC_PLAN) {statement}", prepare=False)
        plan = "\n".join(line for (line,) in await cursor.fetchall())

    assert "Hash Join" in plan, plan
    assert "webhook_events_pkey" in plan, plan
    assert "Nested Loop" not in plan, plan
