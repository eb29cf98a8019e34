"""Volume advice: each rule at its border, with its figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import pytest

from pools.advice import KNOWN_PER_DAY, MOST_PER_DAY, Advice, Volume, advise, advise_all

TODAY = date(2026, 5, 8)


def advice(ips: int, by_provider: Mapping[str, int], days: int = 7) -> list[Advice]:
    """Advice for so many IPs that each send these mails a day, on the days before today."""
    names = [f"127.0.1.{n}" for n in range(1, ips + 1)]
    volumes = [
        Volume(ip, provider, TODAY - timedelta(days=day), n)
        for ip in names
        for provider, n in by_provider.items()
        for day in range(1, days + 1)
    ]
    return advise("bulk", names, volumes, TODAY)


@pytest.mark.parametrize(
    ("ips", "by_provider", "rules", "suggested"),
    [
        (0, {}, ["no_ip"], 2),
        (1, {"gmail": 50_000}, ["no_fail_over"], 2),
        (3, {"gmail": 50_000}, ["fits"], 3),
        (3, {"gmail": MOST_PER_DAY}, ["fits"], 3),
        (3, {"gmail": MOST_PER_DAY + 1}, ["too_much_per_ip"], 4),
        (4, {"gmail": 50_000, "comcast": KNOWN_PER_DAY - 1}, ["unknown_at_providers"], 3),
        (4, {"gmail": 50_000, "comcast": KNOWN_PER_DAY}, ["fits"], 4),
        (4, {"gmail": 50_000, "comcast": 499}, ["fits"], 4),  # even two IPs would not be known there
        (2, {"gmail": 50_000, "comcast": 999}, ["fits"], 2),  # never fewer than two
        (6, {"gmail": 50_000}, ["more_than_five"], 5),
        (6, {"gmail": MOST_PER_DAY}, ["fits"], 6),  # the volume asks for six
        (3, {"gmail": 100}, ["little_volume"], 2),
        (2, {"gmail": 100}, ["little_volume"], 2),
    ],
)
def test_rules_at_their_borders(ips: int, by_provider: dict[str, int], rules: list[str], suggested: int) -> None:
    found = advice(ips, by_provider)

    assert [one.rule for one in found] == rules
    assert found[0].suggested == suggested


def test_verdicts_follow_the_suggestion() -> None:
    assert advice(1, {"gmail": 50_000})[0].verdict == "too_few"
    assert advice(6, {"gmail": 50_000})[0].verdict == "too_many"
    assert advice(2, {"gmail": 100})[0].verdict == "right"


def test_figures_are_those_seen() -> None:
    (one,) = advice(4, {"gmail": 50_000, "comcast": 600}, days=3)

    assert (one.ips, one.days, one.per_ip_per_day) == (4, 3, 50_600)
    assert one.figures == "mails a day and IP: comcast 600; an IP stays known from about 1,000"
    assert one.advice.startswith("Use 2 IPs: detach 2")


def test_today_counts_only_when_there_is_no_other_day() -> None:
    ips = ["127.0.1.1", "127.0.1.2"]
    today = [Volume(ip, "gmail", TODAY, 5) for ip in ips]
    yesterday = [Volume(ip, "gmail", TODAY - timedelta(days=1), 90_000) for ip in ips]

    assert advise("bulk", ips, today + yesterday, TODAY)[0].per_ip_per_day == 90_000
    assert advise("bulk", ips, today, TODAY)[0].per_ip_per_day == 5


def test_mail_of_other_ips_does_not_count() -> None:
    found = advise("bulk", ["127.0.1.1", "127.0.1.2"], [Volume("127.0.1.9", "gmail", TODAY, 9_000_000)], TODAY)

    assert [(one.rule, one.figures) for one in found] == [("little_volume", "no mail yet")]


@dataclass(frozen=True)
class Pool:
    name: str
    sending: tuple[str, ...]
    overflow: str | None = None


def test_a_relay_or_an_overflow_pool_is_a_way_out_and_no_ip_of_the_pool() -> None:
    pools = [
        Pool("alone", ("127.0.1.1",)),
        Pool("spared", ("127.0.1.2",), overflow="empty"),
        Pool("empty", (), overflow="last"),
        Pool("last", ("vendor",)),
        Pool("relayed", ("127.0.1.3", "vendor")),
    ]
    volumes = [Volume(f"127.0.1.{n}", "gmail", TODAY, 50_000) for n in (1, 2, 3)]
    found = {one.pool: one for one in advise_all(pools, volumes, TODAY)}

    assert {name: (one.rule, one.ips) for name, one in found.items()} == {
        "alone": ("no_fail_over", 1),
        "spared": ("fits", 1),
        "empty": ("no_ip", 0),
        "last": ("no_ip", 0),
        "relayed": ("fits", 1),
    }
    assert "leaves through relays and overflow pools" in found["empty"].advice
