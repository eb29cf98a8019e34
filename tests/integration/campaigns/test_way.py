"""The way of a campaign from its draft to its end: one row and one outcome for each person, whatever happens."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from accounts import capture_rules
from audience import topics
from campaigns import feed, report, repository, steering, trying, work
from campaigns.forgetting import forget_gone
from campaigns.model import Campaign
from campaigns.plan import Plan
from campaigns.states import CampaignState
from campaigns.withdrawal import delete_application
from core.refusal import Refused
from messages import halted
from messages import repository as emails
from messages.claim import still_sendable
from messages.model import MessageRef
from store.database import Database
from tests.integration.campaigns.world import SIMULATED, World, with_words, world_test
from tests.integration.messages.emails import execute, rows, suppress


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path, public_url="https://mail.acme.example") as made:
        yield made


async def test_everybody_has_one_outcome_with_its_reason_and_only_then_it_is_finished(world: World) -> None:
    await world.person("ann@one.example", first_name="Ann")
    await world.person("unknown@one.example")
    await world.person("never@one.example", "unconfirmed")
    await world.person("gone@two.example")
    await suppress(world.database, "gone@two.example")
    campaign = await world.started(with_words(subject="News {{ first_name | default('you') }}"))
    assert await world.state(campaign) == "sending"
    await world.send()

    assert await world.outcomes(campaign) == {
        "ann@one.example": ("delivered", None),
        "unknown@one.example": ("bounced", "550 5.1.1 no such user"),
        "never@one.example": ("unconfirmed", "unconfirmed"),
        "gone@two.example": ("suppressed", "manual"),
    }
    assert await world.state(campaign) == "finished"
    counted, found = await world.tallied(campaign)
    assert counted == found
    pages = [page async for page in report.every(world.database, campaign.id, report.Wanted(), step=1)]
    assert [len(page) for page in pages] == [1, 1, 1, 1]
    assert {one.email for (one,) in pages} == set(await world.outcomes(campaign))
    (mail,) = world.lane.mails_to("ann@one.example")
    assert b"Subject: News Ann" in mail.data
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in mail.data
    assert b"Hello Ann" in mail.data and b"{{" not in mail.data
    assert not world.lane.mails_to("never@one.example")


async def test_who_cannot_be_rendered_fails_alone(world: World) -> None:
    await world.person("ann@one.example", city="Rome")
    await world.person("bob@one.example")
    campaign = await world.started(with_words(html="<p>{{ city }}</p>"))
    await world.send()
    states = await world.outcomes(campaign)

    assert states["ann@one.example"][0] == "delivered"
    assert states["bob@one.example"][0] == "failed"
    assert "`city` has no value" in (states["bob@one.example"][1] or "")
    assert await world.state(campaign) == "finished"


async def test_nothing_of_a_paused_campaign_leaves_and_it_goes_on_where_it_was(world: World) -> None:
    await world.person("ann@one.example")
    campaign = await world.started()
    await world.feed()
    await world.do("pause", campaign)
    await world.person("bob@one.example")
    await world.deliver()
    await world.feed()

    assert await rows(world.database, "SELECT hold, due_at > now(), claimed_by FROM delivery_queue") == [
        (halted.HELD, True, None)
    ]
    assert not world.lane.sink.mails
    await world.do("resume", campaign)
    await world.send()
    assert await world.states(campaign) == {"ann@one.example": "delivered"}
    assert await world.state(campaign) == "finished"


async def test_mail_that_a_claim_holds_after_the_campaign_went_on_is_found_again(world: World) -> None:
    await world.person("ann@one.example")
    campaign = await world.started()
    await world.feed()
    await execute(world.database, "UPDATE delivery_queue SET hold = %s, due_at = now() + interval '1 h'", [halted.HELD])
    await work.release(world.database)
    await world.send()

    assert await world.states(campaign) == {"ann@one.example": "delivered"}


async def test_mail_in_a_batch_does_not_leave_once_its_campaign_is_halted(world: World) -> None:
    """The last look before MAIL FROM asks for it too."""
    await world.person("ann@one.example")
    campaign = await world.started()
    await world.feed()
    await world.do("pause", campaign)
    ((email,),) = await rows(world.database, "SELECT email_id FROM delivery_queue")
    worker = world.lane.collaborators.worker
    await execute(
        world.database,
        "UPDATE delivery_queue SET claimed_by = %s, claimed_at = now(), due_at = now() + interval '1 min'",
        [worker],
    )
    async with world.database.connection() as connection:
        assert await still_sendable(connection, [MessageRef(email, 0)], worker) == set()


async def test_cancelling_ends_what_waits_and_what_is_queued(world: World) -> None:
    for name in ("ann", "bob", "eve"):
        await world.person(f"{name}@one.example")
    campaign = await world.started()
    await world.feed()
    await execute(
        world.database,
        "UPDATE campaign_recipients SET state = 'waiting', email_id = NULL WHERE contact_id ="
        " (SELECT id FROM contacts WHERE address = 'eve@one.example')",
    )
    await world.do("cancel", campaign)
    await world.settle()
    await world.settle()

    assert set((await world.states(campaign)).values()) == {"cancelled"}
    assert await world.state(campaign) == "cancelled"
    assert await rows(world.database, "SELECT FROM delivery_queue") == []
    assert await rows(world.database, "SELECT FROM halted_campaigns") == []
    with pytest.raises(Refused, match="cancelled cannot be resumed"):
        await world.do("resume", campaign)


async def test_who_leaves_or_is_erased_after_their_mail_was_queued_gets_none(world: World) -> None:
    await world.person("ann@one.example")
    bob = await world.person("bob@one.example")
    campaign = await world.started()
    await world.feed()
    await suppress(world.database, "ann@one.example")
    await execute(world.database, "DELETE FROM contacts WHERE id = %s", [bob])
    await world.deliver()
    await world.settle()

    assert await world.outcomes(campaign) == {
        "ann@one.example": ("suppressed", "manual"),
        "erased": ("erased", "its recipient was erased"),
    }
    assert not world.lane.sink.mails


async def test_a_feed_that_dies_leaves_its_rows_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.person("ann@one.example")
    campaign = await world.started()

    async def die(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as broken:
        broken.setattr(feed, "_move", die)
        with pytest.raises(asyncio.CancelledError):
            await world.feed()
    assert await rows(world.database, "SELECT FROM emails") == []
    await world.send()
    assert len(world.lane.mails_to("ann@one.example")) == 1
    assert await world.state(campaign) == "finished"


async def test_two_feeds_at_once_make_one_mail(world: World) -> None:
    for n in range(20):
        await world.person(f"u{n}@one.example")
    await world.started()
    await asyncio.gather(*(work.feed_all(world.database, SIMULATED) for _ in range(4)))

    ((mails, people),) = await rows(world.database, "SELECT count(*), count(DISTINCT contact_id) FROM emails")
    assert mails == people == 20


async def test_deferred_mail_is_shown_as_such_and_keeps_the_campaign_open(world: World) -> None:
    await world.person("grey@one.example")
    campaign = await world.started()
    await world.send()

    assert (await world.outcomes(campaign))["grey@one.example"] == (
        "deferred",
        "451 4.7.1 Greylisted, please try again later",
    )
    assert await world.state(campaign) == "sending"
    await execute(world.database, "UPDATE delivery_queue SET due_at = now()")
    await world.deliver()
    await world.settle()
    assert await world.states(campaign) == {"grey@one.example": "delivered"}
    assert await world.state(campaign) == "finished"


async def test_a_campaign_whose_domain_is_lost_stops_and_says_so(world: World) -> None:
    await world.person("ann@one.example")
    campaign = await world.started()
    await execute(world.database, "UPDATE domains SET status = 'failed'")
    await world.feed()
    stopped = await world.campaign(campaign)

    assert stopped.state is CampaignState.STOPPED
    assert stopped.reason == "acme.example may send no more: its status is failed"
    await execute(world.database, "UPDATE domains SET status = 'verified'")
    await world.do("resume", campaign)
    await world.send()
    assert await world.state(campaign) == "finished"


async def test_nothing_is_sent_under_a_topic_that_was_deleted(world: World) -> None:
    await world.person("ann@one.example")
    application = world.lane.application_id
    async with world.database.transaction() as connection:
        topic = await topics.create(connection, topics.NewTopic(application, "Deals", topics.Subscription.OPT_IN))
    campaign = await world.draft(topic_id=topic.id)
    async with world.database.transaction() as connection:
        now = datetime.now(UTC)
        await steering.schedule(connection, campaign, now + timedelta(hours=1), now)
        await topics.delete(connection, application, topic.id)
    await execute(world.database, "UPDATE campaigns SET scheduled_at = now()")
    await work.begin(world.database)
    await world.send()

    stopped = await world.campaign(campaign)
    assert (stopped.state, stopped.reason) == (CampaignState.STOPPED, "its topic was deleted")
    assert await rows(world.database, "SELECT FROM emails") == []
    with pytest.raises(Refused, match="its topic was deleted"):
        await world.do("resume", campaign)


async def test_a_campaign_that_a_segment_asks_for_is_not_deleted(world: World) -> None:
    campaign = await world.draft()
    await execute(
        world.database,
        "INSERT INTO segments (id, application_id, name, filter) VALUES (gen_random_uuid(), %s, 'Not Spring', %s)",
        [world.lane.application_id, Jsonb({"not": {"field": "campaign", "op": "got", "value": str(campaign.id)}})],
    )
    with pytest.raises(Refused, match="'Not Spring' asks who got this broadcast"):
        await world.do("remove", campaign)
    await execute(world.database, "UPDATE segments SET deleted_at = now() WHERE name = 'Not Spring'")
    await world.do("remove", campaign)


async def test_too_many_dead_addresses_stop_it_with_the_figure(world: World) -> None:
    await world.person("ann@one.example")
    await world.person("unknown@one.example")
    await execute(
        world.database,
        """INSERT INTO alarm_rules (rule, settings, by) VALUES ('hard_bounces', '{"least": 2, "critical": 0.5}', '')""",
    )
    campaign = await world.started()
    await world.person("late@one.example")
    await world.send()
    stopped = await world.campaign(campaign)

    assert stopped.state is CampaignState.STOPPED
    assert stopped.reason == "1 of 2 addresses are dead: 50.00%, and 50.00% is the limit"
    await world.do("resume", campaign)
    await world.settle()
    assert await world.state(campaign) == "finished"  # what somebody has seen stops nothing again


async def test_nobody_is_added_after_the_start_and_an_empty_audience_is_finished(world: World) -> None:
    campaign = await world.started()
    await world.person("late@one.example")
    await work.begin(world.database)
    await world.send()

    assert await world.states(campaign) == {}
    assert await world.state(campaign) == "finished"


async def test_one_that_could_not_begin_in_time_asks_first(world: World) -> None:
    await world.person("ann@one.example")
    campaign = await world.draft()
    async with world.database.transaction() as connection:
        at = datetime.now(UTC) + timedelta(hours=1)
        await steering.schedule(connection, campaign, at, datetime.now(UTC))
    await work.begin(world.database)
    assert await world.state(campaign) == "scheduled"
    await execute(world.database, "UPDATE campaigns SET scheduled_at = now() - interval '3 h'")
    await work.begin(world.database)
    late = await world.campaign(campaign)
    assert late.state is CampaignState.PAUSED
    assert "it should have begun at" in late.reason
    await world.do("resume", campaign)
    await work.begin(world.database)
    await world.send()
    assert await world.states(campaign) == {"ann@one.example": "delivered"}


async def _scheduled(world: World, hours: float) -> Campaign:
    campaign = await world.draft()
    async with world.database.transaction() as connection:
        now = datetime.now(UTC)
        return await steering.schedule(connection, campaign, now + timedelta(hours=hours), now)


async def _begin_with(world: World, seen: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that read this campaign some time ago."""

    async def stale(*_: object) -> list[Campaign]:
        return [seen]

    monkeypatch.setattr(repository, "in_states", stale)
    await work.begin(world.database)
    monkeypatch.undo()


@pytest.mark.parametrize("late", [0.5, 3.0])
async def test_what_was_taken_back_or_moved_since_it_was_read_does_not_begin(
    world: World, monkeypatch: pytest.MonkeyPatch, late: float
) -> None:
    await world.person("ann@one.example")
    campaign = await _scheduled(world, 1)
    past = replace(campaign, scheduled_at=datetime.now(UTC) - timedelta(hours=late))
    await world.do("cancel", campaign)
    await _begin_with(world, past, monkeypatch)
    assert await world.state(campaign) == "draft"

    async with world.database.transaction() as connection:
        now = datetime.now(UTC)
        await steering.schedule(connection, campaign, now + timedelta(days=1), now)
    await _begin_with(world, past, monkeypatch)
    assert await world.state(campaign) == "scheduled"

    await world.do("start", campaign)
    await _begin_with(world, past, monkeypatch)
    assert await world.state(campaign) == "sending"
    assert await rows(world.database, "SELECT FROM halted_campaigns") == []


async def test_a_campaign_that_is_sending_stays_not_halted(world: World) -> None:
    await world.person("ann@one.example")
    campaign, paused = await world.started(), await world.started()
    await world.do("pause", paused)
    await world.feed()
    await execute(world.database, "INSERT INTO halted_campaigns (campaign_id, why) VALUES (%s, 'late')", [campaign.id])
    await world.deliver()
    await work.release(world.database)
    assert await rows(world.database, "SELECT campaign_id FROM halted_campaigns") == [(paused.id,)]
    await world.send()
    assert await world.state(campaign) == "finished"


async def test_a_slow_pace_is_a_pace(world: World) -> None:
    for n in range(3):
        await world.person(f"u{n}@one.example")
    campaign = await world.started(plan=Plan(per_hour=100))
    for minutes in (0, 0, 1, 1):
        await execute(world.database, f"UPDATE campaigns SET paced_at = paced_at - interval '{minutes} min'")
        await world.feed()
        await world.feed()
    assert Counter((await world.states(campaign)).values()) == {"queued": 3}
    assert await world.state(campaign) == "sending"


async def test_a_state_that_does_not_allow_it_refuses(world: World) -> None:
    draft = await world.draft()
    for act in ("pause", "resume", "cancel", "retry"):
        with pytest.raises(Refused, match="draft cannot"):
            await world.do(act, draft)
    await world.do("remove", draft)
    async with world.database.connection() as connection:
        assert await repository.find(connection, None, draft.id) is None


async def test_a_mail_shows_what_its_person_got(world: World) -> None:
    await world.person("ann@one.example", first_name="Ann")
    await world.started()
    await world.send()
    ((email, application),) = await rows(world.database, "SELECT id, application_id FROM emails")
    async with world.database.connection() as connection:
        shown = await emails.find_email(connection, application, email)
    assert shown is not None and shown.html is not None
    assert "<h1>Hello Ann</h1>" in shown.html


async def test_nothing_is_left_of_campaigns_whose_application_is_gone(world: World) -> None:
    await world.person("ann@one.example")
    await world.started()
    await execute(world.database, "DELETE FROM applications")
    await forget_gone(world.database)

    for table in ("campaigns", "campaign_recipients", "campaign_contents", "campaign_tallies"):
        assert await rows(world.database, f"SELECT FROM {table}") == []


async def test_the_campaigns_of_an_application_that_leaves_make_no_more_mail(world: World) -> None:
    for n in range(3):
        await world.person(f"u{n}@one.example")
    sending, later = await world.started(plan=Plan(per_hour=1)), await _scheduled(world, 1)
    with pytest.raises(Refused, match="under way"):
        await delete_application(world.database, world.lane.application_id, settle=world.feed)
    assert (await world.state(sending), await world.state(later)) == ("sending", "scheduled"), "nothing changed"

    await world.feed()
    await execute(world.database, "UPDATE campaigns SET paced_at = NULL")
    await delete_application(world.database, world.lane.application_id, cancel=True, settle=world.feed)
    assert (await world.state(sending), await world.state(later)) == ("cancelled", "cancelled")
    assert await rows(world.database, "SELECT state FROM messages") == [("cancelled",)]
    await world.settle()
    assert await rows(world.database, "SELECT FROM halted_campaigns") == []


async def test_what_cannot_be_stored_fails_alone(world: World) -> None:
    await world.person("ann@one.example", city="Rome")
    await world.person("bob@one.example", city="Nowhere")
    campaign = await world.started(with_words(subject="{{ city }}"))
    await execute(
        world.database,
        "ALTER TABLE emails ADD CONSTRAINT no_nowhere CHECK (subject <> 'Nowhere')",
    )
    await world.send()
    await world.send()
    states = await world.outcomes(campaign)

    assert states["ann@one.example"][0] == "delivered"
    assert states["bob@one.example"][0] == "failed"
    assert (states["bob@one.example"][1] or "").startswith("its mail cannot be stored")
    assert await world.state(campaign) == "finished"


async def test_a_bug_in_one_campaign_stops_that_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.person("ann@one.example")
    broken = await world.started()
    other = await world.started()
    made = feed._email

    def fails(press: feed.Press, *others: Any) -> Any:
        if press.campaign.id == broken.id:
            raise KeyError("a bug")
        return made(press, *others)

    monkeypatch.setattr(feed, "_email", fails)
    await world.send()

    assert (await world.campaign(broken)).reason == "internal error: KeyError: 'a bug'"
    assert await world.state(other) == "finished"


async def test_a_campaign_that_cannot_be_read_holds_up_no_other(world: World) -> None:
    await world.person("ann@one.example")
    odd, other = await world.started(), await world.started()
    await execute(
        world.database,
        "UPDATE campaigns SET plan = %s WHERE id = %s",
        [Jsonb({"window": {"zone": "Mars/Olympus"}}), odd.id],
    )
    await world.send()
    await work.release(world.database)
    assert await world.state(other) == "finished"


async def test_a_test_is_mail_as_its_person_would_get_it_and_counts_for_nothing(world: World) -> None:
    await world.person("ann@one.example", first_name="Ann")
    draft = await world.draft()
    async with world.database.transaction() as connection:
        await trying.send(connection, draft, ["ann@one.example", "me@two.example"], SIMULATED)
    await world.deliver()
    ann, me = world.lane.mails_to("ann@one.example")[0], world.lane.mails_to("me@two.example")[0]

    assert b"Subject: [Test] News for Ann" in ann.data and b"Hello Ann" in ann.data
    assert b"Subject: [Test] News for you" in me.data
    assert b"https://mail.acme.example/u/" in me.data and b"{{" not in me.data
    assert await world.states(draft) == {}
    with pytest.raises(Refused, match="no address"):
        async with world.database.transaction() as connection:
            await trying.send(connection, draft, ["nobody"], SIMULATED)


async def test_a_test_does_not_leave_where_nothing_may(world: World) -> None:
    draft = await world.draft()
    to = ["me@two.example", "any@qa.example", "delivered@sandbox.example", "bounced@resend.dev"]
    async with world.database.transaction() as connection:
        await capture_rules.add(connection, draft.application_id, "*@qa.example")
        await trying.send(connection, draft, to, SIMULATED)

    queued = await rows(world.database, "SELECT recipient, capture FROM delivery_queue ORDER BY email_id")
    assert queued == list(zip(to, (False, True, True, True), strict=True))
    with pytest.raises(Refused, match="no simulated recipient"):
        async with world.database.transaction() as connection:
            await trying.send(connection, draft, ["bounce@sandbox.example"], SIMULATED)
