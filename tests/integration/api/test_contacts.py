"""`/contacts`, `/contact-properties`, and the contacts of segments and audiences."""

import asyncio
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import resend
from resend.exceptions import ResendError

from audience.choices import Act, Person, Source
from core.ids import uuid7
from core.settings import Settings
from messages import choosing
from store.database import Database
from suppression.subjects import hashed
from tests.integration.api.account import Account, email
from tests.integration.api.conftest import Server
from tests.integration.messages.emails import execute, rows

ANN = "Ann+shop@Example.com"
LEFT = Act(Source.LINK, "203.0.113.9")


async def made(client: httpx.AsyncClient, address: str = ANN, status: int = 201, **facts: Any) -> str:
    answer = await client.post("/contacts", json={"email": address, **facts})
    assert answer.status_code == status, answer.text
    identifier: str = answer.json()["id"]
    return identifier


async def defined(client: httpx.AsyncClient, key: str, kind: str = "string", **facts: Any) -> str:
    answer = await client.post("/contact-properties", json={"key": key, "type": kind, **facts})
    assert answer.status_code == 201, answer.text
    identifier: str = answer.json()["id"]
    return identifier


async def a_list(database: Database, account: Account, name: str = "News") -> str:
    identifier = uuid7()
    values = [identifier, account.application_id, name]
    await execute(database, "INSERT INTO segments (id, application_id, name) VALUES (%s, %s, %s)", values)
    return str(identifier)


async def left(database: Database, account: Account, address: str = ANN.lower()) -> None:
    async with database.transaction() as connection:
        await choosing.leave_all(connection, Person(account.application_id, address), LEFT)


async def test_a_contact_is_made_shown_changed_and_deleted(client: httpx.AsyncClient) -> None:
    await defined(client, "plan", fallback_value="free")
    await defined(client, "age", "number")
    ann = await made(client, first_name="Ann", last_name="Berg", properties={"plan": "pro"}, language="DE")
    shown = (await client.get(f"/contacts/{ann}")).json()
    assert shown.pop("created_at") and shown.pop("updated_at") and shown.pop("confirmed_at")
    assert shown == {
        "object": "contact", "id": ann, "email": "Ann+shop@example.com", "first_name": "Ann", "last_name": "Berg",
        "unsubscribed": False, "status": "confirmed", "language": "de", "time_zone": None,
        "properties": {"plan": {"type": "string", "value": "pro"}},
    }  # fmt: skip
    body = {"id": ann, "email": ANN, "audience_id": str(uuid7()), "first_name": None, "properties": {"age": "40"}}
    assert (await client.patch(f"/contacts/{ann}", json=body)).json() == {"object": "contact", "id": ann}
    changed = (await client.get(f"/contacts/{ann}")).json()
    assert (changed["first_name"], changed["last_name"]) == (None, "Berg")
    assert {key: one["value"] for key, one in changed["properties"].items()} == {"plan": "pro", "age": 40}
    gone = (await client.delete(f"/contacts/{ann}")).json()
    assert gone == {"object": "contact", "id": ann, "contact": ann, "deleted": True}

    assert (await client.get(f"/contacts/{ann}")).status_code == 404
    assert (await client.get("/contacts")).json() == {"object": "list", "has_more": False, "data": []}


async def test_an_address_in_a_path_names_a_contact(client: httpx.AsyncClient) -> None:
    """Node's SDK does not encode it, Python's does; a plus is a plus."""
    for path in (ANN, quote(ANN), quote(ANN, safe=""), ANN.upper().replace("@", "%40")):
        ann = await made(client)
        assert (await client.get(f"/contacts/{path}")).json()["id"] == ann
        assert (await client.patch(f"/contacts/{path}", json={"last_name": "B"})).json()["id"] == ann
        assert (await client.get(f"/contacts/{path}/segments")).json()["data"] == []
        assert (await client.get(f"/contacts/{path}/history")).status_code == 200
        assert (await client.get(f"/contacts/{path}/topics")).status_code == 200
        assert (await client.delete(f"/contacts/{path}")).json()["contact"] == ann


async def test_an_address_with_a_slash_names_a_contact(client: httpx.AsyncClient) -> None:
    odd = await made(client, "a/segments/b@example.com")

    assert (await client.get("/contacts/a/segments/b@example.com")).json()["id"] == odd


async def test_making_somebody_again_updates_them(client: httpx.AsyncClient) -> None:
    ann = await made(client, first_name="Ann", unsubscribed=False)
    again = await made(client, ANN.upper(), 200, last_name="Berg", unsubscribed=False)
    shown = (await client.get(f"/contacts/{ann}")).json()

    assert (again, shown["first_name"], shown["last_name"]) == (ann, "Ann", "Berg")


async def test_two_who_make_one_address_at_one_time_make_one(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*[client.post("/contacts", json={"email": one}) for one in [ANN, ANN.lower()] * 4])

    assert {answer.status_code for answer in answers} == {200, 201}
    assert len({answer.json()["id"] for answer in answers}) == 1


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "email"),
    ({"email": ""}, "email"),
    ({"email": "nobody"}, "@"),
    ({"email": "Ann <ann@example.com>"}, "email"),
    ({"email": ANN, "first_name": "a\r\nb"}, "first_name"),
    ({"email": ANN, "first_name": "x" * 201}, "first_name"),
    ({"email": ANN, "time_zone": "Mars/Olympus"}, "time_zone"),
    ({"email": ANN, "unsubscribed": "yes"}, "unsubscribed"),
    ({"email": ANN, "properties": {"nope": 1}}, "properties.nope"),
    ({"email": ANN, "properties": {"plan": {"a": 1}}}, "properties.plan"),
    ({"email": ANN, "properties": {f"p{n}": 1 for n in range(101)}}, "properties"),
    ({"email": ANN, "segments": [{"id": "00000000-0000-7000-8000-000000000000"}]}, "segments[0].id"),
    (
        {"email": ANN, "topics": [{"id": "00000000-0000-7000-8000-000000000000", "subscription": "opt_in"}]},
        "topics",
    ),
]


async def test_what_cannot_be_is_refused(client: httpx.AsyncClient) -> None:
    for body, field in WRONG:
        answer = await client.post("/contacts", json=body)
        assert (answer.status_code, field in answer.json()["message"]) == (422, True), (body, answer.text)

    assert (await client.get("/contacts")).json()["data"] == []


async def test_hostile_bodies_are_refused(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    deep = '{"email": "a@example.com", "properties": {"p": ' + "[" * 20_000 + "]" * 20_000 + "}}"
    huge = '{"email": "a@example.com", "first_name": "' + "x" * 70_000 + '"}'
    nul = '{"email": "a@example.com", "first_name": "a\\u0000b"}'
    found = [await client.post("/contacts", content=body, headers=headers) for body in (deep, huge, nul)]

    assert [answer.status_code for answer in found] == [400, 413, 422]


async def test_odd_names_of_contacts_find_nobody(client: httpx.AsyncClient) -> None:
    for path in ("%00", "..%2f..", "a%00@b.example", "0190a3b2", "'%20OR%201=1--", "@", "x" * 3000):
        for method in ("GET", "PATCH", "DELETE"):
            answer = await client.request(method, f"/contacts/{path}", json={})
            assert answer.status_code in (404, 422), answer.text


async def test_contacts_are_their_applications_own(
    client: httpx.AsyncClient, account: Account, database: Database
) -> None:
    ann, news = await made(client), await a_list(database, account)
    plan = await defined(client, "plan")
    headers = {"authorization": f"Bearer {account.stranger}"}
    for method, path in (
        ("GET", f"/contacts/{ann}"), ("PATCH", f"/contacts/{ann}"), ("DELETE", f"/contacts/{ann}"),
        ("GET", f"/contacts/{ann}/segments"), ("GET", f"/contacts/{ann}/history"), ("GET", f"/contacts/{ann}/topics"),
        ("POST", f"/contacts/{ann}/segments/{news}"), ("GET", f"/segments/{news}/contacts"),
        ("GET", f"/audiences/{news}/contacts"), ("GET", f"/contact-properties/{plan}"),
        ("PATCH", f"/contact-properties/{plan}"), ("DELETE", f"/contact-properties/{plan}"),
    ):  # fmt: skip
        answer = await client.request(method, path, headers=headers, json={})
        assert answer.status_code == 404, (method, path)
    assert (await client.get("/contacts", headers=headers)).json()["data"] == []
    assert (await client.post("/contacts", headers=headers, json={"email": ANN})).json()["id"] != ann


async def test_pages(client: httpx.AsyncClient) -> None:
    ids = [await made(client, f"p{n}@example.com") for n in range(3)]
    first = (await client.get("/contacts?limit=2")).json()
    rest = (await client.get(f"/contacts?limit=2&after={ids[1]}")).json()

    assert ([one["id"] for one in first["data"]], first["has_more"]) == (ids[:0:-1], True)
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == ([ids[0]], False)
    assert (await client.get("/contacts?limit=0")).status_code == 422


# Consent


async def test_consent_is_kept_with_where_it_came_from(client: httpx.AsyncClient) -> None:
    consent = {"text": "Yes, send me news.", "source": "https://shop.example/join", "at": "2026-11-01T08:00:00Z"}
    ann = await made(client, consent=consent)
    past = (await client.get(f"/contacts/{ann}/history")).json()["data"]

    assert [one["what"] for one in past] == ["confirmed", "created"]
    assert past[0]["detail"] == consent
    assert (past[0]["source"], past[0]["ip"]) == ("api", "127.0.0.1")
    assert past[0]["actor"].startswith("API key ")


class TestUntrusted:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"api_contacts": "unconfirmed"})

    async def test_nobody_is_confirmed_by_their_word(self, client: httpx.AsyncClient) -> None:
        ann = await made(client, consent={"text": "they said yes"})
        await client.patch(f"/contacts/{ann}", json={"consent": {"text": "really"}})

        assert (await client.get(f"/contacts/{ann}")).json()["status"] == "unconfirmed"

    async def test_consent_does_not_move_to_another_address_by_their_word(
        self, client: httpx.AsyncClient, database: Database, account: Account
    ) -> None:
        news = await a_list(database, account)
        ann, bob = await made(client, segments=[{"id": news}]), await made(client, "bob@example.com")
        for table in ("contacts", "segment_members"):
            await execute(database, f"UPDATE {table} SET status = 'confirmed'")
        await client.patch(f"/contacts/{ann}", json={"new_email": "stranger@example.com"})
        contact, places = [(await client.get(f"/contacts/{ann}{of}")).json() for of in ("", "/segments")]
        assert [one["status"] for one in (contact, *places["data"])] == ["unconfirmed", "unconfirmed"]
        await client.patch(f"/contacts/{ann}", json={"new_email": "bob@example.com"})
        assert (await client.get(f"/contacts/{bob}")).json()["status"] == "confirmed"


async def test_consent_said_later_holds_for_the_lists_they_wait_on(
    client: httpx.AsyncClient, database: Database, account: Account
) -> None:
    """They were brought in unconfirmed; else they would be confirmed and never get what the list gets."""
    news = await a_list(database, account)
    ann = await made(client, segments=[{"id": news}])
    await execute(database, "UPDATE contacts SET status = 'unconfirmed', confirmed_at = NULL")
    await execute(database, "UPDATE segment_members SET status = 'unconfirmed'")
    await client.patch(f"/contacts/{ann}", json={"consent": {"text": "Yes"}})
    (place,) = (await client.get(f"/contacts/{ann}/segments")).json()["data"]
    told = (await client.get(f"/contacts/{ann}/history")).json()["data"]

    assert (await client.get(f"/contacts/{ann}")).json()["status"] == place["status"] == "confirmed"
    assert [one["what"] for one in told[:2]] == ["list_confirmed", "confirmed"]


# Leaving all mail


async def test_unsubscribed_and_the_suppression_list_are_one(client: httpx.AsyncClient, database: Database) -> None:
    ann = await made(client, unsubscribed=True)
    listed = (await client.get(f"/recipients/{quote(ANN)}")).json()
    assert (await client.get(f"/contacts/{ann}")).json()["unsubscribed"] is True
    assert listed["left_all"] is True
    assert (await client.patch(f"/contacts/{ann}", json={"unsubscribed": False})).status_code == 200
    assert (await client.get(f"/contacts/{ann}")).json()["unsubscribed"] is False
    assert await rows(database, "SELECT count(*) FROM suppressions") == [(0,)]
    body = {"email": ANN, "reason": "unsubscribe", "scope": "marketing"}
    await client.post("/suppressions", json=body)

    assert (await client.get("/contacts")).json()["data"][0]["unsubscribed"] is True


async def test_who_left_by_their_own_hand_is_not_brought_back(
    client: httpx.AsyncClient, database: Database, account: Account
) -> None:
    await left(database, account)
    ann = await made(client, unsubscribed=False)
    refused = await client.patch(f"/contacts/{ann}", json={"unsubscribed": False, "first_name": "Ann"})
    shown = (await client.get(f"/contacts/{ann}")).json()

    assert (refused.status_code, refused.json()["name"]) == (409, "conflict")
    assert "own hand" in refused.json()["message"]
    assert (shown["unsubscribed"], shown["first_name"]) == (True, None)


async def test_a_persons_word_outweighs_that_their_application_had_said_so(
    client: httpx.AsyncClient, database: Database, account: Account
) -> None:
    """The application takes them off, then they leave by themselves: it can no longer take that back."""
    ann = await made(client, unsubscribed=True)
    await left(database, account)

    assert (await client.patch(f"/contacts/{ann}", json={"unsubscribed": False})).status_code == 409


async def test_deleting_and_making_again_brings_nobody_back(
    client: httpx.AsyncClient, database: Database, account: Account
) -> None:
    ann = await made(client)
    await left(database, account)
    await client.delete(f"/contacts/{ann}")
    again = await made(client, unsubscribed=False)

    assert again != ann
    assert (await client.get(f"/contacts/{again}")).json()["unsubscribed"] is True


# Another address


async def test_another_address_takes_choices_along(client: httpx.AsyncClient) -> None:
    topic = {"name": "News", "default_subscription": "opt_in"}
    news = (await client.post("/topics", json=topic)).json()["id"]
    ann = await made(client, topics=[{"id": news, "subscription": "opt_out"}])
    moved = await client.patch(f"/contacts/{ann}", json={"new_email": "New@example.com", "first_name": "Ann"})
    shown = (await client.get("/contacts/new@example.com")).json()
    taken = (await client.get(f"/contacts/{ann}/topics")).json()["data"]

    assert moved.json()["id"] == ann
    assert (shown["id"], shown["email"], shown["first_name"]) == (ann, "New@example.com", "Ann")
    assert (await client.get(f"/contacts/{quote(ANN)}")).status_code == 404
    assert [one["subscription"] for one in taken] == ["opt_out"]
    assert (await client.get(f"/recipients/{quote(ANN)}")).json()["left_all"] is True


async def test_an_application_moves_nobody_past_their_own_word(
    client: httpx.AsyncClient, database: Database, account: Account
) -> None:
    """Who had left at the new address stays so: nobody who reads mail there has said otherwise."""
    ann = await made(client)
    await left(database, account, "new@example.com")
    await client.patch(f"/contacts/{ann}", json={"new_email": "new@example.com"})

    assert (await client.get(f"/contacts/{ann}")).json()["unsubscribed"] is True


async def test_another_address_in_the_wrong_field_is_no_silence(client: httpx.AsyncClient) -> None:
    ann = await made(client)
    answer = await client.patch(f"/contacts/{ann}", json={"email": "new@example.com"})

    assert answer.status_code == 422
    assert "new_email" in answer.json()["message"]


async def test_moving_across_at_one_time_ends(client: httpx.AsyncClient) -> None:
    """Two who take each other's address at one moment: no deadlock, and nobody is lost but by becoming one."""
    one, two = await made(client, "one@example.com"), await made(client, "two@example.com")
    answers = await asyncio.gather(
        client.patch(f"/contacts/{one}", json={"new_email": "two@example.com"}),
        client.patch(f"/contacts/{two}", json={"new_email": "one@example.com"}),
    )

    assert {answer.status_code for answer in answers} <= {200, 404}
    assert len((await client.get("/contacts")).json()["data"]) == 1


# Lists


async def test_a_contact_joins_and_leaves_lists(
    client: httpx.AsyncClient, database: Database, account: Account
) -> None:
    news, offers = await a_list(database, account), await a_list(database, account, "Offers")
    ann = await made(client, segments=[{"id": news}])
    joined = await client.post(f"/contacts/{quote(ANN)}/segments/{offers}")
    again = await client.post(f"/contacts/{ann}/segments/{offers}")
    places = (await client.get(f"/contacts/{ann}/segments")).json()["data"]
    assert (joined.status_code, joined.json(), again.status_code) == (201, {"id": offers}, 201)
    assert [(one["name"], one["status"]) for one in places] == [("Offers", "confirmed"), ("News", "confirmed")]
    assert [one["id"] for one in (await client.get(f"/segments/{news}/contacts")).json()["data"]] == [ann]
    out = await client.delete(f"/contacts/{ann}/segments/{news}")
    assert out.json() == {"id": news, "deleted": True}
    assert (await client.delete(f"/contacts/{ann}/segments/{news}")).status_code == 404

    assert (await client.get(f"/segments/{news}/contacts")).json()["data"] == []
    assert (await client.post(f"/contacts/{ann}/segments/{uuid7()}")).status_code == 404


async def test_the_older_paths_of_audiences(client: httpx.AsyncClient, database: Database, account: Account) -> None:
    news, other = await a_list(database, account), await a_list(database, account, "Other")
    made = await client.post(f"/audiences/{news}/contacts", json={"email": ANN, "audience_id": news})
    ann = made.json()["id"]
    path = f"/audiences/{news}/contacts/{ANN}"
    assert (made.status_code, (await client.get(path)).json()["id"]) == (201, ann)
    assert (await client.get(f"/audiences/{other}/contacts/{ann}")).status_code == 404
    assert (await client.patch(path, json={"first_name": "Ann", "unsubscribed": True})).json()["id"] == ann
    listed = (await client.get(f"/audiences/{news}/contacts")).json()["data"]
    assert [(one["first_name"], one["unsubscribed"]) for one in listed] == [("Ann", True)]
    assert (await client.delete(path)).json() == {"object": "contact", "id": ann, "contact": ann, "deleted": True}

    assert (await client.get(path)).status_code == 404
    assert (await client.get(f"/contacts/{ann}")).status_code == 200


# Properties


async def test_properties_are_defined_shown_and_deleted(client: httpx.AsyncClient) -> None:
    plan = await defined(client, "plan", fallback_value="free")
    ann = await made(client, properties={"plan": "pro"})
    twice = await client.post("/contact-properties", json={"key": "plan", "type": "number"})
    changed = await client.patch(f"/contact-properties/{plan}", json={"id": plan, "fallback_value": "none"})
    shown = (await client.get(f"/contact-properties/{plan}")).json()
    assert shown.pop("created_at")
    assert (twice.status_code, changed.json()) == (409, {"object": "contact_property", "id": plan})
    assert shown == {
        "object": "contact_property", "id": plan, "key": "plan", "type": "string", "fallback_value": "none",
    }  # fmt: skip
    assert [one["key"] for one in (await client.get("/contact-properties")).json()["data"]] == ["plan"]
    gone = (await client.delete(f"/contact-properties/{plan}")).json()

    assert gone == {"object": "contact_property", "id": plan, "deleted": True}
    assert (await client.get(f"/contacts/{ann}")).json()["properties"] == {}


async def test_a_wrong_property_is_refused(client: httpx.AsyncClient) -> None:
    for body, field in (
        ({"key": "a b", "type": "string"}, "key"),
        ({"key": "x" * 51, "type": "string"}, "key"),
        ({"key": "Email", "type": "string"}, "key"),
        ({"key": "plan", "type": "money"}, "type"),
        ({"key": "age", "type": "number", "fallback_value": "old"}, "fallback_value"),
        ({"type": "string"}, "key"),
    ):
        answer = await client.post("/contact-properties", json=body)
        assert (answer.status_code, f"`{field}`" in answer.json()["message"]) == (422, True), answer.text


# What applications hear


async def test_applications_hear_of_contacts(client: httpx.AsyncClient, database: Database, account: Account) -> None:
    news = await a_list(database, account)
    await client.post(
        "/webhooks",
        json={
            "endpoint": "https://hooks.example.com/x",
            "events": [f"contact.{x}" for x in ("created", "updated", "deleted")],
        },
    )
    ann = await made(client, first_name="Ann", unsubscribed=True, segments=[{"id": news}])
    await client.patch(f"/contacts/{ann}", json={"last_name": "Berg"})
    await client.patch(f"/contacts/{ann}", json={"last_name": "Berg"})
    await client.patch(f"/contacts/{ann}", json={"unsubscribed": False})
    await client.patch(f"/contacts/{ann}", json={"first_name": "a\nb"})
    await client.delete(f"/contacts/{ann}")
    told = await rows(database, "SELECT type, payload::jsonb -> 'data' FROM webhook_events ORDER BY id")

    assert [(kind, data["unsubscribed"], data["last_name"]) for kind, data in told] == [
        ("contact.created", True, None), ("contact.updated", True, "Berg"), ("contact.updated", False, "Berg"),
        ("contact.deleted", False, "Berg"),
    ]  # fmt: skip
    assert {data["id"] for _, data in told} == {ann}
    assert told[0][1]["segment_ids"] == told[3][1]["segment_ids"] == [news]
    assert told[0][1]["audience_id"] == news


# What the law gives people


async def test_a_person_is_exported_and_erased(client: httpx.AsyncClient, database: Database, account: Account) -> None:
    ann = await made(client, first_name="Ann", segments=[{"id": await a_list(database, account)}])
    sent = (await client.post("/emails", json=email(to=[ANN], scheduled_at="in 1 hour"))).json()["id"]
    held = (await client.get(f"/contacts/{quote(ANN)}/export")).json()
    gone = (await client.post(f"/contacts/{ann}/erase")).json()
    after = (await client.get(f"/contacts/{ANN}/export")).json()

    assert (held["contact"]["first_name"], held["segments"][0]["name"]) == ("Ann", "News")
    assert [(one["id"], one["text"]) for one in held["emails"]] == [(sent, "Thank you.")]
    assert gone == {
        "object": "person", "email": ANN.lower(), "contact_id": ann, "erased": True, "cancelled": 1, "emails": 1,
        "under_way": 0, "earlier_addresses": [], "segments": [],
    }  # fmt: skip
    assert (after["contact"], after["emails"], after["history"]) == (None, [], [])
    assert (await client.get(f"/emails/{sent}")).json()["last_event"] == "canceled"
    assert (await client.get(f"/contacts/{ann}")).status_code == 404
    assert (await client.post(f"/contacts/{ann}/erase")).status_code == 404
    again = await made(client, unsubscribed=False)
    assert (await client.patch(f"/contacts/{again}", json={"unsubscribed": False})).status_code == 409
    assert (await client.delete(f"/suppressions/{hashed(ANN.lower())}")).status_code == 409
    assert (await client.get(f"/contacts/{again}")).json()["unsubscribed"] is True


async def test_erasing_all_mail_stops_receipts_too(client: httpx.AsyncClient) -> None:
    await client.post(f"/contacts/{ANN}/erase", json={"suppress": "all"})
    streams = (await client.get(f"/recipients/{quote(ANN)}")).json()["streams"]

    assert [one["allowed"] for one in streams] == [False, False]
    assert (await client.post(f"/contacts/{ANN}/erase", json={"suppress": "some"})).status_code == 422


# Resend's SDK


def test_the_python_sdk_works_with_contacts(
    server: Server, account: Account, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)
    plan = resend.ContactProperties.create({"key": "plan", "type": "string", "fallback_value": "free"})["id"]
    resend.ContactProperties.update({"id": plan, "fallback_value": "none"})
    assert resend.ContactProperties.get(plan)["key"] == "plan"
    assert [one["id"] for one in resend.ContactProperties.list()["data"]] == [plan]
    ann = resend.Contacts.create(
        {"email": ANN, "first_name": "Ann", "unsubscribed": False, "properties": {"plan": "pro"}}
    )["id"]
    resend.Contacts.update({"email": ANN, "last_name": "Berg"})
    resend.Contacts.update({"id": ann, "unsubscribed": True})
    got = resend.Contacts.get(email=ANN)
    assert (got["id"], got["last_name"], got["unsubscribed"]) == (ann, "Berg", True)
    assert resend.Contacts.get(id=ann)["email"] == "Ann+shop@example.com"
    assert [one["id"] for one in resend.Contacts.list()["data"]] == [ann]
    assert resend.Contacts.Segments.list({"contact_id": ann})["data"] == []
    assert resend.Contacts.remove(email=ANN)["contact"] == ann
    assert resend.ContactProperties.remove(plan)["deleted"] is True
    with pytest.raises(ResendError) as caught:
        resend.Contacts.get(id=ann)
    assert caught.value.error_type == "not_found"
