"""Webhooks: make, look at tries, send again, rotate, switch, delete; what an endpoint answers is text only."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import parse_qsl
from uuid import UUID

import pytest
from aiohttp import web

from accounts import repository as accounts
from accounts import users
from accounts.audit import Logged, Wanted, page
from accounts.roles import Role
from core.clock import SystemClock
from core.paging import Window
from core.secrets import InstanceSecret
from core.settings import Settings
from mta.dns_client import DnsClient
from mta.guard import networks
from store.database import Database
from tests.integration.console.conftest import SECRET, Person
from tests.integration.messages.emails import execute, rows
from tests.integration.webhooks.receiver import Receiver, receiving
from webhooks import outbox
from webhooks.delivery import Deliverer
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent
from webhooks.sending import Sender

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_networks": ("127.0.0.0/8",)})


@pytest.fixture
async def shop(database: Database) -> UUID:
    async with database.transaction() as connection:
        made = await accounts.create_application(connection, "shop")
        assert made is not None
        return made.id


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Somebody who is told, and answers with markup."""
    async with receiving() as one:
        one.answer = lambda _: web.Response(status=400, text=HOSTILE + "x" * 300)
        yield one


async def _made(admin: Person, shop: UUID | str, url: str) -> str:
    """Makes an endpoint; its path."""
    answer = await admin.post("/webhooks", "/webhooks/new", application=str(shop), endpoint=url, which="all")
    assert answer.status_code == 200, answer.text
    found = re.search(r'href="(/webhooks/[0-9a-f-]{36})"', answer.text)
    assert found is not None
    return found[1]


async def _tell(database: Database, shop: UUID, text: str = HOSTILE) -> None:
    """Something happens, and is sent."""
    deliverer = Deliverer(
        database, SystemClock(), InstanceSecret.from_text(SECRET),
        Sender(DnsClient(["127.0.0.1:1"]), networks(["127.0.0.0/8"])),
    )  # fmt: skip
    event = OutboxEvent(EventType.EMAIL_SENT, shop, datetime.now(UTC), {"subject": text})
    async with database.transaction() as connection:
        await outbox.append(connection, [event])
    await deliverer.drain()
    await deliverer.close()


async def _log(database: Database) -> list[Logged]:
    async with database.connection() as connection:
        return [one for one in (await page(connection, Wanted(), Window(20))).entries if one.action[:7] == "webhook"]


async def test_an_endpoint_is_made_and_its_secret_shown_once(admin: Person, database: Database, shop: UUID) -> None:
    assert "Nobody is told yet" in (await admin.get("/webhooks")).text
    wrong = await admin.post(
        "/webhooks", "/webhooks/new", application=str(shop), endpoint="https://10.0.0.1/h", which="all"
    )
    assert (wrong.status_code, "not a public address" in wrong.text) == (422, True)
    none = await admin.post(
        "/webhooks", "/webhooks/new", application=str(shop), endpoint="https://shop.example/h", which="some"
    )
    assert (none.status_code, "Tick one type at least" in none.text) == (422, True)
    made = await admin.post(
        "/webhooks", "/webhooks/new", application=str(shop), endpoint="https://shop.example/h", which="some",
        events="email.bounced",
    )  # fmt: skip
    secret = re.search(r"whsec_[\w+/=]+", made.text)
    assert (made.status_code, secret is not None) == (200, True)
    [(identifier,)] = await rows(database, "SELECT id FROM webhook_endpoints")
    shown = (await admin.get(f"/webhooks/{identifier}")).text
    assert "whsec_" not in shown
    assert "It was told of nothing yet" in shown
    assert "email.bounced" in shown
    listed = (await admin.get("/webhooks")).text
    assert "Yes: 1 endpoint takes what happens, and nothing waits." in listed
    assert (await admin.get(f"/find?q={identifier}")).headers["location"] == f"/webhooks/{identifier}"
    (noted,) = await _log(database)
    assert (noted.action, noted.after) == (
        "webhook.create", {"name": "https://shop.example/h", "events": ["email.bounced"], "status": "enabled"},
    )  # fmt: skip


async def test_tries_are_shown_as_text_and_events_sent_again(
    admin: Person, database: Database, shop: UUID, receiver: Receiver
) -> None:
    path = await _made(admin, shop, receiver.url)
    await _tell(database, shop)
    await execute(database, "UPDATE webhook_events SET state = 'failed', tries = 10")
    [(event,)] = await rows(database, "SELECT id FROM webhook_events")

    listed = (await admin.get("/webhooks")).text
    assert "1 event of one endpoint was given up, and can be sent again." in listed
    panel = (await admin.get(f"{path}?open={event}")).text
    assert "No: nothing was taken for" in panel
    whole = (await admin.get(f"{path}/events/{event}")).text
    for text in (panel, whole):
        assert "400" in text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "&lt;script&gt;alert(1)" in text
    assert "x" * 300 in whole
    assert "x" * 300 not in panel

    assert (await admin.post(f"{path}/events/{event}/replay", path)).status_code == 303
    assert await rows(database, "SELECT state, tries FROM webhook_events") == [("pending", 0)]
    await execute(database, "UPDATE webhook_events SET state = 'failed', tries = 10")
    asked = (await admin.get(f"{path}/replay?which=failed")).text
    assert "1 event, given up, to" in asked
    fields = dict(re.findall(r'name="(which|since|until)" value="([^"]+)"', asked))
    done = await admin.post(
        f"{path}/replay", path, **{name: value.replace("&#43;", "+") for name, value in fields.items()}
    )
    assert done.status_code == 303, done.text
    assert await rows(database, "SELECT state, tries FROM webhook_events") == [("pending", 0)]
    receiver.answer = lambda _: web.Response()
    await execute(database, "UPDATE webhook_endpoints SET rest_until = NULL")
    await _tell(database, shop)
    assert "Yes: everything was taken, the last just now." in (await admin.get(path)).text
    assert [one.after for one in await _log(database) if one.action == "webhook.replay"][1] == {"event": str(event)}


async def test_a_range_that_is_none_is_refused_with_its_field(admin: Person, shop: UUID) -> None:
    path = await _made(admin, shop, "https://shop.example/h")
    for asked, said in (
        ("which=failed&since=yesterday", "a date and a time"),
        ("which=failed&since=2026-01-02T00:00&until=2026-01-01T00:00", "after the beginning"),
        ("which=odd", "choose what is sent again"),
    ):
        answer = await admin.get(f"{path}/replay?{asked}")
        assert (answer.status_code, said in answer.text.lower()) == (422, True), asked
        fields = dict(parse_qsl(asked))
        again = await admin.post(f"{path}/replay", path, **fields)
        assert (again.status_code, said in again.text.lower()) == (422, True), asked
        assert f'action="{path}/replay"' in again.text, "the form is there to be corrected"
    assert "Nothing like that" in (await admin.get(f"{path}/replay?which=all")).text


async def test_the_answer_over_endpoints_counts_those_that_no_page_shows(
    admin: Person, database: Database, shop: UUID
) -> None:
    first = await _made(admin, shop, "https://shop.example/h")
    await _tell(database, shop)
    await execute(database, "UPDATE webhook_events SET state = 'failed'")
    [(lost,)] = await rows(database, "SELECT count(*) FROM webhook_events")
    await execute(
        database,
        "INSERT INTO webhook_endpoints (id, application_id, url, status)"
        " SELECT gen_random_uuid(), %s, 'https://shop.example/' || n, 'enabled' FROM generate_series(1, 60) n",
        [shop],
    )
    text = (await admin.get("/webhooks")).text
    assert f"{lost} event{'s' * (lost != 1)} of one endpoint" in text
    assert first not in text


async def test_it_is_changed_switched_rotated_and_deleted(admin: Person, database: Database, shop: UUID) -> None:
    path = await _made(admin, shop, "https://shop.example/h")
    rotated = await admin.post(f"{path}/rotate", path)
    assert "For 24 hours each request is signed with the one before, too." in rotated.text
    assert "the one before, until" in (await admin.get(path)).text
    changed = await admin.post(
        f"{path}/edit", f"{path}/edit", endpoint="https://new.example/h", which="some", events="email.opened"
    )
    assert changed.status_code == 303
    assert "new.<wbr>example" in (await admin.get("/webhooks")).text
    wrong = await admin.post(
        f"{path}/edit", f"{path}/edit", endpoint="https://new.example/h", which="some", events="no"
    )
    assert (wrong.status_code, "there is no event" in wrong.text.lower()) == (422, True)
    assert (await admin.post(f"{path}/switch", path)).status_code == 303
    assert "it is switched off" in (await admin.get(path)).text
    refused = await admin.post(f"{path}/replay", path, which="all")
    assert (refused.status_code, "Enable it first" in refused.text) == (422, True)
    assert (await admin.post(f"{path}/switch", path, on="1")).status_code == 303
    assert (await admin.post(f"{path}/delete", path)).headers["location"] == "/webhooks"
    assert (await admin.get(path)).status_code == 404
    noted = await _log(database)
    assert [one.action for one in reversed(noted)] == [
        "webhook.create", "webhook.rotate", "webhook.update", "webhook.update", "webhook.update", "webhook.delete",
    ]  # fmt: skip
    assert noted[2].after == {"status": "disabled"}
    assert "whsec_" not in str(noted)


async def test_somebody_of_one_application_sees_its_endpoints_only(
    admin: Person, viewer: Person, database: Database, shop: UUID
) -> None:
    mine = await _made(admin, shop, "https://shop.example/h")
    machine = await _made(admin, "operators", "https://ops.example/h")
    async with database.transaction() as connection:
        other = await accounts.create_application(connection, "other")
        assert other is not None
        assert viewer.user is not None
        await users.set_role(connection, viewer.user, Role.DEVELOPER, (other.id,))
    theirs = await _made(admin, other.id, "https://other.example/h")

    assert "https://ops." not in (listed := (await viewer.get("/webhooks")).text)
    assert ("shop.<wbr>example" in listed, "other.<wbr>example" in listed) == (False, True)
    for path in (mine, machine):
        assert (await viewer.get(path)).status_code == 404
        assert (await viewer.post(f"{path}/delete", theirs)).status_code == 404
        assert (await viewer.post(f"{path}/rotate", theirs)).status_code == 404
    stale = await viewer.post(
        "/webhooks", "/webhooks/new", application=str(shop), endpoint="https://new.example/h", which="all"
    )
    assert (stale.status_code, "none of yours" in stale.text) == (422, True)
    assert await rows(database, "SELECT count(*) FROM webhook_endpoints") == [(3,)]
