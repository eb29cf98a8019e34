"""kill -9 of PostgreSQL while it accepts and records.

Path: marketing mails; the postmaster is killed twice: once while batches are posted, and once while mail leaves,
and then it stays away for longer than a lease. The supervisor starts it again, it recovers from its log, and API,
worker and scheduler connect again by themselves.
Expectation: what was acknowledged had been committed, so it is there and ends exactly once. Outcomes that could not be
committed stay in the worker until they can: mail whose outcome is known never leaves again, so nothing is repeated.
"""

import time

import pytest

from tests.chaos.conftest import LEASE_SECONDS
from tests.chaos.proof import ENDED_SECONDS, MAILS, mails, prove, suppress_blocked, until_delivered
from tests.stack import RunningStack


@pytest.mark.chaos
def test_every_mail_ends_once_when_postgres_is_killed(two_workers: RunningStack) -> None:
    stack, restarts = two_workers, two_workers.states()["postgres"].restarts
    batch = mails(stack)
    suppressed = suppress_blocked(stack, batch)
    submission = stack.submit(batch, batch=max(1, MAILS // 40), clients=4)
    submission.until_acknowledged(MAILS // 4)
    assert not submission.done, "the kill comes too late to prove anything"
    _kill(stack)
    acknowledged = submission.ids(90)
    until_delivered(stack, MAILS // 2)
    assert stack.waiting() > 0, "the kill comes too late to prove anything"
    _kill(stack, away=LEASE_SECONDS + 2)
    took = stack.until_all_ended(ENDED_SECONDS)
    proof = prove(stack, acknowledged, suppressed, most_repeats=0)
    assert proof.messages == MAILS, f"{proof.messages - MAILS} mails were accepted twice"
    assert stack.states()["postgres"].restarts >= restarts + 2
    print(f"{proof}; {submission.repeated_requests} requests made again; all ended {took:.0f} s after the last kill")


def _kill(stack: RunningStack, away: float = 0.0) -> None:
    """Kill the server; it comes back after `away` seconds at the earliest, because nobody looks after it meanwhile."""
    stack.kill("postgres")
    time.sleep(away)
    stack.until(lambda: stack.one("SELECT 1") == 1, 60, "PostgreSQL's recovery")
