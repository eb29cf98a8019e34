"""Applications, keys and domains on the real database."""

import hashlib
import uuid

import pytest

from accounts import repository
from accounts.domain import Domain, RecordCheck
from accounts.repository import Application, DomainRequest, KeyRequest
from accounts.senders import SenderBook, key_context
from core.errors import ConfigurationError
from core.paging import Page, Window
from core.secrets import InstanceSecret
from mta.sign import Algorithm, generate_ed25519
from store.database import Database
from tests.integration.accounts.conftest import SECRET, MakeApplication


def quick_keys(stem: str) -> tuple[repository.FreshKey, ...]:
    """One Ed25519 key: RSA takes its time."""
    return (repository.FreshKey(f"{stem}e", "ed25519", *generate_ed25519()),)


async def new_domain(database: Database, owner: Application, name: str) -> Domain:
    async with database.transaction() as connection:
        request = DomainRequest(owner.id, name, f"bounce.{name}", quick_keys("s"))
        made = await repository.create_domain(connection, SECRET, request)
    assert made is not None
    return made


async def test_an_application_has_its_name_alone(database: Database, shop: Application) -> None:
    async with database.connection() as connection:
        assert await repository.create_application(connection, "shop") is None
        assert await repository.application(connection, "shop") == shop
        assert await repository.application(connection, "other") is None
        second = await repository.create_application(connection, "blog")
        assert [one.id for one in await repository.applications(connection)] == [shop.id, second.id if second else None]


async def test_only_the_hash_of_a_token_is_stored(database: Database, shop: Application) -> None:
    async with database.connection() as connection:
        key, token = await repository.create_key(connection, KeyRequest(shop.id, "web", "sending_access"))
        cursor = await connection.execute("SELECT *, k::text FROM api_keys k")
        (row,) = await cursor.fetchall()
    assert token.startswith("pl_")
    assert len(token) >= 35
    assert token.isascii()
    assert token not in row[-1]
    assert bytes(row[3]) == hashlib.sha256(token.encode()).digest()
    assert (key.hint, key.permission, key.domain_id, key.last_used_at) == (token[:8], "sending_access", None, None)


async def test_tokens_differ(database: Database, shop: Application) -> None:
    async with database.connection() as connection:
        tokens = {(await repository.create_key(connection, KeyRequest(shop.id, "k")))[1] for _ in range(20)}
    assert len(tokens) == 20


async def test_keys_of_another_application_do_not_exist(
    database: Database, shop: Application, new_application: MakeApplication
) -> None:
    other = await new_application("other")
    async with database.connection() as connection:
        key, _ = await repository.create_key(connection, KeyRequest(shop.id, "web"))
        assert await repository.keys(connection, other.id) == Page([])
        assert not await repository.rename_key(connection, other.id, key.id, "mine")
        assert not await repository.delete_key(connection, other.id, key.id)
        assert [one.name for one in (await repository.keys(connection, shop.id)).entries] == ["web"]
        assert await repository.rename_key(connection, shop.id, key.id, "new")
        assert [one.name for one in (await repository.keys(connection, shop.id)).entries] == ["new"]
        assert await repository.delete_key(connection, shop.id, key.id)
        assert not await repository.delete_key(connection, shop.id, key.id)


async def test_lists_are_read_in_windows_both_ways(database: Database, shop: Application) -> None:
    async with database.connection() as connection:
        made = [(await repository.create_key(connection, KeyRequest(shop.id, f"k{n}")))[0] for n in range(5)]
        newest = [key.id for key in reversed(made)]

        async def ids(window: Window[uuid.UUID]) -> tuple[list[uuid.UUID], bool]:
            found = await repository.keys(connection, shop.id, window)
            return [key.id for key in found.entries], found.has_more

        assert await ids(Window()) == (newest, False)
        assert await ids(Window(2)) == (newest[:2], True)
        assert await ids(Window(2, after=newest[1])) == (newest[2:4], True)
        assert await ids(Window(2, after=newest[3])) == (newest[4:], False)
        assert await ids(Window(2, before=newest[3])) == (newest[1:3], True)
        assert await ids(Window(2, before=newest[2])) == (newest[:2], False)
        assert await ids(Window(5)) == (newest, False)


async def test_fresh_keys_have_selectors_of_their_own() -> None:
    first, second = await repository.make_keys(), await repository.make_keys()
    assert [key.algorithm for key in first] == ["rsa", "ed25519"]
    selectors = [key.selector for key in (*first, *second)]
    assert len(set(selectors)) == 4
    assert all(selector.isalnum() and selector.islower() for selector in selectors)


async def test_workers_can_sign_with_the_keys_of_a_new_domain(database: Database, shop: Application) -> None:
    request = DomainRequest(shop.id, "shop.test", "bounce.shop.test", await repository.make_keys())
    async with database.transaction() as connection:
        domain = await repository.create_domain(connection, SECRET, request)
    assert domain is not None
    sender = await SenderBook(database, SECRET).sender(domain.id)
    assert sender is not None
    assert (sender.name, sender.return_path_domain) == ("shop.test", "bounce.shop.test")
    assert {key.algorithm for key in sender.keys} == {Algorithm.RSA, Algorithm.ED25519}
    assert {key.selector for key in sender.keys} == {key.selector for key in domain.keys}


async def test_private_keys_are_sealed_to_their_domain(database: Database, shop: Application) -> None:
    keys = quick_keys("s")
    request = DomainRequest(shop.id, "shop.test", "bounce.shop.test", keys)
    async with database.transaction() as connection:
        domain = await repository.create_domain(connection, SECRET, request)
        cursor = await connection.execute("SELECT sealed_private_key FROM dkim_keys")
        (row,) = await cursor.fetchall()
    assert domain is not None
    sealed, right = bytes(row[0]), key_context(domain.id, keys[0].selector)
    assert keys[0].private_der not in sealed
    assert SECRET.open(sealed, right) == keys[0].private_der
    with pytest.raises(ConfigurationError):
        InstanceSecret(b"t" * 32).open(sealed, right)
    with pytest.raises(ConfigurationError):
        SECRET.open(sealed, key_context(shop.id, keys[0].selector))


async def test_a_domain_is_registered_once_per_application(
    database: Database, shop: Application, new_application: MakeApplication
) -> None:
    first = await new_domain(database, shop, "shop.test")
    other = await new_application("other")
    second = await new_domain(database, other, "shop.test")
    async with database.transaction() as connection:
        again = DomainRequest(shop.id, "shop.test", "bounce.shop.test", quick_keys("t"))
        assert await repository.create_domain(connection, SECRET, again) is None
        assert await repository.domain(connection, shop.id, second.id) is None
        assert await repository.domain(connection, shop.id, first.id) == first
        assert await repository.domain_named(connection, shop.id, "shop.test") == first
        assert not await repository.delete_domain(connection, other.id, first.id)
        assert await repository.domains(connection, shop.id) == Page([first])


async def test_checks_are_kept_with_the_domain(database: Database, shop: Application) -> None:
    made = await new_domain(database, shop, "shop.test")
    assert (made.status, made.checks, made.checked_at) == ("not_started", {}, None)
    checks = {"spf": RecordCheck("failed", "Not there.")}
    async with database.connection() as connection:
        at = await repository.store_checks(connection, made.id, "failed", checks)
        found = await repository.domain(connection, shop.id, made.id)
        assert await repository.store_checks(connection, uuid.uuid4(), "failed", checks) is None
    assert found is not None
    assert (found.status, found.checks, found.checked_at) == ("failed", checks, at)


async def test_deleting_a_domain_takes_its_keys_with_it(database: Database, shop: Application) -> None:
    made = await new_domain(database, shop, "shop.test")
    async with database.connection() as connection:
        await repository.create_key(connection, KeyRequest(shop.id, "bound", "sending_access", made.id))
        await repository.create_key(connection, KeyRequest(shop.id, "free"))
        assert await repository.delete_domain(connection, shop.id, made.id)
        assert not await repository.delete_domain(connection, shop.id, made.id)
        assert [key.name for key in (await repository.keys(connection, shop.id)).entries] == ["free"]
        cursor = await connection.execute("SELECT count(*) FROM dkim_keys")
        assert await cursor.fetchone() == (0,)
