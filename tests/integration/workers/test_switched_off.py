"""The alarm about a webhook that was switched off, and what ends it."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from accounts import users
from accounts.roles import Role
from accounts.users import NewUser
from alarms.model import AlarmKind
from alarms.repository import open_alarms
from store.database import Connection, Database
from tests.integration.messages.emails import APPLICATION, execute, make_partitions, rows
from tests.integration.webhooks.outbox import make_endpoint
from webhooks import endpoints
from webhooks.endpoints import DISABLED, ENABLED, Change
from workers.switched_off import tell_switched_off

OFF = "UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = 'it answered 410 Gone' WHERE id = %s"


async def told(database: Database) -> list[tuple[str, str, str, int]]:
    """The open alarms after two looks: what is still so is not raised again."""
    for _ in range(2):
        await tell_switched_off(database)
    async with database.connection() as connection:
        found = await open_alarms(connection)
    return [(alarm.kind, alarm.subject, alarm.detail, alarm.count) for alarm in found]


async def enable(connection: Connection, endpoint: UUID) -> None:
    await endpoints.change(connection, APPLICATION, endpoint, Change(status=ENABLED))


async def delete(connection: Connection, endpoint: UUID) -> None:
    await endpoints.delete(connection, APPLICATION, endpoint)


@pytest.mark.parametrize("end", [enable, delete])
async def test_one_that_was_switched_off_is_told_until_somebody_acts(
    database: Database, end: Callable[[Connection, UUID], Awaitable[None]]
) -> None:
    one, other = await make_endpoint(database), await make_endpoint(database)
    assert await told(database) == []
    for endpoint in (one, other):
        await execute(database, OFF, [endpoint])
    alarms = {subject: (kind, detail, count) for kind, subject, detail, count in await told(database)}
    assert sorted(alarms) == sorted(f"shop.example {endpoint}" for endpoint in (one, other))
    kind, detail, count = alarms[f"shop.example {one}"]
    assert (kind, count) == (AlarmKind.WEBHOOK_DISABLED, 1)
    assert "it answered 410 Gone" in detail
    assert f"postlane webhooks update {one} --enable --application {APPLICATION}" in detail

    async with database.transaction() as connection:
        await end(connection, one)
    assert [subject for _, subject, _, _ in await told(database)] == [f"shop.example {other}"]


async def test_those_who_look_after_the_application_get_one_mail(database: Database) -> None:
    """Its own developers; neither those of others, nor who is disabled, nor who does something else."""
    endpoint, other = await make_endpoint(database), uuid4()
    await make_partitions(database)
    await execute(
        database,
        "INSERT INTO domains (id, application_id, name, return_path_domain, status)"
        " VALUES (gen_random_uuid(), %s, 'acme.example', 'x', 'verified')",
        [APPLICATION],
    )
    async with database.transaction() as connection:
        for email, role, applications in [
            ("dev@us.example", Role.DEVELOPER, (APPLICATION,)),
            ("gone@us.example", Role.DEVELOPER, (APPLICATION,)),
            ("elsewhere@us.example", Role.DEVELOPER, (other,)),
            ("everywhere@us.example", Role.DEVELOPER, ()),
            ("sells@us.example", Role.MARKETER, (APPLICATION,)),
        ]:
            made = await users.create(connection, NewUser(email, role, applications=applications))
            if email.startswith("gone"):
                await users.disable(connection, made)
    await execute(database, OFF, [endpoint])
    await told(database)

    written = 'SELECT e.sender, e."to", c.body FROM emails e JOIN contents c ON c.id = e.content_id'
    ((sender, to, text),) = await rows(database, written)
    assert (sender, to) == ("Postlane <postlane@acme.example>", ["dev@us.example"])
    assert "it answered 410 Gone" in text
    assert f"postlane webhooks update {endpoint} --enable --application {APPLICATION}" in text


async def test_one_that_its_owner_switched_off_is_no_alarm(database: Database) -> None:
    endpoint = await make_endpoint(database)
    async with database.transaction() as connection:
        await endpoints.change(connection, APPLICATION, endpoint, Change(status=DISABLED))
    assert await told(database) == []
