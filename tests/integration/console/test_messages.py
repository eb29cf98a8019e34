"""Messages: search, story, content, cancel and suppress, for those who may."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from accounts.roles import Role
from core.ids import uuid7
from core.queues import Lane
from messages.model import NewEmail
from store.database import Database
from tests.integration.api.account import Account, make_account
from tests.integration.console.conftest import Person, signed_in
from tests.integration.messages.emails import delivered, execute, make_partitions, new_email, rows, store, suppress

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'


@pytest.fixture
async def account(database: Database) -> Account:
    """Acme, and partitions for its mail."""
    await make_partitions(database)
    return await make_account(database)


async def _stored(database: Database, account: Account, *recipients: str, **changes: object) -> NewEmail:
    known: dict[str, Any] = {"application_id": account.application_id, "domain_id": account.domain_id, **changes}
    email = new_email(*recipients, **known)
    await store(database, email)
    return email


def _found(text: str) -> Sequence[str]:
    """Recipients of the rows, in their order."""
    return [one.replace("<wbr>", "") for one in re.findall(r'<a class="whole"[^>]*>([^\n]*?)</a>', text)]


async def test_search_finds_by_each_of_its_fields(admin: Person, database: Database, account: Account) -> None:
    await _stored(database, account, "ann@example.com", subject="Your receipt", tags=(("kind", "receipt"),))
    await _stored(database, account, "bob@other.example", lane=Lane.MARKETING, subject="News")

    for query, names in (
        ("", ["bob@other.example", "ann@example.com"]),
        ("q=Ann@Example.com", ["ann@example.com"]),
        ("q=other.example", ["bob@other.example"]),
        ("subject=RECEIPT", ["ann@example.com"]),
        ("tag=kind", ["ann@example.com"]),
        ("tag=kind%3Dreceipt", ["ann@example.com"]),
        ("tag=kind%3Dother", []),
        ("lane=marketing", ["bob@other.example"]),
        ("state=queued", ["bob@other.example", "ann@example.com"]),
        ("state=bounced", []),
        ("provider=gmail", []),
    ):
        assert _found((await admin.get(f"/messages?{query}")).text) == names, query


async def test_what_is_no_address_is_said_and_nothing_is_listed(admin: Person, account: Account) -> None:
    answer = await admin.get("/messages?q=a b@c")

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


async def test_pages_go_on_and_back_over_the_same_rows(admin: Person, database: Database, account: Account) -> None:
    await _stored(database, account, *(f"a{n:03}@example.com" for n in range(35)))
    await _stored(database, account, *(f"b{n:03}@example.com" for n in range(35)))
    first = await admin.get("/messages")
    older = re.search(r'href="([^"]+)" rel="next"', first.text)
    assert older is not None
    second = await admin.get(older[1].replace("&amp;", "&"))
    newer = re.search(r'href="([^"]+)" rel="prev"', second.text)
    assert newer is not None

    assert len(_found(first.text)) == 40
    assert len(_found(second.text)) == 30
    assert not set(_found(first.text)) & set(_found(second.text))
    assert _found((await admin.get(newer[1].replace("&amp;", "&"))).text) == _found(first.text)


async def test_the_search_at_the_top_leads_straight_to_the_page(
    admin: Person, database: Database, account: Account
) -> None:
    email = await _stored(database, account, "ann@example.com")

    for typed, path in (
        (str(email.id), f"/messages/{email.id}/0"),
        (f"{email.id}/0", f"/messages/{email.id}/0"),
        ("ann@example.com", "/messages?q=ann%40example.com&period=all"),
    ):
        answer = await admin.http.get("/find", params={"q": typed})
        assert (answer.status_code, answer.headers["location"]) == (303, path)
    for typed in ("xyz!", str(uuid7())):
        assert "Nothing is called" in (await admin.http.get("/find", params={"q": typed})).text


async def test_a_story_says_where_it_is(admin: Person, database: Database, account: Account) -> None:
    email = await _stored(database, account, "ann@example.com", "bob@example.com")

    text = (await admin.get(f"/messages/{email.id}/1")).text

    assert "On its way" in text or "A worker holds it" in text
    assert "Accepted for the transactional lane" in text
    assert "bob@" in text
    assert (await admin.get(f"/messages/{email.id}/7")).status_code == 404
    assert (await admin.get(f"/messages/{uuid7()}/0")).status_code == 404
    assert (await admin.get("/messages/nonsense/0")).status_code == 400


async def test_what_a_mail_says_is_never_a_part_of_our_page(
    admin: Person, database: Database, account: Account
) -> None:
    email = await _stored(
        database, account, "ann@example.com", subject=HOSTILE, html=f"<p>{HOSTILE}</p>", text=HOSTILE,
        tags=(("t", HOSTILE),), sender=f'"{HOSTILE.replace(chr(34), "")}" <a@acme.example>',
    )  # fmt: skip
    path = f"/messages/{email.id}/0"

    for page in ("/", "/messages", f"/messages?open={email.id}/0", path, f"{path}?tab=text", f"{path}?tab=source"):
        text = (await admin.get(page)).text
        assert "<script>alert" not in text, page
        assert "<img" not in text, page
    assert '<iframe class="preview" sandbox height=' in (await admin.get(f"{path}?tab=html")).text
    frame = await admin.get(f"{path}/frame")
    assert "<script>" in frame.text, "as it is, in a frame that runs nothing"
    policy = frame.headers["content-security-policy"]
    assert policy.endswith("sandbox")
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert "img-src data:" in policy, "no pixel is opened"


async def test_whoever_takes_a_source_is_noted(admin: Person, database: Database, account: Account) -> None:
    email = await _stored(database, account, "ann@example.com", text="Hello")

    assert (await admin.get(f"/messages/{email.id}/0/source.eml")).status_code == 200

    assert await rows(database, "SELECT action, subject FROM audit_log") == [("message.download", str(email.id))]


async def test_contents_are_for_those_who_may_read_them(viewer: Person, database: Database, account: Account) -> None:
    email = await _stored(database, account, "ann@example.com", text="A secret of Ann's")
    path = f"/messages/{email.id}/0"

    assert "A secret" not in (await viewer.get(f"{path}?tab=text")).text
    assert (await viewer.get(f"{path}/frame")).status_code == 403
    assert (await viewer.get(f"{path}/source.eml")).status_code == 403


async def test_who_is_limited_to_an_application_sees_nothing_of_others(
    anybody: Person, database: Database, account: Account
) -> None:
    person = await signed_in(anybody.http, database, "dev@acme.example", Role.DEVELOPER)
    assert person.user is not None
    await _limit(database, person.user.id, uuid7())
    email = await _stored(database, account, "ann@example.com")

    assert _found((await person.get("/messages")).text) == []
    assert (await person.get(f"/messages/{email.id}/0")).status_code == 404
    assert (await person.get(f"/messages/{email.id}/0/source.eml")).status_code == 404
    assert (await person.post(f"/messages/{email.id}/0/cancel")).status_code == 404
    await _limit(database, person.user.id, account.application_id)
    assert _found((await person.get("/messages")).text) == ["ann@example.com"]


async def test_cancelling_takes_back_what_waits_and_is_logged(
    admin: Person, database: Database, account: Account
) -> None:
    email = await _stored(database, account, "ann@example.com", scheduled_at=datetime.now(UTC) + timedelta(hours=2))

    answer = await admin.post(f"/messages/{email.id}/0/cancel")

    assert answer.status_code == 303
    assert "Cancelled for 1 of 1." in (await admin.get(answer.headers["location"])).text
    assert await rows(database, "SELECT state FROM messages") == [("cancelled",)]
    logged = await rows(database, "SELECT actor, door, action, before, after FROM audit_log")
    states = {"states": ["scheduled"]}, {"states": ["cancelled"]}
    assert logged == [("ada@acme.example", "console", "message.cancel", *states)]
    again = await admin.post(f"/messages/{email.id}/0/cancel")
    assert again.status_code == 409
    assert "too late" in again.text


async def test_sending_again_leads_to_the_new_email_and_is_logged(
    admin: Person, database: Database, account: Account
) -> None:
    email = await _stored(database, account, "ann@example.com", "bob@example.com", subject="Your receipt")
    await delivered(database, email.id)
    path = f"/messages/{email.id}/1"
    shown = (await admin.get(path)).text
    assert "Send it again to bob@example.com?" in shown
    assert "nothing forbids it now" in shown
    assert 'name="times" value="0"' in shown

    answer = await admin.post(f"{path}/again", times="0")
    twice = await admin.post(f"{path}/again", times="0")

    assert answer.status_code == 303
    ((new,),) = await rows(database, "SELECT id FROM emails WHERE again_of = %s", [email.id])
    assert answer.headers["location"] == f"/messages/{new}/0" == twice.headers["location"]
    there = (await admin.get(f"/messages/{new}/0")).text
    assert "It was sent again already" in there
    assert f'href="/messages/{email.id}/1"' in there, "it names the one that it repeats"
    assert "/again" not in there, "it is on its way"
    old = (await admin.get(path)).text
    assert f"Sent again: as {new}, by ada@acme.example" in old
    assert f'<a href="/messages/{new}/0">' in old
    assert "sent again 1 time already" in old
    logged = await rows(database, "SELECT actor, door, action, subject, after FROM audit_log")
    after = {"email": str(new), "recipient_number": 1}
    assert logged == [("ada@acme.example", "console", "message.again", str(email.id), after)]


async def test_sending_again_says_what_will_come_of_it(admin: Person, database: Database, account: Account) -> None:
    test = await _stored(database, account, "ann@example.com", capture=True)
    gone = await _stored(database, account, "bob@example.com")
    listed = await _stored(database, account, "eve@example.com")
    for one in (test, gone, listed):
        await delivered(database, one.id)
    await execute(database, "DELETE FROM contents WHERE id = %s", [gone.id])
    await suppress(database, "eve@example.com")

    assert "It is test mail" in (await admin.get(f"/messages/{test.id}/0")).text
    assert "it will end as suppressed" in (await admin.get(f"/messages/{listed.id}/0")).text
    said = (await admin.get(f"/messages/{gone.id}/0")).text
    assert "It cannot be sent again: its content is no longer stored." in said
    assert f"/messages/{gone.id}/0/again" not in said
    assert (await admin.post(f"/messages/{gone.id}/0/again", times="0")).status_code == 409


async def test_who_only_looks_sends_nothing_again(viewer: Person, database: Database, account: Account) -> None:
    email = await _stored(database, account, "ann@example.com")
    await delivered(database, email.id)

    assert "/again" not in (await viewer.get(f"/messages/{email.id}/0")).text
    assert (await viewer.post(f"/messages/{email.id}/0/again", times="0")).status_code == 403
    assert await rows(database, "SELECT count(*) FROM emails") == [(1,)]


async def test_suppressing_forbids_further_mail_and_is_logged(
    admin: Person, database: Database, account: Account
) -> None:
    email = await _stored(database, account, "Ann@example.com")

    answer = await admin.post(f"/messages/{email.id}/0/suppress", note="asked by phone")

    assert answer.status_code == 303
    found = await rows(database, "SELECT address, scope, reason, source, note, actor FROM suppressions")
    assert found == [("ann@example.com", "all", "manual", "console", "asked by phone", "ada@acme.example")]
    logged = "SELECT action FROM audit_log l JOIN suppressions s ON s.id::text = l.subject"
    assert await rows(database, logged) == [("suppression.add",)], "by its id: a log of addresses outlives an erasure"
    assert "is suppressed" in (await admin.get(f"/messages/{email.id}/0")).text


async def _limit(database: Database, user_id: UUID, application_id: UUID) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE console_users SET applications = %s WHERE id = %s", [[application_id], user_id]
        )
