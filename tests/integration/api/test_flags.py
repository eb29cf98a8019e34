"""`/flags`: seen and switched by operators, in force in the process that answers, noted in the audit log."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from fastapi import FastAPI

from accounts import audit
from accounts.audit import Wanted
from core.paging import Window
from flags import asking
from flags.declared import FLAGS, REQUEST_LOG
from flags.service import IN_FORCE_SECONDS
from requestlog.gathering import Gatherer
from store.database import Database
from tests.integration.api.account import Account


@pytest.fixture(autouse=True)
async def _as_declared() -> AsyncIterator[None]:
    yield
    asking.hold({}, None)


async def _soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(IN_FORCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def test_flags_are_told_with_what_they_do(ops: httpx.AsyncClient) -> None:
    found = (await ops.get("/flags")).json()
    assert [one["name"] for one in found["data"]] == [flag.name for flag in FLAGS]
    one = (await ops.get("/flags/tracking")).json()
    assert one == found["data"][0]
    assert (one["percent"], one["default"], one["share_of"], one["applications"]) == (100, True, "mail", [])
    assert (one["changed_at"], one["changed_by"], one["reason"]) == (None, None, None)
    assert one["until"] > one["introduced"]
    assert (await ops.get("/flags", params={"limit": "2"})).json()["has_more"] is True
    missing = await ops.get("/flags/nothing")
    assert (missing.status_code, "tracking" in missing.json()["message"]) == (404, True)


async def test_a_switch_is_in_force_here_and_noted(
    ops: httpx.AsyncClient, client: httpx.AsyncClient, account: Account, app: FastAPI, database: Database
) -> None:
    body = {"percent": 0, "application": "acme", "reason": "too much to write"}
    answer = await ops.put("/flags/request_log", json=body)
    assert answer.status_code == 200, answer.text
    (own,) = answer.json()["applications"]
    assert (answer.json()["percent"], own["application"], own["percent"], own["reason"]) == (
        100, "acme", 0, "too much to write",
    )  # fmt: skip
    await _soon(lambda: not REQUEST_LOG.on(account.application_id))
    assert (await client.get("/domains")).status_code == 200
    gone = await ops.delete("/flags/request_log", params={"application": str(account.application_id)})
    assert (gone.status_code, gone.json()["applications"]) == (200, [])
    await _soon(lambda: REQUEST_LOG.on(account.application_id))
    assert (await client.get("/topics")).status_code == 200
    gatherer: Gatherer = app.state.deps.requests
    await gatherer.flush()
    assert [one["endpoint"] for one in (await client.get("/logs")).json()["data"]] == ["/topics"]
    assert (await ops.get("/system")).json()["flags_as_of"] is not None

    async with database.connection() as connection:
        lines = (await audit.page(connection, Wanted(), Window(5))).entries
    assert [(line.action, line.subject, line.door) for line in lines] == [
        ("flag.clear", "request_log", "api"), ("flag.set", "request_log", "api"),
    ]  # fmt: skip
    assert lines[1].after is not None
    assert (lines[1].after["percent"], lines[1].after["reason"]) == (0, "too much to write")
    assert lines[0].before is not None
    assert lines[0].before["percent"] == 0


async def test_what_cannot_be_is_refused(ops: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    for body in ({"percent": 101}, {"percent": "0"}, {"percent": 0, "aplication": "acme"}, {}):
        assert (await ops.put("/flags/tracking", json=body)).status_code in (400, 422), body
    nobody = await ops.put("/flags/tracking", json={"percent": 0, "application": "nobody"})
    assert (nobody.status_code, "nobody" in nobody.json()["message"]) == (404, True)
    assert (await ops.put("/flags/pool_overflow", json={"percent": 0, "application": "acme"})).status_code == 422
    assert (await ops.delete("/flags/tracking")).status_code == 409
    for call in (client.get("/flags"), client.put("/flags/tracking", json={"percent": 0})):
        assert (await call).status_code == 403
    assert (await ops.get("/flags/tracking")).json()["percent"] == 100
