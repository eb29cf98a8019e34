"""`/topics` and `/contacts/{contact}/topics`, and mail that names a topic."""

from typing import Any
from uuid import UUID

import httpx
import pytest
import resend

from audience.choices import Act, Person, Source
from core.ids import uuid7
from messages import choosing
from store.database import Database
from tests.integration.api.account import Account, email
from tests.integration.api.conftest import Server
from tests.integration.messages.emails import rows

ANN = "ann+shop@example.com"


async def made(client: httpx.AsyncClient, name: str = "News", **facts: Any) -> str:
    body = {"name": name, "default_subscription": "opt_in", **facts}
    answer = await client.post("/topics", json=body)
    assert answer.status_code == 201, answer.text
    identifier: str = answer.json()["id"]
    return identifier


async def test_a_topic_is_made_shown_changed_and_deleted(client: httpx.AsyncClient) -> None:
    topic = await made(client, " Weekly news ", description="Every Friday")
    shown = (await client.get(f"/topics/{topic}")).json()
    assert shown.pop("created_at")
    assert shown == {
        "object": "topic", "id": topic, "name": "Weekly news", "description": "Every Friday",
        "default_subscription": "opt_in", "visibility": "private", "stream": "marketing", "is_default": False,
    }  # fmt: skip
    changed = await client.patch(f"/topics/{topic}", json={"id": topic, "name": "News", "description": ""})
    assert changed.json() == {"object": "topic", "id": topic}
    listed = (await client.get("/topics")).json()
    assert [(one["name"], one["description"]) for one in listed["data"]] == [("News", "")]
    gone = await client.delete(f"/topics/{topic}")
    assert gone.json() == {"object": "topic", "id": topic, "deleted": True}

    assert (await client.get(f"/topics/{topic}")).status_code == 404
    assert (await client.get("/topics")).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"default_subscription": "opt_in"}, "name"),
        ({"name": "x"}, "default_subscription"),
        ({"name": "x" * 51, "default_subscription": "opt_in"}, "name"),
        ({"name": "x\r\nBcc: y", "default_subscription": "opt_in"}, "name"),
        ({"name": "x", "default_subscription": "maybe"}, "default_subscription"),
        ({"name": "x", "default_subscription": "opt_in", "description": "y" * 201}, "description"),
        ({"name": "x", "default_subscription": "opt_in", "visibility": "secret"}, "visibility"),
    ],
)
async def test_a_wrong_topic_is_refused(client: httpx.AsyncClient, body: dict[str, str], field: str) -> None:
    answer = await client.post("/topics", json=body)

    assert answer.status_code == 422
    assert field in answer.json()["message"]


async def test_two_topics_of_one_name_cannot_be_told_apart(client: httpx.AsyncClient) -> None:
    news = {"name": "Product news", "default_subscription": "opt_in"}
    first = (await client.post("/topics", json=news)).json()["id"]
    other = (await client.post("/topics", json=news | {"name": "Offers"})).json()["id"]
    for refused in (
        await client.post("/topics", json=news | {"name": "product NEWS"}),
        await client.patch(f"/topics/{other}", json={"name": "Product news"}),
    ):
        assert (refused.status_code, first in refused.json()["message"]) == (409, True)
    assert (await client.patch(f"/topics/{first}", json={"name": "Product News"})).status_code == 200
    await client.delete(f"/topics/{first}")
    assert (await client.post("/topics", json=news)).status_code == 201


async def test_topics_are_their_applications_own(client: httpx.AsyncClient, account: Account) -> None:
    topic = await made(client)
    headers = {"authorization": f"Bearer {account.stranger}"}
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", "")):
        answer = await client.request(method, f"/topics/{topic}{path}", headers=headers, json={})
        assert answer.status_code == 404
    sent = await client.post("/emails", json=email(topic_id=topic), headers=headers)

    assert (await client.get("/topics", headers=headers)).json()["data"] == []
    assert sent.status_code in (403, 422)


# On a mail


async def test_mail_of_a_topic_travels_in_its_stream(client: httpx.AsyncClient, database: Database) -> None:
    news, receipts = await made(client), await made(client, "Receipts", stream="transactional")
    ids = [(await client.post("/emails", json=email(topic_id=one))).json()["id"] for one in (news, receipts)]
    found = dict(await rows(database, "SELECT id, lane || ' ' || topic_id FROM emails"))

    assert [found[UUID(one)] for one in ids] == [f"marketing {news}", f"transactional {receipts}"]
    assert [(await client.get(f"/emails/{one}")).json()["topic_id"] for one in ids] == [news, receipts]


async def test_marketing_mail_without_a_topic_shows_the_default_one(client: httpx.AsyncClient) -> None:
    sent = (await client.post("/emails", json=email(stream="marketing"))).json()["id"]
    (default,) = (await client.get("/topics")).json()["data"]
    assert (default["is_default"], default["visibility"]) == (True, "public")
    refused = await client.delete(f"/topics/{default['id']}")

    assert (await client.get(f"/emails/{sent}")).json()["topic_id"] == default["id"]
    assert (refused.status_code, refused.json()["name"]) == (409, "conflict")
    assert (await client.patch(f"/topics/{default['id']}", json={"name": "Our news"})).status_code == 200


async def test_plain_mail_has_no_topic(client: httpx.AsyncClient) -> None:
    sent = (await client.post("/emails", json=email())).json()["id"]

    assert (await client.get(f"/emails/{sent}")).json()["topic_id"] is None


@pytest.mark.parametrize("topic", ["01a20446-b6a1-7000-8a97-c8c4fb13728d", "not-an-id", 7])
async def test_a_topic_that_is_not_there_refuses_the_mail(client: httpx.AsyncClient, topic: object) -> None:
    answer = await client.post("/emails", json=email(topic_id=topic))

    assert answer.status_code == 422
    assert "topic_id" in answer.json()["message"]


async def test_a_deleted_topic_refuses_mail_at_once(client: httpx.AsyncClient) -> None:
    topic = await made(client)
    assert (await client.post("/emails", json=email(topic_id=topic))).status_code == 200
    await client.delete(f"/topics/{topic}")

    assert (await client.post("/emails", json=email(topic_id=topic))).status_code == 422


async def test_a_topic_of_the_other_stream_refuses_the_mail(client: httpx.AsyncClient) -> None:
    topic = await made(client)
    body = [email(topic_id=topic), email(topic_id=topic, stream="transactional")]
    answer = await client.post("/emails/batch", json=body, headers={"x-batch-validation": "permissive"})

    assert len(answer.json()["data"]) == 1
    assert "marketing stream" in answer.json()["errors"][0]["message"]


# What one person takes


@pytest.mark.parametrize("wrapped", [False, True])
async def test_choices_of_a_person(client: httpx.AsyncClient, wrapped: bool) -> None:
    news, events = await made(client), await made(client, "Events", default_subscription="opt_out")
    wanted: Any = [{"id": news, "subscription": "opt_out"}, {"id": events, "subscription": "opt_in"}]
    answer = await client.patch(f"/contacts/{ANN}/topics", json={"topics": wanted} if wrapped else wanted)
    assert answer.json() == {"object": "contact", "id": ANN}
    listed = (await client.get(f"/contacts/{ANN.replace('@', '%40')}/topics")).json()

    assert [(one["name"], one["subscription"], one["chosen"]) for one in listed["data"]] == [
        ("News", "opt_out", True), ("Events", "opt_in", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("contact", "status"), [("not an address", 404), ("0190a3b2-0000-7000-8000-000000000000", 404), (ANN, 422)]
)
async def test_what_cannot_be_chosen(client: httpx.AsyncClient, contact: str, status: int) -> None:
    wanted = [{"id": str(uuid7()), "subscription": "opt_in"}]

    assert (await client.patch(f"/contacts/{contact}/topics", json=wanted)).status_code == status


async def test_an_application_cannot_take_back_that_somebody_left_everything(
    client: httpx.AsyncClient, database: Database, account: Account
) -> None:
    topic = await made(client)
    async with database.transaction() as connection:
        await choosing.leave_all(connection, Person(account.application_id, ANN), Act(Source.LINK))
    await client.patch(f"/contacts/{ANN}/topics", json=[{"id": topic, "subscription": "opt_in"}])

    assert await rows(database, "SELECT reason FROM suppressions") == [("unsubscribe",)]


async def test_a_transactional_topic_is_always_on(client: httpx.AsyncClient) -> None:
    topic = await made(client, stream="transactional")
    answer = await client.patch(f"/contacts/{ANN}/topics", json=[{"id": topic, "subscription": "opt_out"}])

    assert answer.status_code == 422
    assert "always on" in answer.json()["message"]


def test_the_sdk_works_with_topics(server: Server, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)
    topic = resend.Topics.create({"name": "News", "default_subscription": "opt_in"})["id"]
    resend.Topics.update(topic, {"name": "Weekly"})
    assert resend.Topics.get(topic)["name"] == "Weekly"
    assert [one["id"] for one in resend.Topics.list()["data"]] == [topic]
    resend.Contacts.Topics.update({"email": ANN, "topics": [{"id": topic, "subscription": "opt_out"}]})
    taken = resend.Contacts.Topics.list(email=ANN)["data"]
    assert [(one["id"], one["subscription"]) for one in taken] == [(topic, "opt_out")]
    sent = resend.Emails.send(email(topic_id=topic))  # type: ignore[arg-type]
    assert sent["id"]

    assert resend.Topics.remove(topic)["deleted"] is True
