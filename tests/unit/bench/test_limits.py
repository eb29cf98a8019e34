"""Throughput with and without limits: the warming IP's cap leaves what it should, the other side has no rate at all."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.cases.limits import NO_RATES, cap_for
from bench.cases.throughput import KEYS, PEERS, peer_messages
from bench.figures import KINDS
from bench.options import Options
from bench.postfix import Milter
from mta.providers import OTHER, load_providers
from warmup.plan import REST, parse
from warmup.shares import Used, available

_DAY = datetime(2026, 11, 22, tzinfo=UTC)


@given(st.integers(1, 50_000), st.integers(0, 86_399), st.integers(0, 200_000), st.integers(0, 200_000))
def test_the_cap_leaves_the_allowance_open_now(allowance: int, second: int, base: int, since: int) -> None:
    now, granted = _DAY + timedelta(seconds=second), base + since
    cap = cap_for(allowance, now, granted, base)
    plan = parse({"name": "bench", "stages": [cap], "weights": {REST: 1.0}, "hour_limit": 1.0})
    left = available(plan, Used(cap, granted, now.hour, base), now)
    assert allowance <= left <= allowance + 1


def test_without_limits_no_site_has_a_rate(tmp_path: Path) -> None:
    file = tmp_path / "no-rates.toml"
    file.write_text(NO_RATES)
    free, shipped = load_providers(file), load_providers()
    for provider in (OTHER, "gmail"):
        limits = free.limits(provider)
        assert (limits.messages_per_second, limits.messages_per_hour) == (0, 0)
        assert shipped.limits(provider).messages_per_second > 0
        assert limits.connections == shipped.limits(provider).connections


def test_each_way_to_attach_opendkim_has_its_own_figures() -> None:
    assert set(PEERS) == set(Milter)
    keys = [key for pair in PEERS.values() for key in pair]
    assert len(keys) == len(set(keys)) == 4
    assert set(keys) <= set(KINDS) & set(KEYS)
    assert peer_messages(Options(), Milter.INET) < peer_messages(Options(), Milter.UNIX)
