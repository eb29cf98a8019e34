"""The public pages on a database of their own, in the test's own event loop, and a person with a link."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from audience import choices, topics
from audience.choices import Past, Person
from audience.links import LinkSeal, MailLink
from audience.topics import NewTopic, Subscription, Topic
from core.queues import Lane
from core.secrets import InstanceSecret
from core.settings import Settings
from messages import choosing
from messages.choosing import Standing
from messages.model import NewEmail
from pages.app import create_app
from store.database import Database
from tests.integration.api.account import Account, make_account
from tests.integration.messages.emails import make_partitions, new_email, rows, store

SECRET = "5" * 64  # of the test instance
ANN = "ann@example.com"


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings of a process on the test's database."""
    return Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own
        database_url=database_url,
        redis_url=redis_url,
        secret=SECRET,
        database_pool_size=4,
        public_url="https://mail.acme.example",
        data_dir=tmp_path,
    )


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application, its collaborators open."""
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A browser, or whoever comes from outside."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=("203.0.113.9", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="https://mail.acme.example") as http:
        yield http


@dataclass(frozen=True, slots=True)
class Reader:
    """Ann, who got a marketing mail of the application Acme, and follows its link."""

    client: httpx.AsyncClient
    database: Database
    account: Account
    email: NewEmail
    topics: dict[str, Topic]
    seal: LinkSeal = field(default_factory=lambda: LinkSeal(InstanceSecret.from_text(SECRET)))

    def link(self, topic: str | None = "News", **changes: Any) -> str:
        """The path in her mail."""
        facts = {
            "application_id": self.account.application_id,
            "topic_id": self.topics[topic].id if topic else None,
            "email_id": self.email.id,
            "position": 0,
            "address": ANN,
        }
        return f"/u/{self.seal.seal(MailLink(**{**facts, **changes}))}"

    async def press(self, action: str, path: str = "", **fields: Any) -> httpx.Response:
        """One of the page's buttons."""
        return await self.client.post(path or self.link(), data={"action": action, "lang": "en", **fields})

    def person(self, address: str = ANN) -> Person:
        """Ann at one of her addresses."""
        return Person(self.account.application_id, address)

    async def stands(self, address: str = ANN) -> Standing:
        """How it stands with her."""
        async with self.database.connection() as connection:
            return await choosing.standing(connection, self.person(address))

    async def takes(self, address: str = ANN) -> dict[str, bool]:
        """Which types of mail she takes, by name."""
        return {one.topic.name: one.subscribed for one in (await self.stands(address)).preferences}

    async def past(self, address: str = ANN) -> list[Past]:
        """What she did, oldest first."""
        async with self.database.connection() as connection:
            return [*reversed((await choices.history(connection, self.person(address))).entries)]

    async def events(self) -> list[str]:
        """The timeline of her mail."""
        found = await rows(self.database, "SELECT kind FROM events WHERE email_id = %s ORDER BY at", [self.email.id])
        return [kind for (kind,) in found]


@pytest.fixture
async def reader(client: httpx.AsyncClient, database: Database) -> Reader:
    """Topics: News and Offers (taken unless left), Events (only when asked for), Receipts (transactional)."""
    await make_partitions(database)
    account = await make_account(database)
    made: dict[str, Topic] = {}
    async with database.transaction() as connection:
        for name, default, lane in (
            ("News", Subscription.OPT_IN, Lane.MARKETING),
            ("Offers", Subscription.OPT_IN, Lane.MARKETING),
            ("Events", Subscription.OPT_OUT, Lane.MARKETING),
            ("Receipts", Subscription.OPT_IN, Lane.TRANSACTIONAL),
        ):
            wanted = NewTopic(account.application_id, name, default, visibility=topics.Visibility.PUBLIC, lane=lane)
            made[name] = await topics.create(connection, wanted)
    email = new_email(
        ANN, application_id=account.application_id, domain_id=account.domain_id, lane=Lane.MARKETING,
        topic_id=made["News"].id,
    )  # fmt: skip
    await store(database, email)
    return Reader(client, database, account, email, made)


def link_in(text: str) -> str:
    """The path of the link in a mail of ours."""
    found = re.search(r"https://mail\.acme\.example(/[um]/\S+)", text)
    assert found is not None
    return found[1]
