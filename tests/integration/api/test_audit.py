"""What is changed through the API stands in the audit log: by which key, what was before and after."""

from typing import Any

import httpx
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from accounts import audit
from accounts.audit import Logged, Wanted
from api.app import _ROUTES
from api.auditing import UNAUDITED, action_of, endpoint_name
from api.deps import deps
from core.paging import Window
from store.database import Database
from tests.integration.api.account import Account, email
from web.direct import DirectRoute

CHANGING = [
    route
    for module in _ROUTES
    for route in module.router.routes
    if isinstance(route, APIRoute) and route.methods and not route.methods <= {"GET", "HEAD"}
]
KEY = "key k (pl_…) of acme"
OPERATOR = "key ops (pl_…) of (operators)"


async def _lines(database: Database) -> list[Logged]:
    """All of them, the oldest first."""
    async with database.connection() as connection:
        return [*reversed((await audit.page(connection, Wanted(), Window(100))).entries)]


def _calls(dependant: Dependant) -> set[Any]:
    return {dependant.call, *(one for each in dependant.dependencies for one in _calls(each))}


def test_every_route_that_changes_something_is_noted_or_has_a_reason_not_to_be() -> None:
    """A route is noted by the collaborators that it is given; whoever gets at them otherwise, or by no key, is not."""
    names = {endpoint_name(route.endpoint) for route in CHANGING}
    unseen = {
        name for route in CHANGING if (name := endpoint_name(route.endpoint)) not in UNAUDITED
        and (isinstance(route, DirectRoute) or deps not in _calls(route.dependant))
    }  # fmt: skip

    assert len(names) > 100
    assert unseen == set()
    assert UNAUDITED.keys() - names == set(), "what is gone needs no reason"


def test_every_action_is_a_noun_and_a_verb() -> None:
    names = {endpoint_name(route.endpoint) for route in CHANGING} - UNAUDITED.keys()
    actions = {action_of(name) for name in names}

    assert all(noun.isalpha() and verb for noun, _, verb in (action.partition(".") for action in actions)), actions
    assert {"pool.create", "ip.pause", "key.delete", "campaign.start", "contact.erase", "topic.policy"} <= actions


async def test_an_applications_changes_name_its_key(
    client: httpx.AsyncClient, account: Account, database: Database
) -> None:
    domain = (await client.post("/domains", json={"name": "shop.example"})).json()["id"]
    assert (await client.patch(f"/domains/{domain}", json={"open_tracking": False})).status_code == 200
    key = (await client.post("/api-keys", json={"name": "web"})).json()
    hook = (
        await client.post("/webhooks", json={"endpoint": "https://shop.example/h", "events": ["email.sent"]})
    ).json()
    topic = {"name": "News", "default_subscription": "opt_in"}
    assert (await client.post("/topics", json=topic)).status_code == 201
    assert (await client.delete(f"/api-keys/{key['id']}")).status_code == 200
    assert (await client.delete(f"/domains/{domain}")).status_code == 200

    lines = await _lines(database)

    told = [(line.action, line.subject) for line in lines]
    assert told == [
        ("domain.create", "shop.example"), ("key.create", "web"), ("webhook.create", hook["id"]),
        ("topic.create", "News"), ("key.delete", "web"), ("domain.delete", "shop.example"),
    ]  # fmt: skip
    assert {(line.actor, line.door) for line in lines} == {(KEY, "api")}
    assert lines[0].after is not None
    assert lines[0].after["status"] == "not_started"
    assert lines[-1].before is not None
    assert lines[-1].before["name"] == "shop.example"
    text = "".join(f"{line.before}{line.after}" for line in lines)
    assert key["token"] not in text
    assert hook["signing_secret"] not in text


async def test_an_operators_changes_are_told_with_what_was_before(
    ops: httpx.AsyncClient, account: Account, database: Database
) -> None:
    ip = {"address": "203.0.113.5", "ehlo_name": "m5.example.com", "bind_address": "127.0.0.1"}
    assert (await ops.post("/ips", json=ip)).status_code == 201
    assert (await ops.post("/pools/bulk/ips", json={"ip": "203.0.113.5"})).status_code == 201
    assert (await ops.patch("/pools/bulk/ips/203.0.113.5", json={"weight": 3})).status_code == 200
    assert (await ops.post("/ips/203.0.113.5/pause", json={"reason": "the rack moves"})).status_code == 200
    assert (
        await ops.post("/warmup", json={"ip": "203.0.113.5", "plan": "stages-29", "target": 9000})
    ).status_code == 201
    assert (await ops.post("/warmup/203.0.113.5/skip", json={})).status_code == 200
    assert (await ops.post("/pools", json={"name": "bulk", "lane": "marketing"})).status_code == 409

    lines = await _lines(database)

    assert [(line.action, line.subject) for line in lines] == [
        ("ip.create", "203.0.113.5"), ("pool.attach", "bulk"), ("pool.weight", "bulk"), ("ip.pause", "203.0.113.5"),
        ("warmup.start", "203.0.113.5"), ("warmup.skip", "203.0.113.5"),
    ]  # fmt: skip
    assert {(line.actor, line.door) for line in lines} == {(OPERATOR, "api")}
    assert (lines[2].before, lines[2].after) == ({"weight": 1}, {"weight": 3})
    assert lines[3].before is not None


async def test_suppressions_stand_there_by_their_id_and_mail_not_at_all(
    client: httpx.AsyncClient, ops: httpx.AsyncClient, database: Database
) -> None:
    people = [f"ann{n}@people.example" for n in range(8)]
    one = (await client.post("/suppressions", json={"email": people[0], "detail": f"wrote to {people[0]}"})).json()
    assert (await client.delete(f"/suppressions/{people[0]}")).status_code == 200
    assert (await ops.post("/suppressions/batch/add", json={"emails": people})).status_code == 200
    assert (await client.post("/emails", json=email())).status_code == 200
    made = (await client.post("/contacts", json={"email": people[1]})).json()["id"]
    assert (await client.patch(f"/contacts/{made}", json={"first_name": "Ann"})).status_code == 200
    assert (await client.post(f"/contacts/{people[1]}/erase")).status_code == 200

    lines = await _lines(database)

    assert [(line.action, line.subject) for line in lines] == [
        ("suppression.add", one["id"]), ("suppression.remove", one["id"]), ("suppression.add", "8 suppressions"),
        ("contact.erase", made),
    ]  # fmt: skip
    assert "people.example" not in "".join(f"{line.subject}{line.before}{line.after}" for line in lines)
