"""`/recipients/{email}`: may we write to somebody, and what was last; activity that applications report."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest

from api.schemas.recipients import RecipientFound
from audience.choices import Act, Person, Source
from audience.topics import default_of
from messages import choosing
from store.database import Database
from tests.integration.api.account import Account
from tests.integration.messages.emails import execute, make_partitions, new_email, store

ANN = "ann@example.com"


async def shown(client: httpx.AsyncClient, address: str = ANN, key: str = "") -> dict[str, Any]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    answer = await client.get(f"/recipients/{quote(address, safe='')}", headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    RecipientFound.model_validate(found)
    return found


def streams(found: dict[str, Any]) -> dict[str, str | None]:
    return {state["stream"]: state["reason"] for state in found["streams"]}


async def topic(client: httpx.AsyncClient, name: str, default: str = "opt_in", stream: str = "marketing") -> str:
    body = {"name": name, "default_subscription": default, "stream": stream}
    return str((await client.post("/topics", json=body)).json()["id"])


async def delivered(database: Database, account: Account, at: datetime, **mail: Any) -> UUID:
    """A mail to Ann that her server took."""
    await make_partitions(database)
    email = new_email(ANN, application_id=account.application_id, **mail)
    await store(database, email)
    await execute(database, f"UPDATE messages SET state = 'delivered' WHERE email_id = '{email.id}'")
    await execute(
        database,
        "INSERT INTO events (email_id, position, at, kind, attempt)"
        f" VALUES ('{email.id}', 0, '{at.isoformat()}', 'delivered', 1)",
    )
    return email.id


async def test_nobody_knows_them_and_nothing_forbids_mail(client: httpx.AsyncClient) -> None:
    found = await shown(client, "Nobody@Example.COM")

    assert (found["email"], found["known"], found["suppressions"]) == ("nobody@example.com", False, [])
    assert [(state["allowed"], state["tell_them"]) for state in found["streams"]] == [(True, None)] * 2
    assert [found[name] for name in ("last_delivery", "last_open", "last_click", "last_activity")] == [None] * 4
    assert "applications" not in found


@pytest.mark.parametrize("text", ["nobody", "a@b@c", "a@", "%00", "x@y.example, z@y.example"])
async def test_what_is_no_address_is_refused(client: httpx.AsyncClient, text: str) -> None:
    for method, tail in (("GET", ""), ("POST", "/activity")):
        answer = await client.request(method, f"/recipients/{quote(text)}{tail}")
        assert (answer.status_code, answer.json()["name"]) == (422, "invalid_parameter")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("ANN@example.com", ANN),
        ("a/b@example.com", "a/b@example.com"),
        ("a+b%c?d#e@example.com", "a+b%c?d#e@example.com"),
        ("ü@bücher.example", "ü@xn--bcher-kva.example"),
        ("Ann <ann@example.com>", ANN),
    ],
)
async def test_addresses_as_people_write_them(client: httpx.AsyncClient, written: str, kept: str) -> None:
    assert (await shown(client, written))["email"] == kept
    done = await client.post(f"/recipients/{quote(written, safe='')}/activity")

    assert (done.status_code, done.json()["email"]) == (200, kept)
    assert (await shown(client, kept))["known"] is True


async def test_why_not_since_when_and_what_to_tell_them(client: httpx.AsyncClient, ops: httpx.AsyncClient) -> None:
    end = (datetime.now(UTC) + timedelta(days=9)).replace(microsecond=0)
    body = {"email": ANN, "scope": "marketing", "reason": "soft_bounces", "expires_at": end.isoformat()}
    await ops.post("/suppressions", json=body)
    found = await shown(client)
    marketing = next(state for state in found["streams"] if state["stream"] == "marketing")

    assert streams(found) == {"transactional": None, "marketing": "soft_bounces"}
    assert datetime.fromisoformat(marketing["until"]) == end
    assert datetime.fromisoformat(marketing["since"]) <= datetime.now(UTC)
    assert ANN in marketing["tell_them"] and f"{end:%Y-%m-%d}" in marketing["tell_them"]
    await ops.post("/suppressions", json={"email": "@example.com", "reason": "manual"})
    assert streams(await shown(client)) == {"transactional": "manual", "marketing": "manual"}


async def test_topics_with_what_forbids_them(client: httpx.AsyncClient, account: Account, database: Database) -> None:
    news, asked = await topic(client, "News"), await topic(client, "Events", "opt_out")
    receipts = await topic(client, "Receipts", stream="transactional")
    await client.patch(f"/contacts/{ANN}/topics", json=[{"id": news, "subscription": "opt_out"}])
    found = {one["id"]: one for one in (await shown(client))["topics"]}

    assert [found[one]["reason"] for one in (news, asked, receipts)] == ["topic_opt_out", "topic_not_opted_in", None]
    assert found[news]["since"] is not None and "News" in found[news]["tell_them"]
    assert (found[asked]["since"], found[news]["chosen"], found[asked]["chosen"]) == (None, True, False)
    until = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    async with database.transaction() as connection:
        await choosing.pause(connection, Person(account.application_id, ANN), until, Act(Source.LINK))
    paused = await shown(client)
    assert streams(paused) == {"transactional": None, "marketing": "paused"}
    assert datetime.fromisoformat(paused["paused_until"]) == until
    assert {one["reason"] for one in paused["topics"] if one["stream"] == "marketing"} == {"paused"}


async def test_marketing_mail_without_a_topic_is_of_the_default_one(
    client: httpx.AsyncClient, account: Account, database: Database
) -> None:
    async with database.transaction() as connection:
        await default_of(connection, account.application_id)
    default = (await shown(client))["topics"][0]
    await client.patch(f"/contacts/{ANN}/topics", json=[{"id": default["id"], "subscription": "opt_out"}])
    found = await shown(client)
    marketing = next(state for state in found["streams"] if state["stream"] == "marketing")

    assert streams(found) == {"transactional": None, "marketing": "topic_opt_out"}
    assert (marketing["since"] is not None, default["name"] in marketing["tell_them"]) == (True, True)


async def test_the_last_delivery_is_the_last_that_stayed(
    client: httpx.AsyncClient, account: Account, database: Database
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    kept = await delivered(database, account, now)
    later = await delivered(database, account, now)
    await execute(database, f"UPDATE messages SET state = 'bounced' WHERE email_id = '{later}'")
    test = await delivered(database, account, now)
    await execute(database, f"UPDATE messages SET capture = true WHERE email_id = '{test}'")
    found = (await shown(client))["last_delivery"]

    assert (found["email_id"], datetime.fromisoformat(found["at"])) == (str(kept), now)
    assert (await shown(client, key=account.stranger))["last_delivery"] is None


async def test_activity_is_told_twice_late_and_not_from_the_future(client: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)

    async def report(**body: Any) -> httpx.Response:
        return await client.post(f"/recipients/{ANN}/activity", json=body)

    first = (now - timedelta(hours=2)).isoformat()
    told = [await report(at=first) for _ in range(2)] + [await report(at=(now - timedelta(days=3)).isoformat())]
    assert [datetime.fromisoformat(one.json()["last_activity"]) for one in told] == [datetime.fromisoformat(first)] * 3
    for wrong in ((now + timedelta(hours=1)).isoformat(), "2026-11-01T00:00:00", "soon"):
        refused = await report(at=wrong)
        assert (refused.status_code, refused.json()["name"]) == (422, "validation_error"), wrong
        assert "`at`" in refused.json()["message"]
    assert (await report(att=first)).status_code == 422
    latest = (await report(at="")).json()["last_activity"]
    assert datetime.fromisoformat(latest) >= now
    ahead = await report(at=(datetime.now(UTC) + timedelta(minutes=2)).isoformat())
    assert datetime.fromisoformat(ahead.json()["last_activity"]) <= datetime.now(UTC)
    assert (await report(at="0001-01-01T00:00:00+14:00")).status_code == 422


async def test_an_application_sees_nothing_of_anothers(
    client: httpx.AsyncClient, ops: httpx.AsyncClient, account: Account
) -> None:
    await client.post("/suppressions", json={"email": ANN, "reason": "unsubscribe", "detail": "ticket 7"})
    await client.post(f"/recipients/{ANN}/activity")
    await ops.post("/suppressions", json={"email": ANN, "reason": "complaint", "scope": "marketing", "note": "FBL 9"})
    mine, other = await shown(client), await shown(client, key=account.stranger)

    assert streams(mine) == {"transactional": "unsubscribe", "marketing": "complaint"}
    assert streams(other) == {"transactional": None, "marketing": "complaint"}
    assert [(one["reason"], one["note"], one["actor"]) for one in other["suppressions"]] == [("complaint", "", "")]
    assert (other["last_activity"], mine["last_activity"] is None) == (None, False)
    every = await shown(ops)
    assert streams(every) == {"transactional": None, "marketing": "complaint"}
    assert [(one["name"], streams(one)["transactional"]) for one in every["applications"]] == [("acme", "unsubscribe")]
    assert {one["detail"] for one in every["suppressions"]} >= {"ticket 7"}
    assert every["last_activity"] == mine["last_activity"]


async def test_who_may_ask_and_tell(client: httpx.AsyncClient, ops: httpx.AsyncClient, account: Account) -> None:
    made = await client.post("/api-keys", json={"name": "ci", "test": True})
    for key in (account.sending, made.json()["token"]):
        headers = {"authorization": f"Bearer {key}"}
        for method, path in (("GET", f"/recipients/{ANN}"), ("POST", f"/recipients/{ANN}/activity")):
            refused = await client.request(method, path, headers=headers)
            assert (refused.status_code, refused.json()["name"]) == (401, "restricted_api_key")
    operators = await ops.post(f"/recipients/{ANN}/activity")
    assert operators.json()["name"] == "restricted_api_key"
    assert (await shown(ops))["known"] is False
