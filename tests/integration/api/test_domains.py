"""`/domains` on the real application: Resend's shapes, its SDK, our records, and what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import resend

from accounts.senders import Sender, SenderBook
from api.schemas.domains import DomainAdviceList, DomainAnswer, DomainList
from core.secrets import InstanceSecret
from core.settings import Settings
from store.database import Database
from tests.dns_table import DnsTable
from tests.integration.api.account import Account, email
from tests.integration.api.conftest import Server

HOST = "mail.postlane.test"


@pytest.fixture
async def dns() -> AsyncIterator[DnsTable]:
    """The name server of these tests; nothing is published at first."""
    async with DnsTable({}) as table:
        yield table


@pytest.fixture
def settings(database_url: str, redis_url: str, dns: DnsTable) -> Settings:
    """As usual, with this name server."""
    return Settings(
        database_url=database_url,
        redis_url=redis_url,
        secret="5" * 64,
        database_pool_size=4,
        hostname=HOST,
        dns_servers=(dns.address,),
        public_url="http://pages.postlane.test",
    )


@pytest.fixture
def sdk(server: Server, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resend's own SDK, pointed at the server."""
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)


async def create(client: httpx.AsyncClient, name: str = "shop.example", **fields: Any) -> dict[str, Any]:
    answer = await client.post("/domains", json={"name": name, **fields})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def publish(dns: DnsTable, domain: dict[str, Any]) -> None:
    """Copy the records from the answer into the zone, as an owner would; the operator's is there too."""
    for record in domain["records"] + domain["recommended_records"]:
        data = record["zone_line"].split(f" IN {record['type']} ", 1)[1]
        dns.records.setdefault((record["name"], record["type"]), [])
        dns.records[record["name"], record["type"]].append(data)  # type: ignore[union-attr]
    dns.records[f"_spf.{HOST}", "TXT"] = ['"v=spf1 ip4:203.0.113.7 -all"']


def raw(body: object) -> dict[str, Any]:
    """A request with ASCII JSON: a lone surrogate can be written as an escape and as nothing else."""
    return {"content": json.dumps(body), "headers": {"content-type": "application/json"}}


def errors_of(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"statusCode", "name", "message"}
    assert body["statusCode"] == answer.status_code
    return body["statusCode"], body["name"]


async def test_a_new_domain_comes_with_its_records(client: httpx.AsyncClient) -> None:
    body = await create(client, "Shop.Example")
    DomainAnswer.model_validate(body)
    assert (body["object"], body["name"], body["status"]) == ("domain", "shop.example", "not_started")
    assert body["return_path"] == "bounce.shop.example"
    shown = [(one["record"], one["type"], one["name"], one["status"], one["required"]) for one in body["records"]]
    selectors = [one["name"].partition(".")[0] for one in body["records"][:2]]
    assert shown == [
        ("DKIM", "TXT", f"{selectors[0]}._domainkey.shop.example", "not_started", True),
        ("DKIM", "TXT", f"{selectors[1]}._domainkey.shop.example", "not_started", False),
        ("SPF", "MX", "bounce.shop.example", "not_started", True),
        ("SPF", "TXT", "bounce.shop.example", "not_started", True),
    ]
    assert [(one["record"], one["name"]) for one in body["recommended_records"]] == [("DMARC", "_dmarc.shop.example")]
    assert [one["value"] for one in body["records"][2:4]] == [HOST, f"v=spf1 include:_spf.{HOST} -all"]
    assert [one.get("priority") for one in body["records"]] == [None, None, 10, None]
    assert len(body["records"][0]["value"]) > 380


async def test_strict_clients_find_only_words_they_know(
    client: httpx.AsyncClient, account: Account, database: Database
) -> None:
    """Resend's SDK for Rust reads no domain with another region, record or status, or without capabilities."""
    made = await create(client, capabilities={"sending": "enabled", "receiving": "disabled"}, region="eu-west-1")
    async with database.transaction() as connection:
        await connection.execute("UPDATE domains SET status = 'temporary_failure' WHERE id = %s", (made["id"],))
    listed = (await client.get("/domains")).json()["data"][0]
    found = (await client.get(f"/domains/{made['id']}")).json()
    for one in (made, listed, found):
        assert one["region"] == "us-east-1"
        assert one["capabilities"] == {"sending": "enabled", "receiving": "disabled"}
    assert [one["status"] for one in (made, listed, found)] == ["not_started", "failed", "failed"]
    assert {one["record"] for one in made["records"]} == {"DKIM", "SPF"}


@pytest.mark.parametrize("wanted", [{"receiving": "enabled"}, {"sending": "disabled"}])
async def test_a_capability_that_we_lack_is_refused(client: httpx.AsyncClient, wanted: dict[str, str]) -> None:
    answer = await client.post("/domains", json={"name": "shop.example", "capabilities": wanted})
    assert errors_of(answer) == (422, "validation_error")


async def test_a_custom_return_path(client: httpx.AsyncClient) -> None:
    body = await create(client, custom_return_path="Send", region="eu-west-1")
    assert body["return_path"] == "send.shop.example"
    assert {one["name"] for one in body["records"] if one["record"] == "SPF"} == {"send.shop.example"}


async def test_from_registered_to_sending(client: httpx.AsyncClient, dns: DnsTable) -> None:
    domain = await create(client)
    mail = email(sender="hello@shop.example")
    assert errors_of(await client.post("/emails", json=mail)) == (403, "invalid_from_address")
    pending = await client.post(f"/domains/{domain['id']}/verify")
    assert pending.json() == {"object": "domain", "id": domain["id"]}
    found = (await client.get(f"/domains/{domain['id']}")).json()
    assert found["status"] == "pending"
    assert found["checked_at"] is not None
    assert all(one["status"] == "pending" and one["name"] in one["reason"] for one in found["records"])
    assert errors_of(await client.post("/emails", json=mail)) == (403, "invalid_from_address")

    publish(dns, domain)
    assert (await client.post(f"/domains/{domain['id']}/verify")).status_code == 200
    found = (await client.get(f"/domains/{domain['id']}")).json()
    assert found["status"] == "verified"
    assert {one["status"] for one in found["records"]} == {"verified"}
    assert (await client.post("/emails", json=mail)).status_code == 200, "felt at once by the process that verified"


async def test_workers_find_the_keys(client: httpx.AsyncClient, database: Database, settings: Settings) -> None:
    domain = await create(client)
    secret = InstanceSecret.from_text(settings.secret.get_secret_value())
    sender = await SenderBook(database, secret).sender(UUID(domain["id"]))
    assert sender is not None
    names = {f"{key.selector}._domainkey.{sender.name}" for key in sender.keys}
    assert names == {one["name"] for one in domain["records"][:2]}


@pytest.mark.parametrize(
    "name", ["com", "localhost", "192.0.2.1", "[::1]", "a b.example", "me@shop.example", " ", "x" * 301]
)
async def test_what_is_no_domain_is_refused_and_named(client: httpx.AsyncClient, database: Database, name: str) -> None:
    answer = await client.post("/domains", json={"name": name})
    assert errors_of(answer) == (422, "validation_error")
    assert "`name`" in answer.json()["message"]
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM domains WHERE created_at <> (SELECT min(created_at) FROM domains)"
        )
        assert await cursor.fetchone() == (0,)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"custom_return_path": "a b"}, "custom_return_path"),
        ({"custom_return_path": "x@y"}, "custom_return_path"),
        ({"open_tracking": "yes"}, "open_tracking"),
        ({"tracking_subdomain": "a b"}, "tracking_subdomain"),
        ({"tracking_subdomain": "bounce"}, "tracking_subdomain"),
        ({"tls": "enforced"}, "tls"),
        ({"tls": "never"}, "tls"),
        ({"name": 5}, "name"),
        ({"name": "a\x00.example"}, "name"),
        ({"name": "\ud800.example"}, "name"),
    ],
)
async def test_other_wrong_fields_are_named(client: httpx.AsyncClient, fields: dict[str, Any], named: str) -> None:
    answer = await client.post("/domains", **raw({"name": "shop.example", **fields}))
    assert errors_of(answer) == (422, "validation_error")
    assert f"`{named}`" in answer.json()["message"]


async def test_a_missing_name_and_a_body_that_is_no_json(client: httpx.AsyncClient) -> None:
    assert errors_of(await client.post("/domains", json={})) == (422, "missing_required_field")
    headers = {"content-type": "application/json"}
    assert errors_of(await client.post("/domains", content=b"{", headers=headers)) == (400, "validation_error")
    assert errors_of(await client.post("/domains", content=b"x" * 70_000, headers=headers)) == (
        413,
        "payload_too_large",
    )


async def test_the_same_domain_twice_is_a_conflict_also_at_the_same_moment(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/domains", json={"name": "shop.example"}) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    again = await client.post("/domains", json={"name": "SHOP.example."})
    assert errors_of(again) == (409, "conflict")


async def test_lists_and_pages(client: httpx.AsyncClient) -> None:
    everything = (await client.get("/domains")).json()
    DomainList.model_validate(everything)
    ids = [one["id"] for one in everything["data"]]
    assert len(ids) == 4
    assert everything["has_more"] is False
    first = (await client.get("/domains", params={"limit": 3})).json()
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (ids[:3], True)
    rest = (await client.get("/domains", params={"limit": 3, "after": ids[2]})).json()
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (ids[3:], False)
    back = (await client.get("/domains", params={"limit": 3, "before": ids[2]})).json()
    assert [one["id"] for one in back["data"]] == ids[:2]


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 101}, {"after": "x"}, {"after": str(uuid4()), "before": str(uuid4())}]
)
async def test_wrong_pages_are_refused(client: httpx.AsyncClient, query: dict[str, Any]) -> None:
    assert errors_of(await client.get("/domains", params=query)) == (422, "invalid_parameter")


async def test_the_domain_of_another_application_does_not_exist(client: httpx.AsyncClient, account: Account) -> None:
    stranger = {"authorization": f"Bearer {account.stranger}"}
    path = f"/domains/{account.domain_id}"
    for method, where in (("GET", path), ("DELETE", path), ("POST", path + "/verify"), ("PATCH", path)):
        answer = await client.request(method, where, headers=stranger, json={} if method == "PATCH" else None)
        assert errors_of(answer) == (404, "not_found")
    assert (await client.get("/domains", headers=stranger)).json()["data"] == []
    assert (await client.get(path)).status_code == 200


async def test_keys_that_may_only_send_are_refused(client: httpx.AsyncClient, account: Account) -> None:
    sending = {"authorization": f"Bearer {account.sending}"}
    assert errors_of(await client.get("/domains", headers=sending)) == (401, "restricted_api_key")
    answer = await client.post("/domains", json={"name": "shop.example"}, headers=sending)
    assert errors_of(answer) == (401, "restricted_api_key")


async def test_deleting_takes_effect_at_once(client: httpx.AsyncClient, account: Account) -> None:
    assert (await client.post("/emails", json=email())).status_code == 200
    path = f"/domains/{account.domain_id}"
    assert (await client.delete(path)).json() == {"object": "domain", "id": str(account.domain_id), "deleted": True}
    assert errors_of(await client.delete(path)) == (404, "not_found")
    assert errors_of(await client.get(path)) == (404, "not_found")
    assert errors_of(await client.post("/emails", json=email())) == (403, "invalid_from_address")


async def test_what_the_sdk_sends_in_an_update_is_taken_and_what_we_lack_is_not(
    client: httpx.AsyncClient, account: Account
) -> None:
    path = f"/domains/{account.domain_id}"
    body = {"id": str(account.domain_id), "open_tracking": False, "tls": "opportunistic"}
    assert (await client.patch(path, json=body)).json() == {"object": "domain", "id": str(account.domain_id)}
    assert errors_of(await client.patch(path, json={"tls": "enforced"})) == (422, "validation_error")


async def sender_of(database: Database, settings: Settings, domain_id: str) -> Sender:
    """The domain as a worker that has just started sees it."""
    secret = InstanceSecret.from_text(settings.secret.get_secret_value())
    found = await SenderBook(database, secret).sender(UUID(domain_id))
    assert found is not None
    return found


async def test_tracking_is_off_until_it_is_switched_on(
    client: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    made = await create(client)
    assert (made["open_tracking"], made["click_tracking"], made["tracking_subdomain"]) == (False, False, None)
    path = f"/domains/{made['id']}"
    await client.patch(path, json={"open_tracking": True})
    await client.patch(path, json={"click_tracking": True, "open_tracking": None})
    found = (await client.get(path)).json()
    assert (found["open_tracking"], found["click_tracking"]) == (True, True)
    sender = await sender_of(database, settings, made["id"])
    assert (sender.opens, sender.clicks, sender.tracking_host) == (True, True, "")


async def test_a_tracking_host_is_used_once_its_record_is_there(
    client: httpx.AsyncClient, database: Database, settings: Settings, dns: DnsTable
) -> None:
    made = await create(client, tracking_subdomain="Links", click_tracking=True)
    record = made["records"][-1]
    assert made["tracking_subdomain"] == "links"
    assert [record[key] for key in ("record", "type", "name", "value", "required", "status")] == [
        "Tracking", "CNAME", "links.shop.example", "pages.postlane.test", False, "not_started",
    ]  # fmt: skip
    path = f"/domains/{made['id']}"
    await client.post(f"{path}/verify")
    assert (await client.get(path)).json()["records"][-1]["status"] == "pending"
    assert (await sender_of(database, settings, made["id"])).tracking_host == ""

    publish(dns, made)
    await client.post(f"{path}/verify")
    found = (await client.get(path)).json()
    assert (found["status"], found["records"][-1]["status"]) == ("verified", "verified")
    assert (await sender_of(database, settings, made["id"])).tracking_host == "links.shop.example"

    # Its record leads to us whoever's domain it is: an application that has not proven the domain gets no link there.
    async with database.transaction() as connection:
        await connection.execute("UPDATE domains SET status = 'pending' WHERE id = %s", [made["id"]])
    assert (await sender_of(database, settings, made["id"])).tracking_host == ""

    await client.patch(path, json={"tracking_subdomain": "go"})
    found = (await client.get(path)).json()
    assert (found["records"][-1]["name"], found["records"][-1]["status"]) == ("go.shop.example", "not_started")
    assert (await sender_of(database, settings, made["id"])).tracking_host == ""

    await client.patch(path, json={"tracking_subdomain": None})
    found = (await client.get(path)).json()
    assert (found["tracking_subdomain"], {one["record"] for one in found["records"]}) == (None, {"DKIM", "SPF"})


async def test_new_keys_come_beside_the_old_and_take_over_when_found(
    client: httpx.AsyncClient, dns: DnsTable, account: Account, database: Database
) -> None:
    made = await create(client)
    publish(dns, made)
    path = f"/domains/{made['id']}"
    await client.post(f"{path}/verify")
    begun = await client.post(f"{path}/rotation")
    assert begun.status_code == 201, begun.text
    coming = begun.json()
    DomainAnswer.model_validate(coming)
    new = [one for one in coming["records"] if one["name"].partition(".")[0] in coming["rotation"]["coming"]]
    assert [(one["record"], one["status"], one["required"]) for one in new] == [("DKIM", "not_started", False)] * 2
    assert errors_of(await client.post(f"{path}/rotation")) == (409, "conflict")

    publish(dns, {"records": new, "recommended_records": []})
    await client.post(f"{path}/verify")
    found = (await client.get(path)).json()
    assert found["status"] == "verified"
    assert found["rotation"]["coming"] == []
    old = [one["name"] for one in made["records"][:2]]
    assert sorted(one["name"] for one in found["rotation"]["retired"]) == sorted(old)
    assert [one["name"] for one in found["records"][:2]] == [one["name"] for one in new]
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT action FROM audit_log ORDER BY id")
        logged = [row[0] for row in await cursor.fetchall()]
    assert logged == ["domain.create", "domain.verify", "domain.rotate", "domain.verify"]


async def test_new_keys_can_be_given_up(client: httpx.AsyncClient) -> None:
    made = await create(client)
    path = f"/domains/{made['id']}/rotation"
    assert errors_of(await client.delete(path)) == (409, "conflict")
    await client.post(path)
    gone = (await client.delete(path)).json()
    assert (gone["rotation"], gone["records"]) == (None, made["records"])


async def test_what_receivers_look_up_besides(client: httpx.AsyncClient, dns: DnsTable) -> None:
    made = await create(client)
    dns.records["_dmarc.shop.example", "TXT"] = ['"v=DMARC1; p=quarantine"']
    found = (await client.get(f"/domains/{made['id']}/advice")).json()
    DomainAdviceList.model_validate(found)
    assert [(one["topic"], one["standing"]) for one in found["data"]] == [
        ("dmarc", "good"), ("bimi", "missing"), ("mta_sts", "missing"), ("tls_reports", "missing"),
    ]  # fmt: skip
    assert (await client.get(f"/domains/{uuid4()}/advice")).status_code == 404


async def test_an_email_says_for_itself_what_is_tracked(client: httpx.AsyncClient, database: Database) -> None:
    for wanted in ((True, False), (None, True), (None, None)):
        fields = {"open_tracking": wanted[0], "click_tracking": wanted[1]}
        sent = await client.post("/emails", json=email() | fields)
        assert sent.status_code == 200, sent.text
        async with database.connection() as connection:
            cursor = await connection.execute(
                "SELECT open_tracking, click_tracking FROM emails WHERE id = %s", [sent.json()["id"]]
            )
            assert await cursor.fetchone() == wanted
    wrong = await client.post("/emails", json=email() | {"open_tracking": "yes"})
    assert errors_of(wrong) == (422, "validation_error")


async def test_resends_sdk_goes_all_the_way(sdk: None, dns: DnsTable) -> None:
    made = await asyncio.to_thread(resend.Domains.create, {"name": "sdk.example", "region": "us-east-1"})
    assert made["name"] == "sdk.example"
    assert {record["record"] for record in made["records"] or []} == {"DKIM", "SPF"}
    publish(dns, dict(made))
    verified = await asyncio.to_thread(resend.Domains.verify, made["id"])
    assert verified["id"] == made["id"]
    found = await asyncio.to_thread(resend.Domains.get, made["id"])
    assert found["status"] == "verified"
    updated = await asyncio.to_thread(resend.Domains.update, {"id": made["id"], "open_tracking": True})
    assert updated["id"] == made["id"]
    assert (await asyncio.to_thread(resend.Domains.get, made["id"]))["open_tracking"] is True
    listed = await asyncio.to_thread(resend.Domains.list, {"limit": 1})
    assert ([one["name"] for one in listed["data"]], listed["has_more"]) == (["sdk.example"], True)
    removed = await asyncio.to_thread(resend.Domains.remove, made["id"])
    assert removed["deleted"] is True
    with pytest.raises(resend.exceptions.ResendError) as gone:
        await asyncio.to_thread(resend.Domains.get, made["id"])
    assert (gone.value.code, gone.value.error_type) == (404, "not_found")
