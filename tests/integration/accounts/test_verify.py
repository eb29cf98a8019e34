"""The whole check: real database, real resolver, DNS answers from a table."""

import time
import uuid
from dataclasses import replace

from accounts import repository, rotation
from accounts.domain import Domain
from accounts.records import domain_records, operator_spf
from accounts.repository import Application, DomainRequest
from accounts.verify import Installation, fresh_resolver, verify_domain
from core.settings import Settings
from store.database import Database
from tests.dns_table import DnsTable
from tests.integration.accounts.conftest import SECRET

HOST = "mail.postlane.test"
IP = "203.0.113.7"
OURS = Installation(HOST, SECRET)


async def new_domain(database: Database, owner: Application) -> Domain:
    request = DomainRequest(owner.id, "shop.test", "bounce.shop.test", await repository.make_keys())
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO egress_ips (id, address, bind_address, ehlo_name) VALUES (%s, %s, '127.0.1.1', 'out1.test')",
            [uuid.uuid4(), IP],
        )
        made = await repository.create_domain(connection, SECRET, request)
    assert made is not None
    return made


def published(domain: Domain) -> dict[tuple[str, str], list[str] | int | None]:
    """The zone as an owner and an operator would write it from what we show."""
    records = domain_records(domain.name, domain.return_path_domain, domain.keys, HOST)
    zone: dict[tuple[str, str], list[str] | int | None] = {}
    for record in (*records, operator_spf(HOST, [IP])):
        zone[record.name, record.type] = [record.zone_line.split(f" IN {record.type} ", 1)[1]]
    return zone


def settings(table: DnsTable) -> Settings:
    return Settings(hostname=HOST, dns_servers=(table.address,))


async def test_from_nothing_to_verified(database: Database, shop: Application) -> None:
    domain = await new_domain(database, shop)
    async with DnsTable({}) as table:
        lookup = fresh_resolver(settings(table))
        before = await verify_domain(database, lookup, OURS, domain.id)
        table.records.update(published(domain))
        after = await verify_domain(database, fresh_resolver(settings(table)), OURS, domain.id)
    assert before is not None
    assert before.status == "pending"
    assert {check.status for check in before.checks.values()} == {"pending"}
    assert after is not None
    assert after.status == "verified"
    assert {check.status for check in after.checks.values()} == {"verified"}
    async with database.connection() as connection:
        assert await repository.domain(connection, shop.id, domain.id) == after


async def test_silent_name_servers_take_no_longer_than_asked_and_undo_nothing(
    database: Database, shop: Application
) -> None:
    domain = await new_domain(database, shop)
    async with DnsTable(published(domain)) as table:
        verified = await verify_domain(database, fresh_resolver(settings(table)), OURS, domain.id)
        assert verified is not None
        assert verified.status == "verified"
        table.records = dict.fromkeys(table.records)
        started = time.monotonic()
        silent = await verify_domain(database, fresh_resolver(settings(table)), OURS, domain.id, within=0.3)
        elapsed = time.monotonic() - started
    assert elapsed < 2
    assert silent is not None
    assert silent.status == "verified"
    assert {check.status for check in silent.checks.values()} == {"temporary_failure"}


async def test_a_key_that_is_gone_stops_a_verified_domain(database: Database, shop: Application) -> None:
    domain = await new_domain(database, shop)
    rsa = f"{domain.keys[0].selector}._domainkey.shop.test"
    async with DnsTable(published(domain)) as table:
        await verify_domain(database, fresh_resolver(settings(table)), OURS, domain.id)
        del table.records[rsa, "TXT"]
        after = await verify_domain(database, fresh_resolver(settings(table)), OURS, domain.id)
    assert after is not None
    assert after.status == "temporary_failure"
    assert after.checks["dkim_rsa"].status == "pending"
    assert rsa in after.checks["dkim_rsa"].reason


async def test_a_new_address_that_spf_does_not_cover_is_found(database: Database, shop: Application) -> None:
    domain = await new_domain(database, shop)
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO egress_ips (id, address, bind_address, ehlo_name)"
            " VALUES (%s, '203.0.113.99', '127.0.1.2', 'out2.test')",
            [uuid.uuid4()],
        )
    async with DnsTable(published(domain)) as table:
        found = await verify_domain(database, fresh_resolver(settings(table)), OURS, domain.id)
    assert found is not None
    assert found.status == "failed"
    assert "203.0.113.99" in found.checks["spf"].reason


async def test_a_domain_without_keys_is_told_what_it_lacks_and_comes_back_with_new_ones(
    database: Database, shop: Application
) -> None:
    domain = await new_domain(database, shop)
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM dkim_keys WHERE domain_id = %s", [domain.id])
    async with DnsTable(published(domain)) as table:
        bare = await verify_domain(database, fresh_resolver(settings(table)), OURS, domain.id)
        assert bare is not None
        async with database.transaction() as connection:
            coming = await rotation.begin(connection, SECRET, bare, await repository.make_keys())
        table.records.update(published(replace(coming, keys=coming.coming)))
        again = await verify_domain(database, fresh_resolver(settings(table)), OURS, domain.id)

    assert bare.status == "failed"
    assert bare.checks["dkim_rsa"].reason == (
        "shop.test has no RSA key, so its mail cannot be signed. Make new keys, publish their records, check again."
    )
    assert again is not None
    assert again.status == "verified"
    assert {check.status for check in again.checks.values()} == {"verified"}


async def test_a_domain_that_is_gone(database: Database) -> None:
    async with DnsTable({}) as table:
        assert await verify_domain(database, fresh_resolver(settings(table)), OURS, uuid.uuid4()) is None
        assert not table.asked
