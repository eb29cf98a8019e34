"""Transactional mail never waits for marketing (promise 3).

Path: 3,000 marketing mails wait because their worker stands still, then it works on them; transactional mail goes to
the same domains meanwhile.
Expectation: it is delivered while not one marketing mail leaves, and again in the middle of the campaign; each lane
uses the IPs of its own pool only. How fast is the benchmark's matter.
"""

import signal

import pytest

from tests.stack import MARKETING, SENDER, RunningStack

COUNT = 3000
DOMAINS = 10


@pytest.mark.scenario
def test_a_receipt_is_delivered_while_the_campaign_stands_still_and_while_it_runs(stack: RunningStack) -> None:
    campaign = [
        {
            "from": SENDER,
            "to": f"fan{n}@small-{n % DOMAINS + 11:03}.sim",
            "subject": "x",
            "text": "x",
            "stream": "marketing",
        }
        for n in range(COUNT)
    ]
    stack.send_signal(MARKETING, signal.SIGSTOP)
    try:
        ids = stack.enqueue(campaign)
        _receipts(stack, "idle")
        assert stack.one("SELECT count(*) FROM delivery_queue WHERE lane = 'marketing'") == COUNT
    finally:
        stack.send_signal(MARKETING, signal.SIGCONT)
    stack.until(lambda: "\tfan" in stack.ledger_file.read_text(), 60, "the campaign")
    _receipts(stack, "busy")
    assert stack.one("SELECT count(*) FROM delivery_queue WHERE lane = 'marketing'") > 0, "the campaign was over"
    stack.until_ended(ids, 180)
    used = {
        lane: {entry.client for entry in stack.ledger() if entry.recipient.startswith(prefix)}
        for lane, prefix in (("marketing", "fan"), ("transactional", "receipt"))
    }
    assert used["transactional"] <= {"127.0.1.1", "127.0.1.2", "127.0.1.3"}
    assert used["marketing"] == {"127.0.1.11", "127.0.1.12", "127.0.1.13"}


def _receipts(stack: RunningStack, when: str) -> None:
    """One receipt to each domain of the campaign, delivered."""
    ids = [stack.send(f"receipt.{when}@small-{n + 11:03}.sim") for n in range(DOMAINS)]
    stack.until(lambda: {stack.last_event(one) for one in ids} == {"delivered"}, 60, f"the receipts ({when})")
