"""Tracking is switched off at three in the morning, with mail under way; then PostgreSQL dies.

Path: an application posts tracked mail all the time; an operator switches the flag `tracking`; every process says on
its /metrics what it goes by; PostgreSQL is killed and stays away for some seconds. Then the flag is switched for
another application, and for this one alone.
Expectation: two seconds after the commit every process obeys, mail accepted from then on carries no link of ours, and
goes on carrying none while PostgreSQL is away and when it is back; switched on, it carries them again. The switch of
another application changes nothing, one's own does. Each mail has all that is ours, or nothing, also of those
that were made while a switch was on its way. Every mail that was accepted arrives, once.
"""

import asyncio
import http.client
import os
import re
import threading
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from accounts import repository as accounts
from cli.running import demo
from flags import service
from flags.service import IN_FORCE_SECONDS, Change
from simulator import client as simulator
from store.database import Database
from tests.scenarios.test_clicks import html_of
from tests.stack import SENDER, HttpError, RunningStack

pytestmark = pytest.mark.scenario

AT_ONCE = 10
EVERY_SECONDS = 0.1
DOMAINS = 10
HTML = '<p>Three for two: <a href="https://shop.example/offer">the offer</a>, <a href="https://shop.example/more">more</a>.</p>'
OF_OURS = 4
"""Two links, the pixel, and the link that only machines follow."""


@dataclass
class Flow:
    """An application that posts tracked mail until it is told to stop, and asks again when something broke."""

    stack: RunningStack
    accepted: list[tuple[float, str, str]] = field(default_factory=list)
    """When the batch was posted, the recipient, the email's id."""
    ending: threading.Event = field(default_factory=threading.Event)
    paused: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.ending.wait(EVERY_SECONDS):
            if self.paused.is_set():
                continue
            self._post([f"reader{len(self.accepted) + n}@small-{n % DOMAINS + 1:03}.sim" for n in range(AT_ONCE)])

    def since(self, moment: float) -> dict[str, str]:
        """Recipient → id."""
        return {address: email_id for at, address, email_id in self.accepted if at >= moment}

    def _post(self, addresses: list[str]) -> None:
        body = [
            {"from": SENDER, "to": to, "subject": "Offer", "html": HTML, "stream": "marketing",
             "open_tracking": True, "click_tracking": True}
            for to in addresses
        ]  # fmt: skip
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        while True:
            posted = time.monotonic()
            try:
                answer = self.stack.request("POST", "/emails/batch", body, headers)
            except (OSError, http.client.HTTPException, HttpError):
                time.sleep(0.1)  # what a client does between two tries
                continue
            self.accepted += [(posted, to, row["id"]) for to, row in zip(addresses, answer["data"], strict=True)]
            return


@contextmanager
def flow(stack: RunningStack) -> Iterator[Flow]:
    found = Flow(stack)
    thread = threading.Thread(target=found.run, name="flow")
    thread.start()
    try:
        yield found
    finally:
        found.ending.set()
        thread.join(30)


def switch(stack: RunningStack, percent: int | None, application: str = "") -> float:
    """The moment of its commit. For everything, or for an application, which is made where there is none."""

    async def work() -> None:
        database = Database(stack.database_url, size=2, name="postlane-test")
        await database.open()
        async with database.transaction() as connection:
            known = await accounts.application(connection, application) if application else None
            if application and known is None:
                known = await accounts.create_application(connection, application)
            change = Change(percent, known.id if known else None, "links lead nowhere")
            await service.switch(connection, "tracking", change, "a test")
        await database.close()

    asyncio.run(work())
    return time.monotonic()


def until_obeyed(stack: RunningStack, committed: float) -> float:
    """When every process has to go by it: what holds for an application is on no /metrics."""
    over = committed + IN_FORCE_SECONDS * _share()
    stack.until(lambda: time.monotonic() > over, 60, "the switch to be in force")
    return time.monotonic()


def in_force(stack: RunningStack) -> set[float]:
    """What the processes go by."""
    return {share_of(url) for url in stack.metrics.values()}


def share_of(url: str) -> float:
    with urllib.request.urlopen(url, timeout=5) as answer:
        found = re.search(r'^postlane_flag_percent\{flag="tracking"\} (\S+)$', answer.read().decode(), re.M)
    assert found is not None, url
    return float(found[1])


def until_in_force(stack: RunningStack, percent: float, committed: float) -> float:
    """When every process went by it: within two seconds, or as many times that as others want the processor too."""
    stack.until(lambda: in_force(stack) == {percent}, 30, f"every process to go by {percent} %")
    moment = time.monotonic()
    share = _share()
    print(f"{percent:g} % in force {moment - committed:.2f} s after the commit, {share:.1f} want each processor")
    assert moment - committed < IN_FORCE_SECONDS * share
    return moment


def _share() -> float:
    """How many want each processor: all of it then takes as many times as long."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def links(stack: RunningStack, address: str) -> int:
    """Links of ours in the one mail to an address."""
    assert stack.simulator is not None
    (mail,) = simulator.mailbox(stack.simulator, address, raw=True)
    return html_of(mail.data).count(stack.public_url)


def test_tracking_is_switched_off_under_way_and_stays_off_without_postgresql(stack: RunningStack) -> None:
    stack.begin()
    with flow(stack) as mails:
        started = time.monotonic()
        stack.until(lambda: len(mails.accepted) >= 100, 20, "mail on its way")
        before = mails.since(started)
        stack.until_ended([*before.values()], 30)
        off = switch(stack, 0)
        obeyed = until_in_force(stack, 0, off)
        stack.until(lambda: len(mails.since(obeyed)) >= 100, 20, "mail made without tracking")

        # What a worker holds when the server dies is due again after its lease, a minute: chaos tests wait for that.
        mails.paused.set()
        stack.until_all_ended(30)
        stack.kill("postgres")
        mails.paused.clear()
        for _ in range(10):  # nobody starts it again meanwhile
            assert in_force(stack) == {0}
            time.sleep(0.2)
        back = time.monotonic()
        stack.until(lambda: len(mails.since(back)) >= 100, 30, "mail after PostgreSQL came back")
        assert in_force(stack) == {0}
        untracked = mails.since(obeyed)
        stack.until_ended([*untracked.values()], 60)

        on = switch(stack, None)
        last = until_in_force(stack, 100, on)
        stack.until(lambda: len(mails.since(last)) >= 50, 20, "tracked mail again")

        until_obeyed(stack, switch(stack, 0, "Somebody else"))
        bystanders = mails.since(last)
        own = until_obeyed(stack, switch(stack, 0, demo.APPLICATION))
        assert in_force(stack) == {100}
        stack.until(lambda: len(mails.since(own)) >= 50, 20, "mail of an application without tracking")
    stack.until_all_ended(60)
    for application in ("Somebody else", demo.APPLICATION):
        switch(stack, None, application)

    arrived = Counter(entry.recipient for entry in stack.ledger() if entry.recipient.startswith("reader"))
    assert arrived == Counter(address for _, address, _ in mails.accepted)
    found = {address: links(stack, address) for address in arrived}
    assert set(found.values()) == {0, OF_OURS}, "a mail is neither the one nor the other"
    assert {found[address] for address in before} == {OF_OURS}
    assert {found[address] for address in untracked} == {0}
    assert {found[address] for address in bystanders} == {OF_OURS}
    assert {found[address] for address in mails.since(own)} == {0}
    took = time.monotonic() - started
    print(f"{len(mails.accepted)} mails in {took:.0f} s, {len(untracked)} of them seen without links of ours")
