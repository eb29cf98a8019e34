"""A day with the console, in a real browser: from the first login to a campaign's report, and an IP that rests.

Path: the link that `postlane up` prints, then what stands on the pages, by mouse and keyboard in headless Chromium,
while the practice internet takes the mail and throttles an IP: on a phone in the dark first and for the report, at a
desk in light for all that is made. A plan is written with scripts and changed without.
Expectation: the first mail's timeline is two clicks away; an IP of a pool of its own warms up by a plan of our own, and
its mail leaves through it; while another IP rests, and is said to, a template made of blocks goes to a segment, and the
report says of everybody what the receiver's ledger says; the IP is seen to come back; an event that is sent again is
heard twice under one id. No page is wider than its screen, and the browser complains about nothing.
"""

import re
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from cli.running.console_link import console_link
from simulator import client as simulator
from tests import browser
from tests.accessibility import LOOKS, wide
from tests.browser import Page
from tests.scenarios.hand import Hand, Step, choose, click, fill, hand, typed, until
from tests.scenarios.hearing import SECONDS, mail_of
from tests.scenarios.throttling import TEXT, comes_back, mails
from tests.stack import SENDER, RunningStack

pytestmark = [
    pytest.mark.scenario,
    pytest.mark.skipif(browser.PROGRAM is None, reason="there is no Chromium"),
    pytest.mark.timeout(300),
]
ADA, PASSWORD = "ada@acme.sim", "correct horse battery"
DESK, PHONE = LOOKS[0], LOOKS[3]
POOL, NEW_IP = "evening", "127.0.1.31"
RESTS: Final = "127.0.1.12"
CELL: Final = f"/ips?open={quote(f'{RESTS} gmail')}"
READERS = ("ann", "bea", "unknown", "unsubscribe")
"""One has no mailbox, one leaves; the practice internet knows them by these names."""
HOOK = "/ok/console"
SAVED = "document.querySelector('#state .state.delivered') !== null"
CHOSEN = "document.querySelector('li[aria-current]').textContent.includes({!r})"
REST = """
SELECT extract(epoch FROM since)::float8, extract(epoch FROM rest_until)::float8 FROM throttles
 WHERE subject = %s AND site = 'gmail' AND state = 'throttled'
"""
ON_THE_WIRE = 3.0
"""Seconds in which a mail still arrives that was under way when its IP was told to wait."""


def test_from_the_first_login_to_an_ip_that_rests_and_returns(stack: RunningStack, tmp_path: Path) -> None:
    with hand(stack, tmp_path / "profile", scripts=True) as ada:
        _takes(ada, PHONE)
        _comes_in(ada)
        _reads_the_first_mail(ada)
        _takes(ada, DESK)
        _makes_a_pool_with_an_ip(ada)
        _writes_a_plan(ada)
        _warms_the_ip_up(ada)
        rest = _sees_an_ip_rest(ada)
        _finds_readers(ada)
        _writes_a_template(ada)
        campaign = _sends_a_campaign(ada)
        _takes(ada, PHONE)
        _reads_its_report(ada, campaign)
        _takes(ada, DESK)
        _watches_the_ip_return(ada, rest)
        _has_an_event_sent_again(ada)
        assert ada.page.said == [], "what the browser complained about"


def _takes(ada: Hand, look: tuple[tuple[int, int], str]) -> None:
    (width, height), mode = look
    ada.does(lambda tab: tab.size(width, height), lambda tab: tab.look(mode))


def _does(ada: Hand, *steps: Step) -> str:
    """What stands on the page after that; it fits."""
    return ada.does(*steps, _fits)


def _at(ada: Hand, path: str) -> str:
    """What stands on a page of the console."""
    return _does(ada, lambda tab: tab.open(ada.stack.console_url + path))


async def _fits(tab: Page) -> None:
    assert await wide(tab) == [], await tab.value("location.href")


def _comes_in(ada: Hand) -> None:
    """By the link of the terminal, which makes the first account."""
    printed = console_link(ada.stack.database_url, ada.stack.console_url, demo=False, seen=True)
    link = re.match(rf"({ada.stack.console_url}/link/\S+)  ", printed)
    assert link is not None, printed
    _does(ada, lambda tab: tab.open(link[1]))
    account = fill("#field-email", ADA), fill("#field-password", PASSWORD), fill("#field-again", PASSWORD)
    said = _does(ada, *account, click("button", "Make the account"))
    assert "Is mail flowing, and does anything need me?" in said


def _reads_the_first_mail(ada: Hand) -> None:
    """The overview is told of it, and one click leads to its timeline: the second after the button of the link."""
    email = ada.stack.send("first.look@gmail.sim", subject="Your receipt", html="<p>Thank you.</p>")
    ada.stack.until_ended([email], SECONDS)
    there = until("document.getElementById('live').innerText.includes('first.look')")
    said = _does(ada, there, click("a.whole", "first.look"), click("summary", "Details", leads_on=False))
    assert "Delivered to gmail" in said
    delivered = ada.stack.events(email)[-1]
    for fact in ("ip", "mx", "tls", "reply"):
        assert str(delivered[fact]) in said, (fact, delivered, said)


def _makes_a_pool_with_an_ip(ada: Hand) -> None:
    """Of marketing's lane, beside its default; the IP is tried before it is added."""
    _at(ada, "/pools")
    said = _does(ada, fill("#field-name", POOL), choose("#field-lane", "marketing"), click("button", "Make the pool"))
    assert POOL in said
    _at(ada, "/ips")
    _does(ada, click("a", "Add an IP"))
    facts = fill("#field-address", NEW_IP), fill("#field-ehlo_name", "mta-31.pool.sim"), choose("#field-pool", POOL)
    said = _does(ada, *facts, click("button", "Add the IP"))
    assert NEW_IP in said


def _first_stage(column: int, cap: str) -> Step:
    """Until the first row of the table says so."""
    return until(f"document.querySelector('.stages tbody tr').cells[{column}].innerText === {cap!r}")


def _writes_a_plan(ada: Hand) -> None:
    """The table answers while it is typed; without scripts it does when it is asked."""
    _at(ada, "/warmup/plans/new")
    said = _does(
        ada, fill("#field-name", "careful"), fill("[name=stage]", "250"), fill("#weight-gmail", "40"),
        _first_stage(2, "100"), click("button", "Keep this plan"),
    )  # fmt: skip
    assert "What would careful do with our mail?" in said
    ada.does(lambda tab: tab.scripts(on=False))
    _at(ada, "/warmup/plans/careful")
    share = fill("#weight-yahoo", "20")
    _does(ada, share, click("button", "Look at it"), _first_stage(2, "100"), _first_stage(3, "50"))
    assert "Saved." in _does(ada, click("button", "Save the plan"))
    ada.does(lambda tab: tab.scripts(on=True))
    plan = ada.stack.one("SELECT definition FROM warmup_plans WHERE name = 'careful'")
    assert (plan["stages"][0], plan["weights"]) == (250, plan["weights"] | {"gmail": 0.4, "yahoo": 0.2})


def _warms_the_ip_up(ada: Hand) -> None:
    """By that plan up to a volume of its own; what is sent through its pool leaves through it, and is counted."""
    _at(ada, "/warmup/plans/careful")
    _does(ada, click("a", "Warm up an IP by it"))
    volume = choose("#field-ip", NEW_IP), fill("#field-target", "5,000"), fill("#field-per_day", "50,000")
    shown = until("document.getElementById('projection').innerText.includes('250 to 5,000')")
    said = _does(ada, *volume, shown, click("button", f"Warm up {NEW_IP} by this plan"))
    assert f"Is {NEW_IP} on plan" in said
    assert "stage 1 of 5, on plan" in said
    granted = _counted_through(ada.stack, NEW_IP)
    assert re.search(rf"\b{granted} / 100\b", _at(ada, f"/warmup/{NEW_IP}")), "of the first stage's mail to gmail"


def _counted_through(stack: RunningStack, ip: str) -> int:
    """Mail of its pool leaves through the IP; how much of it was counted, once the workers know that it warms up."""
    known = "SELECT coalesce(sum(granted), 0)::int FROM warmup_days WHERE ip = %s"

    def counted() -> int:
        stack.until_ended([stack.send("warm.look@gmail.sim", stream="marketing", pool=POOL)], SECONDS)
        return int(stack.one(known, [ip]))

    stack.until(counted, SECONDS, "mail that the warm-up counts")
    assert {one.client for one in stack.ledger() if one.recipient == "warm.look@gmail.sim"} == {ip}
    return int(stack.one(known, [ip]))


def _sees_an_ip_rest(ada: Hand) -> tuple[float, float]:
    """A provider asks it for less: its mail leaves through the others, and both are said, with the reply. From when
    until when."""
    stack = ada.stack
    assert stack.simulator is not None
    assert f"{RESTS} rests" not in _at(ada, "/ips")
    simulator.set_rule(stack.simulator, "throttle", provider="gmail", client=RESTS, text=TEXT, stage="dot", name="slow")
    try:
        stack.until_ended(stack.enqueue(mails(90, "gmail.sim", "watched")), SECONDS)
    finally:
        simulator.clear_rules(stack.simulator, "slow")
    said = _at(ada, "/ips")
    assert f"{RESTS} rests at gmail, back in" in said, said
    assert "its mail leaves through 2 other IPs of its pool." in said
    why = _does(ada, click("td.is-throttled a"))
    assert TEXT.partition(" ")[2].split(".")[0] in why
    assert "Its mail leaves through 2 other IPs of its pool." in why
    ((since, over),) = stack.sql(REST, [RESTS])
    return since, over


def _finds_readers(ada: Hand) -> None:
    """Somebody is made a contact by hand, the others are there; the count follows the filter as it is typed."""
    for name in (*READERS[1:], "cid"):
        consent = {"text": "Asked for it at the fair"}
        ada.stack.request(
            "POST", "/contacts", {"email": f"{name}.reads@gmail.sim", "first_name": name.title(), "consent": consent}
        )
    _at(ada, "/people")
    ann = fill("#field-email", "ann.reads@gmail.sim"), fill("#field-first_name", "Ann")
    said = _does(ada, *ann, fill("#field-consent", "Asked for it at the fair"), click("button", "Add them"))
    assert "Asked for it at the fair" in said
    _at(ada, "/segments/new")
    found = "document.getElementById('found').innerText.includes({!r})"
    _does(
        ada, fill("#field-name", "Readers"),
        fill("#field-filter", 'email contains ".reads@"'), until(found.format("5 people fit")),
        fill("#field-filter", 'email contains ".reads@" and'), until(found.format("cannot be read")),
        fill("#field-filter", 'email contains ".reads@" and first_name != "Cid"'), until(found.format("4 people fit")),
        click("button", "Make the segment"), until(found.format("4 people fit this filter now.")),
    )  # fmt: skip


def _writes_a_template(ada: Hand) -> None:
    """Of blocks, chosen and written one by one, and published."""
    _at(ada, "/templates/new")
    _does(
        ada, fill("#field-name", "Spring letter"), fill("#field-subject", "Spring"), click("button", "Open the editor")
    )
    _does(
        ada, click(".blocks a", "Button", leads_on=False),
        until("document.querySelector('#chosen #field-href') !== null"),
        fill("#field-text", "See the tulips"), fill("#field-href", "https://shop.sim/tulips"),
        until(f"{SAVED} && {CHOSEN.format('See the tulips')}"),
    )  # fmt: skip
    _does(
        ada, click(".blocks a", "Text", leads_on=False),
        until("document.querySelector('#chosen .write:not([hidden])') !== null"),
        click(".write", leads_on=False),
        lambda tab: tab.value("getSelection().selectAllChildren(document.querySelector('.write p'))"),
        typed("Tulips are "), click("[data-do=bold]", leads_on=False), typed("here"),
        until(f"{SAVED} && {CHOSEN.format('Tulips are here')}"),
    )  # fmt: skip
    publish = click("button", "Publish", leads_on=False), click(".dialog:popover-open footer button", "Publish it")
    assert "version 1, in force" in _does(ada, *publish)


def _sends_a_campaign(ada: Hand) -> str:
    """That template to that segment, checked; the report's address ends with its id."""
    _at(ada, "/campaigns/new")
    words = fill("#field-subject", "Spring, {{ first_name }}"), choose("#field-template", "Spring letter")
    whom = fill("#field-name", "Spring"), fill("#field-from", SENDER), choose("#field-segment_id", "Readers")
    _does(ada, *words, *whom, click("button", "Save and go on"))
    assert "It goes to 4 of 4 people" in _does(ada, click("a", "Check and send"))
    ask, yes = click("button", "Send it now", leads_on=False), ".dialog:popover-open footer button"
    assert "Who got it, who did not and why" in _does(ada, ask, click(yes, "Send it to 4 people"))
    return str(ada.stack.one("SELECT id FROM campaigns WHERE name = 'Spring'"))


def _reads_its_report(ada: Hand, campaign: str) -> None:
    """What it says of each person is what the receiver knows of them."""
    stack = ada.stack
    state = "SELECT state FROM campaigns WHERE id = %s"
    stack.until(lambda: stack.one(state, [campaign]) == "finished", SECONDS, "the campaign to finish")
    report = f"/broadcasts/{campaign}/report"
    stack.until(lambda: stack.request("GET", report)["people"]["left"] == 1, SECONDS, "somebody to leave")
    took = sorted(one.recipient for one in stack.ledger() if one.recipient.endswith(".reads@gmail.sim"))
    assert took == [f"{name}.reads@gmail.sim" for name in ("ann", "bea", "unsubscribe")]
    said = _at(ada, f"/campaigns/{campaign}")
    assert f"{len(took)} of 4 people got it (75.0 %); 1 did not: 1 bounced." in said
    people = _at(ada, f"/campaigns/{campaign}/recipients?type=delivered")
    assert sorted(re.findall(r"\w+\.reads@gmail\.sim", people)) == took
    mail = mail_of(stack, "ann.reads@gmail.sim", "Spring, Ann")
    body = mail.get_body(("html",))
    assert body is not None
    assert "Tulips are <b>here</b>" in str(body.get_content()).replace("&nbsp;", " ").replace("\xa0", " ")


def _watches_the_ip_return(ada: Hand, rest: tuple[float, float]) -> None:
    """Its rest ends by itself; the overview is told when it sends freely again, and its page tells each step."""
    stack, (since, over) = ada.stack, rest
    _at(ada, "/")
    stack.until(lambda: time.time() > over, SECONDS, "the rest to end")
    used = [one for one in stack.ledger() if one.client == RESTS and one.recipient.endswith("@gmail.sim")]
    assert [one for one in used if since + ON_THE_WIRE < one.mail_at < over] == []
    comes_back(stack, RESTS)
    _does(ada, until(f"!document.getElementById('live').innerText.includes({RESTS!r})"))
    assert f"{RESTS} rests" not in _at(ada, "/ips")
    why = _at(ada, CELL)
    assert "Sends freely at gmail: nothing holds it." in why
    for step in ("rests", "probes", "comes back"):
        assert step in why


def _has_an_event_sent_again(ada: Hand) -> None:
    """An endpoint is made, told of a mail, and told again by a button; it was heard twice, under one id."""
    stack = ada.stack
    assert stack.simulator is not None
    _at(ada, "/webhooks/new")
    whose = choose("#field-application", "Demo")
    hook = fill("#field-endpoint", f"{stack.simulator.webhook_url}{HOOK}")
    said = _does(ada, whose, hook, click("button", "Make the endpoint"))
    secret = re.search(r"whsec_[\w+/=]+", said)
    assert secret is not None, said
    simulator.trust_webhooks(stack.simulator, secret[0])
    stack.until_ended([stack.send("told@gmail.sim")], SECONDS)

    def heard() -> list[str]:
        rows = simulator.webhooks(stack.simulator, HOOK) if stack.simulator else []
        return [row["id"] for row in rows if row["type"] == "email.delivered" and row["signed"]]

    stack.until(lambda: len(heard()) == 1, SECONDS, "the event to be told")
    _does(ada, click("a", "To the endpoint"))
    _does(ada, click("a.whole", "email.delivered"))
    _does(ada, click("#panel button", "Send it again"))
    stack.until(lambda: len(heard()) == 2, SECONDS, "the event to be told again")
    assert len(set(heard())) == 1
    gone = click("button", "Delete", leads_on=False), click(".dialog:popover-open footer button", "Delete it")
    assert "is told of nothing any more" in _does(ada, *gone)
