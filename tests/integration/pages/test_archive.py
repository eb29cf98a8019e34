"""A campaign on the web: what it says and nothing of a person, in a sandbox, for as long as its sender wants."""

from typing import Any
from uuid import UUID

import pytest

from campaigns import repository, steering
from campaigns.archive import Access, switched
from campaigns.model import Campaign, Draft, Words
from core.ids import uuid7
from pages.routes import archive
from tests.integration.messages.emails import execute
from tests.integration.pages.conftest import Reader

HOSTILE = (
    "<html><body><script>alert(1)</script><h1>Spring, {{ first_name | default('reader') }}</h1>"
    '<form action="https://evil.example"></form><a href="{{{RESEND_UNSUBSCRIBE_URL}}}">leave {{ email }}</a>'
    '<a href="https://shop.example/">shop</a></body></html>'
)


async def made(reader: Reader, access: Access, **facts: Any) -> Campaign:
    words = Words("Acme <hello@acme.example>", "Spring", html=HOSTILE)
    page = switched(access, "https://mail.acme.example")
    draft = Draft(words, segment_id=await segment(reader), archive=page, **facts)
    async with reader.database.transaction() as connection:
        return await steering.create(connection, reader.account.application_id, draft)


async def segment(reader: Reader) -> UUID:
    identifier = uuid7()
    statement = "INSERT INTO segments (id, application_id, name) VALUES (%s, %s, %s)"
    await execute(reader.database, statement, [identifier, reader.account.application_id, identifier.hex])
    return identifier


async def switch(reader: Reader, known: Campaign, access: Access) -> None:
    async with reader.database.transaction() as connection:
        found = await repository.get(connection, None, known.id)
        await steering.put_on_web(connection, found, switched(access, "https://mail.acme.example"))


async def test_whoever_has_the_address_sees_it_without_a_person(reader: Reader) -> None:
    known = await made(reader, Access.LINK)
    page = await reader.client.get(f"/a/{known.id}")

    assert page.status_code == 200
    assert "Spring, reader" in page.text
    assert '<a href="#">leave </a>' in page.text
    assert page.headers["x-robots-tag"] == "noindex, nofollow"


async def test_what_its_author_wrote_runs_nowhere(reader: Reader) -> None:
    policy = (await reader.client.get(f"/a/{(await made(reader, Access.LINK)).id}")).headers["content-security-policy"]
    parts = {part.split()[0]: part.split()[1:] for part in policy.split(";")}

    assert "allow-scripts" not in parts["sandbox"]
    assert "allow-same-origin" not in parts["sandbox"]
    assert parts["default-src"] == parts["form-action"] == parts["base-uri"] == parts["frame-ancestors"] == ["'none'"]
    assert "script-src" not in parts


async def test_it_stays_after_the_end_and_goes_when_it_is_switched_off(reader: Reader) -> None:
    known = await made(reader, Access.OFF)
    assert (await reader.client.get(f"/a/{known.id}")).status_code == 404
    await execute(reader.database, "UPDATE campaigns SET state = 'finished', started_at = now(), ended_at = now()", [])
    assert (await reader.client.get(f"/a/{known.id}")).status_code == 410
    await switch(reader, known, Access.INDEXED)
    page = await reader.client.get(f"/a/{known.id}")
    assert (page.status_code, page.headers["x-robots-tag"]) == (200, "all")
    await switch(reader, known, Access.OFF)
    gone = await reader.client.get(f"/a/{known.id}")

    assert (gone.status_code, "took it off the web" in gone.text) == (410, True)


async def test_it_speaks_the_reader_s_language_where_it_can(reader: Reader) -> None:
    known = await made(reader, Access.LINK, languages={"de": {"subject": "Frühling", "text": "Guten Tag"}})
    german = await reader.client.get(f"/a/{known.id}", headers={"accept-language": "nl, de-AT;q=0.5"})
    asked = await reader.client.get(f"/a/{known.id}?lang=de")
    other = await reader.client.get(f"/a/{known.id}", headers={"accept-language": "nl"})

    assert (german.text, german.headers["content-type"]) == ("Guten Tag", "text/plain; charset=utf-8")
    assert german.headers["content-language"] == "de"
    assert asked.text == german.text
    assert "Spring, reader" in other.text


async def test_what_is_no_campaign_is_not_there(reader: Reader) -> None:
    for text in (str(uuid7()), "nonsense", "%00"):
        assert (await reader.client.get(f"/a/{text}")).status_code == 404


async def test_what_is_for_everybody_stands_in_a_list_by_its_own_switch(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, client = reader.account.application_id, reader.client
    assert (await client.get(f"/archive/{owner}")).status_code == 404
    german = {"languages": {"de": {"subject": "Frühling, {{ first_name | default('du') }}", "text": "Hallo"}}}
    shown, draft = await made(reader, Access.INDEXED, **german), await made(reader, Access.INDEXED)
    by_link = await made(reader, Access.LINK)
    await _sent(reader, shown, by_link)
    page = await client.get(f"/archive/{owner}")
    assert (page.status_code, page.headers["x-robots-tag"]) == (200, "all")
    assert "Mail from Acme" in page.text and f'<a href="/a/{shown.id}">Spring</a>' in page.text
    assert str(draft.id) not in page.text and str(by_link.id) not in page.text
    in_german = (await client.get(f"/archive/{owner}", headers={"accept-language": "de"})).text
    assert "E-Mails von Acme" in in_german and ">Frühling, du</a>" in in_german
    assert shown.archive.list_url(owner) == f"https://mail.acme.example/archive/{owner}"

    monkeypatch.setattr(archive, "LISTED", 1)
    await _sent(reader, draft)
    newest = (await client.get(f"/archive/{owner}")).text
    assert str(draft.id) in newest and f"?before={draft.id}" in newest and f"/a/{shown.id}" not in newest
    assert f"/a/{shown.id}" in (await client.get(f"/archive/{owner}?before={draft.id}")).text
    for one in (shown, draft):
        await switch(reader, one, Access.LINK)
    assert (await client.get(f"/archive/{owner}")).status_code == 404
    assert (await client.get("/archive/nobody")).status_code == 404


async def _sent(reader: Reader, *sent: Campaign) -> None:
    statement = "UPDATE campaigns SET state = 'finished', started_at = now(), ended_at = now() WHERE id = ANY(%s)"
    await execute(reader.database, statement, [[one.id for one in sent]])
