"""An application with a template, people, and the background's duties by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from audience import contacts
from audience.contact_history import ContactAct, ContactSource
from audience.contacts import Changes, Contact
from campaigns.automations import entering, events, repository, running, steering, workflow
from campaigns.automations.events import Happened, Told
from campaigns.automations.model import Automation, AutomationState
from core.ids import uuid7
from store.database import Database
from templates import service as templates
from templates.build import Kind
from templates.model import Edit, LanguageEdit
from tests.integration.messages.emails import APPLICATION, execute, make_partitions, rows

ACT = ContactAct(ContactSource.API, actor="API key 1")
SIMULATED = "sandbox.example"
CONFIRMED = "postlane:contact.confirmed"
SENDER = "Acme <hello@acme.example>"
HTML = "<p>Hello {{ first_name | default('there') }}, you have {{ event.plan | default('no plan') }}.</p>"


@dataclass(frozen=True, slots=True)
class World:
    """What a test of automations has."""

    database: Database

    async def automation(self, event: str = CONFIRMED, *steps: Any, **trigger: Any) -> Automation:
        """One that is enabled; without steps it sends the template at once."""
        async with self.database.transaction() as connection:
            return await steering.create(
                connection,
                APPLICATION,
                "Welcome",
                flow(event, *(steps or (mail(),)), **trigger),
                AutomationState.ENABLED,
            )

    async def person(self, address: str = "ann@one.example", *, confirm: bool = True, **fields: Any) -> Contact:
        """Somebody whom the application brings."""
        async with self.database.transaction() as connection:
            changes = Changes(fields, confirm=confirm)
            return (await contacts.create(connection, APPLICATION, address, changes, ACT)).contact

    async def told(self, name: str, payload: Mapping[str, Any] | None = None, **whom: Any) -> Told:
        """An event of the application."""
        happened = Happened(name, whom.get("contact_id"), whom.get("email", ""), payload)
        async with self.database.transaction() as connection:
            return await events.tell(connection, APPLICATION, happened, ACT)

    async def turn(self) -> None:
        """What the background does, once."""
        await entering.enter_confirmed(self.database)
        await running.do_due(self.database, SIMULATED)

    async def later(self, interval: str) -> None:
        """So much time goes by for who is under way."""
        await execute(
            self.database,
            "UPDATE automation_runs SET due_at = due_at - %s::interval, held_since = held_since - %s::interval",
            [interval, interval],
        )

    async def act(self, what: str, known: Automation, *arguments: Any) -> Any:
        """What somebody does, committed."""
        async with self.database.transaction() as connection:
            return await getattr(steering, what)(connection, known, *arguments)

    async def now(self, known: Automation) -> Automation:
        async with self.database.connection() as connection:
            return await repository.get(connection, None, known.id)

    async def runs(self) -> list[tuple[str, int, str | None]]:
        """State, position and reason of each run, oldest first."""
        return await rows(self.database, "SELECT state, position, reason FROM automation_runs ORDER BY id")

    async def steps(self) -> list[tuple[int, str, str | None]]:
        return await rows(
            self.database, "SELECT position, state, reason FROM automation_steps ORDER BY at, run_id, position"
        )

    async def mails(self) -> list[tuple[str, str]]:
        """Address and HTML of all mail, oldest first."""
        return await rows(
            self.database,
            "SELECT m.address, c.html FROM emails e JOIN messages m ON m.email_id = e.id JOIN contents c ON c.id = e.id"
            " ORDER BY e.id",
        )


def flow(event: str, *steps: Any, **trigger: Any) -> workflow.Workflow:
    """A trigger with steps."""
    first = {"key": "start", "type": "trigger", "config": {"event_name": event, **trigger}}
    numbered = [{"key": f"s{n}", **step} for n, step in enumerate(steps)]
    return workflow.from_json([first, *numbered], None)


def mail(template: str = "hello", **config: Any) -> dict[str, Any]:
    """A step that sends."""
    return {"type": "send_email", "config": {"template": {"id": template}, **config}}


def delay(duration: str) -> dict[str, Any]:
    """A step that waits."""
    return {"type": "delay", "config": {"duration": duration}}


async def topic(database: Database, lane: str) -> UUID:
    """A type of mail."""
    identifier = uuid7()
    await execute(
        database,
        "INSERT INTO topics (id, application_id, name, default_subscription, visibility, lane)"
        " VALUES (%s, %s, %s, 'opt_in', 'public', %s)",
        [identifier, APPLICATION, f"A {lane} topic", lane],
    )
    return identifier


async def world_of(database: Database) -> World:
    """A fresh one."""
    await make_partitions(database)
    await execute(database, "INSERT INTO applications (id, name) VALUES (%s, 'acme')", [APPLICATION])
    await execute(
        database,
        "INSERT INTO domains (id, application_id, name, status, return_path_domain)"
        " VALUES (%s, %s, 'acme.example', 'verified', 'bounces.acme.example')",
        [uuid7(), APPLICATION],
    )
    async with database.transaction() as connection:
        content = LanguageEdit((Kind.HTML, HTML), "Hello {{ first_name | default('there') }}")
        edit = Edit(name="Hello", alias="hello", sender=SENDER, content=content)
        await templates.create(connection, APPLICATION, edit)
        await templates.publish(connection, APPLICATION, "hello")
    return World(database)
