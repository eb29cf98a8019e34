"""New keys for a domain: beside the old ones, then in their place, and the old ones gone after a week."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from accounts import audit, repository, rotation
from accounts.audit import Wanted
from accounts.domain import Domain
from accounts.records import PublicKey, domain_records
from accounts.repository import Application
from accounts.senders import load_sender
from accounts.verify import fresh_resolver, verify_domain
from core.paging import Window
from core.refusal import Refused
from mta.resolve import Resolver
from store.database import Database
from tests.dns_table import DnsTable
from tests.integration.accounts.conftest import SECRET
from tests.integration.accounts.test_verify import OURS, new_domain, published, settings


async def begin(database: Database, domain: Domain) -> Domain:
    keys = await repository.make_keys()
    async with database.transaction() as connection:
        return await rotation.begin(connection, SECRET, domain, keys)


def records(domain: Domain, keys: Sequence[PublicKey]) -> dict[tuple[str, str], list[str] | int | None]:
    """The DKIM records of these keys alone."""
    found = [one for one in domain_records(domain.name, "b.test", keys, "h.test") if "_domainkey" in one.name]
    return {(one.name, "TXT"): [one.zone_line.split(" IN TXT ", 1)[1]] for one in found}


async def check(database: Database, table: DnsTable, domain: Domain) -> Domain:
    found = await verify_domain(database, fresh_resolver(settings(table)), OURS, domain.id)
    assert found is not None
    return found


async def signs(database: Database, domain: Domain) -> set[str]:
    """Selectors that a worker signs with."""
    async with database.connection() as connection:
        sender = await load_sender(connection, SECRET, domain.id)
    assert sender is not None
    return {key.selector for key in sender.keys}


def selectors(keys: Sequence[PublicKey]) -> set[str]:
    return {key.selector for key in keys}


async def test_new_keys_sign_only_when_their_records_are_found(database: Database, shop: Application) -> None:
    domain = await new_domain(database, shop)
    old = selectors(domain.keys)
    async with DnsTable(published(domain)) as table:
        await check(database, table, domain)
        coming = await begin(database, domain)
        new = selectors(coming.coming)
        assert len(new) == 2
        assert new.isdisjoint(old)
        with pytest.raises(Refused, match="are coming already"):
            await begin(database, coming)

        missing = await check(database, table, coming)
        assert (missing.status, selectors(missing.coming)) == ("verified", new)
        assert missing.checks["dkim_rsa_coming"].status == "pending"
        assert await signs(database, domain) == old

        rsa, ed25519 = coming.coming
        table.records.update(records(coming, [rsa]))
        half = await check(database, table, coming)
        assert selectors(half.keys) == old, "receivers that verify Ed25519 today would find none"

        table.records.update(records(coming, [ed25519]))
        after = await check(database, table, coming)
    assert (after.status, selectors(after.keys), after.coming) == ("verified", new, ())
    assert selectors(after.retired) == old
    assert await signs(database, domain) == new
    assert set(after.checks) == {"dkim_rsa", "dkim_ed25519", "return_path_mx", "spf", "dmarc"}
    async with database.connection() as connection:
        [entry] = (await audit.page(connection, Wanted(action="domain.switch"), Window(2))).entries
    assert (entry.actor, entry.door, entry.subject) == ("postlane", "worker", "shop.test")
    assert entry.before and entry.after
    assert (set(entry.before["signs"]), set(entry.after["signs"])) == (old, new)


async def test_a_wrong_record_of_a_new_key_changes_nothing(database: Database, shop: Application) -> None:
    domain = await new_domain(database, shop)
    async with DnsTable(published(domain)) as table:
        await check(database, table, domain)
        coming = await begin(database, domain)
        table.records.update(records(coming, coming.coming))
        rsa = f"{coming.coming[0].selector}._domainkey.shop.test"
        table.records[rsa, "TXT"] = ['"v=DKIM1; k=rsa; p=QUJD"']
        after = await check(database, table, coming)
    assert selectors(after.keys) == selectors(domain.keys)
    found = after.checks["dkim_rsa_coming"]
    assert (found.status, found.found) == ("failed", "v=DKIM1; k=rsa; p=QUJD")


async def test_an_ed25519_record_that_never_was_keeps_nothing_up(database: Database, shop: Application) -> None:
    domain = await new_domain(database, shop)
    ed25519 = domain.keys[1]
    async with DnsTable(published(domain)) as table:
        del table.records[f"{ed25519.selector}._domainkey.shop.test", "TXT"]
        await check(database, table, domain)
        coming = await begin(database, domain)
        table.records.update(records(coming, coming.coming[:1]))
        after = await check(database, table, coming)
    assert selectors(after.keys) == selectors(coming.coming)
    assert (after.status, after.checks["dkim_ed25519"].status) == ("verified", "pending")


async def test_the_old_record_may_go_after_its_week_and_is_forgotten_then(
    database: Database, shop: Application
) -> None:
    domain = await new_domain(database, shop)
    async with DnsTable(published(domain)) as table:
        await check(database, table, domain)
        coming = await begin(database, domain)
        table.records.update(records(coming, coming.coming))
        await check(database, table, coming)
        for name, kind in records(domain, domain.keys):
            del table.records[name, kind]
        early = await check(database, table, domain)
        assert len(early.retired) == 2, "within its week it is shown, whatever DNS says"
        async with database.connection() as connection:
            await connection.execute("UPDATE dkim_keys SET retired_at = retired_at - interval '7 days'")
        late = await check(database, table, domain)
    assert late.retired == ()
    assert late.status == "verified"


class Slow:
    """A resolver that answers after somebody else has looked, too."""

    def __init__(self, resolver: Resolver, meanwhile: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self._resolver = resolver
        self._meanwhile = meanwhile
        self._over: asyncio.Task[object] | None = None

    async def _wait(self) -> None:
        if self._over is None:
            self._over = asyncio.create_task(self._meanwhile())
        await self._over

    async def txt(self, name: str) -> list[str]:
        found = await self._resolver.txt(name)
        await self._wait()
        return found

    async def mx(self, name: str) -> list[tuple[int, str]]:
        return await self._resolver.mx(name)

    async def cname(self, name: str) -> list[str]:
        return await self._resolver.cname(name)

    async def addresses(self, name: str) -> list[str]:
        return await self._resolver.addresses(name)


async def test_a_late_check_stores_nothing_of_keys_that_sign_no_more(database: Database, shop: Application) -> None:
    domain = await new_domain(database, shop)
    async with DnsTable(published(domain)) as table:
        await check(database, table, domain)
        coming = await begin(database, domain)
        table.records.update(records(coming, coming.coming))
        seen: list[Domain] = []

        async def look() -> None:
            seen.append(await check(database, table, coming))

        slow = Slow(fresh_resolver(settings(table)), look)
        late = await verify_domain(database, slow, OURS, domain.id)
    assert late is not None
    assert selectors(late.keys) == selectors(coming.coming), "the other one switched"
    assert (late.status, late.checks, late.checked_at) == (seen[0].status, seen[0].checks, seen[0].checked_at)
    assert set(late.checks) == {"dkim_rsa", "dkim_ed25519", "return_path_mx", "spf", "dmarc"}


async def test_a_look_by_the_clock_is_no_news_after_one_that_was_asked_for(
    database: Database, shop: Application
) -> None:
    domain = await new_domain(database, shop)
    async with DnsTable({}) as nothing, DnsTable(published(domain)) as table:
        slow = Slow(fresh_resolver(settings(nothing)), lambda: check(database, table, domain))
        late = await verify_domain(database, slow, OURS, domain.id, asked=False)
    assert late is not None
    assert late.status == "verified"


async def test_new_keys_can_be_given_up(database: Database, shop: Application) -> None:
    domain = await new_domain(database, shop)
    async with DnsTable(published(domain)) as table:
        await check(database, table, domain)
        coming = await begin(database, domain)
        await check(database, table, coming)
        async with database.transaction() as connection:
            after = await rotation.give_up(connection, coming)
            with pytest.raises(Refused, match="no new keys"):
                await rotation.give_up(connection, coming)
    assert (after.coming, selectors(after.keys)) == ((), selectors(domain.keys))
    assert "dkim_rsa_coming" not in after.checks
