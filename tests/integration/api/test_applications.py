"""Operators list and delete applications; mail under way is never left without its domain."""

import httpx
import pytest

from accounts import audit
from accounts.audit import Wanted
from campaigns.withdrawal import delete_application
from core.paging import Window
from core.refusal import Refused
from store.database import Database
from tests.integration.api.account import Account, email

_OPS = "key ops (pl_…) of (operators)"


async def at_once() -> None:
    """No other process remembers a key here."""


async def test_they_are_listed_without_the_operators_own(ops: httpx.AsyncClient, account: Account) -> None:
    found = (await ops.get("/applications")).json()
    assert [one["name"] for one in found["data"]] == ["acme", "stranger"]
    first = (await ops.get("/applications?limit=1")).json()
    assert (first["has_more"], [one["name"] for one in first["data"]]) == (True, ["acme"])


async def test_one_is_made_renamed_and_limited_with_an_entry_each(
    ops: httpx.AsyncClient, database: Database, account: Account
) -> None:
    made = await ops.post("/applications", json={"name": "shop", "messages_per_day": 1000})
    assert (made.status_code, made.json()["object"]) == (201, "application")
    path = f"/applications/{made.json()['id']}"
    assert (await ops.post("/applications", json={"name": "shop"})).json()["name"] == "conflict"
    assert (await ops.patch(path, json={"name": "acme"})).json()["name"] == "conflict"
    assert (await ops.patch(path, json={"messages_per_second": -1})).status_code == 422
    assert (await ops.patch(path, json={"name": "store", "messages_per_second": 5})).status_code == 200
    [shown] = [one for one in (await ops.get("/applications")).json()["data"] if one["id"] == made.json()["id"]]
    assert (shown["name"], shown["messages_per_day"], shown["messages_per_second"], shown["messages_today"]) == (
        "store", 1000, 5, 0,
    )  # fmt: skip
    assert (await ops.patch(path, json={"messages_per_day": None, "messages_per_second": 0})).status_code == 200
    [free] = [one for one in (await ops.get("/applications")).json()["data"] if one["id"] == made.json()["id"]]
    assert (free["name"], free["messages_per_day"], free["messages_today"]) == ("store", None, None)
    async with database.connection() as connection:
        logged = (await audit.page(connection, Wanted(action="application"), Window(5))).entries
    assert [(one.action, one.subject, one.actor, one.door) for one in logged] == [
        ("application.update", "store", _OPS, "api"),
        ("application.update", "store", _OPS, "api"),
        ("application.create", "shop", _OPS, "api"),
    ]
    assert logged[1].after == {"name": "store", "messages_per_second": 5}
    assert logged[0].after == {"messages_per_day": None, "messages_per_second": None}


async def test_a_day_that_is_used_up_says_when_to_come_again(
    ops: httpx.AsyncClient, client: httpx.AsyncClient, account: Account
) -> None:
    path = f"/applications/{account.application_id}"
    await ops.patch(path, json={"messages_per_day": 2})
    assert (await client.post("/emails", json=email(to=["a@x.example", "b@x.example"]))).status_code == 200
    over = await client.post("/emails", json=email())
    assert (over.status_code, over.json()["name"]) == (429, "daily_quota_exceeded")
    assert "0 are left today, and this would be 1" in over.json()["message"]
    assert 0 < int(over.headers["retry-after"]) <= 86_400
    headers = {"authorization": f"Bearer {account.test}"}
    assert (await client.post("/emails", json=email(), headers=headers)).status_code == 200, "tests do not count"
    await ops.patch(path, json={"messages_per_day": 0, "messages_per_second": 2})
    batch = [email() for _ in range(3)]
    assert (await client.post("/emails/batch", json=batch)).status_code == 200
    fast = await client.post("/emails", json=email())
    assert (fast.status_code, fast.json()["name"]) == (429, "rate_limit_exceeded")


async def test_an_application_cannot(client: httpx.AsyncClient, account: Account) -> None:
    own = f"/applications/{account.application_id}"
    for method, path in (("GET", "/applications"), ("POST", "/applications"), ("PATCH", own), ("DELETE", own)):
        assert (await client.request(method, path)).status_code == 403


async def test_one_that_has_nothing_under_way_goes(
    ops: httpx.AsyncClient, client: httpx.AsyncClient, database: Database, account: Account
) -> None:
    gone = await ops.delete(f"/applications/{account.application_id}")
    assert gone.json() == {"object": "application", "id": str(account.application_id), "deleted": True}
    assert (await client.get("/emails")).json()["name"] == "invalid_api_key"
    assert (await ops.delete(f"/applications/{account.application_id}")).status_code == 404
    async with database.connection() as connection:
        left = await (await connection.execute("SELECT count(*) FROM domains")).fetchone()
    assert left == (0,)


async def test_mail_that_waits_stands_in_the_way_unless_it_is_cancelled(
    client: httpx.AsyncClient, database: Database, account: Account
) -> None:
    sent = [(await client.post("/emails", json=email(scheduled_at="in 1 hour"))).json()["id"] for _ in range(2)]
    with pytest.raises(Refused, match="under way") as refused:
        await delete_application(database, account.application_id, settle=at_once)
    assert "cancel" in refused.value.hint
    assert (await client.post("/emails", json=email(scheduled_at="in 1 hour"))).status_code == 200, "nothing changed"

    await delete_application(database, account.application_id, cancel=True, settle=at_once)
    async with database.connection() as connection:
        rows = await (await connection.execute("SELECT DISTINCT state FROM messages")).fetchall()
        kept = await (await connection.execute("SELECT count(*) FROM emails WHERE id = ANY(%s)", [sent])).fetchone()
    assert (rows, kept) == ([("cancelled",)], (2,))


async def test_mail_on_the_wire_is_waited_for_and_no_key_works(
    client: httpx.AsyncClient, database: Database, account: Account
) -> None:
    await client.post("/emails", json=email())
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE delivery_queue SET claimed_by = gen_random_uuid(), claimed_at = now(),"
            " due_at = now() + interval '1 minute'"
        )
    with pytest.raises(Refused, match="being sent"):
        await delete_application(database, account.application_id, cancel=True, settle=at_once)
    async with database.connection() as connection:
        keys = await (
            await connection.execute(
                "SELECT count(*) FROM api_keys WHERE application_id = %s", [account.application_id]
            )
        ).fetchone()
        await connection.execute("DELETE FROM delivery_queue")
    assert keys == (0,)
    assert (await delete_application(database, account.application_id, settle=at_once)).name == "acme"
