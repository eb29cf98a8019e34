"""Who is a person: what is known of clients, and what they give themselves away by."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from uuid import UUID

import pytest

from messages.link_tokens import Kind
from messages.model import MessageRef
from outcomes.hits import Hit
from outcomes.machines import BURST, TOO_SOON, Verdict, judge, load_machines

BOOK = load_machines()
REF = MessageRef(UUID("01920000-0000-7000-8000-000000000001"), 0)
OTHER = MessageRef(REF.email_id, 1)
DELIVERED = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
LATER = DELIVERED + timedelta(minutes=5)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"
HOME = "198.51.100.7"


def hit(kind: Kind = Kind.CLICK, at: datetime = LATER, link: str = "https://a.example/", **changes: object) -> Hit:
    facts: dict[str, object] = {"ref": REF, "ip": HOME, "agent": FIREFOX, "head": False} | changes
    return Hit(kind, at=at, link=link, **facts)  # type: ignore[arg-type]


def verdicts(*hits: Hit, around: tuple[Hit, ...] = (), delivered: datetime | None = DELIVERED) -> list[Verdict]:
    return judge(hits, around, {REF: delivered, OTHER: delivered}, BOOK)


def test_a_person_is_no_machine() -> None:
    assert verdicts(hit(Kind.OPEN), hit()) == [Verdict(), Verdict()]


@pytest.mark.parametrize(
    ("agent", "ip", "name"),
    [
        ("Mozilla/5.0", "104.28.1.1", "apple_privacy"),
        (CHROME.replace("130.0", "42.0.2311.135") + " Edge/12.246 Mozilla/5.0", "66.249.1.1", "gmail_prefetch"),
        ("BarracudaCentral", HOME, "barracuda"),
        (CHROME, "209.222.82.9", "barracuda"),
        (CHROME, "67.231.149.3", "proofpoint"),
        (CHROME, "40.107.22.1", "microsoft_365"),
        (CHROME, "2a01:111:f400:fe1e::1", "microsoft_365"),
        ("curl/8.1", HOME, "program"),
        ("Python/3.11 aiohttp/3.9", HOME, "program"),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", HOME, "program"),
        ("Slackbot-LinkExpanding 1.0", HOME, "link_preview"),
        ("", HOME, "no_name"),
    ],
)
def test_known_machines_are_named(agent: str, ip: str, name: str) -> None:
    assert verdicts(hit(agent=agent, ip=ip)) == [Verdict(name)]


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "gmail_proxy"),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "yahoo_proxy"),
    ],
)
def test_a_proxy_asks_for_a_person(agent: str, name: str) -> None:
    assert verdicts(hit(Kind.OPEN, agent=agent)) == [Verdict(proxy=name)]
    assert verdicts(hit(Kind.OPEN, DELIVERED, agent=agent)) == [Verdict("too_soon")]


@pytest.mark.parametrize("agent", [FIREFOX, CHROME, "Outlook-iOS/711.1", "Thunderbird/128.0", "Mozilla/5.0 (iPhone)"])
def test_mail_programs_and_browsers_are_people(agent: str) -> None:
    assert verdicts(hit(agent=agent)) == [Verdict()]


def test_who_asks_for_the_head_only_reads_nothing() -> None:
    assert verdicts(hit(head=True)) == [Verdict("head_request")]


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (-timedelta(seconds=2), "before_delivery"),
        (timedelta(0), "too_soon"),
        (TOO_SOON - timedelta(milliseconds=1), "too_soon"),
        (TOO_SOON, None),
    ],
)
def test_nobody_opens_what_he_has_not_got(after: timedelta, reason: str | None) -> None:
    assert verdicts(hit(Kind.OPEN, DELIVERED + after)) == [Verdict(reason)]
    assert verdicts(hit(Kind.OPEN, LATER), delivered=None) == [Verdict("before_delivery")]


def burst(apart: timedelta, links: int) -> tuple[Hit, ...]:
    return tuple(hit(at=LATER + n * apart, link=f"https://a.example/{n}") for n in range(links))


def test_all_links_within_seconds_are_a_machines() -> None:
    assert {v.machine for v in verdicts(*burst(timedelta(milliseconds=200), 5))} == {"all_links"}
    assert {v.machine for v in verdicts(*burst(BURST / 2, 3))} == {"all_links"}


def test_a_person_reads_one_link_after_the_other() -> None:
    assert {v.machine for v in verdicts(*burst(BURST, 5))} == {None}
    assert {v.machine for v in verdicts(*burst(timedelta(milliseconds=200), 2))} == {None}
    same = tuple(hit(at=LATER + timedelta(milliseconds=n)) for n in range(6))
    assert {v.machine for v in verdicts(*same)} == {None}, "a link that is clicked again and again"


def test_what_came_before_and_after_counts_too() -> None:
    first, second, third = burst(timedelta(milliseconds=200), 3)
    assert verdicts(second, around=(first, third)) == [Verdict("all_links")]
    assert verdicts(second, around=(hit(ref=OTHER, link="https://a.example/8"), third)) == [Verdict()]


def test_the_hidden_link_gives_its_visitor_away() -> None:
    trap = hit(Kind.TRAP, link="")
    assert verdicts(trap, hit()) == [Verdict("hidden_link"), Verdict("hidden_link")]
    assert verdicts(hit(ip="203.0.113.1"), around=(trap,)) == [Verdict("hidden_link")], "under the same name"
    assert verdicts(hit(ip="203.0.113.1", agent=CHROME), around=(trap,)) == [Verdict()], "somebody else"
    assert verdicts(hit(ref=OTHER), around=(trap,)) == [Verdict()], "another recipient"
    assert verdicts(hit(at=LATER + timedelta(hours=1)), around=(trap,)) == [Verdict()]


def test_every_entry_says_where_it_is_known_from() -> None:
    names = [machine.name for machine in BOOK.machines]
    assert len(names) == len(set(names))
    assert {machine.kind for machine in BOOK.machines} == {"scanner", "prefetch", "proxy", "tool"}
    assert all(network.prefixlen >= 13 for machine in BOOK.machines for network in machine.networks)
    assert ip_network("209.222.80.0/21") in next(m for m in BOOK.machines if m.name == "barracuda").networks
