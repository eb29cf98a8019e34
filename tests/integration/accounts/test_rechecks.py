"""Sender domains are looked at again: pending ones ever more rarely, verified ones now and then, others' not."""

import asyncio
from uuid import UUID, uuid4

import pytest

from accounts.rechecks import recheck, take_due
from accounts.repository import Application
from store.database import Database


async def domain(database: Database, shop: Application, status: str, age: str, checked: str | None) -> UUID:
    """A domain made `age` ago and last checked `checked` ago."""
    key = uuid4()
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO domains (id, application_id, name, return_path_domain, status, created_at, checked_at)"
            " VALUES (%s, %s, %s, %s, %s, now() - %s::interval, now() - %s::interval)",
            [key, shop.id, f"{key}.example", f"b.{key}.example", status, age, checked],
        )
    return key


@pytest.mark.parametrize(
    ("status", "age", "checked", "due"),
    [
        ("pending", "3 minutes", "50 seconds", False),
        ("pending", "3 minutes", "61 seconds", True),
        ("pending", "5 hours", "59 minutes", False),
        ("failed", "5 hours", "61 minutes", True),
        ("failed", "90 days", "5 hours", False),
        ("failed", "90 days", "7 hours", True),
        ("not_started", "3 days", None, False),
        ("verified", "3 days", "5 hours", False),
        ("verified", "3 days", "7 hours", True),
        ("temporary_failure", "300 days", "16 minutes", True),
        ("temporary_failure", "300 days", "14 minutes", False),
    ],
)
async def test_when_a_domain_is_due(
    database: Database, shop: Application, status: str, age: str, checked: str | None, due: bool
) -> None:
    key = await domain(database, shop, status, age, checked)
    assert await take_due(database) == ([key] if due else [])
    assert await take_due(database) == [], "it is not due again at once"


async def test_several_workers_look_at_different_domains_and_at_all_of_them(
    database: Database, shop: Application
) -> None:
    keys = {await domain(database, shop, "pending", "2 hours", "1 hour") for _ in range(50)}
    seen: list[UUID] = []

    async def check(key: UUID) -> None:
        seen.append(key)
        await asyncio.sleep(0)

    counts = await asyncio.gather(*(recheck(database, check) for _ in range(3)))
    assert sum(counts) == 50
    assert set(seen) == keys
    assert len(seen) == 50


@pytest.mark.parametrize(("kind", "due"), [("dkim_rsa", True), ("spf", False), ("dmarc", False)])
async def test_a_verified_domain_that_missed_a_record_is_soon_looked_at_again(
    database: Database, shop: Application, kind: str, due: bool
) -> None:
    key = await domain(database, shop, "verified", "3 days", "16 minutes")
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE domains SET record_status = jsonb_build_object(%s::text, jsonb_build_object('status', 'pending'))",
            [kind],
        )
    assert await take_due(database) == ([key] if due else [])
