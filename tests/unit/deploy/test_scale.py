"""docs/scale.md reckons rightly from the costs that stand in it, and names figures that the benchmark has."""

import re

from bench.figures import KINDS
from deploy.scale import COST, RATES, addresses, number, table
from tests.unit.deploy.commands import ROOT

PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
GMAIL_SHARE = 0.45
CONNECTIONS = 5
SECONDS = 0.25


def _first(row: str) -> float:
    """The first figure of a row; what one mail costs stands before what a rate needs."""
    found, *_ = re.findall(rf"^\| {re.escape(row)}[^|]* \| ([\d,.]+) \|", PAGE, re.M)
    return float(found.replace(",", ""))


def test_the_costs_are_those_of_the_first_tables() -> None:
    assert _first("WAL of PostgreSQL, bytes") == COST.wal_bytes
    assert _first("transactions committed") == COST.commits
    assert _first("content stored, bytes") == COST.content_bytes
    assert _first("kept besides, bytes") == COST.kept_bytes
    assert _first("commands of Valkey") == COST.valkey_commands
    assert _first("bytes by HTTP, SMTP, DNS and Valkey") == COST.network_bytes
    assert _first("lane workers: compose") == COST.worker_ms
    assert _first("PostgreSQL") == COST.postgres_ms
    assert _first("API") == COST.api_ms


def test_what_a_rate_needs_follows_from_them() -> None:
    assert "\n".join(table()) in PAGE


def test_a_billion_a_day_by_hand() -> None:
    """Once more without the module."""
    rows = {row.split("|")[1].strip(): row.split("|")[-2].strip() for row in table()}
    assert rows["mails a second, mean"] == "11,574"
    assert rows["mails a second, peak"] == "46,296"
    assert rows["cores of lane workers"] == number(46_296 * 0.636 / 1000 / 0.7) == "42"
    assert rows["WAL a day, GB"] == number(1e9 * 7_045 / 1e9)
    assert rows["disk, 7 days of content and 90 of events, GB"] == number(8_243 * 7 + 1_183 * 90)


def test_addresses_of_the_largest_provider() -> None:
    for name, seconds in (("peak", lambda rate: rate.peak), ("mean", lambda rate: rate.mean)):
        wanted = [-(-addresses(seconds(rate) * GMAIL_SHARE, CONNECTIONS, SECONDS) // 1) for rate in RATES]
        row = f"| IPs for its share at the {name}, 0.25 s a mail | " + " | ".join(f"{one:,.0f}" for one in wanted)
        assert f"{row} |" in PAGE


def test_figures_it_tells_to_count_exist() -> None:
    named = re.findall(r"--only (\w+)", PAGE)
    assert len(named) == 3
    assert set(named) <= set(KINDS)


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
