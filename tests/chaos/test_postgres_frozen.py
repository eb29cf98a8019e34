"""PostgreSQL hangs with everything that is asked of it, and goes on later: a disk or a host that stands still.

Path: marketing mails are posted and leave; every process of PostgreSQL is stopped for longer than a lease, and goes on.
Expectation: nothing that asks meanwhile waits without an end but for commits that are under way; then everything ends
once. Leases that ran out while nobody could renew them hand mail to somebody who asks first.
"""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.conftest import LEASE_SECONDS
from tests.chaos.proof import ENDED_SECONDS, MAILS, mails, prove, suppress_blocked, until_delivered
from tests.stack import HttpError, RunningStack

SAID_SECONDS = 20.0
"""The API's five seconds, on a machine that has much to do."""


@pytest.mark.chaos
def test_nothing_is_lost_or_doubled_when_postgresql_hangs(two_workers: RunningStack) -> None:
    stack = two_workers
    batch = mails(stack)
    suppressed = suppress_blocked(stack, batch)
    submission = stack.submit(batch, batch=max(1, MAILS // 40), clients=4)
    submission.until_acknowledged(MAILS // 2)
    until_delivered(stack, MAILS // 8)
    stopped = _stop(stack.pid("postgres"))
    began = time.monotonic()
    try:
        with pytest.raises(HttpError) as refused:
            stack.request("GET", "/emails?limit=1")
        said = time.monotonic() - began
        while time.monotonic() - began < LEASE_SECONDS + 4:
            stack.tick()
            time.sleep(0.05)
    finally:
        for process in stopped:
            os.kill(process, signal.SIGCONT)
    assert refused.value.status == 503
    assert said < SAID_SECONDS
    acknowledged = submission.ids(90)
    took = stack.until_all_ended(ENDED_SECONDS)
    proof = prove(stack, acknowledged, suppressed, most_repeats=0)
    assert proof.messages == MAILS, f"{proof.messages - MAILS} mails were accepted twice"
    print(f"{proof}; 503 after {said:.1f} s; all ended {took:.0f} s after PostgreSQL went on")


def _stop(postmaster: int) -> list[int]:
    """Stop the server's processes, those that it makes last included."""
    stopped: list[int] = []
    while fresh := [one for one in (postmaster, *_children(postmaster)) if one not in stopped]:
        for process in fresh:
            os.kill(process, signal.SIGSTOP)
        stopped += fresh
    return stopped


def _children(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
