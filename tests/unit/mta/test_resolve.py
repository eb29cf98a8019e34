"""Routes from DNS records, asked of a real DNS server on loopback."""

import asyncio
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigurationError
from mta.dns_client import DnsSettings
from mta.model import Phase, Response, Route, Trouble
from mta.providers import load_providers
from mta.resolve import DnsUnavailableError, Resolver, TargetPolicy, is_forbidden
from tests.dns_table import DnsTable

pytestmark = pytest.mark.timeout(20)

PROVIDERS = load_providers()
HASTY = DnsSettings(timeout=0.1, rounds=2, min_ttl=1, failure_ttl=5)
SERVFAIL = 2
Records = dict[tuple[str, str], list[str] | int | None]


class HandSetClock:
    """Seconds that pass only when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def resolver(
    table: DnsTable,
    policy: TargetPolicy | None = None,
    settings: DnsSettings = HASTY,
    clock: Callable[[], float] = time.monotonic,
) -> Resolver:
    return Resolver(PROVIDERS, [table.address], policy, settings, clock)


async def routed(records: Records, policy: TargetPolicy | None = None, domain: str = "x.test") -> Route | Response:
    async with DnsTable(records) as table:
        return await resolver(table, policy).route(domain)


async def hosts_of(records: Records, policy: TargetPolicy | None = None) -> list[tuple[str, str, int]]:
    route = await routed(records, policy)
    assert isinstance(route, Route), route
    return [(host.name, host.address, host.preference) for host in route.hosts]


async def trouble_of(records: Records, policy: TargetPolicy | None = None) -> Trouble | None:
    response = await routed(records, policy)
    assert isinstance(response, Response), response
    assert (response.phase, response.code) == (Phase.RESOLVE, 0)
    assert response.text
    return response.trouble


@pytest.mark.asyncio
class TestRoute:
    async def test_hosts_by_preference_with_their_addresses(self) -> None:
        records: Records = {
            ("x.test", "MX"): ["20 B.x.test.", "10 a.x.test."],
            ("a.x.test", "A"): ["8.8.0.1"],
            ("b.x.test", "A"): ["8.8.0.2"],
        }
        assert await hosts_of(records) == [("a.x.test", "8.8.0.1", 10), ("b.x.test", "8.8.0.2", 20)]

    async def test_equal_hosts_are_shuffled_by_every_call_cached_or_not(self) -> None:
        records: Records = {("x.test", "MX"): [f"10 m{n}.x.test." for n in range(3)] + ["20 last.x.test."]}
        records |= {(f"m{n}.x.test", "A"): [f"8.8.0.{n}"] for n in range(3)}
        records |= {("last.x.test", "A"): ["8.8.0.9"]}
        async with DnsTable(records) as table:
            asking = resolver(table)
            orders = [await asking.route("x.test") for _ in range(100)]
        names = {tuple(host.name for host in route.hosts) for route in orders if isinstance(route, Route)}
        assert len(names) == 6
        assert {order[3] for order in names} == {"last.x.test"}
        assert set(table.asked.values()) == {1}

    async def test_addresses_of_one_host_are_shuffled_and_at_most_five(self) -> None:
        records: Records = {("x.test", "MX"): ["10 m.x.test."], ("m.x.test", "A"): [f"8.8.0.{n}" for n in range(8)]}
        async with DnsTable(records) as table:
            asking = resolver(table)
            routes = [await asking.route("x.test") for _ in range(60)]
        chosen = [[host.address for host in route.hosts] for route in routes if isinstance(route, Route)]
        assert {len(addresses) for addresses in chosen} == {5}
        assert {address for addresses in chosen for address in addresses} == {f"8.8.0.{n}" for n in range(8)}

    async def test_a_route_that_nothing_is_drawn_for_is_known_at_once_until_a_record_of_it_ends(self) -> None:
        records: Records = {
            ("x.test", "MX"): ["10 a.x.test.", "20 b.x.test."],
            ("a.x.test", "A"): ["8.8.0.1"],
            ("b.x.test", "A"): ["8.8.0.2"],
        }
        clock, ipv4 = HandSetClock(), frozenset({4})
        async with DnsTable(records, ttl=60) as table:
            asking = resolver(table, clock=clock)
            assert asking.known("x.test", ipv4) is None
            route = await asking.route("x.test", ipv4)
            assert asking.known("x.test", ipv4) == route
            assert asking.known("x.test") is None, "others may reach other servers"
            clock.now = 61.0
            assert asking.known("x.test", ipv4) is None
            table.records["b.x.test", "A"] = ["8.8.0.3"]
            route = await asking.route("x.test", ipv4)
            assert isinstance(route, Route)
            assert [host.address for host in route.hosts] == ["8.8.0.1", "8.8.0.3"]
            assert asking.known("x.test", ipv4) == route

    @pytest.mark.parametrize(
        "records",
        [
            {("x.test", "MX"): ["10 a.x.test.", "10 b.x.test."], ("a.x.test", "A"): ["8.8.0.1"]},
            {("x.test", "MX"): ["10 a.x.test."], ("a.x.test", "A"): ["8.8.0.1", "8.8.0.2"]},
            {("x.test", "MX"): ["10 a.x.test."]},
        ],
    )
    async def test_what_is_drawn_anew_or_leads_nowhere_is_never_known(self, records: Records) -> None:
        async with DnsTable(records) as table:
            asking = resolver(table)
            for _ in range(2):
                await asking.route("x.test")
                assert asking.known("x.test") is None

    async def test_a_spare_host_keeps_its_place_beside_one_with_many_addresses(self) -> None:
        records: Records = {
            ("x.test", "MX"): ["10 a.x.test.", "20 b.x.test."],
            ("a.x.test", "A"): [f"8.8.0.{n}" for n in range(8)],
            ("b.x.test", "A"): ["8.8.1.1"],
        }
        assert [host[0] for host in await hosts_of(records)] == ["a.x.test", "a.x.test", "b.x.test"]

    async def test_no_more_than_five_hosts_are_looked_up(self) -> None:
        records: Records = {("x.test", "MX"): [f"{n} m{n}.x.test." for n in range(20)]}
        records |= {(f"m{n}.x.test", "A"): [f"8.8.0.{n}"] for n in range(20)}
        async with DnsTable(records) as table:
            route = await resolver(table).route("x.test")
        assert isinstance(route, Route)
        assert [host.name for host in route.hosts] == [f"m{n}.x.test" for n in range(5)]
        assert sum(count for (_, kind), count in table.asked.items() if kind == "A") == 5

    async def test_without_mx_the_domain_itself_is_the_host(self) -> None:
        assert await hosts_of({("x.test", "A"): ["8.8.0.1"]}) == [("x.test", "8.8.0.1", 0)]

    async def test_provider_comes_from_the_mx_hosts(self) -> None:
        records: Records = {
            ("x.test", "MX"): ["1 aspmx.l.google.com.", "5 alt1.aspmx.l.google.com."],
            ("aspmx.l.google.com", "A"): ["8.8.0.1"],
        }
        route = await routed(records)
        assert isinstance(route, Route)
        assert (route.destination, route.provider, len(route.hosts)) == ("x.test", "gmail", 1)

    @pytest.mark.parametrize(
        ("exchanges", "site"),
        [
            (["10 aspmx.l.google.com.", "20 alt1.aspmx.l.google.com."], "gmail"),
            (["10 Z.x.test."], "mx:z.x.test"),
            (["10 Z.x.test.", "20 z.X.test."], "mx:z.x.test"),
            ([], "mx:x.test"),
        ],
    )
    async def test_a_site_is_the_provider_or_the_only_server(self, exchanges: list[str], site: str) -> None:
        assert await self.site_of(exchanges) == site

    @staticmethod
    async def site_of(exchanges: list[str], domain: str = "X.test") -> str:
        names = [exchange.split()[1].lower().rstrip(".") for exchange in exchanges] or [domain.lower()]
        records: Records = {(name, "A"): ["8.8.0.1"] for name in names}
        if exchanges:
            records[domain.lower(), "MX"] = list(exchanges)
        route = await routed(records, domain=domain)
        assert isinstance(route, Route), route
        return route.site

    async def test_several_servers_are_one_site_whatever_their_preference_and_whosever_domain(self) -> None:
        sites = {
            await self.site_of(exchanges, domain)
            for domain in ("one.test", "two.test")
            for exchanges in (["10 a.host.test.", "20 b.host.test."], ["5 B.host.test.", "5 a.host.test."])
        }
        assert len(sites) == 1
        assert sites.pop().startswith("mx:a.host.test~")

    @pytest.mark.parametrize("others", [[], ["20 b-mx.victim.test."], ["20 aspmx.l.google.com."]])
    @pytest.mark.parametrize(
        "own", ["z.attacker.test.", "0.attacker.test.", "mx.z-victim.test.", "www.google.com.x.test."]
    )
    async def test_nobody_can_add_a_server_of_his_to_the_site_of_others(self, others: list[str], own: str) -> None:
        """`attacker.test MX 10 a-mx.victim.test, 10 z.attacker.test`: what z says is no word of the victim."""
        theirs = ["10 a-mx.victim.test.", *others]
        victim = await self.site_of(theirs, "victim.test")
        for preference in (0, 10, 99):
            assert await self.site_of([*theirs, f"{preference} {own}"], "attacker.test") != victim
        google = ["1 aspmx.l.google.com.", "5 alt1.aspmx.l.google.com."]
        assert await self.site_of([*google, f"10 {own}"], "attacker.test") != await self.site_of(google)

    async def test_an_alias_or_a_name_of_ones_own_for_others_servers_is_a_site_of_its_own(self) -> None:
        records: Records = {
            ("x.test", "MX"): ["10 alias.x.test."],
            ("alias.x.test", "CNAME"): ["aspmx.l.google.com."],
            ("aspmx.l.google.com", "A"): ["8.8.0.1"],
            ("y.test", "CNAME"): ["aspmx.l.google.com."],
        }
        for domain, site in (("x.test", "mx:alias.x.test"), ("y.test", "mx:y.test")):
            route = await routed(records, domain=domain)
            assert isinstance(route, Route)
            assert (route.provider, route.site, route.hosts[0].address) == ("other", site, "8.8.0.1")

    async def test_unicode_and_upper_case_domains(self) -> None:
        records: Records = {("xn--bcher-kva.test", "MX"): ["10 a.x.test."], ("a.x.test", "A"): ["8.8.0.1"]}
        for domain in ("b\u00fccher.test", "XN--BCHER-KVA.test", "B\u00dcCHER.TEST."):
            route = await routed(records, domain=domain)
            assert isinstance(route, Route), route
            assert route.destination == domain

    async def test_mx_and_address_behind_a_cname(self) -> None:
        records: Records = {
            ("x.test", "CNAME"): ["y.test."],
            ("y.test", "MX"): ["10 alias.y.test."],
            ("alias.y.test", "CNAME"): ["real.y.test."],
            ("real.y.test", "A"): ["8.8.0.1"],
        }
        assert await hosts_of(records) == [("alias.y.test", "8.8.0.1", 10)]

    async def test_ipv6_only_when_switched_on(self) -> None:
        records: Records = {
            ("x.test", "MX"): ["10 a.x.test."],
            ("a.x.test", "A"): ["8.8.0.1"],
            ("a.x.test", "AAAA"): ["2600::1"],
        }
        assert [host[1] for host in await hosts_of(records)] == ["8.8.0.1"]
        both = await hosts_of(records, TargetPolicy(ipv6=True))
        assert {host[1] for host in both} == {"8.8.0.1", "2600::1"}

    async def test_a_route_has_hosts_of_the_families_that_can_be_sent_from(self) -> None:
        records: Records = {
            ("x.test", "MX"): ["10 a.x.test.", "20 b.x.test."],
            ("a.x.test", "A"): [f"8.8.0.{n}" for n in range(9)],
            ("b.x.test", "AAAA"): [f"2600::{n}" for n in range(9)],
        }
        async with DnsTable(records) as table:
            asking = resolver(table, TargetPolicy(ipv6=True))
            found = [await asking.route("x.test", families) for families in ({4}, {4, 6}, {6}, {4})]
        routes = [route for route in found if isinstance(route, Route)]
        assert [route.families for route in routes] == [{4}, {4, 6}, {6}, {4}]
        assert [{host.name for host in route.hosts} for route in routes[:3:2]] == [{"a.x.test"}, {"b.x.test"}]
        assert all(sum(host.family == one for host in route.hosts) <= 5 for route in routes for one in (4, 6))

    async def test_no_family_to_send_from_leads_there(self) -> None:
        only4: Records = {("x.test", "MX"): ["10 a.x.test."], ("a.x.test", "A"): ["8.8.0.1"]}
        only6: Records = {("x.test", "MX"): ["10 a.x.test."], ("a.x.test", "AAAA"): ["2600::1"]}
        for records, families in ((only4, {6}), (only6, {4})):
            async with DnsTable(records) as table:
                response = await resolver(table, TargetPolicy(ipv6=True)).route("x.test", families)
            assert isinstance(response, Response)
            assert response.trouble is Trouble.UNREACHABLE

    async def test_a_server_that_never_answers_for_aaaa_is_waited_for_once(self) -> None:
        records: Records = {("x.test", "MX"): ["10 a.x.test."], ("a.x.test", "A"): ["8.8.0.1"]}
        records["a.x.test", "AAAA"] = SERVFAIL
        clock = HandSetClock()
        async with DnsTable(records) as table:
            asking = resolver(table, TargetPolicy(ipv6=True), clock=clock)
            for at in (0, 10, 250):
                clock.now = at
                route = await asking.route("x.test")
                assert isinstance(route, Route)
                assert route.families == {4}
            asked = table.asked["a.x.test", "AAAA"]
            clock.now = 301
            await asking.route("x.test")
        assert (asked, table.asked["a.x.test", "AAAA"]) == (2, 4)

    async def test_only_ipv6_is_not_a_dead_domain(self) -> None:
        records: Records = {("x.test", "AAAA"): ["2600::1"]}
        assert await trouble_of(records) is Trouble.UNREACHABLE
        assert len(await hosts_of(records, TargetPolicy(ipv6=True))) == 1


@pytest.mark.asyncio
class TestNoRoute:
    async def test_null_mx(self) -> None:
        assert await trouble_of({("x.test", "MX"): ["0 ."], ("x.test", "A"): ["8.8.0.1"]}) is Trouble.NULL_MX

    async def test_a_null_mx_among_others_is_passed_over(self) -> None:
        records: Records = {("x.test", "MX"): ["0 .", "10 a.x.test."], ("a.x.test", "A"): ["8.8.0.1"]}
        assert await hosts_of(records) == [("a.x.test", "8.8.0.1", 10)]

    @pytest.mark.parametrize(
        "records",
        [
            {},
            {("x.test", "TXT"): ["here"]},
            {("x.test", "MX"): ["10 gone.x.test."]},
            {("x.test", "MX"): ["10 a.x.test."], ("a.x.test", "TXT"): ["here"]},
            {("x.test", "MX"): ["10 8.8.0.1."]},
        ],
        ids=["NXDOMAIN", "no records", "MX does not exist", "MX without address", "MX is an address"],
    )
    async def test_no_domain(self, records: Records) -> None:
        assert await trouble_of(records) is Trouble.NO_DOMAIN

    @pytest.mark.parametrize("domain", ["", ".", "a..b", "x" * 64 + ".test", "x." * 130 + "test", "[8.8.8.8]", "a b"])
    async def test_what_is_no_domain_name(self, domain: str) -> None:
        response = await routed({("x.test", "A"): ["8.8.0.1"]}, domain=domain)
        assert isinstance(response, Response)
        assert response.trouble is Trouble.NO_DOMAIN

    @pytest.mark.parametrize("failure", [SERVFAIL, 5, None], ids=["SERVFAIL", "REFUSED", "silence"])
    async def test_temporary(self, failure: int | None) -> None:
        assert await trouble_of({("x.test", "MX"): failure}) is Trouble.DNS_TEMPORARY
        assert await trouble_of({("x.test", "MX"): [], ("x.test", "A"): failure}) is Trouble.DNS_TEMPORARY
        partly: Records = {("x.test", "MX"): ["10 a.x.test.", "20 b.x.test."], ("a.x.test", "A"): failure}
        assert await trouble_of(partly) is Trouble.DNS_TEMPORARY
        assert len(await hosts_of(partly | {("b.x.test", "A"): ["8.8.0.2"]})) == 1

    async def test_private_targets_are_refused_unless_allowed(self) -> None:
        records: Records = {("x.test", "MX"): ["10 a.x.test."], ("a.x.test", "A"): ["127.0.0.1"]}
        assert await trouble_of(records) is Trouble.FORBIDDEN_TARGET
        assert await hosts_of(records, TargetPolicy(allow_private=True)) == [("a.x.test", "127.0.0.1", 10)]
        mixed = records | {("a.x.test", "A"): ["10.0.0.1", "8.8.0.1"]}
        assert [host[1] for host in await hosts_of(mixed)] == ["8.8.0.1"]

    @pytest.mark.parametrize(
        ("exchanges", "left"),
        [
            (["10 us.test.", "20 b.x.test."], []),
            (["10 a.x.test.", "20 US.test.", "20 b.x.test.", "30 b.x.test."], ["a.x.test"]),
            (["10 a.x.test.", "20 b.x.test."], ["a.x.test", "b.x.test"]),
        ],
    )
    async def test_a_list_that_leads_back_to_us_is_a_loop(self, exchanges: list[str], left: list[str]) -> None:
        records: Records = {
            ("x.test", "MX"): exchanges,
            ("a.x.test", "A"): ["8.8.0.1"],
            ("b.x.test", "A"): ["8.8.0.2"],
            ("us.test", "A"): ["8.8.9.9"],
        }
        for policy in (
            TargetPolicy(own_names=frozenset({"us.test"})),
            TargetPolicy(own_addresses=frozenset({"8.8.9.9"})),
        ):
            if left:
                assert [host[0] for host in await hosts_of(records, policy)] == left
            else:
                response = await routed(records, policy)
                assert isinstance(response, Response)
                assert response.trouble is Trouble.FORBIDDEN_TARGET
                assert "loop" in response.text

    async def test_our_own_domain_without_mx_is_a_loop(self) -> None:
        policy = TargetPolicy(own_names=frozenset({"x.test"}))
        assert await trouble_of({("x.test", "A"): ["8.8.0.1"]}, policy) is Trouble.FORBIDDEN_TARGET


@pytest.mark.asyncio
class TestAsking:
    async def test_equal_questions_share_one_answer_and_survive_a_cancelled_caller(self) -> None:
        async with DnsTable({("x.test", "A"): ["8.8.0.1"]}) as table:
            table.delay = 0.05
            asking = resolver(table)
            callers = [asyncio.ensure_future(asking.route("x.test")) for _ in range(50)]
            await asyncio.sleep(0.02)
            callers[0].cancel()
            routes = await asyncio.gather(*callers[1:])
        assert all(isinstance(route, Route) for route in routes)
        assert table.asked == {("x.test", "MX"): 1, ("x.test", "A"): 1}

    async def test_answers_are_kept_for_their_ttl_between_the_clamps(self) -> None:
        settings = DnsSettings(timeout=0.1, min_ttl=30, max_ttl=100)
        for ttl, kept in ((5, 30), (60, 60), (100_000, 100)):
            clock = HandSetClock()
            async with DnsTable({("x.test", "A"): ["8.8.0.1"]}, ttl=ttl, minimum=ttl) as table:
                asking = resolver(table, settings=settings, clock=clock)
                await asking.route("x.test")
                clock.now = kept - 1.0
                await asking.route("x.test")
                assert table.asked["x.test", "A"] == 1
                clock.now = kept + 1.0
                await asking.route("x.test")
                assert table.asked["x.test", "A"] == 2

    @pytest.mark.parametrize(("minimum", "kept"), [(60, 60), (100_000, 200)])
    async def test_absence_is_kept_as_the_soa_says_and_no_longer_than_allowed(self, minimum: int, kept: int) -> None:
        clock = HandSetClock()
        async with DnsTable({}, ttl=100_000, minimum=minimum) as table:
            asking = resolver(table, settings=DnsSettings(min_ttl=1, negative_ttl=200), clock=clock)
            for clock.now, asked in ((0.0, 1), (kept - 1.0, 1), (kept + 1.0, 2)):
                assert isinstance(await asking.route("x.test"), Response)
                assert table.asked["x.test", "MX"] == asked

    async def test_failures_are_kept_for_moments_only(self) -> None:
        clock = HandSetClock()
        async with DnsTable({("x.test", "MX"): SERVFAIL}) as table:
            asking = resolver(table, clock=clock)
            for clock.now, asked in ((0.0, 2), (4.0, 2), (6.0, 4)):  # two rounds each
                assert isinstance(await asking.route("x.test"), Response)
                assert table.asked["x.test", "MX"] == asked

    async def test_the_cache_is_bounded(self) -> None:
        async with DnsTable({}) as table:
            asking = resolver(table, settings=DnsSettings(entries=10))
            for number in range(20):
                await asking.txt(f"t{number}.test")
            await asking.txt("t19.test")
            await asking.txt("t0.test")
        assert (table.asked["t19.test", "TXT"], table.asked["t0.test", "TXT"]) == (1, 2)

    async def test_the_next_server_is_asked_when_one_fails(self) -> None:
        failing: Records = {("x.test", "MX"): SERVFAIL, ("x.test", "A"): None}
        async with DnsTable(failing) as bad, DnsTable({("x.test", "A"): ["8.8.0.1"]}) as good:
            asking = Resolver(PROVIDERS, [bad.address, good.address], None, HASTY)
            assert isinstance(await asking.route("x.test"), Route)

    async def test_long_answers_come_over_tcp(self) -> None:
        texts = [f'"{number:03}{"x" * 200}"' for number in range(30)]
        async with DnsTable({("x.test", "TXT"): texts}) as table:
            assert len(await resolver(table).txt("x.test")) == 30
            assert table.over_tcp == 1

    async def test_a_server_from_before_edns(self) -> None:
        async with DnsTable({("x.test", "A"): ["8.8.0.1"]}) as table:
            table.knows_edns = False
            assert isinstance(await resolver(table).route("x.test"), Route)

    async def test_records_for_verification(self) -> None:
        records: Records = {
            ("x.test", "TXT"): ['"v=DKIM1; " "p=abc"', '"other"'],
            ("x.test", "MX"): ["20 B.test.", "10 a.test."],
            ("4.0.8.8.in-addr.arpa", "PTR"): ["Out.X.test."],
            ("x.test", "A"): ["10.0.0.1"],
            ("broken.test", "TXT"): SERVFAIL,
        }
        async with DnsTable(records) as table:
            asking = resolver(table)
            assert sorted(await asking.txt("X.test.")) == ["other", "v=DKIM1; p=abc"]
            assert await asking.txt("absent.test") == []
            assert await asking.mx("x.test") == [(10, "a.test"), (20, "b.test")]
            assert await asking.mx("absent.test") == []
            assert await asking.ptr("8.8.0.4") == ["out.x.test"]
            assert await asking.ptr("8.8.0.5") == []
            assert await asking.addresses("x.test") == ["10.0.0.1"]
            with pytest.raises(DnsUnavailableError, match=r"broken\.test TXT: .*SERVFAIL"):
                await asking.txt("broken.test")
            with pytest.raises(ValueError, match="address"):
                await asking.ptr("not an address")


@pytest.mark.parametrize(
    "server", ["localhost", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:99999", "[::1", "1.2.3:53", ""]
)
def test_name_servers_must_be_addresses(server: str) -> None:
    with pytest.raises(ConfigurationError, match="DNS server"):
        Resolver(PROVIDERS, [server])


@pytest.mark.parametrize("server", ["127.0.0.1", "127.0.0.1:5353", "::1", "[::1]", "[::1]:5353"])
def test_forms_of_name_servers(server: str) -> None:
    assert isinstance(Resolver(PROVIDERS, [server]), Resolver)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "0.1.2.3"),
        *("224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "192.0.0.1"),
        *("::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "::ffff:8.8.8.8", "::ffff:10.0.0.1", "::8.8.8.8"),
        *("64:ff9b::a00:1", "2002:a00:1::1", "2001:db8::1", "2001::1", "fec0::1"),
    ],
)
def test_addresses_mail_may_not_go_to(address: str) -> None:
    assert is_forbidden(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2600::1", "2a00:1450:4001::1b"])
def test_addresses_mail_may_go_to(address: str) -> None:
    assert not is_forbidden(address)
    assert not is_forbidden(address, allow_private=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.1.7", "10.1.2.3", "192.168.1.1", "::1", "fd12::1"])
def test_practice_may_use_private_addresses(address: str) -> None:
    assert not is_forbidden(address, allow_private=True)


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "::", "ff02::1", "::ffff:127.0.0.1"])
def test_practice_may_not_use_everything(address: str) -> None:
    assert is_forbidden(address, allow_private=True)


@given(st.ip_addresses())
def test_what_practice_may_not_real_mail_may_not(address: object) -> None:
    assert is_forbidden(str(address)) or not is_forbidden(str(address), allow_private=True)
