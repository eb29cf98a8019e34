"""One person's page: GET shows and never acts, POST acts once, and nobody acts without a link of ours."""

import asyncio
from datetime import timedelta

import pytest

from audience import topics
from audience.choices import Source, What
from audience.topics import default_of
from core.ids import uuid7
from pages.limits import STRANGE_A_MINUTE
from suppression.adding import add
from suppression.entries import Addition
from suppression.reasons import Reason, SuppressionEntry, SuppressionScope
from suppression.withdrawing import withdraw
from tests.integration.messages.emails import execute, rows, suppress
from tests.integration.pages.conftest import ANN, Reader

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


# Looking


async def test_the_page_shows_types_of_mail_and_changes_nothing(reader: Reader) -> None:
    answer = await reader.client.get(reader.link())

    assert answer.status_code == 200
    for text in ("Your mail from Acme", ANN, "Unsubscribe from “News”", "Offers", "Events", "Receipts", "Always on"):
        assert text in answer.text
    assert answer.text.count(" checked") == 2
    assert (await reader.past(), await reader.events()) == ([], [])


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
async def test_nothing_but_post_acts(reader: Reader, method: str) -> None:
    path = f"{reader.link()}?List-Unsubscribe=One-Click&action=leave"
    await reader.client.request(method, path, content=b"List-Unsubscribe=One-Click")

    assert await reader.takes() == {"News": True, "Offers": True, "Events": False, "Receipts": True}


@pytest.mark.parametrize(
    ("headers", "query", "text"),
    [
        ({"accept-language": "fr-CH, en;q=0.5"}, "", "Enregistrer mes choix"),
        ({"accept-language": "fr"}, "?lang=es", "Tipos de correo"),
        ({"accept-language": "tlh"}, "?lang=../../etc", "Types of mail"),
    ],
)
async def test_the_page_speaks_the_readers_language(
    reader: Reader, headers: dict[str, str], query: str, text: str
) -> None:
    assert text in (await reader.client.get(reader.link() + query, headers=headers)).text


async def test_names_of_applications_are_text(reader: Reader) -> None:
    await execute(reader.database, "UPDATE topics SET name = '<b>x</b>', description = '{t} {{ t }} \" onclick='")
    await execute(reader.database, "UPDATE emails SET sender = %s", ['"<script>alert(1)</script>" <a@acme.example>'])
    page = (await reader.client.get(reader.link())).text

    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "<script" not in page
    assert '" onclick' not in page


async def test_the_default_topic_has_a_name_in_every_language_until_it_gets_one(reader: Reader) -> None:
    async with reader.database.connection() as connection:
        default = await default_of(connection, reader.account.application_id)
    headers = {"accept-language": "de"}
    assert "Neuigkeiten und Angebote" in (await reader.client.get(reader.link(), headers=headers)).text
    await execute(reader.database, "UPDATE topics SET name = 'Bergpost' WHERE id = %s", [default])

    assert "Bergpost" in (await reader.client.get(reader.link(), headers=headers)).text


async def test_a_private_topic_is_shown_to_whom_it_concerns(reader: Reader) -> None:
    await execute(reader.database, "UPDATE topics SET visibility = 'private'")
    page = (await reader.client.get(reader.link())).text
    assert "Offers" in page
    assert "Events" not in page
    await reader.press("leave")

    assert "Get it again" in (await reader.client.get(reader.link())).text


# One-click


@pytest.mark.parametrize("form", ["urlencoded", "multipart"])
async def test_one_click_unsubscribes_without_cookie_or_redirect(reader: Reader, form: str) -> None:
    if form == "urlencoded":
        answer = await reader.client.post(reader.link(), data=ONE_CLICK)
    else:
        answer = await reader.client.post(reader.link(), files={"List-Unsubscribe": (None, "One-Click")})

    assert (answer.status_code, "location" in answer.headers, "set-cookie" in answer.headers) == (200, False, False)
    assert await reader.takes() == {"News": False, "Offers": True, "Events": False, "Receipts": True}
    assert [(p.what, p.source, p.ip, p.email_id) for p in await reader.past()] == [
        (What.OPT_OUT, Source.ONE_CLICK, "203.0.113.9", reader.email.id)
    ]
    assert await reader.events() == ["unsubscribed"]


async def test_one_click_posted_again_and_at_once_counts_once(reader: Reader) -> None:
    answers = await asyncio.gather(*(reader.client.post(reader.link(), data=ONE_CLICK) for _ in range(6)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(await reader.past()) == 1
    assert await reader.events() == ["unsubscribed"]
    counted = await rows(reader.database, "SELECT sum(n) FROM outcome_counts WHERE outcome = 'unsubscribed'")
    assert counted == [(1,)]


async def test_a_link_without_a_topic_leaves_everything(reader: Reader) -> None:
    await reader.client.post(reader.link(topic=None), data=ONE_CLICK)

    assert (await reader.stands()).off
    assert await rows(reader.database, "SELECT address, reason, source, scope FROM suppressions") == [
        (ANN, "unsubscribe", "one_click", f"{reader.account.application_id} marketing")
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"List-Unsubscribe", b"List-Unsubscribe=", b"List-Unsubscribe=No", b"action=drop", b"\xff\xfe=1",
        b"List-Unsubscribe-Post=One-Click", b'{"List-Unsubscribe":"One-Click"}', b"a=1&" * 600,
    ],
)  # fmt: skip
async def test_a_wrong_body_does_nothing(reader: Reader, body: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await reader.client.post(reader.link(), content=body, headers=headers)

    assert answer.status_code == 400
    assert await reader.past() == []


async def test_a_large_body_is_not_read(reader: Reader) -> None:
    answer = await reader.client.post(reader.link(), content=b"action=leave&x=" + b"y" * 40_000)

    assert answer.status_code == 413
    assert await reader.past() == []


async def test_unsubscribing_works_when_the_mail_is_long_forgotten(reader: Reader) -> None:
    gone = uuid7(1)
    [(domain,)] = await rows(
        reader.database, "SELECT name FROM domains ORDER BY status = 'verified' DESC, id DESC LIMIT 1"
    )
    answer = await reader.client.post(reader.link(email_id=gone), data=ONE_CLICK)
    page = await reader.client.get(reader.link(email_id=gone))

    assert (answer.status_code, page.status_code) == (200, 200)
    assert (await reader.takes())["News"] is False
    assert f"Your mail from {domain}<" in page.text, "its domain, and not what its operator calls it"


# Links that are not ours


async def test_a_forged_link_does_nothing(reader: Reader) -> None:
    own = reader.link()
    for path in (
        own[:-1],
        own + "A",
        own[:40],
        f"{own[:-4]}AAAA",
        "/u/",
        "/u/AAAA",
        f"/u/{'A' * 2000}",
        "/u/%00%0d%0a",
    ):
        answer = await reader.client.post(path, data=ONE_CLICK)
        assert answer.status_code == 404, path
    assert await reader.past() == []


async def test_links_that_are_none_of_ours_are_limited_per_client(reader: Reader) -> None:
    statuses = [(await reader.client.get(f"/u/guess{n}")).status_code for n in range(STRANGE_A_MINUTE + 2)]

    assert statuses[:STRANGE_A_MINUTE] == [404] * STRANGE_A_MINUTE
    assert statuses[-1] == 429
    assert (await reader.client.post(reader.link(), data=ONE_CLICK)).status_code == 200


# The forms


async def test_a_type_is_left_and_taken_again(reader: Reader) -> None:
    assert "You are unsubscribed from “News”." in (await reader.press("leave")).text
    assert (await reader.takes())["News"] is False
    assert "You get “News” again." in (await reader.press("take")).text

    assert (await reader.takes())["News"] is True
    assert [past.what for past in await reader.past()] == [What.OPT_OUT, What.OPT_IN]


@pytest.mark.parametrize("form", [ONE_CLICK, {"action": "leave", "lang": "en"}])
async def test_a_link_of_a_type_that_is_gone_leaves_everything(reader: Reader, form: dict[str, str]) -> None:
    """Only what nobody sends any more was left, and the page said everything."""
    async with reader.database.transaction() as connection:
        await topics.delete(connection, reader.account.application_id, reader.topics["News"].id)
    answer = await reader.client.post(reader.link(), data=form)

    assert "nsubscribed" in answer.text
    assert (await reader.stands()).off
    assert [past.what for past in await reader.past()] == [What.ALL_OFF]


async def test_a_mail_is_left_once_however_often_its_reader_comes_back(reader: Reader) -> None:
    for action in ("leave", "take", "leave", "leave_all", "return", "leave_all"):
        await reader.press(action)

    assert (await reader.stands()).off
    assert await reader.events() == ["unsubscribed"]
    counted = await rows(reader.database, "SELECT sum(n) FROM outcome_counts WHERE outcome = 'unsubscribed'")
    assert counted == [(1,)]


async def test_ticks_are_saved_and_only_what_changed_is_kept(reader: Reader) -> None:
    ticked = [str(reader.topics[name].id) for name in ("Offers", "Events")]
    answer = await reader.press("save", topic=[*ticked, "not an id", str(uuid7())])

    assert "Your choices are saved." in answer.text
    assert await reader.takes() == {"News": False, "Offers": True, "Events": True, "Receipts": True}
    assert {(past.what, past.topic_id) for past in await reader.past()} == {
        (What.OPT_OUT, reader.topics["News"].id), (What.OPT_IN, reader.topics["Events"].id),
    }  # fmt: skip


@pytest.mark.parametrize("days", [30, 90])
async def test_a_pause_begins_and_ends(reader: Reader, days: int) -> None:
    await reader.press(f"pause{days}")
    until = (await reader.stands()).paused_until
    assert until is not None
    (past,) = await reader.past()
    assert abs(until - past.at - timedelta(days=days)) < timedelta(minutes=1)
    await reader.press("resume")

    assert (await reader.stands()).paused_until is None
    assert [past.what for past in await reader.past()] == [What.PAUSED, What.RESUMED]
    assert await reader.events() == []


async def test_everything_is_left_and_taken_back(reader: Reader) -> None:
    await reader.press("leave")
    assert "You are unsubscribed from everything." in (await reader.press("leave_all")).text
    assert (await reader.stands()).off
    await reader.press("return")

    assert not (await reader.stands()).off
    assert await reader.takes() == {"News": False, "Offers": True, "Events": False, "Receipts": True}
    assert await rows(reader.database, "SELECT 1 FROM suppressions") == []


async def test_one_type_ticked_after_leaving_everything_is_the_only_one(reader: Reader) -> None:
    await reader.press("leave_all")
    await reader.press("save", topic=[str(reader.topics["Events"].id)])

    assert not (await reader.stands()).off
    assert await reader.takes() == {"News": False, "Offers": False, "Events": True, "Receipts": True}


async def test_opposite_wishes_at_once_end_in_one_of_them(reader: Reader) -> None:
    """Each touches choices, list, history and timeline; none may wait for another in a circle."""
    ticked = [str(reader.topics["Events"].id)]
    presses = [reader.press("leave_all"), reader.press("save", topic=ticked), reader.press("return")]
    presses += [reader.press("leave"), reader.press("pause30"), reader.press("leave_all"), reader.press("take")]
    answers = await asyncio.gather(*presses)

    assert {answer.status_code for answer in answers} == {200}
    stands = await reader.stands()
    assert stands.off == bool(await rows(reader.database, "SELECT 1 FROM suppressions"))


async def test_what_others_forbid_is_not_for_the_reader_to_allow(reader: Reader) -> None:
    await suppress(reader.database, ANN)
    page = await reader.press("return")

    assert (await reader.stands()).blocked
    assert "for another reason" in page.text
    assert len(await rows(reader.database, "SELECT 1 FROM suppressions")) == 1


async def listed(reader: Reader) -> list[str]:
    """What forbids Acme's marketing mail to her."""
    return [reason for (reason,) in await rows(reader.database, "SELECT reason FROM suppressions ORDER BY id")]


async def test_what_the_application_said_before_keeps_no_trace_of_her_leaving_away(reader: Reader) -> None:
    """Its own entry filled the place, her one-click left nothing, and she got mail again when it went."""
    await forbid(reader, Reason.MANUAL)
    for _ in range(2):
        await reader.client.post(reader.link(topic=None), data=ONE_CLICK)
    assert (await listed(reader), await reader.events()) == (["unsubscribe"], ["unsubscribed"])
    assert [past.what for past in await reader.past()] == [What.ALL_OFF]

    await forbid(reader, Reason.IMPORT)
    assert await listed(reader) == ["unsubscribe"], "her own word weighs more, however often others say theirs"
    await reader.press("return")
    assert (await listed(reader), (await reader.stands()).blocked) == (["manual"], True), "that is not hers to lift"


async def test_leaving_behind_a_complaint_is_kept_and_stands_when_that_is_taken_back(reader: Reader) -> None:
    """Where complaints are for one application they fill the same place."""
    await forbid(reader, Reason.COMPLAINT)
    for _ in range(2):
        await reader.client.post(reader.link(topic=None), data=ONE_CLICK)
    assert (await listed(reader), await reader.events()) == (["complaint"], ["unsubscribed"])
    assert [past.what for past in await reader.past()] == [What.ALL_OFF]

    async with reader.database.transaction() as connection:
        await withdraw(connection, [(ANN, reader.email.id)])
    assert await listed(reader) == ["unsubscribe"]


async def forbid(reader: Reader, reason: Reason) -> None:
    """Acme's marketing mail to her, for ever."""
    owner = reader.account.application_id
    entry = SuppressionEntry(SuppressionScope.MARKETING, reason, Source.FEEDBACK_LOOP, "as told")
    async with reader.database.transaction() as connection:
        await add(connection, [Addition(ANN, entry, owner, only_for=owner, source_id=reader.email.id)])


async def test_another_applications_mail_is_left_alone(reader: Reader) -> None:
    other = uuid7()
    await reader.client.post(reader.link(application_id=other, topic=None), data=ONE_CLICK)

    assert not (await reader.stands()).off


async def test_what_breaks_changes_nothing_and_says_so(reader: Reader) -> None:
    await execute(reader.database, "ALTER TABLE choices RENAME TO away")
    answer = await reader.client.post(reader.link(), data=ONE_CLICK)
    await execute(reader.database, "ALTER TABLE away RENAME TO choices")

    assert answer.status_code == 500
    assert "nothing was changed" in answer.text
    assert await reader.past() == []
