"""`/ips`, `/throttles` and `/alarms` on the real application."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from alarms import repository as alarms
from alarms.model import AlarmKind
from api.schemas.alarms import AlarmList
from api.schemas.ips import IpAnswer, IpList, ReputationAnswer, StoryAnswer
from api.schemas.providers import Explained, ProviderList
from api.schemas.throttles import ThrottleList
from store import counters, folding
from store.counters import Counted, Origin
from store.database import Database
from tests.integration.api.test_pools import add_ip, errors_of


async def execute(database: Database, statement: str, *values: Any) -> None:
    async with database.connection() as connection:
        await connection.execute(statement, values)


async def rest(ops: httpx.AsyncClient, ip: str = "127.0.1.1", site: str = "gmail") -> httpx.Response:
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    return await ops.post("/throttles/rest", json={"subject": ip, "site": site, "until": until, "reason": "ticket 7"})


async def test_an_ip_from_first_to_last(ops: httpx.AsyncClient) -> None:
    body = {"address": " 127.0.1.1 ", "ehlo_name": "M1.Example.com"}
    made = (await ops.post("/ips", json=body)).json()
    IpAnswer.model_validate(made)
    assert (made["address"], made["ehlo_name"], made["bind_address"]) == ("127.0.1.1", "m1.example.com", "127.0.1.1")
    assert (made["via"], made["state"], made["pools"], made["warmup"]) == ("local", "active", [], None)
    assert errors_of(await ops.post("/ips", json=body)) == (409, "conflict")
    changed = await ops.patch("/ips/127.0.1.1", json={"ehlo_name": "m9.example.com", "bind_address": "127.0.0.1"})
    assert (changed.json()["ehlo_name"], changed.json()["bind_address"]) == ("m9.example.com", "127.0.0.1")
    await ops.post("/pools/bulk/ips", json={"ip": "127.0.1.1"})
    held = await ops.delete("/ips/127.0.1.1")
    assert errors_of(held) == (409, "conflict")
    assert "pool bulk" in held.json()["message"]
    assert (await ops.delete("/ips/127.0.1.1", params={"force": True})).json()["deleted"] is True
    assert errors_of(await ops.get("/ips/127.0.1.1")) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"address": "nowhere"}, "address"),
        ({"address": "0.0.0.0"}, "address"),
        ({"address": "127.0.0.1\x00"}, "address"),
        ({"address": "fe80::1%eth0"}, "address"),
        ({"address": "192.0.2.77"}, "address"),
        ({"address": "192.0.2.77", "bind_address": "192.0.2.78"}, "bind_address"),
        ({"bind_address": "::1"}, "bind_address"),
        ({"ehlo_name": "me"}, "ehlo_name"),
        ({"ehlo_name": "a b.example"}, "ehlo_name"),
        ({"via": "http://proxy:80"}, "via"),
        ({"via": "socks5://ops:secret@127.0.0.1:1"}, "via"),
        ({"via": "smtp+tls://ops:secret@127.0.0.1:1"}, "address"),
        ({"address": "vendor", "via": "smtp+tls://ops:secret@127.0.0.1:1"}, "via"),
        ({"address": "vendor", "via": "smtp://ops:secret@192.0.2.1"}, "via"),
        ({"address": "vendor", "via": "smtps://192.0.2.1", "bind_address": "127.0.0.1"}, "bind_address"),
        ({"address": "vendor", "via": "smtps://192.0.2.1", "connections": 0}, "connections"),
        ({"address": "vendor", "via": "smtps://192.0.2.1", "messages_per_hour": -1}, "messages_per_hour"),
        ({"connections": 3}, "via"),
        ({"weight": 1}, "weight"),
    ],
)
async def test_wrong_ips_are_refused_naming_the_field(ops: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await ops.post("/ips", json={"address": "127.0.1.1", "ehlo_name": "m1.example.com", **body})
    assert errors_of(answer) == (422, "validation_error"), answer.text
    assert f"`{field}`" in answer.json()["message"]
    assert "secret" not in answer.text
    assert (await ops.get("/ips")).json()["data"] == []


async def test_an_ip_elsewhere_is_not_tried_and_its_password_stays_inside(ops: httpx.AsyncClient) -> None:
    body = {"address": "192.0.2.77", "ehlo_name": "m1.example.com", "elsewhere": True}
    made = await ops.post("/ips", json=body | {"via": "socks5://ops:secret@10.0.0.9:1080"})
    assert made.status_code == 201
    assert made.json()["via"] == "socks5://ops:***@10.0.0.9:1080"
    assert "secret" not in (await ops.get("/ips")).text


async def test_a_relay_is_an_ip_with_a_name_a_login_and_limits(ops: httpx.AsyncClient, database: Database) -> None:
    body = {"address": "Vendor", "via": "smtp+tls://ops:secret@smtp.example.com", "elsewhere": True, "connections": 3}
    made = await ops.post("/ips", json=body)
    assert made.status_code == 201, made.text
    assert (made.json()["address"], made.json()["via"]) == ("vendor", "smtp+tls://ops:***@smtp.example.com:587")
    assert made.json()["limits"] == {"connections": 3, "messages_per_second": 0.0, "messages_per_hour": 0}
    changed = await ops.patch("/ips/vendor", json={"messages_per_second": 14, "elsewhere": True})
    assert changed.json()["limits"] == {"connections": 3, "messages_per_second": 14.0, "messages_per_hour": 0}
    assert errors_of(await ops.patch("/ips/vendor", json={"via": "local"})) == (422, "validation_error")
    warming = await ops.post("/warmup", json={"ip": "vendor", "target": 5000})
    assert warming.status_code in (409, 422)
    assert "is a relay" in warming.text
    async with database.connection() as connection:
        stored = await (await connection.execute("SELECT egress_ips::text FROM egress_ips")).fetchone()
    assert "secret" not in f"{(await ops.get('/ips')).text}{stored}{stored and stored[0]}"
    assert (await ops.delete("/ips/vendor")).json()["deleted"] is True


async def test_pause_and_resume_tell_their_story(ops: httpx.AsyncClient) -> None:
    await add_ip(ops, "127.0.1.1")
    assert errors_of(await ops.post("/ips/127.0.1.1/pause", json={"reason": " "})) == (422, "validation_error")
    assert (await ops.post("/ips/127.0.1.1/pause", json={"reason": "new PTR"})).json()["state"] == "paused"
    assert errors_of(await ops.post("/ips/127.0.1.1/pause", json={"reason": "again"})) == (409, "conflict")
    assert (await ops.get("/ips/127.0.1.1/why")).json()["now"] == ["paused by an operator: new PTR"]
    assert (await ops.post("/ips/127.0.1.1/resume")).json()["state"] == "active"
    story = (await ops.get("/ips/127.0.1.1/why", params={"provider": "gmail"})).json()
    StoryAnswer.model_validate(story)
    assert [one["became"] for one in story["changes"]] == ["active", "paused"]
    assert story["changes"][1]["text"] == "paused by an operator: new PTR"
    assert story["now"] == ["healthy at gmail: sends without limits of its own"]


async def test_a_rest_shows_everywhere_and_is_overridden(ops: httpx.AsyncClient) -> None:
    await add_ip(ops, "127.0.1.1")
    await ops.post("/pools/bulk/ips", json={"ip": "127.0.1.1"})
    answer = await rest(ops)
    assert (answer.status_code, answer.json()["state"]) == (200, "throttled")
    listed = (await ops.get("/throttles", params={"provider": "gmail", "ip": "127.0.1.1"})).json()
    ThrottleList.model_validate(listed)
    assert [(one["id"], one["reply"]) for one in listed["data"]] == [("ip/127.0.1.1/gmail", "ticket 7")]
    assert (await ops.get("/throttles", params={"provider": "yahoo"})).json()["data"] == []
    ips = (await ops.get("/ips")).json()
    IpList.model_validate(ips)
    assert ips["data"][0]["state"] == "throttled"
    assert (await ops.get("/pools/bulk")).json()["members"][0]["rests"][0]["site"] == "gmail"

    body = {"subject": "127.0.1.1", "site": "gmail", "reason": "postmaster says it is over"}
    assert (await ops.post("/throttles/override", json=body)).json()["state"] == "probing"
    assert errors_of(await ops.post("/throttles/override", json=body)) == (409, "conflict")
    story = (await ops.get("/ips/127.0.1.1/why", params={"provider": "gmail"})).json()
    assert [one["became"] for one in story["changes"]] == ["probing", "throttled"]
    assert "postmaster says it is over" in story["changes"][0]["text"]
    assert (await ops.get("/ips/127.0.1.1/why", params={"provider": "yahoo"})).json()["changes"] == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reason": ""}, "reason"),
        ({"site": "gmial"}, "site"),
        ({"until": "2001-01-01T00:00:00Z"}, "until"),
        ({"until": "2031-01-01T00:00:00"}, "until"),
        ({"kind": "domain", "subject": "no domain"}, "subject"),
        ({"subject": "127.0.1.\x001"}, "subject"),
    ],
)
async def test_wrong_rests_are_refused(ops: httpx.AsyncClient, fields: dict[str, Any], field: str) -> None:
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    body = {"subject": "127.0.1.1", "site": "gmail", "until": until, "reason": "x", **fields}
    answer = await ops.post("/throttles/rest", json=body)
    assert errors_of(answer) == (422, "validation_error"), answer.text
    assert f"`{field}`" in answer.json()["message"]
    assert (await ops.get("/throttles")).json()["data"] == []


async def test_only_our_ips_rest(ops: httpx.AsyncClient) -> None:
    assert errors_of(await rest(ops)) == (404, "not_found")


async def test_reputation_by_evidence_and_by_others(ops: httpx.AsyncClient, database: Database) -> None:
    await add_ip(ops, "127.0.1.1")
    await execute(
        database,
        "INSERT INTO outcome_counts SELECT date_trunc('hour', now()), 'marketing', p, '127.0.1.1', o, 0, n"
        " FROM (VALUES ('gmail', 'delivered', 9700), ('gmail', 'bounced', 300), ('gmail', 'complained', 15),"
        " ('yahoo', 'delivered', 9)) v(p, o, n)",
    )
    posted = await ops.post("/ips/127.0.1.1/reputation", json={"source": "sender_score", "figure": 97})
    assert (posted.status_code, posted.json()["provider"]) == (201, "*")
    graded = {"provider": "gmail", "source": "postmaster", "figure": "Medium"}
    assert (await ops.post("/ips/127.0.1.1/reputation", json=graded)).json()["figure"] == 66
    found = (await ops.get("/ips/127.0.1.1/reputation")).json()
    ReputationAnswer.model_validate(found)
    gmail, yahoo = found["providers"]
    assert (gmail["provider"], gmail["score"]) == ("gmail", 67)
    assert [one["name"] for one in gmail["parts"] if one["cost"]] == ["complaints", "bounces"]
    assert (yahoo["score"], yahoo["reason"]) == (
        None,
        "too little to judge by: 9 mails in 7 days, a score needs 500",
    )
    assert [(one["source"], one["figure"]) for one in found["imported"]] == [("sender_score", 97), ("postmaster", 66)]


async def test_engagement_is_that_of_streams_that_are_tracked(ops: httpx.AsyncClient, database: Database) -> None:
    await add_ip(ops, "127.0.1.1")
    told = {
        ("marketing", "delivered", "1"): 600, ("marketing", "opened", "first"): 30,
        ("marketing", "opened", "again"): 99, ("marketing", "opened", "machine"): 500,
        ("marketing", "clicked", "first"): 7,
        ("transactional", "delivered", "1"): 9_400,
    }  # fmt: skip
    whose = Origin(UUID(int=1), UUID(int=2))
    async with database.transaction() as connection:
        pairs = {(Counted(lane, "gmail", "127.0.1.1", *kind), whose): n for (lane, *kind), n in told.items()}
        await counters.add(connection, pairs)
    await folding.fold(database)
    [gmail] = (await ops.get("/ips/127.0.1.1/reputation")).json()["providers"]

    assert (gmail["evidence"]["delivered"], gmail["evidence"]["tracked"], gmail["evidence"]["engaged"]) == (
        10_000,
        600,
        30,
    )
    assert {one["name"]: one["cost"] for one in gmail["parts"]}["engagement"] == 8.3  # half of 20 of 120 points


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"figure": 101}, "figure"),
        ({"figure": "grey"}, "figure"),
        ({"source": "Sender Score"}, "source"),
        ({"provider": "gmial"}, "provider"),
        ({"note": "a\x00"}, "note"),
        ({"at": "1970-01-01T00:00:00Z"}, "at"),
    ],
)
async def test_wrong_figures_are_refused(ops: httpx.AsyncClient, fields: dict[str, Any], field: str) -> None:
    await add_ip(ops, "127.0.1.1")
    answer = await ops.post("/ips/127.0.1.1/reputation", json={"source": "snds", "figure": 1, **fields})
    assert errors_of(answer) == (422, "validation_error"), answer.text
    assert f"`{field}`" in answer.json()["message"]
    assert (await ops.get("/ips/127.0.1.1/reputation")).json()["imported"] == []


async def test_alarms_are_listed_and_cleared(ops: httpx.AsyncClient, database: Database) -> None:
    async with database.transaction() as connection:
        await alarms.raise_alarm(connection, AlarmKind.BLOCKLISTED, "127.0.1.1 at gmail", "spamhaus: listed")
    listed = (await ops.get("/alarms")).json()
    AlarmList.model_validate(listed)
    (alarm,) = listed["data"]
    assert (alarm["kind"], alarm["subject"], alarm["count"]) == ("blocklisted", "127.0.1.1 at gmail", 1)
    assert (await ops.post(f"/alarms/{alarm['id']}/clear")).json()["cleared"] is True
    assert errors_of(await ops.post(f"/alarms/{alarm['id']}/clear")) == (404, "not_found")
    assert (await ops.get("/alarms")).json()["data"] == []


async def test_providers_and_what_a_reply_means(ops: httpx.AsyncClient) -> None:
    listed = (await ops.get("/providers")).json()
    ProviderList.model_validate(listed)
    assert listed["data"][-1]["name"] == "other"
    gmail = (await ops.get("/providers/gmail")).json()
    assert gmail["limits"]["connections"] >= 1
    assert "google.com" in gmail["mx_suffixes"]
    assert errors_of(await ops.get("/providers/gmial")) == (404, "not_found")
    reply = "421-4.7.28 Our system has detected an unusual rate of mail originating from your IP address"
    told = (await ops.post("/providers/explain", json={"provider": "gmail", "reply": reply})).json()
    Explained.model_validate(told)
    assert (told["code"], told["enhanced"], told["action"], told["suppress"]) == (421, "4.7.28", "throttle_ip", False)
    wrong = await ops.post("/providers/explain", json={"provider": "gmail", "reply": "what?"})
    assert errors_of(wrong) == (422, "validation_error")
