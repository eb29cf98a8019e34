"""A relay in the store: its password sealed, its limits kept, and used like any other IP of a pool."""

import psycopg
import pytest

from core.queues import Lane
from core.refusal import Refused
from core.secrets import InstanceSecret
from mta.model import EgressIp, RelayLimits
from pools import administration, ips
from pools.administration import NewPool
from pools.ip_values import IpChange, LimitsChange, changed, egress_ip
from pools.repository import PoolBook
from store.database import Database

SECRET = InstanceSecret(bytes(32))
VIA = "smtp+tls://shop:p%40ss@smtp.example.com:587"


async def add(database: Database, *wanted: EgressIp) -> None:
    """A pool of these."""
    async with database.transaction() as connection:
        await administration.create_pool(connection, NewPool("main", Lane.TRANSACTIONAL, default=True))
        for ip in wanted:
            await ips.add_ip(connection, ip, SECRET)
            await administration.attach(connection, "main", ip.address)


async def members(database: Database, secret: InstanceSecret) -> dict[str, EgressIp]:
    """What a worker with this secret finds in the pool."""
    pool = await PoolBook(database, secret).pool_for(Lane.TRANSACTIONAL, None)
    return {member.ip.address: member.ip for member in pool.members}


async def test_a_worker_gets_password_and_limits_and_the_table_does_not_show_the_password(
    database: Database, database_url: str
) -> None:
    relay = egress_ip("vendor", "out.example.com", via=VIA, limits=LimitsChange(2, 14.0, 50_000))
    proxied = egress_ip("192.0.2.7", "out.example.com", via="socks5://ops:p%40ss@10.0.0.5:1080")
    await add(database, relay, proxied)
    found = await members(database, SECRET)
    assert found["vendor"] == relay == EgressIp("vendor", "", "out.example.com", VIA, RelayLimits(2, 14.0, 50_000))
    assert found["192.0.2.7"] == proxied
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT address, via, egress_ips::text FROM egress_ips ORDER BY 1").fetchall()
    assert [via for _, via, _ in rows] == ["socks5://ops@10.0.0.5:1080", "smtp+tls://shop@smtp.example.com:587"]
    assert not [text for _, _, text in rows if "p@ss" in text or "p%40ss" in text]


async def test_with_another_secret_the_password_is_missing_and_nothing_else(database: Database) -> None:
    await add(database, egress_ip("vendor", "out.example.com", via=VIA))
    found = await members(database, InstanceSecret(bytes(31) + b"x"))
    assert found["vendor"].via == "smtp+tls://shop@smtp.example.com:587"


async def test_a_sealed_password_belongs_to_its_ip(database: Database) -> None:
    await add(database, egress_ip("vendor", "out.example.com", via=VIA), egress_ip("other", "out.example.com", via=VIA))
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE egress_ips SET sealed_password = (SELECT sealed_password FROM egress_ips WHERE address = 'other')"
        )
    assert "p%40ss" not in (await members(database, SECRET))["vendor"].via


async def test_what_is_not_said_stays(database: Database) -> None:
    await add(database, egress_ip("vendor", "out.example.com", via=VIA, limits=LimitsChange(2)))
    async with database.transaction() as connection:
        row = await ips.ip_row(connection, "Vendor")
        wanted = changed(row.egress(SECRET), IpChange(limits=LimitsChange(messages_per_hour=100)))
        await ips.change_ip(connection, wanted, SECRET)
    found = await members(database, SECRET)
    assert found["vendor"] == EgressIp("vendor", "", "out.example.com", VIA, RelayLimits(2, 0.0, 100))


def test_an_ip_does_not_become_a_relay() -> None:
    with pytest.raises(Refused, match="cannot become a relay"):
        changed(egress_ip("192.0.2.7", "out.example.com"), IpChange(via=VIA))
