"""Whoever is about to be written to no more is asked once, by mail, and a yes keeps them."""

from datetime import UTC, datetime, timedelta

from audience import choices, confirmations, contacts, reconfirming, tapering
from audience.choices import Act, Person, Source
from audience.contact_history import ContactAct, ContactSource
from audience.tapering import Policy, Step
from audience.topics import Subscription
from tests.integration.messages.emails import rows
from tests.integration.pages.signups import Signup, signup

__all__ = ["signup"]

PEOPLE = {"ben": 80, "awake": 70, "gone": 95, "left": 80, "new": 80}
"""Days of silence."""
POLICY = Policy((Step(90, None),), reconfirm=True)


async def fill(signup: Signup, policy: Policy = POLICY) -> None:
    """People, of whom one left the topic and one never confirmed; and the first open was long ago."""
    topic, application = signup.reader.topics["News"], signup.reader.account.application_id
    async with signup.database.transaction() as connection:
        await tapering.put(connection, topic, policy)
        for name in PEOPLE:
            wanted = contacts.Changes(confirm=name != "new")
            await contacts.create(connection, application, f"{name}@example.org", wanted, ContactAct(ContactSource.API))
            await connection.execute(
                "UPDATE contacts SET confirmed_at = confirmed_at - make_interval(days => %s) WHERE address = %s",
                [PEOPLE[name], f"{name}@example.org"],
            )
        await connection.execute(
            "INSERT INTO engaged (application_id, address, opened_at) VALUES (%s, 'first@example.org', %s)",
            [application, datetime.now(UTC) - timedelta(days=600)],
        )
        person = Person(application, "left@example.org")
        await choices.subscribe(connection, person, {topic.id: Subscription.OPT_OUT}, Act(Source.LINK))


async def ask(signup: Signup) -> int:
    return await reconfirming.ask(signup.database, datetime.now(UTC), timedelta(days=7))


async def test_the_silent_are_asked_once_and_a_yes_keeps_them(signup: Signup) -> None:
    await fill(signup)

    assert (await ask(signup), await ask(signup)) == (1, 0)
    (text,) = await signup.mails()
    assert "We have not heard from you for a long time" in text
    assert "- News" in text
    for name in PEOPLE.keys() - {"ben"}:
        assert await signup.mails(f"{name}@example.org") == []
    shown = (await signup.client.get(await signup.link())).text
    assert "Do you still want mail from" in shown
    assert "sign me up" not in shown
    answer = await signup.say_yes(await signup.link())
    assert answer.status_code == 200
    assert "Good: it goes on" in answer.text

    found = await signup.contact()
    assert found is not None
    assert found.confirmed_at is not None
    assert datetime.now(UTC) - found.confirmed_at < timedelta(days=1)
    assert len(await signup.mails()) == 1, "neither a reminder nor a welcome"
    assert await ask(signup) == 0


async def test_retention_remembers_who_was_asked(signup: Signup) -> None:
    """Their link ends after a week; that they were asked is remembered for as long as it counts."""
    await fill(signup)
    assert await ask(signup) == 1
    await signup.set("ben@example.org", asked_at="89 days", expires_at="82 days")
    async with signup.database.transaction() as connection:
        await confirmations.forget(connection)
    assert await ask(signup) == 0

    await signup.set("ben@example.org", asked_at="91 days")
    async with signup.database.transaction() as connection:
        await confirmations.forget(connection)
    assert await rows(signup.database, "SELECT FROM confirmations") == []


async def test_nobody_is_asked_without_a_policy_that_says_so(signup: Signup) -> None:
    await fill(signup, Policy((Step(90, None),)))

    assert await ask(signup) == 0
    assert await rows(signup.database, "SELECT FROM confirmations") == []
