"""`/automations` and `/events`: the official Python SDK drives them, and what cannot be is refused by its name."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import resend
from resend.exceptions import ResendError

from campaigns.automations import running
from store.database import Database
from tests.integration.api.account import Account
from tests.integration.api.conftest import Server
from tests.integration.messages.emails import rows

START: dict[str, Any] = {"key": "start", "type": "trigger", "config": {"event_name": "user.created"}}
MAIL: dict[str, Any] = {
    "key": "mail",
    "type": "send_email",
    "config": {"template": {"id": "hello", "variables": {"PLAN": {"var": "event.plan"}}}},
}
WAIT: dict[str, Any] = {"key": "wait", "type": "delay", "config": {"duration": "3 days"}}


@pytest.fixture
def sdk(server: Server, account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)
    resend.Templates.create(
        {
            "name": "Hello", "alias": "hello", "from": "Acme <hello@acme.example>", "subject": "Hello",
            "html": "<p>{{{contact.first_name|there}}}, {{{PLAN}}}</p>",
            "variables": [{"key": "PLAN", "type": "string", "fallback_value": "none"}],
        }
    )  # fmt: skip
    resend.Templates.publish("hello")
    return iter((None,))


def create(**changes: Any) -> str:
    facts = {"name": "Welcome", "steps": [START, MAIL], "connections": [{"from": "start", "to": "mail"}], **changes}
    return resend.Automations.create(facts)["id"]  # type: ignore[arg-type]


async def test_the_sdk_drives_an_automation_from_its_steps_to_its_runs(sdk: None, database: Database) -> None:
    made = create()
    contact = resend.Contacts.create({"email": "ann@one.example", "first_name": "Ann"})["id"]
    resend.Automations.update({"automation_id": made, "status": "enabled", "name": "Welcome series"})
    got = resend.Automations.get(made)
    assert (got["object"], got["name"], got["status"]) == ("automation", "Welcome series", "enabled")
    assert got["steps"][1]["config"] == {"template": MAIL["config"]["template"]}
    assert got["connections"] == [{"from": "start", "to": "mail", "type": "default"}]
    assert resend.Automations.list({"status": "disabled"})["data"] == []

    told = resend.Events.send({"event": "user.created", "contact_id": contact, "payload": {"plan": "pro"}})
    assert (told["object"], told["event"]) == ("event", "user.created")
    await running.do_due(database, "sandbox.example")
    assert await rows(database, "SELECT c.html FROM contents c JOIN emails e ON e.id = c.id") == [("<p>Ann, pro</p>",)]
    (run,) = resend.Automations.Runs.list(made, {"status": "completed,failed"})["data"]
    steps = resend.Automations.Runs.get(made, run["id"])["steps"]
    assert [(one["key"], one["status"]) for one in steps] == [("start", "completed"), ("mail", "completed")]
    assert resend.Emails.get(steps[1]["output"]["email_id"])["html"] == "<p>Ann, pro</p>"

    copy = resend.Automations.duplicate(made)["id"]
    assert resend.Automations.get(copy)["status"] == "disabled"
    assert resend.Automations.stop(made)["status"] == "disabled"
    assert resend.Automations.remove(made)["deleted"] is True
    with pytest.raises(ResendError, match="Automation not found"):
        resend.Automations.Runs.list(made)


async def test_the_sdk_defines_events_and_their_payloads_are_checked(sdk: None) -> None:
    made = resend.Events.create({"name": "order/paid", "schema": {"seats": "number"}})["id"]
    assert resend.Events.get("order/paid")["schema"] == resend.Events.get(made)["schema"] == {"seats": "number"}
    with pytest.raises(ResendError, match=r"payload\.seats"):
        resend.Events.send({"event": "order/paid", "email": "a@one.example", "payload": {"seats": "many"}})
    resend.Events.update({"identifier": "order/paid", "schema": None})
    resend.Events.send({"event": "order/paid", "email": "a@one.example", "payload": {"seats": "many"}})
    assert [one["name"] for one in resend.Events.list()["data"]] == ["order/paid"]
    assert resend.Events.remove("order/paid")["deleted"] is True


async def test_an_event_with_a_key_begins_once(sdk: None, server: Server, account: Account, database: Database) -> None:
    create(status="enabled")
    headers = {"Authorization": f"Bearer {account.full}", "Idempotency-Key": "signup/7"}
    body = {"event": "user.created", "email": "bob@one.example"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
        first, again = [await client.post("/events/send", json=body) for _ in range(2)]
        other = await client.post("/events/send", json={**body, "email": "eve@one.example"})
        wrong = await client.post("/events/send", json=body | {"email": "no address"}, headers={"Idempotency-Key": "x"})

    assert first.status_code == again.status_code == 202
    assert first.json() == again.json() == {"object": "event", "event": "user.created"}
    assert (other.status_code, other.json()["name"], wrong.status_code) == (409, "invalid_idempotent_request", 422)
    assert await rows(database, "SELECT count(*) FROM automation_runs") == [(1,)]
    assert await rows(database, "SELECT count(*) FROM application_events") == [(1,)]


async def test_a_run_that_waits_says_for_what_and_can_be_cancelled(sdk: None, server: Server, account: Account) -> None:
    made = create(status="enabled", steps=[START, WAIT, MAIL], connections=None)
    resend.Events.send({"event": "user.created", "email": "bob@one.example"})
    (run,) = resend.Automations.Runs.list(made, {"status": "running"})["data"]
    steps = resend.Automations.Runs.get(made, run["id"])["steps"]
    assert [one["status"] for one in steps] == ["completed", "waiting", "pending"]
    headers = {"Authorization": f"Bearer {account.full}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
        cancelled = await client.post(f"/automations/{made}/runs/{run['id']}/cancel")

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    steps = resend.Automations.Runs.get(made, run["id"])["steps"]
    assert [one["status"] for one in steps] == ["completed", "skipped", "skipped"]


async def test_what_cannot_be_is_refused_by_name(sdk: None, server: Server, account: Account) -> None:
    for changes, told in (
        ({"steps": [START]}, "steps"),
        ({"steps": [START, {**MAIL, "type": "condition"}]}, r"steps\[1\]\.type"),
        ({"connections": []}, "connections"),
        ({"steps": [START, {**MAIL, "config": {"template": {"id": "none"}}}]}, "Template not found"),
        ({"name": "\u202e\n"}, "name"),
    ):
        with pytest.raises(ResendError, match=told):
            create(**changes)
    for body in ({"event": "x"}, {"event": "postlane:contact.confirmed", "email": "a@one.example"}):
        with pytest.raises(ResendError):
            resend.Events.send(body)  # type: ignore[arg-type]
    headers = {"Authorization": f"Bearer {account.full}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
        made = create()
        assert (await client.get(f"/automations/{made}/runs", params={"status": "gone"})).status_code == 422
        assert (await client.patch(f"/automations/{made}", json={"connections": []})).status_code == 422
