"""A relay is an IP of a pool: it takes what our own cannot, and rests as a whole when it is of no use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme

from core.secrets import InstanceSecret
from pools import administration, ips
from pools.administration import NewPool, PoolChange
from pools.ip_values import egress_ip
from pools.model import EVERYWHERE
from store.database import Database
from tests.integration.messages.emails import rows
from tests.integration.workers.lane import IPS, LANE, SECRET, LaneTest, lane_test, until
from tests.relay import LOGIN, Relay, serving
from tests.smtp_sink import Rule

SLOW_DOWN = "421 4.7.0 Too many messages from this IP address, try again in 10 minutes"


@asynccontextmanager
async def with_relay(
    relay: Relay, database: Database, urls: tuple[str, str], folder: Path, *rules: Rule, login: str = LOGIN
) -> AsyncIterator[LaneTest]:
    """A worker's inside whose pool overflows into a relay."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    async with (
        serving(relay, ca.issue_cert("localhost"), "smtp+tls") as port,
        lane_test(
            database, *urls, folder, *rules, tls_verify_store=folder / "ca.pem", server_networks=("127.0.0.0/8",)
        ) as lane,
    ):
        wanted = egress_ip("vendor", "localhost", via=f"smtp+tls://{login}@localhost:{port}")
        async with database.transaction() as connection:
            await ips.add_ip(connection, wanted, InstanceSecret.from_text(SECRET))
            await administration.create_pool(connection, NewPool("last resort", LANE))
            await administration.attach(connection, "last resort", "vendor")
            await administration.change_pool(connection, "main", PoolChange(overflow="last resort"))
        yield lane


async def conditions(lane: LaneTest) -> list[tuple[object, ...]]:
    await until(lambda: lane.collaborators.throttles.depth() == 0)
    return list(await rows(lane.database, "SELECT subject, site, state FROM throttles WHERE subject = 'vendor'"))


async def test_it_takes_what_no_ip_of_ours_can(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    relay = Relay()
    throttled = tuple(Rule("dot", SLOW_DOWN, source=ip) for ip in IPS)
    async with with_relay(relay, database, (database_url, redis_url), tmp_path, *throttled) as lane:
        email = await lane.put("ann@one.example")
        await lane.deliver()
        event = await lane.event(email)

    assert [envelope.rcpt_tos for envelope in relay.taken] == [["ann@one.example"]]
    assert b"DKIM-Signature" in bytes(relay.taken[0].content or b"")
    assert (event["kind"], event["ip"], event["mx"]) == ("delivered", "vendor", "localhost")
    assert event["tls"].endswith("verified")


async def test_a_refusal_of_the_recipient_bounces_and_blames_nobody(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    relay = Relay()
    relay.rcpt = "550 5.1.1 no such user here"
    throttled = tuple(Rule("dot", SLOW_DOWN, source=ip) for ip in IPS)
    async with with_relay(relay, database, (database_url, redis_url), tmp_path, *throttled) as lane:
        email = await lane.put("ann@one.example")
        await lane.deliver()
        assert await lane.state(email) == "bounced"
        assert await conditions(lane) == []
        assert await rows(database, "SELECT address FROM suppressions") == [("ann@one.example",)]


async def test_one_that_does_not_let_us_in_rests_everywhere_and_the_mail_waits(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    relay = Relay()
    throttled = tuple(Rule("dot", SLOW_DOWN, source=ip) for ip in IPS)
    urls = (database_url, redis_url)
    async with with_relay(relay, database, urls, tmp_path, *throttled, login="shop:wrong") as lane:
        email = await lane.put("ann@one.example")
        await lane.deliver()
        assert await lane.state(email) == "deferred"
        assert await conditions(lane) == [("vendor", EVERYWHERE, "throttled")]
        assert "wrong" not in str(await rows(database, "SELECT reply FROM throttles UNION SELECT detail FROM events"))


async def test_its_throttle_holds_for_all_recipients(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    relay = Relay()
    relay.dot = "454 4.7.0 Throttling failure: maximum sending rate exceeded"
    throttled = tuple(Rule("dot", SLOW_DOWN, source=ip) for ip in IPS)
    async with with_relay(relay, database, (database_url, redis_url), tmp_path, *throttled) as lane:
        await lane.put("ann@one.example")
        await lane.deliver()
        assert await conditions(lane) == [("vendor", EVERYWHERE, "throttled")]
