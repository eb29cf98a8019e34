"""kill -9 of PostgreSQL while it accepts and records.

Path: 20,000 marketing mails; the postmaster is killed twice: once while batches are posted, and once while mail leaves,
and then it stays away for longer than a lease. The supervisor starts it again, it recovers from its log, and API,
worker and scheduler connect again by themselves.
Expectation: what was acknowledged had been committed, so it is there and ends exactly once. Outcomes that could not be
committed stay in the worker until they can: mail whose outcome is known never leaves again, so nothing is repeated.
"""

import time

import pytest

from cli.running.stack import Shape
from tests.chaos.proof import ENDED_SECONDS, MAILS, QUICK, mails, prove, suppress_blocked, until_delivered
from tests.stack import Options, RunningStack, running_stack

LEASE_SECONDS = 8
"""Short, because a claim whose answer was lost with the server holds its mail for that long."""


@pytest.mark.chaos
def test_every_mail_ends_once_when_postgres_is_killed() -> None:
    with running_stack(
        Options(Shape(marketing=2, background=0, inbound=False), QUICK | {"POSTLANE_LEASE_SECONDS": str(LEASE_SECONDS)})
    ) as stack:
        batch = mails()
        suppressed = suppress_blocked(stack, batch)
        submission = stack.submit(batch, clients=4)
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
        assert stack.states()["postgres"].restarts >= 2
        print(
            f"{proof}; {submission.repeated_requests} requests made again; all ended {took:.0f} s after the last kill"
        )


def _kill(stack: RunningStack, away: float = 0.0) -> None:
    """Kill the server; it comes back after `away` seconds at the earliest, because nobody looks after it meanwhile."""
    stack.kill("postgres")
    time.sleep(away)
    stack.until(lambda: stack.one("SELECT 1") == 1, 60, "PostgreSQL's recovery")
