"""`/broadcasts`: the official Python SDK drives the whole life of one, and what cannot be is refused by its name."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
import resend
from resend.exceptions import ResendError

from campaigns import settle, work
from core.ids import uuid7
from core.settings import Settings
from messages.timeline import Entry, EventKind, write
from store.database import Database
from tests.integration.api.account import Account
from tests.integration.api.conftest import Server
from tests.integration.messages.emails import execute, rows

WORDS: dict[str, Any] = {
    "from": "Acme <news@acme.example>",
    "subject": "News for {{{contact.first_name|you}}}",
    "html": "<p>Hello {{{contact.first_name|there}}}</p><a href='{{{RESEND_UNSUBSCRIBE_URL}}}'>leave</a>",
}


@pytest.fixture
def segment(settings: Settings, account: Account) -> UUID:
    """A list with two people who asked for mail, and one who did not confirm."""
    identifier = uuid7()
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO segments (id, application_id, name) VALUES (%s, %s, 'all')",
            [identifier, account.application_id],
        )
        for name, status in (("ann", "confirmed"), ("bob", "confirmed"), ("eve", "unconfirmed")):
            contact, address = uuid7(), f"{name}@one.example"
            connection.execute(
                "INSERT INTO contacts (id, application_id, address, email, status) VALUES (%s, %s, %s, %s, %s)",
                [contact, account.application_id, address, address, status],
            )
            connection.execute("INSERT INTO segment_members VALUES (%s, %s, 'confirmed')", [identifier, contact])
    return identifier


@pytest.fixture
def sdk(server: Server, account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)
    return iter((None,))


async def test_the_sdk_drives_a_broadcast_from_draft_to_recipients(
    sdk: None, segment: UUID, database: Database
) -> None:
    made = resend.Broadcasts.create({**WORDS, "segment_id": str(segment), "name": "Spring"})  # type: ignore[typeddict-item]
    resend.Broadcasts.update({"broadcast_id": made["id"], "preview_text": "Soon", "reply_to": "help@acme.example"})  # type: ignore[typeddict-item]
    got = resend.Broadcasts.get(made["id"])
    assert (got["name"], got["status"], got["subject"]) == ("Spring", "draft", WORDS["subject"])
    assert (got["preview_text"], got["reply_to"], got["segment_id"]) == ("Soon", ["help@acme.example"], str(segment))
    later = resend.Broadcasts.duplicate(made["id"])
    resend.Broadcasts.send({"broadcast_id": later["id"], "scheduled_at": "in 2 days"})
    assert resend.Broadcasts.get(later["id"])["scheduled_at"]
    resend.Broadcasts.cancel(later["id"])
    assert resend.Broadcasts.get(later["id"])["status"] == "draft"
    assert resend.Broadcasts.remove(later["id"])["deleted"] is True
    resend.Broadcasts.send({"broadcast_id": made["id"]})
    await work.begin(database)
    await work.feed_all(database, "sandbox.example")
    await _click(database)
    await settle.settle(database)

    assert resend.Broadcasts.get(made["id"])["status"] == "queued"
    assert [one["id"] for one in resend.Broadcasts.list()["data"]] == [made["id"]]
    clicked = resend.Broadcasts.recipients(made["id"], {"type": "clicked"})["data"]
    assert [(one["email"], one["count"]) for one in clicked] == [("ann@one.example", 1)]
    assert clicked[0]["clicked_links"] == [{"url": "https://shop.example/", "clicks": 1}]
    (link,) = resend.Broadcasts.clicked_links(made["id"])["data"]
    assert (link["url"], link["clicks"], link["unique_clicks"]) == ("https://shop.example/", 1, 1)
    skipped = resend.Broadcasts.recipients(made["id"], {"type": "unconfirmed"})["data"]  # type: ignore[typeddict-item]
    assert [one["email"] for one in skipped] == ["eve@one.example"]
    first = resend.Broadcasts.recipients(made["id"], {"limit": 2})
    rest = resend.Broadcasts.recipients(made["id"], {"after": first["data"][-1]["id"]})
    assert (len(first["data"]), first["has_more"], len(rest["data"]), rest["has_more"]) == (2, True, 1, False)
    with pytest.raises(ResendError, match="cannot be deleted"):
        resend.Broadcasts.remove(made["id"])


async def _click(database: Database) -> None:
    """Ann opens her mail and follows a link in it."""
    ((email, at),) = await rows(
        database,
        "SELECT e.id, now() FROM emails e JOIN contacts c ON c.id = e.contact_id WHERE c.address = 'ann@one.example'",
    )
    about = '{"link": "https://shop.example/", "machine": null}'
    entries = [Entry(email, 0, at, kind, engagement=about) for kind in (EventKind.OPENED, EventKind.CLICKED)]
    async with database.transaction() as connection:
        await write(connection, [entries[0]._replace(engagement="{}"), entries[1]])


async def test_pause_resume_report_and_retry(client: httpx.AsyncClient, segment: UUID, database: Database) -> None:
    made = (await client.post("/broadcasts", json={**WORDS, "audience_id": str(segment), "send": True})).json()["id"]
    await work.begin(database)
    assert (await client.post(f"/broadcasts/{made}/pause")).status_code == 200
    paused = (await client.get(f"/broadcasts/{made}")).json()
    assert (paused["state"], paused["people"]["waiting"], paused["people"]["unconfirmed"]) == ("paused", 2, 1)
    assert (await client.post(f"/broadcasts/{made}/pause")).json()["message"].startswith("A broadcast that is paused")
    assert (await client.post(f"/broadcasts/{made}/resume")).status_code == 200
    await work.feed_all(database, "sandbox.example")
    report = (await client.get(f"/broadcasts/{made}/report")).json()
    assert (report["people"]["queued"], report["whole"]["sent"], report["by_variant"][0]["sent"]) == (2, 2, 2)
    assert (await client.post(f"/broadcasts/{made}/retry")).status_code == 409
    assert (await client.post(f"/broadcasts/{made}/cancel")).status_code == 200
    await work.finish(database)
    assert (await client.get(f"/broadcasts/{made}")).json()["people"]["total"] == 3
    assert (await client.delete(f"/broadcasts/{made}")).status_code == 409  # rows are still open
    await work.settle_all(database)
    assert (await client.delete(f"/broadcasts/{made}")).status_code == 200
    assert (await client.get(f"/broadcasts/{made}")).status_code == 404


async def test_a_template_brings_its_languages_and_each_is_looked_at(client: httpx.AsyncClient, segment: UUID) -> None:
    german = {"subject": "Hallo", "html": "<p>Guten Tag {{ first_name | default('du') }}</p>"}
    body = {"name": "Hello", "alias": "hello", "subject": "Hello", "html": "<p>Hello</p>", "languages": {"de": german}}
    await client.post("/templates", json=body)
    await client.post("/templates/hello/publish")
    facts = {"from": WORDS["from"], "segment_id": str(segment), "template": "hello", "utm": {"source": "news"}}
    made = (await client.post("/broadcasts", json=facts)).json()["id"]
    shown = (await client.post(f"/broadcasts/{made}/preview", json={"language": "de-AT"})).json()

    assert (shown["language"], shown["subject"], shown["html"]) == ("de", "Hallo", "<p>Guten Tag du</p>")
    assert "Guten Tag" in shown["text"]
    own = (await client.post(f"/broadcasts/{made}/preview")).json()
    assert (own["language"], own["subject"]) == (None, "Hello")
    changed = {"languages": {"fr": {"subject": "Bonjour"}, "de": None}, "utm": {"source": "other"}}
    assert (await client.patch(f"/broadcasts/{made}", json=changed)).status_code == 200
    found = (await client.get(f"/broadcasts/{made}")).json()
    assert (list(found["languages"]), found["utm"], found["archive"]) == (["fr"], {"source": "other"}, "off")
    assert (await client.post(f"/broadcasts/{made}/archive", json={"archive": "off"})).json()["archive_url"] is None


async def test_once_more_to_those_who_missed_it(client: httpx.AsyncClient, segment: UUID, database: Database) -> None:
    first = (await client.post("/broadcasts", json={**WORDS, "segment_id": str(segment)})).json()["id"]
    assert (await client.post(f"/broadcasts/{first}/again", json={"to": "missed"})).status_code == 409
    await client.post(f"/broadcasts/{first}/send")
    await work.begin(database)
    await execute(database, "UPDATE campaign_recipients SET state = 'expired' WHERE state = 'waiting'")
    made = await client.post(f"/broadcasts/{first}/again", json={"to": "missed", "name": "Once more"})
    second = (await client.get(f"/broadcasts/{made.json()['id']}")).json()

    assert made.status_code == 201
    assert (second["name"], second["state"], second["html"]) == ("Once more", "draft", WORDS["html"])
    assert second["follows"] == {"broadcast_id": first, "to": "missed"}
    patched = await client.patch(f"/broadcasts/{second['id']}", json={"segment_id": str(uuid7())})
    assert patched.status_code == 422
    await client.post(f"/broadcasts/{second['id']}/send")
    await work.begin(database)
    people = (await client.get(f"/broadcasts/{second['id']}")).json()["people"]
    assert (people["total"], people["waiting"], people["unconfirmed"]) == (3, 2, 1)


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"from": "news@elsewhere.example"}, 403, "elsewhere.example"),
        ({"from": "nonsense"}, 422, "from"),
        ({"html": "<p>{{ broken"}, 422, "html"),
        ({"subject": "{% for x in y %}"}, 422, "subject"),
        ({"segment_id": str(uuid7())}, 404, "Segment not found"),
        ({"topic_id": str(uuid7())}, 404, "Topic not found"),
        ({"plan": {"window": {"days": []}, "per_hour": -1}}, 422, "per_hour"),
        ({"plan": {"window": {"from": "08:00", "to": "08:00"}}}, 422, "never open"),
        ({"plan": {"wndow": {}}}, 422, "no such part"),
        ({"name": "a\0b"}, 422, "name"),
        ({"subject": "a\0b"}, 422, "subject"),
        ({"text": "\0"}, 422, "text"),
        ({"reply_to": "nonsense"}, 422, "reply_to"),
        ({"experiment": {"variants": [{"html": "{{ broken"}]}}, 422, "html"),
        ({"experiment": {"variants": [{"subject": "\0"}]}}, 422, "subject"),
        ({"experiment": {"variants": [{"from": "a@other.example"}]}}, 422, "same domain"),
        ({"scheduled_at": "in 2 days"}, 422, "scheduled_at"),
        ({"send": True, "scheduled_at": "2020-01-01T00:00:00Z"}, 422, "past"),
        ({"send": True, "html": None}, 422, "html"),
        ({"utm": {"term": "x"}}, 422, "no such tag"),
        ({"languages": {"de": {"from": "a@acme.example"}}}, 422, "each says subject"),
        ({"languages": {"de": {"html": "{{ broken"}}}, 422, "html"),
        ({"languages": {"no tag": {"subject": "x"}}}, 422, "language tag"),
        ({"archive": "link"}, 422, "no public pages"),
        ({"send": True, "html": "{{ archive_url }}"}, 422, "page on the web is off"),
        ({"send": True, "subject": " "}, 422, "subject"),
        ({"send": True, "segment_id": None}, 422, "segment"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_made(
    client: httpx.AsyncClient, segment: UUID, database: Database, change: dict[str, Any], status: int, word: str
) -> None:
    answer = await client.post("/broadcasts", json={**WORDS, "segment_id": str(segment), **change})

    assert answer.status_code == status, answer.text
    assert word in answer.json()["message"]
    assert await rows(database, "SELECT FROM campaigns") == []


async def test_one_that_cannot_be_read_is_listed_as_that_and_spoils_no_other(
    client: httpx.AsyncClient, segment: UUID, database: Database
) -> None:
    one, other = [
        (await client.post("/broadcasts", json={**WORDS, "segment_id": str(segment)})).json()["id"] for _ in "ab"
    ]
    await execute(database, "UPDATE campaigns SET plan = '{\"moon\": 1}' WHERE id = %s", [one])
    listed = (await client.get("/broadcasts")).json()["data"]
    why = "it cannot be read, and waits: plan.moon: there is no such part"
    assert [(found["id"], found["reason"][: len(why)]) for found in listed] == [(other, ""), (one, why)]
    assert (await client.get(f"/broadcasts/{one}")).json()["reason"].startswith(why)
    refused = await client.post(f"/broadcasts/{one}/send")
    assert (refused.status_code, "the version that wrote it" in refused.json()["message"]) == (409, True)
    assert (await client.delete(f"/broadcasts/{one}")).status_code == 200


async def test_nobody_sees_the_broadcasts_of_another_application(
    client: httpx.AsyncClient, account: Account, segment: UUID, database: Database
) -> None:
    made = (await client.post("/broadcasts", json={**WORDS, "segment_id": str(segment)})).json()["id"]
    stranger = {"authorization": f"Bearer {account.stranger}"}

    for method, path in (("GET", ""), ("POST", "/send"), ("POST", "/cancel"), ("DELETE", ""), ("GET", "/recipients")):
        answer = await client.request(method, f"/broadcasts/{made}{path}", headers=stranger)
        assert (answer.status_code, answer.json()["message"]) == (404, "Broadcast not found.")
    await execute(database, "DELETE FROM segments")
    sent = await client.post(f"/broadcasts/{made}/send")
    assert (sent.status_code, sent.json()["message"]) == (404, "Segment not found.")


@pytest.mark.parametrize("part", ["subject", "html", "text", "preview_text"])
async def test_a_placeholder_that_nobody_can_fill_is_refused(
    client: httpx.AsyncClient, segment: UUID, part: str
) -> None:
    facts = {**WORDS, part: "Dear {{{contact.bogus}}}", "segment_id": str(segment)}
    refused = await client.post("/broadcasts", json={**facts, "send": True})

    assert (refused.status_code, refused.json()["name"]) == (422, "validation_error")
    assert refused.json()["message"].startswith("Nobody has `bogus`: no mail can be made.")
    assert "{{{contact.bogus|there}}}" in refused.json()["message"]
    assert (await client.get("/broadcasts")).json()["data"] == [], "the refused one is no draft"
    later = (await client.post("/broadcasts", json=facts)).json()["id"]
    scheduled = await client.post(f"/broadcasts/{later}/send", json={"scheduled_at": "in 1 hour"})
    assert scheduled.status_code == 422
    await client.post("/contact-properties", json={"key": "bogus", "type": "string", "fallback_value": "you"})
    assert (await client.post(f"/broadcasts/{later}/send")).status_code == 200


async def test_what_nobody_has_is_refused_and_what_somebody_has_is_sent(
    client: httpx.AsyncClient, segment: UUID, database: Database
) -> None:
    facts = {**WORDS, "html": "<p>{{{contact.first_name}}}</p>", "segment_id": str(segment)}
    made = (await client.post("/broadcasts", json=facts)).json()["id"]
    refused = await client.post(f"/broadcasts/{made}/send")
    assert (refused.status_code, refused.json()["message"]) == (
        422,
        "Nobody of its audience has a `first_name`: no mail can be made. Say what stands there instead, "
        "{{{contact.first_name|there}}}, or give somebody a value.",
    )
    await client.patch("/contacts/ann@one.example", json={"first_name": "Ann"})
    assert (await client.post(f"/broadcasts/{made}/send")).status_code == 200


async def test_the_same_request_under_its_key_is_one_broadcast(client: httpx.AsyncClient, segment: UUID) -> None:
    body, key = {**WORDS, "segment_id": str(segment), "send": True}, {"idempotency-key": "spring"}
    wrong = await client.post("/broadcasts", json={**body, "segment_id": None}, headers=key)
    first = await client.post("/broadcasts", json=body, headers=key)
    second = await client.post("/broadcasts", json=body, headers=key)
    other = await client.post("/broadcasts", json={**body, "subject": "Another"}, headers=key)

    assert (wrong.status_code, first.status_code, second.status_code) == (422, 201, 201), "a refusal keeps no key"
    assert first.content == second.content
    assert (other.status_code, other.json()["name"]) == (409, "invalid_idempotent_request")
    assert [one["id"] for one in (await client.get("/broadcasts")).json()["data"]] == [first.json()["id"]]
    without = await client.post("/broadcasts", json=body)
    assert without.json()["id"] != first.json()["id"]
    long = await client.post("/broadcasts", json=body, headers={"idempotency-key": "x" * 257})
    assert (long.status_code, long.json()["name"]) == (400, "invalid_idempotency_key")
