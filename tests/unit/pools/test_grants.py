"""Grant to send: within rests, rates and allowances, and nobody is left out while somebody can take it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.queues import Lane
from flags.asking import OFF, Switch
from flags.declared import POOL_OVERFLOW
from mta.model import EgressIp, RelayLimits
from mta.providers import Providers, load_providers
from pools.grants import Ask, Granted, Granter, deal
from pools.health import Rate
from pools.model import Pool, PoolMember, Rest, Wait
from pools.rates import RateRequest, Taken
from store.database import DatabaseUnavailableError
from tests.switches import switched
from warmup.ledger import Reserved, Returned, Wanted, Warming
from warmup.plan import Transactional

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=10)


def ip(n: int) -> EgressIp:
    return EgressIp(f"127.0.1.{n}", f"127.0.1.{n}", f"out{n}.example.net")


def pool(*numbers: int, name: str = "main", key: int = 1, overflow: int = 0, **changes: object) -> Pool:
    there = tuple(PoolMember(ip(n)) for n in numbers)
    more = UUID(int=overflow) if overflow else None
    return replace(Pool(UUID(int=key), name, Lane.MARKETING, there, more), **changes)  # type: ignore[arg-type]


class Tokens(dict[str, int]):
    """Twin of the rates: tokens by IP, and by `d` for the sending domain; what is not named has plenty."""

    def __init__(self, calls: Counter[str]) -> None:
        super().__init__()
        self.asked: list[RateRequest] = []
        self._calls = calls

    async def take(self, wanted: Sequence[RateRequest]) -> list[Taken]:
        self._calls["take"] += 1
        self.asked.extend(wanted)
        answers = []
        for request in wanted:
            there = self.get(request.key.split("|")[0], 10**6)
            granted = min(request.n, there)
            self[request.key.split("|")[0]] = there - granted
            answers.append(Taken(granted, 0.0 if granted == request.n else 3.0))
        return answers

    async def give_back(self, unused: Sequence[tuple[str, int]]) -> None:
        for key, n in unused:
            assert n > 0
            self[key.split("|")[0]] += n


class World:
    """Twins of everything a `Granter` asks: rests, rates in tokens, and allowances, all from dictionaries."""

    def __init__(self, *overflows: Pool) -> None:
        self.overflows = {one.id: one for one in overflows}
        self.rests: dict[str, Rest] = {}
        self.domain_limit: Rate | None = None
        self.calls = Counter[str]()
        self.tokens = Tokens(self.calls)
        self.allowance: dict[str, int] = {}
        self.transactional = Transactional.SHARE
        self.returned = Counter[str]()

    def overflow_of(self, one: Pool) -> Pool | None:
        return self.overflows.get(one.overflow_id) if one.overflow_id else None

    def rest(self, address: str, site: str, now: datetime) -> Rest | None:
        return self.rests.get(address)

    def rate(self, address: str, site: str, now: datetime) -> Rate | None:
        return None

    def domain_rate(self, domain: str, site: str, now: datetime) -> Rate | None:
        return self.domain_limit

    def warming(self, address: str, provider: str) -> Warming | None:
        known = address in self.allowance
        return Warming(address, "*", 1, 29, self.transactional) if known else None

    async def reserve(self, wanted: Sequence[Wanted]) -> list[Reserved]:
        self.calls["reserve"] += 1
        answers = []
        for one in wanted:
            granted = min(one.n, self.allowance[one.ip])
            self.allowance[one.ip] -= granted
            until = None if granted == one.n else LATER
            answers.append(Reserved(one.ip, one.provider, "*", date(2026, 3, 1), granted, until, "share used"))
        return answers

    async def give_back(self, unused: Sequence[Returned]) -> None:
        for one in unused:
            self.returned[one.ip] += one.n
            self.allowance[one.ip] += one.n

    async def ask(self, *asks: Ask, lane: Lane = Lane.MARKETING, providers: Providers | None = None) -> list[Granted]:
        granter = Granter(self, self, self.tokens, self, providers or load_providers())
        return await granter.grant(asks, lane, NOON)


def by_ip(granted: Granted) -> Counter[str]:
    return Counter(grant.ip.address for grant in granted.grants)


async def test_equal_shares_cost_one_call() -> None:
    world = World()
    (granted,) = await world.ask(Ask(pool(1, 2, 3), "gmail", "gmail", 9))
    assert by_ip(granted) == {"127.0.1.1": 3, "127.0.1.2": 3, "127.0.1.3": 3}
    assert granted.wait is None
    assert world.calls == {"take": 1}


async def test_a_resting_ip_leaves_its_share_to_the_others() -> None:
    world = World()
    world.rests["127.0.1.1"] = Rest(LATER, "gmail-ip-rate")
    (granted,) = await world.ask(Ask(pool(1, 2, 3, 4), "gmail", "gmail", 300))
    assert by_ip(granted) == {"127.0.1.2": 100, "127.0.1.3": 100, "127.0.1.4": 100}


async def test_what_one_rate_cannot_take_goes_to_the_others_at_once() -> None:
    world = World()
    world.tokens["127.0.1.1"] = 2
    (granted,) = await world.ask(Ask(pool(1, 2), "gmail", "gmail", 20))
    assert by_ip(granted) == {"127.0.1.1": 2, "127.0.1.2": 18}
    assert granted.wait is None


async def test_when_nobody_can_the_first_to_return_is_waited_for_and_all_say_why() -> None:
    world = World()
    world.rests["127.0.1.1"] = Rest(LATER, "gmail-ip-rate")
    world.tokens["127.0.1.2"] = 1
    (granted,) = await world.ask(Ask(pool(1, 2), "gmail", "gmail", 5))
    assert by_ip(granted) == {"127.0.1.2": 1}
    assert granted.wait is not None
    assert granted.wait.until == NOON + timedelta(seconds=3)
    assert "127.0.1.1: gmail-ip-rate" in granted.wait.reason
    assert "127.0.1.2: its rate at gmail is used up" in granted.wait.reason


async def test_overflow_takes_the_rest_and_a_loop_ends() -> None:
    spare = pool(8, 9, name="spare", key=2, overflow=1)
    first = pool(1, overflow=2)
    world = World(spare, first)
    world.tokens["127.0.1.1"] = 3
    (granted,) = await world.ask(Ask(first, "gmail", "gmail", 9))
    assert by_ip(granted) == {"127.0.1.1": 3, "127.0.1.8": 3, "127.0.1.9": 3}
    world.tokens |= {"127.0.1.1": 0, "127.0.1.8": 0, "127.0.1.9": 0}
    (nobody,) = await world.ask(Ask(first, "gmail", "gmail", 9))
    assert nobody.wait is not None
    assert "no IP of pool main and spare can take mail" in nobody.wait.reason


async def test_a_warming_ip_comes_first_as_far_as_its_ledger_goes() -> None:
    world = World()
    world.allowance["127.0.1.1"] = 5
    (granted,) = await world.ask(Ask(pool(1, 2, 3), "gmail", "gmail", 30))
    assert by_ip(granted)["127.0.1.1"] == 5
    assert sum(by_ip(granted).values()) == 30
    dealt = deal(granted.grants)
    assert [grant.ip.address for grant in dealt[:5]] == ["127.0.1.1"] * 5
    assert all(grant.ticket for grant in dealt[:5])
    assert not any(grant.ticket for grant in dealt[5:])


async def test_an_allowance_that_the_rate_cannot_carry_is_returned() -> None:
    world = World()
    world.allowance["127.0.1.1"] = 10
    world.tokens["127.0.1.1"] = 4
    (granted,) = await world.ask(Ask(pool(1, 2), "gmail", "gmail", 20))
    assert by_ip(granted) == {"127.0.1.1": 4, "127.0.1.2": 16}
    assert world.returned["127.0.1.1"] == 6
    assert world.allowance["127.0.1.1"] == 6


async def test_only_warming_ips_say_when_there_is_more() -> None:
    world = World()
    world.allowance["127.0.1.1"] = 2
    (granted,) = await world.ask(Ask(pool(1), "gmail", "gmail", 5))
    assert by_ip(granted) == {"127.0.1.1": 2}
    assert granted.wait is not None
    assert (granted.wait.until, "share used" in granted.wait.reason) == (LATER, True)


async def test_transactional_mail_may_be_kept_off_warming_ips() -> None:
    world = World()
    world.allowance["127.0.1.1"] = 50
    world.transactional = Transactional.AVOID
    (kept,) = await world.ask(Ask(pool(1, 2), "gmail", "gmail", 10), lane=Lane.TRANSACTIONAL)
    assert by_ip(kept) == {"127.0.1.2": 10}
    (marketing,) = await world.ask(Ask(pool(1, 2), "gmail", "gmail", 10))
    assert "127.0.1.1" in by_ip(marketing)


async def test_a_tried_ip_is_avoided_and_a_greylisted_mail_gets_its_own() -> None:
    world = World()
    (other,) = await world.ask(Ask(pool(1, 2), "gmail", "gmail", 1, avoid=frozenset({"127.0.1.1"})))
    assert by_ip(other) == {"127.0.1.2": 1}
    (nobody,) = await world.ask(Ask(pool(1), "gmail", "gmail", 1, avoid=frozenset({"127.0.1.1"})))
    assert nobody.wait is not None
    assert nobody.wait.reason == "pool main has no other IP"
    (same,) = await world.ask(Ask(pool(1, 2), "gmail", "gmail", 3, only="127.0.1.2"))
    assert by_ip(same) == {"127.0.1.2": 3}


async def test_a_limited_domain_takes_no_more_than_its_rate() -> None:
    world = World()
    world.domain_limit = Rate(0.5, 3)
    world.tokens["d"] = 3
    (granted,) = await world.ask(Ask(pool(1, 2), "gmail", "gmail", 10, domain="acme.example"))
    assert len(granted.grants) == 3
    assert granted.wait is not None
    assert "slowed mail of this domain down" in granted.wait.reason


async def test_tokens_of_a_domain_go_back_when_no_ip_can_take_its_mail() -> None:
    world = World()
    world.domain_limit = Rate(0.5, 8)
    world.tokens.update({"d": 8, "127.0.1.1": 2, "127.0.1.2": 1})
    (some,) = await world.ask(Ask(pool(1, 2), "gmail", "gmail", 10, domain="acme.example"))
    assert len(some.grants) == 3
    assert world.tokens["d"] == 5, "8 were taken and 3 mails leave"

    world.rests |= {"127.0.1.1": Rest(LATER, "rate"), "127.0.1.2": Rest(LATER, "rate")}
    (none,) = await world.ask(Ask(pool(1, 2), "gmail", "gmail", 10, domain="acme.example"))
    assert not none.grants
    assert world.tokens["d"] == 5


async def test_tokens_of_a_domain_go_back_when_the_ledger_cannot_be_asked() -> None:
    class Away(World):
        async def reserve(self, wanted: Sequence[Wanted]) -> list[Reserved]:
            raise DatabaseUnavailableError("away")

    world = Away()
    world.domain_limit = Rate(0.5, 8)
    world.tokens["d"] = 8
    world.allowance["127.0.1.1"] = 5
    with pytest.raises(DatabaseUnavailableError):
        await world.ask(Ask(pool(1), "gmail", "gmail", 4, domain="acme.example"))
    assert world.tokens["d"] == 8


V6 = EgressIp("2001:db8::5", "2001:db8::5", "six.example.net")
NAT64 = EgressIp("2001:db8::6", "127.0.1.6", "nat.example.net")
RELAY = EgressIp("relay", "", "", "smtp+tls://u:p@smtp.example.com:587", RelayLimits())


def mixed(*ips: EgressIp, name: str = "main", key: int = 1, overflow: int = 0) -> Pool:
    return replace(pool(name=name, key=key, overflow=overflow), members=tuple(PoolMember(one) for one in ips))


@pytest.mark.parametrize(
    ("families", "carrying"),
    [({4}, {"127.0.1.1", NAT64.address, "relay"}), ({6}, {V6.address, "relay"}),
     ({4, 6}, {"127.0.1.1", V6.address, NAT64.address, "relay"})],
)  # fmt: skip
async def test_an_ip_of_another_family_is_passed_over(families: set[int], carrying: set[str]) -> None:
    """By what its socket is bound to. A relay has addresses of its own."""
    world = World()
    ask = Ask(mixed(ip(1), V6, NAT64, RELAY), "gmail", "gmail", 40, families=frozenset(families))
    (granted,) = await world.ask(ask)

    assert by_ip(granted).keys() == carrying
    assert granted.wait is None
    assert not world.tokens.keys() - {f"{one}" for one in carrying}, "nothing was asked for the others"


async def test_the_overflow_pool_may_have_the_family_that_is_missing() -> None:
    spare = mixed(V6, name="spare", key=2)
    (granted,) = await World(spare).ask(Ask(mixed(ip(1), overflow=2), "g", "g", 3, families=frozenset({6})))
    assert by_ip(granted) == {V6.address: 3}


async def test_nobody_of_the_family_says_so() -> None:
    (granted,) = await World().ask(Ask(mixed(ip(1), ip(2)), "g", "g", 3, families=frozenset({6})))
    assert granted.wait is not None
    assert granted.wait == Wait(None, "pool main has no IPv6 address, and the mail servers have no other")


async def test_a_resting_ip_of_the_family_is_what_is_waited_for() -> None:
    world = World()
    world.rests[V6.address] = Rest(LATER, "gmail-ip-rate")
    (granted,) = await world.ask(Ask(mixed(ip(1), V6), "g", "g", 3, families=frozenset({6})))
    assert granted.wait is not None
    assert granted.wait.until == LATER
    assert "127.0.1.1" not in granted.wait.reason


async def test_sites_without_any_limit_ask_nobody(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    file.write_text("[default]\nmessages_per_second = 0\n")
    world = World()
    (granted,) = await world.ask(Ask(pool(1, 2), "other", "mx:a", 10), providers=load_providers(file))
    assert len(granted.grants) == 10
    assert not world.calls


async def test_a_pool_without_an_active_ip_says_why() -> None:
    off = replace(pool(1), members=(PoolMember(ip(1), active=False, why="paused: new rack"),))
    (granted,) = await World().ask(Ask(off, "gmail", "gmail", 1))
    assert granted.wait is not None
    assert "127.0.1.1: paused: new rack" in granted.wait.reason
    (empty,) = await World().ask(Ask(pool(), "gmail", "gmail", 1))
    assert empty.wait is not None
    assert empty.wait.reason == "pool main has no active IP"


@given(
    st.lists(st.integers(1, 120), min_size=1, max_size=4),
    st.dictionaries(st.integers(1, 5), st.integers(0, 60)),
    st.dictionaries(st.integers(1, 5), st.integers(0, 60)),
    st.sets(st.integers(1, 5)),
)
async def test_no_limit_is_passed_and_nobody_waits_while_somebody_could(
    sizes: list[int], tokens: dict[int, int], allowances: dict[int, int], resting: set[int]
) -> None:
    world = World()
    world.tokens.update({ip(n).address: count for n, count in tokens.items()})
    world.allowance = {ip(n).address: count for n, count in allowances.items()}
    world.rests = {ip(n).address: Rest(LATER, "rest") for n in resting}
    first_tokens, first_allowance = dict(world.tokens), dict(world.allowance)
    answers = await world.ask(*(Ask(pool(1, 2, 3, 4, 5), "gmail", f"site{n}", size) for n, size in enumerate(sizes)))

    used = Counter[str]()
    for answer, size in zip(answers, sizes, strict=True):
        assert len(answer.grants) + (0 if answer.wait is None else size - len(answer.grants)) == size
        used.update(by_ip(answer))
    for address, count in used.items():
        assert count <= first_tokens.get(address, 10**6)
        assert count <= first_allowance.get(address, 10**6)
        assert address not in world.rests
    if any(answer.wait for answer in answers):
        able = [ip(n).address for n in range(1, 6) if n not in resting]
        assert all(min(world.tokens.get(a, 10**6), world.allowance.get(a, 10**6)) == 0 for a in able), (
            "somebody could have taken more"
        )
    for address, count in first_allowance.items():
        assert world.allowance[address] == count - used[address], "what was not used is back"


async def test_a_throttled_mail_does_not_wait_behind_the_queue() -> None:
    world = World()
    await world.ask(Ask(pool(1), "gmail", "gmail", 1))
    await world.ask(Ask(pool(1), "gmail", "gmail", 1, urgent=True))
    assert [request.ahead for request in world.tokens.asked] == [0, 100], "as much as a second gives"


async def test_the_rate_of_a_relay_is_one_for_all_sites_and_its_owners() -> None:
    relay = EgressIp("vendor", "", "out.example.net", "smtps://smtp.example.com:465", RelayLimits(5, 2.0, 100))
    world = World()
    one = Pool(UUID(int=1), "main", Lane.MARKETING, (PoolMember(relay),))
    await world.ask(Ask(one, "gmail", "gmail", 3), Ask(one, "other", "mx:a.test", 1))
    assert world.tokens.asked == [
        RateRequest("vendor|*", 3, 2.0, 100, 2, 0),
        RateRequest("vendor|*", 1, 2.0, 100, 2, 0),
    ]


async def test_without_overflow_mail_waits_for_its_own_pool() -> None:
    spare = pool(9, name="spare", key=2)
    world = World(spare)
    world.rests["127.0.1.1"] = Rest(LATER, "throttled")
    ask = Ask(pool(1, overflow=2), "gmail", "gmail", 3)
    with switched(POOL_OVERFLOW, Switch(OFF)):
        (waits,) = await world.ask(ask)
    assert (waits.grants, waits.wait and waits.wait.until) == ([], LATER)
    (granted,) = await world.ask(ask)
    assert by_ip(granted) == {"127.0.1.9": 3}
