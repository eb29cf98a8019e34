"""The official `resend` for Node, unmodified: only RESEND_BASE_URL differs. One process for all."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from tests.clients.node import installed, run
from tests.integration.api.account import Account
from tests.integration.api.conftest import Server
from tests.integration.api.test_webhooks import Told, told

__all__ = ["told"]

CLIENT = Path(__file__).parents[2] / "clients" / "resend"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    own = {"public_url": "https://links.acme.example", "api_requests_per_second": 1000}
    return settings.model_copy(update={"webhook_networks": ("127.0.0.0/8",), **own})


@pytest.fixture
def answers(server: Server, account: Account, told: Told, tmp_path: Path) -> dict[str, Any]:
    """What Node was told, by method."""
    folder = installed(CLIENT)
    (tmp_path / "all.mjs").write_text((CLIENT / "all.mjs").read_text())
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    received = {
        "id": told.id, "event": told.got.headers["svix-id"], "body": told.got.body.decode(),
        "headers": told.got.headers, "secret": told.secret,
    }  # fmt: skip
    env = {"RESEND_BASE_URL": server.url, "RESEND_API_KEY": account.full, "RECEIVED": json.dumps(received)}
    found: dict[str, Any] = json.loads(run("node", "all.mjs", cwd=tmp_path, env=env))
    return found


async def test_node_drives_topics_suppressions_domains_and_webhooks(answers: dict[str, Any], told: Told) -> None:
    _topics(answers)
    _automations(answers)
    _broadcasts(answers)
    _templates(answers)
    _segments(answers)
    _contacts(answers)
    _suppressions(answers)
    _domains(answers)
    _webhooks(answers, told)


def _segments(answers: dict[str, Any]) -> None:
    made = answers["segments.create"]
    assert (made["object"], made["name"]) == ("segment", "Readers")
    assert answers["segments.get"]["name"] == "Readers"
    assert made["id"] in [one["id"] for one in answers["segments.list"]["data"]]
    assert answers["segments.remove"]["deleted"] is True


def _automations(answers: dict[str, Any]) -> None:
    made = answers["automations.create"]["id"]
    got = answers["automations.get"]
    assert (got["id"], got["name"], got["status"]) == (made, "Welcome series", "enabled")
    assert [(one["key"], one["type"]) for one in got["steps"]] == [
        ("start", "trigger"),
        ("wait", "delay"),
        ("mail", "send_email"),
    ]
    assert [one["id"] for one in answers["automations.list"]["data"]] == [made]
    assert answers["customEvents.send"] == {"object": "event", "event": "user.created"}
    assert answers["customEvents.send wrong"]["name"] == "validation_error"
    assert answers["customEvents.get"]["schema"] == {"plan": "string"}
    (run,) = answers["automations.runs.list"]["data"]
    steps = {one["key"]: one["status"] for one in answers["automations.runs.get"]["steps"]}
    assert (run["status"], steps) == ("running", {"start": "completed", "wait": "waiting", "mail": "pending"})
    assert answers["automations.stop"] == {"object": "automation", "id": made, "status": "disabled"}
    assert answers["automations.remove"]["deleted"] is answers["customEvents.remove"]["deleted"] is True
    assert answers["automations.get gone"]["name"] == "not_found"


def _broadcasts(answers: dict[str, Any]) -> None:
    made = answers["broadcasts.create"]["id"]
    got = answers["broadcasts.get"]
    assert (got["id"], got["name"], got["preview_text"], got["status"]) == (made, "Spring", "Soon", "draft")
    assert {one["id"]: one["status"] for one in answers["broadcasts.list"]["data"]} == {
        made: "draft",
        answers["broadcasts.duplicate"]["id"]: "queued",
    }
    assert answers["broadcasts.recipients"]["data"] == answers["broadcasts.clickedLinks"]["data"] == []
    assert answers["broadcasts.remove"]["deleted"] is True
    assert answers["broadcasts.get gone"]["name"] == "not_found"


def _contacts(answers: dict[str, Any]) -> None:
    made, members = answers["contacts.create"]["id"], answers["segments.create for contacts"]["id"]
    for got in (answers["contacts.get"], answers["contacts.get by id"]):
        assert (got["id"], got["email"], got["first_name"], got["last_name"]) == (
            made, "Carl+node@two.example", "Carl", "Berg",
        )  # fmt: skip
        assert (got["unsubscribed"], got["properties"]) == (True, {"plan": {"type": "string", "value": "pro"}})
    assert made in [one["id"] for one in answers["contacts.list"]["data"]]
    assert [one["id"] for one in answers["contacts.list of segment"]["data"]] == [made]
    assert [one["id"] for one in answers["contacts.segments.list"]["data"]] == [members]
    assert answers["contacts.segments.add"]["id"] == answers["contacts.segments.remove"]["id"] == members
    assert answers["contacts.get of audience"]["first_name"] == "Dora"
    assert answers["contacts.remove of audience"]["deleted"] is answers["contacts.remove"]["deleted"] is True
    assert answers["contacts.get gone"]["name"] == "not_found"
    property_ = answers["contactProperties.get"]
    assert (property_["key"], property_["fallbackValue"]) == ("plan", "none")
    assert answers["contactProperties.remove"]["deleted"] is True


def _topics(answers: dict[str, Any]) -> None:
    topic = answers["topics.create"]["id"]
    got = answers["topics.get"]
    assert (got["id"], got["name"], got["description"]) == (topic, "Weekly", "On Mondays.")
    assert topic in [one["id"] for one in answers["topics.list"]["data"]]
    taken = {one["id"]: one["subscription"] for one in answers["contacts.topics.list"]["data"]}
    assert taken[topic] == "opt_out"
    assert answers["emails.send"]["id"]
    assert answers["topics.remove"]["deleted"] is True


def _templates(answers: dict[str, Any]) -> None:
    made, got, sent = answers["templates.create"], answers["templates.get"], answers["templates.sent"]
    assert (got["id"], got["name"], got["status"]) == (made["id"], "Other", "published")
    assert [one["fallback_value"] for one in got["variables"]] == [None, 3]
    assert [one["name"] for one in answers["templates.list"]["data"]] == ["Other"]
    assert (sent["subject"], sent["html"], sent["from"]) == ("Hi Ann", "<p>Ann 3</p>", "hello@acme.example")
    assert "template.variables.NAME" in answers["templates.send without"]["message"]
    assert answers["templates.duplicate"]["id"] != made["id"] == answers["templates.remove"]["id"]


def _suppressions(answers: dict[str, Any]) -> None:
    made = answers["suppressions.add"]["id"]
    for got in (answers["suppressions.get"], answers["suppressions.get by id"]):
        assert (got["id"], got["email"], got["origin"]) == (made, "sdk+tag@example.com", "manual")
    assert len(answers["suppressions.batch.add"]["data"]) == 3
    first, rest = answers["suppressions.list"], answers["suppressions.list after"]
    listed = [one["email"] for one in first["data"] + rest["data"]]
    assert first["has_more"]
    assert sorted(listed) == ["a@example.com", "b@example.com", "c@example.com", "sdk+tag@example.com"]
    for method in ("suppressions.batch.remove", "suppressions.batch.remove by id"):
        assert [one["deleted"] for one in answers[method]["data"]] == [True]
    assert answers["suppressions.remove"]["deleted"] is True
    assert answers["suppressions.get gone"]["name"] == "not_found"


def _domains(answers: dict[str, Any]) -> None:
    made, got = answers["domains.create"], answers["domains.get"]
    tracked = ("open_tracking", "click_tracking", "tracking_subdomain")
    assert [made[name] for name in tracked] == [True, False, "links"]
    assert [got[name] for name in tracked] == [False, True, "links"]
    assert "Tracking" in {record["record"] for record in got["records"]}
    assert [one["id"] for one in answers["domains.list"]["data"]] == [made["id"]]
    assert answers["domains.verify"]["id"] == answers["domains.remove"]["id"] == made["id"]
    assert answers["domains.get gone"]["name"] == "not_found"


def _webhooks(answers: dict[str, Any], told: Told) -> None:
    made, got, event = answers["webhooks.create"], answers["webhooks.get"], told.got.headers["svix-id"]
    assert got["events"] == ["email.sent", "email.delivered"]
    assert got["signing_secret"] == made["signing_secret"] != answers["webhooks.rotate"]["signing_secret"]
    assert len(answers["webhooks.list"]["data"]) == 2
    assert answers["webhooks.remove"]["deleted"] is True
    assert event in [one["id"] for one in answers["events.list"]["data"]]
    assert answers["events.get"]["id"] == answers["events.replay"]["id"] == event
    assert answers["events.get"]["payload"] == answers["webhooks.verify"] == told.got.event
    assert answers["attempts.list"]["data"][0]["http_status_code"] == 200
