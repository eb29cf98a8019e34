"""A pool of one IPv4 and one IPv6 address: mail leaves through what can reach its server, and nobody is blamed."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mta.model import EgressIp
from pools.repository import ensure_pool
from store.database import Database
from tests.integration.messages.emails import execute, rows
from tests.integration.workers.lane import IPS, LANE, LaneTest, Records, lane_test, until
from tests.smtp_sink import Mail, SmtpSink

IPV6 = EgressIp("2001:db8::7", "::1", "mta7.acme.example")
RECORDS: Records = {
    ("two.example", "MX"): ["10 six.example."],
    ("six.example", "AAAA"): ["::1"],
    ("three.example", "MX"): ["10 six.example.", "20 mx.example."],
}


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback address")


@asynccontextmanager
async def mixed(
    database: Database, urls: tuple[str, str], folder: Path, *, with_ipv6: bool = True, ipv6: bool = True
) -> AsyncIterator[tuple[LaneTest, list[Mail]]]:
    """A lane whose pool has the first IPv4 address and (`with_ipv6`) the IPv6 one; what arrived at ::1."""
    async with lane_test(database, *urls, folder, records=RECORDS, ipv6=ipv6) as lane:
        await execute(database, "DELETE FROM pool_ips WHERE egress_ip_id IN (SELECT id FROM egress_ips"
                                " WHERE address <> %s)", [IPS[0]])  # fmt: skip
        if with_ipv6:
            async with database.transaction() as connection:
                await ensure_pool(connection, "main", LANE, [IPV6])
        async with SmtpSink(address="::1", port=lane.sink.port) as six:
            yield lane, six.mails


async def nobody_blamed(lane: LaneTest) -> None:
    await until(lambda: lane.collaborators.throttles.depth() == 0)
    assert await rows(lane.database, "SELECT count(*) FROM throttles") == [(0,)]
    assert await rows(lane.database, "SELECT count(*) FROM alarms") == [(0,)]
    kinds = await rows(lane.database, "SELECT DISTINCT kind FROM events")
    assert set(kinds) <= {("delivered",), ("deferred",)}, "no mail changed its IP"


async def test_each_mail_leaves_through_the_ip_that_can_reach_its_server(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with mixed(database, (database_url, redis_url), tmp_path) as (lane, six):
        for number in range(6):
            await lane.put(f"u{number}@one.example", f"v{number}@two.example", f"w{number}@three.example")
        await lane.deliver()

        assert await rows(database, "SELECT state, attempts, count(*) FROM messages GROUP BY 1, 2") == [
            ("delivered", 1, 18)
        ]
        by_six = {recipient for mail in six for recipient in mail.rcpt_to}
        by_four = {recipient for mail in lane.sink.mails for recipient in mail.rcpt_to}
        assert {f"v{number}@two.example" for number in range(6)} <= by_six
        assert {f"u{number}@one.example" for number in range(6)} <= by_four
        assert not any(recipient.endswith("two.example") for recipient in by_four)
        assert not any(recipient.endswith("one.example") for recipient in by_six)
        assert not by_six & by_four, "each mail left once"
        told = await rows(database, "SELECT DISTINCT ip, mx FROM events WHERE provider = 'other' ORDER BY 1, 2")
        assert (IPV6.address, "six.example") in told
        assert (IPV6.address, "mx.example") not in told
        await nobody_blamed(lane)


@pytest.mark.parametrize("with_ipv6", [True, False])
async def test_off_or_without_an_ipv6_address_the_other_server_is_used(
    with_ipv6: bool, database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    urls = (database_url, redis_url)
    async with mixed(database, urls, tmp_path, with_ipv6=with_ipv6, ipv6=not with_ipv6) as (lane, six):
        reached = await lane.put("joe@three.example")
        stuck = await lane.put("ann@two.example")
        await lane.deliver()

        assert six == []
        assert await lane.state(reached) == "delivered"
        assert await lane.state(stuck) == "deferred"
        event = await lane.event(stuck)
        assert (event["ip"], event["phase"], event["action"]) == ("", "resolve", "retry_later")
        assert "six.example has only IPv6" in str(event["reply"])
        await nobody_blamed(lane)
