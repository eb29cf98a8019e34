"""`/api-keys` on the real application."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
import resend

from api.schemas.api_keys import KeyCreated, KeyList
from store.database import Database
from tests.integration.api.account import Account, email
from tests.integration.api.conftest import Server


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def raw(body: object) -> dict[str, Any]:
    """A request with ASCII JSON: a lone surrogate can be written as an escape and as nothing else."""
    return {"content": json.dumps(body), "headers": {"content-type": "application/json"}}


def errors_of(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["statusCode"] == answer.status_code
    return body["statusCode"], body["name"]


async def create(client: httpx.AsyncClient, **fields: Any) -> dict[str, str]:
    answer = await client.post("/api-keys", json={"name": "web", **fields})
    assert answer.status_code == 201, answer.text
    body: dict[str, str] = answer.json()
    return body


async def test_a_new_key_works_and_its_token_is_shown_once(client: httpx.AsyncClient) -> None:
    made = await create(client)
    KeyCreated.model_validate(made)
    assert made["token"].startswith("pl_")
    assert (await client.get("/api-keys", headers=bearer(made["token"]))).status_code == 200
    listed = await client.get("/api-keys")
    KeyList.model_validate(listed.json())
    assert made["token"] not in listed.text
    newest = listed.json()["data"][0]
    assert (newest["id"], newest["name"], newest["permission"]) == (made["id"], "web", "full_access")
    assert newest["hint"] == made["token"][:8]


async def test_a_key_for_sending_only_sends(client: httpx.AsyncClient) -> None:
    made = await create(client, permission="sending_access")
    assert (await client.post("/emails", json=email(), headers=bearer(made["token"]))).status_code == 200
    for method, path in (("GET", "/api-keys"), ("POST", "/api-keys"), ("DELETE", f"/api-keys/{made['id']}")):
        answer = await client.request(method, path, headers=bearer(made["token"]), json={"name": "more"})
        assert errors_of(answer) == (401, "restricted_api_key")


async def test_a_key_for_one_domain_sends_from_that_domain(client: httpx.AsyncClient, account: Account) -> None:
    made = await create(client, permission="sending_access", domain_id=str(account.domain_id))
    headers = bearer(made["token"])
    assert (await client.post("/emails", json=email(), headers=headers)).status_code == 200
    other = email(sender="me@other.example")
    assert errors_of(await client.post("/emails", json=other, headers=headers)) == (403, "invalid_from_address")


async def ids(client: httpx.AsyncClient) -> list[str]:
    """Of all keys. When one was used last is written a little later, so whole answers differ from each other."""
    return [one["id"] for one in (await client.get("/api-keys")).json()["data"]]


@pytest.mark.parametrize(
    ("body", "name", "field"),
    [
        ({}, "missing_required_field", "name"),
        ({"name": ""}, "missing_required_field", "name"),
        ({"name": "   "}, "validation_error", "name"),
        ({"name": "x" * 101}, "validation_error", "name"),
        ({"name": "a\x00b"}, "validation_error", "name"),
        ({"name": "a\ud800"}, "validation_error", "name"),
        ({"name": 7}, "validation_error", "name"),
        ({"name": "web", "permission": "root"}, "validation_error", "permission"),
        ({"name": "web", "domain_id": str(uuid4())}, "validation_error", "domain_id"),
        ({"name": "web", "permission": "sending_access", "domain_id": str(uuid4())}, "validation_error", "domain_id"),
        ({"name": "web", "permission": "sending_access", "domain_id": "x"}, "validation_error", "domain_id"),
        ({"name": "web", "permission": "sending_access", "domainid": "x"}, "validation_error", "domainid"),
    ],
)
async def test_wrong_bodies_make_no_key(client: httpx.AsyncClient, body: dict[str, Any], name: str, field: str) -> None:
    before = await ids(client)
    answer = await client.post("/api-keys", **raw(body))
    assert errors_of(answer) == (422, name)
    assert f"`{field}`" in answer.json()["message"]
    assert await ids(client) == before


async def test_the_domain_of_another_application_cannot_be_named(client: httpx.AsyncClient, account: Account) -> None:
    body = {"name": "x", "permission": "sending_access", "domain_id": str(account.domain_id)}
    answer = await client.post("/api-keys", json=body, headers=bearer(account.stranger))
    assert errors_of(answer) == (422, "validation_error")


async def test_a_deleted_key_is_refused_at_once(client: httpx.AsyncClient) -> None:
    made = await create(client)
    headers = bearer(made["token"])
    assert (await client.get("/api-keys", headers=headers)).status_code == 200
    deleted = await client.delete(f"/api-keys/{made['id']}")
    assert deleted.json() == {"object": "api_key", "id": made["id"], "deleted": True}
    assert errors_of(await client.get("/api-keys", headers=headers)) == (403, "invalid_api_key")
    assert errors_of(await client.delete(f"/api-keys/{made['id']}")) == (404, "not_found")


async def test_keys_of_another_application_do_not_exist(client: httpx.AsyncClient, account: Account) -> None:
    made = await create(client)
    stranger = bearer(account.stranger)
    listed = (await client.get("/api-keys", headers=stranger)).json()["data"]
    assert made["id"] not in {one["id"] for one in listed}
    for method in ("DELETE", "PATCH"):
        answer = await client.request(method, f"/api-keys/{made['id']}", headers=stranger, json={"name": "mine"})
        assert errors_of(answer) == (404, "not_found")
    assert (await client.get("/api-keys", headers=bearer(made["token"]))).status_code == 200


async def test_a_key_is_renamed(client: httpx.AsyncClient) -> None:
    made = await create(client)
    answer = await client.patch(f"/api-keys/{made['id']}", json={"name": " shop "})
    assert answer.json() == {"object": "api_key", "id": made["id"]}
    assert (await client.get("/api-keys")).json()["data"][0]["name"] == "shop"


async def test_lists_have_pages(client: httpx.AsyncClient) -> None:
    made = [(await create(client, name=f"k{n}"))["id"] for n in range(3)]
    first = (await client.get("/api-keys", params={"limit": 2})).json()
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (made[:0:-1], True)
    second = (await client.get("/api-keys", params={"limit": 1, "after": made[1]})).json()
    assert [one["id"] for one in second["data"]] == [made[0]]


async def test_the_last_use_is_shown(client: httpx.AsyncClient, database: Database) -> None:
    made = await create(client)
    assert (await client.get("/api-keys")).json()["data"][0]["last_used_at"] is None
    await client.get("/api-keys", headers=bearer(made["token"]))
    for _ in range(200):
        async with database.connection() as connection:
            cursor = await connection.execute("SELECT last_used_at FROM api_keys WHERE id = %s", [made["id"]])
            row = await cursor.fetchone()
        if row and row[0]:
            break
    assert (await client.get("/api-keys")).json()["data"][0]["last_used_at"] is not None


def test_resends_sdk_goes_all_the_way(server: Server, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)
    made = resend.ApiKeys.create({"name": "sdk", "permission": "sending_access", "domain_id": str(account.domain_id)})
    assert made["token"].startswith("pl_")
    listed = resend.ApiKeys.list({"limit": 1})
    assert ([one["name"] for one in listed["data"]], listed["has_more"]) == (["sdk"], True)
    assert resend.ApiKeys.update({"id": made["id"], "name": "new"})["id"] == made["id"]
    assert resend.ApiKeys.list()["data"][0]["name"] == "new"
    assert resend.ApiKeys.remove(made["id"])["deleted"] is True
    monkeypatch.setattr(resend, "api_key", made["token"])
    with pytest.raises(resend.exceptions.ResendError) as refused:
        resend.ApiKeys.list()
    assert (refused.value.code, refused.value.error_type) == (403, "invalid_api_key")
