"""Topics and choices for tests."""

from typing import Any

from audience import choices, topics
from audience.choices import Act, Person, Source
from audience.topics import NewTopic, Subscription, Topic
from store.database import Database
from tests.integration.messages.emails import APPLICATION

LINK = Act(Source.LINK, "203.0.113.9")


def person(address: str = "ann@example.com") -> Person:
    """A recipient of the test application."""
    return Person(APPLICATION, address)


async def topic(database: Database, name: str = "Newsletter", **facts: Any) -> Topic:
    """A topic of the test application."""
    wanted = {"default": Subscription.OPT_IN, **facts}
    async with database.transaction() as connection:
        return await topics.create(connection, NewTopic(APPLICATION, name, **wanted))


async def choose(database: Database, who: Person, chosen: Topic, subscription: Subscription) -> bool:
    """A choice, committed; whether it was new."""
    async with database.transaction() as connection:
        return bool(await choices.subscribe(connection, who, {chosen.id: subscription}, LINK))
