"""A campaign and what happens beside it: other campaigns of its topic, news without end, mail that others took away,
and what is done with it afterwards."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audience import contacts, eligibility, properties, tapering, topics
from audience.contact_history import ContactAct, ContactSource
from audience.contacts import Changes
from audience.properties import PropertyType
from audience.tapering import Policy
from campaigns import repository, retrying, settle, snapshot, steering, work
from campaigns.archive import Access, switched
from campaigns.forgetting import forget_gone
from campaigns.states import CampaignState
from core.paging import Window
from core.queues import Lane
from core.refusal import Refused
from store.database import Database
from tests.integration.campaigns.world import SIMULATED, World, somebody_waits, with_words, world_test
from tests.integration.messages.emails import execute, rows


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path, public_url="https://mail.acme.example") as made:
        yield made


async def _topic(world: World, lane: Lane = Lane.MARKETING, policy: Policy | None = None) -> topics.Topic:
    async with world.database.transaction() as connection:
        made = await topics.create(
            connection,
            topics.NewTopic(world.lane.application_id, "Deals", topics.Subscription.OPT_IN, lane=lane),
        )
        if policy is not None:
            await tapering.put(connection, made, policy)
    return made


async def test_a_pause_does_not_wait_for_another_campaign_of_the_topic(world: World) -> None:
    await world.person("ann@one.example")
    topic = await _topic(world, policy=Policy(most_per_week=3))
    campaign = await world.started(topic_id=topic.id)
    async with world.database.transaction() as other:
        await eligibility.alone(other, topic.id)  # as a slice of its audience does
        feeding = asyncio.create_task(work.feed_all(world.database, SIMULATED))
        await asyncio.wait_for(somebody_waits(world.database), 20)
        await asyncio.wait_for(world.do("pause", campaign), 10)
    await feeding
    assert await rows(world.database, "SELECT FROM emails") == []


async def test_figures_are_judged_while_there_is_more_news(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ann", "bob", "eve"):
        await world.person(f"{name}@one.example")
    await world.started()
    await world.feed()
    await world.deliver()
    left = []

    async def judge(database: Database, _: object) -> None:
        left.extend(await rows(database, "SELECT count(*) FROM campaign_news"))

    monkeypatch.setattr(settle, "BATCH", 1)
    monkeypatch.setattr(work, "_judge", judge)
    await work.settle_all(world.database)
    assert left == [(2,), (1,), (0,)]


async def test_clicks_on_a_campaign_that_is_gone_leave_nothing(world: World) -> None:
    await execute(
        world.database,
        "INSERT INTO campaign_news (campaign_id, contact_id, email_id, kind, at, link) VALUES"
        " (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'clicked', now(), 'https://shop.example/')",
    )
    await world.settle()
    for table in ("campaign_news", "campaign_links", "campaign_clicks"):
        assert await rows(world.database, f"SELECT FROM {table}") == []


async def test_a_transactional_topic_is_for_no_campaign(world: World) -> None:
    topic = await _topic(world, Lane.TRANSACTIONAL)
    with pytest.raises(Refused, match="this topic is transactional"):
        await world.draft(topic_id=topic.id)


async def test_mail_whose_news_was_lost_ends_as_it_did(world: World) -> None:
    await world.person("ann@one.example")
    await world.person("bob@one.example")
    campaign = await world.started()
    await world.feed()
    await execute(
        world.database,
        "UPDATE messages SET state = 'delivered', updated_at = now() WHERE position(address in 'ann@one.example') = 1",
    )
    await execute(world.database, "DELETE FROM delivery_queue")
    await world.settle()

    assert await world.outcomes(campaign) == {
        "ann@one.example": ("delivered", None),
        "bob@one.example": ("failed", "its mail is no longer there"),
    }
    counted, found = await world.tallied(campaign)
    assert counted == found
    await world.settle()
    assert await world.state(campaign) == "finished"


@pytest.mark.parametrize("halted", [True, False], ids=["just cancelled", "cancelled long ago"])
async def test_every_row_of_a_cancelled_campaign_gets_its_outcome(world: World, halted: bool) -> None:
    for name in ("ann", "bob", "eve"):
        await world.person(f"{name}@one.example")
    campaign = await world.started()
    await world.feed()
    await execute(
        world.database,
        "UPDATE messages SET state = 'bounced', updated_at = now() WHERE position(address in 'ann@one.example') = 1",
    )
    lost = "position(recipient in 'eve@one.example') = 0"
    await execute(world.database, f"DELETE FROM delivery_queue WHERE {lost}")  # and nobody says so
    await world.do("cancel", campaign)
    if not halted:
        await execute(world.database, "DELETE FROM halted_campaigns")
    for _ in range(3):
        await world.settle()

    ended = await world.outcomes(campaign)
    assert ended.pop("eve@one.example")[0] == "cancelled"
    assert ended == {"ann@one.example": ("bounced", None), "bob@one.example": ("failed", "its mail is no longer there")}
    counted, found = await world.tallied(campaign)
    assert counted == found
    assert await rows(world.database, "SELECT FROM halted_campaigns") == []
    await world.do("remove", campaign)


async def test_what_a_worker_has_of_a_cancelled_campaign_is_waited_for(world: World) -> None:
    await world.person("ann@one.example")
    campaign = await world.started()
    await world.feed()
    await execute(
        world.database,
        "UPDATE delivery_queue SET claimed_by = gen_random_uuid(), due_at = now() + interval '1 minute'",
    )
    await world.do("cancel", campaign)
    for _ in range(2):
        await world.settle()
    assert await world.states(campaign) == {"ann@one.example": "queued"}
    assert await rows(world.database, "SELECT why FROM halted_campaigns") == [("cancelled",)]


@pytest.mark.parametrize(
    ("column", "stored", "why"),
    [
        ("plan", '{"zone": "Mars/Olympus"}', "zone: it must be a time zone by its name, such as Europe/Berlin"),
        ("plan", "7", "TypeError: "),
        ("experiment", '{"winner": "dice"}', "experiment.winner: it must be clicks, opens, hand"),
        ("tags", '["red", 7]', "ValueError: "),
        ("archive", '{"access": "everywhere"}', "ValueError: 'everywhere' is not a valid Access"),
        ("languages", '{"de": 1}', "TypeError: "),
    ],
)
async def test_one_that_cannot_be_read_is_shown_alone_and_can_be_ended(
    world: World, column: str, stored: str, why: str
) -> None:
    await world.person("ann@one.example")
    other, broken = await world.started(), await world.started()
    draft = await world.draft()
    await execute(
        world.database, f"UPDATE campaigns SET {column} = %s WHERE id = ANY(%s)", [stored, [broken.id, draft.id]]
    )
    await world.send()
    assert (await world.states(other), await world.states(broken)) == (
        {"ann@one.example": "delivered"}, {"ann@one.example": "waiting"},
    )  # fmt: skip
    async with world.database.connection() as connection:
        found = (await repository.page(connection, None, Window(10))).entries
    assert [(one.id, one.unreadable[: len(why)]) for one in found] == [
        (draft.id, why),
        (broken.id, why),
        (other.id, ""),
    ]
    assert found[1].why.startswith(f"it cannot be read, and waits: {why}")
    for act, one in (("start", draft), ("duplicate", draft), ("resume", await world.do("pause", broken))):
        with pytest.raises(Refused, match="cannot read the broadcast") as refused:
            await world.do(act, one)
        assert (refused.value.code, "version that wrote it" in refused.value.hint) == ("unreadable", True)
    await world.do("remove", draft)
    await world.do("cancel", broken)
    await world.settle()
    assert await world.states(broken) == {"ann@one.example": "cancelled"}


async def test_a_deleted_campaign_is_seen_nowhere_and_counts_for_a_week(world: World) -> None:
    await world.person("ann@one.example")
    topic = await _topic(world, policy=Policy(most_per_week=1))
    campaign = await world.started(topic_id=topic.id)
    await world.send()
    await world.do("remove", campaign)
    async with world.database.connection() as connection:
        assert await repository.find(connection, None, campaign.id) is None
        assert (await repository.page(connection, None, Window(10))).entries == []
    await forget_gone(world.database)
    again = await world.started(topic_id=topic.id)
    await world.send()
    assert await world.outcomes(again) == {"ann@one.example": ("tapered", "frequency_cap")}

    await execute(world.database, "UPDATE campaigns SET deleted_at = deleted_at - interval '9 days'")
    await forget_gone(world.database)
    for table in ("campaigns", "campaign_recipients", "campaign_contents"):
        assert await rows(world.database, f"SELECT FROM {table} WHERE {OWN[table]} = %s", [campaign.id]) == []


OWN = {"campaigns": "id", "campaign_recipients": "campaign_id", "campaign_contents": "campaign_id"}


async def test_what_failed_is_tried_again_and_what_is_dead_is_not(world: World) -> None:
    bob = await world.person("bob@one.example")
    await world.person("unknown@one.example", city="Rome")
    campaign = await world.started(with_words(html="<p>{{ city }}</p>", text=None))
    await execute(world.database, """UPDATE contacts SET properties = '{"city": "Rome"}' WHERE id <> %s""", [bob])
    await world.send()
    assert await world.states(campaign) == {"bob@one.example": "failed", "unknown@one.example": "bounced"}
    await execute(world.database, """UPDATE contacts SET properties = '{"city": "Oslo"}'""")
    assert (await world.do("retry", campaign)).people == 1
    await world.settle()
    assert await world.state(campaign) == "sending", "they are not waiting yet"
    await work.begin(world.database)
    await world.send()

    assert await world.states(campaign) == {"bob@one.example": "delivered", "unknown@one.example": "bounced"}
    counted, found = await world.tallied(campaign)
    assert (counted, await world.state(campaign)) == (found, "finished")


async def test_many_are_tried_again_in_slices_and_nobody_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(5):
        await world.person(f"u{n}@one.example", city="Rome")
    campaign = await world.started(with_words(html="<p>{{ city }}</p>", text=None))
    await execute(world.database, "UPDATE contacts SET properties = '{}'")
    await world.send()
    assert (await world.do("retry", campaign)).people == 5
    monkeypatch.setattr(retrying, "SLICE", 2)
    slices, calls = retrying._slice, iter(range(9))

    async def dies(*given: Any) -> Any:
        if next(calls):
            raise asyncio.CancelledError
        return await slices(*given)

    with monkeypatch.context() as broken:
        broken.setattr(retrying, "_slice", dies)
        with pytest.raises(asyncio.CancelledError):
            await work.begin(world.database)
    assert Counter((await world.states(campaign)).values()) == {"waiting": 2, "failed": 3}
    await world.send()  # the two fail again
    assert await world.state(campaign) == "sending"
    await work.begin(world.database)

    assert Counter((await world.states(campaign)).values()) == {"waiting": 3, "failed": 2}
    await world.send()
    counted, found = await world.tallied(campaign)
    assert (counted, await world.state(campaign)) == (found, "finished")


async def test_a_row_that_news_moved_meanwhile_is_not_counted_as_lost(world: World) -> None:
    ann = await world.person("ann@one.example")
    campaign = await world.started()
    await world.feed()
    await world.deliver()
    await work.settle_all(world.database)
    async with world.database.transaction() as connection:  # it was queued when `finish` looked
        lost = work.Lost(ann, "queued", None, datetime.now(UTC))
        await work._end_lost(connection, campaign.id, [lost])
    assert await world.states(campaign) == {"ann@one.example": "delivered"}
    counted, found = await world.tallied(campaign)
    assert counted == found


async def test_two_who_change_a_draft_at_one_time_lose_nothing_of_each_other(world: World) -> None:
    read = await world.draft()
    async with world.database.transaction() as connection:
        await steering.put_on_web(connection, read, switched(Access.LINK, "https://mail.acme.example"))
    async with world.database.transaction() as connection:
        written = replace(steering.draft_of(read), words=replace(read.words, subject="Summer"))
        await steering.update(connection, read, written)
    async with world.database.transaction() as connection:
        await steering.update(connection, read, replace(steering.draft_of(read), name="June"))

    found = await world.campaign(read)
    assert (found.archive.access, found.words.subject, found.name) == (Access.LINK, "Summer", "June")
    assert found.words.html == read.words.html


async def test_when_anybody_could_be_heard_is_asked_once_a_campaign(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.person("ann@one.example")
    heard = datetime(2026, 1, 1, tzinfo=UTC)
    await execute(
        world.database,
        "INSERT INTO engaged (application_id, address, active_at) VALUES (%s, 'bob@one.example', %s)",
        [world.lane.application_id, heard],
    )
    campaign = await world.started()
    assert (await world.campaign(campaign)).heard_since == heard

    async def asks(*_: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(eligibility, "heard_since", asks)
    await world.send()
    assert await world.state(campaign) == "finished"


LOOPS = "{% for a in range(200) %}{% for b in range(200) %}{{ first_name }}{% endfor %}{% endfor %}"


async def test_what_costs_much_for_each_person_does_not_begin(world: World) -> None:
    hidden = "{% if city == 'Rome' %}" + LOOPS + "{% endif %}"
    rome = await world.person("ann@one.example", city="Rome", first_name="x" * 40)
    await world.person("bob@one.example", city="Oslo", first_name="Bob")
    costly = await world.draft(with_words(html=LOOPS.replace("{{ first_name }}", "{{ first_name | upper | lower }}")))
    with pytest.raises(Refused, match="of processor time: too much for each of many people"):
        await world.do("start", costly)

    campaign = await world.started(with_words(html=hidden, text=""))
    await world.send()
    states = await world.outcomes(campaign)
    assert states["bob@one.example"] == ("delivered", None)
    assert states["ann@one.example"][0] == "failed" and rome
    assert re.search("more than (1048576 characters|0.1 s of processor time)", states["ann@one.example"][1] or "")


@pytest.mark.parametrize(
    ("html", "sizes"),
    [
        (f"<p>{'x' * 70_000}</p>", [70_007]),
        ("{% for n in range(3000) %}" + "y" * 100 + "{% endfor %}", None),
    ],
)
async def test_large_mail_of_a_campaign_is_made_when_its_session_is_ready(
    world: World, monkeypatch: pytest.MonkeyPatch, html: str, sizes: list[int] | None
) -> None:
    """Also when it becomes large only when it is rendered."""
    await world.person("ann@one.example")
    budget, taken = world.lane.collaborators.large, []
    take = budget.take

    async def counted(site: str, size: int, seconds: float) -> bool:
        taken.append(size)
        return await take(site, size, seconds)

    monkeypatch.setattr(budget, "take", counted)
    campaign = await world.started(with_words(html=html, text=""))
    await world.send()

    assert await world.states(campaign) == {"ann@one.example": "delivered"}
    assert (taken == sizes) if sizes else (len(taken) == 1 and taken[0] > 300_000)
    assert budget.used() == 0
    (mail,) = world.lane.mails_to("ann@one.example")
    assert len(mail.data) > 70_000


async def test_no_link_is_kept_that_names_its_person(world: World) -> None:
    ann = await world.person("ann@one.example")
    campaign = await world.started()
    await world.send()
    for who in ("ann@one.example", "ANN@one.example"):
        await execute(
            world.database,
            "INSERT INTO campaign_news (campaign_id, contact_id, email_id, kind, at, link)"
            " VALUES (%s, %s, gen_random_uuid(), 'clicked', now(), %s)",
            [campaign.id, ann, f"https://shop.example/?who={who}"],
        )
    await world.settle()
    assert await rows(world.database, "SELECT url FROM campaign_links") == [("https://shop.example/?who={{ email }}",)]
    assert await rows(world.database, "SELECT clicks FROM campaign_clicks") == [(2,)]


async def test_a_slice_looks_up_whom_it_needs(world: World) -> None:
    """And not everybody whom the application heard of, for each of them."""
    await world.person("ann@one.example")
    campaign = await world.draft()
    await world.do("start", campaign)
    plans: list[str] = []
    async with world.database.transaction() as connection:
        await connection.execute("SET LOCAL enable_seqscan = off")
        known = replace(
            await repository.get(connection, None, campaign.id), heard_since=datetime(2020, 1, 1, tzinfo=UTC)
        )
        ask = connection.execute

        async def explained(statement: Any, *given: Any) -> Any:
            if "INSERT INTO campaign_recipients" in statement:
                plans.extend(line for (line,) in await (await ask(f"EXPLAIN {statement}", *given)).fetchall())
            return await ask(statement, *given)

        connection.execute = explained  # type: ignore[method-assign]  # to be looked at on its way
        try:
            done = await snapshot.fix_slice(connection, known)
            assert (done.made, done.more) == (Counter(waiting=1), False)
        finally:
            connection.execute = ask  # type: ignore[method-assign]  # as it was
    found = [plans[n + 1] for n, line in enumerate(plans) if "engaged_pkey" in line]
    assert len(found) == 1 and all("application_id" in line and "address" in line for line in found), plans


async def test_a_property_that_was_made_a_moment_ago_is_known_when_mail_is_rendered(world: World) -> None:
    """By a worker that has rendered mail of this application just before."""
    ann = await world.person("ann@one.example", city="Berlin")
    await world.started()
    await world.send()
    act = ContactAct(ContactSource.API)
    async with world.database.transaction() as connection:
        await properties.create(connection, world.lane.application_id, "shoe", PropertyType.STRING, "38")
        await contacts.update(connection, world.lane.application_id, ann, Changes(properties={"shoe": "41"}), act)
    await world.started(with_words(html="<p>Shoes of size {{ shoe }}</p>", text="Shoes of size {{ shoe }}"))
    await world.send()

    assert b"size 41" in world.lane.mails_to("ann@one.example")[-1].data


async def test_workers_without_work_are_told_at_once(world: World) -> None:
    await world.person("ann@one.example")
    await world.person("bob@two.example")
    await world.started()
    told: list[tuple[Lane, set[str]]] = []

    def hint(lane: Lane, destinations: Iterable[str]) -> None:
        told.append((lane, set(destinations)))

    await work.feed_all(world.database, SIMULATED, hint)
    await work.feed_all(world.database, SIMULATED, hint)
    assert told == [(Lane.MARKETING, {"one.example", "two.example"})]


async def test_complaints_stop_it_with_the_figure(world: World) -> None:
    people = [await world.person(f"u{n}@one.example") for n in range(4)]
    await execute(
        world.database,
        """INSERT INTO alarm_rules (rule, settings, by) VALUES ('complaints',
           '{"least": 4, "least_complaints": 2, "stop": 0.5}', '')""",
    )
    campaign = await world.started()
    await world.feed()
    await world.deliver()
    for person in people[:2]:
        await execute(
            world.database,
            "INSERT INTO campaign_news (campaign_id, contact_id, email_id, kind, at)"
            " VALUES (%s, %s, gen_random_uuid(), 'complained', now())",
            [campaign.id, person],
        )
    await work.settle_all(world.database)
    stopped = await world.campaign(campaign)
    assert stopped.state is CampaignState.STOPPED
    assert stopped.reason == "2 of 4 people complained: 50.00%, and 50.00% is the limit"
