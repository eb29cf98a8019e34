"""Domains, throttles and warm-ups are told of, each in the transaction that changes it."""

from datetime import UTC, datetime, timedelta
from functools import partial

from accounts import repository as accounts
from accounts.domain import RecordCheck
from accounts.repository import DomainRequest, FreshKey
from core.secrets import InstanceSecret
from pools import health
from pools.health import Evidence, Policy
from pools.throttle_repository import Key, forget_ip, move
from store.database import Database
from tests.integration.webhooks.outbox import make_endpoint, told, types
from warmup import library
from warmup import repository as warmup

NOW = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
IP = Key("ip", "203.0.113.5", "gmail")


async def test_the_life_of_a_domain(database: Database) -> None:
    async with database.transaction() as connection:
        shop = await accounts.create_application(connection, "shop")
    assert shop is not None
    endpoint = await make_endpoint(database, shop.id)
    keys = (FreshKey("s1", "rsa", b"private", "public"),)
    found = RecordCheck("verified", "")
    async with database.connection() as connection:
        wanted = DomainRequest(shop.id, "shop.test", "bounce.shop.test", keys)
        domain = await accounts.create_domain(connection, InstanceSecret(b"5" * 32), wanted)
        assert domain is not None
        for status in ("verified", "verified", "temporary_failure"):
            await accounts.store_checks(connection, domain.id, status, {"spf": found})
        assert await accounts.delete_domain(connection, shop.id, domain.id)
        assert not await accounts.delete_domain(connection, shop.id, domain.id)
    events = await told(database, endpoint)

    assert [(event["type"], event["data"]["status"]) for event in events] == [
        ("domain.created", "not_started"), ("domain.updated", "verified"), ("domain.updated", "failed"),
        ("domain.deleted", "failed"),
    ]  # fmt: skip
    assert events[1]["data"]["records"] == [{"kind": "spf", "record": "SPF", "status": "verified", "reason": ""}]
    assert events[1]["data"]["return_path"] == "bounce.shop.test"
    assert {event["data"]["id"] for event in events} == {str(domain.id)}


async def test_an_ip_rests_and_comes_back(database: Database) -> None:
    operators = await make_endpoint(database, None)
    application = await make_endpoint(database)
    evidence = Evidence("gmail_4_7_28", "rate_limited", "421 4.7.28", None, 0.0, NOW)
    throttle = partial(health.throttled, evidence=evidence, ceiling=1.0, now=NOW, policy=Policy())
    async with database.transaction() as connection:
        await move(connection, IP, throttle, NOW, "worker")
        await move(connection, Key("domain", "shop.test", "gmail"), throttle, NOW, "worker")
        await move(connection, IP, lambda _: None, NOW, "worker")
        await move(connection, IP, throttle, NOW, "worker")
        await forget_ip(connection, IP.subject, "an operator")
    events = await told(database, operators)

    assert [event["type"] for event in events] == ["ip.throttled", "ip.recovered", "ip.throttled"]
    first = {"ip": "203.0.113.5", "provider": "gmail", "class": "rate_limited", "rule": "gmail_4_7_28"}
    assert {name: events[0]["data"][name] for name in first} == first
    assert datetime.fromisoformat(events[0]["data"]["rest_until"]) - NOW > timedelta(0)
    assert await told(database, application) == []


async def test_the_steps_of_a_warm_up(database: Database) -> None:
    operators = await make_endpoint(database, None)
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO egress_ips (id, address, bind_address, ehlo_name)"
            " VALUES (gen_random_uuid(), '203.0.113.5', '203.0.113.5', 'm1.example.com')"
        )
        await warmup.start(connection, "203.0.113.5", await library.find(connection, "stages-29"))
        await warmup.pause(connection, "203.0.113.5")
        await warmup.resume(connection, "203.0.113.5")
        await warmup.complete(connection, "203.0.113.5", reason="moved from another server")
    found = await types(database, operators)

    assert found[:3] == ["warmup.started", "warmup.paused", "warmup.resumed"]
    assert set(found[3:]) == {"warmup.completed"}
    assert (await told(database, operators))[-1]["data"]["reason"] == "moved from another server"
