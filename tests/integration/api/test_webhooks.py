"""`/webhooks` as applications, operators and Resend's own clients see them, and what arrives at an endpoint."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import resend
from standardwebhooks import Webhook

from core.clock import SystemClock
from core.secrets import InstanceSecret
from core.settings import Settings
from mta.dns_client import DnsClient
from mta.guard import networks
from store.database import Database
from tests.integration.api.account import Account
from tests.integration.api.conftest import Server
from tests.integration.webhooks.receiver import Got, receiving
from webhooks import outbox
from webhooks.delivery import Deliverer
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent
from webhooks.sending import Sender

UNKNOWN = "01a2213e-0000-7000-8000-000000000000"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_networks": ("127.0.0.0/8",)})


@dataclass(frozen=True, slots=True)
class Told:
    """An endpoint that was told of one event, and what it was sent."""

    id: str
    secret: str
    got: Got
    url: str


@pytest.fixture
async def told(
    client: httpx.AsyncClient, database: Database, account: Account, settings: Settings
) -> AsyncIterator[Told]:
    """The event was recorded, sent and received."""
    secret = InstanceSecret.from_text(settings.secret.get_secret_value())
    deliverer = Deliverer(
        database, SystemClock(), secret, Sender(DnsClient(["127.0.0.1:1"]), networks(settings.webhook_networks))
    )
    async with receiving() as receiver:
        made = (await client.post("/webhooks", json={"endpoint": receiver.url})).json()
        event = OutboxEvent(EventType.EMAIL_SENT, account.application_id, datetime.now(UTC), {"email_id": "e"})
        async with database.transaction() as connection:
            await outbox.append(connection, [event])
        await deliverer.drain()
        (got,) = receiver.got
        yield Told(made["id"], made["signing_secret"], got, receiver.url)
    await deliverer.close()


async def test_an_empty_list_of_events_is_not_all_of_them(client: httpx.AsyncClient) -> None:
    refused = await client.post("/webhooks", json={"endpoint": "https://shop.example/h", "events": []})
    assert (refused.status_code, "`events`" in refused.json()["message"]) == (422, True)


async def test_life_of_an_endpoint(client: httpx.AsyncClient) -> None:
    made = await client.post("/webhooks", json={"endpoint": "https://Shop.example/h", "events": ["email.bounced"]})
    assert made.status_code == 201
    path = f"/webhooks/{made.json()['id']}"
    found = (await client.get(path)).json()
    assert found["signing_secret"] == made.json()["signing_secret"]
    assert (found["endpoint"], found["status"], found["events"]) == (
        "https://shop.example/h", "enabled", ["email.bounced"],
    )  # fmt: skip
    changed = await client.patch(path, json={"status": "disabled", "events": [], "webhook_id": "x"})
    assert changed.json() == {"object": "webhook", "id": found["id"]}
    (listed,) = (await client.get("/webhooks")).json()["data"]
    assert (listed["status"], listed["events"]) == ("disabled", None)
    assert "signing_secret" not in listed
    assert (await client.post(f"{path}/replay", json={})).status_code == 409
    rotated = (await client.post(f"{path}/signing-secret/rotate")).json()
    assert (await client.get(path)).json()["signing_secret"] == rotated["signing_secret"] != found["signing_secret"]
    assert (await client.delete(path)).json()["deleted"] is True
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "endpoint"),
        ({"endpoint": ""}, "endpoint"),
        ({"endpoint": "https://10.0.0.1/"}, "not a public address"),
        ({"endpoint": "https://2130706433/"}, "no IP address"),
        ({"endpoint": "https://a:b@shop.example/"}, "password"),
        ({"endpoint": "https://shop.example/", "events": ["email.opend"]}, "email.opened"),
        ({"endpoint": "https://shop.example/", "events": ["ip.throttled"]}, "operators only"),
        ({"endpoint": "https://shop.example/", "evnts": []}, "evnts"),
    ],
)
async def test_what_is_wrong_is_named(client: httpx.AsyncClient, body: dict[str, Any], word: str) -> None:
    answer = await client.post("/webhooks", json=body)
    assert (answer.status_code, answer.json()["statusCode"]) == (422, 422)
    assert word in answer.json()["message"]


async def test_nobody_sees_anothers(
    client: httpx.AsyncClient, ops: httpx.AsyncClient, account: Account, told: Told
) -> None:
    stranger = {"authorization": f"Bearer {account.stranger}"}
    event = told.got.headers["webhook-id"]
    for ask in (
        lambda headers: client.get("/webhooks/" + told.id, headers=headers),
        lambda headers: client.patch("/webhooks/" + told.id, json={"status": "disabled"}, headers=headers),
        lambda headers: client.delete("/webhooks/" + told.id, headers=headers),
        lambda headers: client.post(f"/webhooks/{told.id}/signing-secret/rotate", headers=headers),
        lambda headers: client.post(f"/webhooks/{told.id}/replay", json={}, headers=headers),
        lambda headers: client.get(f"/webhooks/{told.id}/events", headers=headers),
        lambda headers: client.get(f"/webhooks/{told.id}/events/{event}", headers=headers),
        lambda headers: client.get(f"/webhooks/{told.id}/events/{event}/attempts", headers=headers),
        lambda headers: client.post(f"/webhooks/{told.id}/events/{event}/replay", headers=headers),
    ):
        assert (await ask(stranger)).status_code == 404
        assert (await ask({"authorization": f"Bearer {account.operator}"})).status_code == 404
        assert (await ask({"authorization": f"Bearer {account.sending}"})).status_code == 401
    assert (await client.get("/webhooks", headers=stranger)).json()["data"] == []
    mine = (await ops.post("/webhooks", json={"endpoint": "https://ops.example/", "events": ["ip.throttled"]})).json()
    assert [one["id"] for one in (await ops.get("/webhooks")).json()["data"]] == [mine["id"]]
    assert [one["id"] for one in (await client.get("/webhooks")).json()["data"]] == [told.id]


async def test_pages_and_filters_of_events(client: httpx.AsyncClient, told: Told) -> None:
    path = f"/webhooks/{told.id}/events"
    (event,) = (await client.get(path, params={"status": "success"})).json()["data"]
    assert (await client.get(path, params={"status": "failed"})).json()["data"] == []
    assert (await client.get(path, params={"after": event["id"]})).json()["data"] == []
    assert (await client.get(f"{path}/{UNKNOWN}")).status_code == 404
    assert (await client.post(f"{path}/{UNKNOWN}/replay")).status_code == 404
    (attempt,) = (await client.get(f"{path}/{event['id']}/attempts")).json()["data"]
    assert (attempt["http_status_code"], attempt["request"]["url"]) == (200, told.url)
    assert attempt["request"]["headers"]["webhook-id"] == event["id"]
    replayed = await client.post(f"/webhooks/{told.id}/replay", json={"status": "all"})
    assert replayed.json() == {"object": "webhook", "id": told.id, "replayed": 1}


async def test_resend_for_python(server: Server, account: Account, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)
    hooks, event = resend.Webhooks, told.got.headers["svix-id"]
    made = await hooks.create_async({"endpoint": "https://shop.example/", "events": ["email.sent"]})
    assert (await hooks.get_async(made["id"]))["signing_secret"] == made["signing_secret"]
    await hooks.update_async({"webhook_id": made["id"], "endpoint": "https://new.example/", "status": "disabled"})
    assert [one["id"] for one in (await hooks.list_async())["data"]] == [made["id"], told.id]
    assert (await hooks.rotate_signing_secret_async(made["id"]))["signing_secret"] != made["signing_secret"]
    assert (await hooks.remove_async(made["id"]))["deleted"] is True

    (listed,) = (await hooks.list_events_async(told.id, {"limit": 5}))["data"]
    got = await hooks.get_event_async(told.id, event)
    (attempt,) = (await hooks.list_event_attempts_async(told.id, event))["data"]
    assert (listed["id"], listed["status"], got["payload"]) == (event, "success", told.got.event)
    assert (attempt["http_status_code"], (await hooks.replay_event_async(told.id, event))["id"]) == (200, event)
    headers = {name: told.got.headers[f"svix-{name}"] for name in ("id", "timestamp", "signature")}
    hooks.verify({"payload": told.got.body.decode(), "headers": headers, "webhook_secret": told.secret})
    assert Webhook(told.secret).verify(told.got.body, told.got.headers) == told.got.event
