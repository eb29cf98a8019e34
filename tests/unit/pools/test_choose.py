"""Shares of a pool: they add up and they are fair at every moment."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.model import EgressIp
from pools.choose import choose, warming_share
from pools.model import PoolMember, Share


def ip(n: int) -> EgressIp:
    return EgressIp(f"127.0.1.{n}", f"127.0.1.{n}", f"out{n}.example.net")


def members(*weights: int) -> list[PoolMember]:
    return [PoolMember(ip(n), weight) for n, weight in enumerate(weights, 1)]


def test_equal_shares() -> None:
    assert choose(members(1, 1, 1), 9, 0) == (Share(ip(1), 3), Share(ip(2), 3), Share(ip(3), 3))
    assert choose(members(1, 1, 1), 1, 0) == (Share(ip(1), 1),)


def test_the_remainder_moves_on_with_the_turn() -> None:
    first = [choose(members(1, 1, 1), 1, turn)[0].ip.address for turn in range(4)]
    assert first == ["127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.1"]


@pytest.mark.parametrize(("there", "n"), [(members(1), 0), (members(1), -1), ([], 3)])
def test_nonsense_is_a_bug(there: list[PoolMember], n: int) -> None:
    with pytest.raises(ValueError, match="cannot share"):
        choose(there, n, 0)


@pytest.mark.parametrize("weight", [-1, 1001])
def test_weights_are_bounded(weight: int) -> None:
    with pytest.raises(ValueError, match="must be 0 to 1000"):
        PoolMember(ip(1), weight)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 500), st.integers(0, 10**9))
def test_counts_add_up(weights: list[int], n: int, turn: int) -> None:
    grants = choose(members(*weights), n, turn)
    assert sum(grant.count for grant in grants) == n
    assert len({grant.ip for grant in grants}) == len(grants)
    assert all(grant.count >= 1 for grant in grants)


@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=5),
    st.lists(st.integers(1, 200), min_size=1, max_size=10),
    st.integers(0, 1000),
)
def test_shares_are_exact_over_batches_of_any_rhythm(weights: list[int], sizes: list[int], turn: int) -> None:
    there, sent, counts, i = members(*weights), 0, Counter[str](), 0
    while sent < 10_000:
        n = sizes[i % len(sizes)]
        for grant in choose(there, n, turn + sent):
            counts[grant.ip.address] += grant.count
        sent, i = sent + n, i + 1
    for index, weight in enumerate(weights, 1):
        expected = sent * weight / sum(weights)
        assert abs(counts[ip(index).address] - expected) <= expected * 0.02


@pytest.mark.parametrize("ips", [2, 3, 5])
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_a_caller_that_counts_batches_is_fair_too(ips: int, n: int) -> None:
    counts = Counter[str]()
    for turn in range(10_000 // n):
        for grant in choose(members(*[1] * ips), n, turn):
            counts[grant.ip.address] += grant.count
    assert max(counts.values()) - min(counts.values()) <= 0.02 * 10_000 / ips


@given(st.integers(1, 1000), st.integers(1, 6), st.integers(0, 6))
def test_warming_ips_leave_the_warm_ones_a_part(n: int, warming: int, warm: int) -> None:
    share = warming_share(n, warming, warming + warm)
    assert 1 <= share <= n
    assert share * warming >= n or warm > 0, "without warm IPs all mail is asked for"
    assert share <= -(-2 * n // (warming + warm)), "twice an equal share at most"
