"""`postlane webhooks` on the real database: endpoints, what they were told, and listening."""

import asyncio
import json
import re
from datetime import UTC, datetime

import pytest

from accounts import repository
from cli.commands import webhooks as module
from cli.listening import Forward, listen_until_stopped
from core.refusal import Refused
from store.database import Database
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.messages.emails import rows
from tests.integration.webhooks.receiver import receiving
from webhooks import endpoints, outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent
from workers.switched_off import detail

URL = "https://shop.example/hook"


@pytest.fixture
def application(database_url: str) -> None:
    async def make(database: Database) -> None:
        async with database.transaction() as connection:
            await repository.create_application(connection, "shop")

    in_database(database_url, make)


async def tell(database: Database, *names: str) -> None:
    async with database.transaction() as connection:
        owner = (await repository.applications(connection))[0].id
        at = datetime.now(UTC)
        told = [OutboxEvent(EventType.EMAIL_DELIVERED, owner, at, {"recipient": name, "code": 250}) for name in names]
        await outbox.append(connection, told)


def test_an_endpoint_from_making_to_deleting(postlane: Postlane, application: None, database_url: str) -> None:
    made = postlane("webhooks", "create", URL, "-e", "email.delivered").out
    assert made["signing_secret"].startswith("whsec_")
    assert postlane("webhooks", "show", URL).out["signing_secret"] == made["signing_secret"]
    in_database(database_url, lambda database: tell(database, "a@example.com"))
    (event,) = postlane("webhooks", "events", made["id"][:13]).out
    shown = postlane("webhooks", "events", URL, event["id"]).out
    assert (shown["status"], shown["attempts"], shown["payload"]["data"]["recipient"]) == (
        "pending", [], "a@example.com",
    )  # fmt: skip
    assert postlane("webhooks", "replay", URL, event["id"]).out["id"] == event["id"]
    assert postlane("webhooks", "replay", URL, "--hours", "1", "--which", "all").out["replayed"] in (0, 1)
    rotated = postlane("webhooks", "rotate", URL).out
    assert rotated["signing_secret"] != made["signing_secret"]
    postlane("webhooks", "update", URL, "--disable", "--all-events")
    (listed,) = postlane("webhooks", "list").out
    assert (listed["status"], listed["events"]) == ("disabled", None)
    assert postlane("webhooks", "replay", URL).code == "conflict"
    assert postlane("webhooks", "delete", URL, "--yes").out == {"object": "webhook", "id": made["id"], "deleted": True}
    assert postlane("webhooks", "show", URL).code == "not_found"


@pytest.mark.parametrize(
    "words",
    [["create", "https://10.0.0.1/"], ["create", URL, "-e", "email.opend"], ["create", URL, "-e", "ip.throttled"]],
)
def test_what_cannot_be_is_refused(postlane: Postlane, application: None, words: list[str]) -> None:
    answer = postlane("webhooks", *words)
    assert (answer.status, answer.code) == (1, "invalid")


def test_the_command_that_an_alarm_prints_finds_its_endpoint(
    postlane: Postlane, application: None, database_url: str
) -> None:
    """Whoever owns it: not the oldest application alone."""
    postlane("keys", "create", "second", "--application", "second")
    for owner in (["--application", "shop"], ["--application", "second"], ["--operators"]):
        postlane("webhooks", "create", URL, *owner)

    async def go_wrong(database: Database) -> list[str]:
        async with database.transaction() as connection:
            await connection.execute("UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = 'no answer'")
            return [detail(one) for one in await endpoints.switched_off(connection)]

    told = in_database(database_url, go_wrong)
    commands = [re.search("`postlane (.+)`", one) for one in told]
    for command in commands:
        assert command is not None
        assert postlane(*command[1].split()).status == 0
    assert len(commands) == 3
    assert in_database(database_url, still_off) == []


async def still_off(database: Database) -> list[str]:
    async with database.connection() as connection:
        return [str(one.id) for one in await endpoints.switched_off(connection)]


def test_operators_have_their_own(postlane: Postlane, application: None) -> None:
    postlane("webhooks", "create", "https://ops.example/", "--operators", "-e", "ip.throttled")
    assert [one["endpoint"] for one in postlane("webhooks", "list", "--operators").out] == ["https://ops.example/"]
    assert postlane("webhooks", "list").out == []


async def test_listening_prints_each_event_once_and_leaves_nothing(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    async with database.transaction() as connection:
        owner = await repository.create_application(connection, "shop")
    assert owner is not None
    async with receiving() as receiver:
        forward = Forward.to(receiver.url, ())
        listening = asyncio.create_task(listen_until_stopped(database, owner.id, None, forward, as_json=True))
        async with asyncio.timeout(20):
            while not await rows(database, "SELECT 1 FROM webhook_endpoints"):
                await asyncio.sleep(0.02)
            await tell(database, "a@example.com", "b@example.com")
            while len(receiver.got) < 2:
                await asyncio.sleep(0.02)
            await tell(database, "c@example.com")
            while len(receiver.got) < 3:
                await asyncio.sleep(0.02)
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [event["data"]["recipient"][0] for event in printed] == ["a", "b", "c"]
    assert [one.event for one in receiver.got] == printed
    assert await rows(database, "SELECT 1 FROM webhook_endpoints") == []


@pytest.mark.parametrize("url", ["https://example.com/hook", "https://localhost.example.com/"])
def test_events_go_to_another_machine_only_when_that_is_said(url: str) -> None:
    with pytest.raises(Refused, match="--elsewhere allows it"):
        Forward.to(url, ())
    for near in ("http://127.0.0.1:3000/", "http://[::1]:3000/", "http://localhost:3000/", "https://app.localhost/"):
        Forward.to(near, ())
    Forward.to("https://example.com/hook", (), elsewhere=True)


def test_for_people_the_next_step_is_named(
    postlane: Postlane, application: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "wants_json", lambda _as_json: False)
    made = postlane("webhooks", "create", URL, "-e", "email.bounced")
    again = postlane("webhooks", "replay", URL)

    assert (URL in made.out, "email.bounced" in made.out, "webhooks events" in made.said) == (True, True, True)
    assert (again.out, "--which unsent" in again.said) == ("0 events will be sent again.\n", True)
    assert "the text is empty" in postlane("webhooks", "show", "").said
