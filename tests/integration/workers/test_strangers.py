"""A stranger chooses the mail servers of his domain, and what they answer: neither may touch mail for anybody else.

The victim is `one.example` with its server `mx.example`; the stranger lists that server beside his own.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pools.health import Evidence
from store.database import Database
from tests.integration.messages.emails import rows
from tests.integration.workers.lane import IPS, LaneTest, lane_test, until
from tests.smtp_sink import Rule

RATE = "451 4.7.650 The mail server has been temporarily rate limited due to IP reputation. (S775)"
HOSTILE = Rule("dot", RATE, local="hostile")
ADDRESS = ["127.0.0.1"]


@pytest.fixture
async def strange(
    request: pytest.FixtureRequest, database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[LaneTest]:
    """A worker's inside; the parameter is what `two.example` lists as its mail servers."""
    names = {exchange.split()[1].rstrip(".") for exchange in request.param}
    records = {("two.example", "MX"): list(request.param), **{(name, "A"): ADDRESS for name in names}}
    async with lane_test(database, database_url, redis_url, tmp_path, HOSTILE, records=records) as lane:
        yield lane


async def resting(lane: LaneTest) -> set[str]:
    await until(lambda: lane.collaborators.throttles.depth() == 0)
    found = await rows(lane.database, "SELECT DISTINCT site FROM throttles WHERE kind = 'ip' AND state = 'throttled'")
    return {str(site) for (site,) in found}


async def goes_out(lane: LaneTest, *addresses: str) -> bool:
    for address in addresses:
        await lane.put(address)
    await lane.deliver()
    return all(len(lane.mails_to(address)) == 1 for address in addresses)


@pytest.mark.parametrize(
    "strange",
    [["10 mx.example.", "10 z.attacker.example."], ["10 mx.example.", "1 z.attacker.example."]],
    indirect=True,
)
async def test_a_strangers_throttle_does_not_hold_up_the_servers_he_lists(strange: LaneTest) -> None:
    lane = strange
    await lane.put("hostile@two.example")
    await lane.deliver()

    (site,) = await resting(lane)
    assert site.startswith("mx:mx.example~"), "the set of both is a site of its own"
    assert await rows(lane.database, "SELECT count(*) FROM throttles") == [(len(IPS),)]
    assert await goes_out(lane, "ann@one.example", "bob@one.example", "eve@three.example")


@pytest.mark.parametrize("strange", [["1 z.attacker.example.", "10 aspmx.l.google.com."]], indirect=True)
async def test_a_providers_name_in_the_list_does_not_make_the_others_speak_for_it(strange: LaneTest) -> None:
    lane = strange
    await lane.put("hostile@two.example")
    await lane.deliver()

    (site,) = await resting(lane)
    assert site.startswith("mx:aspmx.l.google.com~")


@pytest.mark.parametrize("strange", [["1 x-com.olc.protection.outlook.com.", "10 z.attacker.example."]], indirect=True)
async def test_the_providers_own_server_speaks_for_it_in_any_list(strange: LaneTest) -> None:
    lane = strange
    await lane.put("hostile@two.example")
    await lane.deliver()

    sites = await resting(lane)
    assert "microsoft" in sites
    assert len(sites) == 2, "the set rests too: its mail would go to the same server"
    assert {row[0] for row in await rows(lane.database, "SELECT rule FROM events")} == {"microsoft-ip-rate"}, (
        "read by the rules of who spoke"
    )


@pytest.mark.parametrize("strange", [["1 x-com.olc.protection.outlook.com.", "10 z.attacker.example."]], indirect=True)
@pytest.mark.parametrize("resting", [IPS[:2], IPS])
async def test_an_ip_that_rests_at_a_provider_does_not_go_to_its_server_by_way_of_a_list(
    strange: LaneTest, resting: tuple[str, ...]
) -> None:
    lane = strange
    now = datetime.now(UTC)
    for ip in resting:
        evidence = Evidence("r", "rate", "451 slow down", timedelta(minutes=10), 0.0)
        lane.collaborators.throttles.throttled("ip", ip, "microsoft", evidence, now, now)
    for number in range(4):
        await lane.put(f"u{number}@two.example")
    await lane.deliver()

    assert {mail.source for mail in lane.sink.mails} == set(IPS) - set(resting)
    waiting = await rows(lane.database, "SELECT hold, due_at > now() + interval '5 min' FROM delivery_queue")
    assert len(waiting) == (4 if resting == IPS else 0)
    assert all(late and "451 slow down" in hold for hold, late in waiting)


@pytest.mark.parametrize("strange", [["10 z.attacker.example."]], indirect=True)
async def test_a_name_of_ones_own_for_others_servers_blames_only_that_name(strange: LaneTest) -> None:
    """The session to the address is shared: whose name opened it says nothing about the next mail."""
    lane = strange
    await lane.put("hostile@two.example")
    await lane.deliver()
    email = await lane.put("ann@one.example")
    await lane.deliver()

    assert await resting(lane) == {"mx:z.attacker.example"}
    assert (await lane.event(email))["mx"] == "mx.example"
