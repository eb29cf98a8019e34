"""`/logs`: what is kept of the requests of an application, who sees it, and Resend's client."""

import asyncio

import httpx
import pytest
import resend
from fastapi import FastAPI

from requestlog import gathering
from requestlog.gathering import Gatherer
from store.database import Database
from tests.integration.api.account import Account, email
from tests.integration.api.conftest import Server
from tests.integration.messages.emails import rows


async def _write(app: FastAPI) -> None:
    gatherer: Gatherer = app.state.deps.requests
    await gatherer.flush()


async def test_requests_are_kept_without_what_they_say(client: httpx.AsyncClient, app: FastAPI) -> None:
    agent = {"user-agent": "<script>alert(1)</script>"}
    sent = await client.post("/emails", json=email(subject="A secret"), headers=agent)
    wrong = await client.post("/emails", json=email(to=["anna@example.com"], sender="me@nobody.example"))
    read = await client.get(f"/emails/{sent.json()['id']}?x=1")
    await _write(app)

    found = (await client.get("/logs")).json()
    assert (found["object"], found["has_more"]) == ("list", False)
    assert [(one["method"], one["endpoint"], one["response_status"], one["error"]) for one in found["data"]] == [
        ("GET", f"/emails/{sent.json()['id']}", 200, ""),
        ("POST", "/emails", 403, "invalid_from_address"),
        ("POST", "/emails", 200, ""),
    ]
    assert found["data"][2]["user_agent"] == agent["user-agent"]
    assert found["data"][1]["id"].replace("-", "") == wrong.headers["x-request-id"]
    assert found["data"][0]["duration_ms"] > 0
    assert read.status_code == 200

    one = (await client.get(f"/logs/{found['data'][2]['id']}")).json()
    assert one["object"] == "log"
    assert one["request_body"]["from"] == "…@acme.example"
    assert one["request_body"]["subject"] == "(8 characters)"
    assert one["response_body"] == {"id": sent.json()["id"]}


async def test_filters_narrow_the_list(client: httpx.AsyncClient, app: FastAPI) -> None:
    await client.get("/domains")
    await client.post("/emails", json={})
    await _write(app)

    async def paths(**asked: str) -> list[str]:
        answer = await client.get("/logs", params=asked)
        assert answer.status_code == 200, answer.text
        return [one["endpoint"] for one in answer.json()["data"]]

    assert await paths(status="failed") == ["/emails"]
    assert await paths(method="get") == ["/domains"]
    assert await paths(endpoint="/dom") == ["/domains"]
    assert await paths(status="2xx", since="2026-01-01T00:00:00Z", until="2100-01-01T00:00:00Z") == ["/domains"]
    assert await paths(until="2026-01-01T00:00:00Z", status="") == []
    assert await paths(limit="1") == ["/emails"]
    wrong = await client.get("/logs", params={"status": "odd"})
    assert (wrong.status_code, "`status`" in wrong.json()["message"]) == (422, True)


async def test_nobody_sees_what_others_asked_for(
    client: httpx.AsyncClient, ops: httpx.AsyncClient, app: FastAPI, account: Account, database: Database
) -> None:
    await client.get("/domains")
    await client.get("/emails", headers={"authorization": f"Bearer {account.test}"})
    await client.get("/emails", headers={"authorization": "Bearer pl_wrong"})
    await ops.get("/ips")
    await _write(app)

    mine = (await client.get("/logs")).json()["data"]
    assert [(one["endpoint"], one["test"]) for one in mine] == [("/emails", True), ("/domains", False)]
    tests = (await client.get("/logs", headers={"authorization": f"Bearer {account.test}"})).json()["data"]
    assert [one["endpoint"] for one in tests] == ["/emails"]
    stranger = {"authorization": f"Bearer {account.stranger}"}
    assert (await client.get("/logs", headers=stranger)).json()["data"] == []
    assert (await client.get(f"/logs/{mine[0]['id']}", headers=stranger)).status_code == 404
    assert (await client.get("/logs", headers={"authorization": f"Bearer {account.sending}"})).status_code == 401
    assert (await ops.get("/logs")).status_code == 401
    await _write(app)
    assert {row[0] for row in await rows(database, "SELECT path FROM request_log")} == {
        "/domains", "/emails", "/logs", f"/logs/{mine[0]['id']}",
    }  # fmt: skip


async def test_a_path_that_is_not_there_is_found_in_the_log(client: httpx.AsyncClient, app: FastAPI) -> None:
    assert (await client.post("/emial", json={})).status_code == 404
    assert (await client.delete("/emails")).status_code == 405
    assert (await client.get("/emial", headers={"authorization": "Bearer pl_wrong"})).status_code == 404
    assert (await client.get("/emial", headers={"authorization": ""})).status_code == 404
    await _write(app)
    found = (await client.get("/logs")).json()["data"]
    assert [(one["method"], one["endpoint"], one["error"]) for one in found] == [
        ("DELETE", "/emails", "method_not_allowed"), ("POST", "/emial", "not_found"),
    ]  # fmt: skip


async def test_too_many_requests_are_kept_as_failures_of_their_key(
    client: httpx.AsyncClient, app: FastAPI, account: Account
) -> None:
    app.state.limiter._rate = 1
    answers = [(await client.get("/domains")).status_code for _ in range(3)]
    assert 429 in answers
    app.state.limiter._rate = 0
    await _write(app)
    found = (await client.get("/logs", params={"status": "4xx"})).json()["data"]
    assert {(one["response_status"], one["error"]) for one in found} == {(429, "rate_limit_exceeded")}


async def test_resend_for_python(server: Server, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "GATHER_SECONDS", 0.01)
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)
    async with httpx.AsyncClient(base_url=server.url, headers={"authorization": f"Bearer {account.full}"}) as http:
        await http.get("/domains")
    async with asyncio.timeout(10):
        while not (found := (await resend.Logs.list_async({"limit": 5}))["data"]):
            await asyncio.sleep(0.02)
    got = await resend.Logs.get_async(found[-1]["id"])
    assert (got["object"], got["endpoint"], got["response_status"]) == ("log", "/domains", 200)
    assert got["response_body"]["object"] == "list"
