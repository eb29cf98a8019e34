"""What is past its time, or of an endpoint that is gone, leaves nothing behind; a listener is told once what is told
once."""

from datetime import UTC, datetime, timedelta

from store.database import Database
from tests.integration.messages.emails import APPLICATION, execute, rows
from tests.integration.webhooks.outbox import make_endpoint
from tests.integration.webhooks.test_outbox import append, event
from webhooks import listening
from webhooks.kinds import EventType
from webhooks.retention import forget, forget_endpoints

TRIED = """
INSERT INTO webhook_attempts (endpoint_id, event_id, id, sent_at, url, response, error, duration_ms)
SELECT endpoint_id, id, gen_random_uuid(), now(), '', '', '', 1 FROM webhook_events
"""


async def left(database: Database, table: str) -> set[object]:
    return {endpoint for (endpoint,) in await rows(database, f"SELECT endpoint_id FROM {table}")}


async def test_what_was_tried_goes_with_its_event_whoever_swept_that_away(database: Database) -> None:
    kept, gone, orphaned = [await make_endpoint(database) for _ in range(3)]
    await append(database, event())
    await execute(database, TRIED)
    await execute(database, "DELETE FROM webhook_endpoints WHERE id = ANY(%s)", [[gone, orphaned]])
    await execute(database, "DELETE FROM webhook_events WHERE endpoint_id = %s", [orphaned])
    assert await forget(database, datetime.now(UTC), 7) == 0
    await forget_endpoints(database)
    assert await left(database, "webhook_events") == await left(database, "webhook_attempts") == {kept}

    await execute(database, "DELETE FROM webhook_events")
    await forget(database, datetime.now(UTC) + timedelta(days=8), 7)
    assert await left(database, "webhook_attempts") == set()


async def test_a_listener_hears_once_what_is_told_once(database: Database) -> None:
    await make_endpoint(database, events=[])
    async with database.connection() as connection:
        listener = await listening.begin(connection, APPLICATION, None)
        heard = []
        for _ in range(2):
            await append(database, event(EventType.EMAIL_SENT, key="e", once="sent e"), event(key="e"))
            heard += [one.type for one in await listening.fetch(connection, listener)]
        assert heard == ["email.sent", "email.delivered", "email.delivered"]
        assert await rows(database, "SELECT state, payload FROM webhook_events") == [("success", "")]

        await listening.finish(connection, listener)
    await forget_endpoints(database)
    assert await rows(database, "SELECT id FROM webhook_events") == []
