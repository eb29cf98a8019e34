"""`/pools` on the real application: rules of pools, members, assignments, and who may."""

import asyncio
from typing import Any

import httpx
import pytest

from api.schemas.pools import AssignmentList, PoolAnswer, PoolList
from store.database import Database
from tests.integration.api.account import Account, email


def errors_of(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["statusCode"] == answer.status_code
    return body["statusCode"], body["name"]


async def add_ip(ops: httpx.AsyncClient, address: str) -> None:
    body = {"address": address, "ehlo_name": f"m{address.rsplit('.', 1)[1]}.example.com", "bind_address": "127.0.0.1"}
    answer = await ops.post("/ips", json=body)
    assert answer.status_code == 201, answer.text


async def create(ops: httpx.AsyncClient, name: str, **fields: Any) -> dict[str, Any]:
    answer = await ops.post("/pools", json={"name": name, "lane": "marketing", **fields})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    PoolAnswer.model_validate(body)
    return body


async def stored(database: Database) -> list[tuple[Any, ...]]:
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT p.name, p.is_default, p.reserved, o.name FROM pools p"
            " LEFT JOIN pools o ON o.id = p.overflow_pool_id ORDER BY 1"
        )
        return await cursor.fetchall()


OPERATED = [
    ("GET", "/pools"), ("POST", "/pools"), ("GET", "/pools/main"), ("PATCH", "/pools/main"), ("DELETE", "/pools/main"),
    ("GET", "/pools/advice"), ("GET", "/pools/assignments"), ("PUT", "/pools/assignments"), ("GET", "/ips"),
    ("POST", "/ips"), ("GET", "/ips/127.0.1.1"), ("GET", "/throttles"), ("POST", "/throttles/override"),
    ("GET", "/warmup"), ("POST", "/warmup"), ("GET", "/providers"), ("POST", "/providers/explain"), ("GET", "/alarms"),
]  # fmt: skip


async def test_a_misspelt_filter_is_not_answered_with_everything(ops: httpx.AsyncClient) -> None:
    for path, known in (("/ips", "limit"), ("/throttles", "limit"), ("/inbound", "limit"), ("/applications", "limit")):
        assert errors_of(await ops.get(path, params={"providr": "gmail"})) == (422, "invalid_parameter"), path
        answer = await ops.get(path, params={known: "5"})
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("method", "path"), OPERATED)
async def test_only_an_operators_key_operates(
    client: httpx.AsyncClient, account: Account, method: str, path: str
) -> None:
    for token in (account.full, account.sending):
        answer = await client.request(method, path, headers={"authorization": f"Bearer {token}"}, json={})
        assert errors_of(answer) == (403, "restricted_api_key")
    assert errors_of(await client.request(method, path, headers={"authorization": ""}))[0] == 401
    assert errors_of(await client.request(method, path, headers={"authorization": "Bearer pl_x"})) == (
        403,
        "invalid_api_key",
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/emails"), ("POST", "/emails/batch"), ("GET", "/emails"), ("GET", "/domains"), ("GET", "/api-keys"),
        ("POST", "/api-keys"),
    ],
)  # fmt: skip
async def test_an_operators_key_sees_no_mail(ops: httpx.AsyncClient, method: str, path: str) -> None:
    assert errors_of(await ops.request(method, path, json=email())) == (401, "restricted_api_key")


async def test_an_application_can_make_no_operators_key_and_sees_none(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api-keys", json={"name": "ops", "permission": "operator"})
    assert errors_of(answer) == (422, "validation_error")
    listed = (await client.get("/api-keys")).json()["data"]
    assert "operator" not in {key["permission"] for key in listed}


async def test_a_pool_with_its_ips(ops: httpx.AsyncClient) -> None:
    await add_ip(ops, "127.0.1.1")
    await add_ip(ops, "127.0.1.2")
    made = await create(ops, "offers", overflow="bulk")
    assert (made["default"], made["reserved"], made["overflow"], made["members"]) == (False, False, "bulk", [])
    await ops.post("/pools/offers/ips", json={"ip": "127.0.1.1"})
    answer = await ops.post(f"/pools/{made['id']}/ips", json={"ip": " 127.0.1.2", "weight": 3})
    assert [(one["ip"], one["weight"], one["state"]) for one in answer.json()["members"]] == [
        ("127.0.1.1", 1, "active"),
        ("127.0.1.2", 3, "active"),
    ]
    assert errors_of(await ops.post("/pools/offers/ips", json={"ip": "127.0.1.2"})) == (409, "conflict")
    changed = await ops.patch("/pools/offers/ips/127.0.1.2", json={"weight": 0})
    assert changed.json()["members"][1]["weight"] == 0
    assert len((await ops.delete("/pools/offers/ips/127.0.1.2")).json()["members"]) == 1
    assert errors_of(await ops.delete("/pools/offers/ips/127.0.1.2")) == (404, "not_found")
    listed = (await ops.get("/pools", params={"limit": 2})).json()
    PoolList.model_validate(listed)
    assert ([one["name"] for one in listed["data"]], listed["has_more"]) == (["bulk", "main"], True)
    rest = (await ops.get("/pools", params={"after": listed["data"][-1]["id"]})).json()
    assert ([one["name"] for one in rest["data"]], rest["has_more"]) == (["offers"], False)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "0198c0de-0000-7000-8000-000000000000"}, "name"),
        ({"lane": "slow"}, "lane"),
        ({"overflow": "nobody"}, "overflow"),
        ({"overflow": "offers"}, "overflow"),
        ({"overflow": "main"}, "overflow"),
        ({"overflow": "confirmations"}, "overflow"),
        ({"reserved": True, "default": True}, "reserved"),
        ({"weight": 1}, "weight"),
    ],
)
async def test_wrong_pools_are_refused_naming_the_field(
    ops: httpx.AsyncClient, database: Database, body: dict[str, Any], field: str
) -> None:
    await create(ops, "confirmations", reserved=True)
    before = await stored(database)
    answer = await ops.post("/pools", json={"name": "offers", "lane": "marketing", **body})
    assert errors_of(answer) == (422, "validation_error"), answer.text
    assert f"`{field}`" in answer.json()["message"]
    assert await stored(database) == before


async def test_mail_never_overflows_in_a_circle(ops: httpx.AsyncClient, database: Database) -> None:
    for name, overflow in (("a", None), ("b", "a"), ("c", "b")):
        await create(ops, name, overflow=overflow)
    answer = await ops.patch("/pools/a", json={"name": "first", "overflow": "c"})
    assert errors_of(answer) == (422, "validation_error")
    assert "first → c → b → first" in answer.json()["message"]
    assert ("a", False, False, None) in await stored(database), "the new name was not kept either"
    itself = await ops.patch("/pools/b", json={"overflow": "b"})
    assert "itself" in itself.json()["message"]
    ended = await ops.patch("/pools/c", json={"overflow": ""})
    assert ended.json()["overflow"] is None
    assert (await ops.patch("/pools/a", json={"overflow": "c"})).status_code == 200


async def test_two_changes_at_once_make_no_circle_either(ops: httpx.AsyncClient) -> None:
    await create(ops, "a")
    await create(ops, "b")
    answers = await asyncio.gather(
        ops.patch("/pools/a", json={"overflow": "b"}), ops.patch("/pools/b", json={"overflow": "a"})
    )
    assert sorted(answer.status_code for answer in answers) == [200, 422]


async def test_the_default_moves_and_never_vanishes(ops: httpx.AsyncClient) -> None:
    assert (await create(ops, "offers", default=True))["default"] is True
    assert (await ops.get("/pools/bulk")).json()["default"] is False
    assert (await ops.get("/pools/main")).json()["default"] is True, "the other lane is not touched"
    assert errors_of(await ops.patch("/pools/offers", json={"default": False})) == (422, "validation_error")


async def test_a_reserved_pool_takes_nothing_else(ops: httpx.AsyncClient, account: Account) -> None:
    made = await create(ops, "confirmations", reserved=True)
    assert made["default"] is False
    who = {"kind": "application", "subject": "acme", "pool": "confirmations"}
    assert errors_of(await ops.put("/pools/assignments", json=who)) == (422, "validation_error")
    assert errors_of(await ops.patch("/pools/confirmations", json={"default": True})) == (422, "validation_error")
    await create(ops, "spare")
    await create(ops, "offers", overflow="spare")
    assert "overflow of pool offers" in (await ops.patch("/pools/spare", json={"reserved": True})).json()["message"]


async def test_a_pool_that_something_holds_is_not_deleted(ops: httpx.AsyncClient, account: Account) -> None:
    await create(ops, "spare")
    await create(ops, "offers", overflow="spare")
    await ops.put("/pools/assignments", json={"kind": "domain", "subject": str(account.domain_id), "pool": "spare"})
    answer = await ops.delete("/pools/spare")
    assert errors_of(answer) == (409, "conflict")
    assert "overflow of pool offers" in answer.json()["message"]
    assert "domain acme.example" in answer.json()["message"]
    assert "default of the marketing lane" in (await ops.delete("/pools/bulk")).json()["message"]
    assert (await ops.delete("/pools/offers")).json()["deleted"] is True
    await ops.delete(f"/pools/assignments/domain/{account.domain_id}/marketing")
    assert (await ops.delete("/pools/spare")).status_code == 200
    assert errors_of(await ops.get("/pools/spare")) == (404, "not_found")


async def test_assignments(ops: httpx.AsyncClient, account: Account) -> None:
    await create(ops, "offers")
    made = await ops.put("/pools/assignments", json={"kind": "application", "subject": "acme", "pool": "bulk"})
    assert (made.json()["subject_id"], made.json()["lane"]) == (str(account.application_id), "marketing")
    body = {"kind": "application", "subject": str(account.application_id), "pool": "offers", "lane": "marketing"}
    assert (await ops.put("/pools/assignments", json=body)).json()["pool"] == "offers"
    listed = (await ops.get("/pools/assignments")).json()
    AssignmentList.model_validate(listed)
    assert [(one["subject"], one["pool"]) for one in listed["data"]] == [("acme", "offers")]
    wrong_lane = await ops.put("/pools/assignments", json=body | {"lane": "transactional"})
    assert "`lane`" in wrong_lane.json()["message"]
    assert errors_of(await ops.put("/pools/assignments", json=body | {"subject": "nobody"})) == (404, "not_found")
    path = f"/pools/assignments/application/{account.application_id}/marketing"
    assert (await ops.delete(path)).json()["deleted"] is True
    assert errors_of(await ops.delete(path)) == (404, "not_found")


async def test_advice_names_figures_and_what_to_do(ops: httpx.AsyncClient, database: Database) -> None:
    for n in range(1, 5):
        await add_ip(ops, f"127.0.1.{n}")
        await ops.post("/pools/bulk/ips", json={"ip": f"127.0.1.{n}"})
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO outcome_counts (hour, lane, provider, ip, outcome, shard, n)"
            " SELECT date_trunc('day', now()) - interval '1 day', 'marketing', p, '127.0.1.' || i, 'delivered', 0, n"
            " FROM (VALUES ('gmail', 50000), ('comcast', 600)) v(p, n), generate_series(1, 4) i"
        )
    found = (await ops.get("/pools/advice")).json()["data"]
    by_pool = {one["pool"]: one for one in found}
    assert by_pool["main"]["rule"] == "no_ip"
    bulk = by_pool["bulk"]
    assert (bulk["verdict"], bulk["rule"], bulk["ips"], bulk["suggested"]) == (
        "too_many",
        "unknown_at_providers",
        4,
        2,
    )
    assert "comcast 600" in bulk["figures"]
