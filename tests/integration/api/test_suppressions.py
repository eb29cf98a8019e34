"""`/suppressions` on the real application."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
import resend

from api.schemas.suppressions import BatchAdded, SuppressionAnswer, SuppressionList
from store.database import Database
from tests.integration.api.account import Account
from tests.integration.api.conftest import Server
from tests.integration.messages.emails import execute

PERMISSIVE = {"x-batch-validation": "permissive"}


def raw(body: object) -> dict[str, Any]:
    """A request with ASCII JSON: a lone surrogate can be written as an escape and as nothing else."""
    return {"content": json.dumps(body), "headers": {"content-type": "application/json"}}


def errors_of(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["statusCode"] == answer.status_code
    return body["statusCode"], body["name"]


async def add(client: httpx.AsyncClient, address: str, **fields: Any) -> str:
    answer = await client.post("/suppressions", json={"email": address, **fields})
    assert answer.status_code in (200, 201), answer.text
    assert answer.json()["object"] == "suppression"
    return str(answer.json()["id"])


async def stored(database: Database) -> list[tuple[Any, ...]]:
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT address, CASE WHEN length(scope) = 36 THEN 'all' WHEN length(scope) > 36 THEN substr(scope, 38)"
            " ELSE scope END AS word, reason FROM suppressions ORDER BY 1, 2"
        )
        return await cursor.fetchall()


async def test_an_address_is_added_and_looked_up(client: httpx.AsyncClient) -> None:
    identifier = await add(client, " Ann@Example.COM ")
    found = (await client.get(f"/suppressions/{identifier}")).json()
    SuppressionAnswer.model_validate(found)
    assert (found["email"], found["origin"], found["source_id"]) == ("ann@example.com", "manual", None)
    assert (found["scope"], found["reason"], found["source"], found["expires_at"]) == ("all", "manual", "api", None)
    assert "API key" in found["detail"]
    by_address = (await client.get("/suppressions/ANN@example.com")).json()
    assert by_address.pop("entries") == [{key: value for key, value in found.items() if key != "object"}]
    assert by_address == found


async def test_adding_twice_gives_the_entry_that_stands(client: httpx.AsyncClient) -> None:
    first = await client.post("/suppressions", json={"email": "a@example.com", "reason": "complaint"})
    second = await client.post("/suppressions", json={"email": "A@example.com"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert (await client.get("/suppressions/a@example.com")).json()["reason"] == "complaint"


async def test_scope_reason_detail_and_end(client: httpx.AsyncClient) -> None:
    end = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
    await add(client, "a@example.com", scope="marketing", reason="unsubscribe", detail="ticket 7", expires_at=str(end))
    await add(client, "a@example.com", scope="transactional", reason="hard_bounce", expires_in=60)
    entries = (await client.get("/suppressions/a@example.com")).json()["entries"]
    shown = [(one["scope"], one["reason"], one["origin"]) for one in entries]
    assert shown == [("marketing", "unsubscribe", "manual"), ("transactional", "hard_bounce", "bounce")]
    assert entries[0]["detail"] == "ticket 7"
    assert datetime.fromisoformat(entries[0]["expires_at"]) == end
    left = datetime.fromisoformat(entries[1]["expires_at"]) - datetime.now(UTC)
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@b@c"}, "email"),
        ({"email": "a\x00@example.com"}, "email"),
        ({"email": "\ud800@example.com"}, "email"),
        ({"email": 5}, "email"),
        ({"scope": "everything"}, "scope"),
        ({"reason": "because"}, "reason"),
        ({"scop": "marketing"}, "scop"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": 10**12}, "expires_in"),
        ({"expires_in": "60"}, "expires_in"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2027-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "2027-01-01T00:00:00Z", "expires_in": 5}, "expires_at"),
        ({"detail": "x" * 501}, "detail"),
    ],
)
async def test_wrong_fields_are_named_and_nothing_is_stored(
    client: httpx.AsyncClient, database: Database, fields: dict[str, Any], field: str
) -> None:
    answer = await client.post("/suppressions", **raw({"email": "a@example.com", **fields}))
    assert errors_of(answer) == (422, "validation_error")
    assert f"`{field}`" in answer.json()["message"]
    assert await stored(database) == []


async def test_a_detail_that_cannot_be_stored_as_it_is_is_made_storable(client: httpx.AsyncClient) -> None:
    body = {"email": "a@example.com", "detail": "one\x00two\nthree\x1b"}
    assert (await client.post("/suppressions", **raw(body))).status_code == 201
    assert (await client.get("/suppressions/a@example.com")).json()["detail"] == "one two three"


async def test_removing_by_id_by_address_and_by_scope(client: httpx.AsyncClient, database: Database) -> None:
    identifier = await add(client, "a@example.com")
    assert (await client.delete(f"/suppressions/{identifier}")).json() == {
        "object": "suppression",
        "id": identifier,
        "deleted": True,
    }
    assert errors_of(await client.delete(f"/suppressions/{identifier}")) == (404, "not_found")
    assert errors_of(await client.get(f"/suppressions/{identifier}")) == (404, "not_found")
    widest = await add(client, "b@example.com")
    await add(client, "b@example.com", scope="marketing")
    await add(client, "b@example.com", scope="transactional")
    assert (await client.delete("/suppressions/b@example.com?scope=marketing")).status_code == 200
    assert len(await stored(database)) == 2
    assert (await client.delete("/suppressions/B@example.com")).json()["id"] == widest
    assert await stored(database) == []
    assert errors_of(await client.delete("/suppressions/b@example.com")) == (404, "not_found")


@pytest.mark.parametrize("text", ["x", "not an address", "a@", "%00"])
async def test_neither_an_id_nor_an_address(client: httpx.AsyncClient, text: str) -> None:
    for method in ("GET", "DELETE"):
        answer = await client.request(method, f"/suppressions/{quote(text)}")
        assert errors_of(answer) == (404, "not_found")


async def test_addresses_with_signs_that_mean_something_in_a_path(client: httpx.AsyncClient) -> None:
    for address in ("a/b@example.com", "50%off?#x@example.com", "a+b@example.com", "ü@example.com"):
        await add(client, address)
        found = await client.get(f"/suppressions/{quote(address, safe='')}")
        assert found.json()["email"] == address


async def test_the_list_newest_first_with_pages_both_ways(client: httpx.AsyncClient) -> None:
    ids = [await add(client, f"u{n}@example.com") for n in range(5)][::-1]
    first = (await client.get("/suppressions", params={"limit": 2})).json()
    SuppressionList.model_validate(first)
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (ids[:2], True)
    second = (await client.get("/suppressions", params={"limit": 2, "after": ids[1]})).json()
    assert ([one["id"] for one in second["data"]], second["has_more"]) == (ids[2:4], True)
    back = (await client.get("/suppressions", params={"limit": 2, "before": ids[3]})).json()
    assert ([one["id"] for one in back["data"]], back["has_more"]) == (ids[1:3], True)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "ANN"}, ["ann@a.example", "anna@b.example"]),
        ({"q": "ann@"}, ["ann@a.example"]),
        ({"q": "@B.example"}, ["zoe@b.example", "anna@b.example"]),
        ({"q": "@b.example", "reason": "complaint"}, ["zoe@b.example"]),
        ({"reason": "complaint"}, ["zoe@b.example"]),
        ({"origin": "complaint"}, ["zoe@b.example"]),
        ({"origin": "manual"}, ["anna@b.example", "ann@a.example"]),
        ({"origin": "manual", "reason": "complaint"}, []),
        ({"origin": "manual", "reason": "import"}, ["anna@b.example"]),
        ({"scope": "marketing"}, ["zoe@b.example"]),
        ({"scope": "all", "q": "a"}, ["ann@a.example", "anna@b.example"]),
        ({"q": "nn"}, []),
        ({"q": "a%"}, []),
    ],
)
async def test_searches(client: httpx.AsyncClient, query: dict[str, str], found: list[str]) -> None:
    await add(client, "ann@a.example")
    await add(client, "anna@b.example", reason="import")
    await add(client, "zoe@b.example", reason="complaint", scope="marketing")
    answer = (await client.get("/suppressions", params=query)).json()
    assert [one["email"] for one in answer["data"]] == found


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 101},
        {"after": "x"},
        {"q": "@"},
        {"q": "a\x00"},
        {"q": "x" * 321},
        {"reason": "x"},
        {"scope": "x"},
        {"origin": "x"},
        {"q": "a", "after": str(uuid4())},
    ],
)
async def test_wrong_searches_are_refused(client: httpx.AsyncClient, query: dict[str, Any]) -> None:
    assert errors_of(await client.get("/suppressions", params=query)) == (422, "invalid_parameter")


async def test_a_batch_takes_what_is_right_and_names_the_rest(client: httpx.AsyncClient, database: Database) -> None:
    batch = [
        {"email": "a@example.com", "reason": "unsubscribe", "scope": "marketing"},
        {"email": "wrong"},
        {"email": "b@example.com", "expires_at": "2020-01-01T00:00:00Z"},
        {"email": "A@example.com", "reason": "hard_bounce"},
    ]
    answer = await client.post("/suppressions/batch", json=batch)
    assert answer.status_code == 200
    BatchAdded.model_validate(answer.json())
    assert {(one["email"], one["scope"]) for one in answer.json()["data"]} == {
        ("a@example.com", "all"),
        ("a@example.com", "marketing"),
    }
    assert [(one["index"], one["message"].split("`")[1]) for one in answer.json()["errors"]] == [
        (1, "email"),
        (2, "expires_at"),
    ]
    assert await stored(database) == [
        ("a@example.com", "all", "hard_bounce"),
        ("a@example.com", "marketing", "unsubscribe"),
    ]


async def test_a_strict_batch_stores_nothing_when_one_is_wrong(client: httpx.AsyncClient, database: Database) -> None:
    batch = [{"email": "a@example.com"}, {"email": "wrong"}]
    answer = await client.post("/suppressions/batch", json=batch, headers={"x-batch-validation": "strict"})
    assert errors_of(answer) == (422, "validation_error")
    assert "Entry 1" in answer.json()["message"]
    same = await client.post("/suppressions/batch/add", json={"emails": ["a@example.com", "wrong"]})
    assert errors_of(same) == (422, "validation_error")
    assert await stored(database) == []
    permissive = {"emails": ["a@example.com", "wrong"], "reason": "complaint"}
    answer = await client.post("/suppressions/batch/add", json=permissive, headers=PERMISSIVE)
    assert (len(answer.json()["data"]), len(answer.json()["errors"])) == (1, 1)
    assert await stored(database) == [("a@example.com", "all", "complaint")]


async def test_ten_thousand_in_one_request_and_not_one_more(client: httpx.AsyncClient, database: Database) -> None:
    emails = [f"user{n}@example.com" for n in range(10_000)]
    answer = await client.post("/suppressions/batch", json=[{"email": address} for address in emails])
    assert answer.status_code == 200
    assert len(answer.json()["data"]) == 10_000
    removed = await client.post("/suppressions/batch/remove", json={"emails": emails[:9_999]})
    assert len(removed.json()["data"]) == 9_999
    assert [row[0] for row in await stored(database)] == ["user9999@example.com"]
    for path, body in (
        ("/suppressions/batch", [{"email": "a@example.com"}] * 10_001),
        ("/suppressions/batch/add", {"emails": ["a@example.com"] * 10_001}),
        ("/suppressions/batch/remove", {"emails": ["a@example.com"] * 10_001}),
    ):
        assert errors_of(await client.post(path, json=body)) == (422, "validation_error")
    assert len(await stored(database)) == 1


async def test_a_batch_is_removed_by_id_or_by_address(client: httpx.AsyncClient, database: Database) -> None:
    ids = [await add(client, f"u{n}@example.com") for n in range(4)]
    await add(client, "u3@example.com", scope="marketing")
    answer = await client.post("/suppressions/batch/remove", json={"ids": [ids[0], str(uuid4())]})
    assert answer.json() == {"data": [{"object": "suppression", "id": ids[0], "deleted": True}]}
    body = {"emails": ["U1@example.com", "u3@example.com", "nobody@example.com"], "scope": "all"}
    answer = await client.post("/suppressions/batch/remove", json=body)
    assert {one["id"] for one in answer.json()["data"]} == {ids[1], ids[3]}
    left = [("u2@example.com", "all", "manual"), ("u3@example.com", "marketing", "manual")]
    assert await stored(database) == left
    bodies: list[dict[str, Any]] = [{}, {"emails": ["a@example.com"], "ids": ids}, {"emails": ["wrong"]}]
    for wrong in (*bodies, {"ids": ["x"]}, {"emails": []}):
        assert errors_of(await client.post("/suppressions/batch/remove", json=wrong)) == (422, "validation_error")
    both = {"ids": ids, "scope": "all"}
    assert errors_of(await client.post("/suppressions/batch/remove", json=both)) == (422, "validation_error")
    assert await stored(database) == left


async def test_a_body_without_end_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    small = await client.post("/suppressions", content=b" " * 70_000, headers=headers)
    assert errors_of(small) == (413, "payload_too_large")
    large = await client.post("/suppressions/batch", content=b" " * (10 * 1024 * 1024 + 1), headers=headers)
    assert errors_of(large) == (413, "payload_too_large")


async def test_keys_that_may_only_send_are_refused(client: httpx.AsyncClient, account: Account) -> None:
    sending = {"authorization": f"Bearer {account.sending}"}
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/batch"), ("GET", "/a@example.com"), ("DELETE", "/x")):
        answer = await client.request(method, f"/suppressions{path}", headers=sending, json=None)
        assert errors_of(answer)[1] == "restricted_api_key"


def test_resends_sdk_goes_all_the_way(server: Server, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)
    made = resend.Suppressions.add({"email": "Sdk+tag@Example.com"})
    assert resend.Suppressions.add({"email": "sdk+tag@example.com"})["id"] == made["id"]
    found = resend.Suppressions.get("sdk+tag@example.com")
    assert (found["id"], found["email"], found["origin"]) == (made["id"], "sdk+tag@example.com", "manual")
    assert resend.Suppressions.get(made["id"])["email"] == "sdk+tag@example.com"
    batch = resend.Suppressions.Batch.add({"emails": ["a@example.com", "b@example.com", "A@example.com"]})
    assert len(batch["data"]) == 2
    listed = resend.Suppressions.list({"origin": "manual", "limit": 2})
    assert (len(listed["data"]), listed["has_more"]) == (2, True)
    rest = resend.Suppressions.list({"after": listed["data"][-1]["id"]})
    assert [one["email"] for one in rest["data"]] == ["sdk+tag@example.com"]
    assert len(resend.Suppressions.Batch.remove({"emails": ["a@example.com", "zz@example.com"]})["data"]) == 1
    assert len(resend.Suppressions.Batch.remove({"ids": [listed["data"][0]["id"]]})["data"]) == 1
    assert resend.Suppressions.remove("sdk+tag@example.com")["deleted"] is True
    with pytest.raises(resend.exceptions.ResendError) as gone:
        resend.Suppressions.get("sdk+tag@example.com")
    assert (gone.value.code, gone.value.error_type) == (404, "not_found")


async def test_an_operator_sees_and_removes_what_applications_may_not(
    client: httpx.AsyncClient, ops: httpx.AsyncClient, account: Account, database: Database
) -> None:
    """One key could read another application's complaint in detail, and remove it."""
    identifier = await add(ops, "a@b.example", reason="complaint", detail="FBL 7")
    owner = f"UPDATE suppressions SET owner_id = '{account.application_id}'"  # as of a complaint about its mail
    await execute(database, owner)
    stranger = {"authorization": f"Bearer {account.stranger}"}
    hidden = await client.get(f"/suppressions/{identifier}", headers=stranger)
    assert (hidden.status_code, hidden.json()["detail"]) == (200, "")
    for path in (identifier, "a@b.example"):
        refused = await client.delete(f"/suppressions/{path}", headers=stranger)
        assert errors_of(refused) == (409, "conflict")
        assert "operator" in refused.json()["message"]
    batch = await client.post("/suppressions/batch/remove", json={"ids": [identifier]}, headers=stranger)
    kept = {"id": identifier, "email": "a@b.example", "scope": "all", "reason": "complaint", "lock": "others"}
    assert batch.json() == {"data": [], "kept": [kept]}
    assert (await ops.get(f"/suppressions/{identifier}")).json()["detail"] == "FBL 7"
    assert errors_of(await client.delete(f"/suppressions/{identifier}")) == (409, "conflict")
    assert errors_of(await ops.delete(f"/suppressions/{identifier}")) == (409, "conflict")
    assert (await ops.delete(f"/suppressions/{identifier}", params={"why": "ticket 7"})).status_code == 200
    (was,) = (await ops.get("/suppressions/a@b.example/history")).json()["data"]
    assert (was["ended"], was["why"], was["reason"]) == ("removed", "ticket 7", "complaint")
    (seen,) = (await client.get("/suppressions/a@b.example/history", headers=stranger)).json()["data"]
    assert (seen["detail"], seen["ended_by"], seen["why"]) == ("", "", "")


async def make_topic(client: httpx.AsyncClient) -> str:
    made = await client.post("/topics", json={"name": "News", "default_subscription": "opt_in"})
    assert made.status_code in (200, 201), made.text
    return str(made.json()["id"])


async def test_a_topic_that_is_not_there_is_refused(client: httpx.AsyncClient) -> None:
    """Its entry would keep nothing back, and whoever mistyped it would never hear of it."""
    good = {"email": "a@b.example", "topic_id": await make_topic(client)}
    wrong = {"email": "c@b.example", "topic_id": str(uuid4())}
    assert errors_of(await client.post("/suppressions", json=wrong)) == (422, "validation_error")
    answer = (await client.post("/suppressions/batch", json=[wrong, good])).json()
    assert [len(answer["data"]), answer["errors"][0]["index"]] == [1, 0]
    strict = {"x-batch-validation": "strict"}
    assert errors_of(await client.post("/suppressions/batch", json=[good, wrong], headers=strict))[0] == 422


async def test_whose_mail_an_entry_forbids(client: httpx.AsyncClient, ops: httpx.AsyncClient, account: Account) -> None:
    own, topic = str(account.application_id), await make_topic(client)
    for body, expected in (
        ({"reason": "unsubscribe"}, ("all", own, None)),
        ({"reason": "complaint", "expires_at": ""}, ("all", own, None)),
        ({"only_for": "self", "scope": "marketing", "topic_id": ""}, ("marketing", own, None)),
        ({"only_for": own, "scope": "transactional", "expires_in": ""}, ("transactional", own, None)),
        ({"topic_id": topic}, ("topic", own, topic)),
        ({"email": "@b.example"}, ("all", own, None)),
    ):
        identifier = await add(client, **{"address": body.pop("email", "a@b.example"), **body})
        found = (await client.get(f"/suppressions/{identifier}")).json()
        assert (found["scope"], found["only_for"], found["topic_id"]) == expected, body
        assert found["owner"] == own
        hidden = await ops.get(f"/suppressions/{identifier}", headers={"authorization": f"Bearer {account.stranger}"})
        assert hidden.status_code == 404
    assert len((await client.get("/suppressions/a@b.example")).json()["entries"]) == 5
    assert len((await client.get("/suppressions", params={"only_for": "self"})).json()["data"]) == 5
    assert len((await ops.get("/suppressions", params={"only_for": own})).json()["data"]) == 5
    assert (await ops.get("/suppressions/@b.example")).json()["email"] == "@b.example"


async def test_what_holds_for_everybody_is_no_list_of_anybodys(
    client: httpx.AsyncClient, ops: httpx.AsyncClient, account: Account, database: Database
) -> None:
    """An application could page through the recipients of all others: shared entries are answers, not lists."""
    for reason in ("hard_bounce", "complaint", "manual"):
        await add(ops, f"{reason}@b.example", reason=reason)
    await add(ops, "mine@b.example", reason="hard_bounce")
    led_to = f"UPDATE suppressions SET owner_id = '{account.application_id}' WHERE address = 'mine@b.example'"
    await execute(database, led_to)
    await add(client, "added@b.example", reason="manual")
    for query in ({}, {"q": "@b.example"}, {"scope": "all"}, {"origin": "bounce"}, {"origin": "manual"}, {"q": "m"}):
        listed = (await client.get("/suppressions", params=query)).json()["data"]
        assert {one["email"] for one in listed} <= {"mine@b.example", "added@b.example"}, query
        theirs = await client.get(
            "/suppressions", params=query, headers={"authorization": f"Bearer {account.stranger}"}
        )
        assert theirs.json()["data"] == []
    assert len((await client.get("/suppressions")).json()["data"]) == 2
    assert len((await ops.get("/suppressions")).json()["data"]) == 5
    fact = (await client.get("/suppressions/complaint@b.example")).json()
    assert (fact["reason"], fact["detail"], fact["actor"], fact["owner"]) == ("complaint", "", "", None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"only_for": str(uuid4())}, "only_for"),
        ({"only_for": "acme"}, "only_for"),
        ({"scope": "topic"}, "topic_id"),
        ({"email": "@b.example", "only_for": "everybody"}, "only_for"),
        ({"reason": "complaint", "only_for": "everybody"}, "only_for"),
        ({"note": "x" * 501}, "note"),
    ],
)
async def test_what_an_application_may_not_forbid(client: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await client.post("/suppressions", json={"email": "a@example.com", **body})
    assert errors_of(answer) == (422, "validation_error")
    assert f"`{field}`" in answer.json()["message"]


async def test_who_passed_on_what_is_said(client: httpx.AsyncClient, ops: httpx.AsyncClient) -> None:
    """Removing by address says which entries of it stay, so that nobody believes that mail flows again."""
    await add(ops, "a@b.example", reason="hard_bounce")
    mine = await add(client, "a@b.example", scope="marketing", note="asked twice")
    assert (await client.get(f"/suppressions/{mine}")).json()["note"] == "asked twice"
    gone = (await client.delete("/suppressions/a@b.example")).json()
    assert (gone["id"], [one["reason"] for one in gone["kept"]]) == (mine, ["hard_bounce"])


async def test_sending_keys_do_not_look(client: httpx.AsyncClient, account: Account) -> None:
    sending = {"authorization": f"Bearer {account.sending}"}
    assert (await client.get("/suppressions", headers=sending)).json()["name"] == "restricted_api_key"
