"""kill -9 of the marketing worker, three times while it sends.

Path: marketing mails are accepted; the worker is killed in the middle of its batches and started again by the
supervisor, which replays its journal and takes its claims over.
Expectation: everything ends exactly once; only mails that were sent to their end and whose reply was not read leave a
second time, and there are at most as many of them as the killed worker had under way (promise 6). Everything else
that had left is in the store or in the journal.
"""

import signal

import pytest

from tests.chaos.proof import (
    ENDED_SECONDS,
    MAILS,
    mails,
    prove,
    suppress_blocked,
    unread_replies,
    until_delivered,
)
from tests.stack import MARKETING, RunningStack

KILLS = 3


@pytest.mark.chaos
def test_everything_ends_once_when_the_worker_is_killed_again_and_again(stack: RunningStack) -> None:
    restarts = stack.states()[MARKETING].restarts
    batch = mails(stack)
    suppressed = suppress_blocked(stack, batch)
    acknowledged = stack.enqueue(batch)
    on_wire = unread = 0
    for kill in range(1, KILLS + 1):
        until_delivered(stack, MAILS * kill // (KILLS + 2))
        # Frozen first, so that what is counted is what there is at the kill. The far side goes on answering.
        stack.send_signal(MARKETING, signal.SIGSTOP)
        on_wire += stack.on_wire(MARKETING)
        unread += unread_replies(stack, "marketing-0")
        assert unread <= on_wire
        assert stack.waiting() > 0, "the kill comes too late to prove anything"
        stack.kill(MARKETING)
    took = stack.until_all_ended(ENDED_SECONDS)
    proof = prove(stack, acknowledged, suppressed, unread)
    assert stack.states()[MARKETING].restarts == restarts + KILLS
    print(
        f"{proof}; at {KILLS} kills {on_wire} mails at most were under way and {unread} replies unread; "
        f"all ended {took:.0f} s after the last"
    )
