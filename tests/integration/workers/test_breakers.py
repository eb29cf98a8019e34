"""A stream that was stopped sends nothing to its provider, in every worker within moments; what waits says why."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from alarms import breakers
from core.queues import Lane
from core.refusal import Refused
from messages.stopped import let_go, release
from store.database import Database
from tests.integration.messages.emails import execute, rows
from tests.integration.workers.lane import LANE, LaneTest, lane_test, until

OTHER = "other"
"""The provider of servers in no file."""


@pytest.fixture
async def lane(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[LaneTest]:
    async with lane_test(database, database_url, redis_url, tmp_path) as made:
        yield made


async def stop(lane: LaneTest, stream: str = LANE.value, provider: str = OTHER) -> breakers.Key:
    """Trip it as another process would, and wait until this worker has heard of it."""
    key = (lane.application_id, stream, provider)
    async with lane.database.transaction() as connection:
        assert await breakers.trip(connection, key, 24, "31 complaints about 10,000 delivered", "a test")
    await until(lambda: bool(lane.collaborators.shared.breakers._known))
    return key


async def test_stopped_mail_waits_with_its_reason_and_goes_on_when_an_operator_says_so(lane: LaneTest) -> None:
    key = await stop(lane)
    email = await lane.put("anna@one.example")
    await lane.deliver()

    assert (await lane.state(email), lane.mails_to("anna@one.example")) == ("queued", [])
    ((hold, waits),) = await rows(
        lane.database, "SELECT hold, due_at > now() + interval '23 hours' FROM delivery_queue"
    )
    assert waits
    assert await release(lane.database) == 0
    assert "transactional mail of" in hold
    assert "to other is stopped: 31 complaints about 10,000 delivered" in hold
    async with lane.database.transaction() as connection:
        assert await let_go(connection, key, "anna") == 1
    with pytest.raises(Refused):
        async with lane.database.transaction() as connection:
            await let_go(connection, key, "anna")
    ((soon,),) = await rows(lane.database, "SELECT due_at - now() FROM delivery_queue")
    assert 2 * breakers.REREAD_SECONDS < soon.total_seconds() <= 5  # no worker that has not heard yet meets it
    await until(lambda: not lane.collaborators.shared.breakers._known)
    await execute(lane.database, "UPDATE delivery_queue SET due_at = now()")
    await lane.deliver()

    assert await lane.state(email) == "delivered"


async def test_mail_that_is_held_when_the_breaker_has_ended_goes_on_all_the_same(lane: LaneTest) -> None:
    """Its worker had claimed it when the word came, and had not heard."""
    key = await stop(lane)
    await lane.collaborators.shared.breakers.stop()
    await lane.put("anna@one.example")
    async with lane.database.transaction() as connection:
        assert await let_go(connection, key, "anna") == 0
    await lane.deliver()
    queued = "SELECT breaker, hold IS NOT NULL, due_at > now() + interval '1 hour' FROM delivery_queue"
    assert await rows(lane.database, queued) == [(OTHER, True, True)]

    assert await release(lane.database) == 1
    assert await rows(lane.database, queued) == [(None, False, False)]
    assert await release(lane.database) == 0


@pytest.mark.parametrize(("stream", "provider"), [(Lane.MARKETING.value, OTHER), (LANE.value, "gmail")])
async def test_another_stream_or_provider_goes_on(lane: LaneTest, stream: str, provider: str) -> None:
    await stop(lane, stream, provider)
    email = await lane.put("anna@one.example")
    await lane.deliver()

    assert await lane.state(email) == "delivered"


async def test_a_breaker_ends_by_its_time(lane: LaneTest) -> None:
    await stop(lane)
    await execute(lane.database, "UPDATE breakers SET until = now() - interval '1 second'")
    await until(lambda: not lane.collaborators.shared.breakers._known)
    email = await lane.put("anna@one.example")
    await lane.deliver()

    assert await lane.state(email) == "delivered"
