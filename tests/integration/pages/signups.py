"""A sign-up form, somebody who uses it, and the mail that comes of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from audience import contacts, forms
from audience.contacts import Contact
from audience.forms import Form, FormFacts
from audience.links import LinkSeal
from core.clock import SystemClock
from core.secrets import InstanceSecret
from messages import signing_up
from messages.signing_up import SignupTools
from pages.work import Work, solve
from store.database import Database
from tests.integration.messages.emails import rows
from tests.integration.pages.conftest import SECRET, Reader

BEN = "ben@example.org"


class Records:
    """DNS: what begins with `dead` takes no mail."""

    async def mx(self, name: str) -> list[tuple[int, str]]:
        """MX records."""
        return [(0, "")] if name.startswith("dead") else [(10, f"mx.{name}")]

    async def addresses(self, _name: str) -> list[str]:
        """None."""
        return []


@dataclass(frozen=True, slots=True)
class Signup:
    """Ben at the form of Acme."""

    reader: Reader
    form: Form
    tools: SignupTools
    client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "client", self.reader.client)

    @property
    def path(self) -> str:
        """Of the form."""
        return f"/s/{self.form.id}"

    @property
    def database(self) -> Database:
        """The test's."""
        return self.reader.database

    async def work(self) -> dict[str, str]:
        """What the script does."""
        puzzle = (await self.client.get(f"{self.path}/challenge")).json()
        return {"challenge": puzzle["challenge"], "answer": solve(puzzle["challenge"], puzzle["bits"])}

    async def post(self, email: str = BEN, **fields: Any) -> httpx.Response:
        """The form, filled in by a browser without scripts."""
        return await self.client.post(self.path, data={"email": email, "lang": "en", **fields})

    async def mails(self, address: str = BEN) -> list[str]:
        """All mail to an address as texts, once everything that is due is written."""
        await signing_up.write_due(self.tools)
        found = await rows(
            self.database,
            "SELECT c.body FROM messages m JOIN emails e ON e.id = m.email_id JOIN contents c ON c.id = e.content_id"
            " WHERE m.address = %s AND e.lane = 'transactional' ORDER BY e.id",
            [address],
        )
        return [text for (text,) in found]

    async def link(self, address: str = BEN) -> str:
        """The path in the newest mail that asks for a yes."""
        found = [re.search(r"https://mail\.acme\.example(/y/\S+)", text) for text in await self.mails(address)]
        return next(match[1] for match in reversed(found) if match)

    async def say_yes(self, path: str) -> httpx.Response:
        """The button behind the link."""
        return await self.client.post(path, data={"action": "confirm", "lang": "en"})

    async def contact(self, address: str = BEN) -> Contact | None:
        """What is stored of somebody."""
        async with self.database.connection() as connection:
            return await contacts.find(connection, self.reader.account.application_id, address)

    async def set(self, address: str, **columns: str) -> None:
        """Turn the clock of somebody's row: `mailed_at="2 hours"` ago."""
        for column, ago in columns.items():
            async with self.database.transaction() as connection:
                await connection.execute(
                    f"UPDATE confirmations SET {column} = now() - %s::interval WHERE address = %s", [ago, address]
                )


def tools_of(database: Database, **changes: Any) -> SignupTools:
    """What the background worker has."""
    facts: Mapping[str, Any] = {
        "database": database,
        "clock": SystemClock(),
        "links": LinkSeal(InstanceSecret.from_text(SECRET)),
        "public_url": "https://mail.acme.example",
        "sandbox_domain": "sandbox.example",
        "valid_days": 7,
        "remind_days": 3,
    }
    return SignupTools(**{**facts, **changes})


@pytest.fixture
async def signup(reader: Reader, app: FastAPI) -> Signup:
    """A form with two topics to choose from, and a name. Its puzzle is an easy one: what is dear here is time."""
    work = Work(InstanceSecret.from_text(SECRET), bits=6)
    app.state.deps = replace(app.state.deps, work=work, resolver=Records())
    facts = FormFacts(
        "Footer",
        "Acme <hello@acme.example>",
        topics=(reader.topics["News"].id, reader.topics["Events"].id),
        fields=(forms.Field("first_name"),),
        texts={"en": forms.Texts(title="The Acme letter", frequency="Once a month.", consent="I want it.")},
        origins=("https://www.acme.example",),
    )
    async with reader.database.transaction() as connection:
        form = await forms.create(connection, reader.account.application_id, facts)
    return Signup(reader, form, tools_of(reader.database))
