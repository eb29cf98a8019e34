"""A campaign's world: the inside of a worker with people who may be written to, and the background's duties by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from campaigns import repository, steering, work
from campaigns.model import Campaign, Draft, Words
from core.ids import uuid7
from core.queues import Lane
from mta.model import EgressIp
from pools.repository import ensure_pool
from store.database import Database
from tests.integration.messages.emails import execute, rows
from tests.integration.workers.lane import RULES, LaneTest, lane_test
from workers.pipeline import deliver_due

HTML = (
    "<html><body><h1>Hello {{ first_name | default('there') }}</h1>"
    '<a href="https://shop.example/?who={{ email }}">yours</a> <a href="https://shop.example/all">all</a>'
    '<a href="{{{RESEND_UNSUBSCRIBE_URL}}}">leave</a></body></html>'
)
WORDS = Words("Acme <news@acme.example>", "News for {{ first_name | default('you') }}", html=HTML, text="Hello")
SIMULATED = "sandbox.example"


@dataclass(frozen=True, slots=True)
class World:
    """What a test of campaigns has."""

    lane: LaneTest
    segment_id: UUID

    @property
    def database(self) -> Database:
        return self.lane.database

    async def person(
        self, address: str, status: str = "confirmed", first_name: str | None = None, **properties: Any
    ) -> UUID:
        """A contact on the list."""
        identifier = uuid7()
        await execute(
            self.database,
            "INSERT INTO contacts (id, application_id, address, email, first_name, status, properties)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [identifier, self.lane.application_id, address, address, first_name, status, Jsonb(properties)],
        )
        await execute(
            self.database,
            "INSERT INTO segment_members (segment_id, contact_id, status) VALUES (%s, %s, 'confirmed')",
            [self.segment_id, identifier],
        )
        return identifier

    async def draft(self, words: Words = WORDS, **changes: Any) -> Campaign:
        """A campaign to the list."""
        facts = {"name": "Spring", "segment_id": self.segment_id, **changes}
        async with self.database.transaction() as connection:
            return await steering.create(connection, self.lane.application_id, Draft(words, **facts))

    async def started(self, words: Words = WORDS, **changes: Any) -> Campaign:
        """One that is sending, its audience fixed."""
        campaign = await self.draft(words, **changes)
        await self.do("start", campaign)
        await work.begin(self.database)
        return campaign

    async def do(self, what: str, campaign: Campaign) -> Any:
        """What somebody does to it, committed."""
        async with self.database.transaction() as connection:
            known = await repository.get(connection, None, campaign.id)
            return await getattr(steering, what)(connection, known)

    async def feed(self) -> None:
        await work.feed_all(self.database, SIMULATED)

    async def deliver(self) -> None:
        """All that is due, as workers do it; their outcomes are committed."""
        found = await rows(self.database, "SELECT DISTINCT destination FROM delivery_queue WHERE due_at <= now()")
        if found:
            await deliver_due(Lane.MARKETING, [name for (name,) in found], self.lane.collaborators)
            await self.lane.committed()

    async def settle(self) -> None:
        await work.settle_all(self.database)
        await work.finish(self.database)

    async def send(self) -> None:
        """The whole way, once."""
        await self.feed()
        await self.deliver()
        await self.settle()

    async def state(self, campaign: Campaign) -> str:
        return (await self.campaign(campaign)).state.value

    async def campaign(self, known: Campaign) -> Campaign:
        async with self.database.connection() as connection:
            return await repository.get(connection, None, known.id)

    async def outcomes(self, campaign: Campaign) -> dict[str, tuple[str, str | None]]:
        """State and reason of each row by the address of its person."""
        found = await rows(
            self.database,
            "SELECT coalesce(c.address, 'erased'), r.state, r.reason FROM campaign_recipients r"
            " LEFT JOIN contacts c ON c.id = r.contact_id WHERE r.campaign_id = %s",
            [campaign.id],
        )
        return {address: (state, reason) for address, state, reason in found}

    async def states(self, campaign: Campaign) -> dict[str, str]:
        return {address: state for address, (state, _) in (await self.outcomes(campaign)).items()}

    async def tallied(self, campaign: Campaign) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """People by state, as they are counted on the way and as the rows say."""
        found = await rows(
            self.database,
            "SELECT state, count(*) FROM campaign_recipients WHERE campaign_id = %s GROUP BY 1",
            [campaign.id],
        )
        known = {state for state, _ in found}
        tallies = (await self.campaign(campaign)).tallies
        return {name: n for name, n in tallies.items() if name in known}, dict(found)


WAITING: Final = """
SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = %s
"""


async def somebody_waits(database: Database, lock: str = "advisory") -> None:
    """Until a transaction waits for a lock that another one holds; of a row that is its `transactionid`."""
    while not await rows(database, WAITING, [lock]):
        await asyncio.sleep(0.01)


def with_words(**changes: Any) -> Words:
    return replace(WORDS, **changes)


@contextlib.asynccontextmanager
async def world_test(
    database: Database, database_url: str, redis_url: str, folder: Path, **settings: Any
) -> AsyncIterator[World]:
    async with lane_test(database, database_url, redis_url, folder, *RULES, **settings) as lane:
        segment = uuid7()
        await execute(database, "UPDATE domains SET status = 'verified'")
        async with database.transaction() as connection:
            await ensure_pool(connection, "news", Lane.MARKETING, [EgressIp("127.0.1.9", "127.0.1.9", "mta9.example")])
        await execute(
            database,
            "INSERT INTO segments (id, application_id, name) VALUES (%s, %s, 'all')",
            [segment, lane.application_id],
        )
        await execute(
            database,
            "INSERT INTO contact_properties (id, application_id, key, type) VALUES (%s, %s, 'city', 'string')",
            [uuid7(), lane.application_id],
        )
        yield World(lane, segment)
