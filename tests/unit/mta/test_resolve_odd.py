"""Answers of DNS as strangers and broken zones give them: every one leads to a route or to a clear reason."""

import asyncio
import time

import pytest
from dns.rdatatype import MX
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mta.dns_client import DnsClient, DnsSettings, Outcome
from mta.model import Phase, Response, Route, Trouble
from mta.replies import classify
from mta.resolve import HOSTS, Resolver, TargetPolicy, is_forbidden
from tests.dns_table import DnsTable
from tests.unit.mta.test_resolve import HASTY, PROVIDERS, SERVFAIL, HandSetClock, Records, resolver

pytestmark = pytest.mark.timeout(60)

ODD_NAMES = [
    "10 \\255\\254.x.test.",
    "10 a\\000b.x.test.",
    "10 a\\032b.x.test.",
    "10 a\\.b.x.test.",
    "10 b\\195\\188cher.x.test.",
    "10 -a.x.test.",
    f"10 {'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 50}.test.",
    "10 192.0.2.1.",
    "10 .",
    "10 a\\@b.x.test.",
]
TELLING = {Trouble.NULL_MX, Trouble.NO_DOMAIN, Trouble.DNS_TEMPORARY, Trouble.FORBIDDEN_TARGET, Trouble.UNREACHABLE}


async def found(records: Records, policy: TargetPolicy | None = None) -> Route | Response:
    async with DnsTable(records) as table:
        return await resolver(table, policy).route("x.test")


@pytest.mark.asyncio
async def test_what_is_looked_for_ahead_is_asked_once_and_only_where_it_is_not_known() -> None:
    clock = HandSetClock()
    records: Records = {("x.test", "MX"): ["10 a.x.test."], ("a.x.test", "A"): ["8.8.0.1"], ("y.test", "MX"): SERVFAIL}
    async with DnsTable(records, ttl=60) as table:
        asking = resolver(table, clock=clock)
        for clock.now, times in ((0.0, 1), (59.0, 1), (61.0, 2)):
            asking.ahead(["X.test", "y.test"])
            routes = [await asking.route(name) for name in ("x.test", "y.test")]
            assert [type(route) for route in routes] == [Route, Response]
            asking.ahead(["x.test"])
            assert table.asked["x.test", "MX"] == table.asked["a.x.test", "A"] == times


@pytest.mark.asyncio
@pytest.mark.parametrize("odd", ODD_NAMES)
@pytest.mark.parametrize("preference", [1, 20])
async def test_a_server_of_an_impossible_name_is_passed_over(odd: str, preference: int) -> None:
    odd = odd.replace("10", str(preference), 1)
    route = await found({("x.test", "MX"): [odd, "10 mx_1.x.test."], ("mx_1.x.test", "A"): ["8.8.0.1"]})
    assert isinstance(route, Route), route
    assert [host.name for host in route.hosts] == ["mx_1.x.test"]


@pytest.mark.asyncio
@pytest.mark.parametrize("odd", [name for name in ODD_NAMES if name != "10 ."])
async def test_only_impossible_names_end_the_mail_with_the_name_and_no_suppression(odd: str) -> None:
    response = await found({("x.test", "MX"): [odd]})
    assert isinstance(response, Response)
    assert response.trouble is Trouble.NO_DOMAIN
    assert "no MX of x.test is a host name" in response.text or "has no address" in response.text
    assert response.text.isprintable()
    verdict = classify(response, "")
    assert (verdict.klass, verdict.suppress) == ("bad_domain", False)


@pytest.mark.asyncio
async def test_a_thousand_servers_cost_five_look_ups() -> None:
    records: Records = {("x.test", "MX"): [f"{n % 7} m{n}.x.test." for n in range(1000)]}
    records |= {(f"m{n}.x.test", "A"): [f"8.8.{n // 250}.{n % 250}"] for n in range(1000)}
    async with DnsTable(records) as table:
        route = await resolver(table, settings=DnsSettings(timeout=10, patience=20)).route("x.test")
    assert isinstance(route, Route)
    assert len(route.hosts) == HOSTS
    assert sum(count for (_, kind), count in table.asked.items() if kind == "A") == HOSTS


@pytest.mark.asyncio
async def test_a_loop_of_aliases_is_a_matter_of_dns() -> None:
    records: Records = {("x.test", "MX"): ["10 a.x.test."], ("a.x.test", "CNAME"): ["b.x.test."]}
    records["b.x.test", "CNAME"] = ["a.x.test."]
    response = await found(records)
    assert isinstance(response, Response)
    assert response.trouble is Trouble.DNS_TEMPORARY


LABELS = st.binary(min_size=1, max_size=60).map(lambda label: "".join(f"\\{octet:03}" for octet in label))
NAMES = st.one_of(
    st.lists(LABELS, max_size=3).map(lambda labels: ".".join([*labels, "x.test."])),
    st.sampled_from([".", "a.x.test.", "b.x.test.", "A.X.TEST.", "192.0.2.7.", "x.test.", "us.test.", "loop.x.test."]),
)
ADDRESSES = ["8.8.0.1", "8.8.0.1", "10.0.0.1", "127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255", "169.254.1.1"]
ADDRESSES6 = [
    "2600::1",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::",
]
ANSWERS = st.one_of(st.just(SERVFAIL), st.lists(st.sampled_from(ADDRESSES), max_size=4))
ANSWERS6 = st.one_of(st.just(SERVFAIL), st.lists(st.sampled_from(ADDRESSES6), max_size=4))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    mx=st.lists(st.tuples(st.integers(0, 65535), NAMES), max_size=12),
    a=ANSWERS,
    b=ANSWERS,
    a6=ANSWERS6,
    ttl=st.sampled_from([0, 1, 300, 2**31 - 1]),
    families=st.sampled_from([{4}, {6}, {4, 6}]),
)
def test_whatever_is_answered_leads_to_public_hosts_or_to_a_reason(
    mx: list[tuple[int, str]],
    a: list[str] | int,
    b: list[str] | int,
    a6: list[str] | int,
    ttl: int,
    families: set[int],
) -> None:
    records: Records = {("a.x.test", "A"): a, ("b.x.test", "A"): b, ("a.x.test", "AAAA"): a6, ("x.test", "A"): b}
    records |= {("us.test", "A"): ["8.8.0.9"], ("loop.x.test", "CNAME"): ["loop.x.test."]}
    if mx:
        records["x.test", "MX"] = [f"{preference} {name}" for preference, name in mx]

    async def ask() -> Route | Response:
        async with DnsTable(records, ttl=ttl) as table:
            policy = TargetPolicy(own_names=frozenset({"us.test"}), ipv6=True)
            return await resolver(table, policy).route("x.test", families)

    _check(asyncio.run(ask()), families)


def _check(result: Route | Response, families: set[int]) -> None:
    if isinstance(result, Response):
        assert (result.phase, result.code) == (Phase.RESOLVE, 0)
        assert result.trouble in TELLING
        assert result.text
        assert result.text.isprintable()
        return
    assert result.hosts
    assert result.families <= families
    assert [host.preference for host in result.hosts] == sorted(host.preference for host in result.hosts)
    for host in result.hosts:
        assert not is_forbidden(host.address)
        assert host.name.isascii()
        assert host.name.encode("idna")  # what TLS does with it
        assert host.name != "us.test"
        assert result.site


# --- name servers that are slow or away ---


@pytest.mark.asyncio
async def test_a_name_server_that_is_away_costs_its_time_out_once() -> None:
    records: Records = {(f"d{n}.test", "MX"): ["10 mx.test."] for n in range(6)}
    async with DnsTable({(f"d{n}.test", "MX"): None for n in range(6)}) as silent, DnsTable(records) as good:
        client = DnsClient([silent.address, good.address], HASTY)
        answers = [await client.ask(f"d{n}.test", MX) for n in range(6)]
    assert {answer.outcome for answer in answers} == {Outcome.FOUND}
    assert silent.asked.total() == 1


@pytest.mark.asyncio
async def test_a_question_ends_when_its_patience_does() -> None:
    async with DnsTable({("x.test", "MX"): None}) as first, DnsTable({("x.test", "MX"): None}) as second:
        client = DnsClient([first.address, second.address], DnsSettings(timeout=0.2, rounds=50, patience=0.5))
        began = time.monotonic()
        answer = await client.ask("x.test", MX)
    assert answer.outcome is Outcome.FAILED
    assert time.monotonic() - began < 5, "fifty rounds of two servers would take twenty seconds"
    assert answer.reason == "no DNS server answered: 127.0.0.1 does not answer"


@pytest.mark.asyncio
async def test_the_verdict_tells_our_name_servers_from_a_broken_zone() -> None:
    async with DnsTable({("x.test", "MX"): None, ("y.test", "MX"): SERVFAIL}) as table:
        asking = Resolver(PROVIDERS, [table.address], None, HASTY)
        away, broken = await asking.route("x.test"), await asking.route("y.test")
    assert isinstance(away, Response)
    assert isinstance(broken, Response)
    assert (away.trouble, broken.trouble) == (Trouble.DNS_TEMPORARY, Trouble.DNS_TEMPORARY)
    assert [classify(one, "").scope.value for one in (away, broken)] == ["local", "host"]
    assert "SERVFAIL" in broken.text
