"""Operators list and delete applications; mail under way is never left without its domain."""

import httpx
import pytest

from campaigns.withdrawal import delete_application
from core.refusal import Refused
from store.database import Database
from tests.integration.api.account import Account, email


async def at_once() -> None:
    """No other process remembers a key here."""


async def test_they_are_listed_without_the_operators_own(ops: httpx.AsyncClient, account: Account) -> None:
    found = (await ops.get("/applications")).json()
    assert [one["name"] for one in found["data"]] == ["acme", "stranger"]
    first = (await ops.get("/applications?limit=1")).json()
    assert (first["has_more"], [one["name"] for one in first["data"]]) == (True, ["acme"])


async def test_an_application_cannot(client: httpx.AsyncClient, account: Account) -> None:
    for method, path in (("GET", "/applications"), ("DELETE", f"/applications/{account.application_id}")):
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
