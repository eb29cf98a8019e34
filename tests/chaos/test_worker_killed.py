"""kill -9 of the marketing worker, three times while it sends.

Path: 20,000 marketing mails are accepted; the worker is killed in the middle of its batches and started again by the
supervisor, which replays its journal and takes its claims over.
Expectation: everything ends exactly once; a repeat needs an SMTP session whose final dot was sent and whose reply was
not read, so there are at most as many as the killed worker had sessions open (promise 6).
"""

import signal

import pytest

from tests.chaos.proof import ENDED_SECONDS, MAILS, QUICK, mails, prove, suppress_blocked, until_delivered
from tests.stack import MARKETING, Options, running_stack

KILLS = 3


@pytest.mark.chaos
def test_everything_ends_once_when_the_worker_is_killed_again_and_again() -> None:
    with running_stack(Options(env=QUICK)) as stack:
        batch = mails()
        suppressed = suppress_blocked(stack, batch)
        acknowledged = stack.enqueue(batch)
        open_sessions = 0
        for kill in range(1, KILLS + 1):
            until_delivered(stack, MAILS * kill // (KILLS + 2))
            # Frozen first, so that the sessions counted are those at the kill. The far side goes on answering.
            stack.send_signal(MARKETING, signal.SIGSTOP)
            open_sessions += stack.sessions(MARKETING)
            assert stack.waiting() > 0, "the kill comes too late to prove anything"
            stack.kill(MARKETING)
        took = stack.until_all_ended(ENDED_SECONDS)
        proof = prove(stack, acknowledged, suppressed, open_sessions)
        assert stack.states()[MARKETING].restarts == KILLS
        print(f"{proof}; {open_sessions} sessions open at {KILLS} kills; all ended {took:.0f} s after the last")
