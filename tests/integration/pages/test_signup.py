"""Sign-up: nobody is signed up without a yes from their own mailbox, and nobody learns whom we know."""

import asyncio
from dataclasses import replace
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from audience import choices, confirmations, contact_history, forms, topics
from audience.choices import Act, Person
from audience.contact_history import ContactAct, ContactSource
from audience.contacts import Status
from campaigns import erasing, readdressing
from core.ids import uuid7
from core.settings import Settings
from messages import signing_up
from pages.app import create_app
from pages.limits import IDLE_AN_HOUR, SAME_AN_HOUR
from suppression import repository as suppressions
from suppression.entries import Addition
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from tests.integration.messages.emails import rows
from tests.integration.pages.conftest import ANN
from tests.integration.pages.signups import BEN, Signup, signup

__all__ = ["signup"]


def news(signup: Signup) -> str:
    return str(signup.reader.topics["News"].id)


async def asked(signup: Signup, email: str = BEN, **fields: object) -> None:
    answer = await signup.post(email, topic=news(signup), **fields)
    assert answer.status_code == 200, answer.text
    assert "Almost done" in answer.text


async def test_a_yes_makes_a_contact_with_the_proof_of_it(signup: Signup) -> None:
    await asked(signup, first_name="Ben")
    assert await signup.contact() is None
    path = await signup.link()
    page = await signup.client.get(path)
    assert "Yes, sign me up" in page.text
    assert await signup.contact() is None

    assert (await signup.say_yes(path)).status_code == 200
    found = await signup.contact()
    assert found is not None
    assert (found.status, found.first_name, found.language) == (Status.CONFIRMED, "Ben", "en")
    async with signup.database.connection() as connection:
        past = (await contact_history.page(connection, found.id)).entries
    proof = next(one for one in past if one.what == "confirmed")
    assert proof.detail["text"] == "I want it."
    assert (proof.detail["asked_ip"], proof.ip, proof.source_id) == ("203.0.113.9", "203.0.113.9", signup.form.id)


async def test_the_mail_says_what_is_asked_and_the_welcome_what_comes(signup: Signup) -> None:
    await asked(signup)
    (ask,) = await signup.mails()
    assert "signed up for mail of Acme" in ask
    assert "- News" in ask
    await signup.say_yes(await signup.link())

    (_, welcome) = await signup.mails()
    assert "- News" in welcome
    assert "Once a month." in welcome
    assert "/u/" in welcome


async def test_pressing_again_and_at_once_does_it_once(signup: Signup) -> None:
    await asked(signup)
    path = await signup.link()
    answers = await asyncio.gather(*(signup.say_yes(path) for _ in range(4)))

    assert [answer.status_code for answer in answers] == [200] * 4
    assert "You are signed up" in (await signup.client.get(path)).text
    assert len(await signup.mails()) == 2


async def test_nobody_confirms_by_following_the_link_or_with_a_changed_one(signup: Signup) -> None:
    await asked(signup)
    path = (await signup.link()).partition("?")[0]
    assert (await signup.client.head(path)).status_code == 200
    assert (await signup.client.get(path[:-1] + ("A" if path[-1] != "A" else "B"))).status_code == 404
    assert (await signup.client.post(path, data={"action": "other"})).status_code == 400
    assert (await signup.client.get(path.replace("/y/", "/u/"))).status_code == 404

    assert await signup.contact() is None


async def test_a_link_ends(signup: Signup) -> None:
    await asked(signup)
    path = await signup.link()
    await signup.set(BEN, expires_at="1 minute")

    assert (await signup.client.get(path)).status_code == 410
    assert (await signup.say_yes(path)).status_code == 410
    assert await signup.contact() is None


async def test_one_reminder_and_no_more(signup: Signup) -> None:
    await asked(signup)
    await signup.mails()
    await signup.set(BEN, mail_at="0 seconds")
    (_, reminder) = await signup.mails()
    assert "This is the only reminder" in reminder
    (left,) = await rows(signup.database, "SELECT next_mail, mail_at FROM confirmations")

    assert left == (None, None)
    assert (await signup.say_yes(await signup.link())).status_code == 200


async def test_whoever_is_asked_a_thousand_times_gets_one_mail(signup: Signup) -> None:
    for _ in range(SAME_AN_HOUR + 3):
        await asked(signup, **await signup.work())

    assert len(await signup.mails()) == 1
    assert await rows(signup.database, "SELECT count(*) FROM confirmations") == [(1,)]


async def test_asking_again_later_brings_another_mail_and_keeps_the_first_link(signup: Signup) -> None:
    await asked(signup)
    first = await signup.link()
    await signup.set(BEN, mailed_at="2 hours")
    await asked(signup)
    assert len(await signup.mails()) == 2

    assert (await signup.say_yes(first)).status_code == 200


async def test_a_link_confirms_what_its_mail_said(signup: Signup) -> None:
    """Whoever posts the address once more decides nothing for whoever follows the first mail's link."""
    await asked(signup)
    first = await signup.link()
    await signup.post(topic=str(signup.reader.topics["Events"].id), first_name="Mallory", **await signup.work())
    await signup.say_yes(first)
    found = await signup.contact()

    assert found is not None
    assert found.first_name is None
    assert await signup.reader.takes(BEN) == {"News": True, "Offers": True, "Events": False, "Receipts": True}


async def test_another_wish_has_a_mail_and_a_link_of_its_own(signup: Signup) -> None:
    await asked(signup)
    first = await signup.link()
    await signup.set(BEN, mailed_at="2 hours")
    await asked(signup, first_name="Ben")
    second = await signup.link()

    assert (await signup.say_yes(first)).status_code == 410
    assert (await signup.say_yes(second)).status_code == 200
    found = await signup.contact()
    assert found is not None
    assert found.first_name == "Ben"


async def test_three_mails_a_day_and_no_more(signup: Signup) -> None:
    for _ in range(5):
        await asked(signup, **await signup.work())
        await signup.mails()
        await signup.set(BEN, mailed_at="2 hours")

    assert len(await signup.mails()) == 3


async def test_nobody_is_asked_all_over_the_installation(signup: Signup) -> None:
    for _ in range(4):
        await _somewhere_else(signup)
    await asked(signup)

    assert await signup.mails() == []
    assert await rows(signup.database, "SELECT unsent FROM confirmations WHERE unsent IS NOT NULL") == [
        ("asked_too_often",)
    ]


async def _somewhere_else(signup: Signup) -> None:
    async with signup.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO confirmations (id, application_id, address, email, language, asked_at, expires_at, mails,"
            " mailed_at) VALUES (%s, %s, %s, %s, 'en', now(), now(), 1, now())",
            [uuid7(), uuid7(), BEN, BEN],
        )


@pytest.mark.parametrize(
    ("reason", "scope", "own"),
    [
        (Reason.HARD_BOUNCE, SuppressionScope.ALL, False),
        (Reason.COMPLAINT, SuppressionScope.MARKETING, True),
        (Reason.MANUAL, SuppressionScope.MARKETING, False),
        (Reason.UNSUBSCRIBE, SuppressionScope.ALL, False),
    ],
)
async def test_who_is_suppressed_gets_nothing_and_nobody_is_told(
    signup: Signup, reason: Reason, scope: SuppressionScope, own: bool
) -> None:
    only_for = signup.reader.account.application_id if own else None
    async with signup.database.transaction() as connection:
        entry = SuppressionEntry(scope, reason, Source.API, "")
        await suppressions.add(connection, [Addition(BEN, entry, only_for=only_for)])
    known, fresh = await signup.post(topic=news(signup)), await signup.post("other@example.org", topic=news(signup))

    assert known.text.replace(BEN, "") == fresh.text.replace("other@example.org", "")
    assert await signup.mails() == []
    assert len(await signup.mails("other@example.org")) == 1


async def test_who_had_left_everything_comes_back_for_what_they_chose(signup: Signup) -> None:
    await signup.reader.press("leave_all")
    await signup.reader.press("pause30")
    await asked(signup, ANN)
    assert (await signup.reader.stands()).off
    await signup.say_yes(await signup.link(ANN))
    stands = await signup.reader.stands()

    assert not stands.off
    assert stands.paused_until is None
    assert await signup.reader.takes() == {"News": True, "Offers": False, "Events": False, "Receipts": True}


async def test_who_leaves_after_they_signed_up_is_not_reminded(signup: Signup) -> None:
    """Who had left before and signs up again is: they ask anew."""
    await signup.reader.press("leave_all")
    await asked(signup, ANN)
    assert len(await signup.mails(ANN)) == 1
    await signup.set(ANN, mail_at="1 second")
    assert len(await signup.mails(ANN)) == 2

    await asked(signup, BEN)
    assert len(await signup.mails()) == 1
    entry = SuppressionEntry(SuppressionScope.MARKETING, Reason.UNSUBSCRIBE, Source.API, "")
    async with signup.database.transaction() as connection:
        await suppressions.add(connection, [Addition(BEN, entry, only_for=signup.reader.account.application_id)])
    await signup.set(BEN, mail_at="1 second")
    assert len(await signup.mails()) == 1


async def test_who_had_not_left_keeps_what_they_had(signup: Signup) -> None:
    await asked(signup, ANN)
    await signup.say_yes(await signup.link(ANN))

    assert await signup.reader.takes() == {"News": True, "Offers": True, "Events": False, "Receipts": True}


async def test_a_topic_that_wants_to_be_asked_for_is_given(signup: Signup) -> None:
    await signup.post(topic=str(signup.reader.topics["Events"].id))
    await signup.say_yes(await signup.link())

    assert (await signup.reader.takes(BEN))["Events"] is True


async def test_programs_that_fill_in_everything_reach_nothing(signup: Signup) -> None:
    await asked(signup, website="https://spam.example")

    assert await rows(signup.database, "SELECT count(*) FROM confirmations") == [(0,)]


async def test_what_is_no_address_is_said(signup: Signup) -> None:
    for email in ("no address", "a@b.example\r\nBcc: victim@example.com", "Free money <mark@example.com>", ""):
        answer = await signup.post(email, topic=news(signup), **await signup.work())

        assert answer.status_code == 422
        assert "cannot write to this address" in answer.text


async def test_a_type_of_mail_has_to_be_chosen_and_what_was_typed_stays(signup: Signup) -> None:
    answer = await signup.post(first_name='Ben "<b>"')

    assert answer.status_code == 422
    assert "at least one type" in answer.text
    assert 'value="Ben &#34;&lt;b&gt;&#34;"' in answer.text


async def test_without_work_few_are_taken_and_with_it_more(signup: Signup) -> None:
    answers = [await signup.post(f"p{n}@example.org", topic=news(signup)) for n in range(IDLE_AN_HOUR + 1)]
    assert [one.status_code for one in answers] == [200] * IDLE_AN_HOUR + [429]
    work = await signup.work()

    assert (await signup.post("more@example.org", topic=news(signup), **work)).status_code == 200
    assert (await signup.post("again@example.org", topic=news(signup), **work)).status_code == 429, "counts once"


async def test_json_from_a_page_of_the_form_s_origin(signup: Signup) -> None:
    origin = {"origin": "https://www.acme.example"}
    body = {"email": BEN, "topics": [news(signup)], "language": "en", **await signup.work()}
    asked_first = await signup.client.options(signup.path, headers=origin)
    answer = await signup.client.post(signup.path, json=body, headers=origin)

    assert asked_first.headers["access-control-allow-origin"] == "https://www.acme.example"
    assert (answer.status_code, answer.json()["status"]) == (202, "confirmation_sent")
    assert answer.headers["access-control-allow-origin"] == "https://www.acme.example"
    assert len(await signup.mails()) == 1


async def test_no_other_origin_may_read_what_we_say(signup: Signup) -> None:
    origin = {"origin": "https://evil.example"}
    for answer in (
        await signup.client.options(signup.path, headers=origin),
        await signup.client.post(signup.path, json={"email": BEN}, headers=origin),
        await signup.client.get(f"{signup.path}/challenge", headers=origin),
    ):
        assert "access-control-allow-origin" not in answer.headers


async def test_odd_json_is_refused_as_json(signup: Signup) -> None:
    for body in (b"[]", b"{", b"null", b'{"email": {"a": 1}}', b'{"email": null, "topics": "x"}'):
        answer = await signup.client.post(signup.path, content=body, headers={"content-type": "application/json"})

        assert answer.status_code == 422
        assert answer.json()["error"]["message"]


async def test_the_page_has_a_script_of_ours_and_nothing_else(signup: Signup) -> None:
    answer = await signup.client.get(signup.path)

    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.text.count("<script") == 1
    assert "The Acme letter" in answer.text


async def test_what_is_no_form_is_not_there(signup: Signup) -> None:
    for path in ("/s/x", f"/s/{UUID(int=7)}", f"/s/{UUID(int=7)}/challenge", "/y/AAAA"):
        assert (await signup.client.get(path)).status_code == 404


async def test_a_deleted_form_takes_nobody_more_and_keeps_its_word(signup: Signup) -> None:
    await asked(signup)
    path = await signup.link()
    async with signup.database.transaction() as connection:
        await forms.delete(connection, signup.form.application_id, signup.form.id)
    assert (await signup.client.get(signup.path)).status_code == 404

    assert (await signup.say_yes(path)).status_code == 200


async def test_a_sender_that_is_not_verified_now_waits(signup: Signup) -> None:
    await asked(signup)
    async with signup.database.transaction() as connection:
        await connection.execute("UPDATE domains SET status = 'failed' WHERE name = 'acme.example'")
    assert await signup.mails() == []
    async with signup.database.transaction() as connection:
        await connection.execute("UPDATE domains SET status = 'verified' WHERE name = 'acme.example'")
    await signup.set(BEN, mail_at="0 seconds")

    assert len(await signup.mails()) == 1


async def test_a_topic_deleted_in_between_takes_nobody_s_yes_away(signup: Signup) -> None:
    await asked(signup)
    path = await signup.link()
    async with signup.database.transaction() as connection:
        await topics.delete(connection, signup.form.application_id, signup.reader.topics["News"].id)

    assert (await signup.say_yes(path)).status_code == 200
    assert await signup.contact() is not None


async def test_nothing_is_written_without_pages_that_a_link_could_lead_to(signup: Signup) -> None:
    await asked(signup)

    assert await signing_up.write_due(replace(signup.tools, public_url="")) == 0


async def test_retention_forgets_what_nobody_confirmed(signup: Signup) -> None:
    await asked(signup)
    await signup.set(BEN, expires_at="8 days")
    async with signup.database.transaction() as connection:
        await confirmations.forget(connection)

    assert await rows(signup.database, "SELECT count(*) FROM confirmations") == [(0,)]


async def test_what_cannot_be_theirs_is_said_at_once(signup: Signup) -> None:
    for email, told in (
        ("ann@gmail.con", "Do you mean ann@gmail.com?"),
        ("ann@mailinator.com", "live for minutes"),
        ("ann@dead.example", "No mail can reach dead.example"),
    ):
        answer = await signup.post(email, topic=news(signup), **await signup.work())
        assert answer.status_code == 422
        assert told in answer.text
    assert await rows(signup.database, "SELECT count(*) FROM confirmations") == [(0,)]

    await asked(signup, "ann@gmail.con", sure="ann@gmail.con")


async def test_an_address_that_can_never_be_written_to_holds_up_no_other(signup: Signup) -> None:
    await asked(signup, "nobody-we-know@sandbox.example")
    await asked(signup)

    assert len(await signup.mails()) == 1
    ((why,),) = await rows(signup.database, "SELECT unsent FROM confirmations WHERE unsent IS NOT NULL")
    assert "sandbox" in why


async def test_who_was_erased_comes_back_by_their_own_hand_alone(signup: Signup) -> None:
    person = signup.reader.person(BEN)
    async with signup.database.transaction() as connection:
        await erasing.erase(connection, person, ContactAct(ContactSource.API))
    assert (await signup.reader.stands(BEN)).off
    await asked(signup)
    await signup.say_yes(await signup.link())

    assert not (await signup.reader.stands(BEN)).off


async def test_processes_share_what_is_taken_without_work(signup: Signup, app: FastAPI, settings: Settings) -> None:
    other = create_app(settings)
    other.state.deps = app.state.deps
    transport = httpx.ASGITransport(app=other, client=("203.0.113.9", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="https://mail.acme.example") as client:
        clients = [(client, signup.client)[n % 2] for n in range(IDLE_AN_HOUR + 1)]
        fields = [{"email": f"p{n}@example.org", "lang": "en", "topic": news(signup)} for n in range(IDLE_AN_HOUR + 1)]
        answers = [await one.post(signup.path, data=data) for one, data in zip(clients, fields, strict=True)]
    await other.state.limits.close()
    assert [one.status_code for one in answers] == [200] * IDLE_AN_HOUR + [429]


NEW = "ben@new.example"


async def moves(signup: Signup, who: str = BEN, to: str = NEW) -> None:
    """Their application says that they have another address."""
    owner = signup.reader.account.application_id
    async with signup.database.transaction() as connection:
        await choices.alone_at(connection, owner, (who, to))
        await readdressing.move(connection, Person(owner, who), to, Act(Source.API))


async def queued(signup: Signup) -> list[tuple[str]]:
    """Whom mail of ours waits for."""
    return await rows(signup.database, "SELECT address FROM delivery_queue WHERE lane = 'transactional'")


async def test_who_moves_before_the_yes_is_asked_at_the_new_address(signup: Signup) -> None:
    await asked(signup)
    old = await signup.link()
    await moves(signup)
    assert await queued(signup) == []
    new = await signup.link(NEW)
    assert await queued(signup) == [(NEW,)]
    assert (await signup.say_yes(old)).status_code == 410, "it was read at the old address"
    assert (await signup.say_yes(new)).status_code == 200
    assert (await signup.contact(), (await signup.contact(NEW)) is not None) == (None, True)


async def test_a_welcome_that_waits_is_sent_anew_and_one_that_has_left_is_not(signup: Signup) -> None:
    await asked(signup)
    await signup.say_yes(await signup.link())
    assert len(await signup.mails()) == 2
    await moves(signup)
    (welcome,) = await signup.mails(NEW)
    assert "Once a month." in welcome
    assert await queued(signup) == [(NEW,)]
    async with signup.database.transaction() as connection:
        await connection.execute("DELETE FROM delivery_queue")
    await moves(signup, NEW, "ben@third.example")
    assert await signup.mails("ben@third.example") == []


async def test_of_what_was_asked_at_both_addresses_the_later_stands(signup: Signup) -> None:
    await asked(signup)
    await signup.link()
    await asked(signup, NEW)
    path = await signup.link(NEW)
    await moves(signup)
    assert len(await signup.mails(NEW)) == 1, "asked there already"
    assert (await signup.say_yes(path)).status_code == 200
    assert await queued(signup) == [(NEW,)]


async def test_nobody_is_asked_more_often_by_being_moved(signup: Signup) -> None:
    await asked(signup, NEW)
    await signup.link(NEW)
    async with signup.database.transaction() as connection:
        await connection.execute("UPDATE confirmations SET mails = 3, confirmed_at = now()")
    await asked(signup)
    await moves(signup)
    assert len(await signup.mails(NEW)) == 1
    assert await rows(signup.database, "SELECT address, unsent FROM confirmations") == [(NEW, "asked_too_often")]


async def test_who_comes_back_to_an_address_gets_mail_there_again(signup: Signup) -> None:
    """By a trusted word, too: that all mail was left there said alone that it went elsewhere."""
    await asked(signup)
    await signup.say_yes(await signup.link())
    await moves(signup)
    await moves(signup, NEW, BEN)
    left = "SELECT address FROM suppressions WHERE reason = 'unsubscribe' AND coalesce(expires_at > now(), true)"
    assert await rows(signup.database, left) == [(NEW,)]
