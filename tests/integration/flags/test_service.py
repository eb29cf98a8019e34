"""Switching: for everything, for one application, back; and what is refused."""

import pytest

from core.ids import uuid7
from core.refusal import Refused
from flags import repository, service
from flags.asking import Switch
from flags.declared import FLAGS
from flags.service import Change, State
from store.database import Database
from tests.integration.messages.emails import APPLICATION, execute


@pytest.fixture(autouse=True)
async def _acme(database: Database) -> None:
    await execute(database, "INSERT INTO applications (id, name) VALUES (%s, 'acme')", [APPLICATION])


async def switch(database: Database, name: str, change: Change, by: str = "ann") -> State:
    async with database.transaction() as connection:
        return await service.switch(connection, name, change, by)


async def test_all_are_as_declared_until_somebody_switches_one(database: Database) -> None:
    async with database.connection() as connection:
        found = await service.states(connection)
        held, _ = await repository.held(connection)
    assert [one.flag for one in found] == list(FLAGS)
    assert all(one.as_declared and one.told == "on" and one.setting is None for one in found)
    assert held == {}


async def test_a_switch_says_who_and_why_and_replaces_the_one_before(database: Database) -> None:
    await switch(database, "tracking", Change(0, reason=" ticket 7 "), "ann")
    after = await switch(database, "tracking", Change(20), "bob")
    own = await switch(database, "tracking", Change(100, APPLICATION, "they pay for it"), "eve")

    assert after.setting is not None
    assert (after.told, after.setting.by, after.setting.reason) == ("on for 20 % of mail", "bob", "")
    assert [(one.application, one.percent, one.by, one.reason) for one in own.own] == [
        ("acme", 100, "eve", "they pay for it")
    ]
    assert own.told_with_own == "on for 20 % of mail (on for acme)"
    async with database.connection() as connection:
        held, _ = await repository.held(connection)
    assert held == {"tracking": Switch(20, {APPLICATION: 100})}


async def test_what_is_taken_back_is_as_declared_and_says_by_whom(database: Database) -> None:
    await switch(database, "automations", Change(0))
    await switch(database, "automations", Change(100, APPLICATION))
    after = await switch(database, "automations", Change(None), "bob")
    assert (after.told, after.as_declared) == ("on", False)
    last = await switch(database, "automations", Change(None, APPLICATION), "bob")

    assert last.as_declared
    assert last.own == []
    assert last.setting is not None
    assert (last.setting.percent, last.setting.by) == (None, "bob")
    for owner in (None, APPLICATION):
        with pytest.raises(Refused, match="nobody has switched"):
            await switch(database, "automations", Change(None, owner))


@pytest.mark.parametrize(
    ("name", "change", "field"),
    [
        ("tracking", Change(101), "percent"),
        ("tracking", Change(-1), "percent"),
        ("tracking", Change(0, reason="x" * 501), "reason"),
        ("tracking", Change(0, reason="\x1b[2J"), "reason"),
        ("automations", Change(20, APPLICATION), "percent"),
        ("pool_overflow", Change(0, APPLICATION), "application"),
        ("nothing", Change(0), ""),
        ("tracking", Change(0, uuid7()), ""),
    ],
)
async def test_what_cannot_be_is_refused(database: Database, name: str, change: Change, field: str) -> None:
    with pytest.raises(Refused) as refused:
        await switch(database, name, change)
    assert refused.value.field == field
    assert refused.value.kind == ("invalid" if field else "not_found")


async def test_an_application_that_goes_takes_its_switch_with_it(database: Database) -> None:
    await switch(database, "tracking", Change(0, APPLICATION))
    await execute(database, "DELETE FROM applications WHERE id = %s", [APPLICATION])
    async with database.connection() as connection:
        assert (await service.state(connection, "tracking")).as_declared


@pytest.mark.parametrize(
    ("text", "percent"), [("on", 100), (" OFF ", 0), ("20%", 20), ("20 %", 20), ("0", 0), ("100", 100), ("101", 101)]
)
def test_what_people_type(text: str, percent: int) -> None:
    assert service.percent_of(text) == percent


@pytest.mark.parametrize("text", ["", "yes", "-1", "1.5", "%", "٣", "1000"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        service.percent_of(text)
