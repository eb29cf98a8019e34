"""Applications, domains, keys and snippets: what developers and operators do there, and what others do not see."""

import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import unescape

import pytest

from accounts import repository as accounts
from accounts import users
from accounts.directory import token_hash
from accounts.domain import Domain
from accounts.quotas import Quota, set_quota
from accounts.repository import DomainRequest, KeyRequest
from accounts.roles import Role
from core.secrets import InstanceSecret
from core.settings import Settings
from store.database import Database
from tests.dns_table import DnsTable
from tests.integration.console.conftest import SECRET, Person
from tests.integration.messages.emails import execute, make_partitions, new_email, rows, store

HOSTILE = "<script>alert(1)</script>"
HOST = "mail.acme.example"


@pytest.fixture
async def dns() -> AsyncIterator[DnsTable]:
    """Nothing is published at first."""
    async with DnsTable({}) as table:
        yield table


@pytest.fixture
def settings(settings: Settings, dns: DnsTable) -> Settings:
    """As usual, with this name server and public pages."""
    own = {"hostname": HOST, "dns_servers": (dns.address,), "public_url": "https://pages.acme.example"}
    return settings.model_copy(update=own)


@dataclass(frozen=True, slots=True)
class Shop:
    """An application with a domain and a key, both of hostile names where that can be."""

    id: uuid.UUID
    domain: Domain
    key: uuid.UUID


@pytest.fixture
async def shop(database: Database) -> Shop:
    """The application of most tests."""
    keys = await accounts.make_keys()
    async with database.transaction() as connection:
        made = await accounts.create_application(connection, f"shop {HOSTILE}")
        assert made is not None
        request = DomainRequest(made.id, "shop.example", "bounce.shop.example", keys)
        domain = await accounts.create_domain(connection, InstanceSecret.from_text(SECRET), request)
        assert domain is not None
        wanted = KeyRequest(made.id, f"backend {HOSTILE}", "sending_access", domain.id)
        key, _ = await accounts.create_key(connection, wanted)
    return Shop(made.id, domain, key.id)


def publish(dns: DnsTable, page: str) -> None:
    """Every record of a page, as somebody would copy it out of the zone file there."""
    zone = unescape(re.findall(r'<pre class="source">(.*?)</pre>', page, re.S)[0])
    for line in zone.strip().splitlines():
        name, _, _, kind, data = line.split(" ", 4)
        dns.records[name.rstrip("."), kind] = [data]
    dns.records[f"_spf.{HOST}", "TXT"] = ['"v=spf1 ip4:203.0.113.7 -all"']


async def actions(database: Database) -> list[str]:
    """Of the audit log, oldest first."""
    return [row[0] for row in await rows(database, "SELECT action FROM audit_log ORDER BY id")]


# Domains


async def test_a_domain_from_the_form_to_the_first_mail(admin: Person, dns: DnsTable, database: Database) -> None:
    assert "No application yet" in (await admin.get("/domains")).text
    await admin.post("/applications", "/applications", name="shop")
    assert "postlane domains create" in (await admin.get("/domains")).text
    wrong = await admin.post("/domains", "/domains", name="localhost")
    assert (wrong.status_code, 'id="error-name"' in wrong.text) == (422, True)
    made = await admin.post("/domains", "/domains", name="Shop.example", return_path="b")
    path = made.headers["location"]
    fresh = (await admin.get(path)).text
    assert "5 records, and nobody has looked for them yet." in fresh
    assert "refused until the 3 required ones are found" in fresh
    assert "b.shop.example" in fresh
    assert "already registered" in (await admin.post("/domains", "/domains", name="shop.example")).text

    assert (await admin.post(f"{path}/check", path)).status_code == 303
    assert "5 of 5 records are missing; mail from shop.example is not signed yet" in (await admin.get(path)).text
    publish(dns, fresh)
    dns.records["b.shop.example", "MX"] = ["10 mx.other.example."]
    await admin.post(f"{path}/check", path)
    differs = (await admin.get(path)).text
    assert "1 of 5 records differs" in differs
    assert "10 mx.other.example" in differs
    assert "Return path: differs" in (await admin.get("/domains")).text
    publish(dns, fresh)
    await admin.post(f"{path}/check", path)
    good = (await admin.get(path)).text
    assert "Nothing: all 5 records are there. Mail from shop.example is signed and leaves." in good
    assert "From the one there is." in (await admin.get("/domains")).text
    assert await actions(database) == ["application.create", "domain.create"]
    assert (await admin.get("/find?q=shop.example")).headers["location"] == path


async def test_new_keys_step_by_step(admin: Person, dns: DnsTable, shop: Shop, database: Database) -> None:
    path = f"/domains/{shop.domain.id}"
    publish(dns, (await admin.get(path)).text)
    await admin.post(f"{path}/check", path)
    old = {key.selector for key in shop.domain.keys}
    await admin.post(f"{path}/rotate", path)
    page = (await admin.get(path)).text
    assert "New keys wait for their records." in page
    values = re.findall(r'data-copy="(v=DKIM1; [^"]+)"', page)
    names = re.findall(r'data-copy="(pl\w+\._domainkey\.shop\.example)"', page)
    new = [(name, value) for name, value in zip(names, values, strict=True) if name.partition(".")[0] not in old]
    assert len(new) == 2
    assert (await admin.post(f"{path}/rotate", path)).status_code == 409

    for name, value in new:
        dns.records[name, "TXT"] = [" ".join(f'"{unescape(value)[n : n + 250]}"' for n in range(0, len(value), 250))]
    await admin.post(f"{path}/check", path)
    after = (await admin.get(path)).text
    assert "The new keys sign from now on. Leave the old records for a week." in after
    assert "leave it until" in after
    assert all(f"{selector}._domainkey.shop.example</code>: leave it" in after for selector in old)
    assert await actions(database) == ["domain.rotate", "domain.switch"]
    [(actor, door)] = await rows(database, "SELECT actor, door FROM audit_log WHERE action = 'domain.switch'")
    assert (actor, door) == ("ada@acme.example", "console")

    await admin.post(f"{path}/rotate", path)
    await admin.post(f"{path}/rotate/cancel", path)
    assert "New keys wait" not in (await admin.get(path)).text
    assert (await actions(database))[2:] == ["domain.rotate", "domain.give_up"]


async def test_tracking_and_what_receivers_look_up_besides(
    admin: Person, dns: DnsTable, shop: Shop, database: Database
) -> None:
    path = f"/domains/{shop.domain.id}"
    wrong = await admin.post(f"{path}/tracking", path, tracking_subdomain="bounce")
    assert (wrong.status_code, "is the return path" in wrong.text) == (422, True)
    ticked = await admin.post(f"{path}/tracking", path, clicks="on", tracking_subdomain="bounce")
    assert 'name="clicks" checked' in ticked.text, "what was ticked is ticked still"
    assert 'name="opens" checked' not in ticked.text
    await admin.post(f"{path}/tracking", path, opens="on", tracking_subdomain="Links")
    shown = (await admin.get(path)).text
    assert "links.shop.example" in shown
    assert "Tracking host" in shown
    assert await rows(database, "SELECT before, after FROM audit_log") == [
        (
            {"open_tracking": False, "tracking_subdomain": ""},
            {"open_tracking": True, "tracking_subdomain": "links"},
        )
    ]
    dns.records["_dmarc.shop.example", "TXT"] = [f'"v=DMARC1; p=reject; rua=mailto:{HOSTILE}@x.example"']
    around = (await admin.get(f"{path}/around")).text
    assert "Mail that forges this domain is refused." in around
    assert "No logo is shown" in around
    assert "<script>alert" not in around
    assert "fbl@mail.acme.example" in around


async def test_deleting_a_domain_says_what_follows_in_numbers(admin: Person, shop: Shop, database: Database) -> None:
    await make_partitions(database)
    await store(database, new_email("a@x.test", "b@x.test", application_id=shop.id, domain_id=shop.domain.id))
    await store(database, new_email("c@x.test", application_id=shop.id))
    path = f"/domains/{shop.domain.id}"
    asked = (await admin.get(f"{path}/delete")).text
    assert "2 messages wait to be sent from it." in asked
    assert "1 API key may send from this domain only, and goes with it." in asked
    gone = await admin.post(f"{path}/delete", f"{path}/delete")
    assert gone.status_code == 303
    assert (await admin.get(path)).status_code == 404
    assert await rows(database, "SELECT count(*) FROM api_keys") == [(0,)]
    assert await actions(database) == ["domain.delete"]


# Keys


async def test_a_key_is_shown_once_used_renamed_and_revoked(admin: Person, shop: Shop, database: Database) -> None:
    made = await admin.post("/keys", "/keys", name="web", mode="live", permission="full_access", domain="")
    token = re.search(r"<code>(pl_[\w-]{40,})</code>", made.text)
    assert token is not None
    assert token[1] not in (await admin.get("/keys")).text
    [(key, test)] = await rows(database, "SELECT id, test FROM api_keys WHERE token_hash = %s", [token_hash(token[1])])
    assert test is False
    listed = (await admin.get("/keys")).text
    assert "2 keys: 2 live, 0 for tests. None was ever used." in listed
    assert "<script>alert" not in listed
    await rows(
        database, "UPDATE api_keys SET last_used_at = now() - interval '3 minutes' WHERE id = %s RETURNING 1", [key]
    )
    panel = f"/keys?open={key}"
    assert "It was last used 3 min ago." in (await admin.get(panel)).text
    await admin.post(f"/keys/{key}/rename", panel, name="shop front")
    assert "shop front" in (await admin.get(panel)).text
    gone = await admin.post(f"/keys/{key}/revoke", panel)
    assert gone.status_code == 303
    assert await rows(database, "SELECT count(*) FROM api_keys WHERE id = %s", [key]) == [(0,)]
    assert (await admin.post(f"/keys/{key}/revoke", "/keys")).status_code == 404
    assert await actions(database) == ["key.create", "key.update", "key.delete"]
    logged = str(await rows(database, "SELECT before, after FROM audit_log"))
    assert token[1] not in logged


async def test_a_key_of_one_domain_and_one_for_tests(admin: Person, shop: Shop, database: Database) -> None:
    domain = str(shop.domain.id)
    fields = {"name": "web", "mode": "live", "permission": "full_access", "domain": domain}
    wrong = await admin.post("/keys", "/keys", **fields)
    assert (wrong.status_code, "can only send" in wrong.text) == (422, True)
    for name, value in (("permission", "operator"), ("mode", "odd"), ("name", " "), ("domain", str(uuid.uuid4()))):
        fields = {"name": "web", "mode": "live", "permission": "sending_access", "domain": domain} | {name: value}
        assert (await admin.post("/keys", "/keys", **fields)).status_code == 422, name
    made = await admin.post("/keys", "/keys", name="ci", mode="test", permission="sending_access", domain=domain)
    assert "pl_test_" in made.text
    assert await rows(database, "SELECT domain_id, test, permission FROM api_keys WHERE name = 'ci'") == [
        (shop.domain.id, True, "sending_access")
    ]


# Applications


async def test_an_application_is_made_limited_renamed_and_deleted(admin: Person, database: Database) -> None:
    assert "postlane applications create" in (await admin.get("/applications")).text
    made = await admin.post("/applications", "/applications", name=f"News {HOSTILE}", messages_per_day="1,000")
    panel = made.headers["location"]
    one = panel.partition("open=")[2]
    shown = (await admin.get(panel)).text
    assert "0 of 1,000 messages brought in today (UTC); 1,000 are left." in shown
    assert "<script>alert" not in shown
    for fields in ({"name": ""}, {"name": "x", "messages_per_day": "many"}, {"name": "x", "messages_per_second": "-1"}):
        assert (await admin.post(f"/applications/{one}", panel, **fields)).status_code == 422, fields
    assert (await admin.post("/applications", "/applications", name=f"News {HOSTILE}")).status_code == 422
    await admin.post(f"/applications/{one}", panel, name="News", messages_per_second="50")
    listed = (await admin.get("/applications")).text
    assert "1 application brought in 0 messages in the last 24 hours. 1 has a quota." in listed
    assert "50 a second" in listed
    asked = f"/applications/{one}/delete"
    assert "Nothing in it." in (await admin.get(asked)).text
    gone = await admin.post(asked, asked)
    assert gone.status_code == 303
    assert await rows(database, "SELECT count(*) FROM applications") == [(0,)]
    assert await actions(database) == ["application.create", "application.update", "application.delete"]
    [(before, after)] = await rows(database, "SELECT before, after FROM audit_log WHERE action = 'application.update'")
    assert (before["messages_per_day"], after) == (
        1000, {"name": "News", "messages_per_day": None, "messages_per_second": 50},
    )  # fmt: skip


async def test_mail_under_way_keeps_an_application_unless_it_is_cancelled(
    admin: Person, shop: Shop, database: Database
) -> None:
    await make_partitions(database)
    await store(database, new_email("a@x.test", application_id=shop.id, domain_id=shop.domain.id))
    async with database.transaction() as connection:
        await accounts.delete_keys(connection, shop.id)  # nobody is waited for then
        await set_quota(connection, shop.id, Quota(per_day=5))
    asked = f"/applications/{shop.id}/delete"
    page = (await admin.get(asked)).text
    assert "1 domain and 1 message that waits." in page
    assert "<script>alert" not in page
    kept = await admin.post(asked, asked)
    assert (kept.status_code, "is under way" in kept.text) == (422, True)
    assert 'name="cancel" checked' not in kept.text
    assert (await admin.post(asked, asked, cancel="on")).status_code == 303
    assert await rows(database, "SELECT state FROM messages") == [("cancelled",)]
    assert await actions(database) == ["application.delete"]


async def test_answers_over_lists_count_what_no_page_shows(admin: Person, shop: Shop, database: Database) -> None:
    await execute(
        database,
        "INSERT INTO domains (id, application_id, name, return_path_domain, status)"
        " SELECT gen_random_uuid(), %s, 'd' || n || '.example', 'b.d' || n || '.example', 'verified'"
        " FROM generate_series(1, 60) n",
        [shop.id],
    )
    await execute(
        database,
        "INSERT INTO api_keys (id, application_id, name, token_hash, hint, permission, test)"
        " SELECT gen_random_uuid(), %s, 'k' || n, sha256(n::text::bytea), 'pl_', 'full_access', true"
        " FROM generate_series(1, 60) n",
        [shop.id],
    )
    answers = {"/domains": "From 60 of 61. shop.example lacks records.", "/keys": "61 keys: 1 live, 60 for tests."}
    for page, told in answers.items():
        text = (await admin.get(page)).text
        older = unescape(re.findall(rf'href="({page}\?after=[^"]+)"', text)[0])
        assert told in text
        assert told in (await admin.get(older)).text


async def test_a_list_below_a_refused_form_leads_to_pages_that_are_there(
    admin: Person, shop: Shop, database: Database
) -> None:
    await execute(
        database,
        "INSERT INTO api_keys (id, application_id, name, token_hash, hint, permission)"
        " SELECT gen_random_uuid(), %s, 'k' || n, sha256(n::text::bytea), 'pl_', 'full_access'"
        " FROM generate_series(1, 60) n",
        [shop.id],
    )

    refused = await admin.post(f"/keys/{shop.key}/rename", "/keys", name=" ")

    assert refused.status_code == 422
    links = {unescape(one) for one in re.findall(r'href="(/keys[?/][^"]+)"', refused.text)}
    assert any("after=" in one for one in links)
    assert {(await admin.get(one)).status_code for one in links} == {200}


# Snippets


async def test_snippets_have_the_readers_own_values(admin: Person, shop: Shop, database: Database) -> None:
    page = unescape((await admin.get("/snippets")).text)
    assert "shop.example is not verified yet" in page
    await rows(database, "UPDATE domains SET status = 'verified' RETURNING 1")
    page = unescape((await admin.get("/snippets")).text)
    assert "from any address at shop.example" in page
    assert page.count("hello@shop.example") >= 8, "each snippet, and what its button copies"
    assert page.count("ada@acme.example") >= 8
    assert 'smtplib.SMTP("mail.acme.example", 587)' in page
    assert "Set POSTLANE_API_PUBLIC_URL" in page


# Who sees what


async def test_somebody_of_one_application_sees_and_changes_nothing_of_another(
    viewer: Person, shop: Shop, database: Database
) -> None:
    assert viewer.user is not None
    keys = await accounts.make_keys()
    async with database.transaction() as connection:
        other = await accounts.create_application(connection, "other")
        assert other is not None
        request = DomainRequest(other.id, "other.example", "bounce.other.example", keys)
        await accounts.create_domain(connection, InstanceSecret.from_text(SECRET), request)
        await users.set_role(connection, viewer.user, Role.OPERATOR, (other.id,))
    for page in ("/domains", "/keys", "/applications", "/snippets"):
        text = (await viewer.get(page)).text
        assert "shop.example" not in text, page
        assert "backend &lt;" not in text, page
        assert "shop &lt;" not in text, page
    assert "other.example" in (await viewer.get("/domains")).text
    path = f"/domains/{shop.domain.id}"
    for missing in (path, f"{path}/around", f"{path}/delete"):
        assert (await viewer.get(missing)).status_code == 404, missing
    for post in ("check", "tracking", "rotate", "rotate/cancel", "delete"):
        assert (await viewer.post(f"{path}/{post}", "/domains")).status_code == 404, post
    for post in ("rename", "revoke"):
        answer = await viewer.post(f"/keys/{shop.key}/{post}", "/keys", name="mine")
        assert answer.status_code == 404, post
    assert "backend &lt;" not in (await viewer.get(f"/keys?open={shop.key}")).text
    foreign = await viewer.post(
        "/keys", "/keys", name="k", mode="live", permission="full_access", application=str(shop.id)
    )
    assert (foreign.status_code, "none of yours" in foreign.text) == (422, True)
    for post in ("/applications", f"/applications/{other.id}", f"/applications/{other.id}/delete"):
        assert (await viewer.post(post, "/keys", name="mine")).status_code == 403, post
    assert await rows(database, "SELECT count(*) FROM audit_log") == [(0,)]
