"""Shares of a pool: they add up, they are fair at every moment, and nothing goes to an IP that rests."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.queues import Lane
from mta.model import EgressIp
from pools.choose import choose, same_ip
from pools.model import Grant, Pool, PoolMember, Rest, Wait, all_healthy

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ip(n: int) -> EgressIp:
    return EgressIp(f"127.0.1.{n}", f"127.0.1.{n}", f"out{n}.example.net")


def pool(*weights: int) -> Pool:
    members = tuple(PoolMember(ip(n), weight) for n, weight in enumerate(weights, 1))
    return Pool(UUID(int=1), "main", Lane.MARKETING, members)


class Resting:
    """Health from a dictionary: address → rest, for one provider."""

    def __init__(self, provider: str, rests: dict[str, Rest]) -> None:
        self.provider, self.rests = provider, rests

    def __call__(self, egress: EgressIp, provider: str) -> Rest | None:
        return self.rests.get(egress.address) if provider == self.provider else None


def granted(chosen: tuple[Grant, ...] | Wait) -> tuple[Grant, ...]:
    assert not isinstance(chosen, Wait)
    return chosen


def test_equal_shares_and_the_connections_a_grant_can_use() -> None:
    grants = choose(pool(1, 1, 1), "gmail", 9, all_healthy, 2, 0)
    assert grants == (Grant(ip(1), 3, 2), Grant(ip(2), 3, 2), Grant(ip(3), 3, 2))
    assert choose(pool(1, 1, 1), "gmail", 1, all_healthy, 5, 0) == (Grant(ip(1), 1, 1),)


def test_the_remainder_moves_on_with_the_turn() -> None:
    first = [granted(choose(pool(1, 1, 1), "gmail", 1, all_healthy, 5, turn))[0].ip.address for turn in range(4)]
    assert first == ["127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.1"]


def test_an_ip_rests_for_one_provider_only() -> None:
    health = Resting("gmail", {"127.0.1.2": Rest(NOON, "gmail-ip-rate")})
    assert {g.ip for g in granted(choose(pool(1, 1, 1), "gmail", 30, health, 5, 0))} == {ip(1), ip(3)}
    assert {g.ip for g in granted(choose(pool(1, 1, 1), "yahoo", 30, health, 5, 0))} == {ip(1), ip(2), ip(3)}


def test_when_all_rest_wait_for_the_first_to_return_and_say_why() -> None:
    health = Resting("gmail", {"127.0.1.1": Rest(NOON + timedelta(hours=1), "slow"), "127.0.1.2": Rest(NOON, "busy")})
    wait = choose(pool(1, 1), "gmail", 5, health, 5, 0)
    assert wait == Wait(NOON, "every IP of pool main rests at gmail (127.0.1.1: slow; 127.0.1.2: busy)")


def test_when_nobody_knows_the_end_the_wait_has_none() -> None:
    wait = choose(pool(1), "gmail", 5, Resting("gmail", {"127.0.1.1": Rest(None, "proxy away")}), 5, 0)
    assert isinstance(wait, Wait)
    assert wait.until is None


def test_a_pool_without_active_ip() -> None:
    off = Pool(UUID(int=2), "off", Lane.MARKETING, (PoolMember(ip(1), active=False), PoolMember(ip(2), weight=0)))
    for empty in (off, pool()):
        assert choose(empty, "gmail", 5, all_healthy, 5, 0) == Wait(None, f"pool {empty.name} has no active IP")


@pytest.mark.parametrize(("n", "connections"), [(0, 1), (-1, 1), (1, 0)])
def test_nonsense_is_a_bug(n: int, connections: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        choose(pool(1), "gmail", n, all_healthy, connections, 0)


@pytest.mark.parametrize("weight", [-1, 1001])
def test_weights_are_bounded(weight: int) -> None:
    with pytest.raises(ValueError, match="must be 0 to 1000"):
        PoolMember(ip(1), weight)


def test_a_greylisted_message_finds_its_ip_again() -> None:
    health = Resting("gmail", {"127.0.1.2": Rest(NOON, "busy")})
    off = Pool(UUID(int=2), "off", Lane.MARKETING, (PoolMember(ip(1), active=False),))
    assert same_ip(pool(1, 1), "gmail", "127.0.1.1", health) == ip(1)
    assert same_ip(pool(1, 1), "gmail", "127.0.1.2", health) is None
    assert same_ip(pool(1, 1), "gmail", "127.0.1.9", health) is None
    assert same_ip(off, "gmail", "127.0.1.1", health) is None


weights = st.lists(st.integers(0, 9), min_size=1, max_size=6)


@given(weights, st.sets(st.integers(1, 6)), st.sets(st.integers(1, 6)), st.integers(1, 500), st.integers(0, 10**9))
def test_counts_add_up_and_only_usable_ips_get_some(
    shares: list[int], resting: set[int], inactive: set[int], n: int, turn: int
) -> None:
    members = tuple(PoolMember(ip(i), w, i not in inactive) for i, w in enumerate(shares, 1))
    health = Resting("gmail", {ip(i).address: Rest(NOON, "rest") for i in resting})
    chosen = choose(Pool(UUID(int=3), "p", Lane.MARKETING, members), "gmail", n, health, 4, turn)
    usable = {m.ip for m in members if m.active and m.weight and health(m.ip, "gmail") is None}
    if not usable:
        assert isinstance(chosen, Wait)
        assert chosen.reason
        return
    grants = granted(chosen)
    assert sum(g.count for g in grants) == n
    assert {g.ip for g in grants} <= usable
    assert len({g.ip for g in grants}) == len(grants)
    assert all(g.count >= 1 and g.connections == min(4, g.count) for g in grants)


@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=5),
    st.lists(st.integers(1, 200), min_size=1, max_size=10),
    st.integers(0, 1000),
)
def test_shares_are_exact_over_batches_of_any_rhythm(shares: list[int], sizes: list[int], turn: int) -> None:
    members, sent, counts, i = pool(*shares), 0, Counter[str](), 0
    while sent < 10_000:
        n = sizes[i % len(sizes)]
        for grant in granted(choose(members, "gmail", n, all_healthy, 5, turn + sent)):
            counts[grant.ip.address] += grant.count
        sent, i = sent + n, i + 1
    for index, weight in enumerate(shares, 1):
        expected = sent * weight / sum(shares)
        assert abs(counts[ip(index).address] - expected) <= expected * 0.02


@pytest.mark.parametrize("ips", [2, 3, 5])
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_a_caller_that_counts_batches_is_fair_too(ips: int, n: int) -> None:
    counts = Counter[str]()
    for turn in range(10_000 // n):
        for grant in granted(choose(pool(*[1] * ips), "gmail", n, all_healthy, 5, turn)):
            counts[grant.ip.address] += grant.count
    assert max(counts.values()) - min(counts.values()) <= 0.02 * 10_000 / ips


def test_the_share_of_a_lost_ip_is_spread_over_all_others() -> None:
    health = Resting("gmail", {"127.0.1.1": Rest(NOON, "busy")})
    grants = granted(choose(pool(1, 1, 1, 1), "gmail", 300, health, 5, 0))
    assert [g.count for g in grants] == [100, 100, 100]
