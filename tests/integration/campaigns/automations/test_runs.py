"""Runs of people: who enters, what they get, and that they get it once, whatever happens on the way."""

import asyncio
from typing import Any

import pytest

from audience import tapering, topics
from audience.choices import Act, Person, Source
from audience.tapering import Policy
from campaigns.automations import entering, forgetting, letters, loading, running, runs
from campaigns.automations.model import AutomationState
from campaigns.automations.steering import Changes
from core.paging import Window
from core.refusal import Refused
from flags.asking import OFF, ON, Switch
from flags.declared import AUTOMATIONS
from messages import choosing
from store.database import Database
from tests.integration.campaigns.automations.world import (
    CONFIRMED,
    SIMULATED,
    World,
    delay,
    flow,
    mail,
    topic,
    world_of,
)  # fmt: skip
from tests.integration.messages.emails import APPLICATION, execute, rows
from tests.switches import switched

ANN = "ann@one.example"


@pytest.fixture
async def world(database: Database) -> World:
    return await world_of(database)


async def test_whoever_confirms_gets_each_mail_of_the_series_at_its_time(world: World) -> None:
    await world.automation(CONFIRMED, mail(), delay("3 days"), mail(subject="Still there, {{ first_name }}?"))
    await world.person(first_name="Ann")
    await world.turn()
    await world.turn()
    assert await world.mails() == [(ANN, "<p>Hello Ann, you have no plan.</p>")]
    assert await world.runs() == [("running", 2, None)]

    await world.later("2 days 23 hours")
    await world.turn()
    assert len(await world.mails()) == 1
    await world.later("1 hour")
    await world.turn()
    assert await rows(world.database, "SELECT subject, lane FROM emails ORDER BY id") == [
        ("Hello Ann", "marketing"),
        ("Still there, Ann?", "marketing"),
    ]
    assert await world.runs() == [("completed", 3, None)]
    assert await world.steps() == [(0, "completed", None), (2, "completed", None)]


async def test_nobody_is_welcomed_twice(world: World) -> None:
    made = await world.automation()
    ann = await world.person()
    await world.turn()
    await execute(world.database, "INSERT INTO confirmed_contacts (application_id, contact_id) VALUES (%s, %s)",
                  [APPLICATION, ann.id])  # fmt: skip
    await world.turn()
    async with world.database.transaction() as connection:
        assert await runs.enter(connection, made, [ann.id], "confirmed") == 0
    assert len(await world.mails()) == 1


async def test_nothing_is_noted_while_nobody_waits_for_it(world: World) -> None:
    made = await world.automation()
    await world.act("disable", made)
    await world.person()

    assert await rows(world.database, "SELECT * FROM confirmed_contacts") == []


async def test_who_says_yes_once_more_is_not_new(world: World) -> None:
    await world.automation()
    ann = await world.person()
    await execute(world.database, "DELETE FROM confirmed_contacts")
    await execute(world.database, "INSERT INTO contact_history (application_id, contact_id, what, source)"
                  " VALUES (%s, %s, 'confirmed', 'link')", [APPLICATION, ann.id])  # fmt: skip
    await execute(world.database, "INSERT INTO confirmed_contacts (application_id, contact_id) VALUES (%s, %s)",
                  [APPLICATION, ann.id])  # fmt: skip
    await world.turn()

    assert await world.runs() == []


async def test_a_list_and_a_topic_narrow_who_enters(world: World) -> None:
    segment, other = await world.person("x@one.example", confirm=False), await topic(world.database, "marketing")
    await execute(world.database, "INSERT INTO segments (id, application_id, name) VALUES (%s, %s, 'VIP')",
                  [segment.id, APPLICATION])  # fmt: skip
    await world.automation(CONFIRMED, mail(), segment_id=str(segment.id), topic_id=str(other))
    people = {name: await world.person(f"{name}@one.example") for name in ("in", "out", "left")}
    for name in ("in", "left"):
        await execute(
            world.database,
            "INSERT INTO segment_members (segment_id, contact_id, status) VALUES (%s, %s, 'confirmed')",
            [segment.id, people[name].id],
        )
    await execute(
        world.database,
        "INSERT INTO choices (address, application_id, topic_id, subscription) VALUES ('left@one.example', %s, %s,"
        " 'opt_out')",
        [APPLICATION, other],
    )
    await world.turn()

    assert [address for address, _ in await world.mails()] == ["in@one.example"]


async def test_an_event_sends_its_payload_at_once_and_is_stored(world: World) -> None:
    await world.automation("order.paid", mail(topic_id=str(await topic(world.database, "transactional"))))
    told = await world.told("order.paid", {"plan": "pro"}, email="Bob@Two.example")
    await world.told("nobody.waits", {"plan": "x"}, email="bob@two.example")
    await world.turn()

    assert (told.runs, told.contact.status) == (1, "unconfirmed")
    assert await world.mails() == [("bob@two.example", "<p>Hello there, you have pro.</p>")]
    assert await rows(world.database, "SELECT lane FROM emails") == [("transactional",)]
    assert await rows(world.database, "SELECT name FROM application_events ORDER BY id") == [
        ("order.paid",),
        ("nobody.waits",),
    ]


async def test_the_same_person_goes_through_once_for_each_event(world: World) -> None:
    await world.automation("order.paid", mail())
    ann = await world.person()
    for _ in range(3):
        await world.told("order.paid", contact_id=ann.id)
    await asyncio.gather(*(running.do_due(world.database, SIMULATED) for _ in range(3)))
    await world.turn()

    assert len(await world.mails()) == len(await world.runs()) == 3


async def test_two_at_once_do_each_step_once(world: World) -> None:
    await world.automation(CONFIRMED, mail(), delay("1 hour"), mail())
    for n in range(40):
        await world.person(f"reader{n}@one.example")
    await asyncio.gather(*(entering.enter_confirmed(world.database) for _ in range(4)))
    for _ in range(2):
        await asyncio.gather(*(running.do_due(world.database, SIMULATED) for _ in range(4)))
        await world.turn()
        await world.later("1 hour")
    await world.turn()

    mails = await world.mails()
    assert len(mails) == 80 and len({address for address, _ in mails}) == 40
    assert {state for state, _, _ in await world.runs()} == {"completed"}


async def test_a_kill_between_the_mail_and_its_mark_leaves_neither(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.automation()
    await world.person()
    await entering.enter_confirmed(world.database)

    async def killed(*_: Any) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(runs, "settle", killed)
        with pytest.raises(asyncio.CancelledError):
            await running.do_due(world.database, SIMULATED)
    assert (await world.mails(), await world.steps()) == ([], [])
    await world.turn()
    await world.turn()

    assert len(await world.mails()) == len(await world.steps()) == 1


async def test_a_kill_while_people_enter_loses_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.automation()
    await world.person()

    async def killed(*_: Any) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(runs, "enter", killed)
        with pytest.raises(asyncio.CancelledError):
            await entering.enter_confirmed(world.database)
    await world.turn()

    assert len(await world.mails()) == 1


async def test_who_may_not_get_it_is_passed_over_with_the_reason(world: World) -> None:
    await world.automation("hello", mail(), delay("1 day"), mail())
    away = await world.person("away@one.example")
    new = await world.person("new@one.example", confirm=False)
    bad = await world.person("bad@one.example")
    async with world.database.transaction() as connection:
        act = Act(Source.LINK)
        await choosing.leave_all(connection, Person(APPLICATION, away.address), act)
        await execute(
            world.database,
            "INSERT INTO suppressions (id, address, scope, reason, source)"
            " VALUES (gen_random_uuid(), %s, 'all', 'hard_bounce', 'bounce')",
            [bad.address],
        )
    for contact in (away, new, bad):
        await world.told("hello", contact_id=contact.id)
    await world.turn()

    assert await world.mails() == []
    assert {(state, reason) for _, state, reason in await world.steps()} == {
        ("skipped", "unsubscribe"),
        ("skipped", "unconfirmed"),
        ("skipped", "hard_bounce"),
    }
    assert {state for state, _, _ in await world.runs()} == {"running"}


async def test_steps_that_change_are_for_who_enters_later(world: World) -> None:
    made = await world.automation(CONFIRMED, mail(), delay("1 day"), mail(subject="Old"))
    await world.person()
    await world.turn()
    await world.act("update", made, Changes(workflow=flow(CONFIRMED, mail(subject="New"))))
    await world.person("bob@one.example")
    await world.later("1 day")
    await world.turn()

    found = await rows(
        world.database,
        "SELECT m.address, e.subject FROM emails e JOIN messages m ON m.email_id = e.id ORDER BY e.id",
    )
    assert sorted(found[1:]) == [(ANN, "Old"), ("bob@one.example", "New")]


async def test_disabling_lets_who_is_under_way_go_on_and_stopping_ends_them(world: World) -> None:
    made = await world.automation(CONFIRMED, delay("1 day"), mail(), delay("1 day"), mail())
    await world.person()
    await world.turn()
    await world.act("disable", made)
    await world.person("late@one.example")
    await world.later("1 day")
    await world.turn()
    assert [address for address, _ in await world.mails()] == [ANN]

    stopped = await world.act("stop", made)
    await world.later("1 day")
    await world.turn()
    assert stopped.state is AutomationState.DISABLED
    assert len(await world.mails()) == 1
    assert await world.runs() == [("cancelled", 3, letters.STOPPED)]


async def test_those_under_way_are_told_that_it_was_stopped(world: World) -> None:
    made = await world.automation(CONFIRMED, delay("1 day"), mail())
    await world.person()
    await world.turn()
    await world.act("stop", made)
    await running.cancel_stopped(world.database)
    assert await world.runs() == [("cancelled", 1, letters.STOPPED)]

    await world.act("enable", made)
    await world.person("bob@one.example")
    await world.turn()
    assert [state for state, _, _ in await world.runs()] == ["cancelled", "running"]


async def test_a_deleted_automation_sends_nothing_and_leaves_nothing(world: World) -> None:
    made = await world.automation(CONFIRMED, delay("1 day"), mail())
    await world.person()
    await world.turn()
    await world.act("remove", made)
    await world.later("1 day")
    await world.turn()
    assert await world.mails() == []
    await forgetting.forget_gone(world.database)

    for table in ("automations", "automation_versions", "automation_runs", "automation_steps"):
        assert await rows(world.database, f"SELECT * FROM {table}") == []


async def test_what_people_can_mend_waits_for_them_and_not_for_ever(world: World) -> None:
    await world.automation()
    await world.person()
    await execute(world.database, "UPDATE domains SET status = 'failed'")
    await world.turn()
    ((state, _, reason),) = await world.runs()
    assert state == "running" and "not verified" in str(reason)

    await execute(world.database, "UPDATE domains SET status = 'verified'")
    await world.later("10 minutes")
    await world.turn()
    assert len(await world.mails()) == 1

    await world.person("bob@one.example")
    await execute(world.database, "UPDATE templates SET published_id = NULL")
    await world.turn()
    await world.later("73 hours")
    await world.turn()
    assert (await world.runs())[1][0] == "failed"


async def test_one_that_cannot_be_rendered_fails_alone(world: World) -> None:
    await world.automation("hello", mail(subject="Hi {{ first_name }}"))
    for name in ("Ann", None, "Bob"):
        contact = await world.person(f"{name}@one.example".lower(), first_name=name)
        await world.told("hello", contact_id=contact.id)
    await world.turn()

    assert [state for state, _, _ in await world.runs()] == ["completed", "failed", "completed"]
    assert "first_name" in str((await world.runs())[1][2])


async def test_a_bug_that_one_run_brings_to_light_puts_off_that_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.automation()
    for n in range(3):
        await world.person(f"reader{n}@one.example")
    real = loading.desk_for

    async def broken(connection: Any, taken: Any, simulated: str) -> Any:
        ((poison,),) = await rows(world.database, "SELECT id FROM contacts WHERE address = 'reader1@one.example'")
        if any(run.contact_id == poison for run in taken):
            raise RuntimeError("a bug")
        return await real(connection, taken, simulated)

    monkeypatch.setattr(running, "desk_for", broken)
    for _ in range(3):
        await world.turn()

    assert [state for state, _, _ in await world.runs()] == ["completed", "running", "completed"]
    assert "internal error" in str((await world.runs())[1][2])
    assert len(await world.mails()) == 2


async def test_a_small_application_does_not_wait_behind_a_large_one(world: World) -> None:
    await world.automation()
    for n in range(10):
        await world.person(f"reader{n}@one.example")
    await entering.enter_confirmed(world.database)
    await execute(
        world.database,
        "UPDATE automation_runs SET application_id = gen_random_uuid(), due_at = now() WHERE id ="
        " (SELECT max(id::text)::uuid FROM automation_runs)",
    )
    async with world.database.transaction() as connection:
        taken = await runs.due(connection, 2)

    assert len({run.application_id for run in taken}) == 2


async def test_enabling_asks_for_what_sending_needs(world: World) -> None:
    for step, told in (
        (mail("nothing"), "Template not found"),
        (mail(topic_id="00000000-0000-7000-8000-000000000001"), "Topic not found"),
        (mail(**{"from": "x@other.example"}), "not one of yours"),
    ):
        with pytest.raises(Refused, match=told):
            await world.automation(CONFIRMED, step)


async def test_a_run_is_cancelled_once_and_not_when_it_is_over(world: World) -> None:
    made = await world.automation(CONFIRMED, mail(), delay("1 day"), mail())
    await world.person()
    await world.turn()
    async with world.database.transaction() as connection:
        (run,) = (await runs.page(connection, made.id, Window(10))).entries
        await runs.cancel(connection, run, "by hand")
        await runs.cancel(connection, run, "by hand")
    await world.later("1 day")
    await world.turn()
    assert len(await world.mails()) == 1

    await execute(world.database, "UPDATE automation_runs SET state = 'completed'")
    with pytest.raises(Refused):
        async with world.database.transaction() as connection:
            await runs.cancel(connection, run, "by hand")


async def test_two_automations_at_once_keep_to_what_somebody_gets_in_a_week(world: World) -> None:
    for _ in range(2):
        await world.automation("order.paid", mail())
    ann = await world.person()
    async with world.database.transaction() as connection:
        default = await topics.default_of(connection, APPLICATION)
        await tapering.put(connection, await topics.get(connection, APPLICATION, default), Policy(most_per_week=1))
    await world.told("order.paid", {"plan": "pro"}, contact_id=ann.id)
    await asyncio.gather(world.turn(), world.turn())
    await world.turn()

    assert sorted(await world.steps()) == [(0, "completed", None), (0, "skipped", "frequency_cap")]
    assert len(await world.mails()) == 1


async def test_switched_off_people_enter_and_their_mail_waits(world: World) -> None:
    await world.automation()
    await world.person()
    for off in (Switch(OFF), Switch(None, {APPLICATION: OFF})):
        with switched(AUTOMATIONS, off):
            await world.turn()
        assert await world.mails() == []
        assert await world.runs() == [("running", 0, None)]
    with switched(AUTOMATIONS, Switch(OFF, {APPLICATION: ON})):
        await world.turn()
    assert [address for address, _ in await world.mails()] == [ANN]
    assert await world.runs() == [("completed", 1, None)]
