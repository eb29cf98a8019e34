"""Mail of a campaign begins its trace where the feed makes it."""

from pathlib import Path

from store.database import Database
from tests.collector import noting
from tests.integration.campaigns.world import world_test


async def test_mail_of_a_campaign_begins_its_trace(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with world_test(database, database_url, redis_url, tmp_path) as world:
        await world.person("ann@one.example")
        with noting(1.0) as spans:
            campaign = await world.started()
            await world.send()
    accept, deliver = (next(span for span in spans if span.name == name) for name in ("accept", "deliver"))
    assert accept.about["postlane.campaign_id"] == str(campaign.id)
    assert (accept.parent, deliver.parent, deliver.place.trace) == (0, accept.place.span, accept.place.trace)
